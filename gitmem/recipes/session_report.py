"""All that there is to say of a session: what it did, and what it left open.

Knows where agents say what they are at, and what waits for somebody; changes nothing.
Law: what it did is counted from all its commits, also later ones; what is open is told as of now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from gitmem.entries import Entry, format_time
from gitmem.keys import CONFLICTS, REASONING_BANK
from gitmem.provenance import is_own
from gitmem.recipes import gate
from gitmem.recipes.claim import FOLDER as CLAIMS
from gitmem.recipes.claim import held_by
from gitmem.recipes.journal import NAMESPACE as JOURNAL
from gitmem.recipes.session_state import SessionStatus
from gitmem.recipes.session_summary import Summary, entry_of, matching, said, summarize
from gitmem.recipes.status import agent_status

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.runs.effects import Effect
    from gitmem.view import View

_STATES = "swarm/*/status"
_OVER = {"done", "complete", "completed", "finished", "stopped"}
_ASKING = {"question", "blocker"}


class Open(NamedTuple):
    """Something that waits for somebody: a gate, conflict, agent, claim, pattern, question or blocker (`kind`)."""

    kind: str
    namespace: str
    key: str
    says: str

    def to_json(self) -> dict[str, Any]:
        """As programs read it."""
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Report:
    """All that there is to say of a session. `changes` are the keys that it wrote, without its own.

    `reads` counts by agent the keys that were read under it on this machine, while gitmem.toml said `audit_reads`.
    `phase` and `progress` are what its agents say of it last, `late` is when somebody wrote under it after its end.
    """

    status: SessionStatus
    summary: Summary
    changes: tuple[Effect, ...]
    open: tuple[Open, ...]
    reads: Mapping[str, int]
    phase: Any
    progress: Any
    late: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """As `gitmem session show --json` prints it."""
        return {
            **self.status.to_json(),
            "phase": self.phase,
            "progress": self.progress,
            "summary": self.summary.to_json(),
            "changes": [_change(one) for one in self.changes],
            "open": [one.to_json() for one in self.open],
            "reads": dict(self.reads),
            "late": None if self.late is None else format_time(self.late),
        }


def report(memory: Memory, status: SessionStatus, *, then: View | None = None) -> Report:
    """What a session did and what it left open, from the commits that name it.

    `then` is the state as of its end; if nobody says so, that of its last commit, or for an open one what is now.
    """
    from gitmem.runs.naming import Whole

    written = memory.effect(Whole(status.id))
    changes = tuple(one for one in written if not is_own(one.namespace, one.key, status.id))
    if then is None:
        then = memory if status.is_open else memory.at(status.last)
    summary = summarize(memory, then, status, changes)
    return Report(
        status=status,
        summary=summary,
        changes=changes,
        open=tuple(_open(memory, status, changes, summary)),
        reads=_reads(memory, status),
        phase=said(then, status, "phase"),
        progress=said(then, status, "progress"),
        late=_late(memory, status),
    )


def _late(memory: Memory, status: SessionStatus) -> datetime | None:
    """When something was written under a session last, if that was after its end: its end itself may take a second."""
    if status.end is None or status.written <= status.end:
        return None
    for record in memory.iter_log(session=status.id):
        if record.time <= status.end:
            return None
        if not all(is_own(one.namespace, one.key, status.id) for one in record.changes):
            return record.time
    return None


def _open(memory: Memory, status: SessionStatus, changes: Sequence[Effect], did: Summary) -> Iterator[Open]:
    for asked in did.gates:
        entry = entry_of(memory, asked)
        now = None if entry is None else gate.status_of(entry)
        if now is not None and now.state in (gate.PENDING, gate.REJECTED):
            yield Open("gate", asked.namespace, asked.key, now.told())
    keys = {(one.namespace, one.key) for one in changes}
    for record in memory.conflicts():
        if (record.namespace, record.key) in keys:
            yield Open("conflict", CONFLICTS, record.id, f"{record.namespace} {record.key} {record.pointer}".rstrip())
    for one, entry in _mine(memory, status, matching(changes, _STATES)):
        agent = agent_status(entry, memory.clock())
        if agent.state is not None and agent.state not in _OVER:
            yield Open("agent", one.namespace, one.key, ": ".join(filter(None, (agent.state, agent.why))))
    for one, entry in _mine(memory, status, matching(changes, f"{CLAIMS}**")):
        yield Open("claim", one.namespace, one.key, held_by(entry))
    for key in did.recalled.without_outcome if status.undone_by is None else ():
        yield Open("pattern", REASONING_BANK, key, "it was recalled, and nobody has told whether it helped")
    for note in did.journal:
        if note.kind in _ASKING and entry_of(memory, note.entry) is not None:
            yield Open(note.kind, JOURNAL, note.key, note.title)


def _reads(memory: Memory, status: SessionStatus) -> dict[str, int]:
    told = {(one.agent, one.namespace, one.key) for one in memory.reads(session=status.id)}
    return dict(sorted(Counter(agent for agent, *_ in told).items()))


def _mine(memory: Memory, status: SessionStatus, some: Sequence[Effect]) -> Iterator[tuple[Effect, Entry]]:
    """Those that nobody outside of the session has written since."""
    for one in some:
        entry = entry_of(memory, one)
        if entry is not None and entry.session == status.id:
            yield one, entry


def _change(one: Effect) -> dict[str, Any]:
    """A key as the report lists it: who changed it how often; `gitmem session compare` and `diff` have the values."""
    return {
        "namespace": one.namespace,
        "key": one.key,
        "operation": one.operation,
        "versions": one.versions,
        "agents": list(one.agents),
        "first": one.first,
        "last": one.last,
    }
