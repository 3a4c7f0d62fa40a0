"""What may start, what never can any more, and which promise was broken: decisions on a plan and what is there.

Knows the plan, a snapshot of its keys and the states of its tasks; does not know where they come from.
Law: a task may start once nothing is missing, and a missing key stops it only if nobody is left who could bring it: a
task at work, one that may itself still start, somebody outside for what is given, a person for a gate. What is there
stops nobody, whatever became of the task that stored it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

from gitmem.recipes.gate import feedback_text, state_of
from gitmem.recipes.gate_table import NOTHING, OPEN, PENDING, REJECTED
from gitmem.recipes.handoff import lacks
from gitmem.workflow.order import Order, order
from gitmem.workflow.parts import Plan, PlannedGate, Promise, Task, Want
from gitmem.workflow.states import DONE, FAILED, WAITING, WORKING


class Fact(NamedTuple):
    """A key that is there: who stored this version of it, and whether it is `fresh`, newer than the run's beginning.

    `unseen` are the keys that a gate shows and that were not there yet when it was decided: then it is no decision.
    """

    value: Any
    revision: str
    agent: str
    fresh: bool
    unseen: tuple[str, ...] = ()


Snapshot: TypeAlias = Mapping[str, Fact]
"""The keys of a plan that are there; a key that is absent is not in it."""


def missing(plan: Plan, task: Task, snapshot: Snapshot) -> list[str]:
    """The keys and gates that a task still waits for, in the order of the plan; [] if it may start.

    Of `any` all are missing until one is there.
    """
    return _missing(_Look(plan, snapshot), task)


def ready(plan: Plan, snapshot: Snapshot, states: Mapping[str, str]) -> list[str]:
    """The tasks that wait and may start now, in the plan's order. A task of which `states` is silent waits."""
    look = _Look(plan, snapshot)
    return [task.name for task in _waiting(plan, states) if not _missing(look, task)]


def stopped(plan: Plan, snapshot: Snapshot, states: Mapping[str, str]) -> dict[str, str]:
    """The tasks that wait and can never start, with the reason.

    `snapshot` has to be at least as new as `states`: what a task stored that is called done has to be in it.
    """
    look = _Look(plan, snapshot)
    alive = {task.name for task in plan.tasks if states.get(task.name) == WORKING}
    rest = [task for task in look.ways.forwards if states.get(task.name, WAITING) == WAITING]
    before = -1
    while len(alive) > before:  # on the way forwards nearly all are found at once
        before = len(alive)
        for task in rest:
            if task.name not in alive and next(_hopeless(look, task, alive), None) is None:
                alive.add(task.name)
    lost = [task for task in _waiting(plan, states) if task.name not in alive]
    return {task.name: _reason(look, next(_hopeless(look, task, alive)), states) for task in lost}


def broken_promises(task: Task, before: Snapshot, after: Snapshot) -> list[str]:
    """What a task that has ended promised and did not do, each as a sentence; [] if it kept its word.

    A key has to be there in another version than `before` the task began, since its value may be an earlier one's.
    """
    return [problem for promise in task.stores for problem in _broken(promise, before, after)]


def gate_state(plan: Plan, key: str, snapshot: Snapshot) -> str:
    """The state of a gate as far as it counts in this run: what was said before it began, or decided before all that
    it shows was there, is nothing, and a decision of somebody who may not decide is pending.
    """
    return _Look(plan, snapshot).gate(key)


# --- what is there


class _Look:
    """One snapshot, through the eyes of a plan."""

    def __init__(self, plan: Plan, snapshot: Snapshot) -> None:
        self.plan = plan
        self.ways: Order = order(plan)
        self._snapshot = snapshot

    def fact(self, key: str) -> Fact | None:
        """What counts at a key: something given counts whenever it was stored, anything else if it is fresh."""
        fact = self._snapshot.get(key)
        counts = fact is not None and (fact.fresh or self.ways.given(key)) and not fact.unseen
        return fact if counts else None

    def met(self, want: Want) -> bool:
        fact = self.fact(want.key)
        return fact is not None and (want.until is None or _test(want.until)(fact))

    def gate(self, key: str) -> str:
        fact = self.fact(key)
        state = None if fact is None else state_of(fact.value)
        if fact is None or state is None:
            return NOTHING
        asked = self.plan.gate(key)
        return state if asked is None or self.plan.may_decide(asked, fact.agent) else PENDING


@lru_cache(256)
def _test(until: str) -> Callable[[Fact], bool]:
    from gitmem.watch.waiting import holds

    test = cast("Callable[[Any], object]", holds(until))  # it reads the value alone, which a fact has too
    return lambda fact: bool(test(fact))


