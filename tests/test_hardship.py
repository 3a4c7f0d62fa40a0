"""Hardship: a full disk, a read-only one, a newer format, damage. A clear error with a next step, and nothing worse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitmem import Memory
from gitmem.errors import FormatError, GitmemError, StorageError
from gitmem.maintenance import doctor

Git = Callable[..., str]
KB = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own; making one is root's right."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
    if made.returncode:
        pytest.skip("no right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path, agent="coder", durability="fast") as opened:
        opened.store("plan", {"phase": 1})
        opened.store("status", "working")
        yield opened


def loose(memory: Memory, git: Git, name: str) -> Path:
    bare = memory.vault.repository.git_dir
    oid = git(bare, "rev-parse", name).strip()
    return bare / "objects" / oid[:2] / oid[2:]


def spoil(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def told(error: pytest.ExceptionInfo[GitmemError], *words: str) -> None:
    """The culprit in the message, the next step in the hint."""
    assert error.value.hint
    for word in words:
        assert word in f"{error.value.message}; {error.value.hint}"


# --- a full disk ---


def fill(disk: Path, *, free: int) -> Path:
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
    filler.write_bytes(bytes(max(0, left - free)))
    return filler


@pytest.mark.parametrize("durability", ["fast", "sync"])
def test_on_a_full_disk_a_write_is_refused_and_nothing_is_lost(disk: Path, git: Git, durability: str) -> None:
    """The disk fills up at every step of a write once: before the blob, the trees, the commit, the ref, the index."""
    acknowledged: dict[str, int] = {}
    refusals: list[str] = []
    with Memory.open(disk, agent="coder", durability=durability) as memory:
        memory.store("before", 0)
        acknowledged["before"] = 0
        for free in [*range(0, 40 * KB, 4 * KB)] * 2:
            key = f"key/{len(acknowledged)}/{free}"
            fill(disk, free=free)
            try:
                memory.store(key, free)
            except StorageError as error:
                refusals.append(error.hint)
                assert memory.retrieve(key, None) is None
            else:
                acknowledged[key] = free
            assert {name: memory.retrieve(name) for name in acknowledged} == acknowledged
        (disk / "filler").unlink()
        memory.store("after", 1)
        acknowledged["after"] = 1
    assert refusals
    assert all("disk is full" in hint for hint in refusals)
    assert len(acknowledged) > 2
    with Memory.open(disk) as memory:
        assert {name: memory.retrieve(name) for name in memory.list()} == acknowledged
        assert git(memory.vault.repository.git_dir, "fsck", "--strict", "--no-dangling") == ""
    assert doctor(disk).findings == ()


def test_on_a_full_disk_a_big_transaction_and_gc_are_refused_cleanly(disk: Path) -> None:
    """Packs are written there as a whole, or not at all."""
    with Memory.open(disk, agent="coder", durability="fast") as memory:
        for number in range(30):
            memory.store(f"small/{number}", number)
        fill(disk, free=16 * KB)
        with pytest.raises(StorageError) as error:
            store_many(memory, "big", 100)
        told(error, "disk is full")
        assert memory.list("big/") == []
        (disk / "filler").unlink()
        fill(disk, free=0)
        with pytest.raises(StorageError) as error:
            memory.gc()
        told(error, "disk is full")
        assert len(memory.list("small/")) == 30
        (disk / "filler").unlink()
        assert memory.gc().loose_after == 0
    assert doctor(disk).findings == ()


def store_many(memory: Memory, folder: str, count: int) -> None:
    with memory.transaction(folder) as tx:
        for number in range(count):
            tx.store(f"{folder}/{number}", os.urandom(500).hex())


LIMITED = """
import os, resource, sys
from gitmem import Memory
from gitmem.errors import StorageError
memory = Memory.open(sys.argv[1], agent="coder")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    memory.store("big", os.urandom(60_000).hex())
except StorageError as error:
    print("refused:", error.hint)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limits")
