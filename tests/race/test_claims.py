"""Claims among processes: one winner for each task, and nothing written by a holder who is none any more."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gitmem import Memory
from gitmem.recipes import Claims
from tests.race.crowd import TOP, check_sound, watched

CLAIMANT = Path(__file__).with_name("claimant.py")
CROWD, TASKS = 8, 100


class Claimant:
    """One process of `claimant`, ready for orders."""

    def __init__(self, store: Path, job: str, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CLAIMANT), str(store), job, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(TOP)},
        )
        assert self.process.stdout is not None

    def order(self, *words: object) -> None:
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def stop(self) -> None:
        """SIGSTOP; it has stopped when this returns."""
        self.process.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(self.process.pid, os.WUNTRACED)[1])

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    Memory.open(tmp_path, durability="fast").close()
    return tmp_path


@pytest.fixture
def holder(store: Path, request: pytest.FixtureRequest) -> Iterator[Claimant]:
    claimant = Claimant(store, request.param, "ann")
    with watched(claimant.process):
        assert claimant.hear() == "ready"
        yield claimant


def test_of_eight_who_race_for_a_task_one_gets_it(store: Path) -> None:
    """A hundred times: everybody was told the truth, and the history holds one taking of each."""
    with ExitStack() as stack:
        crowd = [Claimant(store, "race", f"c{number}") for number in range(CROWD)]
        stack.enter_context(watched(*(one.process for one in crowd)))
        assert [one.hear() for one in crowd] == ["ready"] * CROWD
        for one in crowd:
            one.order(TASKS)
        won = {one: list(iter(one.hear, "over")) for one in crowd}
    assert sorted(int(task) for tasks in won.values() for task in tasks) == list(range(TASKS))
    memory = check_sound(store).bind(namespace="coordination")
    held = {(entry.key, entry.value["by"], entry.version) for entry in memory.search("claims/*")}
    assert held == {(f"claims/{task}", f"c{crowd.index(one)}", 1) for one, tasks in won.items() for task in tasks}


@pytest.mark.parametrize("holder", ["hold"], indirect=True)
def test_a_killed_holder_blocks_its_task_no_longer_than_its_ttl(store: Path, holder: Claimant) -> None:
    """Nobody cleans up after kill -9; the waiter is woken by the expiry itself."""
    holder.order("auth", 1)
    token = holder.hear()
    holder.process.kill()
    memory = check_sound(store)
    claim = Claims(memory.bind(agent="bob")).take("auth", timeout=60)
    assert claim.token != token
    versions = memory.history(claim.key, namespace="coordination")
    assert [(one.agent, one.operation) for one in versions] == [
        ("bob", "created"),
        ("gitmem", "deleted"),
        ("ann", "created"),
    ]


@pytest.mark.parametrize("successor", [True, False], ids=["taken", "free"])
@pytest.mark.parametrize("holder", ["hold"], indirect=True)
def test_a_holder_that_sleeps_past_its_ttl_writes_nothing(store: Path, holder: Claimant, successor: bool) -> None:
    """A laptop's lid, a swapped-out process: it wakes up in the belief that it still holds the task."""
    holder.order("auth", 1)
    token = holder.hear()
    holder.stop()
    memory = check_sound(store)
    if successor:
        claim = Claims(memory.bind(agent="bob")).take("auth", timeout=60)
        memory.store("result", "bob", guard=claim.entry)
    else:
        memory.wait_until(lambda view: view.entry("claims/auth", None) is None, namespace="coordination", timeout=60)
    holder.go_on()
    holder.order("work")
    assert holder.hear() == "stale"
    assert memory.retrieve("result", None) == ("bob" if successor else None)
    assert memory.log(agent="ann")[0].revision == token


@pytest.mark.parametrize("holder", ["toil"], indirect=True)
def test_wherever_a_holder_is_stopped_nothing_of_it_comes_after_its_successor(store: Path, holder: Claimant) -> None:
    """In the middle of a renewal, of a write, of the index: after the other's taking there is no commit of it.

    The successor works without the memory's lock, which a stopped process may hold; should it have been stopped with
    git's own lock in its hands, it goes on a moment earlier.
    """
    dice = random.Random(7)
    with Memory.open(store, agent="bob", lock=False) as memory:
        claims = Claims(memory)
        for _ in range(12):
            holder.order("auth")
            token = holder.hear()
            time.sleep(dice.uniform(0.0, 0.05))  # anywhere in its work
            holder.stop()
            taken: list[str] = []

            def succeed(token: str = token, taken: list[str] = taken) -> None:
                claims.mine("auth", token=token).release()
                taken.append(claims.take("auth").token)

            thread = threading.Thread(target=succeed)
            thread.start()
            thread.join(5)
            holder.go_on()
            thread.join()
            assert [holder.hear(), holder.hear()] == ["stale", "over"]
            assert memory.log(since=taken[0], agent="ann") == []
            claims.mine("auth", token=taken[0]).release()
        assert memory.log(agent="ann")
    check_sound(store)
