"""The past of keys: versions, log, diff, blame, restore, and naming it all."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitmem import ABSENT, InvalidValueError, Memory, MissingKeyError, UnknownRevisionError
from tests.conftest import Clock, Git


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Memory:
    return Memory.open(tmp_path, agent="tester", durability="fast", clock=clock)


def test_deletions_are_versions_and_the_count_goes_on(memory: Memory) -> None:
    """What was deleted stays readable, and a key that comes back is not version 1 again."""
    memory.store("k", 1)
    memory.delete("k")
    memory.store("k", 3)
    found = memory.history("k")
    assert [(one.version, one.operation, one.value) for one in found] == [
        (3, "created", 3),
        (2, "deleted", ABSENT),
        (1, "created", 1),
    ]
    memory.delete("k")
    assert [one.operation for one in memory.history("k", limit=1)] == ["deleted"]
    with pytest.raises(MissingKeyError):
        memory.history("never")


def test_renewing_an_expiry_is_a_commit_but_no_version(memory: Memory, clock: Clock) -> None:
    """A claim's fence survives its renewal."""
    first = memory.store("claim", "me", ttl=60)
    clock.advance(30)
    renewed = memory.store("claim", "me", ttl=60)
    assert (renewed.revision, renewed.version) == (first.revision, 1)
    assert renewed.expires is not None
    assert first.expires is not None
    assert renewed.expires > first.expires
    assert len(memory.log(glob="claim")) == 1
    assert len(memory.log()) == 3
    assert memory.store("claim", "me").expires is None


def test_a_write_on_an_expired_key_first_commits_the_deletion(memory: Memory, clock: Clock) -> None:
    """So the new holder never gets the old token, and both commits are published at once."""
    old = memory.store("claim", "me", ttl=1)
    clock.advance(2)
    new = memory.create("claim", "you")
    assert [one.operation for one in memory.history("claim")] == ["created", "deleted", "created"]
    assert new.version == 3
    assert memory.history("claim")[1].agent == "gitmem"
    assert old.revision != new.revision


def test_log_names_who_why_and_what(memory: Memory, clock: Clock) -> None:
    """Filters by session, agent, glob and namespace; changes against the first parent; newest first."""
    ada = memory.bind(agent="ada", session="s1", namespace="one")
    ada.store("a/x", 1, message="because")
    bob = memory.bind(agent="bob", session="s2", namespace="two")
    bob.store("a/x", 2)
    bob.patch("a/x", 3)
    assert [(c.agent, c.session, c.message) for c in memory.log()][:3] == [
        ("bob", "s2", "patch two a/x"),
        ("bob", "s2", "store two a/x"),
        ("ada", "s1", "because"),
    ]
    assert [c.agent for c in memory.log(agent="ada")] == ["ada"]
    assert [c.session for c in memory.log(session="s2")] == ["s2", "s2"]
    assert len(memory.log(glob="a/*")) == 3
    assert len(memory.log(glob="a/*", namespace="one")) == 1
    assert len(memory.log(limit=1)) == 1
    start = memory.log(agent="ada")[0].revision
    assert [c.agent for c in memory.log(since=start)] == ["bob", "bob"]
    (change,) = memory.log()[0].changes
    assert (change.namespace, change.key, change.operation, change.before, change.after) == (
        "two", "a/x", "modified", 2, 3,
    )  # fmt: skip


def test_diff_compares_states_member_by_member(memory: Memory, clock: Clock) -> None:
    """Per key and inside the value; what expired in between is a deletion; a touched key that came back is none."""
    memory.store("doc", {"a": 1, "list": [1, 2, 3], "same": True})
    memory.store("gone", 1)
    memory.store("lock", 1, ttl=10)
    memory.store("back", 1)
    before = memory.snapshot
    clock.advance(20)
    memory.patch("doc", [{"op": "replace", "path": "/a", "value": 1.0}, {"op": "remove", "path": "/list/0"}])
    memory.delete("gone")
    memory.store("back", 2)
    memory.store("back", 1)
    memory.store("new", None)
    found = {change.key: change for change in memory.diff(before)}
    assert {key: change.operation for key, change in found.items()} == {
        "doc": "modified",
        "gone": "deleted",
        "lock": "deleted",
        "new": "created",
    }
    assert [(one.pointer, one.before, one.after) for one in found["doc"].members] == [
        ("/a", 1, 1.0),
        ("/list/0", 1, ABSENT),
    ]
    assert found["new"].to_json()["after"] is None
    assert "before" not in found["new"].to_json()
    assert [change.key for change in memory.diff(before, None, "g*")] == ["gone"]
    assert memory.diff(before, before) == []
    backwards = {change.key: change.operation for change in memory.diff(memory.snapshot, before)}
    assert backwards == {"doc": "modified", "gone": "created", "lock": "created", "new": "deleted"}