def test_a_file_that_may_not_grow_is_refused_like_a_full_disk(memory: Memory) -> None:
    """A limit of the process, or a quota: another error of the system, the same answer."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(memory.path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("refused: "), done.stderr
    assert memory.retrieve("big", None) is None
    assert doctor(memory).findings == ()


# --- a disk that is read-only ---


@pytest.fixture
def frozen(disk: Path) -> Path:
    with Memory.open(disk, agent="coder", durability="fast") as memory:
        memory.store("plan", {"phase": 1})
        memory.store("plan", {"phase": 2})
        memory.store("lease", 1, ttl=3600)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    return disk


def test_a_read_only_memory_can_be_read(frozen: Path) -> None:
    """A backup, a mounted snapshot: every verb that reads works, the index is kept in memory."""
    with Memory.open(frozen) as memory:
        assert memory.retrieve("plan") == {"phase": 2}
        assert memory.entry("plan").version == 2
        assert [version.value for version in memory.history("plan")] == [{"phase": 2}, {"phase": 1}]
        assert [entry.key for entry in memory.search("**")] == ["lease", "plan"]
        assert memory.at("main").list() == ["lease", "plan"]


def test_a_read_only_memory_refuses_writes_with_a_reason(frozen: Path) -> None:
    """Each verb that writes says what is wrong, none of them hangs."""
    with Memory.open(frozen) as memory:
        writes = [
            lambda: memory.store("plan", 3),
            lambda: memory.update("plan", lambda value: value | {"phase": 3}),
            lambda: memory.delete("plan"),
            memory.gc,
        ]
        for write in writes:
            with pytest.raises(StorageError) as error:
                write()
            told(error, "read-only", str(memory.path))
        assert memory.retrieve("plan") == {"phase": 2}


def test_the_doctor_of_a_read_only_memory_says_so(frozen: Path) -> None:
    """It is no damage; a repair would fail, and is not claimed."""
    for repair in (False, True):
        report = doctor(frozen, repair=repair)
        assert report.ok
        assert {finding.code for finding in report.findings} == {"read-only", "index-not-checked"}
        assert not any(finding.repaired for finding in report.findings)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_memory_of_others_refuses_writes_with_a_reason(memory: Memory) -> None:
    """The same for folders that are not ours to write."""
    bare = memory.vault.repository.git_dir
    folders = [bare / "refs/heads", memory.vault.repository.local, *(path for path in bare.glob("objects/*"))]
    for folder in folders:
        folder.chmod(0o555)
    try:
        with pytest.raises(StorageError) as error:
            memory.store("plan", 3)
        told(error, "not writable")
    finally:
        for folder in folders:
            folder.chmod(0o755)


# --- a newer format, another git ---


def test_a_newer_format_is_refused_before_anything_is_read_or_written(memory: Memory, git: Git) -> None:
    """What this gitmem would write there could be damage by that format's rules."""
    bare = memory.vault.repository.git_dir
    blob = git(bare, "hash-object", "-w", "--stdin", given=b"format = 2\n").strip()
    tree = git(bare, "mktree", given=f"100644 blob {blob}\tgitmem.toml\n".encode()).strip()
    head = git(bare, "commit-tree", tree, "-p", "main", "-m", "the future").strip()
    git(bare, "update-ref", "refs/heads/main", head)
    for verb in (lambda: memory.store("plan", 3), lambda: memory.retrieve("plan"), lambda: Memory.open(memory.path)):
        with pytest.raises(FormatError) as error:
            verb()
        told(error, "format 2", "newer gitmem")
    assert git(bare, "rev-parse", "main").strip() == head


def test_a_shallow_clone_is_refused_with_the_command_that_helps(memory: Memory, git: Git, tmp_path: Path) -> None:
    """Its history is not whole, so versions would be counted wrongly."""
    source = f"file://{memory.vault.repository.git_dir}"
    git(tmp_path, "clone", "-q", "--bare", "--depth", "1", source, "shallow.git")
    with pytest.raises(FormatError) as error:
        Memory.open(tmp_path / "shallow.git")
    told(error, "shallow", "fetch --unshallow")


# --- damage ---


@pytest.mark.parametrize("damage", ["rubbish", "empty", "cut", "folder"])
def test_a_corrupted_index_costs_nothing_but_time(memory: Memory, damage: str) -> None:
    """It is derived: whoever asks gets the answer of git."""
    memory.entry("plan")
    memory.close()
    path = memory.vault.repository.derived / "index.sqlite3"
    content = path.read_bytes()
    if damage == "folder":
        for each in path.parent.iterdir():
            each.unlink()
        path.mkdir()
    else:
        path.write_bytes({"rubbish": b"rubbish" * 9999, "empty": b"", "cut": content[: len(content) // 2]}[damage])
    with Memory.open(memory.path, agent="coder") as opened:
        assert opened.entry("plan").version == 1
        opened.store("plan", {"phase": 2})
        assert [version.version for version in opened.history("plan")] == [2, 1]


@pytest.mark.parametrize("content", [b"", b"rubbish"])
def test_a_corrupted_value_is_an_error_for_that_key_alone(memory: Memory, git: Git, content: bytes) -> None:
    """All others can be read, and everything can be written."""
    spoil(loose(memory, git, "main:default/plan.json"), content)
    with Memory.open(memory.path, agent="coder") as opened:
        with pytest.raises(StorageError) as error:
            opened.retrieve("plan")
        told(error, "damaged", "gitmem doctor")
        assert opened.retrieve("status") == "working"
        opened.store("other", 1)
        assert opened.store("plan", {"phase": 2}).version == 2
        assert opened.retrieve("plan") == {"phase": 2}


@pytest.mark.parametrize("name", ["main", "main^{tree}"])
def test_a_corrupted_head_is_an_error_that_names_the_object(memory: Memory, git: Git, name: str) -> None:
    """Nothing can be read there, and nothing is written over it."""
    damaged = loose(memory, git, name)
    spoil(damaged, b"rubbish")
    memory.close()
    for verb in (
        lambda opened: opened.retrieve("plan"),
        lambda opened: opened.store("plan", 3),
        lambda opened: opened.list(),
    ):
        with pytest.raises(StorageError) as error:
            verb(Memory.open(memory.path))
        told(error, damaged.parent.name + damaged.name, "gitmem doctor")


@pytest.mark.parametrize("program", [shutil.which("git"), None], ids=["git", "own"])
def test_gc_loses_nothing_because_of_a_corrupted_object(
    memory: Memory, git: Git, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    """It packs what can be read, says what cannot, and throws away neither."""
    monkeypatch.setattr(shutil, "which", lambda _: program)
    damaged = loose(memory, git, "main:default/plan.json")
    spoil(damaged, b"rubbish")
    report = memory.gc()
    assert report.trouble or report.damaged
    assert damaged.exists()
    with Memory.open(memory.path) as opened:
        assert opened.retrieve("status") == "working"
        assert len(opened.history("status")) == 1


def test_a_garbled_branch_is_an_error_that_names_its_file(memory: Memory) -> None:
    """A power cut leaves such files where durability is `fast`."""
    (memory.vault.repository.git_dir / "refs/heads/main").write_bytes(b"\0" * 41)
    for verb in (lambda: memory.retrieve("plan"), lambda: memory.store("plan", 3), memory.gc):
        with pytest.raises(StorageError) as error:
            verb()
        told(error, "refs/heads/main", "gitmem doctor --repair")
