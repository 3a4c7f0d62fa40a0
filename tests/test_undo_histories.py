"""Undo after any history, held against plain models: of what stands, of values without the run, of the rule itself."""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitmem import ABSENT, ConflictError, Memory
from gitmem.codec import equal
from gitmem.merge import merge
from tests.edits import edited, edits, values

COUNTERS = ("a", "b")
SESSIONS = ("s1", "s2", "s3")
places = itertools.count()


def fresh(folder) -> Memory:
    return Memory.open(folder / f"m{next(places)}", namespace="n", durability="fast")


def contents(memory: Memory) -> dict[str, Any]:
    return {key: memory.retrieve(key) for key in memory.list()}


# --- what stands: counters, which show at once what is taken back twice, or not at all


class Act(NamedTuple):
    """An addition, or an undo of a session, of one act, or of several in a row."""

    session: str | None
    key: str
    amount: int
    undoes: tuple[str, int, int] | None
    keys: str | None


targets = st.tuples(st.sampled_from(["session", "one", "one", "range"]), st.integers(0, 30), st.integers(0, 30))
additions = st.builds(
    Act,
    st.sampled_from(SESSIONS),
    st.sampled_from(COUNTERS),
    st.integers(-9, 9).filter(bool),
    st.none(),
    st.none(),
)
undos = st.builds(
    Act,
    st.sampled_from([None, *SESSIONS]),
    st.none(),
    st.just(0),
    targets,
    st.sampled_from([None, None, "a", "b", "{a,b}"]),
)
acts = st.lists(additions | undos, min_size=3, max_size=14)


class Done(NamedTuple):
    """A commit: what it added to which counter, or which (commit, counter)s it took back."""

    revision: str
    session: str | None
    key: str | None
    amount: int
    took: frozenset[tuple[int, str]]
    run: tuple[int, ...] = ()
    keys: str | None = None


class Counting:
    """The model: which of the commits stand for which counter, and so what the counters hold."""

    def __init__(self) -> None:
        self.done: list[Done] = []

    def stands(self, number: int, key: str, more: Done | None = None) -> bool:
        later = [*self.done[number + 1 :], *([more] if more else [])]
        return not any(
            (number, key) in undo.took and self._stands_itself(undo, key, more) for undo in later if undo.took
        )

    def _stands_itself(self, undo: Done, key: str, more: Done | None) -> bool:
        return undo is more or self.stands(self.done.index(undo), key, more)

    def holds(self, more: Done | None = None) -> dict[str, int]:
        return {
            key: sum(
                one.amount for at, one in enumerate(self.done) if one.key == key and self.stands(at, key, more)
            )
            for key in COUNTERS
        }

    def taken(self, run: list[int], keys: str | None) -> Done:
        """An undo of these commits: from the newest, whatever stands then."""
        undo = Done("", None, None, 0, frozenset(), tuple(run), keys)
        for number in sorted(run, reverse=True):
            for key in COUNTERS:
                if (keys is None or key in keys) and self.stands(number, key, undo):
                    undo = undo._replace(took=undo.took | {(number, key)})
        return undo

    def counts(self, undo: Done) -> bool:
        """Whether an undo took anything of a counter that any of its commits, or of what they undid, changed."""
        return any(
            self.done[number].key == key
            or ((self.done[number].keys is None or key in self.done[number].keys) and key in self.reach(number))
            for number, key in undo.took
        )

    def reach(self, number: int) -> set[str | None]:
        one = self.done[number]
        return {one.key}.union(*(self.reach(below) for below in one.run))


def named(model: Counting, undoes: tuple[str, int, int]) -> tuple[str, list[int]]:
    kind, first, second = undoes
    commits = range(len(model.done))
    low, high = sorted((first % len(commits), second % len(commits)))
    if kind == "session":
        name = SESSIONS[first % 3]
        return name, [number for number in commits if model.done[number].session == name]
    if kind == "one":
        return model.done[low].revision, [low]
    return f"{model.done[low].revision}..{model.done[high].revision}", list(range(low + 1, high + 1))


@settings(max_examples=80)
@given(acts)
def test_whatever_is_undone_and_undone_again_a_counter_counts_what_stands(tmp_path_factory, done) -> None:
    """A counter that adds up shows each version that was taken back twice, or brought back and not counted."""
    memory = fresh(tmp_path_factory.mktemp("counts"))
    memory.settings.add_rule("*", "total")
    with memory.transaction("begin") as tx:
        tx.store("a", 0), tx.store("b", 0)
    model = Counting()
    for act in done:
        bound = memory.bind(session=act.session)
        if act.undoes is None:
            entry = bound.update(act.key, lambda value, amount=act.amount: value + amount)
            model.done.append(Done(entry.revision, act.session, act.key, act.amount, frozenset()))
            continue
        if not model.done:
            continue
        name, run = named(model, act.undoes)
        if not run and ".." not in name:
            continue
        undo = model.taken(run, act.keys)
        after = model.holds(undo)
        told = bound.undo(name, keys=act.keys)
        assert contents(memory) == after
        assert (told.revision is not None) == model.counts(undo)
        assert told.conflicts == ()
        if told.revision is not None:
            model.done.append(undo._replace(revision=told.revision, session=act.session))
    assert contents(memory) == model.holds()


