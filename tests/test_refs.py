"""Branches under attack: compare-and-swap beside real git, dead writers, foreign locks, garbled files.

A swap has init (a ref somewhere), next (one swap, with something in its way) and an invariant: the ref is where the
answer says, and no lock of ours is left.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gitmem import Memory
from gitmem.errors import ContentionError, StorageError, UnknownRevisionError
from gitmem.objects import Oid
from gitmem.refs import Refs, branch_ref
from tests.conftest import Git
from tests.together import together

MAIN = "refs/heads/main"
A, B, C = (bytes([number]) * 20 for number in (1, 2, 3))


class Branch:
    """One branch `main` at A, in a repository without objects: refs need none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / MAIN
        self.lock = folder / f"{MAIN}.lock"
        self.local = folder / "local"
        self.file.parent.mkdir(parents=True)
        self.local.mkdir()
        self.file.write_text(A.hex() + "\n")
        self.refs = Refs(folder, self.local)

    def swap(self, expected: Oid | None, new: Oid, *, locked: bool = True, wait: float = 0.05) -> bool:
        return self.refs.swap(MAIN, expected, new, locked=locked, durable=True, wait=wait)

    def clean(self) -> bool:
        """Neither a lock nor a draft is left."""
        return not self.lock.exists() and not list(self.local.iterdir())


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    return Branch(tmp_path)


locked_or_not = pytest.mark.parametrize("locked", [True, False], ids=["locked", "unlocked"])


@locked_or_not
def test_a_swap_from_where_it_is_moves_the_branch(branch: Branch, locked: bool) -> None:
    """And leaves nothing behind."""
    assert branch.swap(A, B, locked=locked)
    assert branch.refs.read(MAIN) == B
    assert branch.file.read_text() == B.hex() + "\n"
    assert branch.clean()


@locked_or_not
@pytest.mark.parametrize("expected", [B, None])
def test_a_swap_from_elsewhere_moves_nothing(branch: Branch, locked: bool, expected: Oid | None) -> None:
    """`None` means that there is no such branch, not any."""
    assert not branch.swap(expected, C, locked=locked)
    assert branch.refs.read(MAIN) == A
    assert branch.clean()


def test_a_swap_from_none_makes_a_branch_once(branch: Branch) -> None:
    """The first commit is a compare-and-swap as well."""
    branch.file.unlink()
    assert not branch.swap(A, B)
    assert branch.swap(None, B)
    assert not branch.swap(None, C)
    assert branch.refs.read(MAIN) == B


def test_of_many_swaps_from_one_place_one_wins(branch: Branch) -> None:
    """Threads without the memory's lock: git's lock file and the comparison alone."""
    wanted = [bytes([number]) * 20 for number in range(10, 18)]
    won = together(lambda new: branch.swap(A, new, locked=False, wait=30), wanted)
    assert [branch.refs.read(MAIN)] == [new for new, first in zip(wanted, won, strict=True) if first]
    assert branch.clean()


# --- locks of others ---


def test_a_dead_writers_lock_is_removed_under_the_memorys_lock(branch: Branch) -> None:
    """Its draft in `local/` has the same inode, and the kernel has told that its owner is dead."""
    dead = branch.local / "publish-0123456789abcdef"
    dead.write_text(C.hex() + "\n")
    os.link(dead, branch.lock)
    assert branch.swap(A, B)
    assert branch.refs.read(MAIN) == B
    assert branch.clean()


def test_without_the_memorys_lock_nothing_is_removed(branch: Branch) -> None:
    """The owner of that lock file may be alive."""
    alive = branch.local / "publish-0123456789abcdef"
    alive.write_text(C.hex() + "\n")
    os.link(alive, branch.lock)
    with pytest.raises(ContentionError):
        branch.swap(A, B, locked=False)
    assert branch.lock.exists()
    assert branch.refs.read(MAIN) == A


def test_a_writer_without_the_lock_is_never_taken_for_dead(branch: Branch) -> None:
    """Its lock file was made by a draft of another name, since the kernel tells nothing about its owner."""
    branch.local.joinpath("free-0123456789abcdef").write_text(C.hex() + "\n")
    os.link(branch.local / "free-0123456789abcdef", branch.lock)
    with pytest.raises(ContentionError):
        branch.swap(A, B)
    assert branch.lock.exists()


