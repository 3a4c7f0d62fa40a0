"""What a merge could not settle: the records, who wins, expiries, contracts, values that no memory would take."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitmem import ABSENT, ConflictError, InvalidValueError, Memory
from gitmem.entries import format_time
from tests.conftest import Clock
from tests.foreign import EXECUTABLE, GITLINK, SYMLINK, commit_files, run_git
from tests.forks import Fork, fork

Begin = Callable[..., Fork]


@pytest.fixture
def begin(tmp_path: Path, clock: Clock) -> Begin:
    """`begin({key: value}, files)`: a memory with these, forked."""

    def begun(values: dict[str, Any], files: dict[str, bytes] | None = None) -> Fork:
        main = Memory.open(tmp_path, agent="main", durability="fast", clock=clock)
        with main.transaction() as tx:
            for key, value in values.items():
                tx.store(key, value)
        if files:
            commit_files(main.vault.repository.git_dir, files, time=int(clock.now.timestamp()))
        return fork(main, clock)

    return begun


def toml(*lines: str) -> bytes:
    return "\n".join(["format = 1", *lines, ""]).encode()


def contract(keys: str, schema: str) -> bytes:
    return toml("[[contract]]", f'keys = "{keys}"', f"schema = '{schema}'")


# --- the record


def test_a_record_says_who_when_what_and_its_id_follows_from_that(begin: Begin) -> None:
    """Every machine has to come to the same key and the same bytes: the design's formula, word for word."""
    world = begin({"k": {"a": 1, "b": 1}})
    world.store("k", {"a": 2, "b": 2}, {"a": 3, "b": 1})
    blobs = [run_git(world.git_dir, "rev-parse", f"{name}:default/k.json").strip() for name in ("main", "one", "two")]
    ann, bob = world.one.entry("k"), world.two.entry("k")
    (made,) = world.merge().conflicts
    named = json.dumps(["default", "k", "/a", blobs[0], *sorted(blobs[1:])], indent=2) + "\n"
    assert made.id == hashlib.sha256(named.encode()).hexdigest()[:16]
    assert world.one.retrieve(made.id, namespace="conflicts") == {
        "namespace": "default", "key": "k", "pointer": "/a", "base": 1,
        "sides": [
            {"value": 3, "revision": bob.revision, "agent": "bob", "time": format_time(bob.time)},
            {"value": 2, "revision": ann.revision, "agent": "ann", "time": format_time(ann.time)},
        ],
    }  # fmt: skip
    assert world.one.retrieve("k") == {"a": 3, "b": 2}
    assert world.one.conflicts() == [made]


def test_the_later_author_wins_then_the_larger_commit(begin: Begin) -> None:
    """Not who merges, nor when, nor which commit came last."""
    world = begin({"k": 0, "l": 0})
    world.two.store("k", "bob")
    world.clock.advance(10)
    world.one.store("k", "ann")
    world.two.store("l", "bob"), world.one.store("l", "ann")
    larger = max((world.one, world.two), key=lambda side: side.entry("l").revision)
    world.merge()
    assert (world.one.retrieve("k"), world.one.retrieve("l")) == ("ann", larger.agent)


def test_every_place_has_its_own_record(begin: Begin) -> None:
    """And what is not in conflict beside them is merged."""
    world = begin({"k": {"a": 1, "b": {"c": 1}, "l": [1, 2], "d": 1}})
    world.store("k", {"a": 2, "b": {"c": 2}, "l": [1, 2, 3], "d": 1}, {"a": 3, "b": {}, "l": [0, 1, 2], "d": 1, "e": 1})
    done = world.merge()
    assert [one.pointer for one in world.one.conflicts()] == ["/a", "/b/c"]
    assert len(done.conflicts) == 2
    assert world.one.retrieve("k") == {"a": 3, "b": {}, "l": [0, 1, 2, 3], "d": 1, "e": 1}
    (record,) = [one for one in done.conflicts if one.pointer == "/b/c"]
    assert (record.base, record.sides[0].value, record.sides[1].value) == (1, ABSENT, 2)


