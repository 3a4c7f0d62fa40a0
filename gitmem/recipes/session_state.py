"""How a session stands: since when, how far, who has written under it, and whether it ended.

Knows what a session keeps of itself and what its commits say; changes nothing.
Law: a session is what commits name, so one that never said a word of itself is a session too; its own keys only tell
what commits cannot: a topic, an end, how it ended. Where these keys were deleted, the history tells it.

    session/<id>/metadata            {"topic", "start", "end", "status"}                   (namespace coordination)
    session/<id>/phase               how far it is: running, then how it ended; its agents may say more
    session/<id>/summary             what it did, counted at its end
    session/<id>/plan                of a session that had a run
    session/<id>/progress, artifacts-created, recalled: what its agents keep there
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gitmem.entries import ABSENT, Entry, format_time
from gitmem.errors import CorruptValueError, InvalidKeyError, UnknownRevisionError
from gitmem.keys import COORDINATION
from gitmem.provenance import session_folder

if TYPE_CHECKING:
    from gitmem.runs.facts import SessionFacts
    from gitmem.view import View

RUNNING, ABANDONED = "running", "abandoned"
DONE, FAILED, INTERRUPTED = "done", "failed", "interrupted"
ENDS = (DONE, FAILED, INTERRUPTED, ABANDONED)
"""How a session ends; one that has not ended is running, or it counts as abandoned after a while."""


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A session as it stands. `state` is running, abandoned, or how it ended (one of ENDS, or another tool's word).

    `end` is None for one that has not ended; `written` is its last write. `agents` counts commits. `first` and `last`
    are revisions, and `undone_by` is the one that took the session back.
    """

    id: str
    state: str
    topic: str | None
    start: datetime
    end: datetime | None
    written: datetime
    commits: int
    agents: Mapping[str, int]
    first: str
    last: str
    undone_by: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.end is None

    @property
    def duration(self) -> int:
        """Seconds from its start to its end, else to its last write."""
        return max(0, int(((self.end or self.written) - self.start).total_seconds()))

    def ended(self, end: datetime, state: str) -> SessionStatus:
        """The same session as it is once it has ended."""
        return replace(self, end=end, state=state)

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "session": self.id,
            "state": self.state,
            "topic": self.topic,
            "start": format_time(self.start),
            "end": None if self.end is None else format_time(self.end),
            "duration": self.duration,
            "written": format_time(self.written),
            "commits": self.commits,
            "agents": dict(self.agents),
            "first": self.first,
            "last": self.last,
            "undone_by": self.undone_by,
        }


def status_of(view: View, facts: SessionFacts, *, now: datetime, abandoned_after: float) -> SessionStatus:
    """A session as its own keys and its commits say. `abandoned_after` is in seconds without a write."""
    said = _object(own(view, facts.session, "metadata"))
    plan = {} if said else _object(own(view, facts.session, "plan"))
    phase = own(view, facts.session, "phase") if plan else None
    end = time_of(said.get("end"))
    state = _word(said.get("status")) or DONE
    if phase is not None and phase.value in ENDS:  # a run that nobody put into a session: it says itself how it ended
        end, state = facts.written, phase.value
    if end is None:
        late = now - facts.written > timedelta(seconds=abandoned_after)
        state = ABANDONED if late else RUNNING
    return SessionStatus(
        id=facts.session,
        state=state,
        topic=_word(said.get("topic")) or _word(plan.get("name")),
        start=time_of(said.get("start")) or facts.started,
        end=end,
        written=facts.written,
        commits=facts.commits,
        agents=facts.agents,
        first=facts.first,
        last=facts.last,
        undone_by=facts.undone_by,
    )


def own_key(session: str, name: str) -> str:
    """One of a session's own keys."""
    return session_folder(session) + name


def own(view: View, session: str, name: str) -> Entry | None:
    """What a session says of itself at one of its own keys, or said there before it was deleted; None for nothing."""
    key = own_key(session, name)
    try:
        entry: Entry | None = view.entry(key, None, namespace=COORDINATION)
        if entry is None:
            entry = view.version(key, view.snapshot, namespace=COORDINATION)
            if entry.value is ABSENT:
                entry = view.version(key, entry.version - 1, namespace=COORDINATION)
    except (CorruptValueError, InvalidKeyError, UnknownRevisionError):
        return None
    return None if entry.value is ABSENT else entry


def _object(entry: Entry | None) -> Mapping[str, Any]:
    return entry.value if entry is not None and isinstance(entry.value, Mapping) else {}


def _word(said: Any) -> str | None:
    return said if isinstance(said, str) and said.strip() else None


def time_of(said: Any) -> datetime | None:
    """The instant that a text names, in UTC; None for anything else."""
    try:
        time = datetime.fromisoformat(said)
        return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
