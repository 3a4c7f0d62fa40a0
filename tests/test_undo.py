"""Undo, case by case: what comes back, what stays, what stands in the way, and what the commit says of itself."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gitmem import ABSENT, ConflictError, ContractError, InvalidPatternError, InvalidValueError, Memory
from gitmem import UnknownRevisionError as Unknown
from tests.foreign import commit_files, run_git


@pytest.fixture
def memory(tmp_path, clock) -> Memory:
    return Memory.open(tmp_path, agent="ann", namespace="n", clock=clock)


@pytest.fixture
def run(memory) -> Memory:
    """The session that is undone."""
    return memory.bind(session="run")


@pytest.fixture
def bob(memory) -> Memory:
    """Somebody else."""
    return memory.bind(agent="bob", session="other")


def git(memory: Memory, *arguments: str) -> str:
    return run_git(memory.vault.repository.git_dir, *arguments)


def message(memory: Memory) -> str:
    return git(memory, "log", "-1", "--format=%B")


def contents(memory: Memory, namespace: str = "n") -> dict[str, Any]:
    return {key: memory.retrieve(key, namespace=namespace) for key in memory.list(namespace=namespace)}


# --- what comes back, and what stays


def test_what_the_run_made_goes_and_what_it_deleted_comes_back(memory, run) -> None:
    """Nobody else wrote: all is as it was, in one commit."""
    memory.store("changed", {"a": 1}), memory.store("deleted", [1]), memory.store("beside", 1)
    before, head = contents(memory), memory.snapshot
    run.store("changed", {"a": 2}), run.delete("deleted"), run.store("made", 5), run.store("made", 6)
    undone = memory.undo("run")
    assert contents(memory) == before
    assert [(one.key, one.operation) for one in undone.changes] == [
        ("changed", "modified"), ("deleted", "created"), ("made", "deleted")
    ]  # fmt: skip
    assert (undone.versions, undone.conflicts, undone.revision) == (4, (), memory.snapshot)
    assert git(memory, "rev-list", "--count", f"{head}..main").strip() == "5"
    assert memory.diff(head) == []


def test_what_others_wrote_in_between_and_later_stays(memory, run, bob) -> None:
    """Members, elements and lines of one value, each somebody's."""
    memory.store("k", {"a": 1, "list": ["x"], "text": "one\ntwo\nthree\nfour\nfive\n"})
    run.update("k", lambda value: value | {"a": 2, "list": ["x", "mine"]})
    bob.update("k", lambda value: value | {"b": 1, "list": [*value["list"], "bob's"]})
    run.update("k", lambda value: value | {"text": value["text"].replace("one", "ONE")})
    bob.update("k", lambda value: value | {"text": value["text"].replace("five", "FIVE"), "c": 1})
    memory.undo("run")
    assert memory.retrieve("k") == {
        "a": 1, "b": 1, "c": 1, "list": ["x", "bob's"], "text": "one\ntwo\nthree\nfour\nFIVE\n"
    }  # fmt: skip


def test_a_key_that_others_alone_wrote_gets_no_version(memory, run, bob) -> None:
    """Nothing but the run's keys is touched, in any namespace."""
    bob.store("k", 1), run.store("mine", 1), run.store("mine", 1, namespace="elsewhere")
    told = memory.undo("run")
    assert [(one.namespace, one.key) for one in told.changes] == [("elsewhere", "mine"), ("n", "mine")]
    assert len(memory.history("k")) == 1


def test_a_run_that_changed_its_mind_twice_stands_against_nobody(memory, run, bob) -> None:
    """Step by step, what somebody wrote later contradicts each step; together the steps come to nothing."""
    memory.store("k", 1)
    run.store("k", 2), run.store("k", 1), bob.store("k", 5)
    told = memory.undo("run")
    assert (told.changes, told.conflicts, memory.retrieve("k")) == ((), (), 5)


def test_an_undo_that_changes_no_value_is_remembered_as_well(memory, run, bob) -> None:
    """Somebody took the run back by hand, and later wants it: that is his own doing, not the run's any more."""
    memory.store("k", 1), run.store("k", 2), memory.store("k", 1)
    undo = memory.undo("run")
    assert (undo.changes, undo.revision) == ((), memory.snapshot)
    bob.store("k", 2)
    assert memory.undo("run").revision is None
    assert memory.retrieve("k") == 2