def test_elements_that_the_winner_removed_are_each_taken_back(begin: Begin) -> None:
    """Several edited elements removed at one place would stand at one pointer: none of them is lost."""
    base = [{"id": 1, "n": 0}, {"id": 2, "n": 0}, {"id": 3, "n": 0}, {"id": 4, "n": 0}]
    world = begin({"k": {"l": base, "x": 1}})
    edited = [{"id": 1, "n": 0}, {"id": 2, "n": 1}, {"id": 3, "n": 1}, {"id": 4, "n": 1}]
    world.store("k", {"l": edited, "x": 1}, {"l": [base[0], {"id": 5, "n": 0}], "x": 1})
    world.merge()
    assert world.one.retrieve("k")["l"] == [base[0], {"id": 5, "n": 0}]
    said = json.dumps([one.to_json() for one in world.one.conflicts()])
    assert all(f'{{"id": {number}, "n": 1}}' in said for number in (2, 3, 4))
    world.one.update("k", lambda value: value | {"x": 2})
    world.one.resolve("k", "other")
    assert world.one.conflicts() == []
    value = world.one.retrieve("k")
    assert value["x"] == 2
    assert sorted((one["id"], one["n"]) for one in value["l"]) == [(1, 0), (2, 1), (3, 1), (4, 1), (5, 0)]


def test_a_counter_that_both_raised_alike_is_raised_twice(begin: Begin) -> None:
    """The same bytes on both sides are the same change only where no `total` is asked."""
    world = begin({"k": 1, "l": 1}, {"gitmem.toml": toml("[[merge]]", 'keys = "k"', 'rule = "total"')})
    world.store("k", 2, 2)
    world.store("l", 2, 2)
    assert world.merge().conflicts == ()
    assert (world.one.retrieve("k"), world.one.retrieve("l")) == (3, 2)


def test_a_deletion_against_a_change_is_settled_by_time_and_told(begin: Begin) -> None:
    """Whoever wins, the other side's value is kept for a person."""
    world = begin({"k": 1, "l": 1})
    world.one.delete("k")
    world.two.store("l", 2)
    world.clock.advance(10)
    world.two.store("k", 2)
    world.one.delete("l")
    world.merge()
    assert world.one.retrieve("k") == 2
    assert world.one.list() == ["k"]
    kept, gone = world.one.conflicts()
    assert (kept.sides[0].value, kept.sides[1].value, kept.sides[1].agent) == (2, ABSENT, "ann")
    assert (gone.sides[0].value, gone.sides[1].value, gone.sides[1].agent) == (ABSENT, 2, "bob")
    world.one.resolve("l", "other")
    world.one.resolve("k", "other")
    assert (world.one.list(), world.one.retrieve("l")) == (["l"], 2)


# --- expiries


def test_what_is_renewed_is_not_deleted(begin: Begin) -> None:
    """Where the base has an expiry, the side that changed the value or the expiry wins without a conflict."""
    world = begin({})
    for key in ("changed", "renewed", "kept", "rest"):
        world.main.store(key, 0, ttl=100)
    for side in (world.one, world.two):
        side.merge("main")
    world.one.delete("changed", "renewed", "kept")
    world.two.store("changed", 1, ttl=100)
    world.two.store("renewed", 0, ttl=500)
    world.two.store("rest", 0)
    done = world.merge()
    assert done.conflicts == ()
    assert world.one.list() == ["changed", "renewed", "rest"]
    expires = {key: world.one.entry(key).expires for key in world.one.list()}
    assert expires["rest"] is None
    assert expires["renewed"] == world.clock.now + timedelta(seconds=500)
    assert not [path for path in world.paths() if "kept" in path]


@pytest.mark.parametrize(("ann", "bob", "expected"), [
    (50, 70, 70), (70, 50, 70), (100, 50, 50), (50, 100, 50), (None, 70, None), (70, None, None), (None, None, None),
])  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_of_two_expiries_the_later_one_holds(
    begin: Begin, ann: float | None, bob: float | None, expected: float | None, known: bool
) -> None:
    """Never is later than any; a key that both added has no base to have kept."""
    world = begin({})
    start = world.clock.now
    if known:
        world.main.store("k", 0, ttl=100)
        for side in (world.one, world.two):
            side.merge("main")
    elif 100 in (ann, bob):
        expected = 100
    world.one.store("k", 0, ttl=ann)
    world.two.store("k", 0, ttl=bob)
    assert world.merge().conflicts == ()
    expires = world.one.entry("k").expires
    assert (None if expires is None else (expires - start).total_seconds()) == expected


# --- contracts, and values that no memory would take

NUMBERS = '{"properties": {"a": {"type": "integer"}}, "not": {"required": ["a", "b"]}}'


