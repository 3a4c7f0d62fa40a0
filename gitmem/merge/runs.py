"""Two runs of insertions at one place become one run.

Knows elements and the marks by which they are the same. Does not know where the place is.
Law: the marks of the result are those of both runs, each as often as in the run that has it more often; so
they do not depend on the order of the sides, nor on which of three sides are put together first. The run
with the smaller canonical bytes keeps its order unbroken, whichever side it is of.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from gitmem.members import ABSENT
from gitmem.merge.sameness import canonical


class Element(NamedTuple):
    """A value, and the mark by which it is found again."""

    mark: Hashable
    value: Any


def united(ours: Sequence[Element], theirs: Sequence[Element]) -> list[tuple[Hashable, Any, Any]]:
    """(mark, ours, theirs) of each element, in order; ABSENT for the side that does not have it.

    The n-th occurrence in one run meets the n-th in the other. What is only in the larger run stands before
    the next element of that run that both have, and behind what the smaller run has there.
    """
    if not ours or not theirs:
        return [(one.mark, one.value, ABSENT) for one in ours] + [(one.mark, ABSENT, one.value) for one in theirs]
    if _bytes(ours) <= _bytes(theirs):
        return _woven(ours, theirs)
    return [(mark, mine, other) for mark, other, mine in _woven(theirs, ours)]


def _bytes(run: Sequence[Element]) -> bytes:
    return canonical([one.value for one in run])


def _woven(smaller: Sequence[Element], larger: Sequence[Element]) -> list[tuple[Hashable, Any, Any]]:
    open_places: dict[Hashable, list[int]] = {}
    for place in reversed(range(len(smaller))):
        open_places.setdefault(smaller[place].mark, []).append(place)
    partners: list[Any] = [ABSENT] * len(smaller)
    before: list[list[Element]] = [[] for _ in range(len(smaller) + 1)]
    alone: list[Element] = []
    for one in larger:
        if places := open_places.get(one.mark):
            place = places.pop()
            partners[place] = one.value
            before[place] = alone
            alone = []
        else:
            alone.append(one)
    before[-1] = alone

    woven: list[tuple[Hashable, Any, Any]] = []
    for place, one in enumerate(smaller):
        woven += [(other.mark, ABSENT, other.value) for other in before[place]]
        woven.append((one.mark, one.value, partners[place]))
    woven += [(other.mark, ABSENT, other.value) for other in before[-1]]
    return woven
