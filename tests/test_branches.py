"""Branches: making and removing them, fast-forwards, the commit that a merge is, dry runs, tokens."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitmem import (
    ConflictError,
    FormatError,
    GitmemError,
    Memory,
    NotAMemoryError,
    StorageError,
    UnknownRevisionError,
)
from tests.conftest import Clock, Git
from tests.foreign import commit_files, run_git
from tests.forks import Fork, fork


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[Memory]:
    with Memory.open(tmp_path, agent="main", durability="fast", clock=clock) as opened:
        opened.store("k", 0)
        clock.advance(10)
        yield opened


@pytest.fixture
def world(memory: Memory, clock: Clock) -> Fork:
    return fork(memory, clock)


def bare(memory: Memory) -> Path:
    return memory.vault.repository.git_dir


# --- making, listing, removing


def test_a_branch_begins_where_it_is_told(memory: Memory) -> None:
    """At a revision, else at the head of the branch in use; it is one to git too, and nothing else moves."""
    first = memory.snapshot
    memory.store("k", 1)
    made = memory.branch("new")
    assert (made.branch_name, made.snapshot, made.agent) == ("new", memory.snapshot, "main")
    old = memory.branch("team/old", at=first)
    assert old.retrieve("k") == 0
    old.store("k", 5)
    assert old.branch("older").snapshot == old.snapshot
    assert memory.retrieve("k") == 1
    assert list(memory.branches()) == ["main", "new", "older", "team/old"]
    said = run_git(bare(memory), "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads")
    assert dict(line.split() for line in said.splitlines()) == memory.branches()
    with Memory.open(memory.path, branch="team/old", create=False) as opened:
        assert opened.retrieve("k") == 5
        opened.store("k", 6)
    assert old.retrieve("k") == 6
    assert memory.at("team/old").retrieve("k") == 6


def test_a_branch_that_is_there_is_as_good_as_a_new_one(memory: Memory) -> None:
    """If it is where it was wanted; elsewhere it is nobody's to move."""
    memory.branch("new")
    assert memory.branch("new").snapshot == memory.snapshot
    memory.store("k", 1)
    with pytest.raises(ConflictError) as caught:
        memory.branch("new")
    assert "gitmem merge --branch new" in caught.value.hint
    assert memory.bind(branch="new").retrieve("k") == 0


@pytest.mark.parametrize("name", [
    "", "a..b", "a b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "@",
    "a@{b", "a.", "-a", "a\x7f", "a\nb", "../../x", "HEAD", "\ud800", "x" * 300,
])  # fmt: skip
def test_a_name_that_git_refuses_is_refused(memory: Memory, name: str) -> None:
    """Before anything is written, by every way in."""
    before = run_git(bare(memory), "for-each-ref")
    for ask in (
        lambda: memory.branch(name),
        lambda: memory.delete_branch(name),
        lambda: memory.bind(branch=name).store("k", 1),
        lambda: Memory.open(memory.path, branch=name, create=False),
    ):
        with pytest.raises(GitmemError) as caught:
            ask()
        assert caught.value.hint
    assert run_git(bare(memory), "for-each-ref") == before


def test_a_branch_and_a_folder_of_branches_do_not_meet(memory: Memory, git: Git) -> None:
    """As git has it, be they loose or packed; and what is left empty stands in nobody's way."""
    memory.branch("a"), memory.branch("b/c/d")
    for _ in range(2):
        for name in ("a/x", "b", "b/c"):
            with pytest.raises(ConflictError):
                memory.branch(name)
        assert list(memory.branches()) == ["a", "b/c/d", "main"]
        git(bare(memory), "pack-refs", "--all")
    memory.delete_branch("b/c/d"), memory.delete_branch("a")
    memory.branch("b"), memory.branch("a/x")
    assert list(memory.branches()) == ["a/x", "b", "main"]
    memory.delete_branch("b"), memory.branch("b/c"), memory.delete_branch("b/c")
    (bare(memory) / "refs" / "heads" / "b" / "c").mkdir(parents=True, exist_ok=True)
    assert memory.branch("b").retrieve("k") == 0
    assert run_git(bare(memory), "rev-parse", "b").strip() == memory.snapshot