def test_a_key_that_came_went_and_came_back_is_taken_back_step_by_step(memory, run, bob) -> None:
    """Deletions and re-creations are versions like any other."""
    memory.store("k", {"old": 1})
    run.delete("k"), run.create("k", {"new": 1}), bob.patch("k", {"bob": 1}), run.patch("k", {"more": 1})
    memory.undo("run", on_conflict="undo")
    assert memory.retrieve("k") == {"old": 1, "bob": 1}


# --- what stands in the way


def test_a_place_that_others_changed_too_is_told_and_nothing_is_written(memory, run, bob, clock) -> None:
    """With who wrote it, when, and the three values: all places, not only the first."""
    memory.store("k", {"a": 1, "b": 1})
    run.store("k", {"a": 2, "b": 2}), run.store("made", 1), run.store("free", 1)
    clock.advance(60)
    bob.patch("k", {"a": 3})
    last = bob.store("made", 2)
    head = memory.snapshot
    with pytest.raises(ConflictError, match="run cannot be undone cleanly, nothing was written: 2 places") as caught:
        memory.undo("run")
    first, second = caught.value.conflicts
    assert (first.key, first.pointer, first.base, first.ours, first.theirs) == ("k", "/a", 2, 3, 1)
    assert (second.key, second.pointer, second.base, second.ours, second.theirs) == ("made", "", 1, 2, ABSENT)
    assert (second.revision, second.agent, second.session, second.time) == (last.revision, "bob", "other", clock.now)
    assert "theirs" not in second.to_json()
    assert memory.snapshot == head


def test_who_changed_the_place_is_named_not_who_wrote_last(memory, run, bob) -> None:
    """The key's last version may be the run's own, or about another member."""
    memory.store("k", {"a": 1, "b": 1})
    run.patch("k", {"a": 2})
    culprit = bob.patch("k", {"a": 3})
    memory.bind(agent="eve").patch("k", {"b": 2}), run.patch("k", {"c": 1})
    (conflict,) = memory.undo("run", dry_run=True).conflicts
    assert (conflict.revision, conflict.agent) == (culprit.revision, "bob")


def test_the_run_itself_is_never_in_its_own_way(memory, run, bob) -> None:
    """It wrote last, over what somebody else had written over its first version: he is to be asked."""
    memory.store("k", 1), run.store("k", 2)
    culprit = bob.store("k", 3)
    run.store("k", 4)
    (conflict,) = memory.undo("run", dry_run=True).conflicts
    assert (conflict.base, conflict.ours, conflict.theirs, conflict.revision) == (2, 3, 1, culprit.revision)


def test_keep_leaves_what_others_wrote_and_takes_back_the_rest(memory, run, bob) -> None:
    """Member by member."""
    memory.store("k", {"a": 1, "b": 1})
    run.store("k", {"a": 2, "b": 2}), bob.patch("k", {"a": 3})
    told = memory.undo("run", on_conflict="keep")
    assert memory.retrieve("k") == {"a": 3, "b": 1}
    assert [one.pointer for one in told.conflicts] == ["/a"]
    assert memory.undo("run").revision is None


def test_undo_lets_what_stood_before_the_run_win(memory, run, bob) -> None:
    """Through several versions of the run, down to what stood before the first."""
    memory.store("k", {"a": 1})
    run.store("k", {"a": 2}), bob.store("k", {"a": 3}), run.store("k", {"a": 4}), bob.store("k", {"a": 5, "b": 1})
    told = memory.undo("run", on_conflict="undo")
    assert memory.retrieve("k") == {"a": 1, "b": 1}
    assert [(one.pointer, one.base, one.ours, one.theirs) for one in told.conflicts] == [("/a", 4, 5, 1)]


def test_a_dry_run_tells_the_same_and_writes_nothing(memory, run, bob) -> None:
    """Conflicts too, as values and not as an error."""
    memory.store("k", {"a": 1, "b": 1})
    run.store("k", {"a": 2, "b": 2}), bob.patch("k", {"a": 3})
    head = memory.snapshot
    told = memory.undo("run", dry_run=True)
    assert (memory.snapshot, told.revision, len(told.conflicts)) == (head, None, 1)
    done = memory.undo("run", on_conflict="keep")
    assert (done.changes, done.conflicts) == (told.changes, told.conflicts)


