"""What a run writes to memory: its plan and phase, and the state of each task, as `gitmem-run`.

Knows keys, values and commits; decides nothing. Law: each change of a task's state is a commit; that of its start
holds only if all it waited for is as it was seen, so the start's parent is the proof.

    session/<id>/plan       the plan                                                      (namespace coordination)
    session/<id>/phase      running, done, failed, interrupted
    swarm/<task>/status     {"state": …}, with waiting_for, attempt, reason and exit where they say something
                            (blocked and ready are the two ways to wait; namespace of the plan)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gitmem.entries import Entry
from gitmem.errors import ConflictError, GitmemError, KeyExistsError, UnknownRevisionError, typed
from gitmem.globs import escape
from gitmem.workflow.facts import SESSIONS, Origin, entry_of, phase_key, plan_key, versions
from gitmem.workflow.outcome import RUNNING
from gitmem.workflow.parts import RUNNER, Plan, Task
from gitmem.workflow.ready import Fact, missing
from gitmem.workflow.states import WAITING, WORKING

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.view import View

BLOCKED, READY = "blocked", "ready"


class Standing(NamedTuple):
    """What the history says of a task in a run: its last state, how often it was started, the first start's commit."""

    state: str = WAITING
    attempt: int = 0
    started: str | None = None
    reason: str = ""
    exit: int | None = None


class Record:
    """The record of one run."""

    def __init__(self, memory: Memory, session: str, plan: Plan, first: str) -> None:
        """Use `begin` or `find`. `first` is the revision of the run's first commit."""
        self.memory = memory.bind(agent=RUNNER, session=session, namespace=plan.namespace)
        self.session = session
        self.plan = plan
        self.origin = Origin(self.memory, session, plan, first)

    @classmethod
    def begin(cls, memory: Memory, session: str, plan: Plan) -> Record | None:
        """The first commit of a run, which takes away what earlier ones left; None if the session's name is taken."""
        mine = memory.bind(agent=RUNNER, session=session, namespace=plan.namespace)
        given = {key: entry for key in plan.given if (entry := entry_of(mine, key)) is not None}
        facts = {key: Fact(one.value, one.revision, one.agent, False) for key, one in given.items()}
        try:
            with mine.transaction(f"run {plan.name}") as tx:
                tx.create(plan_key(session), plan.to_json(), namespace=SESSIONS)
                tx.store(phase_key(session), RUNNING, namespace=SESSIONS)
                for key in _owned(plan, False):
                    tx.delete_matching(escape(key))
                for task in plan.tasks:
                    tx.store(task.status, waiting_value(missing(plan, task, facts)))
        except KeyExistsError:
            return None
        return cls(memory, session, plan, mine.entry(plan_key(session), namespace=SESSIONS).revision)

    @classmethod
    def find(cls, memory: Memory, session: str) -> Record:
        """The record of a run that has begun. UnknownRevisionError if there is none."""
        plan, first = plan_of(memory, session)
        return cls(memory, session, plan, first)

    def again(self, waiting: Mapping[str, list[str]]) -> None:
        """The commit with which a run goes on: these tasks wait, for what is named."""
        with self.memory.transaction(f"resume {self.plan.name}") as tx:
            tx.store(phase_key(self.session), RUNNING, namespace=SESSIONS)
            for name, keys in waiting.items():
                tx.store(self.plan.task(name).status, waiting_value(keys))

    def working(self, task: Task, attempt: int, because: Iterable[Entry]) -> None:
        """A task starts. StaleError, and it must not, if one of the entries that it waited for has changed."""
        with self.memory.transaction(f"start {task.name}") as tx:
            for entry in because:
                tx.expect(entry.key, entry)
            tx.store(task.status, {"state": WORKING, "attempt": attempt})

    def over(self, task: Task, state: str, *, attempt: int, reason: str = "", exit: int | None = None) -> None:
        """A task's attempt is over, or will never be."""
        value: dict[str, Any] = {"state": state}
        value |= {"attempt": attempt} if attempt else {}
        value |= {"reason": reason} if reason else {}
        value |= {"exit": exit} if exit is not None else {}
        self.memory.store(task.status, value, message=f"{state} {task.name}")

    def waiting(self, waiting: Mapping[str, list[str]]) -> None:
        """Tasks wait for something else than they did: one commit for all of them."""
        with self.memory.transaction(f"waiting in {self.plan.name}") as tx:
            for name, keys in waiting.items():
                tx.store(self.plan.task(name).status, waiting_value(keys))

    def phase(self, phase: str) -> None:
        """How far the run is."""
        message = f"{phase} {self.plan.name}"
        self.memory.store(phase_key(self.session), phase, message=message, namespace=SESSIONS)

    def says(self, task: Task, state: str) -> bool:
        """Whether the memory says that a task of this run is in this state."""
        entry = entry_of(self.memory, task.status)
        mine = entry is not None and (entry.agent, entry.session) == (RUNNER, self.session)
        return entry is not None and mine and state_of(entry) == state

    def standings(self) -> dict[str, Standing]:
        """Where each task stands, by the commits of this run alone.

        ConflictError if a later run has begun with one of their keys: it took away what was stored there.
        """
        return {task.name: self._standing(task) for task in self.plan.tasks}

    def _standing(self, task: Task) -> Standing:
        told = [one for one in versions(self.memory, task.status) if one.agent == RUNNER]
        if told and told[0].session not in (self.session, None):
            self._check_later(str(told[0].session))
        states = [(state_of(one), one) for one in told if one.session == self.session]
        starts = [one for state, one in states if state == WORKING]
        if not states:
            return Standing()
        value = states[0][1].value if isinstance(states[0][1].value, Mapping) else {}
        return Standing(
            states[0][0],
            attempt=len(starts),
            started=starts[-1].revision if starts else None,
            reason=str(value.get("reason", "")),
            exit=code if isinstance(code := value.get("exit"), int) else None,
        )

    def _check_later(self, session: str) -> None:
        try:
            lost = contested(self.plan, plan_of(self.memory, session)[0])
        except UnknownRevisionError:
            return
        if lost:
            raise ConflictError(
                f"a later run, {session}, has begun and taken away {lost[0]!r}",
                hint=f"go on with that one, `gitmem run --resume {typed(session)}`, or run the plan anew",
                namespace=self.plan.namespace,
                key=lost[0],
            )


