"""Threads that do something at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def together(act: Callable[[S], T], those: Iterable[S]) -> list[T]:
    """What `act` returns of each of those, in a thread each; they begin at once. What one raises is raised here.

    Not before all have ended: an error leaves nobody behind.
    """
    all_of = list(those)
    start = threading.Barrier(len(all_of))

    def begin(one: S) -> T:
        start.wait()
        return act(one)

    with ThreadPoolExecutor(len(all_of)) as pool:
        return list(pool.map(begin, all_of))
