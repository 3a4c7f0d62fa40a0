"""Settling what merges left open: what is taken, what was written since, what stays settled, what is no record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitmem import (
    ConflictError,
    ContractError,
    GitmemError,
    InvalidKeyError,
    InvalidValueError,
    Memory,
    MergeConflictError,
    MissingKeyError,
)
from tests.conftest import Clock
from tests.forks import Fork, fork

Begin = Callable[[Any], Fork]


@pytest.fixture
def begin(tmp_path: Path, clock: Clock) -> Begin:
    """`begin(value)`: a memory with this value at `k`, forked."""

    def begun(value: Any) -> Fork:
        main = Memory.open(tmp_path, agent="main", durability="fast", clock=clock)
        main.store("k", value)
        return fork(main, clock)

    return begun


@pytest.mark.parametrize(("take", "expected"), [
    ("winner", {"a": 3, "b": 2}), ("other", {"a": 2, "b": 2}), ("base", {"a": 1, "b": 2}),
    ({"x": []}, {"a": {"x": []}, "b": 2}), (None, {"a": None, "b": 2}),
])  # fmt: skip
@pytest.mark.parametrize("by", ["id", "key"])
def test_what_is_taken_stands_there_and_the_record_is_gone(begin: Begin, take: Any, expected: Any, by: str) -> None:
    """In one commit; what was merged beside it stays."""
    world = begin({"a": 1, "b": 1})
    world.store("k", {"a": 2, "b": 2}, {"a": 3, "b": 1})
    world.merge()
    record, head = world.conflict(), world.one.snapshot
    name = record.id if by == "id" else "k"
    world.clock.advance(10)
    made = world.one.resolve(name, take) if isinstance(take, str) else world.one.resolve(name, value=take)
    assert world.one.retrieve("k") == expected
    assert [(one.namespace, one.key, one.operation) for one in made] == [
        ("conflicts", record.id, "deleted"), *([] if take == "winner" else [("default", "k", "modified")])
    ]  # fmt: skip
    (commit,) = world.one.log(since=head)
    assert (commit.agent, commit.message) == ("ann", f"resolve {name}")
    assert (world.one.conflicts(), world.one.list(namespace="conflicts")) == ([], [])
    with pytest.raises(MissingKeyError) as caught:
        world.one.resolve(name, "winner")
    assert "gitmem conflicts" in caught.value.hint


def test_a_key_names_all_its_conflicts(begin: Begin) -> None:
    """Each at its own place, also where settling one moves the others."""
    base = {"a": 1, "l": [{"id": n, "v": 0} for n in range(6)], "t": "x"}
    world = begin(base)
    ann = {"a": 2, "l": [{"id": n, "v": 1} for n in range(6)], "t": "y"}
    bob = {"a": 3, "l": [{"id": n, "v": 2} for n in (1, 3, 4)], "t": "z"}
    world.store("k", ann, bob)
    world.one.store("other", 1)
    world.two.store("other", 2)
    world.merge()
    assert world.one.retrieve("k") == bob
    world.one.resolve("k", "other", namespace="default")
    assert world.one.retrieve("k") == ann
    assert [one.key for one in world.one.conflicts()] == ["other"]


def test_what_was_written_since_the_merge_stays(begin: Begin) -> None:
    """The choice is for the place in conflict; elements may have moved meanwhile."""
    world = begin({"a": 1, "l": ["x", "y"]})
    world.store("k", {"a": 2, "l": ["x", "y"]}, {"a": 3, "l": ["x", "y"]})
    world.merge()
    world.one.store("k", {"a": 3, "l": ["new", "x", "y"], "b": 1})
    world.one.resolve("k", "other")
    assert world.one.retrieve("k") == {"a": 2, "b": 1, "l": ["new", "x", "y"]}


def test_an_element_in_a_list_is_found_where_it_is_by_now(begin: Begin) -> None:
    """A pointer counts in the value as it was merged."""
    world = begin([{"id": n, "v": 0} for n in range(3)])
    world.store("k", [{"id": n, "v": int(n == 1)} for n in range(3)], [{"id": n, "v": 2 * (n == 1)} for n in range(3)])
    world.merge()
    assert world.conflict().pointer == "/1/v"
    world.one.update("k", lambda value: [{"id": 9, "v": 0}, *value[1:]])
    world.one.resolve("k", "other")
    assert world.one.retrieve("k") == [{"id": 9, "v": 0}, {"id": 1, "v": 1}, {"id": 2, "v": 0}]


def test_a_choice_that_contradicts_what_was_written_since_is_refused(begin: Begin) -> None:
    """Nothing is lost silently: the error lists the place; taking the winner keeps what stands there."""
    world = begin({"a": 1})
    world.store("k", {"a": 2}, {"a": 3})
    world.merge()
    later = world.one.store("k", {"a": 4, "b": 1})
    head = world.one.snapshot
    with pytest.raises(MergeConflictError) as caught:
        world.one.resolve("k", "other")
    (found,) = caught.value.conflicts
    assert (found.pointer, found.base, found.ours, found.theirs) == ("/a", 3, 2, 4)
    assert found.revision == later.revision
    assert (world.one.snapshot, len(world.one.conflicts())) == (head, 1)
    world.one.resolve("k", "winner")
    assert world.one.retrieve("k") == {"a": 4, "b": 1}


def test_a_key_that_is_gone_is_not_brought_back_by_half(begin: Begin) -> None:
    """A deletion since the merge contradicts a choice inside the value."""
    world = begin({"a": 1})
    world.store("k", {"a": 2}, {"a": 3})
    world.merge()
    world.one.delete("k")
    with pytest.raises(MergeConflictError):
        world.one.resolve("k", "other")
    assert [one.operation for one in world.one.resolve("k", "winner")] == ["deleted"]
    assert world.one.list() == []


def test_an_expiry_is_kept(begin: Begin) -> None:
    """Settling a place is no renewal."""
    world = begin(0)
    world.one.store("k", {"a": 1}, ttl=500)
    world.clock.advance(10)
    world.two.store("k", {"a": 2}, ttl=500)
    world.merge()
    expires = world.one.entry("k").expires
    assert world.one.resolve("k", "other")
    assert (world.one.entry("k").value, world.one.entry("k").expires, expires is not None) == ({"a": 1}, expires, True)


def test_a_choice_keeps_contracts_and_sizes(begin: Begin) -> None:
    """As every write does."""
    world = begin({"a": 1})
    world.store("k", {"a": "x"}, {"a": 3})
    world.merge()
    world.one.settings.add_contract("k", {"properties": {"a": {"type": "integer"}}})
    head = world.one.snapshot
    with pytest.raises(ContractError):
        world.one.resolve("k", "other")
    with pytest.raises(InvalidValueError):
        world.one.resolve("k", value=float("nan"))
    assert world.one.snapshot == head
    world.one.resolve("k", value=7)
    assert world.one.retrieve("k") == {"a": 7}


def test_a_take_that_is_none_is_refused(begin: Begin) -> None:
    """A slip must not pass for the other side."""
    world = begin({"a": 1})
    world.store("k", {"a": 2}, {"a": 3})
    world.merge()
    for take in ("others", "", "ours", None):
        with pytest.raises(InvalidValueError):
            world.one.resolve("k", take)
    assert len(world.one.conflicts()) == 1


# --- what stays settled


@pytest.mark.parametrize("take", ["winner", "other", "base"])
@pytest.mark.parametrize("lower", [0, 1])
def test_a_resolved_conflict_does_not_come_back(begin: Begin, take: str, lower: int) -> None:
    """Neither where the sides go on, nor on the copy that has not heard of it yet, in either direction."""
    world = begin({"a": 1, "b": 1})
    world.store("k", {"a": 2, "b": 1}, {"a": 3, "b": 1})
    world.merge()
    world.one.resolve("k", take)
    value = world.one.retrieve("k")
    world.two.store("x", 1)
    world.order(lower)
    assert world.merge().conflicts == ()
    assert (world.one.retrieve("k"), world.one.conflicts()) == (value, [])
    world.one.store("y", 1)
    world.two.update("k", lambda value: value | {"b": 2})
    assert world.merge().conflicts == ()
    assert world.one.retrieve("k") == value | {"b": 2}


@pytest.mark.parametrize("take", ["winner", "other", "base"])
@pytest.mark.parametrize("lower", [0, 1])
def test_a_resolved_conflict_does_not_come_back_criss_cross(begin: Begin, take: str, lower: int) -> None:
    """Two copies merged the same two histories apart from each other, and one of them settled it."""
    world = begin({"a": 1, "b": 1})
    world.store("k", {"a": 2, "b": 1}, {"a": 3, "b": 1})
    first, second = world.one.snapshot, world.two.snapshot
    world.one.store("x", 1), world.two.store("y", 1)
    world.one.merge(second), world.two.merge(first)
    assert world.one.snapshot != world.two.snapshot
    assert [one.id for one in world.one.conflicts()] == [one.id for one in world.two.conflicts()]
    assert world.one.conflicts() == world.two.conflicts()
    world.one.resolve("k", take)
    value = world.one.retrieve("k")
    world.order(lower)
    assert world.merge().conflicts == ()
    assert (world.one.retrieve("k"), world.one.conflicts()) == (value, [])


@pytest.mark.parametrize("take", ["winner", "other", "base"])
@pytest.mark.parametrize("lower", [0, 1])
def test_a_conflict_that_two_copies_record_differently_is_settled_once(begin: Begin, take: str, lower: int) -> None:
    """One of them had changed another member before it merged, so that its record has another id."""
    world = begin({"a": 1, "b": 1})
    world.store("k", {"a": 2, "b": 1}, {"a": 3, "b": 1})
    first, second = world.one.snapshot, world.two.snapshot
    world.two.store("k", {"a": 3, "b": 5})
    world.one.merge(second), world.two.merge(first)
    assert {one.id for one in world.one.conflicts()} != {one.id for one in world.two.conflicts()}
    world.one.resolve("k", take)
    value = world.one.retrieve("k")
    world.order(lower)
    assert world.merge().conflicts == ()
    assert world.one.retrieve("k") == value | {"b": 5}
    assert world.one.conflicts() == []


@pytest.mark.parametrize("lower", [0, 1])
def test_a_choice_that_did_not_prevail_leaves_the_conflict_open(begin: Begin, lower: int) -> None:
    """The copies had other winners: where a merge puts the other one's there, the record that says so stays."""
    world = begin({"a": 1, "b": 1})
    world.store("k", {"a": 2, "b": 1}, {"a": 3, "b": 1})
    first, second = world.one.snapshot, world.two.snapshot
    world.one.store("k", {"a": 2, "b": 5})
    world.one.merge(second), world.two.merge(first)
    assert (world.one.retrieve("k")["a"], world.two.retrieve("k")["a"]) == (2, 3)
    world.two.resolve("k", "winner")
    world.order(lower)
    world.merge()
    assert world.one.retrieve("k") == {"a": 2, "b": 5}
    assert [one.value for one in world.conflict().sides] == [2, 3]


