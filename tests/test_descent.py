"""A recursion that needs no stack: it gives what plain functions would give, however deep it goes."""

from __future__ import annotations

import pytest

from gitmem.descent import Descent, descend


def total(number: int) -> Descent[int]:
    """The sum of all numbers up to this one."""
    return number + (yield total(number - 1)) if number else 0


def leaves(tree: list) -> Descent[int]:
    count = 0
    for below in tree:
        count += yield leaves(below)
    return count or 1


def failing(depth: int) -> Descent[int]:
    if depth == 0:
        raise LookupError("the bottom")
    return (yield failing(depth - 1))


def test_it_goes_deeper_than_any_stack() -> None:
    """The interpreter's own ends after a thousand calls."""
    assert descend(total(100_000)) == 100_000 * 100_001 // 2


def test_a_step_may_have_several_below_it() -> None:
    """Each is sent the result that it asked for."""
    assert descend(leaves([[], [[], []], [[[]]]])) == 4


def test_what_a_step_raises_ends_all() -> None:
    """It reaches whoever began, as from plain functions."""
    with pytest.raises(LookupError, match="the bottom"):
        descend(failing(5_000))
