"""What an undo says of itself: what it changed, and what could not be taken back cleanly.

Knows values alone.
Law: frozen; the words are those of a merge: `base` is what the run left, `ours` what stands now, `theirs` what stood
before the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gitmem.codec import encode
from gitmem.entries import ABSENT, Change, MemberConflict, format_time
from gitmem.errors import ConflictError

_SHOWN = 3
_BRIEF = 60


@dataclass(frozen=True, slots=True)
class UndoConflict(MemberConflict):
    """One place that the run changed and somebody else since: taking it back would lose the other's work.

    ABSENT stands for a side on which there is nothing. `revision`, `agent`, `session` and `time` are those of the
    version that changed the place since; `pointer` counts in the value as it would be after the undo.

    Where a merge left the place to a person, `record` is the open conflict: `theirs` is its other side, which would
    stand without the run, the rest tells who wrote that, and `take` is the word by which `resolve` takes it.
    """

    namespace: str
    key: str
    record: str | None = None
    take: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        opened = {} if self.record is None else {"record": self.record, "take": self.take}
        return {"namespace": self.namespace, "key": self.key, **MemberConflict.to_json(self), **opened}

    def __str__(self) -> str:
        place = f"{self.key} {self.pointer}".rstrip()
        by = f"by {self.agent} at {format_time(self.time)}"
        was, now, then = (brief(value) for value in (self.base, self.ours, self.theirs))
        if self.record is not None:
            return f"{place} (in {self.namespace}, open conflict {self.record}): the run left {was}, and {then} is {by}"
        return f"{place} (in {self.namespace}): the run left {was}, it is {now} {by}, and would be {then} again"


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo came to.

    `run` is the lasting name of what was undone: a session, an id, or two ids around `..`. `revision` is the new
    commit, None in a dry run or where nothing of the run stood any more. `versions` counts those that were taken back;
    `changes` may be fewer, or none. `conflicts` are the places left as they were or, where the caller chose so, not.
    `already` are the undos before this one that stand, of the run or of a part of it, the newest first; none if the run
    made no version of a key that is wanted.
    """

    run: str
    revision: str | None
    versions: int
    changes: tuple[Change, ...]
    conflicts: tuple[UndoConflict, ...]
    already: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "run": self.run,
            "revision": self.revision,
            "versions": self.versions,
            "changes": [one.to_json() for one in self.changes],
            "conflicts": [one.to_json() for one in self.conflicts],
            "already": list(self.already),
        }


def brief(value: Any) -> str:
    """A value for a sentence."""
    if value is ABSENT:
        return "absent"
    text = " ".join(encode(value).decode().split())
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1] + "…"


def refused(title: str, conflicts: Sequence[UndoConflict]) -> ConflictError:
    """The error for an undo that would lose others' work; it has all conflicts."""
    number = "a place" if len(conflicts) == 1 else f"{len(conflicts)} places"
    places = "; ".join(map(str, conflicts[:_SHOWN])) + ("; …" if len(conflicts) > _SHOWN else "")
    return ConflictError(
        f"{title} cannot be undone cleanly, nothing was written: {number} changed since: {places}",
        hint=f"{_settle(conflicts)}--dry-run lists all of them; --on-conflict keep takes back the rest and leaves "
        "these as they are,\n--on-conflict undo lets what stood before the run win; --keys PATTERN takes back a part",
        namespace=conflicts[0].namespace,
        key=conflicts[0].key,
        conflicts=tuple(conflicts),
    )


def _settle(conflicts: Sequence[UndoConflict]) -> str:
    """How to settle what a merge left open, as the beginning of a hint."""
    first = next((one for one in conflicts if one.record is not None), None)
    if first is None:
        return ""
    settle = f"`gitmem resolve {first.record} --take {first.take}`"
    return f"settle open conflicts first: {settle}, then undo with --on-conflict keep;\n"
