"""What a plan is made of: agents, tasks, what a task waits for and promises, gates; frozen values.

Knows their form, in Python and as JSON; does not know how a plan is written, whether it makes sense, nor how it runs.
Law: `Plan.from_json(plan.to_json()) == plan`, and what `to_json` gives is a JSON value: a run keeps it in memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from gitmem.keys import COORDINATION

NAMESPACE = COORDINATION
"""Where a plan's keys lie unless it says otherwise."""
HUMAN = "human"
"""As a decider: whoever is neither a task nor an agent of the plan."""
RUNNER = "gitmem-run"
"""The agent that writes what a run itself has to tell."""

_HOLE = re.compile(r"\{\{|\}\}|\{(\w+)\}")


class Want(NamedTuple):
    """A key that a task waits for; with `until`, a JMESPath expression that its value has to meet."""

    key: str
    until: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return self._asdict()


class Waits(NamedTuple):
    """What a task waits for: all of it, or any one. Nothing at all keeps nobody waiting."""

    how: Literal["all", "any"] = "all"
    wants: tuple[Want, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """`{"how", "wants": [{"key", "until"}]}`."""
        return {"how": self.how, "wants": [want.to_json() for want in self.wants]}


class Promise(NamedTuple):
    """A key that a task stores, the members that its value has to have, and the JSON text of its JSON Schema."""

    key: str
    requires: tuple[str, ...] = ()
    schema: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON; the schema stays text."""
        return {**self._asdict(), "requires": list(self.requires)}


class Task(NamedTuple):
    """One agent at work: what it waits for, what it promises. `gates` are full keys; `timeout` is in seconds."""

    name: str
    agent: str
    prompt: str = ""
    waits: Waits = Waits()
    gates: tuple[str, ...] = ()
    stores: tuple[Promise, ...] = ()
    changes: tuple[str, ...] = ()
    timeout: float | None = None
    retries: int = 0

    @property
    def writes(self) -> tuple[str, ...]:
        """The keys that it stores or changes."""
        return (*(promise.key for promise in self.stores), *self.changes)

    @property
    def status(self) -> str:
        """The key at which its state stands."""
        return status_key(self.name)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {
            **self._asdict(),
            "waits": self.waits.to_json(),
            "gates": list(self.gates),
            "stores": [promise.to_json() for promise in self.stores],
            "changes": list(self.changes),
        }


class Agent(NamedTuple):
    """A program: its command, in whose words {prompt}, {task} and {agent} are filled in."""

    name: str
    command: tuple[str, ...]

    def command_for(self, task: Task) -> list[str]:
        """The words with which it is started for a task; `{{` and `}}` become braces. No shell reads them."""
        filled = {"prompt": task.prompt, "task": task.name, "agent": self.name}
        return [_HOLE.sub(lambda found: _filled(found, filled), word) for word in self.command]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {"name": self.name, "command": list(self.command)}


class PlannedGate(NamedTuple):
    """A gate that the run asks: once all that it `shows` is there, one of its `deciders` decides; () is anybody.

    `name` is as it was typed, `key` is full.
    """

    name: str
    key: str
    shows: tuple[str, ...] = ()
    deciders: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {**self._asdict(), "shows": list(self.shows), "deciders": list(self.deciders)}


class Plan(NamedTuple):
    """A whole plan. Tasks, agents and gates stand in the order in which they were written."""

    name: str
    namespace: str = NAMESPACE
    given: tuple[str, ...] = ()
    agents: tuple[Agent, ...] = ()
    tasks: tuple[Task, ...] = ()
    gates: tuple[PlannedGate, ...] = ()
    parallel: int | None = None

    def agent(self, name: str) -> Agent:
        """The agent of this name; KeyError if there is none."""
        return _named(self.agents, name)

    def task(self, name: str) -> Task:
        """The task of this name; KeyError if there is none."""
        return _named(self.tasks, name)

    def gate(self, key: str) -> PlannedGate | None:
        """The gate with this full key; None if the run asks no such gate."""
        return next((gate for gate in self.gates if gate.key == key), None)

    def may_decide(self, gate: PlannedGate, agent: str) -> bool:
        """Whether a decision of this agent counts at a gate."""
        if not gate.deciders or agent in gate.deciders:
            return True
        return HUMAN in gate.deciders and agent not in self._own_names

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON, all of them."""
        return {
            **self._asdict(),
            "given": list(self.given),
            "agents": [agent.to_json() for agent in self.agents],
            "tasks": [task.to_json() for task in self.tasks],
            "gates": [gate.to_json() for gate in self.gates],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """The plan of which `to_json` gave this; KeyError or TypeError if it did not."""
        return cls(
            **{
                **value,
                "given": tuple(value["given"]),
                "agents": tuple(Agent(one["name"], tuple(one["command"])) for one in value["agents"]),
                "tasks": tuple(map(_task, value["tasks"])),
                "gates": tuple(map(_gate, value["gates"])),
            }
        )

    @property
    def _own_names(self) -> set[str]:
        return {RUNNER, *(task.name for task in self.tasks), *(agent.name for agent in self.agents)}


def status_key(task: str) -> str:
    """The key at which a task's state stands."""
    return f"swarm/{task}/status"


def gate_key(name: str) -> str:
    """The full key of a gate: a bare name lies under checkpoint/gates."""
    return name if "/" in name else f"checkpoint/gates/{name}"


def holes(word: str) -> list[str]:
    """The names that stand in braces in a command's word; "" for a brace that stands alone."""
    rest = _HOLE.sub("", word)
    names = [found[1] for found in _HOLE.finditer(word) if found[1]]
    return [*names, ""] if "{" in rest or "}" in rest else names


# --- inside

_Part = TypeVar("_Part", Agent, Task)


def _named(parts: tuple[_Part, ...], name: str) -> _Part:
    for part in parts:
        if part.name == name:
            return part
    raise KeyError(name)


def _filled(found: re.Match[str], filled: Mapping[str, str]) -> str:
    return found[0][0] if found[1] is None else filled.get(found[1], found[0])


def _task(value: Mapping[str, Any]) -> Task:
    waits = value["waits"]
    return Task(
        **{
            **value,
            "waits": Waits(waits["how"], tuple(Want(**want) for want in waits["wants"])),
            "gates": tuple(value["gates"]),
            "stores": tuple(Promise(**{**one, "requires": tuple(one["requires"])}) for one in value["stores"]),
            "changes": tuple(value["changes"]),
        }
    )


def _gate(value: Mapping[str, Any]) -> PlannedGate:
    return PlannedGate(**{**value, "shows": tuple(value["shows"]), "deciders": tuple(value["deciders"])})
