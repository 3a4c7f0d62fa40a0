"""kill -9 at random moments, while others write: what was acknowledged is there, and nobody is in the way.

init: four writers that do all kinds of writes. next: one of them is killed, a new one begins. invariant, in the end:
every acknowledged write is there, git finds nothing wrong, no lock blocks, the index is right.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitmem import Memory
from tests.race.crowd import check_sound, launch


class Crowd:
    """A nursery of writers and what they have acknowledged, by writer."""

    def __init__(self, store: Path) -> None:
        self._nursery = launch(str(store), "nursery")
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._orders = self._nursery.stdin
        self._answers = self._nursery.stdout.fileno()
        self._buffer = b""
        self._names = 0
        self._pids: list[int] = []
        self.living: list[int] = []
        self.acknowledged: list[str] = []

    def begin(self) -> None:
        """One more writer."""
        self._names += 1
        print(f"mixed w{self._names}", file=self._orders, flush=True)
        while not self._pids:
            self.listen(10)
        self.living.append(self._pids.pop())

    def listen(self, seconds: float) -> None:
        """Take in what was acknowledged, for so long at the most."""
        if select.select([self._answers], [], [], seconds)[0]:
            self._take(os.read(self._answers, 1 << 16))

    def _take(self, read: bytes) -> None:
        *lines, self._buffer = (self._buffer + read).split(b"\n")
        for line in lines:
            words = line.decode()
            if words.startswith("pid "):
                self._pids.append(int(words[4:]))
            else:
                self.acknowledged.append(words)

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self.living.remove(pid)

    def end(self) -> None:
        """Kill all of them, and take in the last of what they promised."""
        for pid in list(self.living):
            self.kill(pid)
        _, errors = self._nursery.communicate() if self._orders.closed else self._close()
        assert errors == ""

    def _close(self) -> tuple[str, str]:
        self._orders.close()
        while read := os.read(self._answers, 1 << 16):
            self._take(read)
        assert self._nursery.stderr is not None
        errors = self._nursery.stderr.read()
        self._nursery.wait()
        for pipe in (self._nursery.stdout, self._nursery.stderr):
            if pipe is not None:
                pipe.close()
        return "", errors


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    Memory.open(tmp_path, durability="fast").close()
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def massacre(store: Path, kills: int, seed: int) -> Crowd:
    """So many kills, each at a random moment between two acknowledgements, or right at one."""
    dice = random.Random(seed)
    crowd = Crowd(store)
    try:
        for _ in range(4):
            crowd.begin()
        for _ in range(kills):
            heard = len(crowd.acknowledged) + dice.randrange(1, 12)
            while len(crowd.acknowledged) < heard:
                crowd.listen(30)
            crowd.listen(dice.random() * 0.01)
            crowd.kill(dice.choice(crowd.living))
            crowd.begin()
    finally:
        crowd.end()
    return crowd


def check(store: Path, crowd: Crowd) -> None:
    memory = check_sound(store)
    own: dict[str, str] = {}
    many: dict[str, int] = {}
    counts = [0]
    for line in crowd.acknowledged:
        key, said = line.rsplit(" ", 1)
        if key == "counter":
            counts.append(int(said))
        elif key.startswith("many/"):
            many[key] = int(said)
        else:
            own[key] = said
    assert len(set(counts)) == len(counts)
    assert memory.retrieve("counter") >= max(counts)
    state = {one.key: str(one.value) for one in memory.search("own/**")}
    for key, said in own.items():
        found = state.get(key, "deleted")
        # The deletion of a key may have been done and not yet acknowledged: then history has both.
        assert found == said or (found == "deleted" and memory.history(key)[0].operation == "deleted"), key
    for key, said in many.items():
        values = {one.value for one in memory.search(f"{key}/*")}
        assert min(values) >= 0
        assert max(values) >= said
        assert memory.retrieve(f"{key}/0") == memory.retrieve(f"{key}/2") >= said
    assert len(own) > 50


def test_a_hundred_kills_lose_nothing(store: Path) -> None:
    """While three others write."""
    check(store, massacre(store, 100, seed=1))


@pytest.mark.soak
@pytest.mark.parametrize("durability", ["fast", "sync"])
def test_a_thousand_kills_lose_nothing(tmp_path: Path, durability: str) -> None:
    """The same for minutes, flushed and not flushed: `pytest -m soak tests/race`."""
    Memory.open(tmp_path, durability=durability).close()
    check(tmp_path, massacre(tmp_path, 1000, seed=2))