# --- rules, contracts, limits


@pytest.mark.parametrize(
    ("rule", "before", "mine", "later", "after"),
    [
        ("total", 10, 13, 20, 17),
        ("largest", 1, 5, 9, 9),
        ("smallest", 5, 1, 3, 3),
        ("latest", 1, 2, 3, 3),
        ("union", ["a"], ["a", "b"], ["a", "b", "c"], ["a", "c"]),
    ],
)
def test_a_place_with_a_rule_is_settled_by_it(memory, run, bob, clock, rule, before, mine, later, after) -> None:
    """As in any merge: of a counter, what others counted since remains."""
    memory.settings.add_rule("k", rule, at="/n")
    memory.store("k", {"n": before})
    clock.advance(5), run.store("k", {"n": mine}), clock.advance(5), bob.store("k", {"n": later})
    assert memory.undo("run").conflicts == ()
    assert memory.retrieve("k") == {"n": after}


def test_the_latest_is_judged_by_what_stood_before_the_whole_stretch(memory, run, bob, clock) -> None:
    """Somebody's clock is behind the run's, but not behind what stood before it."""
    memory.settings.add_rule("k", "latest", at="/n")
    memory.store("k", {"n": 1, "a": 1})
    clock.advance(100), run.store("k", {"n": 2, "a": 2}), run.store("k", {"n": 3, "a": 1})
    clock.advance(-50), bob.store("k", {"n": 9, "a": 5})
    told = memory.undo("run")
    assert (memory.retrieve("k"), told.conflicts) == ({"n": 9, "a": 5}, ())


def test_a_counter_is_not_undone_twice_nor_brought_back_twice(memory, run, bob) -> None:
    """The rule `total` adds up whatever it is given: only what stands may be taken back."""
    memory.settings.add_rule("k", "total")
    memory.store("k", 3), run.store("k", 5), bob.store("k", 15)
    undo = memory.undo("run")
    assert memory.retrieve("k") == 13
    assert memory.undo("run").already == (undo.revision,)
    bob.store("k", 23)
    memory.undo(undo.revision), memory.undo(undo.revision)
    assert memory.retrieve("k") == 25
    memory.undo("run")
    assert memory.retrieve("k") == 23


def test_an_earlier_value_that_breaks_a_contract_by_now_is_refused(memory, run) -> None:
    """In a dry run too: it tells what would happen."""
    memory.store("k", 1), run.store("k", {"a": 1})
    memory.settings.add_contract("k", '{"type": "object"}')
    head = memory.snapshot
    for dry_run in (True, False):
        with pytest.raises(ContractError):
            memory.undo("run", dry_run=dry_run)
    assert memory.snapshot == head


def test_a_file_that_is_no_value_is_never_brought_back(memory, run) -> None:
    """Garbage that a stranger left before the run: the key stays as it is, and that is told."""
    run.store("other", 1)
    commit_files(memory.vault.repository.git_dir, {"n/k.json": b"{garbage"})
    run.store("k", 1)
    with pytest.raises(ConflictError):
        memory.undo("run")
    told = memory.undo("run", on_conflict="undo")
    assert contents(memory) == {"k": 1}
    assert list(told.conflicts[0].theirs) == ["blob"]


def test_garbage_that_came_later_is_told_and_can_be_overruled(memory, run) -> None:
    """What cannot be read cannot be merged."""
    memory.store("k", 1), run.store("k", 2)
    commit_files(memory.vault.repository.git_dir, {"n/k.json": b"{garbage"}, time=int(memory.clock().timestamp()))
    assert [list(one.ours) for one in memory.undo("run", on_conflict="keep").conflicts] == [["blob"]]
    memory.undo("run", on_conflict="undo")
    assert memory.retrieve("k") == 1


# --- parts, ranges, single commits