def _waiting(plan: Plan, states: Mapping[str, str]) -> list[Task]:
    return [task for task in plan.tasks if states.get(task.name, WAITING) == WAITING]


def _missing(look: _Look, task: Task) -> list[str]:
    wants = task.waits.wants
    absent = [want.key for want in wants if not look.met(want)]
    if task.waits.how == "any" and len(absent) < len(wants):
        absent = []
    return absent + [key for key in task.gates if look.gate(key) not in OPEN]


# --- what can still come


class _Lost(NamedTuple):
    """A key, or a gate, that nobody is left to bring."""

    key: str
    gate: bool = False


def _hopeless(look: _Look, task: Task, alive: Set[str]) -> Iterator[_Lost]:
    """What a task waits for in vain, if only those who are `alive` will ever do anything."""
    wants = [want.key for want in task.waits.wants if not look.met(want)]
    lost = [_Lost(key) for key in wants if not _may_come(look, key, alive)]
    if task.waits.how == "all" or len(lost) == len(task.waits.wants):
        yield from lost
    for key in task.gates:
        if look.gate(key) not in OPEN and not _may_open(look, key, alive):
            yield _Lost(key, gate=True)


def _may_come(look: _Look, key: str, alive: Set[str]) -> bool:
    if look.ways.given(key) or not alive.isdisjoint(look.ways.origins(key)):
        return True
    return look.plan.gate(key) is not None and _may_open(look, key, alive)


def _may_open(look: _Look, key: str, alive: Set[str]) -> bool:
    """Whether a gate that is not open can still be opened."""
    if not alive.isdisjoint(look.ways.origins(key)):
        return True
    if look.gate(key) == REJECTED:
        return False
    asked = look.plan.gate(key)
    if asked is None:
        return look.ways.given(key)
    if not alive.isdisjoint(asked.deciders):
        return True
    return look.ways.outsiders_decide(asked) and _may_be_asked(look, asked, alive)


def _may_be_asked(look: _Look, gate: PlannedGate, alive: Set[str]) -> bool:
    """Whether people will ever hear of a gate."""
    if look.fact(gate.key) is not None:
        return True
    return all(look.fact(key) is not None or _may_come(look, key, alive) for key in gate.shows)


def _reason(look: _Look, lost: _Lost, states: Mapping[str, str]) -> str:
    if not lost.gate:
        return f"{lost.key} cannot come any more: {_whose(look, lost.key, states)}"
    fact, asked = look.fact(lost.key), look.plan.gate(lost.key)
    name = asked.name if asked else lost.key
    if fact is not None and look.gate(lost.key) == REJECTED:
        said = fact.value.get("feedback") if isinstance(fact.value, dict) else None
        return f"gate {name} was rejected by {fact.agent}{'' if said is None else f': {feedback_text(said)}'}"
    if fact is not None or asked is None:
        return f"gate {name} cannot be decided any more: {_whose(look, lost.key, states)}"
    absent = next((key for key in asked.shows if look.fact(key) is None), None)
    if absent is None:
        return f"gate {name} cannot be decided any more: {_told(asked.deciders, states)}"
    return f"gate {name} cannot be asked: {absent} cannot come any more: {_whose(look, absent, states)}"


def _whose(look: _Look, key: str, states: Mapping[str, str]) -> str:
    asked = look.plan.gate(key)
    return _told(asked.deciders if asked else look.ways.origins(key), states)


def _told(tasks: Any, states: Mapping[str, str]) -> str:
    """What became of those who could have brought something."""
    ends = {DONE: "is done, and it is not as it is wanted", FAILED: "failed"}
    told = [f"{task} {ends.get(states.get(task, WAITING), 'cannot start')}" for task in tasks]
    return ", ".join(told) or "nobody brings it"


# --- promises


def _broken(promise: Promise, before: Snapshot, after: Snapshot) -> Iterator[str]:
    from gitmem.contracts import problems
    from gitmem.policy import Contract

    fact, earlier = after.get(promise.key), before.get(promise.key)
    if fact is None:
        yield f"{promise.key} was promised and is not there"
    elif earlier is not None and earlier.revision == fact.revision:
        yield f"{promise.key} was promised and was not stored: what is there is older than the task"
    else:
        if wanting := lacks(fact.value, promise.requires):
            yield f"{promise.key} lacks {', '.join(wanting)}"
        if promise.schema is not None:
            bound = [Contract("**", None, promise.schema)]
            yield from (f"{promise.key} breaks its schema: {problem}" for problem in problems(bound, fact.value))
