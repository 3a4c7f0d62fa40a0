"""The contract, over each kind of memory."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory
from tests.conftest import Clock, Git
from tests.contract import MemoryContract, World


class TestOnDisk(MemoryContract):
    """A `.gitmem` in a folder."""

    @pytest.fixture
    def world(self, tmp_path: Path, clock: Clock) -> Iterator[World]:
        yield from _world(tmp_path, clock)


class TestReopened(MemoryContract):
    """Opened anew for every single verb: nothing that counts is only in a process."""

    @pytest.fixture
    def world(self, tmp_path: Path, clock: Clock) -> Iterator[World]:
        yield from _world(tmp_path, clock, renew=True)


class TestForgetful(MemoryContract):
    """What can be derived is deleted before every single verb."""

    @pytest.fixture
    def world(self, tmp_path: Path, clock: Clock) -> Iterator[World]:
        def open_memory(**options: Any) -> Memory:
            shutil.rmtree(tmp_path / ".gitmem" / "derived", ignore_errors=True)
            return Memory.open(tmp_path, durability="fast", **options)

        yield from _closing(World(open_memory, clock, renew=True))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real `git clone --bare` of a memory with a past."""
    folder = tmp_path_factory.mktemp("grown")
    with Memory.open(folder, agent="before", clock=Clock(datetime(2026, 1, 2, tzinfo=UTC))) as origin:
        for number in range(3):
            origin.store(f"past/{number}", number)
        origin.delete_matching("**")
    clone = folder / "clone.git"
    subprocess.run(["git", "clone", "-q", "--bare", origin.path / ".git", clone], check=True)
    return clone


class TestClone(MemoryContract):
    """A clone made by git: another copy, with none of what is this machine's."""

    @pytest.fixture
    def world(self, tmp_path: Path, clock: Clock, grown: Path) -> Iterator[World]:
        shutil.copytree(grown, tmp_path / "clone.git")
        yield from _world(tmp_path / "clone.git", clock)


class TestBare(MemoryContract):
    """A bare repository of git's making, adopted."""

    @pytest.fixture
    def world(self, tmp_path: Path, clock: Clock, git: Git) -> Iterator[World]:
        git(tmp_path, "init", "-q", "--bare", "-b", "main", "bare.git")
        yield from _world(tmp_path / "bare.git", clock)


class TestUnlocked(MemoryContract):
    """Without the memory's lock: the compare-and-swap alone."""

    @pytest.fixture
    def world(self, tmp_path: Path, clock: Clock) -> Iterator[World]:
        yield from _world(tmp_path, clock, lock=False)


class TestPacked(MemoryContract):
    """Now and then all objects go into a pack and the branch into packed-refs, as after a `git gc`."""

    @pytest.fixture
    def world(self, tmp_path: Path, clock: Clock, git: Git) -> Iterator[World]:
        openings = count()

        def open_memory(**options: Any) -> Memory:
            memory = Memory.open(tmp_path, durability="fast", **options)
            if next(openings) % 4 == 1:
                git(memory.path, "repack", "-adq")
                git(memory.path, "pack-refs", "--all")
            return memory

        yield from _closing(World(open_memory, clock, renew=True))


def _world(path: Path, clock: Clock, *, renew: bool = False, **settings: Any) -> Iterator[World]:
    def open_memory(**options: Any) -> Memory:
        return Memory.open(path, durability="fast", **settings, **options)

    yield from _closing(World(open_memory, clock, renew=renew))


def _closing(world: World) -> Iterator[World]:
    yield world
    world.close()