def test_a_glob_and_a_namespace_narrow_it_and_the_rest_can_follow(memory, run) -> None:
    """What was taken back by a part is not taken back again by the whole."""
    memory.settings.add_rule("**", "total")
    for space, key in (("n", "a/1"), ("n", "b/1"), ("m", "a/1")):
        memory.store(key, 1, namespace=space), run.store(key, 3, namespace=space)
    memory.undo("run", keys="a/*", namespace="n")
    assert message(memory).endswith('Undoes: run\nUndo-Keys: "a/*"\nUndo-Namespace: "n"\n\n')
    assert (contents(memory), contents(memory, "m")) == ({"a/1": 1, "b/1": 3}, {"a/1": 3})
    memory.bind(agent="bob").store("a/1", 11)
    rest = memory.undo("run")
    assert (contents(memory), contents(memory, "m")) == ({"a/1": 11, "b/1": 1}, {"a/1": 1})
    memory.undo(rest.revision)
    assert (contents(memory), contents(memory, "m")) == ({"a/1": 11, "b/1": 3}, {"a/1": 3})


def test_a_glob_of_any_characters_is_remembered(memory, run) -> None:
    """A trailer cannot begin or end with a space, and knows no control characters."""
    memory.settings.add_rule("**", "total")
    memory.store(" k ", 1), run.store(" k ", 3)
    memory.undo("run", keys=" k ")
    assert memory.undo("run").versions == 0


def test_one_commit_is_a_run(memory, run, bob) -> None:
    """Named as any revision is."""
    memory.store("k", {"a": 1})
    run.patch("k", {"b": 1})
    one = run.patch("k", {"c": 1})
    run.patch("k", {"d": 1})
    told = memory.undo("HEAD~1")
    assert told.run == one.revision
    assert memory.retrieve("k") == {"a": 1, "b": 1, "d": 1}
    memory.undo("run")
    assert memory.retrieve("k") == {"a": 1}


def test_a_range_is_what_its_end_has_and_its_beginning_has_not(memory, run, bob) -> None:
    """Whoever wrote it; without an end it is all that came since."""
    start = memory.store("k", {"a": 1}).revision
    run.patch("k", {"b": 1})
    middle = bob.patch("k", {"c": 1}).revision
    memory.patch("k", {"d": 1})
    told = memory.undo(f"{start[:10]}..{middle[:10]}")
    assert memory.retrieve("k") == {"a": 1, "d": 1}
    assert told.run == f"{start}..{middle}"
    assert f"undo {start[:12]}..{middle[:12]}\n" in message(memory)
    memory.undo(f"{start}..")
    assert memory.retrieve("k") == {"a": 1}


def test_a_session_may_be_called_like_anything_else(memory) -> None:
    """Like a range, or beginning like an id: what is there under this very name is meant."""
    for name in ("a..b", "0123abcd", "2026-01-01", "with space"):
        memory.bind(session=name).store("k", name)
        memory.undo(name)
        assert memory.list() == []
        assert f"Undoes: {name}\n" in message(memory)
        assert memory.sessions()[0].undone_by == memory.snapshot


@pytest.mark.parametrize("name", ["nothing", "", "..HEAD", "HEAD..nothing", "a\ud800", "HEAD~99"])
def test_what_names_no_run_is_refused(memory, run, name) -> None:
    """With the next step."""
    run.store("k", 1)
    with pytest.raises(Unknown) as caught:
        memory.undo(name)
    assert caught.value.hint


def test_a_run_of_another_branch_is_refused(memory, run) -> None:
    """It is not here: there is nothing to take back."""
    run.store("k", 1)
    there = memory.branch("side").bind(session="there").store("k", 2).revision
    for name in ("there", there, f"main..{there}"):
        with pytest.raises(Unknown):
            memory.undo(name)


def test_a_range_needs_one_commit_where_its_ends_parted(memory, run) -> None:
    """Of two histories that have nothing in common, none is what the other has not."""
    run.store("k", 1)
    orphan = git(memory, "commit-tree", "main^{tree}", "-m", "orphan").strip()
    with pytest.raises(Unknown) as caught:
        memory.undo(f"{orphan}..HEAD")
    assert "parted" in caught.value.hint


def test_arguments_that_make_no_sense_are_refused_at_once(memory, run) -> None:
    """Before anything is looked for."""
    run.store("k", 1)
    with pytest.raises(InvalidValueError):
        memory.undo("run", on_conflict="perhaps")
    with pytest.raises(InvalidPatternError):
        memory.undo("run", keys="[")
    with pytest.raises(InvalidValueError):
        memory.undo("run", message="two\nlines")


