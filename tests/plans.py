"""Random plans that can be run, and a plan as TOML: for the tests of what reads, orders, decides on and draws plans."""

from __future__ import annotations

from typing import Any

import tomli_w
from hypothesis import strategies as st

from gitmem.workflow.parts import HUMAN, Agent, Plan, PlannedGate, Promise, Task, Waits, Want, status_key

WELL = "well"
"""The only condition of these plans: a member of the value that has to be true."""
SHARED = ("shared/one", "shared/two")
GIVEN = ("given/one", "given/two")
NAMES = ("ann", "bob", "käthe", "d-4", "e.f", "g h")


def to_toml(plan: Plan) -> str:
    """The plan as somebody might write it."""
    document: dict[str, Any] = {"name": plan.name, "namespace": plan.namespace, "given": list(plan.given)}
    if plan.parallel is not None:
        document["parallel"] = plan.parallel
    document["agents"] = {agent.name: {"command": list(agent.command)} for agent in plan.agents}
    document["task"] = [_task(task) for task in plan.tasks]
    document["gate"] = [
        {"name": gate.name, "shows": list(gate.shows), "deciders": list(gate.deciders)} for gate in plan.gates
    ]
    return tomli_w.dumps(document)


def _task(task: Task) -> dict[str, Any]:
    wants = [_without_none(want._asdict()) for want in task.waits.wants]
    return _without_none(
        {
            "name": task.name,
            "agent": task.agent,
            "prompt": task.prompt,
            "waits_for": {"any": wants} if task.waits.how == "any" else wants,
            "gates": list(task.gates),
            "stores": [_without_none({**one._asdict(), "requires": list(one.requires)}) for one in task.stores],
            "changes": list(task.changes),
            "timeout": task.timeout,
            "retries": task.retries,
        }
    )


def _without_none(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _some(draw: Any, of: Any, most: int) -> list[Any]:
    return draw(st.lists(st.sampled_from(sorted(of)), max_size=most, unique=True)) if of else []


@st.composite
def plans(draw: Any, *, most: int = 6) -> Plan:
    """A plan in which each task can start once those before it, in some order, are done.

    All that a task waits for comes from tasks that were made before it; the alternatives of `any` from everywhere.
    """
    given = draw(st.sampled_from([(), GIVEN[:1], GIVEN]))
    there, gates, tasks = list(given), [], []
    for at, name in enumerate(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=most, unique=True))):
        if draw(st.integers(0, 3)) == 0:
            gates.append(_gate(draw, f"gate{at}", there, [task.name for task in tasks]))
        wants = [Want(key, draw(st.sampled_from([None, WELL]))) for key in _some(draw, there, 3)]
        how = draw(st.sampled_from(["all", "all", "any"]))
        if how == "any" and wants:
            later = {*SHARED, *(f"made/{other}" for other in range(most))} - set(there)
            wants += [Want(key) for key in _some(draw, later, 2)]
        stores = [Promise(f"made/{at}")] if draw(st.booleans()) else []
        tasks.append(
            Task(
                name=name,
                agent="a",
                prompt=draw(st.sampled_from(["", "do it", 'a "quoted"\nline'])),
                waits=Waits(how if wants else "all", tuple(wants)),
                gates=tuple(_some(draw, [gate.key for gate in gates], 1)),
                stores=tuple(stores),
                changes=tuple(_some(draw, SHARED, 1)),
                retries=draw(st.integers(0, 1)),
            )
        )
        there = list(dict.fromkeys([*there, *tasks[-1].writes, tasks[-1].status]))
    made = {key for task in tasks for key in task.writes} | {*given, *(status_key(task.name) for task in tasks)}
    tasks = [task._replace(waits=_known(task.waits, made)) for task in tasks]
    tasks = draw(st.permutations(tasks))
    return Plan("p", "coordination", given, (Agent("a", ("run", "{prompt}")),), tuple(tasks), tuple(gates))


def _gate(draw: Any, name: str, there: list[str], tasks: list[str]) -> PlannedGate:
    key = draw(st.sampled_from([f"checkpoint/gates/{name}", f"own/{name}"]))
    deciders = _some(draw, [HUMAN, "eve", *tasks], 2)
    short = key.removeprefix("checkpoint/gates/")
    return PlannedGate(short if "/" not in short else key, key, tuple(_some(draw, there, 2)), tuple(deciders))


def _known(waits: Waits, made: set[str]) -> Waits:
    return Waits(waits.how, tuple(want for want in waits.wants if want.key in made))
