"""Runs: what `gitmem run` adds to the processes that it starts, and whether it keeps its slots busy.

Knows plans of trivial tasks, and how to start the same processes without a plan; does not know how a runner works.
Law: the peer starts the very same processes, in turns with the run, in a memory of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gitmem.workflow.plan import parse_plan
from gitmem.workflow.runner import Runner
from tests.bench.ground import Ground, open_memory
from tests.bench.measure import Figure, Pair, compare

STORING = "import sys; from gitmem import from_environment; from_environment().store(sys.argv[1], 1)"
SLOTS = 16
SLEEP = "0.25"
ALLOWED = 20


def chain(ground: Ground) -> Iterator[Figure]:
    """Tasks that each wait for the one before and store one key, beside the same processes one after another."""
    tasks = ground.size(100, 20)
    added, ours, peers = [], [], []
    for turn in range(ground.size(3, 2)):
        path = ground.path(f"chain-{turn}")
        ours.append(_run(path, _chain(tasks), slots=SLOTS) / tasks)
        peers.append(_one_by_one(ground.path(f"bare-{turn}"), tasks) / tasks)
        added.append((ours[-1] - peers[-1]) * 1000)
    work = f"a chain of {tasks} tasks: what the run adds to each"
    shown = [f"{min(times) * 1000:.0f} ms" for times in (ours, peers)]
    yield Figure("run-chain", work, shown[0], shown[1], tuple(added), ALLOWED, f"≤ {ALLOWED} ms", show="{:.1f} ms")


def fan_out(ground: Ground) -> Iterator[Figure]:
    """Tasks that wait for nothing, beside xargs, which starts the same processes as soon as a slot is free."""
    tasks = ground.size(200, 48)
    ours, peers = [], []
    for turn in range(ground.size(3, 2)):
        ours.append(_run(ground.path(f"fan-{turn}"), _fan(tasks), slots=SLOTS) / tasks)
        peers.append(_xargs(tasks) / tasks)
    work = f"a fan-out of {tasks} tasks of {SLEEP} s, {SLOTS} at a time"
    yield compare("run-fanout", work, Pair(tuple(ours), tuple(peers)), peer=f"xargs -P {SLOTS}", limit=1.1)


def _run(path: Path, plan: str, *, slots: int) -> float:
    with open_memory(path) as memory:
        start = time.perf_counter()
        outcome = Runner(memory, parse_plan(plan), path.parent, jobs=slots).run()
        took = time.perf_counter() - start
    assert outcome.verdict == "done", outcome
    return took


def _one_by_one(path: Path, tasks: int) -> float:
    open_memory(path).close()
    start = time.perf_counter()
    for number in range(tasks):
        subprocess.run(_storing(number), env={"GITMEM_STORE": str(path)}, check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - start


def _xargs(tasks: int) -> float:
    start = time.perf_counter()
    numbers = "\n".join([SLEEP] * tasks)
    subprocess.run(["xargs", "-n", "1", "-P", str(SLOTS), "sleep"], input=numbers, text=True, check=True)
    return time.perf_counter() - start


def _storing(number: int) -> list[str]:
    return [sys.executable, "-c", STORING, f"chain/{number}"]


def _chain(tasks: int) -> str:
    lines = ['name = "chain"']
    for number in range(tasks):
        waits = f'waits_for = ["chain/{number - 1}"]\n' if number else ""
        lines.append(_task(f"task-{number}", _storing(number), f'{waits}stores = ["chain/{number}"]'))
    return "\n".join(lines)


def _fan(tasks: int) -> str:
    return "\n".join(['name = "fan"', *(_task(f"task-{number}", ["sleep", SLEEP]) for number in range(tasks))])


def _task(name: str, command: Sequence[str], rest: str = "") -> str:
    words = ", ".join(f"'{word}'" for word in command)
    return f'[agents.of-{name}]\ncommand = [{words}]\n[[task]]\nname = "{name}"\nagent = "of-{name}"\n{rest}'
