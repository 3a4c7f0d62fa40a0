"""Many at once, and much at once: eight processes that store, and a big import.

Knows how to start processes together and how to ask the kernel for their memory; does not know gitmem's locks.
Law: every process begins at one signal and is counted until one instant, so that a starved one shows.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from tests.bench.ground import Ground, key_of, open_memory, value_of
from tests.bench.measure import Figure, Pair, compare, duration

CROWD = 8
PRESENT = 10_000
MEGABYTE = 1_000_000
PEAK = 500


def eight(ground: Ground) -> Iterator[Figure]:
    """Stores a second of eight processes beside one; the slowest of the eight beside the fastest."""
    seconds = ground.size(5, 2)
    path = ground.filled(ground.size(PRESENT, 2_000))
    open_memory(path).close()
    alone, together, fairness = [], [], []
    for _ in range(ground.size(5, 3)):
        alone.append(seconds / sum(_counts(path, 1, seconds)))
        counts = _counts(path, CROWD, seconds)
        together.append(seconds / sum(counts))
        fairness.append(min(counts) / max(counts))
    pair = Pair(tuple(alone), tuple(together))
    yield compare(
        "eight",
        "8 processes storing, total stores/s",
        pair,
        peer="a store of all together",
        limit=0.8,
        aim="≥ 0.8×",
        at_least=True,
    )
    yield Figure(
        "eight-fair",
        "the slowest of them beside the fastest",
        "–",
        "–",
        tuple(fairness),
        0.25,
        "≥ 1/4",
        at_least=True,
        show="{:.2f}",
    )


def big_import(ground: Ground) -> Iterator[Figure]:
    """A large store of another tool: the processor's time by entries, and memory."""
    if importlib.util.find_spec("gitmem.exchange") is None or importlib.util.find_spec("tests.bench.sources") is None:
        return
    full = ground.size(78_000, 4_000)
    small = full // 10
    times: dict[int, list[float]] = {small: [], full: []}
    peaks, whole = [], 0.0
    for _ in range(ground.size(2, 1)):
        for entries in (small, full):
            busy, whole, peak = _in_process(_import, str(ground.path(f"import-{entries}")), entries)
            times[entries].append(busy / entries)
        peaks.append(peak / MEGABYTE)
    pair = Pair(tuple(times[full]), tuple(times[small]))
    work = f"import of {full:,} entries in 36 namespaces, CPU an entry"
    yield compare("import", work, pair, peer=f"of {small:,}", limit=1.5, aim="linear (≤ 1.5×)")
    yield Figure(
        "import-memory",
        "its peak memory",
        f"{duration(whole)} in all",
        "–",
        tuple(peaks),
        PEAK,
        "< 500 MB",
        show="{:.0f} MB",
    )


def _counts(path: Path, processes: int, seconds: float) -> list[int]:
    """How many stores each process finished in that time."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes)
    results = context.Queue()
    crowd = [
        context.Process(target=_store_until, args=(str(path), number, seconds, ready, results))
        for number in range(processes)
    ]
    for process in crowd:
        process.start()
    counts = [results.get(timeout=seconds + 120) for _ in crowd]
    for process in crowd:
        process.join()
    return counts


def _store_until(path: str, number: int, seconds: float, ready: Any, results: Any) -> None:
    """Runs in a process of its own: keys of its own, from the signal until the time is over."""
    memory = open_existing(path)
    memory.store(key_of(number * 100), value_of(number, 10**6))
    ready.wait()
    end = time.monotonic() + seconds
    for turn in count(1):
        memory.store(key_of(number * 100 + turn % 100), value_of(number, turn))
        if time.monotonic() > end:
            break
    memory.close()
    results.put(turn)


def open_existing(path: str) -> Any:
    """The memory as its own config says."""
    from gitmem import Memory
    from tests.bench.ground import NAMESPACE

    return Memory.open(path, agent=f"bench-{os.getpid()}", namespace=NAMESPACE)


def _import(path: str, entries: int, results: Any) -> None:
    from gitmem import Memory, exchange
    from tests.bench import sources

    source = Path(path + "-source.db")
    sources.write(source, entries=entries)
    with Memory.open(path, durability="fast") as memory:
        start, busy = time.perf_counter(), time.process_time()
        exchange.import_file(memory, source)
        took, busy = time.perf_counter() - start, time.process_time() - busy
    results.put((busy, took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def _in_process(work: Callable[..., None], *arguments: object) -> tuple[float, float, int]:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=work, args=(*arguments, results))
    process.start()
    while True:
        try:
            found: tuple[float, float, int] = results.get(timeout=5)
            break
        except Exception:
            if process.exitcode:
                raise
    process.join()
    return found
