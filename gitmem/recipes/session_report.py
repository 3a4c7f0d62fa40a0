"""What a session did and what it left open: counted from the commits, for whoever audits it.

Knows where the recipes keep what they decide: gates, the journal, patterns, claims, states of agents; changes nothing.
Law: what it did is told as of its end, and follows from the history alone; what is open is told as of now. A session's
own keys are its account of itself, so they are not counted among what it changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gitmem.entries import ABSENT, Entry, format_time
from gitmem.errors import CorruptValueError
from gitmem.globs import compile_glob
from gitmem.keys import CONFLICTS, COORDINATION, REASONING_BANK
from gitmem.provenance import session_folder
from gitmem.recipes import gate, journal_reading
from gitmem.recipes.claim import FOLDER as CLAIMS
from gitmem.recipes.claim import held_by
from gitmem.recipes.journal import NAMESPACE as JOURNAL
from gitmem.recipes.journal import JournalEntry
from gitmem.recipes.session_state import SessionStatus, own

if TYPE_CHECKING:
    from gitmem.entries import Change
    from gitmem.memory import Memory
    from gitmem.runs.effects import Effect
    from gitmem.view import View

_GATES, _PATTERNS, _STATES = "checkpoint/**", "pattern/**", "swarm/*/status"
_OVER = {"done", "complete", "completed", "finished", "stopped"}
_ASKING = {"question", "blocker"}


class Decision(NamedTuple):
    """A gate that the session asked or moved: how it stood, who decided, who signed that, when."""

    namespace: str
    key: str
    gate: str
    state: str
    by: str
    signed_by: str
    time: str

    def to_json(self) -> dict[str, Any]:
        """As programs read it."""
        return self._asdict()


class Met(NamedTuple):
    """A conflict that came, or was settled, while the session ran: its record's id, and the place that it is about."""

    id: str
    namespace: str
    key: str
    pointer: str

    def to_json(self) -> dict[str, Any]:
        """As programs read it."""
        return self._asdict()


class Open(NamedTuple):
    """Something that waits for somebody: a gate, conflict, agent, claim, pattern, question or blocker (`kind`)."""

    kind: str
    namespace: str
    key: str
    says: str

    def to_json(self) -> dict[str, Any]:
        """As programs read it."""
        return self._asdict()


class Recalled(NamedTuple):
    """What the session took from earlier ones: keys of patterns, and those whose outcome nobody has told."""

    keys: tuple[str, ...]
    without_outcome: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a session did. `agents` counts commits and keys by name, `keys` what was created, changed and deleted.

    `conflicts` are those that were made and those that were settled; `learned` are new patterns; `artifacts` is what
    its agents stored at session/<id>/artifacts-created.
    """

    status: SessionStatus
    agents: Mapping[str, Mapping[str, int]]
    keys: Mapping[str, int]
    gates: tuple[Decision, ...]
    made: tuple[Met, ...]
    settled: tuple[Met, ...]
    learned: tuple[str, ...]
    recalled: Recalled
    journal: tuple[JournalEntry, ...]
    artifacts: Any

    def to_json(self) -> dict[str, Any]:
        """As it is stored at session/<id>/summary."""
        status = self.status.to_json()
        about = {name: status[name] for name in ("session", "topic", "start", "end", "duration")}
        return {
            **about,
            "status": status["state"],
            "agents": {name: dict(counts) for name, counts in self.agents.items()},
            "keys": dict(self.keys),
            "gates": [one.to_json() for one in self.gates],
            "conflicts": {
                "made": [one.to_json() for one in self.made],
                "settled": [one.to_json() for one in self.settled],
            },
            "patterns": {
                "learned": list(self.learned),
                "recalled": list(self.recalled.keys),
                "without_outcome": list(self.recalled.without_outcome),
            },
            "journal": [{"key": one.key, "type": one.kind, "title": one.title} for one in self.journal],
            "artifacts": self.artifacts,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All that there is to say of a session. `changes` are the keys that it wrote, without its own.

    `phase` and `progress` are what its agents say of it last.
    """

    status: SessionStatus
    summary: Summary
    changes: tuple[Effect, ...]
    open: tuple[Open, ...]
    phase: Any
    progress: Any

    def to_json(self) -> dict[str, Any]:
        """As `gitmem session show --json` prints it."""
        return {
            **self.status.to_json(),
            "phase": self.phase,
            "progress": self.progress,
            "summary": self.summary.to_json(),
            "changes": [_change(one) for one in self.changes],
            "open": [one.to_json() for one in self.open],
        }


