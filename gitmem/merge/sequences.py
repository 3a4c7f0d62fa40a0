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
from typing import Any, TypeAlias

from gitmem.members import ABSENT
from gitmem.merge.alignment import Marks, shared
from gitmem.merge.runs import Element, united
from gitmem.merge.sameness import mark, marks

IDENTITIES = ("id", "name", "key")

Place: TypeAlias = tuple[Any, Any, Any]  # base, ours, theirs
_Runs: TypeAlias = dict[int, list[Element]]  # by slot; most slots have none


def places(base: list[Any], ours: list[Any], theirs: list[Any]) -> Iterator[Place]:
    """The places of three lists in the order of the merged one."""
    for member in IDENTITIES:
        sides = [_identified(side, member) for side in (base, ours, theirs)]
        if None not in sides:
            return _by_identity(*sides)  # type: ignore[arg-type]
    return _by_equality(base, ours, theirs)


# --- by equality, then by position


def _by_equality(base: list[Any], ours: list[Any], theirs: list[Any]) -> Iterator[Place]:
    base_marks = marks(base)
    our_partners, our_runs = _aligned(base, base_marks, ours)
    their_partners, their_runs = _aligned(base, base_marks, theirs)
    start = 0
    for slot in sorted({*our_runs, *their_runs, len(base)}):
        yield from zip(base[start:slot], our_partners[start:slot], their_partners[start:slot], strict=True)
        for _, mine, other in united(our_runs.get(slot, []), their_runs.get(slot, [])):
            yield ABSENT, mine, other
        start = slot


def _aligned(base: list[Any], base_marks: Marks, side: list[Any]) -> tuple[list[Any], _Runs]:
    """What became of each element of the base on one side, and the side's runs.

    An unchanged element is given as the base's own, so that nobody compares it again.
    """
    side_marks = marks(side)
    partners = base[:]
    runs: _Runs = {}
    start = side_start = 0
    for here, there, count in [*shared(base_marks, side_marks), (len(base), len(side), 0)]:
        if here - start == there - side_start:
            partners[start:here] = side[side_start:there]
        else:
            partners[start:here] = [ABSENT] * (here - start)
            if there > side_start:
                runs[start] = list(map(Element, side_marks[side_start:there], side[side_start:there]))
        start, side_start = here + count, there + count
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


def _by_identity(base: dict[Hashable, Any], ours: dict[Hashable, Any], theirs: dict[Hashable, Any]) -> Iterator[Place]:
    our_slots, their_slots = _slots(base, ours), _slots(base, theirs)
    _one_place_each(our_slots, their_slots)
    for slots, beside in ((our_slots, theirs), (their_slots, ours)):
        for identity in [*slots]:
            if identity in base and identity not in beside:  # moved here, removed there: the base's place
                del slots[identity]
    our_runs, their_runs = _runs(our_slots, ours), _runs(their_slots, theirs)
    names = list(base)
    start = 0
    for slot in sorted({*our_runs, *their_runs, len(base)}):
        stay = [name for name in names[start:slot] if name not in our_slots and name not in their_slots]
        came = [name for name, _, _ in united(our_runs.get(slot, []), their_runs.get(slot, []))]
        for identity in stay + came:
            yield base.get(identity, ABSENT), ours.get(identity, ABSENT), theirs.get(identity, ABSENT)
        start = slot


def _slots(base: dict[Hashable, Any], side: dict[Hashable, Any]) -> dict[Hashable, int]:
    """The slot of each identity that the side inserted or moved."""
    names = list(side)
    slots: dict[Hashable, int] = {}
    slot = start = 0
    for here, there, count in [*shared(list(base), names), (len(base), len(names), 0)]:
        slots.update(dict.fromkeys(names[start:there], slot))
        slot, start = here + count, there + count
    return slots


def _one_place_each(ours: dict[Hashable, int], theirs: dict[Hashable, int]) -> None:
    """Of what both sides inserted or moved, the earlier of two slots holds."""
    for identity in ours.keys() & theirs.keys():
        if ours[identity] > theirs[identity]:
            del ours[identity]
        elif ours[identity] < theirs[identity]:
            del theirs[identity]


def _runs(slots: dict[Hashable, int], side: dict[Hashable, Any]) -> _Runs:
    runs: _Runs = {}
    for identity, slot in slots.items():
        runs.setdefault(slot, []).append(Element(identity, side[identity]))
    return runs
