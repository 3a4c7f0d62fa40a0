"""Decisions of a run: what may start, what never can, what was promised; against a slow reference on random plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem.workflow.parts import HUMAN, Plan, PlannedGate, Promise, Task, Waits, Want, status_key
from gitmem.workflow.ready import Fact, broken_promises, gate_state, missing, ready, stopped
from gitmem.workflow.states import DONE, ENDED, FAILED, STOPPED, WAITING, WORKING
from tests.plans import WELL, plans

GOOD, BAD = {WELL: True}, {WELL: False}


class World:
    """A run as its slow reference sees it: what is there, who is in which state, and what each may do next."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.facts: dict[str, Fact] = {key: self._fact(GOOD, "outside", fresh=False) for key in plan.given}
        self.states = {task.name: WAITING for task in plan.tasks}

    @staticmethod
    def _fact(value: Any, agent: str, *, fresh: bool = True) -> Fact:
        return Fact(value, "0" * 40, agent, fresh)

    def copy(self) -> World:
        other = World(self.plan)
        other.facts, other.states = dict(self.facts), dict(self.states)
        return other

    # what is there

    def counts(self, key: str) -> Fact | None:
        fact = self.facts.get(key)
        if fact is None or not (fact.fresh or key in self.plan.given):
            return None
        return fact

    def met(self, want: Want) -> bool:
        fact = self.counts(want.key)
        return fact is not None and (want.until is None or fact.value.get(WELL) is True)

    def opened(self, key: str) -> bool:
        fact = self.counts(key)
        return fact is not None and fact.value.get("state") == "approved" and self.may_decide(key, fact.agent)

    def rejected(self, key: str) -> bool:
        fact = self.counts(key)
        return fact is not None and fact.value.get("state") == "rejected" and self.may_decide(key, fact.agent)

    def may_decide(self, key: str, agent: str) -> bool:
        gate = next(gate for gate in self.plan.gates if gate.key == key)
        tasks = {task.name for task in self.plan.tasks}
        person = agent not in tasks and agent not in ("a", "gitmem-run")
        return gate.deciders == () or agent in gate.deciders or (HUMAN in gate.deciders and person)

    def may_start(self, task: Task) -> bool:
        met = [self.met(want) for want in task.waits.wants]
        enough = any(met) or not met if task.waits.how == "any" else all(met)
        return self.states[task.name] == WAITING and enough and all(map(self.opened, task.gates))

    def able(self) -> list[str]:
        return [task.name for task in self.plan.tasks if self.may_start(task)]

    # what happens

    def store(self, key: str, value: Any, agent: str) -> None:
        self.facts[key] = self._fact(value, agent)

    def start(self, name: str) -> None:
        self.states[name] = WORKING
        self.store(status_key(name), BAD, "gitmem-run")

    def succeed(self, name: str) -> None:
        for key in self.plan.task(name).writes:
            self.store(key, GOOD, name)
        for gate in self.plan.gates:
            if name in gate.deciders and not self.rejected(gate.key):
                self.store(gate.key, {"state": "approved"}, name)
        self.store(status_key(name), GOOD, "gitmem-run")
        self.states[name] = DONE

    def fail(self, name: str, stored: list[str]) -> None:
        for key in stored:
            self.store(key, BAD, name)
        self.store(status_key(name), BAD, "gitmem-run")
        self.states[name] = FAILED

    def askable(self) -> list[PlannedGate]:
        """The gates that the run would ask now."""
        return [
            gate
            for gate in self.plan.gates
            if self.counts(gate.key) is None and all(self.counts(key) is not None for key in gate.shows)
        ]

    def ask(self, gate: PlannedGate) -> None:
        self.store(gate.key, {"state": "pending"}, "gitmem-run")

    def pending(self) -> list[tuple[PlannedGate, str]]:
        """The gates that wait for somebody outside, and who may decide."""
        return [
            (gate, agent)
            for gate in self.plan.gates
            for agent in ("eve", "adam")
            if (fact := self.counts(gate.key)) is not None and fact.value.get("state") == "pending"
            if self.may_decide(gate.key, agent)
        ]

    def best(self) -> World:
        """How far it can still come if from now on everybody does all he can, and approves."""
        world = self.copy()
        moved = True
        while moved:
            moved = False
            for key in self.plan.given:
                world.facts[key] = self._fact(GOOD, "outside")
            for gate in world.askable():
                world.ask(gate)
                moved = True
            for gate, agent in world.pending():
                world.store(gate.key, {"state": "approved"}, agent)
                moved = True
            for name in world.able():
                world.start(name)
            for name in [name for name, state in world.states.items() if state == WORKING]:
                world.succeed(name)
                moved = True
        return world


