"""Proof from history: no task of a run began before what it waits for was there.

Knows git's history alone; trusts no clock, no log, no phase, and the plan only as the run's first commit has it.
Proved is, for every commit that says of itself that the run starts a task: the commit before it holds each key and gate
that the task waits for, in a version that the run itself brought about, a gate decided by one of its deciders when all
that it shows was there; the task wrote nothing earlier; and where the task is called done, its promises are there.
Not proved is who made a commit, nor whose work a key is: whoever may write can sign as anybody, as `gitmem-run` too. A
start that somebody forged is judged like any other, so it can make a run look worse; but a start that nobody committed,
and after which the task wrote nothing in the run's session, leaves no trace to be found. What expires was there if it
was when the commit before the start was made.
Law: nothing is left out in favour of the run: each start counts, of each attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitmem.workflow.facts import SESSIONS, Origin, plan_key, versions
from gitmem.workflow.parts import RUNNER, Plan, Task
from gitmem.workflow.ready import Snapshot, broken_promises, missing
from gitmem.workflow.record import plan_of, state_of
from gitmem.workflow.states import DONE, WORKING

if TYPE_CHECKING:
    from gitmem.entries import Version
    from gitmem.memory import Memory
    from gitmem.view import View


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a run's history that must not be: a task ("" for the run), a commit, and what is wrong."""

    task: str
    revision: str
    problem: str

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {"task": self.task, "revision": self.revision, "problem": self.problem}


@dataclass(frozen=True, slots=True)
class Start:
    """A start of a task: the commit that says so, and what it waited for: key -> the revision that was there."""

    task: str
    revision: str
    because: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {"task": self.task, "revision": self.revision, "because": self.because}


def verify(memory: Memory, session: str) -> list[Finding]:
    """What is wrong in a run's history; [] proves it. UnknownRevisionError if there is no such session."""
    history = _History(memory, session)
    return [*history.tampering(), *(finding for task in history.plan.tasks for finding in history.judge(task))]


def starts(memory: Memory, session: str) -> list[Start]:
    """Every start in a run's history, in the plan's order, oldest first, and what was there before it. As `verify`."""
    history = _History(memory, session)
    return [
        Start(task.name, start.revision, {key: facts[key].revision for key in _waited(task) if key in facts})
        for task in history.plan.tasks
        for start in history.told(task, WORKING)
        for facts in [history.before(task, start)]
    ]


class _History:
    """The history of one run."""

    def __init__(self, memory: Memory, session: str) -> None:
        self.session = session
        self.plan: Plan
        self.plan, first = plan_of(memory, session)
        self.view: View = memory.bind(namespace=self.plan.namespace)
        self.origin = Origin(self.view, session, self.plan, first)
        self._written: dict[str, list[str]] = {}
        for commit in self.view.log(session=session):
            self._written.setdefault(commit.agent, []).append(commit.revision)

    def tampering(self) -> Iterator[Finding]:
        """A plan that was changed after the run began."""
        for version in versions(self.view, plan_key(self.session), namespace=SESSIONS)[:-1]:
            done = f"the plan was {version.operation} by {version.agent} after the run began"
            yield Finding("", version.revision, done)

    def told(self, task: Task, state: str) -> list[Version]:
        """The commits of this run that gave a task this state, oldest first."""
        return [
            one
            for one in reversed(versions(self.view, task.status))
            if (one.agent, one.session) == (RUNNER, self.session) and state_of(one) == state
        ]

    def before(self, task: Task, start: Version) -> Snapshot:
        """What the task waits for, as the commit before its start has it."""
        parents = self.view.at(start.revision).log(limit=1)[0].parents
        return self.origin.facts(self.view.at(parents[0]), _waited(task))

    def judge(self, task: Task) -> Iterator[Finding]:
        """What is wrong with one task."""
        began = self.told(task, WORKING)
        for start in began:
            yield from self._early(task, start)
        yield from self._hasty(task, began)
        for done in self.told(task, DONE):
            yield from self._broken(task, began, done)

    def _early(self, task: Task, start: Version) -> Iterator[Finding]:
        if not self.origin.precedes(start.revision):
            yield Finding(task.name, start.revision, "it was started outside this run: not after its first commit")
        facts = self.before(task, start)
        for key in missing(self.plan, task, facts):
            yield Finding(task.name, start.revision, f"it was started although {self._why(key, facts)}")

    def _why(self, key: str, facts: Snapshot) -> str:
        fact, gate = facts.get(key), self.plan.gate(key)
        if fact is None:
            return f"{key} was not there"
        if not fact.fresh and key not in self.plan.given:
            return f"{key} was there only in a version of {fact.revision[:12]}, from before this run"
        if gate is not None and not self.plan.may_decide(gate, fact.agent):
            return f"gate {gate.name} was decided by {fact.agent}, who may not"
        if gate is not None and fact.unseen:
            return f"gate {gate.name} was decided by {fact.agent} before {', '.join(fact.unseen)} was there"
        return f"gate {gate.name} was not approved" if gate is not None else f"{key} was not as it is waited for"

    def _hasty(self, task: Task, began: list[Version]) -> Iterator[Finding]:
        """What a task wrote in this run before it was started."""
        for revision in self._written.get(task.name, []):
            then = {one.revision for one in versions(self.view.at(revision), task.status)}
            if not any(start.revision in then for start in began):
                yield Finding(task.name, revision, "it wrote before it was started")

    def _broken(self, task: Task, began: list[Version], done: Version) -> Iterator[Finding]:
        earlier = {one.revision for one in versions(self.view.at(done.revision), task.status)}
        first = next((start for start in began if start.revision in earlier), None)
        if first is None:
            yield Finding(task.name, done.revision, "it was called done, and had not been started")
            return
        promised = [promise.key for promise in task.stores]
        before, after = (self.origin.facts(self.view.at(one.revision), promised) for one in (first, done))
        for problem in broken_promises(task, before, after):
            yield Finding(task.name, done.revision, f"it was called done although {problem}")


def _waited(task: Task) -> list[str]:
    return [*(want.key for want in task.waits.wants), *task.gates]