def test_an_open_conflict_stays_open_criss_cross(begin: Begin) -> None:
    """Nobody settled it, whatever its records are called."""
    world = begin({"a": 1, "b": 1})
    world.store("k", {"a": 2, "b": 1}, {"a": 3, "b": 1})
    first, second = world.one.snapshot, world.two.snapshot
    world.one.store("k", {"a": 2, "b": 5})
    world.one.merge(second), world.two.merge(first)
    assert world.merge().conflicts == ()
    assert [one.pointer for one in world.one.conflicts()] == ["/a"]
    assert world.one.retrieve("k")["b"] == 5


@pytest.mark.parametrize("lower", [0, 1])
def test_a_record_that_somebody_edited_does_not_come_back(begin: Begin, lower: int) -> None:
    """Records are made and settled; what plain git makes of one meanwhile opens nothing again."""
    world = begin(1)
    world.store("k", 2, 3)
    world.merge()
    record = world.conflict()
    world.one.resolve("k", "winner")
    edited = json.dumps(record.to_json() | {"base": 5}).encode()
    world.push(world.two, {f"conflicts/{record.id}.json": edited})
    world.order(lower)
    assert world.merge().conflicts == ()
    assert world.one.conflicts() == []


def test_the_same_conflict_anew_is_told_anew(begin: Begin) -> None:
    """Only a record that speaks of this merge was settled: people may fall out again."""
    world = begin(1)
    for _ in range(2):
        world.store("k", 2, 3)
        done = world.merge()
        assert len(done.conflicts) == 1
        world.one.resolve("k", value=1)
        world.two.merge("one")
        assert world.two.conflicts() == []


