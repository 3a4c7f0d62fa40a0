"""What a session did, counted from its commits, for whoever audits it.

Knows where the recipes keep what they decide: gates, the journal, patterns; changes nothing.
Law: it follows from the history alone. A session's own keys are its account of itself, so they are not counted among
what it changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gitmem.entries import ABSENT, Entry, format_time
from gitmem.errors import CorruptValueError, GitmemError, UnknownRevisionError
from gitmem.globs import compile_glob
from gitmem.keys import CONFLICTS, REASONING_BANK
from gitmem.recipes import gate, journal_reading
from gitmem.recipes.journal import NAMESPACE as JOURNAL
from gitmem.recipes.journal import JournalEntry
from gitmem.recipes.session_state import SessionStatus, own

if TYPE_CHECKING:
    from gitmem.entries import Change
    from gitmem.memory import Memory
    from gitmem.runs.effects import Effect
    from gitmem.view import View

_GATES, _PATTERNS = "checkpoint/**", "pattern/**"
_OPERATIONS = {"created": "created", "changed": "modified", "deleted": "deleted"}


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


class Edit(NamedTuple):
    """A commit of the session that changed gitmem.toml: what it says of itself, who, when."""

    message: str
    agent: str
    time: str

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

    Conflicts are those that were `made` and those that were `settled`; `settings` are edits of gitmem.toml; `learned`
    are new patterns; `artifacts` is what its agents stored at session/<id>/artifacts-created.
    """

    status: SessionStatus
    agents: Mapping[str, Mapping[str, int]]
    keys: Mapping[str, int]
    gates: tuple[Decision, ...]
    made: tuple[Met, ...]
    settled: tuple[Met, ...]
    settings: tuple[Edit, ...]
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
            "settings": [one.to_json() for one in self.settings],
            "patterns": {
                "learned": list(self.learned),
                "recalled": list(self.recalled.keys),
                "without_outcome": list(self.recalled.without_outcome),
            },
            "journal": [{"key": one.key, "type": one.kind, "title": one.title} for one in self.journal],
            "artifacts": self.artifacts,
        }


def summarize(memory: Memory, then: View, status: SessionStatus, changes: Sequence[Effect]) -> Summary:
    """What a session did, from its `changes`; `then` is the state as of its end."""
    made, settled = _conflicts(memory, status.first, then.snapshot)
    operations = Counter(one.operation for one in changes)
    return Summary(
        status=status,
        agents=_agents(status, changes),
        keys={name: operations[word] for name, word in _OPERATIONS.items()},
        gates=tuple(_gates(then, status, changes)),
        made=made,
        settled=settled,
        settings=tuple(_edits(memory, status)),
        learned=tuple(one.key for one in matching(changes, _PATTERNS, REASONING_BANK) if one.operation == "created"),
        recalled=_recalled(then, status),
        journal=tuple(_journal(then, changes)),
        artifacts=said(then, status, "artifacts-created"),
    )


def _agents(status: SessionStatus, changes: Sequence[Effect]) -> dict[str, dict[str, int]]:
    """Whoever has written most keys first."""
    keys = Counter(name for one in changes for name in one.agents)
    found = {name: {"commits": commits, "keys": keys[name]} for name, commits in status.agents.items()}
    return dict(sorted(found.items(), key=lambda one: (-one[1]["keys"], -one[1]["commits"], one[0])))


def _gates(then: View, status: SessionStatus, changes: Sequence[Effect]) -> Iterator[Decision]:
    """Of a gate that is complete, who had approved it."""
    planned, usual = _planned_gates(then, status), compile_glob(_GATES)
    for one in changes:
        entry = entry_of(then, one) if one.key in planned or usual.matches(one.key) else None
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
    plan = said(then, status, "plan")
    gates = plan.get("gates") if isinstance(plan, Mapping) else None
    rows = [one for one in gates if isinstance(one, Mapping)] if isinstance(gates, list) else []
    return {one["key"] for one in rows if isinstance(one.get("key"), str)}


def _conflicts(memory: Memory, first: str, last: str) -> tuple[tuple[Met, ...], tuple[Met, ...]]:
    """The records that merges made between two revisions, and those that were settled: some did both."""
    new = [one for one in memory.diff(first, last, namespace=CONFLICTS) if one.operation == "created"]
    try:
        found = memory.effect(f"{first}..{last}", namespace=CONFLICTS)
    except UnknownRevisionError:  # written on copies that met crosswise: the two have no one commit where they parted
        found = memory.effect(f"{first}..HEAD", namespace=CONFLICTS)
    gone = [one for one in found if one.after is ABSENT]
    there = {entry.key for entry in memory.at(first).search("**", namespace=CONFLICTS)} if gone else set()
    made = [_met(one) for one in new] + [_met(one) for one in gone if one.key not in there]
    return tuple(sorted(made)), tuple(_met(one) for one in gone)


def _met(one: Effect | Change) -> Met:
    record = next((value for value in (one.before, one.after) if isinstance(value, Mapping)), {})
    return Met(one.key, *(str(record.get(name) or "") for name in ("namespace", "key", "pointer")))


def _edits(memory: Memory, status: SessionStatus) -> Iterator[Edit]:
    """Oldest first; they are looked for only where gitmem.toml is not as it was before the session."""
    if _document(memory, f"{status.first}~1") == _document(memory, status.last):
        return
    records = [one for one in memory.iter_log(session=status.id) if not one.changes and len(one.parents) == 1]
    for one in reversed(records):
        if _document(memory, one.revision) != _document(memory, one.parents[0]):
            yield Edit(one.message.partition("\n")[0], one.agent, format_time(one.time))


def _document(memory: Memory, revision: str) -> Mapping[str, Any] | None:
    """What gitmem.toml said; None where it said nothing that can be read, or there was no such revision."""
    try:
        return memory.at(revision).policy.document
    except GitmemError:
        return None


def _recalled(then: View, status: SessionStatus) -> Recalled:
    noted = said(then, status, "recalled")
    found = dict(noted) if isinstance(noted, Mapping) else {}
    told = {key for key, about in found.items() if isinstance(about, Mapping) and about.get("outcome") is not None}
    return Recalled(tuple(sorted(found)), tuple(sorted(found.keys() - told)))


def _journal(then: View, changes: Sequence[Effect]) -> Iterator[JournalEntry]:
    entries = (entry_of(then, one) for one in matching(changes, journal_reading.GLOB, JOURNAL))
    found = (journal_reading.entry_of(entry) for entry in entries if entry is not None)
    yield from sorted(filter(None, found), key=lambda one: (one.time, one.key))


# --- reading


def matching(changes: Sequence[Effect], pattern: str, namespace: str | None = None) -> list[Effect]:
    """Those whose key matches a glob, in one namespace or in any."""
    glob = compile_glob(pattern)
    return [one for one in changes if namespace in (None, one.namespace) and glob.matches(one.key)]


def entry_of(view: View, one: Effect | Decision | Entry) -> Entry | None:
    """The entry at its key; None where nothing is, or no value."""
    try:
        entry: Entry | None = view.entry(one.key, None, namespace=one.namespace)
    except CorruptValueError:
        return None
    return entry


def said(view: View, status: SessionStatus, name: str) -> Any:
    """What the session says at one of its own keys; None for nothing."""
    entry = own(view, status.id, name)
    return None if entry is None else entry.value
