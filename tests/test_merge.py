"""The laws of the merge, over random values and over values that were edited as agents edit."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gitmem import codec, pointers
from gitmem.merge import ABSENT, RULES, Conflict, Merged, Rule, merge
from tests.edits import Edit, edited, edits, rows, scalars, sides, values

FIXTURES = Path(__file__).parent.parent / "fixtures" / "merge"
CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(FIXTURES.glob("*.json"))
    for case in json.loads(path.read_text("utf-8"))
]

maybe = st.just(ABSENT) | values
triples = st.tuples(maybe, maybe, maybe) | sides()
patterns = st.lists(st.sampled_from(["a", "b", "id", "~0~1", "*", "0", "1"]), max_size=3)
places = patterns.map(lambda segments: "".join(f"/{segment}" for segment in segments))
rules = st.lists(st.builds(Rule, places, st.sampled_from(RULES)), max_size=3)
TIMES = st.sampled_from([None, (1, 2), (2, 1), (1, 1)])

NOWHERE = Rule("/no/such/member/anywhere/in/any/of/these/values", lambda conflict: conflict)
EVERYWHERE = [Rule("/*" * depth, lambda conflict: conflict) for depth in range(8)]


def mirrored(conflicts: tuple[Conflict, ...]) -> list[Any]:
    return [(one.pointer, one.base, one.theirs, one.ours) for one in conflicts]


def loosely(value: Any) -> Any:
    """The value with the order of its lists forgotten, as text that tells 1, 1.0 and true apart."""
    if isinstance(value, dict):
        return {name: loosely(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return sorted((loosely(inner) for inner in value), key=repr)
    return repr(value)


# --- the cases


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_merged_as_it_says(case: Any) -> None:
    """Another implementation must give these values and conflicts, whichever side is called ours."""
    before = copy.deepcopy(case)
    three = [case.get(side, ABSENT) for side in ("base", "ours", "theirs")]
    named = [Rule(row["at"], row["rule"]) for row in case.get("rules", [])]
    times = case.get("times")
    wanted = [
        Conflict(row["pointer"], *(row.get(side, ABSENT) for side in ("base", "ours", "theirs")))
        for row in case["conflicts"]
    ]
    found = merge(*three, named, times and tuple(times))
    assert codec.equal(found.value, case.get("value", ABSENT))
    assert codec.equal(found.conflicts, wanted)
    swap = {"ours": "theirs", "theirs": "ours"}
    crossed = [rule._replace(rule=swap.get(str(rule.rule), rule.rule)) for rule in named]
    back = merge(three[0], three[2], three[1], crossed, times and tuple(reversed(times)))
    assert codec.equal(back.value, found.value)
    assert codec.equal(mirrored(back.conflicts), list(map(tuple, wanted)))
    assert codec.equal(case, before)


def test_the_cases_are_many_and_have_names_of_their_own() -> None:
    """A second implementation runs these alone."""
    names = [case.id for case in CASES]
    assert len(names) >= 60
    assert len(names) == len({*names})


# --- laws


@given(maybe, maybe, rules)
def test_what_one_side_alone_changed_is_taken(base: Any, side: Any, named: list[Rule]) -> None:
    """No rule is asked: a change of one side is never a matter of taste."""
    for asked in (named, [NOWHERE], EVERYWHERE):
        assert merge(base, side, base, asked) == Merged(side, ())
        assert merge(base, base, side, asked) == Merged(side, ())


@given(triples, rules)
def test_the_same_change_on_both_sides_is_made_once(triple: Any, named: list[Rule]) -> None:
    """By any rule but `total`, and also where the way down to a rule forbids the short cut."""
    base, side, _ = triple
    asked = [rule for rule in named if rule.rule != "total"]
    for more in (asked, [NOWHERE], [*asked, NOWHERE]):
        found = merge(base, side, copy.deepcopy(side), more)
        assert found.conflicts == ()
        assert codec.equal(found.value, side)


@given(triples, rules, TIMES)
def test_swapping_the_sides_mirrors_the_conflicts_and_gives_the_same_value(
    triple: Any, named: list[Rule], times: tuple[int, int] | None
) -> None:
    """Two machines that merge each other's work must arrive at one value."""
    base, ours, theirs = triple
    found = merge(base, ours, theirs, named, times)
    back = merge(base, theirs, ours, named, times and (times[1], times[0]))
    assert codec.equal(back.value, found.value)
    assert codec.equal(mirrored(back.conflicts), list(map(tuple, found.conflicts)))