# --- what is no record


NONSENSE: list[Any] = [
    None, 5, "text", [], {}, {"sides": 5}, {"sides": []}, {"sides": [5]},
    {"namespace": "default", "key": "k", "pointer": "", "sides": [{"revision": "x", "agent": "y", "time": "z"}]},
    {"namespace": 5, "key": "k", "pointer": "", "sides": []},
    {"namespace": "default", "key": ["k"], "pointer": "", "problem": "key", "sides": [{"time": "2026-01-01"}]},
]  # fmt: skip
SIDES = [
    {"value": value, "revision": "0" * 40, "agent": "x", "time": "2026-01-01T00:00:00Z"} for value in ("now", "then")
]


def test_what_is_no_record_breaks_nothing(begin: Begin) -> None:
    """Anybody can push anything into the namespace: it is passed over."""
    world = begin({"a": 1})
    world.store("k", {"a": 2}, {"a": 3})
    world.push(world.two, {
        **{f"conflicts/{number:016x}.json": json.dumps(one).encode() for number, one in enumerate(NONSENSE)},
        "conflicts/garbled.json": b"{", "conflicts/notes.txt": b"x", "conflicts/deep/er.json": b"1",
    })  # fmt: skip
    done = world.merge()
    assert [one.pointer for one in done.conflicts] == ["/a"]
    assert [one.pointer for one in world.one.conflicts()] == ["/a"]
    for number in range(len(NONSENSE)):
        with pytest.raises(MissingKeyError):
            world.one.resolve(f"{number:016x}", "other")
    world.one.resolve("k", "other")
    assert world.one.retrieve("k") == {"a": 2}


