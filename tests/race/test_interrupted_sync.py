"""A sync that is killed at each point where it changes anything: the next one completes, and nothing is lost.

init: a copy and its server, which have something for each other. next: a sync is killed right before its nth change of
a file, a pipe or a folder. invariant: the next sync, in another process, brings both to one head with everybody's
writes, leaves no lock behind, and git finds nothing wrong.
"""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from gitmem import Memory
from tests.foreign import run_git
from tests.race.nursery import Nursery, nursery

FEW, MANY = 3, 70  # keys: as loose objects, and as a pack


def lay(top: Path, ours: int, theirs: int) -> None:
    """A server and a copy of it, `ann`, which has written so many keys since; another copy has sent so many there."""
    top.mkdir()
    run_git(top, "init", "-q", "--bare", "-b", "main", str(top / "team.git"))
    run_git(top / "team.git", "config", "gitmem.durability", "fast")
    with Memory.open(top / "ann", agent="ann", durability="fast") as ann:
        ann.add_remote("origin", str(top / "team.git"))
        ann.store("both", "at first")
        ann.sync()
        with Memory.clone(str(top / "team.git"), top / "bob", agent="bob", durability="fast") as bob:
            write(bob, theirs)
            bob.sync()
        write(ann, ours)


def write(memory: Memory, count: int) -> None:
    if count:
        with memory.transaction() as tx:
            for number in range(count):
                tx.store(f"{memory.agent}/{number}", number)
            tx.store("both", memory.agent)


def check(top: Path, ours: int, theirs: int, git: bool) -> None:
    """The next sync, which goes the same way."""
    with Memory.open(top / "ann", agent="ann", create=False) as ann:
        with pytest.MonkeyPatch.context() as patch:
            if not git:
                patch.setenv("PATH", str(top / "nothing"))
            ann.sync(timeout=20)
        assert ann.snapshot == run_git(top / "team.git", "rev-parse", "main").strip()
        assert len(ann.list("ann/")) == ours
        assert len(ann.list("bob/")) == theirs
        assert len(ann.conflicts()) == bool(ours and theirs)
        done = ann.sync()
        assert (done.sent, done.received, done.keys) == (False, False, ())
        ann.store("afterwards", 1)
        assert not list((ann.path / ".git").rglob("*.lock"))
        ann.gc()
        assert [path.name for path in (ann.path / "local").iterdir() if path.suffix != ".lock"] in ([], ["lock"])
    for folder in (top / "ann" / ".gitmem", top / "team.git"):
        assert run_git(folder, "fsck", "--strict", "--no-dangling") == ""


def cut(crowd: Nursery, top: Path, at: int) -> int | None:
    """Kill a sync before its nth change, and wait for its end; how many changes it made, if it made fewer."""
    crowd.said.clear()
    (top / "line").touch()
    crowd.begin("cut", top / "ann", "ann", at=at, line=str(top / "line"))
    crowd.until(1, "ready")
    with (top / "line").open() as line:
        fcntl.flock(line, fcntl.LOCK_EX)
    crowd.listen(0)
    return next((one["made"] for one in crowd.said if one["kind"] == "whole"), None)


def run(folder: Path, ours: int, theirs: int, git: bool, stride: int) -> None:
    """Every so many points, from the first to the last."""
    lay(folder / "laid", ours, theirs)
    (folder / "laid").rename(folder / "world")  # where its addresses will hold
    with Memory.open(folder / "world" / "ann") as ann:
        ann.remove_remote("origin")
        ann.add_remote("origin", str(folder / "world" / "team.git"))
        head = ann.snapshot
        there = run_git(folder / "world" / "team.git", "rev-parse", "main").strip()
        assert (head == there) is not (ours or theirs)
    (folder / "world").rename(folder / "laid")
    (folder / "nothing").mkdir()
    with nursery(**({} if git else {"PATH": str(folder / "nothing")})) as crowd:
        at, last = 0, None
        while last is None:
            at += stride
            shutil.copytree(folder / "laid", folder / "world")
            last = cut(crowd, folder / "world", at)
            check(folder / "world", ours, theirs, git)
            shutil.rmtree(folder / "world")
        assert at > 10 * stride
        assert at - stride <= last < at


@pytest.mark.parametrize("git", [True, False], ids=["git", "no git"])
def test_the_next_sync_completes_what_a_killed_one_began(tmp_path: Path, git: bool) -> None:
    """Both sides have something, and the same key."""
    run(tmp_path, FEW, FEW, git, stride=2)


@pytest.mark.soak
@pytest.mark.parametrize("git", [True, False], ids=["git", "no git"])
@pytest.mark.parametrize(("ours", "theirs"), [(0, FEW), (FEW, 0), (FEW, FEW), (0, MANY), (MANY, 0), (MANY, MANY)])
def test_the_next_sync_completes_at_each_single_point(tmp_path: Path, git: bool, ours: int, theirs: int) -> None:
    """The same without a gap, for all that a sync can be."""
    run(tmp_path, ours, theirs, git, stride=1)