@given(triples)
def test_a_rule_that_names_no_place_changes_nothing(triple: Any) -> None:
    """Rules also decide which short cuts are taken; the result must not show it."""
    plain = merge(*triple)
    assert codec.equal(merge(*triple, [NOWHERE]), plain)


@given(triples)
def test_the_merge_changes_nothing_that_it_was_given(triple: Any) -> None:
    """The base lies in a cache, one side is the caller's."""
    before = copy.deepcopy(triple)
    merge(*triple, [Rule("/*", "union"), Rule("/*/*", "total")])
    assert codec.equal(triple, before)


@given(triples)
def test_the_result_is_a_legal_value(triple: Any) -> None:
    """What was merged is stored next."""
    found = merge(*triple)
    if found.value is not ABSENT:
        codec.encode(found.value)


@given(triples, st.lists(st.booleans(), min_size=20, max_size=20))
def test_a_conflicts_pointer_leads_to_what_is_held(triple: Any, held: list[bool]) -> None:
    """A person resolves a conflict there; a place where nothing is held is where something would stand."""
    kept: list[Any] = []

    def hold(conflict: Conflict) -> Any:
        kept.append(["held"] if held[len(kept) % 20] else ABSENT)
        return kept[-1]

    found = merge(*triple, hold=hold)
    assert len(kept) == len(found.conflicts)
    for conflict, mine in zip(found.conflicts, kept, strict=True):
        if mine is not ABSENT:
            assert pointers.resolve(found.value, conflict.pointer) is mine
        elif conflict.pointer:
            *way, last = pointers.parse(conflict.pointer)
            holder: Any = pointers.resolve(found.value, pointers.format(tuple(way)))
            assert last not in holder if isinstance(holder, dict) else int(last) <= len(holder)
        else:
            assert found.value is ABSENT


@given(triples)
def test_conflicts_come_in_the_order_of_the_value(triple: Any) -> None:
    """Members by code point, elements by position, as the canonical file has them."""
    found = merge(*triple)

    def order(pointer: str) -> list[Any]:
        way: list[Any] = []
        inner = found.value
        for token in pointers.parse(pointer):
            way.append(int(token) if isinstance(inner, list) else token)
            try:
                inner = pointers.step(inner, token)
            except LookupError:
                break
        return way

    ways = [order(conflict.pointer) for conflict in found.conflicts]
    assert ways == sorted(ways)


@given(triples)
@example(({"a": {"b": 1}}, {"a": 2}, {}))
def test_without_hold_the_base_stands_at_a_conflict(triple: Any) -> None:
    """And nothing where the base has nothing: never a marker, never a silent winner."""
    plain = merge(*triple)
    assert codec.equal(merge(*triple, hold=lambda conflict: conflict.base), plain)
    for conflict in plain.conflicts:
        assert not codec.equal(conflict.ours, conflict.base)
        assert not codec.equal(conflict.theirs, conflict.base)
        assert not codec.equal(conflict.ours, conflict.theirs)
        if conflict.base is not ABSENT:
            assert codec.equal(pointers.resolve(plain.value, conflict.pointer), conflict.base)


# --- nothing is lost


class Marks:
    """Numbers that are given out once."""

    def __init__(self, start: int) -> None:
        self.next = start

    def all_over(self, value: Any) -> Any:
        """The value with a mark of its own for each scalar (`id` too) and for each empty container."""
        if isinstance(value, dict) and value:
            return {name: self.all_over(inner) for name, inner in value.items()}
        if isinstance(value, list) and value:
            return [self.all_over(inner) for inner in value]
        self.next += 1
        return self.next

    def on(self, changes: list[Edit]) -> list[Edit]:
        return [change._replace(value=self.all_over(change.value)) for change in changes]


def marks_in(value: Any) -> set[int]:
    if isinstance(value, dict | list | tuple):
        return {mark for inner in (value.values() if isinstance(value, dict) else value) for mark in marks_in(inner)}
    return {value} if isinstance(value, int) else set()


