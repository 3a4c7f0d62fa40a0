"""Runners that are killed, interrupted, and begun at the same moment.

init: a plan whose tasks note each time that they begin. next: the runner is killed, or gets a Ctrl-C, at a random
moment; the run is resumed. invariant: nobody of a dead runner goes on, what was called done is not begun again, and in
the end everything is there and the history proves that nothing began early.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gitmem import Memory
from gitmem.workflow.parts import Plan
from gitmem.workflow.verify import verify
from tests.processes import PATIENCE, kill, linux, marked, until
from tests.race.crowd import TOP
from tests.runs import SPACE, gate_pipe, notes, plan, task

PROGRAM = Path(__file__).with_name("running.py")


class Runner:
    """A runner's process, and what it has said."""

    def __init__(self, folder: Path, plan: Plan, session: str = "", *, marker: str = "none") -> None:
        path = folder / "plan.json"
        path.write_text(json.dumps(plan.to_json()), "utf-8")
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), str(folder), str(path), *([session] if session else [])],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(TOP), "MARKER": marker},
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._out = self.process.stdout.fileno()
        self._buffer = b""
        self.said: list[str] = []

    def listen(self, seconds: float) -> bool:
        """Take in what it says, for so long at the most; whether there may be more."""
        if not select.select([self._out], [], [], seconds)[0]:
            return True
        read = os.read(self._out, 1 << 16)
        *lines, self._buffer = (self._buffer + read).split(b"\n")
        self.said += [line.decode() for line in lines]
        return bool(read)

    def hear(self, number: int) -> None:
        """Listen until it has said so many lines, or ended."""
        while len(self.said) < number and self.listen(PATIENCE):
            pass

    def end(self) -> str:
        """Its last line."""
        while self.listen(PATIENCE):
            pass
        assert self.process.wait(PATIENCE) is not None
        self.process.stdout.close()
        return self.said[-1] if self.said else ""

    def session(self) -> str:
        return next((line.split()[1] for line in self.said if line.startswith("session ")), "")


@contextmanager
def runner(*arguments, **options) -> Iterator[Runner]:
    made = Runner(*arguments, **options)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        if made.process.stdout is not None:
            made.process.stdout.close()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path, durability="fast") as memory:
        yield memory


def diamond(folder: Path) -> Plan:
    """One first, four at the same time, one last; one leaves a process behind that has left its group."""
    note = f"note {folder}/notes"
    works = [f"{note}; {'daemon; ' if number == 1 else ''}store k/{number} 1" for number in range(4)]
    workers = [task(f"w{number}", work, ["k/first"], stores=[f"k/{number}"]) for number, work in enumerate(works)]
    return plan(
        task("first", f"{note}; store k/first 1", stores=["k/first"]),
        *workers,
        task("last", f"{note}; store k/last 1", [f"k/{number}" for number in range(4)], stores=["k/last"]),
    )


def hunt(folder: Path, *, seed: int, shots: int, number: signal.Signals) -> int:
    """A run that is ended so often at random moments, by this signal, and brought to its end; how many shots hit."""
    dice, made, marker = random.Random(seed), diamond(folder), f"marker-{folder}/"
    session, hits, finished = "", 0, Counter[str]()
    with Memory.open(folder, durability="fast") as memory:
        for shot in range(shots + 1):
            with runner(folder, made, session, marker=marker) as one:
                if shot < shots:
                    one.hear(dice.randrange(1, 16))
                    one.listen(dice.random() * 0.15)
                    if one.process.poll() is None:
                        hits += 1
                        os.killpg(one.process.pid, number)  # as a terminal does
                last = one.end()
                session = session or one.session()
            if number is signal.SIGKILL:
                until(lambda: marked(marker) == [])
            assert marked(marker) == []
            begun = Counter(notes(folder / "notes"))
            assert {name: begun[name] for name in finished} == finished, "what was done was done again"
            states = {one.name: memory.retrieve(one.status, namespace=SPACE)["state"] for one in made.tasks}
            finished = Counter({name: begun[name] for name, state in states.items() if state == "done"})
            assert number is signal.SIGKILL or "working" not in states.values()
        assert last == "outcome done"
        assert verify(memory, session) == []
        assert set(states.values()) == {"done"}
    return hits


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_run_survives_its_runners(tmp_path: Path, number: signal.Signals) -> None:
    """kill -9 leaves nobody and loses nothing; a Ctrl-C says in memory, besides, that nobody works any more."""
    assert sum(hunt(folder_of(tmp_path, seed), seed=seed, shots=4, number=number) for seed in range(3)) > 3


