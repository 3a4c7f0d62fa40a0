"""What leads to what in a plan, for pictures: tasks, gates and given keys as nodes, keys as arrows between them.

Knows the plan and its stages; does not know how anything is drawn.
Law: every task and gate and every given key that somebody uses is a node, in the layer in which it can be there; an
arrow leads from an earlier layer to a later one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gitmem.workflow.order import Order
from gitmem.workflow.parts import Plan, PlannedGate, Task

TASK, GATE, GIVEN = "task", "gate", "given"


class Node(NamedTuple):
    """Something in a picture: its kind, its name (of a gate or a given key: the key), and the lines that it shows.

    Layers count from 0, where given keys lie; stage N of the tasks is layer 2 N, and gates lie between.
    """

    kind: str
    name: str
    lines: tuple[str, ...]
    layer: int


class Link(NamedTuple):
    """An arrow between two nodes, by their places in the list of nodes; `loose` if another might do instead."""

    source: int
    target: int
    keys: tuple[str, ...]
    loose: bool


class Links:
    """The nodes of a plan and the arrows between them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ways = Order(plan)
        self._stage = {name: at for at, stage in enumerate(self._ways.stages(), 1) for name in stage}
        self.nodes = [*self._given(), *map(self._task, plan.tasks), *map(self._gate, plan.gates)]
        self._places = {(node.kind, node.name): at for at, node in enumerate(self.nodes)}
        self.links = list(self._links())

    def _given(self) -> Iterator[Node]:
        wanted = {want.key for task in self._plan.tasks for want in task.waits.wants}
        wanted.update(key for task in self._plan.tasks for key in task.gates)
        wanted.update(key for gate in self._plan.gates for key in gate.shows)
        yield from (Node(GIVEN, key, (key,), 0) for key in self._plan.given if key in wanted)

    def _task(self, task: Task) -> Node:
        return Node(TASK, task.name, (task.name, task.agent, *task.writes), 2 * self._stage[task.name])

    def _gate(self, gate: PlannedGate) -> Node:
        """Before the first task that waits for it; where none does, behind what it shows."""
        behind = [self._stage[task.name] for task in self._plan.tasks if gate.key in task.gates]
        before = [self._stage[name] for key in gate.shows for name in self._ways.origins(key)]
        layer = 2 * min(behind) - 1 if behind else 2 * max(before, default=0) + 1
        return Node(GATE, gate.key, (gate.name, " or ".join(gate.deciders) or "anybody"), layer)

    def _links(self) -> Iterator[Link]:
        found: dict[tuple[int, int, bool], list[str]] = {}
        for source, target, key, loose in self._arrows():
            if self.nodes[source].layer < self.nodes[target].layer:
                keys = found.setdefault((source, target, loose), [])
                keys.extend([key] if key not in keys else [])
        return (Link(source, target, tuple(keys), loose) for (source, target, loose), keys in found.items())

    def _arrows(self) -> Iterator[tuple[int, int, str, bool]]:
        for task in self._plan.tasks:
            target, loose = self._places[TASK, task.name], task.waits.how == "any" and len(task.waits.wants) > 1
            for want in task.waits.wants:
                yield from ((source, target, want.key, loose) for source in self._sources(want.key))
            for key in task.gates:
                yield from ((source, target, key, False) for source in self._sources(key))
        for gate in self._plan.gates:
            target = self._places[GATE, gate.key]
            for key in gate.shows:
                yield from ((source, target, key, False) for source in self._sources(key))
            for name in gate.deciders:
                if (TASK, name) in self._places:
                    yield self._places[TASK, name], target, "decides", len(gate.deciders) > 1

    def _sources(self, key: str) -> Iterator[int]:
        """The nodes from which a key comes."""
        if (GATE, key) in self._places:
            yield self._places[GATE, key]
            return
        if (GIVEN, key) in self._places:
            yield self._places[GIVEN, key]
        yield from (self._places[TASK, name] for name in self._ways.origins(key))