# --- undoing what was undone


def test_undoing_the_undo_brings_it_back_with_what_came_since(memory, run, bob) -> None:
    """And again, and again."""
    memory.store("k", {"a": 1})
    run.store("k", {"a": 2}), run.store("made", 1)
    first = memory.undo("run")
    bob.patch("k", {"bob": 1})
    second = memory.undo(first.revision)
    assert contents(memory) == {"k": {"a": 2, "bob": 1}, "made": 1}
    memory.undo(second.revision)
    assert contents(memory) == {"k": {"a": 1, "bob": 1}}
    assert memory.sessions()[1].undone_by == first.revision


def steps(act: Callable[[], Any]) -> int:
    """How often Python calls or resumes anything while this is done."""
    found = 0

    def count(*_: object) -> None:
        nonlocal found
        found += 1

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return found


def test_a_long_chain_of_undos_costs_no_more_than_its_square(tmp_path, clock) -> None:
    """Steps are counted, not seconds: twice as long a chain is four times as many at most."""
    memory = Memory.open(tmp_path, agent="ann", namespace="n", clock=clock, durability="fast")
    revision = memory.store("k", 1).revision
    counted = []
    for _ in range(2):
        for _ in range(50):
            revision = memory.undo(revision).revision
        counted.append(steps(lambda: memory.undo(memory.snapshot, dry_run=True)))
    assert (counted[1] < 4 * counted[0], memory.list()) == (True, ["k"])


def test_what_somebody_undid_apart_stays_undone(memory, run) -> None:
    """Two undos took the first commit; when the one that took both is undone, only the other commit comes back."""
    memory.settings.add_rule("**", "total")
    memory.store("k", 1)
    first = run.store("k", 3).revision
    run.store("k", 13)
    both = memory.undo("run")
    back = memory.undo(both.revision)
    apart = memory.undo(first)
    memory.undo(back.revision)
    assert memory.retrieve("k") == 1
    memory.undo(both.revision)
    assert memory.retrieve("k") == 11
    memory.undo(apart.revision)
    assert memory.retrieve("k") == 13


def test_an_undo_that_was_overtaken_by_another_changes_nothing_when_it_is_undone(memory, run, bob) -> None:
    """What it brought back is undone again since: taking it back once more would count it twice."""
    memory.settings.add_rule("**", "total")
    memory.store("k", 1), run.store("k", 3)
    undo = memory.undo("run")
    back = memory.undo(undo.revision)
    again = memory.undo("run")
    bob.store("k", 11)
    told = memory.undo(back.revision)
    assert (memory.retrieve("k"), told.changes, told.versions) == (11, (), 0)
    assert told.already == (again.revision,)


def test_a_part_that_is_undone_is_not_the_session(memory, run) -> None:
    """`sessions` speaks of whole ones."""
    run.store("a", 1), run.store("b", 1)
    memory.undo("run", keys="a")
    assert memory.sessions()[0].undone_by is None
    undo = memory.undo("run")
    assert memory.sessions()[0].undone_by == undo.revision


def test_a_session_that_wrote_more_after_its_undo_is_not_undone(memory, run) -> None:
    """Its own account is no work, nor is an undo of itself; all else stands until it is taken back as well."""
    run.store("a", 1)
    first = run.undo("run")
    run.store("session/run/phase", "done", namespace="coordination")
    assert memory.sessions()[0].undone_by == first.revision
    run.store("b", 2)
    assert memory.sessions()[0].undone_by is None
    second = memory.undo("run")
    assert memory.sessions()[0].undone_by == second.revision


def test_a_session_of_which_a_part_was_brought_back_is_not_undone(memory, run) -> None:
    """By an undo of the undo that is narrowed to one key."""
    run.store("a", 1), run.store("b", 1)
    first = memory.undo("run")
    part = memory.undo(first.revision, keys="a")
    assert memory.sessions()[0].undone_by is None
    memory.undo(part.revision)
    assert memory.sessions()[0].undone_by == first.revision
    run.store("c", 1)
    last = memory.undo("run")
    assert memory.sessions()[0].undone_by == last.revision
    memory.undo(first.revision)
    assert (memory.list(), memory.sessions()[0].undone_by) == (["a", "b"], None)


