"""Meeting another copy through a git repository: what comes, what goes, what is refused, and that nothing is forced."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory
from gitmem.errors import (
    ContentionError,
    GitmemError,
    InvalidValueError,
    RemoteError,
    StorageError,
    UnknownRevisionError,
)
from gitmem.objects import Oid
from gitmem.remotes import find, tracking_ref
from gitmem.sync import ROUNDS, BranchLeft, Meeting, Sync
from gitmem.transport import Transport, connect
from tests.conftest import Clock
from tests.foreign import commit_files, run_git

Open = Callable[..., Memory]


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """An ordinary empty repository, as a server has it."""
    path = tmp_path / "hub.git"
    run_git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(path))
    return path


@pytest.fixture
def copy(tmp_path: Path, hub: Path) -> Open:
    """A memory that knows the hub as `origin`."""

    def made(name: str, **opening: Any) -> Memory:
        memory = Memory.open(tmp_path / name, agent=name, **opening)
        memory.add_remote("origin", str(hub))
        return memory

    return made


class Between:
    """A way to the remote that counts, and does something before some of its exchanges."""

    def __init__(self, way: Transport, **before: Callable[[], object]) -> None:
        self.way, self.before = way, before
        self.calls: list[str] = []

    def _note(self, name: str) -> None:
        self.calls.append(name)
        self.before.get(name, lambda: None)()

    def heads(self) -> dict[str, Oid]:
        self._note("heads")
        return self.way.heads()

    def fetch(self, wants: Collection[Oid]) -> None:
        self._note("fetch")
        self.way.fetch(wants)

    def push(self, branch: str, expected: Oid | None, new: Oid) -> bool:
        self._note("push")
        return self.way.push(branch, expected, new)


def meet(memory: Memory, **before: Callable[[], object]) -> tuple[Sync, list[str]]:
    """A sync, and the exchanges that it took."""
    repository = memory.vault.repository
    remote = find(repository, None)
    way = Between(connect(repository, remote), **before)
    pauses: list[float] = []
    done = Meeting(memory.vault, memory.write_path(), remote, way).run(dry_run=False, pause=pauses.append)
    return done, way.calls


def results(done: Sync) -> dict[str, str]:
    return {one.key: one.result for one in done.keys}


def sound(*folders: Path) -> None:
    for folder in folders:
        run_git(folder, "fsck", "--strict", "--no-dangling")


def git_dir(memory: Memory) -> Path:
    return memory.vault.repository.git_dir


# --- what comes and what goes


def test_two_copies_have_one_head_and_each_other_s_keys(copy: Open, hub: Path) -> None:
    """The whole of it: send, receive, merge; told key by key."""
    a, b = copy("a"), copy("b")
    a.store("doc", {"n": 1, "list": [1]})
    a.store("old", 1)
    assert a.sync().sent
    assert results(b.sync()) == {"doc": "new", "old": "new"}
    a.store("doc", {"n": 2, "list": [1]})
    a.delete("old")
    b.store("doc", {"n": 1, "list": [1, 2]})
    b.store("mine", 1)
    a.sync()
    done = b.sync()
    assert results(done) == {"doc": "merged", "mine": "unchanged", "old": "deleted"}
    assert (done.sent, done.received) == (True, True)
    assert results(a.sync()) == {"doc": "updated", "mine": "new"}
    assert a.snapshot == b.snapshot == run_git(hub, "rev-parse", "main").strip()
    assert a.retrieve("doc") == {"n": 2, "list": [1, 2]}
    sound(git_dir(a), git_dir(b), hub)


def test_a_sync_with_nothing_to_do_costs_one_exchange(copy: Open) -> None:
    """It is what a team does all day."""
    a = copy("a")
    a.store("x", 1)
    meet(a)
    done, calls = meet(a)
    assert calls == ["heads"]
    assert (done.sent, done.received, done.keys) == (False, False, ())


def test_what_is_here_already_is_not_fetched(copy: Open) -> None:
    """Two exchanges to send: their heads, and the push."""
    a = copy("a")
    a.store("x", 1)
    meet(a)
    a.store("x", 2)
    assert meet(a)[1] == ["heads", "push"]


def test_an_overtaken_push_begins_again_and_drops_its_merge(copy: Open, hub: Path) -> None:
    """Whoever was quicker keeps what they pushed; the merge that lost is in nobody's history."""
    a, b = copy("a"), copy("b")
    a.store("x", 1)
    a.sync()
    b.sync()
    a.store("a", 1)
    b.store("b", 1)
    b.sync()
    quicker = iter(range(3))

    def overtake() -> None:
        turn = next(quicker, None)
        if turn is not None:
            b.store("turn", turn)
            b.sync()

    done, calls = meet(a, push=overtake)
    assert calls.count("push") == 4
    assert a.retrieve("turn") == 2
    assert done.revision == run_git(hub, "rev-parse", "main").strip()
    merges = run_git(hub, "rev-list", "--merges", "main").split()
    assert len(merges) == 1