def test_blame_gives_each_member_its_version(memory: Memory) -> None:
    """As git blame does with lines: what a version left as it was is an older version's."""
    memory.store("doc", {"a": 1, "b": {"c": 2, "d": []}, "e/f": "x"})
    memory.patch("doc", {"b": {"c": 3}})
    memory.store("doc", {"a": True, "b": {"c": 3, "d": []}, "e/f": "x"})
    found = memory.blame("doc")
    assert {pointer: version.version for pointer, version in found.items()} == {
        "/a": 3,
        "/b/c": 2,
        "/b/d": 1,
        "/e~1f": 1,
    }
    memory.store("text", "one")
    assert {pointer: version.version for pointer, version in memory.blame("text").items()} == {"": 1}


def test_blame_follows_both_sides_of_a_merge(memory: Memory, git: Git, tmp_path: Path) -> None:
    """A merge by plain git is a version; each member is still its author's."""
    memory.store("doc", {"left": 0, "right": 0, "still": 0})
    work = tmp_path / "work"
    git(tmp_path, "clone", "-q", str(memory.path / ".git"), str(work))
    file = work / "default" / "doc.json"
    git(work, "checkout", "-qb", "side")
    file.write_text('{\n  "left": 0,\n  "right": 1,\n  "still": 0\n}\n')
    git(work, "commit", "-qam", "right")
    left = memory.store("doc", {"left": 1, "right": 0, "still": 0})
    git(work, "checkout", "-q", "main")
    git(work, "pull", "-q", "--ff-only")
    git(work, "merge", "-q", "--no-commit", "-s", "ours", "side")
    file.write_text('{\n  "left": 1,\n  "right": 1,\n  "still": 0\n}\n')
    git(work, "commit", "-qam", "both")
    git(work, "push", "-q", "origin", "main")
    entry = memory.entry("doc")
    assert entry.version == 4
    found = memory.blame("doc")
    assert found["/left"].revision == left.revision
    assert found["/right"].agent == "stranger"
    assert found["/still"].version == 1
    assert sorted(one.version for one in memory.history("doc")) == [1, 2, 2, 4]
    with pytest.raises(UnknownRevisionError, match="ambiguous"):
        memory.restore("doc", version=2)
    assert memory.restore("doc", version=left.revision)[0].value["right"] == 0


def test_the_past_has_the_same_verbs(memory: Memory, clock: Clock) -> None:
    """A snapshot never changes, and its own time judges what had expired."""
    memory.store("a", 1)
    memory.store("lock", 1, ttl=10)
    then = memory.at(memory.snapshot)
    clock.advance(60)
    memory.store("a", 2)
    memory.delete_matching("**")
    assert then.retrieve("a") == 1
    assert then.list() == ["a", "lock"]
    assert [one.value for one in then.search("*")] == [1, 1]
    assert [one.version for one in then.history("a")] == [1]
    assert then.entry("a").version == 1
    assert memory.at("main~1").list() == ["a"]


def test_a_revision_is_named_in_many_ways(memory: Memory, git: Git, clock: Clock) -> None:
    """Id, prefix, branch, tag, session, time, and steps back by first parents."""
    memory.bind(session="morning").store("a", 1)
    morning = memory.snapshot
    clock.advance(3600)
    memory.bind(session="noon").store("a", 2)
    noon = memory.snapshot
    git(memory.path / ".git", "tag", "v1", morning)
    git(memory.path / ".git", "tag", "-a", "-m", "annotated", "v2", noon)
    times = ("2026-02-02T12:30:00Z", "2026-02-02T13:30:00+01:00")
    for name in (morning, morning[:10], "v1", "main~1", "HEAD^", "morning", *times):
        assert memory.revision(name) == morning, name
    for name in (noon, "main", "v2", "noon", "2030-01-01", "refs/heads/main"):
        assert memory.revision(name) == noon, name
    for name in ("", "nothing", "2025-01-01", "0" * 40, "main~99", "../HEAD"):
        with pytest.raises(UnknownRevisionError):
            memory.revision(name)


def test_restore_brings_a_state_back_as_a_new_version(memory: Memory) -> None:
    """One key by its number, or a glob as it was; what was absent then is deleted."""
    memory.store("a", 1)
    memory.store("b", 1)
    then = memory.snapshot
    memory.store("a", 2)
    memory.delete("b")
    memory.store("c", 1)
    memory.store("other", 9)
    (version,) = memory.restore("a", version=1)
    assert (version.value, version.version) == (1, 3)
    changed = {one.key: one.operation for one in memory.restore("[abc]", at=then)}
    assert changed == {"b": "created", "c": "deleted"}
    assert (memory.list(), memory.retrieve("b")) == (["a", "b", "other"], 1)
    assert memory.restore("[abc]", at=then) == []
    with pytest.raises(UnknownRevisionError):
        memory.restore("a", version=99)