def report(memory: Memory, status: SessionStatus, *, then: View | None = None) -> Report:
    """What a session did and what it left open, from the commits that name it.

    `then` is the state as of its end; if nobody says so, that of its last commit, or for an open one what is now.
    """
    folder = session_folder(status.id)
    written = memory.effect(status.id)
    changes = tuple(one for one in written if one.namespace != COORDINATION or not one.key.startswith(folder))
    if then is None:
        then = memory if status.is_open else memory.at(status.last)
    summary = _summary(memory, then, status, changes)
    return Report(
        status=status,
        summary=summary,
        changes=changes,
        open=tuple(_open(memory, status, changes, summary)),
        phase=_said(then, status, "phase"),
        progress=_said(then, status, "progress"),
    )


# --- what it did


def _summary(memory: Memory, then: View, status: SessionStatus, changes: Sequence[Effect]) -> Summary:
    made, settled = _conflicts(memory, status.first, then.snapshot)
    operations = Counter(one.operation for one in changes)
    return Summary(
        status=status,
        agents=_agents(status, changes),
        keys={name: operations[word] for name, word in _OPERATIONS.items()},
        gates=tuple(_gates(then, status, changes)),
        made=made,
        settled=settled,
        learned=tuple(one.key for one in _matching(changes, _PATTERNS, REASONING_BANK) if one.operation == "created"),
        recalled=_recalled(then, status),
        journal=tuple(_journal(then, changes)),
        artifacts=_said(then, status, "artifacts-created"),
    )


_OPERATIONS = {"created": "created", "changed": "modified", "deleted": "deleted"}


def _agents(status: SessionStatus, changes: Sequence[Effect]) -> dict[str, dict[str, int]]:
    """Whoever has written most keys first."""
    keys = Counter(name for one in changes for name in one.agents)
    found = {name: {"commits": commits, "keys": keys[name]} for name, commits in status.agents.items()}
    return dict(sorted(found.items(), key=lambda one: (-one[1]["keys"], -one[1]["commits"], one[0])))


def _gates(then: View, status: SessionStatus, changes: Sequence[Effect]) -> Iterator[Decision]:
    """Of a gate that is complete, who had approved it."""
    planned, usual = _planned_gates(then, status), compile_glob(_GATES)
    for one in changes:
        entry = _entry(then, one) if one.key in planned or usual.matches(one.key) else None
        now = None if entry is None else gate.status_of(entry)
        if now is None:
            continue
        decided = _approval(then, now) if now.state == gate.COMPLETE else now
        if decided.entry is not None:
            signed = decided.entry
            by = decided.by or signed.agent
            yield Decision(one.namespace, one.key, now.name, now.state, by, signed.agent, format_time(signed.time))


def _approval(then: View, now: gate.GateStatus) -> gate.GateStatus:
    entry = now.entry
    versions = [] if entry is None else then.history(now.key, namespace=entry.namespace)
    moves = filter(None, map(gate.status_of, versions))
    return next((move for move in moves if move.state == gate.APPROVED), now)


def _planned_gates(then: View, status: SessionStatus) -> set[str]:
    """The gates of the session's run, which may lie anywhere."""
    plan = _said(then, status, "plan")
    gates = plan.get("gates") if isinstance(plan, Mapping) else None
    rows = [one for one in gates if isinstance(one, Mapping)] if isinstance(gates, list) else []
    return {one["key"] for one in rows if isinstance(one.get("key"), str)}


