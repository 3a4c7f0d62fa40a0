"""A list taken apart: its places in the order of the merged list, each with its three sides.

Knows which elements belong together. Does not know what becomes of a place: the descent settles it, as it
does with the members of an object.
Laws: each element of the base, of ours and of theirs stands in exactly one place (equal insertions at one
slot share one); swapping the sides swaps the sides of every place and nothing else.

The base is aligned with each side apart from the other. A *slot* is a gap of the base: slot i lies before
element i, the last one at the end. What a side has between two of its aligned neighbours is a *run*, and
belongs to the slot behind the first of the two.

With identities (every element an object with an `id`, `name` or `key` of its own) elements that belong
together are known wherever they lie. Those that keep the base's order are its anchors; the others were moved,
and lie in a side's run like what it inserted.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple, TypeAlias

from gitmem.members import ABSENT
from gitmem.merge.alignment import common
from gitmem.merge.runs import Element, united
from gitmem.merge.sameness import mark

IDENTITIES = ("id", "name", "key")

Place: TypeAlias = tuple[Any, Any, Any]  # base, ours, theirs
_Runs: TypeAlias = list[list[Element]]  # one for each slot


def places(base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Place]:
    """The places of three lists in the order of the merged one."""
    for member in IDENTITIES:
        sides = [_identified(side, member) for side in (base, ours, theirs)]
        if None not in sides:
            return _by_identity(*sides)  # type: ignore[arg-type]
    return list(_by_equality(base, ours, theirs))


# --- by equality, then by position


def _by_equality(base: list[Any], ours: list[Any], theirs: list[Any]) -> Iterator[Place]:
    marks = [mark(one) for one in base]
    our_partners, our_runs = _aligned(base, marks, ours)
    their_partners, their_runs = _aligned(base, marks, theirs)
    for slot in range(len(base) + 1):
        for _, mine, other in united(our_runs[slot], their_runs[slot]):
            yield ABSENT, mine, other
        if slot < len(base):
            yield base[slot], our_partners[slot], their_partners[slot]


def _aligned(base: list[Any], marks: list[Hashable], side: list[Any]) -> tuple[list[Any], _Runs]:
    """What became of each element of the base on one side, and the side's runs.

    An unchanged element is given as the base's own, so that nobody compares it again.
    """
    side_marks = [mark(one) for one in side]
    partners: list[Any] = [ABSENT] * len(base)
    runs: _Runs = [[] for _ in range(len(base) + 1)]
    start = side_start = 0
    anchors = [(here, there) for here, there in enumerate(common(marks, side_marks)) if there >= 0]
    for here, there in [*anchors, (len(base), len(side))]:
        if here - start == there - side_start:
            partners[start:here] = side[side_start:there]
        else:
            runs[start] = list(map(Element, side_marks[side_start:there], side[side_start:there]))
        if here < len(base):
            partners[here] = base[here]
        start, side_start = here + 1, there + 1
    return partners, runs


# --- by identity


def _identified(side: list[Any], member: str) -> dict[Hashable, Any] | None:
    """Identity -> element, in the order of the list; None if one has none, or two have the same."""
    found: dict[Hashable, Any] = {}
    for one in side:
        if type(one) is not dict or member not in one or isinstance(one[member], dict | list):
            return None
        found[mark(one[member])] = one
    return found if len(found) == len(side) else None


class _Side(NamedTuple):
    elements: dict[Hashable, Any]
    anchored: set[Hashable]
    slots: dict[Hashable, int]  # of what is not anchored

    def runs(self, count: int) -> _Runs:
        runs: _Runs = [[] for _ in range(count)]
        for identity, slot in self.slots.items():
            runs[slot].append(Element(identity, self.elements[identity]))
        return runs


def _side(base: dict[Hashable, Any], elements: dict[Hashable, Any]) -> _Side:
    names, side_names = list(base), list(elements)
    behind = {there: here + 1 for here, there in enumerate(common(names, side_names)) if there >= 0}
    anchored: set[Hashable] = set()
    slots: dict[Hashable, int] = {}
    slot = 0
    for position, identity in enumerate(side_names):
        if position in behind:
            slot = behind[position]
            anchored.add(identity)
        else:
            slots[identity] = slot
    return _Side(elements, anchored, slots)


def _by_identity(base: dict[Hashable, Any], ours: dict[Hashable, Any], theirs: dict[Hashable, Any]) -> list[Place]:
    one, other = _side(base, ours), _side(base, theirs)
    for identity in [*one.slots]:
        if identity in other.slots:  # new on both sides, or moved by both: the earlier of two slots
            if one.slots[identity] > other.slots[identity]:
                del one.slots[identity]
            elif one.slots[identity] < other.slots[identity]:
                del other.slots[identity]
    for side, beside in ((one, other), (other, one)):
        for identity in [*side.slots]:
            if identity in base and identity not in beside.elements:  # moved here, removed there
                del side.slots[identity]
    moved = one.slots.keys() | other.slots.keys()

    order: list[Hashable] = []
    our_runs, their_runs = one.runs(len(base) + 1), other.runs(len(base) + 1)
    for slot, identity in enumerate([*base, None]):
        order += [inserted for inserted, _, _ in united(our_runs[slot], their_runs[slot])]
        if slot < len(base) and identity not in moved:
            order.append(identity)
    return [(base.get(each, ABSENT), ours.get(each, ABSENT), theirs.get(each, ABSENT)) for each in order]
