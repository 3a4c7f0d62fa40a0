"""Undo in a history that forks: what merges made counts once, and what a stranger's merge made is his."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitmem import ConflictError, Memory
from tests.foreign import commit_files, run_git
from tests.forks import Fork, fork


@pytest.fixture
def parted(tmp_path, clock) -> Fork:
    memory = Memory.open(tmp_path, agent="main", namespace="n", clock=clock)
    memory.store("k", {"a": 1, "b": 1, "n": 10})
    return fork(memory, clock)


def merged_by_hand(git_dir: Path, ours: str, theirs: str, body: bytes) -> str:
    """A merge by plain git, whose author decided what `n/k` is."""
    commit_files(git_dir, {"n/k.json": body}, branch=ours)
    tree, head, parent, other = (
        run_git(git_dir, "rev-parse", name).strip() for name in (f"{ours}^{{tree}}", ours, f"{ours}~1", theirs)
    )
    made = run_git(git_dir, "commit-tree", tree, "-p", parent, "-p", other, "-m", "by hand").strip()
    run_git(git_dir, "update-ref", f"refs/heads/{ours}", made, head)
    return made


def test_a_session_on_one_side_is_taken_out_of_what_both_made(parted) -> None:
    """The merge is no version of the run; nor is the other side's work."""
    run = parted.one.bind(session="run")
    run.patch("k", {"a": 2}), parted.two.patch("k", {"b": 2}), run.patch("k", {"c": 1})
    parted.merge()
    told = parted.one.undo("run")
    assert parted.one.retrieve("k") == {"a": 1, "b": 2, "n": 10}
    assert (told.versions, told.conflicts) == (2, ())


def test_a_range_across_a_merge_takes_back_each_side_once(parted) -> None:
    """Also where a rule adds up."""
    parted.main.settings.add_rule("k", "total", at="/n")
    for side in (parted.one, parted.two):
        side.merge("main")
    start = parted.main.snapshot
    parted.store("k", {"a": 1, "b": 1, "n": 12}, {"a": 1, "b": 1, "n": 15})
    parted.merge()
    assert parted.one.retrieve("k")["n"] == 17
    told = parted.one.undo(f"{start}..one")
    assert parted.one.retrieve("k")["n"] == 10
    assert told.versions == 2
    parted.one.undo(told.revision)
    assert parted.one.retrieve("k")["n"] == 17


def test_what_a_merge_brought_in_is_a_range(parted) -> None:
    """The merge itself made nothing: `M^..M` is what it brought, whichever parent is the first."""
    parted.one.patch("k", {"a": 2})
    parted.clock.advance(5)
    parted.two.patch("k", {"b": 2})
    before = parted.one.snapshot
    merge = parted.merge().revision
    assert parted.one.undo(merge).versions == 0
    parted.one.undo(f"{before}..{merge}")
    assert parted.one.retrieve("k") == {"a": 2, "b": 1, "n": 10}


def test_what_a_person_decided_in_a_merge_by_hand_is_taken_back_to_the_automatic_merge(parted) -> None:
    """And no further: both sides' own work stays."""
    parted.one.patch("k", {"a": 2}), parted.two.patch("k", {"b": 2})
    made = merged_by_hand(parted.git_dir, "one", "two", b'{"a": 2, "b": 2, "n": 99}\n')
    told = parted.one.undo(made)
    assert parted.one.retrieve("k") == {"a": 2, "b": 2, "n": 10}
    assert told.versions == 1


def test_a_merge_by_hand_that_did_what_gitmem_does_made_nothing(parted) -> None:
    """Whoever made it."""
    parted.one.patch("k", {"a": 2}), parted.two.patch("k", {"b": 2})
    made = merged_by_hand(parted.git_dir, "one", "two", b'{\n  "a": 2,\n  "b": 2,\n  "n": 10\n}\n')
    assert parted.one.undo(made).versions == 0


def test_one_undo_on_each_side_of_a_fork_meet_as_one(parted) -> None:
    """Both did the same; the run stays undone, and is not undone again."""
    parted.main.bind(session="run").patch("k", {"a": 2, "c": 1})
    for side in (parted.one, parted.two):
        side.merge("main"), side.patch("k", {side.agent: 1}), side.undo("run")
        parted.clock.advance(5)
    parted.merge()
    wanted = {"a": 1, "b": 1, "n": 10, "ann": 1, "bob": 1}
    assert parted.one.retrieve("k") == wanted
    told = parted.one.undo("run")
    assert (told.versions, len(told.already)) == (0, 2)
    for undo in told.already[::-1]:
        assert parted.one.retrieve("k") == wanted
        parted.one.undo(undo)
    assert parted.one.retrieve("k") == {**wanted, "a": 2, "c": 1}