# --- the rule itself: one key, any values


class Write(NamedTuple):
    """A session stores what it makes of the value, or deletes it."""

    session: str
    changes: list[Any]
    deletes: bool


writes = st.lists(
    st.builds(Write, st.sampled_from(SESSIONS[:2]), edits(values, most=2), st.sampled_from([False] * 5 + [True])),
    min_size=1,
    max_size=7,
)


class Versions:
    """The versions of one key, as they were written."""

    def __init__(self) -> None:
        self.made: list[tuple[str, Any, Any]] = []  # session, before, after

    def write(self, session: str, before: Any, after: Any) -> None:
        if not same(before, after):
            self.made.append((session, before, after))

    def without(self, session: str, now: Any) -> tuple[Any, int]:
        """The value without a session's versions, as the issue of it says, and the number of conflicts."""
        conflicts = 0
        for _, before, after in reversed([one for one in self.made if one[0] == session]):
            merged = merge(after, now, before, hold=lambda conflict: conflict.ours)
            now, conflicts = merged.value, conflicts + len(merged.conflicts)
        return now, conflicts


def same(one: Any, other: Any) -> bool:
    return one is other if ABSENT in (one, other) else equal(one, other)


@settings(max_examples=100)
@given(values, writes)
def test_a_version_is_merged_out_of_what_stands_now(tmp_path_factory, first, done) -> None:
    """Newest first, merge(base = the version, ours = the result so far, theirs = the value before it)."""
    memory = fresh(tmp_path_factory.mktemp("rule"))
    memory.store("k", first), memory.store("beside", 1)
    versions, now = Versions(), first
    for write in done:
        bound, before = memory.bind(session=write.session), now
        if write.deletes and now is not ABSENT:
            bound.delete("k")
            now = ABSENT
        elif not write.deletes:
            now = edited(deepcopy([] if now is ABSENT else now), write.changes)
            bound.store("k", now)
        versions.write(write.session, before, now)
    if not any(one[0] == "s1" for one in versions.made):
        return
    wanted, conflicts = versions.without("s1", now)
    told = memory.undo("s1", on_conflict="keep", dry_run=True)
    if told.conflicts:
        assert conflicts
        with pytest.raises(ConflictError):
            memory.undo("s1")
        assert same(memory.retrieve("k", ABSENT), now)
    told = memory.undo("s1", on_conflict="keep")
    assert conflicts or same(memory.retrieve("k", ABSENT), wanted)
    if all(one[0] == "s1" for one in versions.made):
        assert same(memory.retrieve("k", ABSENT), versions.made[0][1])
    if told.revision is not None:
        assert memory.undo("s1").revision is None, "what is undone is not undone again"
        memory.undo(told.revision)
    assert same(memory.retrieve("k", ABSENT), now), "undoing the undo brings it back"
    assert len(memory.history("beside")) == 1


# --- others' work: members, elements and counts of several sessions, on two branches that merge


class Deed(NamedTuple):
    """What a session adds to a document on a branch: a member, an element or a count; or the branches merge."""

    session: str
    branch: int
    key: str
    kind: str


deeds = st.lists(
    st.builds(
        Deed,
        st.sampled_from(SESSIONS),
        st.integers(0, 1),
        st.sampled_from(COUNTERS),
        st.sampled_from(["member", "element", "count", "merge"]),
    ),
    min_size=2,
    max_size=10,
)


def added(value: Any, deed: Deed, number: int) -> Any:
    value = deepcopy(value)
    if deed.kind == "member":
        value["members"][f"{deed.session}-{number}"] = number
    elif deed.kind == "element":
        value["elements"].append(f"{deed.session}-{number}")
    else:
        value["count"] += number + 1
    return value


EMPTY = {"members": {}, "elements": [], "count": 0}


@settings(max_examples=60)
@given(deeds, st.sampled_from(SESSIONS), st.booleans())
def test_without_a_session_the_documents_are_what_the_others_made_of_them(tmp_path_factory, done, gone, late) -> None:
    """As if the session had never been, wherever it wrote and however often the branches met."""
    main = fresh(tmp_path_factory.mktemp("others"))
    main.settings.add_rule("*", "total", at="/count")
    with main.transaction("begin") as tx:
        tx.store("a", EMPTY), tx.store("b", EMPTY)
    branches = [main, main.branch("side")]
    wanted = {"a": deepcopy(EMPTY), "b": deepcopy(EMPTY)}
    for number, deed in enumerate(done):
        if deed.kind == "merge":
            branches[deed.branch].merge(branches[1 - deed.branch].snapshot)
            continue
        bound = branches[deed.branch].bind(session=deed.session)
        bound.update(deed.key, lambda value, deed=deed, number=number: added(value, deed, number))
        if deed.session != gone:
            wanted[deed.key] = added(wanted[deed.key], deed, number)
    main.merge("side")
    if not any(facts.session == gone for facts in main.sessions()):
        return
    if late:
        main.bind(session="late").update("a", lambda value: {**value, "late": True})
        wanted["a"]["late"] = True
    main.undo(gone)
    found = contents(main)
    for document in (*found.values(), *wanted.values()):
        document["elements"].sort()
    assert found == wanted