@pytest.mark.parametrize("text", ["2026-01-15", "2026-02-02T11:59:59Z", "2025-01-01"])
def test_a_time_before_the_first_write_is_not_restored(text: str, memory: Memory, clock: Clock) -> None:
    """A wrong year would delete every key; whoever reads that time is told that nothing was there."""
    with pytest.raises(UnknownRevisionError) as caught:
        memory.restore("**", at=text)
    assert caught.value.hint == "the history begins later: nothing was written yet"
    memory.store("a", 1)
    clock.advance(60)
    memory.store("a", 2)
    for restore in (memory.restore, memory.restorable):
        with pytest.raises(UnknownRevisionError) as caught:
            restore("**", at=text)
        assert caught.value.hint == "the history begins later: its first commit is of 2026-02-02T12:00:00Z"
    assert memory.restore("**", at="2026-02-02T12:00:00Z")[0].value == 1
    if text > "2026":
        assert memory.at(text).list() == []
    assert [one.operation for one in memory.restore("**", at="main~3")] == ["deleted"]


def test_what_a_restore_would_change_is_told_beforehand(memory: Memory, clock: Clock) -> None:
    """As it is now: what has expired meanwhile is gone already, and is brought back."""
    memory.store("a", 1)
    memory.store("lock", 1, ttl=60)
    memory.store("same", 1)
    then = memory.snapshot
    memory.store("a", 2)
    memory.store("new", 1)
    memory.store("other", 1, namespace="else")
    clock.advance(60)
    before = memory.snapshot
    told = {one.key: (one.before, one.after) for one in memory.restorable("**", then)}
    assert told == {"a": (2, 1), "lock": (ABSENT, 1), "new": (1, ABSENT)}
    assert memory.snapshot == before
    made = {one.key: one.value for one in memory.restore("**", at=then)}
    assert made == {key: after for key, (_, after) in told.items()}
    assert memory.restorable("**", then) == []


def test_history_is_gits_own(memory: Memory, git: Git) -> None:
    """The list of versions is `git log` of the key's file."""
    for number in range(40):
        memory.store(f"k{number % 3}", number)
    log = git(memory.path / ".git", "log", "--format=%H", "main", "--", "default/k1.json").split()
    assert [version.revision for version in memory.history("k1")] == log


@pytest.mark.parametrize(
    "text", ["a\0b", "\ud800", "x" * 300, "x/" * 3000, "main~" + "9" * 5000, "main~" + "9" * 300, "a b", "heads"]
)
def test_no_text_is_more_than_an_unknown_revision(memory: Memory, text: str) -> None:
    """What cannot be a name of git's, nor of a file, names nothing: a caller's mistake is no damage."""
    memory.store("k", 1)
    with pytest.raises(UnknownRevisionError) as caught:
        memory.at(text)
    assert caught.value.hint


def test_an_id_of_something_else_is_an_unknown_revision(memory: Memory, git: Git) -> None:
    """A blob is not damaged because it is no commit; a tag stands for its commit, by its id as well."""
    entry = memory.store("k", 1)
    path = memory.path / ".git"
    for name in ("main:default/k.json", "main^{tree}"):
        with pytest.raises(UnknownRevisionError):
            memory.at(git(path, "rev-parse", name).strip())
    git(path, "-c", "user.name=a", "-c", "user.email=a@b", "tag", "-a", "-m", "done", "done")
    assert memory.revision(git(path, "rev-parse", "done").strip()) == memory.revision("done") == entry.revision


@pytest.mark.parametrize("seconds", [10**14, 10**30, -62_135_596_801])
def test_a_commit_of_an_impossible_time_hides_nothing(memory: Memory, git: Git, seconds: int) -> None:
    """Git takes any number for a time; the years 1 to 9999 are all that a datetime knows."""
    memory.store("k", 1, ttl=60)
    path = memory.path / ".git"
    head, tree = (git(path, "rev-parse", name).strip() for name in ("main", "main^{tree}"))
    raw = f"tree {tree}\nparent {head}\nauthor A <a@b> {seconds} +0000\ncommitter A <a@b> {seconds} +0000\n\nx\n"
    file = path / "raw"
    file.write_text(raw)
    oid = git(path, "hash-object", "-t", "commit", "-w", "--literally", "raw").strip()
    git(path, "update-ref", "refs/heads/main", oid)
    assert memory.at(oid).retrieve("k", "expired") == (1 if seconds < 0 else "expired")
    record = memory.log(limit=1)[0]
    assert record.time.year == (1 if seconds < 0 else 9999)
    assert record.to_json()["time"] in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
    assert memory.diff(oid, "HEAD") == []
    assert memory.store("k", 2).version == 2


def test_an_entry_of_another_key_is_no_token(memory: Memory) -> None:
    """One commit may be the last version of many keys: the entry has to be of the key that is written."""
    with memory.transaction() as tx:
        tx.store("a", 1)
        tx.store("b", 1)
    with pytest.raises(InvalidValueError, match="of key 'a'"):
        memory.store("b", 2, expect=memory.entry("a"))
    assert memory.store("b", 2, expect=memory.entry("b"), guard=memory.entry("a")).version == 2