def test_a_remote_that_moves_at_every_attempt_is_given_up(copy: Open) -> None:
    """Bounded, with longer and longer pauses; nothing is lost here."""
    a, b = copy("a"), copy("b")
    a.sync()
    b.sync()
    head = a.store("x", 1).revision

    def overtake() -> None:
        b.append("turns", 1)
        b.sync()

    with pytest.raises(ContentionError, match=str(ROUNDS)):
        meet(a, push=overtake)
    assert head == a.entry("x").revision
    assert meet(a)[0].revision == a.snapshot


def test_a_remote_that_stands_still_and_takes_nothing_is_told_apart(copy: Open, hub: Path) -> None:
    """A lock that a killed program left there is no contention: who is told to sync again would do so for ever."""
    a = copy("a")
    a.sync()
    head = a.store("x", 1).revision
    (hub / "refs/heads/main.lock").touch()
    with pytest.raises(ContentionError, match="stands still") as caught:
        meet(a)
    assert "refs/heads/main.lock" in caught.value.hint
    (hub / "refs/heads/main.lock").unlink()
    assert meet(a)[0].revision == head


def test_what_is_written_during_a_sync_is_merged_with_what_came(copy: Open) -> None:
    """The branch here moved after the push: their head and ours become one commit, and the next sync sends it."""
    a, b = copy("a"), copy("b")
    a.sync()
    b.store("b", 1)
    b.sync()
    a.store("a", 1)
    late: list[int] = []

    def write() -> None:
        if not late:
            late.append(a.store("late", 1).version)

    done, _ = meet(a, push=write)
    assert {key: a.retrieve(key) for key in a.list()} == {"a": 1, "b": 1, "late": 1}
    assert results(done)["b"] == "new"
    a.sync()
    b.sync()
    assert a.snapshot == b.snapshot


def test_two_that_pull_from_each_other_have_one_head_after_one_round(tmp_path: Path, clock: Clock) -> None:
    """With clocks that are hours apart: a merge is a function of its parents, not of who makes it, and when."""
    other = Clock(clock.now + timedelta(hours=7))
    a = Memory.open(tmp_path / "a", agent="a", clock=clock)
    b = Memory.open(tmp_path / "b", agent="b", clock=other)
    a.store("doc", {"a": 1, "both": 1})
    b.store("doc", {"b": 1, "both": 2})
    a.add_remote("origin", str(git_dir(b)))
    b.add_remote("origin", str(git_dir(a)))
    plans = [a.sync(dry_run=True), b.sync(dry_run=True)]
    assert plans[0].revision == plans[1].revision
    a.sync()
    b.sync()
    assert a.snapshot == b.snapshot == plans[0].revision
    assert a.retrieve("doc") == {"a": 1, "b": 1, "both": 2}
    assert [one.sides[0].agent for one in a.conflicts()] == ["b"]


@pytest.mark.parametrize("second", ["a", "b"])
def test_a_winner_that_breaks_a_contract_is_told_by_the_merge_itself(
    copy: Open, hub: Path, clock: Clock, second: str
) -> None:
    """Else who made the merge would add a commit to it when moving forward, and nobody else would have that."""
    later = Clock(clock.now + timedelta(hours=1))
    a, b = copy("a", clock=clock), copy("b", clock=later)
    a.store("k", 1)
    a.sync()
    b.sync()
    a.settings.add_contract("k", '{"type": "integer"}')
    a.store("k", 2)
    b.store("k", "a text, and later")
    one, other = (b, a) if second == "a" else (a, b)
    one.sync()
    other.sync()
    assert other.snapshot == run_git(hub, "rev-parse", "main").strip()
    one.sync()
    assert one.snapshot == other.snapshot
    assert one.retrieve("k") == "a text, and later"
    assert sorted(record.problem or "" for record in one.conflicts()) == ["", "contract"]


