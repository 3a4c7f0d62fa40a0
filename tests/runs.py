"""What the tests of runs stand on: plans in few words, runs in the background, what a run has left in memory."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gitmem import Memory
from gitmem.workflow.outcome import Outcome, Progress
from gitmem.workflow.parts import Agent, Plan, PlannedGate, Promise, Task, Waits, Want
from gitmem.workflow.runner import Runner
from tests.processes import PATIENCE

AGENT = Path(__file__).with_name("agent.py")
COMMAND = (sys.executable, str(AGENT), "{prompt}")
SPACE = "coordination"


def task(name: str, prompt: str = "", waits: Any = (), **rest: Any) -> Task:
    """A task: `waits` are keys, (key, until) or Waits; `stores` keys or Promises."""
    wants = waits if isinstance(waits, Waits) else Waits("all", tuple(map(_want, waits)))
    stores = tuple(Promise(one) if isinstance(one, str) else one for one in rest.pop("stores", ()))
    return Task(name, "small", prompt, wants, stores=stores, **rest)


def _want(one: str | tuple[str, str]) -> Want:
    return Want(one) if isinstance(one, str) else Want(*one)


def plan(*tasks: Task, gates: tuple[PlannedGate, ...] = (), **rest: Any) -> Plan:
    """A plan of tasks that all have the same small agent."""
    return Plan(rest.pop("name", "try"), agents=(Agent("small", COMMAND),), tasks=tasks, gates=gates, **rest)


class Watcher:
    """What a run has told, and waiting for it to tell something."""

    def __init__(self) -> None:
        self.told: list[Progress] = []
        self._more = threading.Condition()

    def __call__(self, progress: Progress) -> None:
        with self._more:
            self.told.append(progress)
            self._more.notify_all()

    def until(self, name: str, state: str, times: int = 1) -> Progress:
        """Wait until it was told so often that a task or gate is in this state."""

        def those() -> list[Progress]:
            return [one for one in self.told if (one.name, one.state) == (name, state)]

        with self._more:
            assert self._more.wait_for(lambda: len(those()) >= times, PATIENCE), f"{name} {state}: {self.told}"
            return those()[times - 1]

    def states(self, name: str) -> list[str]:
        """The states of a task or gate, one after the other."""
        states = [one.state for one in self.told if one.name == name]
        return [state for place, state in enumerate(states) if not place or states[place - 1] != state]


class Run:
    """A run in a thread of its own."""

    def __init__(self, runner: Runner, watcher: Watcher) -> None:
        self.runner, self.watcher = runner, watcher
        self._result: list[Outcome | BaseException] = []
        self._thread = threading.Thread(target=self._go)
        self._thread.start()

    def _go(self) -> None:
        try:
            self._result.append(self.runner.run())
        except BaseException as error:
            self._result.append(error)

    def end(self) -> Outcome:
        """Wait for the outcome, or for what was raised."""
        self._thread.join(PATIENCE)
        assert self._result, f"the run goes on: {self.watcher.told}"
        if isinstance(self._result[0], BaseException):
            raise self._result[0]
        return self._result[0]

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.runner.stop()
            self.runner.stop()
            self._thread.join(PATIENCE)


def running(memory: Memory, plan: Plan, folder: Path, **options: Any) -> Run:
    """A run that goes on beside the test."""
    watcher = Watcher()
    return Run(Runner(memory, plan, folder, on_event=watcher, **options), watcher)


def run(memory: Memory, plan: Plan, folder: Path, **options: Any) -> Outcome:
    """A run from its beginning to its end."""
    return Runner(memory, plan, folder, **options).run()


def ends(outcome: Outcome) -> dict[str, str]:
    """The state in which each task ended."""
    return {one.name: one.state for one in outcome.tasks}


def reason(outcome: Outcome, name: str) -> str:
    """What is said of a task."""
    return next(one.reason for one in outcome.tasks if one.name == name)


def status(memory: Memory, name: str) -> Any:
    """What the memory says of a task."""
    return memory.retrieve(f"swarm/{name}/status", namespace=SPACE)


def notes(path: Path) -> list[str]:
    """Which tasks were at a place, in their order."""
    return path.read_text("utf-8").split() if path.exists() else []


@contextmanager
def gate_pipe(path: Path) -> Iterator[Path]:
    """A named pipe at which agents wait (`hear PATH`) until the block ends."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield path
    finally:
        os.close(descriptor)