def moves(world: World) -> list[tuple[str, Callable[[Any], None]]]:
    """What may happen next; each takes hypothesis' data."""
    found: list[tuple[str, Callable[[Any], None]]] = []
    for name in world.able():
        found.append(("start", lambda data, name=name: world.start(name)))
    for name in [name for name, state in world.states.items() if state == WORKING]:
        written = list(world.plan.task(name).writes)
        found.append(("succeed", lambda data, name=name: world.succeed(name)))
        found.append(("fail", lambda data, name=name, written=written: world.fail(name, data.draw(subset(written)))))
    for gate in world.askable():
        found.append(("ask", lambda data, gate=gate: world.ask(gate)))
    for gate, agent in world.pending():
        for state in ("approved", "rejected"):
            value = {"state": state, "feedback": "so be it"}
            found.append((state, lambda data, at=gate.key, value=value, by=agent: world.store(at, value, by)))
    return found


def subset(of: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(of), unique=True) if of else st.just([])


def stop(world: World) -> dict[str, str]:
    """As a runner does: what can never start is stopped."""
    reasons = stopped(world.plan, world.facts, world.states)
    for name in reasons:
        world.states[name] = STOPPED
    return reasons


@given(plans(), st.data())
def test_a_task_may_start_exactly_when_all_that_it_waits_for_is_there(plan: Plan, data: Any) -> None:
    """Whatever has happened so far; what is missing is named, and nothing else is."""
    world = World(plan)
    for _ in range(data.draw(st.integers(0, 12))):
        assert ready(plan, world.facts, world.states) == world.able()
        for task in plan.tasks:
            absent = missing(plan, task, world.facts)
            if world.states[task.name] == WAITING:
                assert (not absent) == world.may_start(task)
            known = {want.key for want in task.waits.wants if not world.met(want)}
            assert set(absent) <= known | {key for key in task.gates if not world.opened(key)}
        if not (able := moves(world)):
            break
        data.draw(st.sampled_from(able))[1](data)


@given(plans(), st.data())
def test_a_plan_whose_tasks_all_succeed_ends_with_all_of_them_done(plan: Plan, data: Any) -> None:
    """In whatever order they end and gates are decided; nothing is ever stopped on the way."""
    world = World(plan)
    while True:
        assert stopped(plan, world.facts, world.states) == {}
        able = [move for move in moves(world) if move[0] not in ("fail", "rejected")]
        if not able:
            break
        data.draw(st.sampled_from(able))[1](data)
    assert set(world.states.values()) == {DONE}


@given(plans(), st.data())
def test_what_is_stopped_is_exactly_what_nothing_can_bring_any_more(plan: Plan, data: Any) -> None:
    """Tasks fail, having stored some of what they promised, and gates are rejected: of the others each that can still
    be had is left alone, and at the end nobody waits for ever."""
    world = World(plan)
    while True:
        possible = world.best().states
        reasons = stopped(plan, world.facts, world.states)
        lost = {name for name, state in world.states.items() if state == WAITING and possible[name] == WAITING}
        assert reasons.keys() == lost
        assert all(reasons.values())
        assert not set(ready(plan, world.facts, world.states)) & lost
        if data.draw(st.booleans()):
            stop(world)
        if not (able := moves(world)):
            break
        data.draw(st.sampled_from(able))[1](data)
    stop(world)
    assert set(world.states.values()) <= ENDED


