"""A recursion as deep as its input: its stack is a list, not the interpreter's, which holds a thousand steps at most.

Knows generators alone: a step is one that yields the step below it, is sent what that one returned, and returns what
is wanted of it.
Law: `descend(step)` is what the same steps would give as functions that call each other; what one raises, ends all.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Descent: TypeAlias = Generator["Descent[T]", T, T]


def descend(step: Descent[T]) -> T:
    """What a step returns, the steps below it done one after another."""
    steps = [step]
    result: Any = None  # a step that begins is sent nothing
    while steps:
        try:
            steps.append(steps[-1].send(result))
            result = None
        except StopIteration as done:
            steps.pop()
            result = done.value
    found: T = result
    return found