def test_a_resolved_conflict_does_not_come_back_anywhere(copy: Open) -> None:
    """Neither on the copy that resolved it, nor on those that hear of it late and have merged it themselves."""
    a, b, c = copy("a"), copy("b"), copy("c")
    a.store("x", "base")
    for one in (a, b, c):
        one.sync()
    a.store("x", "a")
    b.store("x", "b")
    c.store("other", 1)
    a.sync()
    assert len(b.sync().conflicts) == 1
    (open_one,) = b.conflicts()
    b.resolve(open_one.id, value="settled")
    c.sync()
    for one in (b, a, c, b, a):
        one.sync()
    for one in (a, b, c):
        assert one.retrieve("x") == "settled"
        assert one.conflicts() == []
        assert one.snapshot == a.snapshot


def test_a_dry_run_tells_the_same_and_moves_nothing(copy: Open, hub: Path) -> None:
    """Objects may come; refs do not move, but the one that remembers where the other side is."""
    a, b = copy("a"), copy("b")
    a.store("x", 1)
    a.sync()
    b.store("y", 1)
    before = run_git(hub, "show-ref"), b.snapshot
    planned = b.sync(dry_run=True)
    assert (run_git(hub, "show-ref"), b.snapshot) == before
    done = b.sync()
    assert (planned.keys, planned.revision, planned.sent, planned.received) == (
        done.keys, done.revision, done.sent, done.received,
    )  # fmt: skip


def test_another_branch_meets_its_own(copy: Open, hub: Path) -> None:
    """And `main` stays where it is, here and there."""
    a = copy("a")
    a.store("x", 1)
    a.sync()
    idea = a.branch("idea")
    idea.store("x", 2)
    assert idea.sync().branch == "idea"
    b = copy("b")
    b.sync()
    assert b.retrieve("x") == 1
    assert Memory.clone(str(hub), hub.parent / "c", branch="idea").retrieve("x") == 2


# --- other branches


def push_branch(hub: Path, name: str, start: str = "main", **values: int) -> str:
    """A branch by plain git, as a person pushes it, with keys on top of `start`; its head."""
    run_git(hub, "update-ref", f"refs/heads/{name}", start)
    return commit_files(hub, {f"default/{key}.json": b"%d\n" % value for key, value in values.items()}, branch=name)


def followed(memory: Memory) -> dict[str, str]:
    """The branches of origin as this copy knows them."""
    prefix = "refs/gitmem/remotes/origin/"
    said = run_git(git_dir(memory), "for-each-ref", "--format=%(refname) %(objectname)", prefix).split()
    return {name.removeprefix(prefix): oid for name, oid in zip(said[::2], said[1::2], strict=True)}


def test_a_branch_that_somebody_pushed_there_is_a_revision_here(copy: Open, hub: Path) -> None:
    """All of them come in one exchange more, and only when there is news; none of them is merged."""
    a = copy("a")
    a.store("x", 1)
    a.sync()
    edits, more = push_branch(hub, "edits", y=2), push_branch(hub, "people/ann", z=3)
    assert meet(a)[1] == ["heads", "fetch"]
    assert followed(a) == {"main": a.snapshot, "edits": edits, "people/ann": more}
    assert meet(a)[1] == ["heads"]
    assert a.list() == ["x"]
    assert a.branches().keys() == {"main"}
    assert a.revision("origin/edits") == edits
    a.merge("origin/edits")
    a.merge("origin/people/ann")
    assert a.list() == ["x", "y", "z"]


def test_a_branch_of_ours_comes_before_one_that_another_copy_has(copy: Open, hub: Path) -> None:
    """What a name meant, it still means."""
    a = copy("a")
    a.sync()
    push_branch(hub, "edits", y=2)
    a.sync()
    a.branch("origin/edits")
    assert a.revision("origin/edits") == a.snapshot


def test_other_branches_may_be_rewritten_and_removed_there(copy: Open, hub: Path) -> None:
    """Ours follow; also where a name becomes a folder."""
    a = copy("a")
    a.sync()
    push_branch(hub, "edits", y=2)
    push_branch(hub, "gone", y=3)
    push_branch(hub, "deep/one", y=3)
    a.sync()
    run_git(git_dir(a), "pack-refs", "--all")
    for name in ("gone", "deep/one"):
        run_git(hub, "update-ref", "-d", f"refs/heads/{name}")
    new = {name: push_branch(hub, name, y=4) for name in ("edits", "gone/deep", "deep")}
    a.sync()
    assert followed(a) == {"main": a.snapshot, **new}
    sound(git_dir(a))