def test_a_merged_value_that_breaks_a_contract_which_both_keep_is_a_conflict(begin: Begin) -> None:
    """At the root: the winner's whole value stands, the other's is kept."""
    world = begin({"k": {}}, {"gitmem.toml": contract("k", NUMBERS)})
    world.store("k", {"a": 1}, {"b": 1})
    world.merge()
    record = world.conflict()
    assert (record.pointer, record.problem, record.base) == ("", None, {})
    assert [one.value for one in record.sides] == [{"b": 1}, {"a": 1}]
    assert world.one.retrieve("k") == {"b": 1}
    world.one.resolve("k", "other")
    assert world.one.retrieve("k") == {"a": 1}


def test_each_contract_is_judged_for_itself(begin: Begin) -> None:
    """That a side broke another one already excuses nothing."""
    world = begin({"k": {}})
    another = b'[[contract]]\nkeys = "k"\nschema = \'{"required": ["z"]}\'\n'
    world.push(world.two, {"gitmem.toml": contract("k", NUMBERS) + another})
    world.one.store("k", {"a": 1})
    world.clock.advance(10)
    world.push(world.two, {"default/k.json": b'{"b": 1, "z": 1}\n'})
    world.merge()
    assert "" in [one.pointer for one in world.one.conflicts() if one.problem is None]
    assert world.one.retrieve("k") == {"b": 1, "z": 1}


def test_a_value_that_breaks_a_rule_is_taken_in_and_told_once(begin: Begin) -> None:
    """One bad value from plain git never stops a team; who resolved it is not asked again."""
    world = begin({"k": {}, "l": 1}, {"gitmem.toml": contract("k", NUMBERS)})
    world.one.store("l", 2)
    when = world.clock.now
    pushed = world.push(world.two, {
        "default/k.json": b'{"a": "x"}\n', "default/garbled.json": b"{", "default/e\u0301.json": b"1\n",
        "gitmemory/k.json": b"1\n",
    })  # fmt: skip
    world.one.store("l", 3)
    done = world.merge()
    found = {one.key if one.namespace == "default" else one.namespace: one for one in world.one.conflicts()}
    assert {key: one.problem for key, one in found.items()} == {
        "k": "contract", "garbled": "value", "e\u0301": "key", "gitmemory": "key"
    }  # fmt: skip
    assert {len(one.sides) for one in found.values()} == {1}
    for one in found.values():
        assert (one.sides[0].agent, one.sides[0].revision) == ("hand", pushed)
        assert one.sides[0].time == format_time(when)
    assert found["k"].sides[0].value == {"a": "x"}
    assert done.conflicts == tuple(sorted(found.values(), key=lambda one: one.id))
    assert world.one.retrieve("k") == {"a": "x"}
    for record in found.values():
        world.one.resolve(record.id, "winner")
    world.two.store("l", 4)
    assert world.merge().conflicts == ()
    world.two.store("m", 4), world.one.store("n", 1)
    assert world.merge().conflicts == ()
    assert world.one.conflicts() == []


def test_a_fast_forward_tells_of_bad_values_too(begin: Begin) -> None:
    """There is no merge to record them in, so a commit on top does."""
    world = begin({"k": 1})
    pushed = world.push(world.two, {"default/bad.json": b"{"})
    done = world.one.merge("two")
    assert (done.merged, [one.problem for one in done.conflicts]) == (True, ["value"])
    assert done.conflicts[0].sides[0].revision == pushed
    assert run_git(world.git_dir, "log", "-1", "--format=%an|%ae|%cn|%at|%ct|%P", "one").strip() == (
        f"gitmem|gitmem@gitmem|gitmem|{int(world.clock.now.timestamp()) - 10}|"
        f"{int(world.clock.now.timestamp()) - 10}|{pushed}"
    )
    assert world.two.merge("one").revision == done.revision
    assert world.one.merge("two").conflicts == ()


@pytest.mark.parametrize("take", ["winner", "value"])
def test_a_value_that_is_none_can_be_mended_by_resolving(begin: Begin, take: str) -> None:
    """The hint says: keep it, or give the value that it should have."""
    world = begin({"k": 1})
    world.push(world.two, {"default/bad.json": b"{"})
    world.one.merge("two")
    record = world.conflict()
    with pytest.raises(InvalidValueError):
        world.one.resolve(record.id, "other")
    if take == "value":
        world.one.resolve("bad", value={"x": 1})
        assert world.one.retrieve("bad") == {"x": 1}
    else:
        world.one.resolve("bad", "winner")
    assert world.one.conflicts() == []


