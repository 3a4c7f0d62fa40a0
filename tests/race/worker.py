"""A writer in a process of its own: `python worker.py STORE JOB NAME COUNT [unlocked]`.

Each acknowledged write is one line on stdout, written after the verb returned and before the next one begins: what
was printed was promised. Jobs with COUNT 0 go on until they are killed. As a nursery (`python worker.py STORE
nursery`) it reads `JOB NAME` lines and forks a writer for each, printing its pid: forking costs a hundredth of a
new interpreter, so a test can kill a hundred of them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import count

from gitmem import Memory, StaleError


def own(memory: Memory, name: str, numbers: Iterator[int]) -> None:
    """Keys that nobody else writes."""
    for number in numbers:
        memory.store(f"own/{name}/{number}", number)
        acknowledge(f"own/{name}/{number} {number}")


def increments(memory: Memory, name: str, numbers: Iterator[int]) -> None:
    """One key that everybody counts up."""
    for _ in numbers:
        entry = memory.update("counter", lambda value: value + 1, default=0)
        acknowledge(f"counter {entry.value}")


def swaps(memory: Memory, name: str, numbers: Iterator[int]) -> None:
    """The same by hand: read, and store only if it is still so."""
    for _ in numbers:
        while True:
            entry = memory.entry("counter")
            try:
                memory.store("counter", entry.value + 1, expect=entry)
            except StaleError:
                continue
            acknowledge(f"counter {entry.value + 1}")
            break


def mixed(memory: Memory, name: str, numbers: Iterator[int]) -> None:
    """All kinds of writes in turn: small and large commits, expiries, deletions, the index, a gc now and then."""
    for number in numbers:
        memory.store(f"own/{name}/{number}", number, ttl=None if number % 3 else 86_400)
        acknowledge(f"own/{name}/{number} {number}")
        if number % 4 == 1:
            entry = memory.update("counter", lambda value: value + 1, default=0)
            acknowledge(f"counter {entry.value}")
        if number % 5 == 2:
            size = 80 if number % 10 == 2 else 3  # as a pack, or as loose objects
            with memory.transaction() as tx:
                for part in range(size):
                    tx.store(f"many/{name}/{part}", number)
            acknowledge(f"many/{name} {number}")
        if number % 6 == 3:
            memory.delete(f"own/{name}/{number - 1}")
            acknowledge(f"own/{name}/{number - 1} deleted")
        if number % 7 == 4:
            memory.history(f"own/{name}/{number}")
        if number % 40 == 39:
            memory.gc()


def asked(memory: Memory, name: str, numbers: Iterator[int]) -> None:
    """One write for each line on stdin."""
    for number, _ in zip(numbers, sys.stdin, strict=False):
        memory.store(f"own/{name}/{number}", number)
        acknowledge(f"own/{name}/{number} {number}")


def pairs(memory: Memory, name: str, numbers: Iterator[int]) -> None:
    """Two keys that are always equal."""
    for number in numbers:
        with memory.transaction() as tx:
            tx.store("pair/left", number)
            tx.store("pair/right", number)
        acknowledge(f"pair {number}")


def shares(memory: Memory, name: str, numbers: Iterator[int]) -> None:
    """A document that everybody changes: read it, add an element and count, store what came of it with its base."""
    for number in numbers:
        entry = memory.entry("document")
        entry.value["elements"].append(f"{name}/{number}")
        entry.value["count"] += 1
        memory.store("document", entry.value, base=entry)
        acknowledge(f"{name}/{number}")


def acknowledge(line: str) -> None:
    os.write(1, line.encode() + b"\n")


JOBS = {
    "own": own,
    "increments": increments,
    "swaps": swaps,
    "mixed": mixed,
    "asked": asked,
    "pairs": pairs,
    "shares": shares,
}


def work(store: str, job: str, name: str, limit: int, *, lock: bool = True) -> None:
    with Memory.open(store, agent=name, lock=lock) as memory:
        JOBS[job](memory, name, iter(range(limit)) if limit else count())


def nursery(store: str) -> None:
    for room in ("history", "index", "packing", "upkeep"):
        import_module(f"gitmem.{room}")  # once, for all children
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        job, name = line.split()
        if child := os.fork():
            acknowledge(f"pid {child}")
            continue
        work(store, job, name, 0)
        os._exit(0)


if __name__ == "__main__":
    if sys.argv[2] == "nursery":
        nursery(sys.argv[1])
    else:
        store, job, name, limit, *rest = sys.argv[1:]
        work(store, job, name, int(limit), lock="unlocked" not in rest)