def test_a_branch_that_cannot_be_taken_stops_no_other(copy: Open, hub: Path) -> None:
    """Neither ours nor the good ones: a warning names it and says why, until it is mended there."""
    a = copy("a")
    a.sync()
    push_branch(hub, "pages", y=2)
    commit_files(hub, {"gitmem.toml": None}, branch="pages")
    push_branch(hub, "broken", y=2)
    commit_files(hub, {"default/z.json": b"7777\n"}, branch="broken")
    good = push_branch(hub, "good", y=2)
    loose(hub)
    blob = run_git(hub, "rev-parse", "broken:default/z.json").strip()
    (hub / "objects" / blob[:2] / blob[2:]).unlink()
    a.store("x", 1)
    with pytest.warns(BranchLeft) as warned:
        assert a.sync().sent
    said = sorted(str(one.message) for one in warned)
    assert [line.split(" of origin is not looked at: ")[0] for line in said] == ["branch broken", "branch pages"]
    assert "gitmem.toml is missing" in said[1]
    assert followed(a) == {"main": a.snapshot, "good": good}
    run_git(hub, "update-ref", "refs/heads/broken", good)
    with pytest.warns(BranchLeft, match="pages"):
        a.sync()
    assert followed(a)["broken"] == good


def test_a_branch_of_both_is_rewritten_or_removed_in_its_own_sync_alone(copy: Open, hub: Path) -> None:
    """What is refused there must not be settled by having met another branch first."""
    a = copy("a")
    a.sync()
    first, second = push_branch(hub, "one", y=1), push_branch(hub, "two", y=1)
    a.sync()
    a.branch("one", first)
    a.branch("two", second)
    forward = push_branch(hub, "one", "one", y=2)
    a.sync()
    assert followed(a)["one"] == forward
    push_branch(hub, "one", z=1)
    run_git(hub, "update-ref", "-d", "refs/heads/two")
    with pytest.warns(BranchLeft, match="branch one of origin .* rewritten"):
        a.sync()
    assert (followed(a)["one"], followed(a)["two"]) == (forward, second)
    for name, reason in (("one", "rewritten"), ("two", "gone")):
        with pytest.raises(RemoteError, match=reason):
            a.bind(branch=name).sync()
    a.delete_branch("two")
    with pytest.warns(BranchLeft):
        a.sync()
    assert "two" not in followed(a)


def test_a_dry_run_looks_at_no_other_branch(copy: Open, hub: Path) -> None:
    """It asks for what it tells, no more."""
    a = copy("a")
    a.sync()
    push_branch(hub, "edits", y=2)
    a.sync(dry_run=True)
    assert followed(a).keys() == {"main"}


def test_a_branch_that_only_the_remote_has_begins_where_theirs_is(copy: Open, hub: Path) -> None:
    """A dry run says so and makes none."""
    a = copy("a")
    a.store("x", 1)
    a.sync()
    head = push_branch(hub, "edits", y=2)
    edits = a.bind(branch="edits")
    planned = edits.sync(dry_run=True)
    assert a.branches().keys() == {"main"}
    done = edits.sync()
    assert (done.keys, done.revision, done.before, done.received, done.sent) == (
        planned.keys, head, "", True, False,
    )  # fmt: skip
    assert results(done) == {"x": "new", "y": "new"}
    assert edits.snapshot == head
    edits.store("z", 1)
    assert edits.sync().sent
    assert run_git(hub, "rev-parse", "edits").strip() == edits.snapshot


def test_a_branch_that_nobody_has_is_no_revision(copy: Open, hub: Path) -> None:
    """Nothing is made; the hint says what there is."""
    a = copy("a")
    a.sync()
    with pytest.raises(UnknownRevisionError, match="neither here nor at origin") as refused:
        a.bind(branch="nope").sync()
    assert "gitmem branch nope" in refused.value.hint
    assert "origin has: main" in refused.value.hint
    assert a.branches().keys() == {"main"}