@pytest.mark.parametrize(("change", "error"), [
    ({"pointer": "/no/such/place"}, ConflictError), ({"pointer": "nonsense"}, GitmemError),
    ({"namespace": "conflicts"}, InvalidKeyError), ({"namespace": "gitmem"}, InvalidKeyError),
    ({"namespace": "a/b"}, InvalidKeyError), ({"key": "a//b"}, InvalidKeyError), ({"key": ""}, InvalidKeyError),
    ({"namespace": None, "key": "../x"}, ConflictError), ({"problem": "whim"}, InvalidValueError),
])  # fmt: skip
def test_a_forged_record_writes_only_what_anybody_may_write(begin: Begin, change: Any, error: Any) -> None:
    """It is told as it is, refused with a reason, and removed by taking the winner."""
    world = begin("now")
    record = {"namespace": "default", "key": "k", "pointer": "", "base": "was", "sides": SIDES} | change
    world.push(world.one, {"conflicts/0123456789abcdef.json": json.dumps(record).encode()})
    (found,) = world.one.conflicts()
    head = world.one.snapshot
    with pytest.raises(error) as caught:
        world.one.resolve(found.id, "other")
    assert isinstance(caught.value, GitmemError)
    assert caught.value.hint
    assert world.one.snapshot == head
    assert [one.key for one in world.one.resolve(found.id, "winner")] == ["0123456789abcdef"]
    assert (world.one.conflicts(), world.one.list()) == ([], ["k"])


def test_a_forged_record_of_a_key_that_never_was_stores_a_value_at_most(begin: Begin) -> None:
    """As its finder could have done without it."""
    world = begin("now")
    record = {"namespace": "default", "key": "new", "pointer": "", "sides": SIDES}
    world.push(world.one, {"conflicts/x.json": json.dumps(record).encode()})
    world.one.resolve("new", "other")
    assert world.one.retrieve("new") == "then"


def test_a_conflict_after_a_merge_names_who_wrote_the_place(tmp_path: Path) -> None:
    """Not gitmem, who only made the merge: a person has to know whom to ask."""
    memory = Memory.open(tmp_path, agent="ann")
    memory.store("k", {"a": 1, "b": 1})
    memory.branch("idea").bind(agent="bob").store("k", {"a": 2, "b": 1})
    memory.store("k", {"a": 1, "b": 2})
    memory.merge("idea")
    with pytest.raises(MergeConflictError) as refused:
        memory.store("k", {"a": 9, "b": 9}, base=1)
    assert {one.pointer: one.agent for one in refused.value.conflicts} == {"/a": "bob", "/b": "ann"}