def contested(mine: Plan, other: Plan, *, statuses: bool = False) -> list[str]:
    """The keys that a run of one plan takes away from a run of another; with `statuses`, also those it overwrites."""
    if mine.namespace != other.namespace:
        return []
    taken = set(_owned(other, statuses))
    return [key for key in _owned(mine, statuses) if key in taken]


def _owned(plan: Plan, statuses: bool) -> list[str]:
    owned = [promise.key for task in plan.tasks for promise in task.stores] + [gate.key for gate in plan.gates]
    return [key for key in owned if key not in plan.given] + [task.status for task in plan.tasks if statuses]


def waiting_value(keys: list[str]) -> dict[str, Any]:
    """The status of a task that waits for these; for none, but a free place."""
    return {"state": BLOCKED, "waiting_for": keys[0]} if keys else {"state": READY}


def state_of(status: Entry) -> str:
    """The state that one of a run's commits gave a task; blocked and ready are waiting."""
    said = status.value.get("state") if isinstance(status.value, Mapping) else None
    return WAITING if said in (BLOCKED, READY) or not isinstance(said, str) else said


def plan_of(view: View, session: str) -> tuple[Plan, str]:
    """The plan of a session as its run began, and the revision of the run's first commit.

    UnknownRevisionError if there is none. What was done to the plan's key later does not count.
    """
    try:
        began = versions(view, plan_key(session), namespace=SESSIONS)[-1]
        return Plan.from_json(began.value), began.revision
    except (IndexError, GitmemError, KeyError, TypeError, ValueError) as error:
        raise UnknownRevisionError(
            f"there is no run {session!r} in this memory",
            hint="`gitmem search 'session/*/phase' -n coordination` shows the runs",
            revision=session,
        ) from error
