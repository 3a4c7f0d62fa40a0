"""Undo of what expires: an expiry is part of what a run wrote, and that it passed is nobody's doing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gitmem import ABSENT, Memory
from gitmem.maintenance import sweep


@pytest.fixture
def memory(tmp_path, clock) -> Memory:
    return Memory.open(tmp_path, agent="ann", namespace="n", clock=clock)


@pytest.fixture
def run(memory) -> Memory:
    return memory.bind(session="run")


@pytest.fixture
def bob(memory) -> Memory:
    return memory.bind(agent="bob", session="other")


def expires(memory: Memory, clock) -> float | None:
    """In how many seconds the key expires."""
    entry = memory.entry("k")
    return None if entry.expires is None else (entry.expires - clock.now).total_seconds()


def test_an_expiry_comes_back_with_its_value(memory, run, clock) -> None:
    """It was set before the run, which stored the key without one."""
    memory.store("k", 1, ttl=100)
    clock.advance(10), run.store("k", 2), clock.advance(10)
    memory.undo("run")
    assert (memory.retrieve("k"), expires(memory, clock)) == (1, 80)


def test_an_expiry_that_the_run_set_goes(memory, run, clock) -> None:
    """The value before it never expired."""
    memory.store("k", 1), run.store("k", 2, ttl=100)
    memory.undo("run")
    assert (memory.retrieve("k"), expires(memory, clock)) == (1, None)


@pytest.mark.parametrize("swept", [False, True], ids=["lying", "swept"])
def test_what_the_run_let_expire_comes_back(memory, run, clock, swept) -> None:
    """Whether it still lies in the tree or was cleared away: the run's own expiry stands in nobody's name."""
    memory.store("k", 1), run.store("k", 2, ttl=10)
    clock.advance(60)
    if swept:
        sweep(memory)
    assert memory.retrieve("k", ABSENT) is ABSENT
    told = memory.undo("run")
    assert (memory.retrieve("k"), expires(memory, clock), told.conflicts) == (1, None, ())
    memory.undo(told.revision)
    assert memory.retrieve("k", ABSENT) is ABSENT


def test_what_expired_and_was_made_anew_by_the_run_comes_back_too(memory, run, clock) -> None:
    """Two versions of the run, and between them the deletion that gitmem made of what had expired."""
    memory.store("k", 1), run.store("k", 2, ttl=10)
    clock.advance(60), run.create("k", 3)
    assert len(memory.history("k")) == 4
    told = memory.undo("run")
    assert (memory.retrieve("k"), expires(memory, clock), told.conflicts) == (1, None, ())


def test_what_has_expired_meanwhile_does_not_come_back(memory, run, clock) -> None:
    """It would have expired without the run as well."""
    memory.store("k", 1, ttl=30), run.store("k", 2)
    clock.advance(60)
    (change,) = memory.undo("run").changes
    assert (change.operation, memory.list(), memory.history("k")[0].operation) == ("deleted", [], "deleted")


def test_what_has_expired_meanwhile_is_nothing_to_go_back_to(memory, run, bob, clock) -> None:
    """Where others changed the value since, the question is whether it goes, not whether the old one comes back."""
    memory.store("k", 1, ttl=30), run.store("k", 2), bob.store("k", 3)
    clock.advance(60)
    (conflict,) = memory.undo("run", on_conflict="keep").conflicts
    assert (conflict.base, conflict.ours, conflict.theirs) == (2, 3, ABSENT)
    memory.undo("run", on_conflict="undo")
    assert memory.list() == []


def test_what_others_let_expire_stays_gone_without_a_question(memory, run, bob, clock) -> None:
    """Their value took the run's place, and is over, however long the run's own would have been there."""
    memory.store("k", 1), run.store("k", 2, ttl=5), bob.store("k", 3, ttl=10)
    clock.advance(60)
    told = memory.undo("run")
    assert (told.conflicts, told.changes, memory.retrieve("k", ABSENT)) == ((), (), ABSENT)


def test_a_lease_that_the_run_took_and_renewed_goes(memory, run, clock) -> None:
    """Renewals are no versions, but the run's all the same."""
    run.create("k", {"by": "ann"}, ttl=10)
    for _ in range(3):
        clock.advance(5), run.store("k", {"by": "ann"}, ttl=10)
    assert len(memory.history("k")) == 1
    memory.undo("run")
    assert memory.list() == []