@linux
@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_many_runs_survive_their_runners(tmp_path: Path, number: signal.Signals) -> None:
    """The same for minutes: `pytest -m soak tests/race`."""
    assert sum(hunt(folder_of(tmp_path, seed), seed=seed, shots=6, number=number) for seed in range(40)) > 80


def folder_of(tmp_path: Path, seed: int) -> Path:
    folder = tmp_path / str(seed)
    folder.mkdir()
    return folder


@linux
def test_what_keeper_and_runner_leave_that_are_killed_together_is_ended_by_whoever_goes_on(
    memory: Memory, tmp_path: Path
) -> None:
    """The agent dies with its keeper; what it started and what left its group nobody else knows of any more."""
    go, notebook, marker = tmp_path / "go", tmp_path / "notes", f"marker-{tmp_path}/"
    held = plan(task("one", f"daemon; note {notebook}; once {tmp_path}/first hear {go}; store k 1", stores=["k"]))
    with gate_pipe(go), runner(tmp_path, held, marker=marker) as one:
        until(lambda: notes(notebook) == ["one"])
        (keeper,) = [int(each.split()[0]) for each in marked(marker) if "keeper.py" in each]
        os.kill(one.process.pid, signal.SIGSTOP)
        kill(keeper)
        kill(one.process.pid)
        one.end()
    until(lambda: [each.split(maxsplit=1)[1].strip() for each in marked(marker)] == ["sleep 1000"])
    with runner(tmp_path, held, one.session(), marker="another") as again:
        assert again.end() == "outcome done"
    assert marked(marker) == []
    assert (notes(notebook), verify(memory, one.session())) == (["one", "one"], [])


@linux
def test_of_runs_that_begin_at_once_one_does(memory: Memory, tmp_path: Path) -> None:
    """The others are told which one is at work, and have started nothing."""
    go, notebook = tmp_path / "go", tmp_path / "notes"
    held = plan(task("one", f"note {notebook}; hear {go}; store k 1", stores=["k"]), task("two", "", ["k"]))
    with gate_pipe(go), ExitStack() as stack:
        crowd = [stack.enter_context(runner(tmp_path, held)) for _ in range(5)]
        refused: list[Runner] = []
        for one in crowd:
            one.hear(1)
            refused += [one] if one.said[0].startswith("refused") else []
        (winner,) = [one for one in crowd if one not in refused]
        assert len(refused) == 4
        assert all(winner.session() in one.said[0] for one in refused)
        assert notes(notebook) in ([], ["one"])
        go.write_text("go", "utf-8")
        assert winner.end() == "outcome done"
    assert (notes(notebook), verify(memory, winner.session())) == (["one"], [])


@linux
def test_runs_with_keys_of_their_own_go_on_side_by_side(memory: Memory, tmp_path: Path) -> None:
    """In one memory, under the same names of tasks: the namespace keeps them apart."""
    with ExitStack() as stack:
        crowd = []
        for number in range(4):
            folder = folder_of(tmp_path, number)
            made = diamond(folder)._replace(namespace=f"team-{number}", name=f"plan {number % 2}")
            crowd.append(stack.enter_context(runner(tmp_path, made)))
            crowd[-1].hear(1)
        assert [one.end() for one in crowd] == ["outcome done"] * 4
        sessions = [one.session() for one in crowd]
    assert len(set(sessions)) == 4
    assert [verify(memory, session) for session in sessions] == [[]] * 4
    assert all(Counter(notes(tmp_path / str(number) / "notes")).most_common(1)[0][1] == 1 for number in range(4))
