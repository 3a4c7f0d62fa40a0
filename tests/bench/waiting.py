"""Waiting: how soon a waiter returns after another process's commit, what idling costs, and what waiters cost others.

Knows how to start a writer that says when its commit was published, and a crowd of waiters; does not know how gitmem
wakes anybody.
Law: a latency is counted from the moment at which the branch has moved, told by the writer, to the moment at which
the waiter has its entry; all peers wait for commits of the same writer, in turns.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from gitmem import Memory, WaitTimeoutError
from tests.bench.crowds import open_existing
from tests.bench.ground import Ground, git_dir_of, key_of, open_memory, value_of
from tests.bench.measure import Figure, Pair, compare, race

POLL = 0.02
WAITERS = 1000
PRESENT = 1000
_CONTEXT = multiprocessing.get_context("spawn")


def latency(ground: Ground) -> Iterator[Figure]:
    """A wait beside a loop that looks every 20 ms, and beside watchdog alone, which knows no keys."""
    path = ground.filled(PRESENT)
    commits = ground.size(100, 50)
    with _child(_store_when_asked, str(path)) as writer, open_existing(str(path)) as memory:
        waits: dict[str, Callable[[int], Callable[[], float]]] = {
            "ours": lambda turn: _waiter(memory, turn),
            "poll": lambda turn: _poller(path),
            "bare": lambda turn: _watchdog(path),
        }
        rounds: dict[str, list[list[float]]] = {name: [] for name in waits}
        turn = 0
        for _ in range(ground.size(5, 3)):
            found: dict[str, list[float]] = {name: [] for name in waits}
            for _ in range(commits):
                for name, begin in waits.items():
                    turn += 1
                    returned = begin(turn)
                    time.sleep(ground.random.random() * POLL)  # a poll must not keep step with the writer
                    writer.send(turn)
                    published = writer.recv()
                    found[name].append(max(returned() - published, 1e-6))
            for name, times in found.items():
                rounds[name].append(times)
    middle = {name: tuple(map(median, lists)) for name, lists in rounds.items()}
    late = {name: tuple(map(_percent_99, lists)) for name, lists in rounds.items()}
    work = "a wait's return after another process's commit"
    poll, bare = "a poll of the ref every 20 ms", "watchdog alone"
    yield compare("wait", work, Pair(middle["ours"], middle["poll"]), peer=poll, limit=0.5, aim="≤ 0.5× (5 ms)")
    yield compare("wait-99", "the same, 99 %", Pair(late["ours"], late["poll"]), peer=poll, limit=2.5,
                  aim="≤ 2.5× (50 ms)")  # fmt: skip
    yield compare("wait-bare", "the same, median", Pair(middle["ours"], middle["bare"]), peer=bare, limit=3)


def _percent_99(times: list[float]) -> float:
    return quantiles(times, n=100, method="inclusive")[98]


def idle(ground: Ground) -> Iterator[Figure]:
    """The processor's time of a process that waits, by the time that it waits; with file events and without."""
    seconds = ground.size(10, 3)
    path = ground.filled(PRESENT)
    for name, events in (("wait-idle", "true"), ("wait-idle-looking", "false")):
        _set(path, "gitmem.fileEvents", events)
        shares = []
        for _ in range(ground.size(5, 3)):
            with _child(_idle, str(path), seconds) as waiter:
                shares.append(waiter.recv() * 100)
        work = "an idle waiter, share of one core" if events == "true" else "the same without file events"
        yield Figure(name, work, "–", "–", tuple(shares), 0.5, "≤ 0.5 %", show="{:.3f} %")


def thousand(ground: Ground) -> Iterator[Figure]:
    """A store beside 1,000 waiters for other keys.

    On another core, since what a writer loses where the system wakes a waiter on the writer's own core, it loses to
    any waiter, and to any program that hears of files: so beside one waiter the cores are left to the system.
    """
    turns = ground.size(12, 4)
    with _one_core() as others:
        pair = _beside(ground, turns, WAITERS, 0, others)
    work = f"store beside {WAITERS:,} waiters for other keys, on another core"
    yield compare("wait-thousand", work, pair, peer="beside none", limit=1.1)
    pair = _beside(ground, turns, WAITERS, 1, set())
    yield compare("wait-thousand-one", "the same, on any core", pair, peer="beside 1", limit=1.1)


def _beside(ground: Ground, turns: int, ours: int, peers: int, cores: set[int]) -> Pair:
    """Stores into two memories, each beside so many waiters in a process of their own, on these cores if any."""
    crowded, other = ground.filled(PRESENT), ground.filled(PRESENT)
    with ExitStack() as crowds:
        for path, waiters in ((crowded, ours), (other, peers)):
            if waiters:
                assert crowds.enter_context(_child(_wait_for_many, str(path), waiters, cores)).recv() == "ready"
        return _stores(crowded, other, turns)