def test_of_keys_that_the_run_never_made_nothing_is_undone_already(memory, run, bob) -> None:
    """`already` is about the keys that are wanted."""
    run.store("p/x", 1), run.store("p/y", 1), bob.store("zzz/k", 1)
    part = memory.undo("run", keys="p/x")
    assert memory.undo("run", keys="p/x").already == (part.revision,)
    assert memory.undo("run", keys="p/y", dry_run=True).already == ()
    assert memory.undo("run", keys="zzz/**").already == memory.undo("run", namespace="nope").already == ()
    assert memory.undo(part.revision, keys="p/y").already == ()
    memory.undo("other")
    assert memory.undo("run", keys="zzz/**").already == ()


def test_what_a_session_writes_after_it_was_undone_is_undone_by_the_next_undo(memory, run) -> None:
    """Only that: the rest is gone already."""
    memory.settings.add_rule("**", "total")
    memory.store("k", 1), run.store("k", 3)
    memory.undo("run")
    run.store("k", 8)
    assert memory.undo("run").versions == 1
    assert memory.retrieve("k") == 1


def test_a_key_that_an_undo_never_changed_makes_no_commit(memory, run, bob) -> None:
    """What the undo in the range took is of another key; what is of this key is gone already."""
    start = run.store("a", 1).revision
    run.store("a", 2), bob.store("b", 1)
    end = memory.undo("run").revision
    memory.undo("other")
    assert memory.undo(f"{start}..{end}", keys="b").revision is None


def test_a_session_that_undid_itself_is_whole_again_or_not(memory, run, bob) -> None:
    """An undo under the session is one of its commits, and cancels what it undid: nobody is in its way."""
    memory.store("k", 1), run.store("k", 2), run.store("j", 1)
    own = run.undo("run", keys="k")
    bob.store("k", 7)
    told = memory.undo("run")
    assert (contents(memory), told.conflicts) == ({"k": 7}, ())
    assert memory.undo(own.revision).versions == 0


def test_an_undo_is_known_on_every_clone_and_after_the_index_is_gone(memory, run, tmp_path, clock) -> None:
    """It lies in the commits alone."""
    memory.settings.add_rule("**", "total")
    memory.store("k", 1), run.store("k", 3)
    undo = memory.undo("run")
    copy = Memory.clone(memory.path, tmp_path / "copy", clock=clock, namespace="n")
    assert copy.undo("run").already == (undo.revision,)
    copy.undo(undo.revision)
    assert copy.retrieve("k") == 3
    memory.close()
    for file in (memory.path / "derived").iterdir():
        file.unlink()
    assert memory.undo("run").versions == 0


@pytest.mark.parametrize("keys", ['"k"', "k", "", "7", '"["', "[" * 5000], ids=str.__len__)
def test_trailers_that_gitmem_never_wrote_do_no_harm(memory, run, keys) -> None:
    """Anybody can push a commit: what it says it undoes is believed, if it can be understood."""
    run.store("k", 2)
    text = f"by hand\n\nUndoes: run\nUndo-Keys: {keys}\nUndoes: run\n"
    commit_files(memory.vault.repository.git_dir, {"n/x.json": b"1\n"}, message=text)
    assert memory.undo("run").versions == (0 if keys == '"k"' else 1)


@pytest.mark.parametrize("name", ["f" * 40, f"{'e' * 40}..{'f' * 40}", "nobody", "\\u0000"], ids=str.__len__)
def test_an_undo_of_what_is_not_there_means_nothing(memory, run, name) -> None:
    """A commit that a clone does not have, say."""
    run.store("k", 2)
    commit_files(memory.vault.repository.git_dir, {"n/x.json": b"1\n"}, message=f"by hand\n\nUndoes: {name}\n")
    assert memory.sessions()[0].undone_by is None
    assert memory.undo("run").versions == 1
    assert memory.sessions()[0].undone_by == memory.snapshot


# --- what is left alone