def test_a_file_that_is_no_value_on_one_side_loses_against_a_value(begin: Begin) -> None:
    """Whenever it was written; what no side can read is not stored as if it were a value."""
    world = begin({"k": 1})
    world.one.store("k", 2)
    world.push(world.two, {"default/k.json": b"{"})
    world.merge()
    assert world.one.retrieve("k") == 2
    record = world.conflict()
    assert record.sides[0].value == 2
    with pytest.raises((ConflictError, InvalidValueError)):
        world.one.resolve(record.id, "other")
    world.one.resolve(record.id, "base")
    assert world.one.retrieve("k") == 1


def test_the_same_change_of_both_sides_is_no_conflict_with_a_past_that_is_no_value(begin: Begin) -> None:
    """Not even where a rule wants to count it twice."""
    world = begin({}, {"gitmem.toml": toml("[[merge]]", 'keys = "**"', 'rule = "total"'), "default/k.json": b"{"})
    world.store("k", 5, 5)
    assert world.merge().conflicts == ()
    assert world.one.retrieve("k") == 5


@pytest.mark.parametrize("lower", [0, 1])
def test_what_was_read_before_makes_no_difference(begin: Begin, lower: int) -> None:
    """A value is larger than one side's limit: a machine that knows it already merges as one that does not."""
    world = begin({"k": [], "l": []})
    world.push(world.one, {"gitmem.toml": toml("max_value_bytes = 80")})
    world.store("k", ["ann"], ["bob" * 50])
    world.order(lower)
    assert world.two.retrieve("k") == ["bob" * 50]
    heads = world.one.snapshot, world.two.snapshot
    done = world.merge()
    told = {record.problem: record for record in world.one.conflicts()}
    assert told.keys() == {None, "value"}  # in the merged memory, it is none
    assert told[None].sides[0].agent == "bob"
    with Memory.open(world.main.path, create=False) as cold:
        assert cold.branch("again", heads[0]).merge(heads[1]).revision == done.revision


def test_a_past_value_that_is_too_large_by_now_is_none_for_every_machine(begin: Begin) -> None:
    """Both sides have lowered the limit since: who had read it before must not merge with it."""
    world = begin({"k": ["base" * 50]})
    for side in (world.one, world.two):
        assert side.retrieve("k") == ["base" * 50]
        world.push(side, {"gitmem.toml": toml("max_value_bytes = 80")})
    world.store("k", ["ann"], ["bob"])
    heads = world.one.snapshot, world.two.snapshot
    assert world.main.retrieve("k") == ["base" * 50]
    done = world.merge()
    with Memory.open(world.main.path, create=False) as cold:
        assert cold.branch("again", heads[0]).merge(heads[1]).revision == done.revision


# --- gitmem.toml, and files that are no keys


def test_gitmem_toml_is_merged_as_a_value(begin: Begin) -> None:
    """And the rules that both agreed on are those of this merge already."""
    world = begin({"k": {"n": 1, "m": 1}})
    world.one.settings.add_rule("k", "total", at="/n")
    world.two.settings.add_rule("k", "largest", at="/m")
    world.store("k", {"n": 2, "m": 5}, {"n": 4, "m": 3})
    assert world.merge().conflicts == ()
    assert world.one.retrieve("k") == {"n": 5, "m": 5}
    assert sorted(one.rule for one in world.one.settings.rules) == ["largest", "total"]


def test_a_conflict_in_gitmem_toml_is_told_and_kept(begin: Begin) -> None:
    """The later head wins; taking the other side is done by editing it."""
    world = begin({"k": 1})
    world.push(world.one, {"gitmem.toml": toml("max_value_bytes = 1000", "a = 1")})
    world.push(world.two, {"gitmem.toml": toml("max_value_bytes = 2000", "b = 1")})
    world.merge()
    record = world.conflict()
    assert (record.namespace, record.key, record.pointer) == (None, "gitmem.toml", "/max_value_bytes")
    assert [one.value for one in record.sides] == [2000, 1000]
    assert world.main.vault.policy(world.main.vault.head("one").root).document == {
        "format": 1, "max_value_bytes": 2000, "a": 1, "b": 1
    }  # fmt: skip
    with pytest.raises(ConflictError) as caught:
        world.one.resolve("gitmem.toml", "other")
    assert "winner" in caught.value.hint
    assert [one.operation for one in world.one.resolve("gitmem.toml", "winner")] == ["deleted"]
    assert world.one.conflicts() == []