@contextmanager
def _one_core() -> Iterator[set[int]]:
    """This process on one core; gives the others, if there are any and the system lets one choose."""
    if not hasattr(os, "sched_setaffinity"):
        yield set()
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield before - {min(before)}
    finally:
        os.sched_setaffinity(0, before)


def _stores(one: Path, other: Path, turns: int) -> Pair:
    """One key stored again and again in either memory."""
    numbers = iter(range(10**9))

    def store(memory: Memory) -> None:
        memory.store(key_of(1), value_of(1, next(numbers)))

    with open_memory(one) as ours, open_memory(other) as peer:
        return race(lambda: store(ours), lambda: store(peer), rounds=7, turns=turns, block=25)


# --- those who wait, each from now on: what is returned gives the moment at which it had what it waited for


def _waiter(memory: Memory, turn: int) -> Callable[[], float]:
    return _thread(lambda: memory.wait_for(key_of(0), until=lambda entry: entry.value["turn"] == turn, timeout=60))


def _poller(path: Path) -> Callable[[], float]:
    ref = git_dir_of(path) / "refs" / "heads" / "main"
    before = ref.read_text()

    def poll() -> None:
        while ref.read_text() == before:
            time.sleep(POLL)

    return _thread(poll)


def _watchdog(path: Path) -> Callable[[], float]:
    from watchdog.events import FileMovedEvent, FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    moved = threading.Event()

    class Ringing(FileSystemEventHandler):
        def on_moved(self, event: FileSystemEvent) -> None:
            moved.set()

    observer = Observer()
    observer.schedule(Ringing(), str(git_dir_of(path) / "refs" / "heads"), event_filter=[FileMovedEvent])
    observer.start()
    returned = _thread(lambda: moved.wait(60))

    def end() -> float:
        try:
            return returned()
        finally:
            observer.stop()
            observer.join()

    return end


def _thread(work: Callable[[], object]) -> Callable[[], float]:
    ended: list[float] = []

    def run() -> None:
        work()
        ended.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()

    def returned() -> float:
        thread.join()
        return ended[0]

    return returned


# --- processes of their own


@contextmanager
def _child(work: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """A process that does some work at the other end of a pipe, and is ended if it does not end by itself."""
    here, there = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=work, args=(*arguments, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join(5)
        process.terminate()
        process.join()


def _store_when_asked(path: str, line: Any) -> None:
    """A store for each number that comes; sends the moment at which the branch had moved."""
    memory = open_existing(path)
    repository, moments = memory.vault.repository, [0.0]
    publish = repository.publish

    def timed(*arguments: Any) -> bool:
        done = publish(*arguments)
        moments.append(time.monotonic())
        return done

    repository.publish = timed  # type: ignore[method-assign]
    try:
        while True:
            turn = line.recv()
            memory.store(key_of(0), value_of(0, turn))
            line.send(moments[-1])
    except EOFError:
        pass


def _idle(path: str, seconds: float, line: Any) -> None:
    """Sends the share of a core that this process takes while it waits; what a wait begins with is not counted."""
    memory = open_existing(path)
    with memory.when_changed(lambda: None, keys=["never"]):
        _vain(memory, 0.5)
        busy, start = time.process_time(), time.monotonic()
        _vain(memory, seconds)
        line.send((time.process_time() - busy) / (time.monotonic() - start))


def _vain(memory: Memory, seconds: float) -> None:
    try:
        memory.wait_for("never", timeout=seconds)
    except WaitTimeoutError:
        pass


def _wait_for_many(path: str, waiters: int, cores: set[int], line: Any) -> None:
    """So many coroutines that wait for values which never come, until the other end is closed; on these cores."""
    if cores:
        os.sched_setaffinity(0, cores)

    async def main() -> None:
        memory = open_existing(path)
        looked = asyncio.Semaphore(0)
        loop = asyncio.get_running_loop()

        def look(entry: Any) -> bool:
            loop.call_soon_threadsafe(looked.release)
            return False

        names = [f"waited-for/{number // 100}/{number % 100}" for number in range(waiters)]
        with memory.transaction() as tx:
            for name in names:
                tx.store(name, 0)
        waits = [asyncio.ensure_future(memory.aio.wait_for(name, until=look)) for name in names]
        for _ in range(2 * waiters):  # once before it subscribes, once after
            await looked.acquire()
        line.send("ready")
        await asyncio.to_thread(_until_closed, line)
        assert not any(wait.done() for wait in waits)
        os._exit(0)  # nobody waits for a thousand cancellations

    asyncio.run(main())


def _until_closed(line: Any) -> None:
    try:
        line.recv()
    except EOFError:
        pass


def _set(path: Path, name: str, value: str) -> None:
    subprocess.run(["git", f"--git-dir={git_dir_of(path)}", "config", name, value], check=True)