def test_an_undo_here_does_not_touch_what_the_session_wrote_elsewhere(parted) -> None:
    """What was not in the history when the run was undone stands, and can be undone afterwards."""
    parted.one.bind(session="run").patch("k", {"a": 2}), parted.two.bind(session="run").patch("k", {"b": 2})
    parted.one.undo("run")
    parted.merge()
    assert parted.one.retrieve("k") == {"a": 1, "b": 2, "n": 10}
    assert parted.one.undo("run").versions == 1
    assert parted.one.retrieve("k") == {"a": 1, "b": 1, "n": 10}


def test_an_undo_on_one_branch_is_none_on_the_other(parted) -> None:
    """What precedes the head counts."""
    parted.main.bind(session="run").patch("k", {"a": 2})
    for side in (parted.one, parted.two):
        side.merge("main"), side.patch("k", {side.agent: 1})
        assert side.undo("run").versions == 1


def test_a_settled_conflict_is_open_again_once_the_settling_is_undone(parted) -> None:
    """The record comes back with the winner's value: it is one commit, and goes as one."""
    parted.store("k", {"a": 2, "b": 1, "n": 10}, {"a": 3, "b": 1, "n": 10})
    parted.merge()
    (record,) = parted.one.conflicts()
    parted.one.bind(session="run").resolve(record.id, "other")
    assert (parted.one.retrieve("k")["a"], parted.one.conflicts()) == (2, [])
    parted.one.undo("run")
    assert (parted.one.retrieve("k")["a"], parted.one.conflicts()) == (3, [record])


def test_a_record_that_somebody_wrote_anew_is_not_merged_with_the_old_one(parted) -> None:
    """What stands in the namespace `conflicts` is what merges made: one record, or another."""
    parted.store("k", {"a": 2, "b": 1, "n": 10}, {"a": 3, "b": 1, "n": 10})
    parted.merge()
    (record,) = parted.one.conflicts()
    parted.one.bind(session="run").resolve(record.id, "other")
    commit_files(parted.git_dir, {f"conflicts/{record.id}.json": b'{"another": 1}\n'}, branch="one")
    told = parted.one.undo("run")
    assert parted.one.retrieve(record.id, namespace="conflicts") == {"another": 1}
    assert told.conflicts == ()


def test_an_octopus_of_a_stranger_is_measured_against_its_newest_side(parted) -> None:
    """gitmem merges two: what it would make of three is not known."""
    parted.one.patch("k", {"a": 2}), parted.two.patch("k", {"b": 2})
    parted.main.branch("three").store("other", 1)
    commit_files(parted.git_dir, {"n/k.json": b'{"a": 7}\n'}, branch="one")
    heads = [run_git(parted.git_dir, "rev-parse", name).strip() for name in ("one~1", "two", "three")]
    parents = [word for head in heads for word in ("-p", head)]
    made = run_git(parted.git_dir, "commit-tree", "one^{tree}", *parents, "-m", "octopus").strip()
    run_git(parted.git_dir, "update-ref", "refs/heads/one", made)
    told = parted.one.undo(made)
    assert parted.one.retrieve("k") in ({"a": 2, "b": 1, "n": 10}, {"a": 1, "b": 2, "n": 10})
    assert told.versions >= 1


def test_copies_that_meet_know_what_the_other_has_undone(tmp_path, clock) -> None:
    """Undo travels as any commit does, and so does the undoing of it."""
    here = Memory.open(tmp_path / "here", agent="ann", namespace="n", clock=clock)
    here.store("k", {"a": 1})
    here.bind(session="run").patch("k", {"a": 2})
    run_git(tmp_path, "init", "--bare", "-q", "hub")
    here.add_remote("origin", str(tmp_path / "hub"))
    here.sync()
    there = Memory.clone(tmp_path / "hub", tmp_path / "there", agent="bob", namespace="n", clock=clock)
    undo = there.undo("run")
    there.sync(), here.patch("k", {"b": 1}), here.sync()
    assert here.retrieve("k") == {"a": 1, "b": 1}
    assert here.undo("run").already == (undo.revision,)
    here.undo(undo.revision)
    here.sync(), there.sync()
    assert there.retrieve("k") == {"a": 2, "b": 1}
    assert there.sessions()[0].undone_by is None


