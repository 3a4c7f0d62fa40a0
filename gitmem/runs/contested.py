"""Places where a merge left the choice to a person, and an undo would make it: open records with a side of the run.

Without the run there would have been no conflict, and the other side's value would stand. The memory holds the
winner's; so taking the run back as if nobody else had written there would drop the other side's work.

Knows records and the values they speak of; does not know how the rest of a key is decided.
Law: either the place stays as it is, or the other side's value stands there and the record goes. Where neither can be
done by this place alone (somebody wrote there since, it lies in a list, the record holds no value), the key as a whole
is in conflict, and a person has to settle it first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from typing import Any, NamedTuple

from gitmem import pointers
from gitmem.branches import Record, Side, conflicts
from gitmem.codec import equal
from gitmem.entries import ABSENT
from gitmem.errors import InvalidPatternError, InvalidValueError
from gitmem.merge import Conflict
from gitmem.objects import Oid
from gitmem.patches import json_patch
from gitmem.reader import Reader
from gitmem.runs.deciding import Circumstances, Decision
from gitmem.runs.others import Others
from gitmem.runs.states import State
from gitmem.trees import KeyId


class Contest(NamedTuple):
    """An open record; who made the place what it is on each side, and whether that was the run."""

    record: Record
    writers: tuple[Oid, ...]
    taken: tuple[bool, ...]

    @property
    def alone(self) -> bool:
        """Whether nobody but the run is in it."""
        return all(self.taken)

    @property
    def run(self) -> Side:
        """The side that is of the run."""
        return self.record.sides[self.taken.index(True)]

    @property
    def other(self) -> Side:
        """The side that is somebody else's."""
        return self.record.sides[self.taken.index(False)]

    @property
    def writer(self) -> Oid:
        """The version that made the place what it is on the other side."""
        return self.writers[self.taken.index(False)]

    @property
    def take(self) -> str:
        """The word by which `resolve` takes the other's side."""
        return ("winner", "other")[self.taken.index(False)]


class Held(NamedTuple):
    """What becomes of a key in a contest: the decision, its contested places, the records that go.

    `unsettled`: no choice of the caller's settles it, the key stays as it is.
    """

    decision: Decision
    places: list[tuple[Contest, Conflict]]
    gone: list[str]
    unsettled: bool = False


class Contests:
    """The open records of a snapshot by their keys, read when a key is first asked about."""

    def __init__(self, reader: Reader, shown: Callable[[Oid | None, KeyId], Any]) -> None:
        """`shown` gives a blob's value, ABSENT where it is none."""
        self._reader, self._shown = reader, shown

    def of(self, where: KeyId, run: Collection[Oid]) -> list[Contest]:
        """Those of a key in which one of these commits wrote a side."""
        found = []
        for record in self._records.get(where, ()):
            writers = tuple(self._writer(where, one, record.pointer) for one in record.sides)
            taken = tuple(one in run for one in writers)
            if any(taken):
                found.append(Contest(record, writers, taken))
        return found

    @cached_property
    def _records(self) -> dict[KeyId, list[Record]]:
        found: dict[KeyId, list[Record]] = {}
        for record in conflicts(self._reader):
            if record.namespace is not None and record.problem is None and self._known(record):
                found.setdefault((record.namespace, record.key), []).append(record)
        return found

    def _known(self, record: Record) -> bool:
        """Whether a record speaks of a place and of commits that there are: anybody can push one."""
        try:
            pointers.parse(record.pointer)
        except InvalidPatternError:
            return False
        index, head = self._reader.vault.index, self._reader.snapshot.oid
        return all(len(one.revision) == 40 and index.with_prefix(head, one.revision) for one in record.sides)

    def _writer(self, where: KeyId, side: Side, pointer: str) -> Oid:
        """The version that made a place what it is on one side."""
        revision = bytes.fromhex(side.revision)
        if self._reader.vault.index.token(revision, *where) is None:  # whoever made this record up
            return revision
        return Others(self._reader.vault, revision, where, (), self._shown).writer(pointer)


def held(where: KeyId, now: State, found: Decision, contests: Iterable[Contest], world: Circumstances) -> Held:
    """A decision about a key, with its contested places as they are, or (if the earlier wins) as the others say."""
    state, places, gone, told = found.state, [], [], []
    for one in contests:
        if one.alone:
            gone.append(one.record.id)
            told += [one.record.pointer] if _unmoved(one.record, _value(now, where, world)) else []
            continue
        placed = _placed(where, now, state, one, world)
        if placed is None:
            return _whole(where, now, contests, world)
        state, here = placed
        places.append((one, Conflict(one.record.pointer, one.run.value, here, one.other.value)))
        told.append(one.record.pointer)
        if world.earlier_wins:
            gone.append(one.record.id)
    rest = tuple(one for one in found.conflicts if not any(_inside(one.pointer, place) for place in told))
    return Held(Decision(state, rest), places, gone)


def _whole(where: KeyId, now: State, contests: Iterable[Contest], world: Circumstances) -> Held:
    """The key as it is, in conflict as a whole."""
    here = _value(now, where, world)
    told = [(one, Conflict("", one.run.value, here, one.other.value)) for one in contests if not one.alone]
    return Held(Decision(now), told, [], unsettled=True)


def _inside(pointer: str, place: str) -> bool:
    return pointer == place or pointer.startswith(f"{place}/")


def _placed(where: KeyId, now: State, state: State, one: Contest, world: Circumstances) -> tuple[State, Any] | None:
    """A key's state with a contested place held, and what is there now; None where the place alone cannot be held."""
    record = one.record
    value, current = _value(state, where, world), _value(now, where, world)
    here = _member(current, record.pointer)
    if here is None or not _unmoved(record, current) or record.large or _is_blob(one.other.value):
        return None
    wanted = one.other.value if world.earlier_wins else here[0]
    if record.pointer:
        there = _member(value, record.pointer)
        if there is None:
            return None
        value = value if there[0] is ABSENT and wanted is ABSENT else _changed(value, record.pointer, wanted)
    elif not world.earlier_wins:
        return now, here[0]
    else:
        value = wanted
    try:
        blob = world.kept(value)
    except InvalidValueError:  # too large
        return None
    return State(blob, None if blob is None else (now if state.blob is None else state).expires), here[0]


def _unmoved(record: Record, value: Any) -> bool:
    """Whether the winner stands where the record says: nobody wrote there since."""
    here = _member(value, record.pointer)
    return here is not None and equal(here[0], record.sides[0].value)


def _changed(value: Any, pointer: str, wanted: Any) -> Any:
    change = {"op": "remove", "path": pointer} if wanted is ABSENT else {"op": "add", "path": pointer, "value": wanted}
    return json_patch(value, [change])


def _member(value: Any, pointer: str) -> tuple[Any] | None:
    """What stands at a place, maybe ABSENT; None where the way there does not lead through objects alone."""
    tokens = pointers.parse(pointer)
    for token in tokens:
        if not isinstance(value, dict):
            return None
        value = value.get(token, ABSENT)
    return (value,)


def _is_blob(value: Any) -> bool:
    """Whether a record shows a file by its name."""
    return isinstance(value, dict) and list(value) == ["blob"]


def _value(state: State, where: KeyId, world: Circumstances) -> Any:
    return world.shown(state.blob, where)


__all__ = ["Contest", "Contests", "Held", "held"]
