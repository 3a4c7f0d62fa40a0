"""Who comes before whom: from which tasks a key can come, what may start once some are done, what never can.

Knows the plan alone; does not know what is in memory.
Law: `stages` is the order of a run in which every task takes equally long and succeeds; whoever stands in no stage
waits in a circle, and `circles` names every wait that is part of one. A key of which nobody speaks counts as there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Set
from functools import cached_property, lru_cache
from typing import NamedTuple

from gitmem.workflow.parts import HUMAN, Plan, PlannedGate, Task, status_key


class Wait(NamedTuple):
    """A task waits for a key (of a gate: its key) that comes, directly or through the gate, from another task."""

    task: str
    key: str
    origin: str


class Order:
    """The plan read backwards: from a key to those who bring it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._tasks = frozenset(task.name for task in plan.tasks)
        self._given = frozenset(plan.given)
        self._gates = {gate.key: gate for gate in plan.gates}
        self._origins: dict[str, list[str]] = {status_key(task.name): [task.name] for task in plan.tasks}
        for task in plan.tasks:
            for key in task.writes:
                self._origins.setdefault(key, []).append(task.name)
        self._at = {task.name: at for at, task in enumerate(plan.tasks)}
        self._behind: dict[str, set[str]] = {name: set() for name in self._at}
        for task in plan.tasks:
            for name in self._before(task):
                self._behind[name].add(task.name)

    def _before(self, task: Task) -> set[str]:
        """The tasks from which anything may come that a task waits for."""
        keys = {*(want.key for want in task.waits.wants), *task.gates}
        gates = [self._gates[key] for key in keys if key in self._gates]
        keys.update(key for gate in gates for key in gate.shows)
        deciders = {name for gate in gates for name in gate.deciders if name in self._tasks}
        return {name for key in keys for name in self.origins(key)} | deciders

    def origins(self, key: str) -> list[str]:
        """The tasks that store or change a key, in the plan's order."""
        return self._origins.get(key, [])

    def known(self, key: str) -> bool:
        """Whether a key can come at all: from a task, from outside, or because the run asks this gate."""
        return key in self._given or key in self._gates or key in self._origins

    def given(self, key: str) -> bool:
        """Whether a key comes from outside."""
        return key in self._given

    def outsiders_decide(self, gate: PlannedGate) -> bool:
        """Whether somebody may decide who is no task of the plan."""
        return not gate.deciders or not self._tasks.issuperset(gate.deciders)

    def stages(self) -> list[list[str]]:
        """The tasks that may start together, one bunch after the other; each in the plan's order.

        Where a task and people may decide at a gate, the task is waited for as long as anything else can start.
        """
        found: list[list[str]] = []
        done: set[str] = set()
        rest = {task.name: task for task in self.plan.tasks}
        near = list(rest.values())
        while now := self._able(near, done, patient=True) or self._able(rest.values(), done, patient=False):
            found.append(now)
            done.update(now)
            for name in now:
                del rest[name]
            behind = {name for one in now for name in self._behind[one]}
            near = [rest[name] for name in sorted(behind & rest.keys(), key=self._at.__getitem__)]
        return found

    @cached_property
    def forwards(self) -> list[Task]:
        """The tasks, stage by stage; those in no stage come last."""
        staged = [name for stage in self.stages() for name in stage]
        rank = {name: at for at, name in enumerate(staged)}
        return sorted(self.plan.tasks, key=lambda task: rank.get(task.name, len(rank)))

    def circles(self) -> list[list[Wait]]:
        """Waits that go round; of several ways through one wait the shortest."""
        done = {name for stage in self.stages() for name in stage}
        waits = {task.name: list(self._waits(task, done)) for task in self.plan.tasks if task.name not in done}
        told: set[Wait] = set()
        found = []
        for wait in [wait for several in waits.values() for wait in several]:
            way = None if wait in told else _way(waits, wait.origin, wait.task)
            if way is not None:
                found.append([wait, *way])
                told.update(found[-1])
        return found

    def _able(self, tasks: Iterable[Task], done: Set[str], *, patient: bool) -> list[str]:
        return [task.name for task in tasks if not (self._missing(task, done) or (patient and self._asks(task, done)))]

    def _asks(self, task: Task, done: Set[str]) -> bool:
        """Whether a task of the plan may still decide at a gate for which this one waits."""
        gates = [self._gates[key] for key in task.gates if key in self._gates]
        return any(name in self._tasks and done.isdisjoint(gate.deciders) for gate in gates for name in gate.deciders)

    def _missing(self, task: Task, done: Set[str]) -> list[str]:
        """The keys that are not there while only `done` are done."""
        wants = [want.key for want in task.waits.wants]
        absent = [key for key in wants if not self._is_there(key, done)]
        if task.waits.how == "any" and len(absent) < len(wants):
            absent = []
        return absent + [key for key in task.gates if not self._is_there(key, done)]

    def _is_there(self, key: str, done: Set[str]) -> bool:
        return not list(self._sources(key, done)) and (
            key not in self._gates or self._is_decided(self._gates[key], done)
        )

    def _is_decided(self, gate: PlannedGate, done: Set[str]) -> bool:
        return self.outsiders_decide(gate) or not done.isdisjoint(gate.deciders)

    def _sources(self, key: str, done: Set[str]) -> Iterator[str]:
        """The tasks of which one still has to be done before a key is there; of a gate: what it shows."""
        for part in self._gates[key].shows if key in self._gates else (key,):
            origins = [] if part in self._given or part in self._gates else self.origins(part)
            if done.isdisjoint(origins):
                yield from origins

    def _waits(self, task: Task, done: Set[str]) -> Iterator[Wait]:
        for key in self._missing(task, done):
            for origin in self._sources(key, done):
                yield Wait(task.name, key, origin)
            gate = self._gates.get(key)
            if gate is not None and not self._is_decided(gate, done):
                yield from (Wait(task.name, key, decider) for decider in gate.deciders if decider != HUMAN)


@lru_cache(8)
def order(plan: Plan) -> Order:
    """The plan read backwards; made once for each plan."""
    return Order(plan)


def _way(waits: dict[str, list[Wait]], start: str, goal: str) -> list[Wait] | None:
    """The shortest way from waiter to waited for, [] if start is the goal; None if there is none."""
    came: dict[str, list[Wait]] = {start: []}
    waiting = deque([start])
    while waiting:
        name = waiting.popleft()
        if name == goal:
            return came[name]
        for wait in waits.get(name, []):
            if wait.origin not in came:
                came[wait.origin] = [*came[name], wait]
                waiting.append(wait.origin)
    return None