def test_a_branch_there_that_is_no_memory_is_not_made_here(copy: Open, hub: Path) -> None:
    """Also where plain git has fetched it into the place from which we know it."""
    a = copy("a")
    a.sync()
    push_branch(hub, "pages", y=2)
    commit_files(hub, {"gitmem.toml": None}, branch="pages")
    run_git(git_dir(a), "fetch", "--quiet", "origin")
    assert "pages" in followed(a)
    with pytest.raises(RemoteError, match="nothing is taken"):
        a.bind(branch="pages").sync()
    assert a.branches().keys() == {"main"}


# --- what is refused


def rewrite(hub: Path) -> str:
    """The hub's main as if its last commit had never been; what it is now."""
    run_git(hub, "update-ref", "refs/heads/main", "main~1")
    return run_git(hub, "rev-parse", "main").strip()


def test_a_rewritten_remote_is_refused_and_what_it_held_is_kept(copy: Open, hub: Path) -> None:
    """Nothing moves here; the choices are named, and the one that joins both histories works."""
    a = copy("a")
    a.store("x", 1)
    a.store("x", 2)
    a.sync()
    lost = a.snapshot
    rewrite(hub)
    commit_files(hub, {"default/y.json": b"1\n"})
    mine = a.store("z", 1).revision
    with pytest.raises(RemoteError, match="rewritten") as refused:
        a.sync()
    assert "gitmem remote remove origin" in refused.value.hint
    assert a.snapshot == mine
    kept = run_git(git_dir(a), "for-each-ref", "--format=%(objectname)", "refs/gitmem/rescue/").split()
    assert lost in kept
    with pytest.raises(RemoteError, match="rewritten"):
        a.sync()
    a.remove_remote("origin")
    a.add_remote("origin", str(hub))
    a.sync()
    assert {key: a.retrieve(key) for key in a.list()} == {"x": 2, "y": 1, "z": 1}


def typed_from(hint: str) -> None:
    """Do what a hint says, as it stands, from anywhere."""
    (command,) = re.findall("`(git -C [^`]+)`", hint)
    subprocess.run(command, shell=True, cwd="/", capture_output=True, check=True)


def test_what_was_rewritten_or_removed_is_put_back_by_the_command_in_the_hint(tmp_path: Path, hub: Path) -> None:
    """With a memory in a folder whose name a shell would take apart; afterwards all is as it was."""
    a = Memory.open(tmp_path / "it's a; memory", agent="a")
    a.add_remote("origin", str(hub))
    a.store("x", 1)
    a.store("x", 2)
    a.sync()
    lost = a.snapshot
    rewrite(hub)
    commit_files(hub, {"default/y.json": b"1\n"})
    with pytest.raises(RemoteError, match="rewritten") as refused:
        a.sync()
    typed_from(refused.value.hint)
    assert run_git(hub, "rev-parse", "main").strip() == lost
    odd = a.branch("it's&odd")
    odd.sync()
    run_git(hub, "update-ref", "-d", "refs/heads/it's&odd")
    with pytest.raises(RemoteError, match="odd is gone") as refused:
        odd.sync()
    typed_from(refused.value.hint)
    assert run_git(hub, "rev-parse", "it's&odd").strip() == lost
    assert not odd.sync().sent