def test_removing_a_branch_tells_where_it_was(memory: Memory, git: Git) -> None:
    """Loose, packed or both; main stays, and so does one that is not there."""
    for packed in (False, True):
        side = memory.branch("side")
        if packed:
            git(bare(memory), "pack-refs", "--all")
            side.store("k", 1)
        head = side.snapshot
        assert memory.delete_branch("side") == head
        assert "side" not in memory.branches()
        assert git(bare(memory), "for-each-ref", "refs/heads/side") == ""
        with pytest.raises(UnknownRevisionError):
            memory.delete_branch("side")
    with pytest.raises(ConflictError) as caught:
        memory.delete_branch("main")
    assert caught.value.hint
    assert memory.retrieve("k") == 0


def test_a_branch_that_a_worktree_has_out_is_left_alone(memory: Memory, tmp_path: Path, git: Git) -> None:
    """Its files would silently differ from it: no merge into it, no removal, as with git."""
    side = memory.branch("side")
    git(bare(memory), "worktree", "add", "-q", str(tmp_path / "tree"), "side")
    memory.store("k", 1)
    for verb in (lambda: side.merge("main"), lambda: memory.delete_branch("side"), lambda: side.store("k", 2)):
        with pytest.raises(StorageError) as caught:
            verb()
        assert str(tmp_path / "tree") in caught.value.message
    assert side.retrieve("k") == 0
    assert side.merge("main", dry_run=True).revision == memory.snapshot


# --- merging


def test_nothing_to_take_in_moves_nothing(world: Fork) -> None:
    """The branch itself, one that is behind, any revision of the past."""
    world.one.store("k", 1)
    head = world.one.snapshot
    for revision in ("one", "two", "main", head, head[:10], "one~1"):
        done = world.one.merge(revision)
        assert (done.before, done.revision, done.merged, done.conflicts) == (head, head, False, ())
        assert {one.result for one in done.keys} <= {"unchanged"}
    assert world.one.snapshot == head


def test_a_branch_that_only_comes_after_is_followed(world: Fork) -> None:
    """A fast-forward makes no commit."""
    world.two.store("new", 1), world.two.store("k", 1)
    before = world.one.snapshot
    done = world.one.merge("two")
    assert (done.before, done.revision, done.merged) == (before, world.two.snapshot, False)
    assert [(one.key, one.result) for one in done.keys] == [("k", "updated"), ("new", "new")]
    world.two.delete("k")
    assert [(one.key, one.result) for one in world.one.merge("two").keys] == [("k", "deleted")]


def test_a_merge_is_the_commit_that_the_design_describes(world: Fork) -> None:
    """To the byte: parents sorted, signed by gitmem, dated by the later of them, with its one trailer."""
    world.one.store("k", {"a": 1})
    world.clock.advance(1000)
    with Memory.open(world.main.path, branch="two", agent="bob", clock=world.clock, committer=("B", "b@x")) as two:
        two.store("l", 1)
    date = int(world.clock.now.timestamp())
    low, high = sorted((world.one.snapshot, world.two.snapshot))
    world.clock.advance(1000)
    done = world.merge()
    tree = run_git(world.git_dir, "rev-parse", "one^{tree}").strip()
    assert run_git(world.git_dir, "cat-file", "commit", done.revision) == (
        f"tree {tree}\nparent {low}\nparent {high}\n"
        f"author gitmem <gitmem@gitmem> {date} +0000\ncommitter gitmem <gitmem@gitmem> {date} +0000\n\n"
        f"merge {low} {high}\n\nMerge-Algorithm: 1\n"
    )
    assert run_git(world.git_dir, "log", "-1", "--format=%(trailers:key=Merge-Algorithm,valueonly)").strip() == ""
    said = run_git(world.git_dir, "log", "-1", "--format=%(trailers:key=Merge-Algorithm,valueonly)", "one")
    assert said.strip() == "1"
    (record, *_) = world.one.log(limit=1)
    assert (record.agent, record.parents) == ("gitmem", (low, high))


def test_each_key_is_told_what_became_of_it(world: Fork) -> None:
    """From the side of the branch that takes in; what it changed itself is unchanged for it."""
    with world.main.transaction() as tx:
        for key in ("theirs", "ours", "both", "quarrel", "gone", "left"):
            tx.store(key, {"a": 1, "b": 1})
    world.one.merge("main"), world.two.merge("main")
    for side, value in ((world.one, 2), (world.two, 3)):
        side.store("theirs" if value == 3 else "ours", value)
        side.store("both", {"a": 1, "b": 1} | {"ab"[value - 2]: 5})
        side.store("quarrel", {"a": value})
        side.delete("gone" if value == 3 else "left")
        world.clock.advance(10)
    world.two.store("new", 1), world.one.store("mine", 1, namespace="a")
    told = [world.one.merge("two", dry_run=True), world.two.merge("one", dry_run=True)]
    assert [{one.key: one.result for one in done.keys} for done in told] == [
        {"theirs": "updated", "ours": "unchanged", "both": "merged", "quarrel": "conflict", "gone": "deleted",
         "left": "unchanged", "new": "new", "mine": "unchanged"},
        {"theirs": "unchanged", "ours": "updated", "both": "merged", "quarrel": "conflict", "gone": "unchanged",
         "left": "deleted", "new": "unchanged", "mine": "new"},
    ]  # fmt: skip
    names = [(one.namespace, one.key) for one in told[0].keys]
    assert names == sorted(names)
    world.merge()