# --- by hand

CHAIN = Plan(
    "p",
    tasks=(
        Task("first", "a", stores=(Promise("k"),)),
        Task("second", "a", waits=Waits("all", (Want("k"),)), stores=(Promise("l"),)),
        Task("third", "a", waits=Waits("all", (Want("l"),))),
        Task("apart", "a", stores=(Promise("m"),)),
    ),
)


def fact(value: Any, *, agent: str = "x", fresh: bool = True, revision: str = "1" * 40) -> Fact:
    return Fact(value, revision, agent, fresh)


def test_a_failure_stops_what_depends_on_it_and_nothing_else() -> None:
    """The reason names the key and what became of whoever should have brought it."""
    assert stopped(CHAIN, {}, {"first": FAILED}) == {
        "second": "k cannot come any more: first failed",
        "third": "l cannot come any more: second cannot start",
    }
    assert stopped(CHAIN, {"k": fact(1)}, {"first": FAILED}) == {}, "what is there stops nobody"
    assert stopped(CHAIN, {}, {"first": WAITING}) == stopped(CHAIN, {}, {}) == {}, "it is tried again"


def test_an_earlier_run_starts_nothing() -> None:
    """Its results are there, and look like ours."""
    old = {"k": fact(1, fresh=False)}
    assert missing(CHAIN, CHAIN.task("second"), old) == ["k"]
    assert missing(CHAIN._replace(given=("k",)), CHAIN.task("second"), old) == []
    assert stopped(CHAIN, old, {"first": FAILED}).keys() == {"second", "third"}


def test_a_key_that_stays_other_than_wanted_stops_who_wants_it() -> None:
    """Its only writer has ended: nobody is left who could mend it."""
    plan = CHAIN._replace(tasks=(CHAIN.tasks[0], CHAIN.tasks[1]._replace(waits=Waits("all", (Want("k", "done"),)))))
    there = {"k": fact({"done": False})}
    assert stopped(plan, there, {"first": WORKING}) == {}
    assert stopped(plan, there, {"first": DONE}) == {
        "second": "k cannot come any more: first is done, and it is not as it is wanted"
    }
    assert stopped(plan._replace(given=("k",)), there, {"first": DONE}) == {}, "somebody outside may change it"


def test_a_condition_that_makes_no_sense_of_a_value_is_not_met() -> None:
    """Agents store what they like."""
    task = Task("t", "a", waits=Waits("all", (Want("k", "length(@) > `1`"),)))
    plan = Plan("p", given=("k",), tasks=(task,))
    for value, there in ((5, False), (None, False), ("ab", True), ([1], False), ({"a": 1, "b": 2}, True)):
        assert (missing(plan, task, {"k": fact(value)}) == []) is there, value


GATE = PlannedGate("g", "checkpoint/gates/g", ("k",), (HUMAN,))
GATED = Plan(
    "p",
    tasks=(Task("first", "a", stores=(Promise("k"),)), Task("second", "a", gates=(GATE.key,))),
    gates=(GATE,),
)


@pytest.mark.parametrize(
    ("value", "agent", "state"),
    [
        ("approved", "eve", "approved"),
        ("true", "eve", "approved"),
        ({"state": "complete"}, "eve", "complete"),
        ("approved", "first", "pending"),
        ("rejected", "gitmem-run", "pending"),
        (False, "eve", "rejected"),
        ("pending-approval", "first", "pending"),
        ("who knows", "eve", "nothing"),
    ],
)
def test_a_gate_is_decided_by_whoever_may(value: Any, agent: str, state: str) -> None:
    """And by nobody else, neither for it nor against it."""
    there = {GATE.key: fact(value, agent=agent)}
    assert gate_state(GATED, GATE.key, there) == state
    assert (missing(GATED, GATED.task("second"), there) == []) is (state in ("approved", "complete"))
    assert ("second" in stopped(GATED, there, {})) is (state == "rejected")


