"""What a run goes by: the keys of its plan as they stand, and which of them are of this run.

Knows how to read a memory; decides nothing. Law: a version is fresh if and only if its commit comes after the run's
first one: whatever an earlier run left, a slow clock says, or a merge brings in from before, does not count. And who
decides at a gate decides on what it shows: what was not there in the decision's own commit was not seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gitmem.entries import Entry, Version
from gitmem.errors import CorruptValueError, MissingKeyError, UnknownRevisionError
from gitmem.keys import COORDINATION
from gitmem.provenance import session_folder
from gitmem.recipes.gate_table import DECIDED, state_of
from gitmem.workflow.parts import RUNNER, Plan
from gitmem.workflow.ready import Fact, Snapshot

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.view import View

SESSIONS = COORDINATION
"""The namespace in which runs are recorded."""


def plan_key(session: str) -> str:
    """The key at which a run's plan stands; the run's first commit makes it, and nobody changes it."""
    return f"{session_folder(session)}plan"


def phase_key(session: str) -> str:
    """The key that says how far a run is."""
    return f"{session_folder(session)}phase"


def keys_of(plan: Plan) -> list[str]:
    """The keys that matter to a plan: waited for, promised, shown, and gates."""
    found = [want.key for task in plan.tasks for want in task.waits.wants]
    found += [key for task in plan.tasks for key in (*task.gates, *(promise.key for promise in task.stores))]
    found += [key for gate in plan.gates for key in (gate.key, *gate.shows)]
    return list(dict.fromkeys(found))


class Origin:
    """A run's first commit, and whether other commits come after it."""

    def __init__(self, view: View, session: str, plan: Plan, first: str) -> None:
        """`first` is the revision at which the plan of this session was made; the view is bound to its namespace."""
        self._view = view
        self._plan = plan
        self._key = plan_key(session)
        self._known: dict[str, bool] = {first: False}
        self.first = first

    def precedes(self, revision: str) -> bool:
        """Whether the run's first commit is an ancestor: exactly then it is a version of the plan's key there."""
        known = self._known.get(revision)
        if known is None:
            made = versions(self._view.at(revision), self._key, namespace=SESSIONS)
            known = self._known[revision] = any(one.revision == self.first for one in made)
        return known

    def fact(self, entry: Entry) -> Fact:
        """What the plan's decisions are made on."""
        fresh = self.precedes(entry.revision)
        return Fact(entry.value, entry.revision, entry.agent, fresh, self._unseen(entry) if fresh else ())

    def facts(self, view: View, keys: Iterable[str]) -> Snapshot:
        """The facts of a snapshot of the past, of the view's namespace."""
        entries = {key: entry_of(view, key) for key in keys}
        return {key: self.fact(entry) for key, entry in entries.items() if entry is not None}

    def _unseen(self, entry: Entry) -> tuple[str, ...]:
        """What a gate shows that was not there when it was decided, or when the run asked it or took it back."""
        gate = self._plan.gate(entry.key)
        if gate is None or not (state_of(entry.value) in DECIDED or entry.agent == RUNNER):
            return ()
        then = self._view.at(entry.revision)
        return tuple(key for key in gate.shows if not self._was_there(then, key))

    def _was_there(self, then: View, key: str) -> bool:
        entry = entry_of(then, key)
        return entry is not None and (key in self._plan.given or self.precedes(entry.revision))


class Facts:
    """The plan's keys as they stand now; `look` brings them up to date and reads only what has changed."""

    def __init__(self, memory: Memory, plan: Plan, origin: Origin) -> None:
        """`memory` is bound to the plan's namespace."""
        self._memory = memory
        self._origin = origin
        self._keys = frozenset(keys_of(plan))
        self._seen = ""
        self.entries: dict[str, Entry] = {}
        self.snapshot: dict[str, Fact] = {}

    def look(self) -> bool:
        """Read what may have changed; whether anything has. The keys may be of neighbouring snapshots."""
        head = self._memory.snapshot
        if head == self._seen:
            changed: Iterable[str] = self._passing()
        else:
            changed = self._changed(head)
            self._seen = head
        news = False
        for key in changed:
            entry = entry_of(self._memory, key)
            known = self.entries.get(key)
            if entry is None:
                news |= self.entries.pop(key, None) is not None
                self.snapshot.pop(key, None)
            else:
                self.entries[key] = entry
                if known is None or known.revision != entry.revision:
                    self.snapshot[key] = self._origin.fact(entry)
                    news = True
        return news

    def forget(self) -> None:
        """Believe nothing: the next look reads everything."""
        self._seen = ""

    def seconds(self) -> float | None:
        """How long until something expires; None if nothing does."""
        instants = [entry.expires for entry in self.entries.values() if entry.expires is not None]
        return max(0.0, (min(instants) - self._memory.clock()).total_seconds()) if instants else None

    def _passing(self) -> set[str]:
        return {key for key, entry in self.entries.items() if entry.expires is not None}

    def _changed(self, head: str) -> Iterable[str]:
        if not self._seen:
            return self._keys
        try:
            changes = self._memory.diff(self._seen, head, namespace=self._memory.namespace)
        except UnknownRevisionError:  # somebody rewrote the history, and what was there is gone
            return self._keys
        return self._keys.intersection(change.key for change in changes) | self._passing()


def versions(view: View, key: str, *, namespace: str | None = None) -> list[Version]:
    """The versions of a key, newest first; [] if there never was one."""
    try:
        return view.history(key, namespace=namespace)
    except MissingKeyError:
        return []


def entry_of(view: View, key: str) -> Entry | None:
    """A key's entry; None if it is absent, or its file is no value: nobody can go by that."""
    try:
        entry: Entry | None = view.entry(key, None)
    except CorruptValueError:
        return None
    return entry