def test_a_branch_that_is_gone_there_is_not_pushed_again(copy: Open, hub: Path) -> None:
    """Somebody removed it; what it held is kept here, and a new remote is what sends it after all."""
    a, b = copy("a"), copy("b")
    a.store("x", 1)
    a.sync()
    b.store("theirs", 1)
    head = b.sync().revision
    a.sync(dry_run=True)  # knows what b sent, and has not taken it
    push_branch(hub, "other", y=1)
    run_git(hub, "update-ref", "-d", "refs/heads/main")
    for dry_run in (False, True, False):
        with pytest.raises(RemoteError, match="main is gone at origin") as refused:
            a.sync(dry_run=dry_run)
    assert refused.value.lasting
    kept = run_git(git_dir(a), "for-each-ref", "--format=%(objectname)", "refs/gitmem/rescue/").split()
    assert kept == [head]
    assert run_git(hub, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/other"]
    a.remove_remote("origin")
    a.add_remote("origin", str(hub))
    assert a.sync().sent


def test_a_remote_that_was_made_anew_gets_all_of_it_again(copy: Open, hub: Path) -> None:
    """Where every branch is gone, nobody removed one."""
    a = copy("a")
    a.store("x", 1)
    a.sync()
    run_git(hub, "update-ref", "-d", "refs/heads/main")
    a.store("x", 2)
    assert a.sync().sent
    assert followed(a)["main"] == run_git(hub, "rev-parse", "main").strip() == a.snapshot
    assert meet(a)[1] == ["heads"]


@pytest.mark.parametrize(("files", "words"), [
    ({"gitmem.toml": None}, "check the address"), ({"gitmem.toml": b"format = \n"}, "git clone -b main"),
])  # fmt: skip
def test_the_hint_about_what_is_no_memory_fits_a_clone_too(
    copy: Open, hub: Path, files: dict[str, bytes | None], words: str
) -> None:
    """There is no remote to list yet; a malformed gitmem.toml is corrected where it lies."""
    a = copy("a")
    a.sync()
    commit_files(hub, files)
    for ask in (a.sync, lambda: Memory.clone(str(hub), hub.parent / "b")):
        with pytest.raises(RemoteError) as refused:
            ask()
        assert words in refused.value.hint
        assert str(hub) in refused.value.hint
        assert "remote list" not in refused.value.hint


TAKEN_FROM_NOBODY = {
    "a newer format": {"gitmem.toml": b"format = 2\n"},
    "no memory": {"gitmem.toml": None},
    "a malformed policy": {"gitmem.toml": b'format = 1\n[[merge]]\nkeys = "x"\nrule = "no such"\n'},
    "no TOML": {"gitmem.toml": b"format = \n"},
}


@pytest.mark.parametrize("what", TAKEN_FROM_NOBODY)
def test_what_this_gitmem_cannot_read_is_refused_whole(copy: Open, hub: Path, what: str) -> None:
    """Nothing of it comes into a branch, and the same is said again until it is mended there."""
    a = copy("a")
    a.store("x", 1)
    a.sync()
    commit_files(hub, {**TAKEN_FROM_NOBODY[what], "default/y.json": b"1\n"})
    before = a.snapshot
    for _ in range(2):
        with pytest.raises(RemoteError, match="nothing is taken from origin"):
            a.sync()
    assert a.snapshot == before
    commit_files(hub, {"gitmem.toml": b"format = 1\n"})
    assert results(a.sync()) == {"y": "new"}


def test_a_damaged_object_there_is_refused_whole(copy: Open, hub: Path) -> None:
    """A blob that is not what its id says: the branch here does not move, and nothing of it is left."""
    a, b = copy("a"), copy("b")
    a.store("x", 1)
    a.sync()
    b.sync()
    blob = run_git(hub, "hash-object", "-w", "--stdin", given=b"2\n").strip()
    commit_files(hub, {"default/x.json": b"2\n"})
    loose(hub)
    damaged = hub / "objects" / blob[:2] / blob[2:]
    wrong = run_git(hub, "hash-object", "-w", "--stdin", given=b"3\n").strip()
    damaged.unlink(missing_ok=True)
    damaged.write_bytes((hub / "objects" / wrong[:2] / wrong[2:]).read_bytes())
    before = b.snapshot
    with pytest.raises(GitmemError):
        b.sync()
    assert b.snapshot == before
    sound(git_dir(b))


def loose(hub: Path) -> None:
    """Every object of the hub as a file of its own."""
    whole, folder = _pack_of(hub), hub / "objects" / "pack"
    for pack in list(folder.iterdir()):
        pack.unlink()
    run_git(hub, "unpack-objects", "-q", given=whole)


def _pack_of(hub: Path) -> bytes:
    """Everything the hub has, as one pack."""
    listed = run_git(hub, "rev-list", "--objects", "--all").splitlines()
    names = "\n".join(line.split()[0] for line in listed)
    command = ["git", "-C", str(hub), "pack-objects", "--stdout", "-q"]
    return subprocess.run(command, input=names.encode(), capture_output=True, check=True).stdout


def test_the_remote_is_the_named_one_origin_or_the_only_one(copy: Open, hub: Path) -> None:
    """Otherwise the error lists them."""
    a = copy("a")
    repository = a.vault.repository
    assert find(repository, None).name == "origin"
    a.add_remote("second", str(hub))
    assert find(repository, None).name == "origin"
    a.remove_remote("origin")
    assert find(repository, None).name == "second"
    a.add_remote("third", str(hub))
    with pytest.raises(RemoteError) as refused:
        find(repository, None)
    assert "second, third" in refused.value.hint
    with pytest.raises(RemoteError, match="there is no remote 'nope'") as refused:
        a.sync("nope")
    assert "second, third" in refused.value.hint
    a.remove_remote("second")
    a.remove_remote("third")
    with pytest.raises(RemoteError, match="there is no remote"):
        a.sync()


@pytest.mark.parametrize("timeout", ["x", 0, -1, True, None, float("nan"), float("inf")])
def test_a_timeout_that_is_no_time_is_the_callers_mistake(copy: Open, hub: Path, timeout: Any) -> None:
    """And is told before anything travels, or a clone lies about."""
    with pytest.raises(InvalidValueError, match="timeout"):
        copy("a").sync(timeout=timeout)
    with pytest.raises(InvalidValueError, match="timeout"):
        Memory.clone(str(hub), hub.parent / "b", timeout=timeout)
    assert not (hub.parent / "b").exists()


def test_an_error_says_whether_waiting_can_mend_it(copy: Open, hub: Path) -> None:
    """For whoever tries again by themselves: an unreachable remote may come back, no memory becomes none."""
    a = copy("a")
    a.store("x", 1)
    a.sync()
    a.add_remote("away", str(hub.parent / "nowhere"))
    with pytest.raises(RemoteError) as away:
        a.sync("away")
    assert not away.value.lasting
    commit_files(hub, {"gitmem.toml": None})
    for name in ("origin", "unknown"):
        with pytest.raises(RemoteError) as lasting:
            a.sync(name)
        assert lasting.value.lasting


# --- foreign values


@pytest.mark.parametrize("ahead", [False, True], ids=["fast-forward", "merge"])
def test_a_bad_value_there_is_taken_and_told_once(copy: Open, hub: Path, ahead: bool) -> None:
    """One bad value never stops a team: each copy says so in the same words, and a settled one stays settled."""
    a, b = copy("a"), copy("b")
    a.settings.add_contract("plans/**", {"type": "object"})
    a.sync()
    b.sync()
    commit_files(hub, {"default/plans/x.json": b'"text"\n', "default/torn.json": b"{\n", "default/fine.json": b"1\n"})
    if ahead:
        a.store("mine", 1)
        b.store("yours", 1)
    done = a.sync()
    assert {one.key: one.problem for one in done.conflicts} == {"plans/x": "contract", "torn": "value"}
    assert a.retrieve("fine") == 1
    b.sync()
    a.sync()
    assert a.snapshot == b.snapshot
    assert len(b.conflicts()) == 2
    b.resolve("plans/x", value={})
    b.store("torn", 1)
    b.resolve("torn")
    b.sync()
    a.sync()
    late = copy("late")
    late.store("late", 1)
    for one in (late, a, b):
        one.sync()
        assert one.conflicts() == []
    assert late.retrieve("plans/x") == {}


# --- clones


def test_a_clone_is_a_memory_with_all_of_it_and_a_remote(copy: Open, hub: Path, tmp_path: Path) -> None:
    """History included: it is the same as the one it came from."""
    a = copy("a")
    a.store("x", 1)
    a.store("x", 2)
    a.sync()
    b = Memory.clone(str(hub), tmp_path / "b", agent="b")
    assert b.snapshot == a.snapshot
    assert [one.value for one in b.history("x")] == [2, 1]
    assert meet(b)[1] == ["heads"]
    assert b.vault.repository.refs.read(tracking_ref("origin", "main")) == bytes.fromhex(a.snapshot)
    b.store("x", 3)
    b.sync()
    a.sync()
    assert a.retrieve("x") == 3


def test_a_clone_that_fails_leaves_nothing(copy: Open, hub: Path, tmp_path: Path) -> None:
    """All or nothing: no half memory that the next command would find."""
    a = copy("a")
    a.store("x", 1)
    a.sync()
    commit_files(hub, {"gitmem.toml": b"format = 2\n"})
    for url, branch in ((str(hub), "main"), (str(hub), "nope"), (str(tmp_path / "nowhere"), "main")):
        with pytest.raises(RemoteError):
            Memory.clone(url, tmp_path / "b", branch=branch)
        assert not (tmp_path / "b").exists()
    with pytest.raises(StorageError, match="already"):
        Memory.clone(str(hub), tmp_path / "a")


def test_a_clone_of_an_empty_repository_is_a_new_memory(hub: Path, tmp_path: Path) -> None:
    """So that the first of a team begins like all others."""
    b = Memory.clone(str(hub), tmp_path / "b", agent="b")
    b.store("x", 1)
    assert b.sync().sent
    assert Memory.clone(str(hub), tmp_path / "c").retrieve("x") == 1
