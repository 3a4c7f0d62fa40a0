"""A disk that fails, at any single call: an error with a next step and nothing written, or the write is there.

init: a memory with a key. next: one write during which the n-th call that changes the disk fails, for every n, once
or from there on. invariant: an error means that nothing was written; whatever was not an error is there; afterwards
all works again, and git finds nothing wrong.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory, StorageError
from tests.conftest import Clock, Git

CALLS = ["open", "write", "rename", "replace", "link", "fsync", "makedirs", "mkdir", "utime"]


class Disk:
    """Counts the calls that change the disk, and refuses some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.refuse: Callable[[int], bool] = lambda number: False
        self.published = False
        for name in CALLS:
            monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            if name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR):
                return call(*arguments, **options)
            self.count += 1
            if self.refuse(self.count):
                raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))
            result = call(*arguments, **options)
            self.published |= name == "rename" and str(arguments[0]).endswith("main.lock")
            return result

        return watched


def small(memory: Memory) -> None:
    memory.store("k", "new", ttl=5)


def large(memory: Memory) -> None:
    with memory.transaction() as tx:
        for number in range(100):
            tx.store(f"many/{number}", number)
        tx.store("k", "new")


@pytest.mark.parametrize("write", ["small", "large"])
def test_everything_is_flushed_before_the_branch_and_the_branch_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    """Objects, their folders, the ref, its folder, in that order: a power cut leaves the old branch, or all of it."""
    memory = Memory.open(tmp_path, durability="sync")
    bare = memory.path / ".git"
    before = set((bare / "objects").rglob("*"))
    steps: list[str] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def flushed(descriptor: int) -> None:
        steps.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def renamed(old: Any, new: Any) -> None:
        if str(new).endswith("refs/heads/main"):
            steps.append("publish")
        steps[:] = [str(new) if step == str(old) else step for step in steps]
        (rename if str(new).endswith("main") else replace)(old, new)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(os, "replace", renamed)
    {"small": small, "large": large}[write](memory)
    published = steps.index("publish")
    made = {path for path in set((bare / "objects").rglob("*")) - before if path.suffix in ("", ".pack", ".idx")}
    assert made
    assert {str(path) for path in made} <= set(steps[:published])
    assert {str(path.parent) for path in made} <= set(steps[:published])
    assert any("publish-" in step for step in steps[:published])
    assert str(bare / "refs/heads") in steps[published:]


def failure(write: Callable[[Memory], None], memory: Memory) -> StorageError | None:
    """What the write raised."""
    try:
        write(memory)
    except StorageError as error:
        return error
    return None


@pytest.mark.parametrize("durability", ["sync", "fast"])
@pytest.mark.parametrize("write", [small, large])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
def test_a_full_disk_is_an_error_and_no_loss(
    tmp_path: Path,
    clock: Clock,
    git: Git,
    monkeypatch: pytest.MonkeyPatch,
    durability: str,
    write: Callable[[Memory], None],
    lasting: bool,
) -> None:
    """The one exception: if the last flush of the branch's folder fails, the write is there, but perhaps not for long;
    that is an error as well, since it was asked to be on the disk."""
    disk = Disk(monkeypatch)
    memory = Memory.open(tmp_path, durability=durability, clock=clock)
    memory.store("k", "old")
    number, refused = 0, True
    while refused:
        number += 1
        memory.store("k", "old")
        head = memory.snapshot
        disk.count, disk.published, refused = 0, False, False

        def refuse(count: int, at: int = number) -> bool:
            nonlocal refused
            hit = count >= at if lasting else count == at
            refused |= hit
            return hit

        disk.refuse = refuse
        error = failure(write, memory)
        if error is None:
            assert memory.retrieve("k") == "new"
        else:
            assert error.hint
            assert (memory.snapshot == head) is not disk.published
            assert not disk.published or durability == "sync"
        disk.refuse = lambda count: False
        assert not list((tmp_path / ".gitmem/.git/refs").rglob("*.lock"))
    assert number > 5
    memory.store("k", "after")
    assert memory.retrieve("k") == "after"
    assert git(memory.path, "fsck", "--strict", "--no-dangling") == ""
    assert memory.history("k")[0].value == "after"
    assert list((tmp_path / ".gitmem" / "local").glob("publish-*")) == []


def test_a_corrupt_object_is_named_and_harms_nothing_else(tmp_path: Path, git: Git) -> None:
    """The value's blob is garbage: that key is an error, others read and write on."""
    memory = Memory.open(tmp_path, durability="fast")
    memory.store("bad", "x" * 10)
    memory.store("good", 1)
    blob = git(memory.path, "rev-parse", "main:default/bad.json").strip()
    path = Path(memory.vault.objects.loose_path(bytes.fromhex(blob)))
    memory.close()
    for content in (b"", b"garbage", path.read_bytes()[:-8], path.read_bytes()[:-5] + b"abcde"):
        path.chmod(0o644)
        path.write_bytes(content)
        fresh = Memory.open(tmp_path)
        with pytest.raises(StorageError) as caught:
            fresh.retrieve("bad")
        assert blob in caught.value.message
        assert caught.value.hint
        assert fresh.retrieve("good") == 1
        assert fresh.append("list", 1).value[-1] == 1
        fresh.close()
    assert Memory.open(tmp_path).store("bad", "new").version == 2
    assert Memory.open(tmp_path).retrieve("bad") == "new"


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_corrupt_index_is_made_anew(tmp_path: Path, content: bytes) -> None:
    """It can be derived: nobody is told, and all answers are right. Also while it is open."""
    memory = Memory.open(tmp_path, durability="fast")
    for number in range(5):
        memory.store("k", number, write_id=f"w{number}")
    (index,) = (memory.path / "derived").glob("*.sqlite3")
    index.write_bytes(content)
    for one in (memory, Memory.open(tmp_path)):
        assert [version.value for version in one.history("k")] == [4, 3, 2, 1, 0]
        assert one.store("k", 2, write_id="w2").version == 3
        one.close()
        assert one.append("list", 1).value
        for companion in (memory.path / "derived").glob("*.sqlite3*"):
            companion.unlink()