@pytest.mark.parametrize(
    "scalar",
    ["2026-01-02", "07:32:00", "2026-01-02T07:32:00", "2026-01-02T07:32:00+01:00", "nan", "-inf", "0x1" + "0" * 600],
)
def test_what_json_lacks_is_merged_beside_other_settings(begin: Begin, scalar: str) -> None:
    """gitmem.toml is TOML, where a date is no text; what stands beside one must not get lost."""
    lines = ['looks = "\\u0000date 2026-01-02"', f"x = [{scalar}]", f"[t]\ny = {scalar}"]
    world = begin({"k": 1}, {"gitmem.toml": toml(f"gone = {scalar}", *lines)})
    world.push(world.one, {"gitmem.toml": toml(f"gone = {scalar}", "a = 1", *lines)})
    world.push(world.two, {"gitmem.toml": toml("b = [2026-03-04]", *lines)})
    assert world.merge().conflicts == ()
    merged = world.main.vault.policy(world.main.vault.head("one").root).document
    expected = tomllib.loads(toml("a = 1", "b = [2026-03-04]", *lines).decode())
    assert sorted(map(repr, merged.items())) == sorted(map(repr, expected.items()))  # nan is not equal to itself


def test_a_conflict_over_what_json_lacks_is_told_by_its_text(begin: Begin) -> None:
    """A record is JSON: a date in it would stop the merge, and every one after it."""
    world = begin({"k": 1}, {"gitmem.toml": toml("due = 2026-01-01", "rate = 1.5")})
    world.push(world.one, {"gitmem.toml": toml("due = '2026-01-02'", "rate = nan")})
    world.push(world.two, {"gitmem.toml": toml("due = 2026-01-02", "rate = 2.5")})
    world.merge()
    due, rate = world.one.conflicts()
    assert (due.pointer, due.base, [one.value for one in due.sides]) == ("/due", "2026-01-01", ["2026-01-02"] * 2)
    assert (rate.pointer, rate.base, [one.value for one in rate.sides]) == ("/rate", 1.5, [2.5, "nan"])
    document = world.main.vault.policy(world.main.vault.head("one").root).document
    assert document == {"format": 1, "due": date(2026, 1, 2), "rate": 2.5}


@pytest.mark.parametrize("deep", ["x = " + "[" * 150 + "]" * 150, "x" + ".x" * 5000 + " = 1"])
def test_a_gitmem_toml_too_deep_to_be_merged_is_taken_whole(begin: Begin, deep: str) -> None:
    """Whether it could be merged would depend on how deep the stack is, here and there."""
    world = begin({"k": 1})
    world.push(world.one, {"gitmem.toml": toml("a = 1", deep)})
    winner = world.push(world.two, {"gitmem.toml": toml("b = 1")})
    world.merge()
    assert world.conflict().pointer == ""
    shown = [run_git(world.git_dir, "show", f"{name}:gitmem.toml") for name in (winner, "one")]
    assert shown[0] == shown[1]


def test_a_past_gitmem_toml_that_nobody_can_read_stops_no_merge(begin: Begin) -> None:
    """It was pushed by hand and mended on both sides since: it is the merge base, not what holds now."""
    world = begin({"k": 1})
    broken = commit_files(world.git_dir, {"gitmem.toml": b"format = 1\nmax_value_bytes = \n"})
    for name, size in (("one", 1000), ("two", 1000)):
        run_git(world.git_dir, "update-ref", f"refs/heads/{name}", broken)
        commit_files(world.git_dir, {"gitmem.toml": toml(f"max_value_bytes = {size}", f'{name} = "x"')}, branch=name)
    world.store("k", 1, 2)
    world.merge()
    assert world.one.retrieve("k") == 2


FOREIGN = {
    "README.md": b"hello\n", "tools/run.sh": (EXECUTABLE, b"#!/bin/sh\n"), "latest": (SYMLINK, b"default/k.json"),
    "vendor/lib": (GITLINK, b"1" * 40), "default/notes.txt": b"n\n", "~gitmem/mine": b"m\n",
    "default/link.json": (SYMLINK, b"k.json"),
}  # fmt: skip


