"""What differs between two values, member by member, and what stands at the ends of one value.

Knows: objects, lists and scalars. Does not know: which of the two values is newer, or who wrote them.
Law: `changes(a, b)` is empty <=> a and b are equal by type. Made to `before` (replacements, then removals
from the last to the first, then additions from the first to the last), the changes give `after`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from gitmem import codec
from gitmem.codec import JSON


class _Absent:
    """The side of a change on which nothing stands; there is one of it."""

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class MemberChange(NamedTuple):
    """One place and its two sides; ABSENT is the side on which there is nothing."""

    pointer: str
    before: object
    after: object


def changes(before: object, after: object) -> list[MemberChange]:
    """The places that differ, in the order of the value; members by code point.

    A removed element's pointer counts in `before`, an added one's in `after`.
    """
    found: list[MemberChange] = []
    waiting = [MemberChange("", before, after)]
    while waiting:
        change = waiting.pop()
        inner = _inner(change)
        if inner is not None:
            waiting.extend(reversed(list(inner)))
        elif not codec.equal(change.before, change.after):
            found.append(change)
    return found


def _inner(change: MemberChange) -> Iterator[MemberChange] | None:
    """The changes that this one is made of; None if it is a change as a whole."""
    pointer, before, after = change
    if isinstance(before, dict) and isinstance(after, dict):
        return _of_objects(pointer, before, after)
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        return _of_lists(pointer, before, after)
    return None


def _of_objects(pointer: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[MemberChange]:
    for name in sorted(before.keys() | after.keys()):
        yield MemberChange(pointer + codec.place([name]), before.get(name, ABSENT), after.get(name, ABSENT))


def _of_lists(pointer: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[MemberChange]:
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    old = range(start, len(before) - end)
    new = range(start, len(after) - end)
    if len(old) == len(new):
        for position in old:
            yield MemberChange(f"{pointer}/{position}", before[position], after[position])
        return
    for position in old:
        yield MemberChange(f"{pointer}/{position}", before[position], ABSENT)
    for position in new:
        yield MemberChange(f"{pointer}/{position}", ABSENT, after[position])


def _alike(before: Sequence[Any], after: Sequence[Any]) -> int:
    """How many elements at the beginning are equal."""
    for count, (one, other) in enumerate(zip(before, after, strict=False)):
        if not codec.equal(one, other):
            return count
    return min(len(before), len(after))


def leaves(value: JSON) -> dict[str, JSON]:
    """Pointer -> every scalar and every empty list or object; a scalar as the whole value has pointer ""."""
    found: dict[str, JSON] = {}
    waiting: list[tuple[str, JSON]] = [("", value)]
    while waiting:
        pointer, inner = waiting.pop()
        if isinstance(inner, dict) and inner:
            names = sorted(inner, reverse=True)
            waiting.extend((pointer + codec.place([name]), inner[name]) for name in names)
        elif isinstance(inner, list) and inner:
            waiting.extend((f"{pointer}/{at}", inner[at]) for at in reversed(range(len(inner))))
        else:
            found[pointer] = inner
    return found
