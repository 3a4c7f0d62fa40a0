"""What a reviewer has to see before deciding on a gate: the keys that it shows, and what is new in them.

Knows a gate and its history; does not know who looks, or how it is drawn.
Law: `expect` and `guard` name exactly what was read here, so that a decision made with them holds for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any, NamedTuple

from gitmem.entries import ABSENT, Change, Entry, operation_of
from gitmem.members import changes
from gitmem.recipes.gate import PENDING, Fences, Gate, GateStatus, status_of


class Shown(NamedTuple):
    """One key to look at: its entry, None if it is not there; and its change since the last request, None if none."""

    key: str
    entry: Entry | None
    change: Change | None


@dataclass(frozen=True, slots=True)
class Review:
    """A gate, what it shows, and what came before.

    `since` is the request before this one, which the changes are counted from, and `decision` the last decision; each
    is None if there was none.
    """

    gate: GateStatus
    shown: tuple[Shown, ...]
    since: GateStatus | None
    decision: GateStatus | None

    @property
    def expect(self) -> Any:
        """For a move: the gate has to be still this."""
        return self.gate.token

    @property
    def guard(self) -> Fences:
        """For a move: what is shown has to be still this; what is not there, still missing."""
        return [(one.key, ABSENT if one.entry is None else one.entry) for one in self.shown]

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "gate": self.gate.to_json(),
            "shown": [
                {
                    "key": one.key,
                    "entry": None if one.entry is None else one.entry.to_json(),
                    "change": None if one.change is None else one.change.to_json(),
                }
                for one in self.shown
            ],
            "since": None if self.since is None else self.since.to_json(),
            "decision": None if self.decision is None else self.decision.to_json(),
        }


def review(gate: Gate) -> Review:
    """Read what a reviewer has to see now. MissingKeyError if nobody has requested the gate.

    What was requested and decided before a deletion (an earlier run's) is told too. Each key is read by itself: a
    decision bound to the review holds only if all of it stands at once.
    """
    status = gate.requested()
    earlier = list(_earlier(gate, status))
    since = next((one for one in earlier if one.state == PENDING), None)
    return Review(
        gate=status,
        shown=tuple(_shown(gate, key, since) for key in dict.fromkeys(status.shows)),
        since=since,
        decision=next((one for one in earlier if one.state != PENDING), None),
    )


def _earlier(gate: Gate, status: GateStatus) -> Iterator[GateStatus]:
    """What the gate was before this, newest first."""
    if status.entry is None:
        return
    revision = status.entry.revision
    versions = dropwhile(lambda one: one.revision != revision, gate.memory.history(gate.key))
    next(versions, None)
    yield from filter(None, map(status_of, versions))


def _shown(gate: Gate, key: str, since: GateStatus | None) -> Shown:
    memory = gate.memory
    entry = memory.entry(key, None)
    if since is None or since.entry is None:
        return Shown(key, entry, None)
    before = memory.at(since.entry.revision).retrieve(key, ABSENT)
    after = ABSENT if entry is None else entry.value
    if not changes(before, after):
        return Shown(key, entry, None)
    return Shown(key, entry, Change(memory.namespace, key, operation_of(before, after), before, after))