def test_foreign_files_of_both_sides_are_kept(begin: Begin) -> None:
    """Whatever git can hold; the two sides' are added, changed and removed apart from each other."""
    world = begin({"k": 1}, {"old.txt": b"1", "gone.txt": b"1", "both.txt": b"1"})
    names = list(FOREIGN)
    world.push(world.one, {name: FOREIGN[name] for name in names[::2]} | {"old.txt": b"2", "both.txt": b"2"})
    world.push(world.two, {name: FOREIGN[name] for name in names[1::2]} | {"gone.txt": None, "both.txt": b"2"})
    assert world.merge().conflicts == ()
    modes = run_git(world.git_dir, "ls-tree", "-r", "one").splitlines()
    found = {line.split("\t")[1]: line.split()[0] for line in modes}
    assert found == {
        "README.md": "100644", "tools/run.sh": EXECUTABLE, "latest": SYMLINK, "vendor/lib": GITLINK,
        "default/notes.txt": "100644", "~gitmem/mine": "100644", "default/link.json": SYMLINK, "old.txt": "100644",
        "both.txt": "100644", "gitmem.toml": "100644", "default/k.json": "100644",
    }  # fmt: skip
    assert run_git(world.git_dir, "show", "one:old.txt") == "2"


def test_foreign_files_that_both_changed_are_told(begin: Begin) -> None:
    """By their blobs; the later head's stands there."""
    world = begin({"k": 1}, {"README.md": b"1"})
    world.push(world.one, {"README.md": b"ann"})
    world.push(world.two, {"README.md": None})
    world.merge()
    record = world.conflict()
    assert (record.namespace, record.key, record.sides[0].value) == (None, "README.md", ABSENT)
    assert record.sides[1].value == {"blob": hashlib.sha1(b"blob 3\x00ann").hexdigest()}
    assert "README.md" not in world.paths()
    with pytest.raises(ConflictError):
        world.one.resolve("README.md", "other")
    world.one.resolve("README.md", "winner")
    assert world.one.conflicts() == []


PLACES: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    ({"docs": b"a file"}, {"docs/x.md": b"in a folder"}, {"docs", "docs/x.md"}),
    ({"docs": b"a file"}, {"docs/x.json": b"1\n"}, {"docs"}),
    ({"default/dir": b"a file"}, {"default/dir/k.json": b"1\n"}, {"default/dir"}),
    ({"default/a.json": (SYMLINK, b"k.json")}, {"default/a.json": b"1\n"}, {"default/a.json"}),
    ({"default/a.json/x": b"a file"}, {"default/a.json": b"1\n"}, {"default/a.json", "default/a.json/x"}),
    ({"conflicts": b"a file"}, {"default/bad.json": b"{"}, {"conflicts"}),
]


@pytest.mark.parametrize(("ann", "bob", "losers"), PLACES)
@pytest.mark.parametrize("lower", [0, 1])
def test_a_file_where_a_folder_or_a_key_has_to_be_is_told(
    begin: Begin, ann: dict[str, Any], bob: dict[str, Any], losers: set[str], lower: int
) -> None:
    """Both cannot stand there: a key goes before a file, nothing is lost silently, and the merge comes about."""
    world = begin({"k": 1})
    world.push(world.one, ann)
    world.push(world.two, bob)
    world.order(lower)
    world.merge()
    (record,) = [one for one in world.one.conflicts() if one.problem is None]
    assert record.namespace is None
    assert record.key in losers
    assert (record.base, record.sides[0].value, len(record.sides[1].value["blob"])) == (ABSENT, ABSENT, 40)
    assert {"k": 1}.items() <= {key: world.one.retrieve(key) for key in world.one.list() if key != "bad"}.items()
    assert {*ann, *bob} - losers <= world.paths().keys()
    assert len(losers & world.paths().keys()) <= 1


@pytest.mark.parametrize("lower", [0, 1])
def test_a_file_may_become_a_folder_and_a_key_a_link(begin: Begin, lower: int) -> None:
    """On one side alone that is a change like any other."""
    files = {"a": b"1", "b/x": b"1", "default/l.json": b"1\n", "default/m.txt": b"1"}
    world = begin({"k": 1, "n": 1}, files)
    world.push(world.one, {"a": None, "b": None, "default/l.json": None, "default/m.txt": None})
    world.push(world.one, {
        "a/x": b"1", "b": b"1", "default/l.json": (SYMLINK, b"k.json"), "default/m.txt/o.json": b"1\n",
    })  # fmt: skip
    world.two.store("n", 2)
    world.order(lower)
    assert world.merge().conflicts == ()
    assert {"a/x", "b", "default/l.json", "default/m.txt/o.json"} <= world.paths().keys()
    assert [key for key in world.one.list() if key not in {"salt", "pepper"}] == ["k", "m.txt/o", "n"]