def marked_sides(shape: Any, *made: list[Edit]) -> Any:
    """A base in which each scalar is another one, and sides whose edits bring others again."""
    base = Marks(0).all_over(shape)
    return (base, *(edited(base, Marks(1000 * n).on(changes)) for n, changes in enumerate(made, 1)))


@given(values, edits(values), edits(values))
def test_what_one_side_brought_is_there(shape: Any, first: list[Edit], second: list[Edit]) -> None:
    """In the value, or in that side's part of a conflict; and so is what both kept. Nothing comes from nowhere."""
    base, ours, theirs = marked_sides(shape, first, second)
    found = merge(base, ours, theirs)
    here = marks_in(found.value)
    old, mine, other = map(marks_in, (base, ours, theirs))
    assert mine - old <= here | marks_in([one.ours for one in found.conflicts])
    assert other - old <= here | marks_in([one.theirs for one in found.conflicts])
    assert mine & other <= here | marks_in(found.conflicts)
    assert here <= old | mine | other


def assert_removed(base: Any, ours: Any, theirs: Any) -> None:
    found = merge(base, ours, theirs)
    contested = marks_in([one.base for one in found.conflicts])
    removed = marks_in(base) - (marks_in(ours) & marks_in(theirs))
    assert not removed & marks_in(found.value) - contested


flat = st.recursive(
    scalars | st.lists(scalars, max_size=6),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=4),
    max_leaves=12,
)
ASIDE = ("set", "remove", "insert", "append", "replace")


@given(flat, edits(scalars, ASIDE), edits(scalars, ASIDE))
def test_what_one_side_removed_stays_away(shape: Any, first: list[Edit], second: list[Edit]) -> None:
    """Unless it is in a conflict. Without moves and without containers in lists that have no identities:

    there, what was changed beyond recognition is a removal and an insertion, and the insertion is kept.
    """
    assert_removed(*marked_sides(shape, first, second))


new_rows = st.builds(lambda number, value: {"id": number, "a": value}, st.integers(3, 9), scalars)


def have_identities(side: list[Any]) -> bool:
    if not all(isinstance(one, dict) and not isinstance(one.get("id", []), dict | list) for one in side):
        return False
    return len({repr(one["id"]) for one in side}) == len(side)


@given(rows, edits(new_rows | scalars), edits(new_rows | scalars))
def test_an_element_with_an_identity_that_one_side_removed_stays_away(
    shape: Any, first: list[Edit], second: list[Edit]
) -> None:
    """With moves: a moved element is the same one. (One that got another `id` is another one.)"""
    base, ours, theirs = marked_sides(shape, first, second)
    for side in (ours, theirs):
        assume(isinstance(base, list) and have_identities(side))
        gone = [row for row in base if row["id"] not in {one["id"] for one in side}]
        assume(not marks_in(gone) & marks_in(side))
    assert_removed(base, ours, theirs)


@given(values.filter(lambda value: isinstance(value, dict | list) and value), st.integers(0, 50))
def test_removing_what_the_other_side_edited_is_a_conflict(shape: Any, where: int) -> None:
    """At every member and element there is, alone or among others that differ: never a silent loss."""
    base = Marks(0).all_over(shape)
    ways = [way for way in steps(base) if way and way[-1] != "id"]  # with another id it is another element
    assume(ways)
    way = ways[where % len(ways)]
    ours, theirs = copy.deepcopy(base), copy.deepcopy(base)
    del at(ours, way[:-1])[way[-1]]
    at(theirs, way[:-1])[way[-1]] = fresh = ["fresh"]
    conflict = Conflict(codec.place(way), at(base, way), ABSENT, fresh)
    assert codec.equal(merge(base, ours, theirs), (base, (conflict,)))
    assert codec.equal(merge(base, theirs, ours), (base, (conflict._replace(ours=fresh, theirs=ABSENT),)))


def steps(value: Any, way: tuple[Any, ...] = ()) -> Any:
    """The way to each part of the value."""
    yield way
    if isinstance(value, dict | list):
        for step in value if isinstance(value, dict) else range(len(value)):
            yield from steps(value[step], (*way, step))