def test_a_dry_run_writes_nothing(world: Fork) -> None:
    """No object, no ref; and tells what the merge then does."""
    world.store("k", {"a": 1}, {"a": 2})
    world.one.store("l", 1)

    def files() -> set[Path]:
        return {path for path in world.git_dir.rglob("*") if path.is_file()}

    world.one.merge("two", dry_run=True)
    before = files()
    told = world.one.merge("two", dry_run=True)
    assert files() == before
    assert told.conflicts
    assert run_git(world.git_dir, "cat-file", "--batch-check", given=told.revision.encode()).endswith("missing\n")
    with pytest.raises(UnknownRevisionError):
        world.one.at(told.revision)
    assert world.one.conflicts() == []
    assert world.one.merge("two") == told


def test_a_merge_of_other_keys_makes_no_token_stale(world: Fork) -> None:
    """And is no version of theirs; only a value that came of both sides is new."""
    with world.main.transaction() as tx:
        for key in ("ours", "theirs", "same", "both", "still", "claim"):
            tx.store(key, {"a": 1, "b": 1}, ttl=1000 if key == "claim" else None)
    world.one.merge("main"), world.two.merge("main")
    still, claim = world.one.entry("still"), world.one.entry("claim")
    world.store("both", {"a": 2, "b": 1}, {"a": 1, "b": 2})
    ours, theirs = world.one.store("ours", 2), world.two.store("theirs", 2)
    world.store("same", 7, 7)
    world.two.store("claim", {"a": 1, "b": 1}, ttl=5000)
    done = world.merge()
    for old in (still, claim, ours, theirs):
        now = world.one.entry(old.key)
        assert (now.revision, now.version) == (old.revision, old.version)
        assert world.one.store(old.key, "next", expect=old, ttl=9).version == old.version + 1
    assert {key: world.one.at(done.revision).entry(key).revision == done.revision for key in world.one.list()} == {
        "both": True, "same": True, "ours": False, "theirs": False, "still": False, "claim": False, "k": False,
    }  # fmt: skip
    assert world.one.at(done.revision).entry("both").version == 4


def test_what_is_no_memory_is_refused_whole(world: Fork, git: Git) -> None:
    """A newer format, no gitmem.toml, what is not there: nothing moves."""
    empty = git(world.git_dir, "mktree").strip()
    orphan = git(world.git_dir, "commit-tree", empty, "-m", "other").strip()
    newer = commit_files(world.git_dir, {"gitmem.toml": b"format = 2\n"}, branch="two")
    head = world.one.snapshot
    for revision, error in ((orphan, NotAMemoryError), (newer, FormatError), ("nothing", UnknownRevisionError)):
        for dry_run in (True, False):
            with pytest.raises(error):
                world.one.merge(revision, dry_run=dry_run)
    assert world.one.snapshot == head


def test_two_histories_that_never_met_are_merged(world: Fork, git: Git) -> None:
    """A repository that another tool began has another first commit: the base is nothing."""
    blobs = {"gitmem.toml": b"format = 1\n", "default/k.json": b'{"b": 2}\n', "default/l.json": b"1\n"}
    git(world.git_dir, "update-ref", "-d", "refs/heads/two")
    entries = []
    for path, body in blobs.items():
        oid = git(world.git_dir, "hash-object", "-w", "--stdin", given=body).strip()
        entries.append(f"100644 blob {oid}\t{path.rpartition('/')[2]}\n")
    folder = git(world.git_dir, "mktree", given="".join(entries[1:]).encode()).strip()
    root = git(world.git_dir, "mktree", given=f"{entries[0]}040000 tree {folder}\tdefault\n".encode()).strip()
    git(world.git_dir, "update-ref", "refs/heads/two", git(world.git_dir, "commit-tree", root, "-m", "x").strip())
    world.one.store("k", {"a": 1})
    assert world.merge().conflicts == ()
    assert {key: world.one.retrieve(key) for key in world.one.list()} == {"k": {"a": 1, "b": 2}, "l": 1}


