"""What it costs to note who read what: the same reads with `audit_reads` and without, in two copies of one memory.

Knows the ways in which a read can be new: a version never read, the same one at a newer head, a new process.
Law: both sides read under a session and an agent's name; nothing but the setting differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from statistics import median

from gitmem import Memory
from tests.bench.ground import NAMESPACE, Ground, git_dir_of, key_of, open_memory
from tests.bench.measure import Figure, Pair, compare, race
from tests.bench.reads import run_program, script

KEYS = 10_000
READERS, SESSION = "reader", "session-20260101-000000-bench"
LIMIT = 1.2
PEER = "without audit_reads"


def audited(ground: Ground) -> Iterator[Figure]:
    """Reads in two copies of one memory."""
    keys = ground.size(KEYS, 1000)
    noting, silent = (_copy(ground, keys, audit=audit) for audit in (True, False))
    yield _warm(ground, noting, silent, keys)
    yield _first_touch(ground, noting, silent, keys)
    yield _newer_heads(ground, noting, silent)
    yield _cold(ground, noting, silent)


def _copy(ground: Ground, keys: int, *, audit: bool) -> Path:
    path = ground.filled(keys)
    with open_memory(path) as memory:
        memory.settings.set("audit_reads", audit)
        memory.settings.set("max_value_bytes", 1 << 24)  # so that both have a gitmem.toml of their own
    return path


def _opened(path: Path) -> Memory:
    return Memory.open(path, agent=READERS, session=SESSION, namespace=NAMESPACE, create=False)


def _warm(ground: Ground, noting: Path, silent: Path, keys: int) -> Figure:
    """Any of some keys, again and again."""
    names = [key_of(number) for number in ground.random.sample(range(keys), 1000)]

    def calls(memory: Memory) -> Callable[[], object]:
        endless = cycle(names)
        return lambda: [memory.retrieve(next(endless)) for _ in range(1000)]

    with _opened(noting) as one, _opened(silent) as other:
        pair = race(calls(one), calls(other), rounds=7, turns=ground.size(20, 6), per=1000)
        assert len({receipt.key for receipt in one.reads()}) == len(names)
    return compare("audited", "retrieve under audit_reads, warm", pair, peer=PEER, limit=LIMIT)


def _first_touch(ground: Ground, noting: Path, silent: Path, keys: int) -> Figure:
    """Every key once, by a program that has not read it before: each read is a line."""
    names = [key_of(number) for number in ground.random.sample(range(keys), 1000)]

    def each_once(path: Path) -> object:
        with _opened(path) as memory:
            return [memory.retrieve(name) for name in names]

    pair = race(
        lambda: each_once(noting), lambda: each_once(silent), rounds=5, turns=ground.size(10, 4), per=len(names)
    )
    return compare("audited-first", "the same, each key for the first time", pair, peer=PEER, limit=LIMIT)


def _newer_heads(ground: Ground, noting: Path, silent: Path) -> Figure:
    """One key again, each time after a commit of another process: the costliest read there is to note, for its bytes
    are the same and its version may not be.
    """
    turns = ground.size(100, 30)
    rounds: tuple[list[float], list[float]] = ([], [])
    with _opened(noting) as one, _opened(silent) as other:
        writers = [open_memory(path) for path in (noting, silent)]
        for turn in range(5 * turns):
            times: list[list[float]] = [[], []]
            for side, (reader, writer) in enumerate(zip((one, other), writers, strict=True)):
                writer.store("elsewhere", turn)
                start = time.perf_counter()
                reader.retrieve(key_of(7))
                times[side].append(time.perf_counter() - start)
            for side in (0, 1):
                rounds[side].extend(times[side])
        for writer in writers:
            writer.close()
    parts = [tuple(median(side[at : at + turns]) for at in range(0, len(side), turns)) for side in rounds]
    pair = Pair(*parts)
    return compare("audited-again", "the same, one key after each commit of others", pair, peer=PEER, limit=LIMIT)


def _cold(ground: Ground, noting: Path, silent: Path) -> Figure:
    """One key from a process that has just begun."""

    def command(path: Path) -> list[str]:
        place = ["--store", str(path), "-n", NAMESPACE, "--agent", READERS, "--session", SESSION]
        return [*script(), *place, "retrieve", key_of(57)]

    before = (git_dir_of(noting).parent / "local" / "reads.jsonl").stat().st_size
    pair = race(
        lambda: run_program(command(noting)), lambda: run_program(command(silent)), rounds=5, turns=ground.size(10, 4)
    )
    assert (git_dir_of(noting).parent / "local" / "reads.jsonl").stat().st_size > before
    return compare("audited-cold", "the same, on the command line", pair, peer=PEER, limit=LIMIT)
