"""Transactions and the one write path: decided anew on fresh data, published whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitmem import (
    ABSENT,
    ContentionError,
    InvalidKeyError,
    InvalidValueError,
    KeyExistsError,
    Memory,
    MissingKeyError,
    StaleError,
    StorageError,
)
from gitmem.index import Index
from gitmem.refs import Refs
from tests.conftest import Clock, Git


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Memory:
    return Memory.open(tmp_path, agent="me", durability="fast", clock=clock)


@pytest.fixture
def other(memory: Memory, clock: Clock) -> Memory:
    """Somebody else with the same memory."""
    return Memory.open(memory.path, agent="other", clock=clock)


@pytest.fixture
def between(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """`between(act)`: act happens once, between the next write's decision and its publishing."""
    swap = Refs.swap
    acts: list[Callable[[], Any]] = []

    def interrupted(refs: Refs, *arguments: Any, **options: Any) -> bool:
        if acts and refs is memory.vault.repository.refs:
            acts.pop()()
        return swap(refs, *arguments, **options)

    monkeypatch.setattr(Refs, "swap", interrupted)
    return acts.append


@pytest.fixture
def loser(memory: Memory, clock: Clock) -> Memory:
    """The same vault as `memory`, without the lock: so that others can come between."""
    memory.vault.repository.locks = False
    return memory


# --- losing a race ---


def test_the_last_write_wins_and_both_are_history(loser: Memory, other: Memory, between: Any) -> None:
    """A store that lost the race is made again on top of the winner's."""
    between(lambda: other.store("k", "theirs"))
    assert loser.store("k", "ours").version == 2
    assert [one.value for one in loser.history("k")] == ["ours", "theirs"]


def test_create_that_lost_the_race_is_told(loser: Memory, other: Memory, between: Any) -> None:
    """Of two creators one gets the key."""
    between(lambda: other.create("k", "theirs"))
    with pytest.raises(KeyExistsError) as caught:
        loser.create("k", "ours")
    assert caught.value.current == other.entry("k")


def test_expect_that_lost_the_race_is_told(loser: Memory, other: Memory, between: Any) -> None:
    """The condition is tested on what is published upon."""
    entry = loser.store("k", 1)
    between(lambda: other.store("k", 2))
    with pytest.raises(StaleError):
        loser.store("k", 3, expect=entry)
    assert loser.retrieve("k") == 2


def test_update_runs_again_on_fresh_data(loser: Memory, other: Memory, between: Any) -> None:
    """And not again if only other keys changed."""
    loser.store("n", 1)
    seen: list[int] = []

    def double(value: int) -> int:
        seen.append(value)
        return value * 2

    between(lambda: other.store("n", 10))
    assert loser.update("n", double).value == 20
    assert seen == [1, 10]
    between(lambda: other.store("unrelated", 1))
    assert loser.update("n", double).value == 40
    assert seen == [1, 10, 20]


def test_a_default_is_fresh_at_every_run(loser: Memory, other: Memory, between: Any) -> None:
    """A function may change what it is given, as it may change a value: the next run must not see that."""

    def add(value: list[int]) -> list[int]:
        value.append(1)
        return value

    between(lambda: (other.store("log", 0), other.delete("log")))
    assert loser.update("log", add, default=[]).value == [1]
    with loser.transaction() as tx:
        tx.update("list", add, default=[])
    assert loser.retrieve("list") == [1]


def test_a_transaction_is_decided_again_as_a_whole(loser: Memory, other: Memory, between: Any) -> None:
    """What it read of the keys that it changes is what it is published upon."""
    loser.store("a", 1)
    loser.store("b", 1)
    between(lambda: other.store("a", 10))
    with loser.transaction() as tx:
        tx.update("a", lambda value: value + 1)
        tx.update("b", lambda value: value + 1)
    assert (loser.retrieve("a"), loser.retrieve("b")) == (11, 2)
    between(lambda: other.delete("b"))
    with pytest.raises(MissingKeyError), loser.transaction() as tx:
        tx.delete("a", "b")
    assert loser.retrieve("a") == 11


def test_what_is_appended_is_what_it_was_when_it_was_appended(memory: Memory) -> None:
    """As with store: a value that the caller changes later is not changed in the transaction."""
    element, patch = {"n": 1}, {"x": {"n": 1}}
    with memory.transaction() as tx:
        tx.append("list", element)
        tx.patch("object", patch, default={})
        element["n"] = patch["x"]["n"] = 2
    assert memory.retrieve("list") == [{"n": 1}]
    assert memory.retrieve("object") == {"x": {"n": 1}}