def test_a_lease_that_somebody_else_renewed_since_stays(memory, run, bob, clock) -> None:
    """As in a merge: where one side deleted what expires, and the other renewed it, the change wins."""
    run.create("k", 1, ttl=10), bob.store("k", 1, ttl=100)
    told = memory.undo("run")
    assert (told.conflicts, expires(memory, clock)) == ((), 100)


def test_a_lease_that_somebody_else_took_after_it_expired_stays(memory, run, bob, clock) -> None:
    """Nobody loses a claim because somebody undoes an older session."""
    run.create("k", "ann's", ttl=10)
    clock.advance(20), bob.create("k", "bob's", ttl=10)
    told = memory.undo("run")
    assert (told.conflicts, memory.retrieve("k"), expires(memory, clock)) == ((), "bob's", 10)


def test_a_key_that_the_run_only_renewed_is_left_alone(memory, run, bob, clock) -> None:
    """To take a renewal back would let somebody's lease expire at once."""
    bob.create("k", 1, ttl=10), clock.advance(5), run.store("k", 1, ttl=100), clock.advance(50)
    told = memory.undo("run")
    assert (told.versions, expires(memory, clock)) == (0, 50)


def test_others_changes_of_a_value_and_of_its_expiry_both_stay(memory, run, bob, clock) -> None:
    """The run's member goes; the later expiry holds."""
    memory.store("k", {"a": 1}, ttl=100)
    run.patch("k", {"b": 1}), bob.patch("k", {"c": 1}), bob.store("k", {"a": 1, "b": 1, "c": 1}, ttl=500)
    memory.undo("run")
    assert (memory.retrieve("k"), expires(memory, clock)) == ({"a": 1, "c": 1}, 500)


def test_a_deletion_of_what_expires_is_a_conflict_only_if_a_value_would_come_back(memory, run, bob) -> None:
    """What the run created and somebody deleted is gone; what it overwrote is not for the undo to bring back."""
    memory.store("k", 1), run.store("k", 2, ttl=100), bob.delete("k")
    run.store("made", 2, ttl=100), bob.delete("made")
    told = memory.undo("run", on_conflict="keep")
    assert [(one.key, one.ours, one.theirs) for one in told.conflicts] == [("k", ABSENT, 1)]
    assert memory.list() == []


def test_an_undo_of_what_expires_later_expires_when_it_should(memory, run, clock) -> None:
    """What comes back is swept at its own instant."""
    memory.store("k", 1, ttl=100), run.delete("k")
    memory.undo("run")
    assert expires(memory, clock) == 100
    clock.now += timedelta(seconds=101)
    assert memory.retrieve("k", ABSENT) is ABSENT


def test_a_deletion_before_its_time_is_somebodys(memory, run, bob, clock) -> None:
    """Only what had expired when it was deleted is looked through."""
    memory.store("k", 1), run.store("k", 2, ttl=100), bob.delete("k")
    clock.advance(200)
    (conflict,) = memory.undo("run", dry_run=True).conflicts
    assert (conflict.ours, conflict.theirs, conflict.agent) == (ABSENT, 1, "bob")


def test_what_comes_back_against_a_deletion_expires_as_it_did(memory, run, bob, clock) -> None:
    """Not as what the run made of it, nor never."""
    memory.store("k", 1, ttl=50), run.store("k", 2, ttl=100), bob.delete("k")
    memory.undo("run", on_conflict="undo")
    assert (memory.retrieve("k"), expires(memory, clock)) == (1, 50)
