"""The descent: one place and its three sides, and the places inside it.

Knows the order of the questions at a place. Does not know how lists are aligned, nor what a rule does.
Law: the questions are the same at every place, from the whole value down:

    1. only one side changed it: that side's, and no rule is asked;
    2. a rule names it: the rule's answer, and nothing inside is merged;
    3. objects or lists on both sides (and in the base, or nothing there): place by place;
    4. both sides made the same change: once;
    5. text of several lines on all three sides: by lines;
    6. anything else is a conflict.

Equal sides are recognised before 2 already, unless a rule wants to hear of them (`total` counts both).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gitmem import codec
from gitmem.members import ABSENT
from gitmem.merge import lines, sequences
from gitmem.merge.conflicts import Conflict
from gitmem.merge.rules import Pending, below, here
from gitmem.merge.sameness import same

Rules = Sequence[Pending]


class Descent:
    """One merge on its way: where it stands, and the conflicts so far."""

    def __init__(self, hold: Callable[[Conflict], Any]) -> None:
        self.conflicts: list[Conflict] = []
        self._hold = hold
        self._path: list[str | int] = []

    def settle(self, base: Any, ours: Any, theirs: Any, rules: Rules) -> Any:
        """What stands at the place where we are; ABSENT if nothing does."""
        if same(ours, base):
            return theirs
        if same(theirs, base):
            return ours
        agreed = same(ours, theirs)
        rule = here(rules) if rules else None
        if agreed and not (rule.even if rule else any(one.even for one in rules)):
            return ours
        if rule:
            return self._ruled(rule, base, ours, theirs)
        kind = type(ours)
        if kind is type(theirs) and (base is ABSENT or kind is type(base)):
            if kind is dict:
                return self._object({} if base is ABSENT else base, ours, theirs, rules)
            if kind is list:
                return self._list([] if base is ABSENT else base, ours, theirs, rules)
        if agreed:
            return ours
        if all(isinstance(side, str) and "\n" in side for side in (base, ours, theirs)):
            text = lines.merged(base, ours, theirs)
            if text is not None:
                return text
        return self._unsettled(Conflict(codec.place(self._path), base, ours, theirs))

    def _ruled(self, rule: Pending, base: Any, ours: Any, theirs: Any) -> Any:
        conflict = Conflict(codec.place(self._path), base, ours, theirs)
        value = rule.settle(conflict)
        return self._unsettled(conflict) if isinstance(value, Conflict) else value

    def _unsettled(self, conflict: Conflict) -> Any:
        self.conflicts.append(conflict)
        return self._hold(conflict)

    def _object(self, base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any], rules: Rules) -> Any:
        merged: dict[str, Any] = {}
        for name in sorted({*base, *ours, *theirs}):
            sides = (base.get(name, ABSENT), ours.get(name, ABSENT), theirs.get(name, ABSENT))
            self._path.append(name)
            value = self.settle(*sides, below(rules, name) if rules else rules)
            self._path.pop()
            if value is not ABSENT:
                merged[name] = value
        return merged

    def _list(self, base: list[Any], ours: list[Any], theirs: list[Any], rules: Rules) -> Any:
        merged: list[Any] = []
        for one, mine, other in sequences.places(base, ours, theirs):
            if mine is other is one:
                merged.append(one)
                continue
            self._path.append(len(merged))
            value = self.settle(one, mine, other, below(rules, len(merged)) if rules else rules)
            self._path.pop()
            if value is not ABSENT:
                merged.append(value)
        return merged