def test_a_deletion_by_glob_sees_the_keys_that_came_meanwhile(loser: Memory, other: Memory, between: Any) -> None:
    """And returns what it deleted."""
    loser.store("s/a", 1)
    between(lambda: other.store("s/b", 1))
    assert [one.key for one in loser.delete_matching("s/*")] == ["s/a", "s/b"]


def test_a_branch_that_always_moves_is_contention(
    loser: Memory, other: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An explicit end, and nothing of ours is written."""
    monkeypatch.setattr(Refs, "swap", lambda *_, **__: False)
    monkeypatch.setattr("gitmem.writing.PATIENCE", 0.01)
    with pytest.raises(ContentionError) as caught:
        loser.store("k", 1)
    assert caught.value.hint
    assert loser.list() == []


# --- expiry ---


def test_the_deletion_of_what_expired_is_published_together(memory: Memory, clock: Clock, git: Git) -> None:
    """Two commits, one compare-and-swap: nobody sees the key gone and not yet there."""
    memory.create("claim", 1, ttl=5)
    clock.advance(5)
    memory.create("claim", 2, ttl=5)
    first, second = git(memory.path, "log", "-2", "--format=%an %s").splitlines()
    assert first == "me create default claim"
    assert second == "gitmem expire default claim"
    assert git(memory.path, "fsck", "--strict", "--no-dangling") == ""


def test_only_what_is_written_is_swept(memory: Memory, clock: Clock) -> None:
    """Other keys that have expired stay in the tree until somebody sweeps them."""
    memory.store("a", 1, ttl=5)
    memory.store("b", 1, ttl=5)
    clock.advance(5)
    memory.store("a", 2)
    assert len(memory.history("b")) == 1
    assert memory.list() == ["a"]


def test_a_key_that_expires_during_the_race_is_judged_anew(
    loser: Memory, other: Memory, between: Any, clock: Clock
) -> None:
    """The time of writing is that of the attempt that is published."""
    claim = loser.create("claim", "me", ttl=5)

    def meanwhile() -> None:
        clock.advance(5)
        other.append("unrelated", 1)

    between(meanwhile)
    with pytest.raises(StaleError):
        loser.store("work", 1, guard=claim)
    between(meanwhile)
    assert loser.store("late", 1, ttl=1).expires == clock.now + timedelta(seconds=1)


# --- errors mean that nothing was written ---


def test_an_unreadable_history_stops_a_write_before_it_is_published(memory: Memory, clock: Clock) -> None:
    """An error afterwards would say that nothing was written, when it was."""
    memory.store("k", 1)
    lost = memory.store("k", 2).revision
    memory.store("k", 3)
    memory.close()
    for name in os.listdir(memory.path / "derived"):
        os.unlink(memory.path / "derived" / name)
    os.unlink(memory.path / ".git/objects" / lost[:2] / lost[2:])
    fresh = Memory.open(memory.path, clock=clock)
    head = fresh.vault.repository.head("main")
    with pytest.raises(StorageError) as caught:
        fresh.store("new", 1)
    assert caught.value.hint
    assert fresh.vault.repository.head("main") == head
    assert fresh.retrieve("k") == 3


def test_an_index_that_fails_after_the_publishing_is_no_error(
    memory: Memory, other: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was published is acknowledged; the index catches up when somebody asks."""
    memory.store("k", 1)

    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("gitmem.index.intake.record_own", broken)
        memory.delete("k")
    assert other.list() == []
    assert [one.operation for one in memory.history("k")] == ["deleted", "created"]
    assert isinstance(memory.vault.index, Index)


def test_a_restore_takes_no_condition_that_it_would_ignore(memory: Memory) -> None:
    """`expect` is for one key by its version."""
    entry = memory.store("k", 1)
    memory.store("k", 2)
    with pytest.raises(TypeError):
        memory.restore("k", at=entry.snapshot, expect=entry)
    with pytest.raises(TypeError):
        memory.restore("k")
    with pytest.raises(TypeError):
        memory.restore("k", version=1, at=entry.snapshot)
    assert memory.retrieve("k") == 2


# --- reading inside ---


def test_a_transaction_reads_what_it_staged(memory: Memory) -> None:
    """Values, absence, and globs over both."""
    memory.store("s/old", 1)
    with memory.transaction() as tx:
        tx.store("s/new", {"a": [1]})
        tx.retrieve("s/new")["a"].append(2)
        assert tx.retrieve("s/new") == {"a": [1]}
        tx.delete("s/old")
        assert tx.retrieve("s/old", ABSENT) is ABSENT
        with pytest.raises(MissingKeyError):
            tx.delete("s/old")
        with pytest.raises(MissingKeyError):
            tx.retrieve("s/old")
        tx.create("s/old", 2)
        with pytest.raises(KeyExistsError):
            tx.create("s/old", 3)
        tx.delete_matching("s/**")
        assert tx.retrieve("s/new", None) is None
    assert memory.list() == []


@pytest.mark.parametrize("verb", ["store", "create", "update", "append", "patch", "expect", "delete", "retrieve"])
def test_a_bad_key_shows_where_it_is_used(memory: Memory, verb: str) -> None:
    """At the verb, not at the end of the block."""
    arguments = {"update": [lambda value: value], "delete": [], "retrieve": []}.get(verb, [1])
    with memory.transaction() as tx, pytest.raises(InvalidKeyError):
        getattr(tx, verb)("a//b", *arguments)


def test_an_empty_transaction_is_no_commit(memory: Memory) -> None:
    """Nor is one whose steps cancel each other."""
    memory.store("k", 1)
    head = memory.snapshot
    with memory.transaction():
        pass
    with memory.transaction() as tx:
        tx.store("k", 2)
        tx.store("k", 1)
        tx.store("new", 1)
        tx.delete("new")
    assert memory.snapshot == head


def test_a_condition_inside_is_about_what_is_published_not_about_what_is_staged(memory: Memory) -> None:
    """So that storing a key does not make its own expectation stale."""
    entry = memory.store("k", 1)
    with memory.transaction() as tx:
        tx.store("k", 2)
        tx.expect("k", entry)
        tx.expect("new", ABSENT)
        tx.store("new", 1)
    assert memory.retrieve("k") == 2


def test_many_keys_are_one_pack(memory: Memory, git: Git) -> None:
    """A transaction of hundreds of keys does not become thousands of loose files, and reads back."""
    before = set((memory.path / ".git/objects").rglob("*"))
    with memory.transaction() as tx:
        for number in range(300):
            tx.store(f"many/{number}", {"n": number})
    made = {path.suffix for path in set((memory.path / ".git/objects").rglob("*")) - before if path.is_file()}
    assert made == {".pack", ".idx"}
    assert git(memory.path, "fsck", "--strict", "--no-dangling") == ""
    assert [memory.retrieve(f"many/{number}") for number in range(300)] == [{"n": number} for number in range(300)]


def test_a_transaction_inside_a_transaction_stands_for_itself(memory: Memory) -> None:
    """The inner one is published when it ends; the outer one then decides upon it."""
    memory.store("n", 1)
    with memory.transaction() as outer:
        outer.update("n", lambda value: value + 1)
        with memory.transaction() as inner:
            inner.update("n", lambda value: value + 10)
        assert memory.retrieve("n") == 11
    assert memory.retrieve("n") == 12


def test_a_write_inside_an_update_is_no_deadlock(memory: Memory, other: Memory) -> None:
    """The function runs before the lock is taken: it may even write, though it should not."""
    memory.store("n", 1)

    def impure(value: int) -> int:
        other.store("side", value)
        return value + 1

    assert memory.update("n", impure).value == 2


@pytest.mark.parametrize("verb", ["update", "patch", "append"])
def test_a_stale_condition_is_told_before_anything_else(memory: Memory, verb: str) -> None:
    """The function is not run on data that its caller did not mean, nor is the key just missing."""
    entry = memory.store("k", {"n": 1})

    def function(value: Any) -> Any:
        raise RuntimeError("I was called")

    arguments = {"update": function, "patch": [{"op": "test", "path": "/n", "value": 1}], "append": 1}
    memory.store("k", {"n": 2})
    with pytest.raises(StaleError):
        getattr(memory, verb)("k", arguments[verb], expect=entry)
    with pytest.raises(StaleError):
        getattr(memory, verb)("other", arguments[verb], guard=entry)
    memory.delete("k")
    with pytest.raises(StaleError) as caught:
        getattr(memory, verb)("k", arguments[verb], expect=entry)
    assert caught.value.current is ABSENT


def test_a_ttl_at_the_end_of_time_is_refused(memory: Memory, clock: Clock) -> None:
    """Rounding up must not leave the years either."""
    left = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - clock()).total_seconds()
    assert memory.store("k", 1, ttl=left).expires is not None
    with pytest.raises(InvalidValueError):
        memory.store("k", 1, ttl=left + 0.5)