def _conflicts(memory: Memory, first: str, last: str) -> tuple[tuple[Met, ...], tuple[Met, ...]]:
    """The records that merges made between two revisions, and those that were settled: some did both."""
    new = [one for one in memory.diff(first, last, namespace=CONFLICTS) if one.operation == "created"]
    gone = [one for one in memory.effect(f"{first}..{last}", namespace=CONFLICTS) if one.after is ABSENT]
    there = {entry.key for entry in memory.at(first).search("**", namespace=CONFLICTS)} if gone else set()
    made = [_met(one) for one in new] + [_met(one) for one in gone if one.key not in there]
    return tuple(sorted(made)), tuple(_met(one) for one in gone)


def _met(one: Effect | Change) -> Met:
    record = next((value for value in (one.before, one.after) if isinstance(value, Mapping)), {})
    return Met(one.key, *(str(record.get(name) or "") for name in ("namespace", "key", "pointer")))


def _recalled(then: View, status: SessionStatus) -> Recalled:
    said = _said(then, status, "recalled")
    found = dict(said) if isinstance(said, Mapping) else {}
    told = {key for key, about in found.items() if isinstance(about, Mapping) and about.get("outcome") is not None}
    return Recalled(tuple(sorted(found)), tuple(sorted(found.keys() - told)))


def _journal(then: View, changes: Sequence[Effect]) -> Iterator[JournalEntry]:
    entries = (_entry(then, one) for one in _matching(changes, journal_reading.GLOB, JOURNAL))
    found = (journal_reading.entry_of(entry) for entry in entries if entry is not None)
    yield from sorted(filter(None, found), key=lambda one: (one.time, one.key))


# --- what is open


def _open(memory: Memory, status: SessionStatus, changes: Sequence[Effect], did: Summary) -> Iterator[Open]:
    for asked in did.gates:
        entry = _entry(memory, asked)
        now = None if entry is None else gate.status_of(entry)
        if now is not None and now.state in (gate.PENDING, gate.REJECTED):
            yield Open("gate", asked.namespace, asked.key, now.told())
    keys = {(one.namespace, one.key) for one in changes}
    for record in memory.conflicts():
        if (record.namespace, record.key) in keys:
            yield Open("conflict", CONFLICTS, record.id, f"{record.namespace} {record.key} {record.pointer}".rstrip())
    for one, entry in _mine(memory, status, _matching(changes, _STATES)):
        state = entry.value.get("state") if isinstance(entry.value, Mapping) else entry.value
        if isinstance(state, str) and state not in _OVER:
            yield Open("agent", one.namespace, one.key, state)
    for one, entry in _mine(memory, status, _matching(changes, f"{CLAIMS}**")):
        yield Open("claim", one.namespace, one.key, held_by(entry))
    for key in did.recalled.without_outcome if status.undone_by is None else ():
        yield Open("pattern", REASONING_BANK, key, "it was recalled, and nobody has told whether it helped")
    for note in did.journal:
        if note.kind in _ASKING and memory.entry(note.key, None, namespace=JOURNAL) is not None:
            yield Open(note.kind, JOURNAL, note.key, note.title)


def _mine(memory: Memory, status: SessionStatus, some: Sequence[Effect]) -> Iterator[tuple[Effect, Entry]]:
    """Those that nobody outside of the session has written since."""
    for one in some:
        entry = _entry(memory, one)
        if entry is not None and entry.session == status.id:
            yield one, entry


# --- inside


def _matching(changes: Sequence[Effect], pattern: str, namespace: str | None = None) -> list[Effect]:
    glob = compile_glob(pattern)
    return [one for one in changes if namespace in (None, one.namespace) and glob.matches(one.key)]


def _entry(view: View, one: Effect | Decision) -> Entry | None:
    try:
        entry: Entry | None = view.entry(one.key, None, namespace=one.namespace)
    except CorruptValueError:
        return None
    return entry


def _said(view: View, status: SessionStatus, name: str) -> Any:
    entry = own(view, status.id, name)
    return None if entry is None else entry.value


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
