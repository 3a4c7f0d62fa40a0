"""Survivors: N acknowledged writes are N writes that are there, however many write at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gitmem import KeyExistsError, Memory
from tests.race.crowd import check_sound, results, start
from tests.together import together

CROWD = 8


@pytest.fixture
def store(tmp_path: Path) -> Path:
    Memory.open(tmp_path, durability="fast").close()
    return tmp_path


def test_own_keys_of_eight_processes_all_survive(store: Path) -> None:
    """8 × 100, each to its own keys: all acknowledged, all there, one commit each."""
    lines = results([start(store, "own", f"w{number}", 100) for number in range(CROWD)])
    assert len(lines) == CROWD * 100
    memory = check_sound(store)
    state = {f"{one.key} {one.value}" for one in memory.search("own/**")}
    assert state == set(lines)
    assert all(one.version == 1 for one in memory.search("own/**"))
    assert len(memory.log(glob="own/**")) == CROWD * 100


def test_increments_of_eight_processes_all_count(store: Path) -> None:
    """8 × 50 with `update`: each number is given once."""
    lines = results([start(store, "increments", f"w{number}", 50) for number in range(CROWD)])
    assert sorted(int(line.split()[1]) for line in lines) == list(range(1, CROWD * 50 + 1))
    entry = check_sound(store).entry("counter")
    assert (entry.value, entry.version) == (CROWD * 50, CROWD * 50)


def test_the_compare_and_swap_alone_loses_nothing(store: Path) -> None:
    """Without the memory's lock, beside some who use it: the lock is for fairness, not for correctness."""
    Memory.open(store).store("counter", 0)
    jobs = ["increments", "swaps"] * 4
    writers = [start(store, job, f"w{number}", 15, lock=number > 5) for number, job in enumerate(jobs)]
    lines = results(writers)
    assert sorted(int(line.split()[1]) for line in lines) == list(range(1, CROWD * 15 + 1))
    assert check_sound(store).retrieve("counter") == CROWD * 15


@pytest.mark.parametrize("lock", [True, False], ids=["locked", "unlocked"])
def test_threads_of_one_memory_lose_nothing(store: Path, lock: bool) -> None:
    """They share caches, the index and the lock's file; each counts, writes keys of its own, and reads."""
    memory = Memory.open(store, lock=lock)

    def work(number: int) -> None:
        mine = memory.bind(agent=f"t{number}")
        for turn in range(20):
            mine.update("counter", lambda value: value + 1, default=0)
            mine.store(f"own/{number}/{turn}", turn)
            assert mine.retrieve(f"own/{number}/{turn}") == turn
            assert len(mine.list(f"own/{number}/")) == turn + 1
            assert mine.history(f"own/{number}/{turn}")[0].agent == f"t{number}"

    together(work, range(6))
    assert memory.retrieve("counter") == 6 * 20
    assert len(memory.list("own/")) == 6 * 20
    memory.close()
    check_sound(store)


def test_readers_never_see_half_a_commit(store: Path) -> None:
    """Two keys that are always stored together are always equal in what one verb reads."""
    memory = Memory.open(store)
    writer = start(store, "pairs", "w", 150)
    seen: Counter[Any] = Counter()
    while writer.poll() is None:
        values = [one.value for one in memory.search("pair/*")]
        assert values in ([], values[:1] * 2)
        seen[tuple(values)] += 1
        past = memory.at(memory.snapshot)
        assert past.retrieve("pair/left", None) == past.retrieve("pair/right", None)
        assert memory.list("pair/") in ([], ["pair/left", "pair/right"])
    results([writer])
    assert len(seen) > 1
    assert [one.value for one in memory.search("pair/*")] == [149, 149]


def test_of_many_creators_one_gets_each_key(store: Path) -> None:
    """A claim has one holder."""
    won: list[int] = []

    def work(number: int) -> None:
        memory = Memory.open(store, agent=f"t{number}", lock=number % 2 == 0)
        for turn in range(15):
            try:
                memory.create(f"claim/{turn}", number)
            except KeyExistsError:
                continue
            won.append(turn)

    together(work, range(6))
    assert sorted(won) == list(range(15))
