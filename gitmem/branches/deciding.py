"""One value that both sides changed, merged where nobody can be asked: at each conflict the winner's stands.

Knows values alone; does not know keys, commits, nor how a winner is found.
Law: no two conflicts have one place. Elements of a list that the winner removed and the other side edited would all
stand where nothing stands; they are told as one conflict of the list around them, in which each of them can be seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from gitmem import pointers
from gitmem.merge import Conflict, Rule, merge

Times = tuple[Any, Any]
Sides = tuple[Any, Any, Any]  # base, lower, higher


def decide(sides: Sides, rules: Sequence[Rule], times: Times, winner: int) -> tuple[Any, list[Conflict]]:
    """The merged value (ABSENT if it is removed), and its conflicts; `winner` is 0 (the lower side) or 1."""
    conflicts: list[Conflict] = []

    def held(choice: Callable[[int, Conflict], int]) -> Any:
        """The merged value with the chosen side at each conflict, which are counted in their order."""
        numbers = count()
        return merge(*sides, rules, times, hold=lambda conflict: conflict[1 + choice(next(numbers), conflict)]).value

    def beside(group: set[int], side: int) -> Any:
        """The merged value with one side's at these conflicts."""
        return held(lambda number, _: 1 + (side if number in group else winner))

    def note(_: int, conflict: Conflict) -> int:
        conflicts.append(conflict)
        return 1 + winner

    value = held(note)
    places = Counter(conflict.pointer for conflict in conflicts)
    shared = {pointer for pointer, number in places.items() if number > 1}
    told = [conflict for conflict in conflicts if conflict.pointer not in shared]
    for around in sorted({_around(pointer) for pointer in shared}):
        group = {
            number
            for number, conflict in enumerate(conflicts)
            if conflict.pointer in shared and _around(conflict.pointer) == around
        }
        lists = (pointers.resolve(beside(group, side), around) for side in (-1, 0, 1))
        told.append(Conflict(around, *lists))
    return value, told


def _around(pointer: str) -> str:
    return pointer.rpartition("/")[0]
