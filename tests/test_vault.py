"""What all views share: listings that follow the head, a rewritten history that is noticed."""

from __future__ import annotations

import os
import random
import signal
import warnings
from pathlib import Path

import pytest

from gitmem import Memory
from gitmem.vault import HistoryRewritten
from tests.conftest import Git


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory.open(tmp_path, agent="tester", durability="fast")


@pytest.mark.parametrize("seed", range(5))
def test_a_listing_that_is_patched_equals_one_that_is_made_anew(memory: Memory, seed: int) -> None:
    """From one snapshot to the next only what differs is looked at: other writers, splits and joins included."""
    chance = random.Random(seed)
    other = Memory.open(memory.path, agent="other")
    pool = [f"{chance.choice(['', 'd/', 'd/e/'])}k{number}" for number in range(200)]
    for _ in range(12):
        writer = chance.choice([memory, other])
        with writer.transaction() as tx:
            for key in chance.sample(pool, chance.choice([1, 3, 90])):
                if tx.retrieve(key, None) is None or chance.random() < 0.4:
                    tx.store(key, chance.random())
                else:
                    tx.delete(key)
        assert memory.list() == Memory.open(memory.path).list()


def test_a_rewritten_history_is_kept_and_said(memory: Memory, git: Git) -> None:
    """What somebody took away by force stays under a rescue ref; the next write says so."""
    for number in range(3):
        memory.store("k", number)
    lost = memory.snapshot
    folder = memory.path / ".git"
    git(folder, "update-ref", "refs/heads/main", "main~2")
    again = Memory.open(memory.path)
    with pytest.warns(HistoryRewritten, match="rescue"):
        again.store("other", 1)
    assert git(folder, "rev-parse", f"refs/gitmem/rescue/main-{lost[:12]}").strip() == lost
    assert again.at(f"refs/gitmem/rescue/main-{lost[:12]}").retrieve("k") == 2
    assert [version.version for version in again.history("k")] == [1]


def test_a_history_that_only_goes_on_is_no_rewritten_one(memory: Memory, git: Git, tmp_path: Path) -> None:
    """Neither other writers, nor merges by plain git, nor an index that was deleted."""
    memory.store("k", 1)
    work = tmp_path / "work"
    with warnings.catch_warnings():
        warnings.simplefilter("error", HistoryRewritten)
        git(tmp_path, "clone", "-q", str(memory.path / ".git"), str(work))
        (work / "README.md").write_text("by hand\n")
        git(work, "add", ".")
        git(work, "commit", "-qm", "by hand")
        Memory.open(memory.path).store("k", 2)
        git(work, "pull", "-q", "--no-rebase", "--no-edit")
        git(work, "push", "-q", "origin", "main")
        memory.store("k", 3)
        for file in (memory.path / "derived").iterdir():
            file.unlink()
        memory.store("k", 4)
        Memory.open(memory.path).store("k", 5)
    assert "refs/gitmem" not in git(memory.path / ".git", "for-each-ref")
    assert memory.entry("k").version == 5


def test_an_expiry_of_another_zone_is_the_same_instant(memory: Memory, git: Git) -> None:
    """Another tool may write +02:00; what keeps the expiry must not move it."""
    memory.store("k", 1, ttl=60)
    path = memory.path / ".git"
    for text, expires in [
        ("2100-01-01T02:00:00+02:00", "2100-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+02:00", None),
        ("2100-01-01T02:00:00", None),
    ]:
        (path / "file").write_text(f'"{text}"\n')
        blob = git(path, "hash-object", "-w", "file").strip()
        index = {"GIT_INDEX_FILE": str(path / "scratch")}
        git(path, "read-tree", "main", **index)
        git(path, "update-index", "--add", "--cacheinfo", f"100644,{blob},~gitmem/expires/default/k.json", **index)
        tree = git(path, "write-tree", **index).strip()
        commit = git(path, "-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", "-m", "x", "-p", "main", tree)
        git(path, "update-ref", "refs/heads/main", commit.strip())
        assert memory.entry("k").to_json()["expires"] == expires
        assert memory.update("k", lambda value: value + 1).to_json()["expires"] == expires


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_waits_for_no_thread_of_its_parent(memory: Memory) -> None:
    """A thread that was inside a cache at the fork is not in the child to come out again."""
    memory.store("k", 1)
    with memory.vault.objects.lock:
        child = os.fork()
        if not child:
            signal.alarm(30)
            try:
                memory.store("k", 2)
            finally:
                os._exit(0 if memory.retrieve("k", None) == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert memory.retrieve("k") == 2