# --- places that a merge left to a person


def contested(parted: Fork) -> Memory:
    """The run and somebody else wrote one place; the run's value won, and the record is open."""
    parted.two.bind(agent="ann", session="ann-run").patch("k", {"n": 20, "a": 7})
    parted.clock.advance(10)
    parted.one.bind(agent="bob", session="run").patch("k", {"n": 30, "b": 2})
    parted.merge()
    (record,) = parted.one.conflicts()
    assert [side.value for side in record.sides] == [30, 20]
    return parted.one


def test_an_undo_of_the_winner_does_not_drop_the_other_sides_work(parted) -> None:
    """Neither value is what stood before: the undo says who wrote the other, and how to settle it."""
    memory = contested(parted)
    before, (record,) = memory.snapshot, memory.conflicts()
    with pytest.raises(ConflictError) as caught:
        memory.undo("run")
    (one,) = caught.value.conflicts
    assert (one.pointer, one.base, one.ours, one.theirs) == ("/n", 30, 30, 20)
    assert (one.record, one.take, one.agent, one.session) == (record.id, "other", "ann", "ann-run")
    assert f"gitmem resolve {record.id} --take other" in caught.value.hint
    assert memory.snapshot == before


def test_an_open_conflict_stays_or_the_other_side_stands(parted) -> None:
    """As the caller chooses; the rest of the run is taken back, the record goes with what it is about."""
    memory = contested(parted)
    (record,) = memory.conflicts()
    kept = memory.undo("run", on_conflict="keep")
    assert memory.retrieve("k") == {"a": 7, "b": 1, "n": 30}
    assert memory.conflicts() == [record]
    memory.undo(kept.revision)
    undone = memory.undo("run", on_conflict="undo")
    assert memory.retrieve("k") == {"a": 7, "b": 1, "n": 20}
    assert (memory.conflicts(), undone.conflicts[0].record) == ([], record.id)
    memory.undo(undone.revision)
    assert memory.retrieve("k") == {"a": 7, "b": 2, "n": 30}
    assert memory.conflicts() == [record]


def test_an_undo_of_the_other_side_lets_the_winner_stand(parted) -> None:
    """It is in the conflict as much."""
    memory = contested(parted)
    told = memory.undo("ann-run", on_conflict="undo")
    assert [(one.theirs, one.take) for one in told.conflicts] == [(30, "winner")]
    assert (memory.retrieve("k"), memory.conflicts()) == ({"a": 1, "b": 2, "n": 30}, [])


def test_what_the_run_did_beside_an_open_conflict_is_taken_back(parted) -> None:
    """A record between two others, in the same value, is nothing to the run."""
    memory = contested(parted)
    memory.bind(session="later").patch("k", {"b": 3})
    assert memory.undo("later").conflicts == ()
    assert (memory.retrieve("k"), len(memory.conflicts())) == ({"a": 7, "b": 2, "n": 30}, 1)


@pytest.mark.parametrize("later", [0, 1])
def test_a_conflict_of_a_run_with_itself_goes_with_it(parted, later) -> None:
    """Nobody else wrote there, whichever side won."""
    for number in (later, 1 - later):
        (parted.one, parted.two)[number].bind(session="run").patch("k", {"n": number})
        parted.clock.advance(10)
    parted.merge()
    assert parted.one.undo("run").conflicts == ()
    assert (parted.one.retrieve("k")["n"], parted.one.conflicts()) == (10, [])


def test_an_open_conflict_where_somebody_wrote_since_has_to_be_settled_first(parted) -> None:
    """Three wrote the place: no choice of undo's does justice to all of them; the key may stay as it is."""
    memory = contested(parted)
    memory.bind(agent="carl").patch("k", {"n": 40})
    for dry_run in (True, False):
        with pytest.raises(ConflictError) as caught:
            memory.undo("run", on_conflict="undo", dry_run=dry_run)
    assert "gitmem resolve" in caught.value.hint
    memory.undo("run", on_conflict="keep")
    assert (memory.retrieve("k")["n"], len(memory.conflicts())) == (40, 1)
