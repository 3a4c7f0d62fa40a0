"""What is measured on: keys, values and memories of some size, each built once in a run and copied where needed.

Knows how to fill a memory quickly; does not know what is measured.
Law: everything lies below one folder and is gone after the run; no collection of garbage starts by itself.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gitmem import Memory
from tests.bench.peers import BRANCH, canonical, path_of

NAMESPACE = "coordination"
AGENTS, KEYS = 100, 100


def key_of(number: int) -> str:
    """A key of three levels; no directory of them has more than a hundred entries below 1,000,000 keys."""
    agent, status = divmod(number, KEYS)
    return f"swarm-{agent // AGENTS:02d}/agent-{agent % AGENTS:02d}/status-{status:02d}"


def value_of(number: int, turn: int = 0) -> dict[str, Any]:
    """About 150 bytes of JSON; another one each turn."""
    return {
        "state": ("pending", "working", "complete")[(number + turn) % 3],
        "agent": f"agent-{number % AGENTS:02d}",
        "progress": round((number * 7919 + turn) % 1000 / 1000, 3),
        "turn": turn,
        "files": ["src/auth/service.py", "tests/test_auth.py"],
        "note": f"step {number} of the plan",
    }


class Ground:
    """A folder to build in. `quick` makes everything smaller, and every figure rougher."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        self.random = random.Random(20260101)
        self._count = 0

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def path(self, name: str) -> Path:
        """A path that nothing lies at yet."""
        self._count += 1
        return self.folder / f"{self._count:03d}-{name}"

    def memory(self, name: str, build: Callable[[Path], object]) -> Path:
        """A copy of the memory called `name`, which is built when it is first asked for."""
        model = self.folder / f"model-{name}"
        if not model.exists():
            build(model)
        copy = self.path(name)
        shutil.copytree(model, copy)
        return copy

    def filled(self, keys: int) -> Path:
        """A memory with that many keys of three levels."""
        return self.memory(f"{keys}-keys", lambda path: fill(path, ((key_of(n), value_of(n)) for n in range(keys))))

    def flat(self, keys: int) -> Path:
        """A memory with that many keys in one directory."""
        return self.memory(f"{keys}-flat", lambda path: fill(path, ((flat_key(n), value_of(n)) for n in range(keys))))

    def long(self, commits: int) -> Path:
        """A memory with that many commits, of which ten change `PAST`."""
        return self.memory(f"{commits}-commits", lambda path: write_history(path, commits))


PAST = "past/of/one-key"


def flat_key(number: int) -> str:
    return f"finding-{number:06d}"


def open_memory(path: Path, *, durability: str = "fast") -> Memory:
    """The memory at `path`, made if it is not there. Its collection of garbage never starts by itself."""
    git_dir = git_dir_of(path)
    if not git_dir.exists():
        Memory.open(path).close()
    for name, value in (("gitmem.autogc", "false"), ("gitmem.durability", durability)):
        subprocess.run(["git", f"--git-dir={git_dir}", "config", name, value], check=True)
    return Memory.open(path, agent="bench", namespace=NAMESPACE)


def git_dir_of(path: Path) -> Path:
    return path / ".gitmem" / ".git"


def fill(path: Path, values: Iterable[tuple[str, Any]]) -> None:
    """A memory with these keys, and its index: one commit."""
    with open_memory(path) as memory:
        with memory.transaction("fill") as tx:
            for key, value in values:
                tx.store(key, value)
        memory.entry(memory.list()[0])


def write_history(path: Path, commits: int) -> None:
    """A memory with a long history, made by `git fast-import`, which writes one pack."""
    open_memory(path).close()
    command = ["git", f"--git-dir={git_dir_of(path)}", "fast-import", "--quiet"]
    importer = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert importer.stdin is not None
    with importer.stdin as stream:
        for piece in _history(commits):
            stream.write(piece)
    assert importer.wait() == 0
    with open_memory(path) as memory:
        assert len(memory.history(PAST)) == 10


def _history(commits: int) -> Iterator[bytes]:
    keys = 1000
    for turn in range(commits):
        mine = turn % (commits // 10) == commits // 20
        key = PAST if mine else key_of(turn * 7919 % keys)
        body = canonical(value_of(turn % keys, turn))
        message = f"store {NAMESPACE} {key}\n\nAgent: bench\n".encode()
        who = b"bench <bench@gitmem> %d +0000" % (1767300000 + turn)
        yield b"commit %s\nauthor %s\ncommitter %s\ndata %d\n%s\n" % (BRANCH.encode(), who, who, len(message), message)
        if turn == 0:
            yield b"from %s^0\n" % BRANCH.encode()
        path = "/".join(path_of(NAMESPACE, key)).encode()
        yield b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(body), body)


def loose_bytes(path: Path) -> int:
    """The sizes of all loose objects together."""
    objects = git_dir_of(path) / "objects"
    return sum(file.stat().st_size for folder in objects.glob("??") for file in folder.iterdir())