def test_a_decision_of_an_earlier_run_is_none() -> None:
    """Neither a yes nor a no."""
    for word in ("approved", "rejected"):
        there = {GATE.key: fact(word, agent="eve", fresh=False)}
        assert gate_state(GATED, GATE.key, there) == "nothing"
        assert stopped(GATED, there, {}) == {}


def test_a_rejection_tells_who_and_why() -> None:
    """Whoever planned it wants to know what to mend."""
    there = {GATE.key: fact({"state": "rejected", "feedback": "no rollback"}, agent="eve")}
    assert stopped(GATED, there, {}) == {"second": "gate g was rejected by eve: no rollback"}
    assert stopped(GATED, {GATE.key: fact("rejected", agent="eve")}, {}) == {"second": "gate g was rejected by eve"}


def test_a_rejection_stops_nobody_while_somebody_may_still_resubmit() -> None:
    """A task at work that writes the gate itself."""
    plan = GATED._replace(tasks=(GATED.tasks[0]._replace(changes=(GATE.key,)), GATED.tasks[1]))
    there = {GATE.key: fact("rejected", agent="eve")}
    assert stopped(plan, there, {"first": WORKING}) == {}
    assert stopped(plan, there, {"first": DONE}).keys() == {"second"}


def test_a_gate_that_can_never_be_asked_or_decided_stops_who_waits_for_it() -> None:
    """What it shows will not come, or those who decide have ended."""
    assert stopped(GATED, {}, {"first": FAILED}) == {
        "second": "gate g cannot be asked: k cannot come any more: first failed"
    }
    assert stopped(GATED, {GATE.key: fact("pending")}, {"first": FAILED}) == {}, "it was asked in time"
    decided = GATED._replace(gates=(GATE._replace(deciders=("first",)),))
    there = {"k": fact(1), GATE.key: fact("pending")}
    assert stopped(decided, there, {"first": DONE}) == {
        "second": "gate g cannot be decided any more: first is done, and it is not as it is wanted"
    }


def test_whoever_waits_for_a_gate_to_say_something_waits_as_long_as_it_may() -> None:
    """As for its approval: a task that reads the state itself, `until` it is as it wants."""
    plan = GATED._replace(tasks=(GATED.tasks[0], Task("second", "a", waits=Waits("all", (Want(GATE.key, "state"),)))))
    assert stopped(plan, {}, {"first": WORKING}) == {}
    assert stopped(plan, {GATE.key: fact("pending")}, {"first": DONE}) == {}
    assert stopped(plan, {}, {"first": FAILED}).keys() == {"second"}


# --- promises

PROMISING = Task("t", "a", stores=(Promise("k", ("a", "/b/0")), Promise("l", (), '{"type": "object"}')))


@pytest.mark.parametrize(
    ("before", "after", "broken"),
    [
        ({}, {"k": fact({"a": None, "b": [1]}), "l": fact({})}, []),
        ({}, {}, ["k was promised and is not there", "l was promised and is not there"]),
        ({}, {"k": fact({"b": []}), "l": fact({})}, ["k lacks a, /b/0"]),
        ({}, {"k": fact("text"), "l": fact({})}, ["k lacks a, /b/0"]),
        ({}, {"k": fact({"a": 1, "b": [1]}), "l": fact([])}, ['l breaks its schema: [] is not of type "object"']),
        (
            {"l": fact({})},
            {"k": fact({"a": 1, "b": [1]}), "l": fact({})},
            ["l was promised and was not stored: what is there is older than the task"],
        ),
        ({"l": fact({})}, {"k": fact({"a": 1, "b": [1]}), "l": fact({}, revision="2" * 40)}, []),
    ],
)
def test_a_promise_is_kept_by_a_version_of_its_own_that_holds_what_was_promised(
    before: dict[str, Fact], after: dict[str, Fact], broken: list[str]
) -> None:
    """A task that exits with 0 and left something out has failed, with a reason."""
    assert broken_promises(PROMISING, before, after) == broken
