"""What every recipe stands on: the namespace in which agents coordinate.

Knows the convention of the keys; does not know any pattern.
Law: whoever named a namespace gets it; whoever named none meets everybody else in `coordination`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gitmem.keys import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from gitmem.memory import Memory

COORDINATION = "coordination"


def coordinating(memory: Memory, namespace: str | None = None) -> Memory:
    """The memory bound to `namespace`; else to its own, unless that is `default`: then to `coordination`."""
    own = memory.namespace if memory.namespace != DEFAULT_NAMESPACE else COORDINATION
    return memory.bind(namespace=own if namespace is None else namespace)


def each(names: str | Iterable[str]) -> tuple[str, ...]:
    """The names, each once, in their order; a text alone is one name: nobody waits for its letters."""
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