def test_several_merge_bases_are_merged_first(world: Fork) -> None:
    """Three times criss-cross, the bases of the bases too: what was merged once is not merged again."""
    world.main.store("k", {"n": 0, "l": []})
    world.main.settings.add_rule("k", "total", at="/n")
    world.one.merge("main"), world.two.merge("main")
    count = 0
    for turn in range(1, 4):
        for side in (world.one, world.two):
            value = side.retrieve("k")
            side.store("k", {"n": value["n"] + turn, "l": [*value["l"], [side.agent, turn]]})
            count += turn
        first, second = world.one.snapshot, world.two.snapshot
        world.one.store("x", turn), world.two.store("y", turn)
        assert world.one.merge(second).conflicts == world.two.merge(first).conflicts == ()
    bases = run_git(world.git_dir, "merge-base", "--all", "one", "two").split()
    assert len(bases) == 2
    assert world.merge().conflicts == ()
    value = world.one.retrieve("k")
    assert value["n"] == count
    assert sorted(value["l"]) == [[agent, turn] for agent in ("ann", "bob") for turn in (1, 2, 3)]


def test_three_merge_bases_are_folded_with_all_that_they_know(world: Fork) -> None:
    """The third is merged with a base of all before it: with that of the first alone, what they share counts anew."""
    world.main.store("k", 0)
    world.main.settings.add_rule("k", "total")
    start = world.main.snapshot
    first, second, third = (world.main.branch(f"b{number}", at=start) for number in range(3))
    first.store("k", 1)
    second.store("k", 10)
    third.merge("b1")  # so that the second and the third have more in common than each has with the first
    third.update("k", lambda value: value + 100)
    second.update("k", lambda value: value + 1000)
    heads = [side.snapshot for side in (first, second, third)]
    for name, order in (("x", (0, 1, 2)), ("y", (2, 1, 0))):
        side = world.main.branch(name, at=heads[order[0]])
        side.store(name, 1)
        side.merge(heads[order[1]]), side.merge(heads[order[2]])
        assert side.retrieve("k") == 1111
    assert len(run_git(world.git_dir, "merge-base", "--all", "x", "y").split()) == 3
    x, y = (world.main.bind(branch=name) for name in "xy")
    assert Fork(world.main, x, y, world.clock).merge().conflicts == ()
    assert x.retrieve("k") == 1111


def test_a_branch_pushed_by_plain_git_is_taken_in_beside_busy_writers(memory: Memory, tmp_path: Path) -> None:
    """A push to main would starve; to another branch it meets nobody, and the merge is one write among others."""
    memory.branch("people")
    clone = tmp_path / "clone"
    run_git(tmp_path, "clone", "-q", "-b", "people", str(bare(memory)), str(clone))
    stop = threading.Event()
    written: dict[int, int] = {}

    def write(number: int) -> None:
        with Memory.open(memory.path, agent=f"w{number}") as mine:
            while not stop.is_set():
                mine.store(f"w{number}", written.get(number, 0) + 1)
                written[number] = written.get(number, 0) + 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        for number in range(3):
            (clone / "default" / f"by-hand-{number}.json").write_text(f"{number}\n")
            run_git(clone, "add", "."), run_git(clone, "commit", "-qm", "by hand")
            run_git(clone, "push", "-q", "origin", "people")
            assert memory.merge("people").merged
            assert memory.retrieve(f"by-hand-{number}") == number
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert {number: memory.retrieve(f"w{number}") for number in range(4)} == written
    assert len(memory.history("w0")) == written[0]
    assert subprocess.run(["git", "-C", bare(memory), "fsck", "--strict"], capture_output=True).returncode == 0


def test_a_plan_for_a_head_that_moved_is_made_anew(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told is what was published."""
    from gitmem.branches import taking

    memory.branch("side").store("l", 1)
    memory.store("k", 1)
    plan: Callable[..., taking.Plan] = taking.plan

    def late(*arguments: object) -> taking.Plan:
        made = plan(*arguments)
        if memory.retrieve("k") == 1:
            with Memory.open(memory.path) as other:
                other.store("k", 2)
        return made

    monkeypatch.setattr(taking, "plan", late)
    done = memory.merge("side")
    assert (done.revision, memory.snapshot) == (memory.snapshot, done.revision)
    assert (memory.retrieve("k"), memory.retrieve("l")) == (2, 1)
    assert memory.at(done.before).retrieve("k") == 2
