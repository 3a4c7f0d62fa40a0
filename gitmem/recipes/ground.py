"""What every recipe stands on: the namespace in which agents coordinate, names, and time that several waits share.

Knows the convention of the keys; does not know any pattern.
Law: whoever named a namespace gets it; whoever named none meets everybody else in `coordination`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gitmem.errors import typed
from gitmem.keys import COORDINATION, DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from gitmem.memory import Memory


def coordinating(memory: Memory, namespace: str | None = None) -> Memory:
    """The memory bound to `namespace`; else to its own, unless that is `default`: then to `coordination`."""
    own = memory.namespace if memory.namespace != DEFAULT_NAMESPACE else COORDINATION
    return memory.bind(namespace=own if namespace is None else namespace)


def where(memory: Memory) -> str:
    """The options that lead a recipe's command to this namespace and branch: none to `coordination` on main."""
    space = "" if memory.namespace == COORDINATION else f" -n {typed(memory.namespace)}"
    return space + ("" if memory.branch_name == "main" else f" --branch {typed(memory.branch_name)}")


def each(names: str | Iterable[str]) -> tuple[str, ...]:
    """The names, each once, in their order; a text alone is one name: nobody waits for its letters."""
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))


def countdown(timeout: float | None) -> Callable[[], float | None]:
    """How many seconds are left, whenever it is asked: 0 when the time is up, None if it never is.

    InvalidValueError if `timeout` is no number of seconds.
    """
    from gitmem.watch.waiting import check_timeout

    if timeout is None:
        return lambda: None
    end = time.monotonic() + check_timeout(timeout)
    return lambda: max(0.0, end - time.monotonic())