def at(value: Any, way: tuple[Any, ...]) -> Any:
    for step in way:
        value = value[step]
    return value


# --- a merge of merges


def merged_in_every_order(base: Any, three: tuple[Any, ...], named: list[Rule] | None = None) -> list[Any]:
    """What the three groupings of three sides give; none if there was a conflict on the way."""
    results = []
    for one, other, last in itertools.permutations(three):
        first = merge(base, one, other, named or [])
        second = merge(base, first.value, last, named or [])
        assume(not first.conflicts and not second.conflicts)
        results.append(second.value)
    return results


def all_alike(results: list[Any]) -> bool:
    return len({repr(loosely(result)) for result in results}) == 1


objects = st.recursive(scalars, lambda inner: st.dictionaries(st.sampled_from("ab/"), inner, max_size=4), max_leaves=8)
several = st.tuples(*[edits(objects)] * 3)


@given(objects, several)
def test_a_merge_of_merges_is_one_merge_of_objects(base: Any, made: tuple[list[Edit], ...]) -> None:
    """Whoever pulls first: without conflicts there is one result. Objects and scalars without restriction."""
    assert all_alike(merged_in_every_order(base, tuple(edited(base, one) for one in made)))


@given(st.lists(scalars, max_size=5), st.tuples(*[edits(scalars, ("insert", "append"))] * 3))
def test_a_merge_of_merges_is_one_merge_of_insertions(base: Any, made: tuple[list[Edit], ...]) -> None:
    """Any insertions into any list, the same ones by several sides too; up to their order at one place."""
    assert all_alike(merged_in_every_order(base, tuple(edited(base, one) for one in made)))


@given(st.lists(scalars, max_size=6), st.tuples(*[edits(scalars, ASIDE)] * 3))
def test_a_merge_of_merges_is_one_merge_of_lists(base: Any, made: tuple[list[Edit], ...]) -> None:
    """Here each element and each insertion has a mark of its own.

    Which of two equal elements was removed cannot be known, and an insertion beside a removal may be an edit:
    where two sides make the same one, what the third removed decides which of the two it is.
    """
    base, *three = marked_sides(base, *made)
    assume(isinstance(base, list))
    results = merged_in_every_order(base, tuple(three))
    assert all_alike(results)
    assert len({tuple(one for one in result if one in base) for result in results}) == 1


@given(rows, st.tuples(*[edits(new_rows | scalars)] * 3))
def test_a_merge_of_merges_is_one_merge_of_identities(base: Any, made: tuple[list[Edit], ...]) -> None:
    """Removed, edited, moved, inserted, by several sides too; as long as each side has identities.

    The order is not compared: which one of two neighbours was moved past the other cannot be known.
    """
    three = tuple(edited(base, one) for one in made)
    assume(all(map(have_identities, three)))
    assert all_alike(merged_in_every_order(base, three))


@st.composite
def letters(draw: st.DrawFn) -> tuple[str, ...]:
    """A text of lines that differ, and three sides that removed, replaced or inserted lines that differ."""
    lines = draw(st.lists(st.sampled_from("abcdefghijkl"), unique=True, min_size=3))
    found = ["\n".join(lines)]
    for side in "xyz":
        mine = lines[:]
        for number, (kind, at) in enumerate(
            draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), max_size=3))
        ):
            place = at % (len(mine) or 1)
            mine[place : place + (kind > 0)] = [f"{side}{number}"][: 2 - kind]
        found.append("\n".join(mine))
    return tuple(found)


@given(letters())
def test_a_merge_of_merges_is_one_merge_of_lines(sides: tuple[str, ...]) -> None:
    """With lines that differ, for the same reason as above."""
    base, *three = sides
    assert all_alike(merged_in_every_order(base, tuple(three)))


numbers = st.dictionaries(st.sampled_from("ab"), st.integers(0, 9), max_size=2)


@given(numbers, st.tuples(numbers, numbers, numbers), st.sampled_from(["total", "largest", "smallest"]))
def test_a_merge_of_merges_is_one_merge_by_a_rule(base: Any, three: tuple[Any, ...], name: str) -> None:
    """Three machines that count must agree on the count, whoever merges first."""
    assert all_alike(merged_in_every_order(base, three, [Rule("/*", name)]))
