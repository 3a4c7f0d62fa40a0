"""Whether the parts of a plan fit together: what one waits for has to come from another.

Knows the plan as it was read; does not know its text: a problem names a part, and the draft knows its line.
Law: a plan without problems can be run to its end if every task does what it promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from gitmem.workflow.order import Order, Wait
from gitmem.workflow.parts import Plan, Task, status_key
from gitmem.workflow.reading import near

MOST_CIRCLES = 20


class Misfit(NamedTuple):
    """A part that does not fit, by the name under which the draft keeps its place, and why."""

    part: tuple[object, ...]
    reason: str


def misfits(plan: Plan) -> Iterator[Misfit]:
    """What does not fit, check by check."""
    ways = Order(plan)
    for check in _CHECKS:
        yield from check(plan, ways)


def _who(task: Task) -> str:
    return f"task {task.name!r}" if task.name else "a task"


def _names(plan: Plan, ways: Order) -> Iterator[Misfit]:
    """Each task and each gate has a name of its own."""
    for kind, names in (("task", [task.name for task in plan.tasks]), ("gate", [gate.key for gate in plan.gates])):
        known: set[str] = {""}
        for at, name in enumerate(names):
            if name in known and name:
                yield Misfit((kind, at), f"there are two {kind}s called {name!r}")
            known.add(name)


def _agents(plan: Plan, ways: Order) -> Iterator[Misfit]:
    known = [agent.name for agent in plan.agents]
    for at, task in enumerate(plan.tasks):
        if task.agent and task.agent not in known:
            more = near(task.agent, known) or f"; write [agents.{task.agent}] and below it its command"
            yield Misfit(("agent", at), f"{_who(task)} has an agent that is not there: {task.agent!r}{more}")


def _waits(plan: Plan, ways: Order) -> Iterator[Misfit]:
    for at, task in enumerate(plan.tasks):
        for want in task.waits.wants:
            part = ("wants", at, want.key)
            gate = plan.gate(want.key)
            if gate is not None and want.until is None:
                instead = f'gates = ["{gate.name}"] waits until it is approved'
                yield Misfit(part, f"{_who(task)} waits for {want.key!r}, which is there once it is asked; {instead}")
            elif not ways.known(want.key):
                yield Misfit(part, f"{_who(task)} waits for {want.key!r}, {_nobody(plan, want.key)}")


def _shows(plan: Plan, ways: Order) -> Iterator[Misfit]:
    for at, gate in enumerate(plan.gates):
        for key in gate.shows:
            if plan.gate(key):
                yield Misfit(("shows", at, key), f"gate {gate.name!r} shows {key!r}, which is a gate itself")
            elif not ways.known(key):
                yield Misfit(("shows", at, key), f"gate {gate.name!r} shows {key!r}, {_nobody(plan, key)}")


def _nobody(plan: Plan, key: str) -> str:
    """Why a key can never be there, and what was meant perhaps."""
    reason = "which no task stores or changes and `given` does not name"
    tasks = {task.name: task for task in plan.tasks}
    written = [one for task in plan.tasks for one in task.writes]
    if key in tasks:
        stored = f", such as {tasks[key].writes[0]!r}" if tasks[key].writes else ""
        return f"{reason}: that is a task; wait for a key that it stores{stored}"
    if "*" in key:
        return f"{reason}: keys are waited for one by one, and * is only itself"
    return f"{reason}{near(key, [*written, *plan.given])}"


def _gates(plan: Plan, ways: Order) -> Iterator[Misfit]:
    asked = [gate.name for gate in plan.gates]
    for at, task in enumerate(plan.tasks):
        for key in task.gates:
            if not ways.known(key):
                bare = key.removeprefix("checkpoint/gates/")
                more = near(bare, asked) or f'; write [[gate]] and below it name = "{bare}"'
                yield Misfit(("gates", at, key), f"{_who(task)} has a gate that is not there: {bare!r}{more}")


def _deciders(plan: Plan, ways: Order) -> Iterator[Misfit]:
    tasks = {task.name for task in plan.tasks}
    for at, gate in enumerate(plan.gates):
        for name in gate.deciders:
            if name not in tasks and name in {agent.name for agent in plan.agents}:
                using = [task.name for task in plan.tasks if task.agent == name]
                sign = f"it signs as the task it works on: {', '.join(using) or 'none here'}"
                yield Misfit(("deciders", at, name), f"gate {gate.name!r}: {name!r} is a program; {sign}")


def _owners(plan: Plan, ways: Order) -> Iterator[Misfit]:
    """One task makes a key; others may change it."""
    owners: dict[str, str] = {}
    for at, task in enumerate(plan.tasks):
        for promise in task.stores:
            part, owner = ("stores", at, promise.key), owners.setdefault(promise.key, task.name)
            if ways.given(promise.key):
                why = "a run begins by deleting what its tasks store; name it under changes"
                yield Misfit(part, f"{_who(task)} stores {promise.key!r}, which is given: {why}")
            if owner != task.name:
                both = f"tasks {owner!r} and {task.name!r} both store {promise.key!r}"
                yield Misfit(part, f"{both}: let one store it, and the other name it under changes")
            if promise.key in task.changes:
                more = "what it stores it may change anyway"
                yield Misfit(("changes", at, promise.key), f"{_who(task)} stores and changes {promise.key!r}: {more}")


def _states(plan: Plan, ways: Order) -> Iterator[Misfit]:
    """The state of a task is written by the run, and a gate that it asks is not given."""
    states = {status_key(task.name) for task in plan.tasks}
    for at, task in enumerate(plan.tasks):
        written = [("stores", promise.key) for promise in task.stores] + [("changes", key) for key in task.changes]
        for kind, key in written:
            if key in states:
                yield Misfit((kind, at, key), f"{_who(task)} writes {key!r}, where the run keeps a task's state")
    for gate in plan.gates:
        if ways.given(gate.key):
            yield Misfit(
                ("given", gate.key), f"{gate.key!r} is given, yet the run asks this gate: leave it out of given"
            )


def _circles(plan: Plan, ways: Order) -> Iterator[Misfit]:
    for circle in ways.circles()[:MOST_CIRCLES]:
        at = next(at for at, task in enumerate(plan.tasks) if task.name == circle[0].task)
        key = circle[0].key
        part = ("gates", at, key) if key in plan.tasks[at].gates else ("wants", at, key)
        yield Misfit(part, f"{'; '.join(_went(plan, wait) for wait in circle)}: {_nobody_starts(circle)}")


def _went(plan: Plan, wait: Wait) -> str:
    gate = plan.gate(wait.key)
    bringer = f"task {wait.origin!r}{' itself' if wait.origin == wait.task else ''}"
    if gate is None:
        return f"task {wait.task!r} waits for {wait.key!r}, which comes from {bringer}"
    return f"task {wait.task!r} waits for gate {gate.name!r}, which cannot open without {bringer}"


def _nobody_starts(circle: list[Wait]) -> str:
    return "they wait in a circle, so none can start" if len(circle) > 1 else "it can never start"


_CHECKS: tuple[Callable[[Plan, Order], Iterator[Misfit]], ...] = (
    _names, _agents, _waits, _gates, _shows, _deciders, _owners, _states, _circles,
)  # fmt: skip