def test_a_writer_with_the_lock_waits_for_one_without(branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of its swap: the one who comes in between must not take it for dead and go first."""
    read, refused = branch.refs.read, []

    def slowly(name: str) -> Oid | None:
        found = read(name)
        with pytest.raises(ContentionError) as caught:
            Refs(branch.folder, branch.local).swap(MAIN, A, B, locked=True, durable=False, wait=0)
        refused.append(caught.value)
        return found

    monkeypatch.setattr(branch.refs, "read", slowly)
    assert branch.swap(A, C, locked=False)
    assert len(refused) == 1
    assert read(MAIN) == C


def test_a_writer_that_died_after_its_rename_is_in_nobodys_way(branch: Branch) -> None:
    """Then its draft and the branch are one inode, and renaming one onto the other would do nothing."""
    os.link(branch.file, branch.local / "publish-0123456789abcdef")
    assert branch.swap(A, B)
    assert branch.refs.read(MAIN) == B
    assert branch.swap(B, C)
    assert branch.refs.read(MAIN) == C


@pytest.mark.parametrize("content", ["", "garbage", C.hex() + "\n"])
def test_a_foreign_lock_is_waited_for_and_then_named(branch: Branch, content: str) -> None:
    """Path and age, and the next step; it stays where it is."""
    branch.lock.write_text(content)
    with pytest.raises(ContentionError) as caught:
        branch.swap(A, B)
    assert caught.value.path == str(branch.lock)
    assert caught.value.age is not None
    assert str(branch.lock) in caught.value.message
    assert "doctor" in caught.value.hint
    assert branch.lock.read_text() == content
    assert branch.refs.read(MAIN) == A
    assert not list(branch.local.iterdir())


def test_a_foreign_lock_that_looks_like_a_dead_writers_stays(branch: Branch) -> None:
    """The same content is no proof, only the same inode is."""
    branch.local.joinpath("publish-0123456789abcdef").write_text(C.hex() + "\n")
    branch.lock.write_text(C.hex() + "\n")
    with pytest.raises(ContentionError):
        branch.swap(A, B)
    assert branch.lock.exists()


def test_a_foreign_lock_that_goes_lets_the_swap_through(branch: Branch) -> None:
    """As if `git push` were there for a moment; what it did is seen by the comparison."""
    branch.lock.write_text(B.hex() + "\n")
    found: list[bool] = []
    swap = threading.Thread(target=lambda: found.append(branch.swap(A, C, wait=30)))
    swap.start()
    os.rename(branch.lock, branch.file)
    swap.join()
    assert found == [False]
    assert branch.refs.read(MAIN) == B


def test_a_draft_that_vanishes_ends_the_swap(branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody cleans `local/` at the wrong moment: an error, never a busy loop."""
    written = branch.refs._write_draft

    def write_and_lose(draft: str, new: Oid, durable: bool) -> None:
        written(draft, new, durable)
        os.unlink(draft)

    monkeypatch.setattr(branch.refs, "_write_draft", write_and_lose)
    with pytest.raises(StorageError):
        branch.swap(A, B)
    assert branch.refs.read(MAIN) == A
    assert branch.clean()


def test_where_there_are_no_hard_links_the_lock_is_made_as_git_makes_it(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exclusively; a foreign one is respected."""

    def refused(*_: object) -> None:
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(os, "link", refused)
    assert branch.swap(A, B)
    assert branch.refs.read(MAIN) == B
    branch.lock.write_text("")
    with pytest.raises(ContentionError):
        branch.swap(B, C)
    assert branch.refs.read(MAIN) == B


@pytest.mark.parametrize("call", ["link", "rename"])
def test_an_interrupt_at_any_call_leaves_no_lock(branch: Branch, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Python raises KeyboardInterrupt when the system call is over: what it did stands, what it returned is lost."""
    real = getattr(os, call)

    def interrupted(source: str, target: str) -> None:
        real(source, target)
        if call == "rename":
            branch.lock.write_text("a git push was waiting for this\n")
        raise KeyboardInterrupt

    monkeypatch.setattr(os, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        branch.swap(A, B)
    monkeypatch.undo()
    assert branch.lock.exists() == (call == "rename"), "ours goes, a foreign one stays"
    branch.lock.unlink(missing_ok=True)
    assert branch.clean()
    assert branch.swap(A if call == "link" else B, C)


def test_a_copied_lock_that_cannot_be_finished_is_removed(branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk without hard links: a lock that stayed would be taken for a foreign one for ever."""

    def refused(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", refused)
    fsync, calls = os.fsync, iter("ab")

    def full(descriptor: int) -> None:
        if next(calls) == "b":
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError):
        branch.swap(A, B)
    assert branch.clean()


# --- packed, symbolic and garbled refs ---


def test_a_packed_branch_is_read_and_swapped(tmp_path: Path, git: Git) -> None:
    """`git gc` packs refs; the loose one counts if there are both."""
    memory = Memory.open(tmp_path)
    bare = memory.path / ".git"
    refs = Refs(bare, tmp_path)
    first = refs.read(MAIN)
    assert first is not None
    git(bare, "pack-refs", "--all")
    assert not (bare / MAIN).exists()
    assert refs.read(MAIN) == refs.all()[MAIN] == first
    memory.store("k", 1)
    loose = refs.read(MAIN)
    assert (bare / MAIN).exists()
    assert loose not in (None, first)
    assert refs.swap(MAIN, first, first, locked=True, durable=False) is False
    git(bare, "pack-refs", "--all")
    assert refs.read(MAIN) == loose
    assert memory.retrieve("k") == 1


def test_packing_refs_between_two_reads_loses_nothing(tmp_path: Path, git: Git) -> None:
    """The loose file may go between the look for it and the look into packed-refs; it was packed before it went."""
    memory = Memory.open(tmp_path)
    bare = memory.path / ".git"
    for number in range(10):
        memory.store("k", number)
        git(bare, "pack-refs", "--all", "--prune")
        assert memory.retrieve("k") == number
    assert git(bare, "rev-list", "--count", "main").strip() == "11"


def test_a_tag_in_packed_refs_has_its_own_id(tmp_path: Path, git: Git) -> None:
    """Not the peeled one in the line below it."""
    memory = Memory.open(tmp_path)
    bare = memory.path / ".git"
    git(bare, "tag", "-a", "v1", "-m", "one", "main")
    git(bare, "pack-refs", "--all")
    assert Refs(bare, tmp_path).read("refs/tags/v1") == bytes.fromhex(git(bare, "rev-parse", "v1").strip())
    assert memory.at("v1").snapshot == memory.snapshot


def test_a_symbolic_branch_is_followed(branch: Branch) -> None:
    """As git does: what it points to moves, and it stays symbolic."""
    (branch.folder / "refs/heads/other").write_text(A.hex() + "\n")
    branch.file.write_text("ref: refs/heads/other\n")
    assert branch.refs.read(MAIN) == A
    assert branch.swap(A, B)
    assert branch.file.read_text() == "ref: refs/heads/other\n"
    assert branch.refs.read("refs/heads/other") == B


def test_a_circle_of_symbolic_branches_is_an_error(branch: Branch) -> None:
    """Not an endless walk."""
    branch.file.write_text("ref: refs/heads/main\n")
    with pytest.raises(StorageError):
        branch.refs.read(MAIN)
    with pytest.raises(StorageError):
        branch.swap(A, B)


@pytest.mark.parametrize("target", ["../../outside", "/etc/passwd", "HEAD", "refs/../../outside", ""])
def test_a_symbolic_branch_never_leads_out_of_refs(branch: Branch, target: str) -> None:
    """In a repository of somebody else's making it could name any file."""
    outside = branch.folder.parent / "outside"
    outside.write_text(A.hex() + "\n")
    branch.file.write_text(f"ref: {target}\n")
    with pytest.raises(StorageError):
        branch.refs.read(MAIN)
    with pytest.raises(StorageError):
        branch.swap(A, B)
    assert outside.read_text() == A.hex() + "\n"


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"\0" * 41, A.hex().encode()[:30], b"x" * 40 + b"\n"])
def test_a_garbled_branch_is_an_error_and_stays(branch: Branch, content: bytes) -> None:
    """It must not be taken for a missing one: then the next write would begin history anew."""
    branch.file.write_bytes(content)
    with pytest.raises(StorageError) as caught:
        branch.swap(None, B)
    assert caught.value.path == str(branch.file)
    assert caught.value.hint
    assert branch.file.read_bytes() == content
    assert branch.clean()


@pytest.mark.parametrize(
    "name",
    ["", "a..b", "a b", "../main", "/main", "main/", "a//b", "-main", ".main", "a/.b", "a.lock", "a~1", "a^", "a:b",
     "a@{1}", "a\nb", "a\\b", "a?", "a*", "a[", "a."],
)  # fmt: skip
def test_a_name_that_git_refuses_is_no_branch(name: str, tmp_path: Path, git: Git) -> None:
    """Least of all a path out of the repository."""
    with pytest.raises(UnknownRevisionError):
        branch_ref(name)
    with pytest.raises(AssertionError):
        git(tmp_path, "check-ref-format", "--branch", name)


def test_a_branch_that_is_checked_out_is_not_written(tmp_path: Path, git: Git) -> None:
    """Its worktree would silently show the opposite of what was stored."""
    memory = Memory.open(tmp_path)
    memory.store("k", 1)
    git(memory.path, "worktree", "add", "-q", str(tmp_path / "tree"), "main")
    with pytest.raises(StorageError) as caught:
        memory.store("k", 2)
    assert str(tmp_path / "tree") in caught.value.message
    assert memory.retrieve("k") == 1
    git(memory.path, "worktree", "remove", str(tmp_path / "tree"))
    assert memory.store("k", 2).version == 2


@locked_or_not
@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
def test_a_deleted_ref_is_gone_loose_and_packed(tmp_path: Path, git: Git, packed: bool, locked: bool) -> None:
    """A value left in packed-refs would show through; the refs beside it, and what tags peel to, stay."""
    memory = Memory.open(tmp_path)
    repository = memory.vault.repository
    git(repository.git_dir, "branch", "side", "main")
    git(repository.git_dir, "tag", "-m", "one", "mark", "main")
    if packed:
        git(repository.git_dir, "pack-refs", "--all")
        git(repository.git_dir, "update-ref", "refs/heads/side", "main")
    before = git(repository.git_dir, "show-ref", "-d")
    head = repository.head("side")
    assert not repository.refs.delete("refs/heads/side", A, locked=locked, durable=True)
    assert git(repository.git_dir, "show-ref", "-d") == before
    assert repository.refs.delete("refs/heads/side", head, locked=locked, durable=True)
    after = [line for line in before.splitlines() if "heads/side" not in line]
    assert git(repository.git_dir, "show-ref", "-d").splitlines() == after
    assert not list(repository.git_dir.rglob("*.lock"))
    assert not repository.refs.drafts()


def test_a_file_of_gits_is_rewritten_under_gits_lock(branch: Branch) -> None:
    """Whole or not at all, with the mode it had; past a dead writer's lock, and never past a foreign one."""
    path, lock = branch.folder / "config", branch.folder / "config.lock"
    path.write_text("old")
    path.chmod(0o640)

    def rewrite(edit: Callable[[bytes], bytes], *, locked: bool = True) -> None:
        branch.refs.rewrite("config", edit, locked=locked, durable=True, wait=0.05)

    def seen(content: bytes) -> bytes:
        assert lock.exists()
        return content + b" and new"

    rewrite(seen)
    assert path.read_text() == "old and new"
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(ZeroDivisionError):
        rewrite(lambda content: bytes(1 // 0))
    dead = branch.local / "publish-0123456789abcdef"
    dead.write_text("\n")
    os.link(dead, lock)
    with pytest.raises(ContentionError):
        rewrite(seen, locked=False)
    rewrite(seen)
    assert path.read_text() == "old and new and new"
    lock.touch()
    with pytest.raises(ContentionError):
        rewrite(seen)
    lock.unlink()
    assert branch.clean()