def test_the_sessions_own_keys_stay(memory, run) -> None:
    """They are the account of what happened; those of other sessions are like any key."""
    run.store("session/run/phase", "x", namespace="coordination")
    run.store("session/running/phase", "x", namespace="coordination")
    run.store("session/run/phase", "x")
    memory.undo("run")
    assert (memory.list(), memory.list(namespace="coordination")) == ([], ["session/run/phase"])
    with pytest.raises(Unknown):
        memory.undo("nobody")
    assert memory.undo("run", keys="session/run/**").versions == 0


def test_what_the_run_set_in_gitmem_toml_stays(memory, run) -> None:
    """Settings are no keys: `gitmem rules` and `config` change them."""
    run.settings.add_rule("**", "total")
    run.store("k", 1)
    memory.undo("run")
    assert len(memory.settings.rules) == 1


# --- what the commit says


def test_the_commit_says_what_it_undoes_and_who_did_it(memory, run, bob) -> None:
    """For people, plain git and other clones."""
    run.store("k", 1)
    bob.undo("run")
    assert message(memory) == "undo run\n\nAgent: bob\nSession: other\nUndoes: run\n\n"
    run.store("k", 1)
    told = bob.undo("HEAD", message="that was wrong")
    assert message(memory) == f"that was wrong\n\nAgent: bob\nSession: other\nUndoes: {told.run}\n\n"
    assert json.loads(json.dumps(told.to_json()))["revision"] == memory.snapshot


def test_several_undos_at_once_take_it_back_once(memory, run) -> None:
    """init: a counter of 3 that the run made 5; next: four undo it, four count; invariant: 3 and what they counted."""
    memory.settings.add_rule("**", "total")
    memory.store("k", 3), run.store("k", 5)

    def count(agent: Memory) -> None:
        for _ in range(5):
            agent.update("k", lambda value: value + 1)

    each = [memory.bind(agent=f"agent-{number}") for number in range(4)]
    threads = [threading.Thread(target=one.undo, args=("run",)) for one in each]
    threads += [threading.Thread(target=count, args=(one,)) for one in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.retrieve("k") == 23
    assert git(memory, "log", "--format=%s").count("undo run") == 1


def meanwhile(memory: Memory, act: Callable[[], object]) -> None:
    """Let something happen once, after the next write is decided and before it has the lock."""
    take, moved = memory.vault.repository.lock, []

    def lock() -> Any:
        if not moved:
            moved.append(True)
            act()
        return take()

    memory.vault.repository.lock = lock


def test_whatever_is_written_while_it_is_decided_it_is_decided_on_the_newest(memory, run, bob) -> None:
    """The decision is made beside the lock, and again under it if somebody was quicker."""
    memory.store("k", {"a": 1}), run.store("k", {"a": 2})
    meanwhile(memory, lambda: bob.patch("k", {"b": 1}))
    memory.undo("run")
    assert memory.retrieve("k") == {"a": 1, "b": 1}


def test_what_the_run_writes_meanwhile_is_of_the_run(memory, run) -> None:
    """A session is all its commits up to the moment at which its undo is published."""
    memory.store("k", {"a": 1}), run.store("k", {"a": 2})
    meanwhile(memory, lambda: run.patch("k", {"b": 1}))
    assert memory.undo("run").versions == 2
    assert memory.retrieve("k") == {"a": 1}


def test_what_expires_meanwhile_is_not_brought_back(memory, run, clock) -> None:
    """The instant that counts is that of publishing."""
    memory.store("k", 1, ttl=30), run.store("k", 2)
    meanwhile(memory, lambda: clock.advance(60))
    memory.undo("run")
    assert memory.history("k")[0].operation == "deleted"


def test_many_keys_in_wide_directories_come_back(memory, run) -> None:
    """In one commit and one pack, whatever shape the directories have."""
    with memory.transaction("begin") as tx:
        for number in range(1000):
            tx.store(f"k{number}", number)
    tree = git(memory, "rev-parse", "main^{tree}")
    with run.transaction("all") as tx:
        for number in range(1000):
            tx.delete(f"k{number}") if number % 2 else tx.store(f"k{number}", -number)
        for number in range(500):
            tx.store(f"new{number}", number)
    assert memory.undo("run").versions == 1499
    assert git(memory, "rev-parse", "main^{tree}") == tree
