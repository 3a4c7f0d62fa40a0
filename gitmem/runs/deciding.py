"""One key taken back: what it becomes if a run's touches are undone, newest first, and what stands against it.

    for each touch:  merge(base = what it left, ours = the result so far, theirs = what stood before it)

So what nobody changed since becomes what it was, and what others changed stays. Knows states, rules and values of one
key; does not know stages and commits.
Law: the decision follows from the key's state now, the touches and the rules. Blobs are compared before anything is
read: where nobody else wrote, no value is.

    Touches that follow each other without anybody between them are undone one by one. Only where this meets conflicts
    they are taken as one: a run that changed its mind twice stands against nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gitmem.codec import encode
from gitmem.entries import ABSENT
from gitmem.errors import CorruptValueError, InvalidValueError, StorageError
from gitmem.keys import CONFLICTS
from gitmem.merge import Conflict, Rule, merge
from gitmem.objects import Oid, hash_object
from gitmem.reconcile import later
from gitmem.runs.states import NOTHING, State, Touch
from gitmem.trees import KeyId

Times = tuple[Any, Any]


class Decision(NamedTuple):
    """What a key becomes, and the places where that would lose, or has lost, what others wrote since."""

    state: State
    conflicts: tuple[Conflict, ...] = ()


class Circumstances(NamedTuple):
    """What a decision is made by: which instant it is, who wins, how values are read, kept and limited."""

    now: datetime
    earlier_wins: bool
    read: Callable[[Oid | None, KeyId], Any]
    keep: Callable[[Oid, bytes], None]
    limit: int

    def shown(self, blob: Oid | None, where: KeyId) -> Any:
        """A value; ABSENT where there is none, or a file that is no value."""
        try:
            return self.read(blob, where)
        except (CorruptValueError, StorageError):
            return ABSENT

    def kept(self, value: Any) -> Oid | None:
        """The blob of a value that was made here. InvalidValueError if it is too large."""
        if value is ABSENT:
            return None
        body = encode(value, max_bytes=self.limit)
        oid = hash_object("blob", body)
        self.keep(oid, body)
        return oid


class Key:
    """One key, its rules, and the author times of the last version that others wrote and of what stood before."""

    def __init__(
        self, where: KeyId, rules: Sequence[Rule], times: Callable[[Touch], Times], world: Circumstances
    ) -> None:
        self._where, self._rules, self._times, self._world = where, rules, times, world

    def undone(self, now: State, touches: Sequence[Touch]) -> Decision:
        """The key without these touches, which come newest first."""
        found = self._one_by_one(now, touches)
        if found.conflicts:
            stretches = joined(touches)
            if len(stretches) < len(touches):
                found = self._one_by_one(now, stretches)
        if found.state.gone(self._world.now):
            return found if found.state.blob is None else Decision(NOTHING)
        return found if found.state == now else self._readable(found, now)

    def _one_by_one(self, now: State, touches: Sequence[Touch]) -> Decision:
        result = now
        conflicts: dict[str, Conflict] = {}
        for touch in touches:
            result, found = self._back(result, touch)
            for one in found:  # of several at one place: from the newest to what stood before the oldest
                known = conflicts.get(one.pointer, one)
                conflicts[one.pointer] = known._replace(theirs=one.theirs)
        return Decision(result, tuple(conflicts.values()))

    def _back(self, ours: State, touch: Touch) -> Decision:
        """The state without one touch."""
        base, theirs = touch.after, touch.before
        if ours == base:
            return Decision(theirs)
        theirs = NOTHING if theirs.gone(self._world.now) else theirs
        if self._stays(ours, base, theirs):
            return Decision(ours)
        if ours.blob == base.blob:
            return Decision(State(theirs.blob, _expires(theirs.blob, base, ours, theirs)))
        if theirs.blob == base.blob:
            return Decision(State(ours.blob, _expires(ours.blob, base, ours, theirs)))
        blob, conflicts = self._merged(base, ours, theirs, touch)
        return Decision(State(blob, _expires(blob, base, ours, theirs)), conflicts)

    def _stays(self, ours: State, base: State, theirs: State) -> bool:
        """Whether others' change stands without a question: it has expired since, or it renewed what would expire."""
        if self._where[0] == CONFLICTS:  # written by merges alone: never merged
            return ours.blob != base.blob
        if ours.blob is not None and ours.gone(self._world.now):
            return True
        return base.expires is not None and theirs == NOTHING

    def _merged(
        self, base: State, ours: State, theirs: State, touch: Touch
    ) -> tuple[Oid | None, tuple[Conflict, ...]]:
        """The merged value's blob, and its conflicts."""
        blobs = (base.blob, ours.blob, theirs.blob)
        try:
            sides = [self._world.read(blob, self._where) for blob in blobs]
        except (CorruptValueError, StorageError):
            return self._by_blob(blobs)
        times = self._times(touch) if any(rule.rule == "latest" for rule in self._rules) else None
        merged = merge(sides[0], sides[1], sides[2], self._rules, times, hold=self._held)
        try:
            return self._world.kept(merged.value), merged.conflicts
        except InvalidValueError:  # too large
            return self._by_blob(blobs)

    def _held(self, conflict: Conflict) -> Any:
        return conflict.theirs if self._world.earlier_wins else conflict.ours

    def _by_blob(self, blobs: tuple[Oid | None, Oid | None, Oid | None]) -> tuple[Oid | None, tuple[Conflict, ...]]:
        """The choice between files where one of them is no value, or the merged one would be too large."""
        conflict = Conflict("", *map(self._shown, blobs))
        return blobs[2 if self._world.earlier_wins else 1], (conflict,)

    def _shown(self, blob: Oid | None) -> Any:
        """A value; the name of its file where that is none."""
        try:
            return self._world.read(blob, self._where)
        except (CorruptValueError, StorageError):
            return {"blob": (blob or b"").hex()}

    def _readable(self, found: Decision, now: State) -> Decision:
        """The decision, unless it is to bring back a file that is no value: then the key stays, and this is told."""
        blob = found.state.blob
        try:
            self._world.read(blob, self._where)
        except (CorruptValueError, StorageError):
            shown = self._shown(now.blob)
            return Decision(now, (Conflict("", shown, shown, self._shown(blob)),))
        return found


def _expires(blob: Oid | None, base: State, ours: State, theirs: State) -> datetime | None:
    """When the result expires; of a side that is absent the other one says so alone."""
    if blob is None:
        return None
    if ours.blob is None or theirs.blob is None:
        return (theirs if ours.blob is None else ours).expires
    return later(base.expires, ours.expires, theirs.expires)


def joined(touches: Sequence[Touch]) -> list[Touch]:
    """The touches, newest first, with those as one between which nothing lasts."""
    found: list[Touch] = []
    for touch in touches:
        both = found[-1].joined(touch) if found else None
        if both is None:
            found.append(touch)
        else:
            found[-1] = both
    return found
