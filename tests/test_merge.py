"""The laws of the merge, over random values and over values that were edited as agents edit."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gitmem import codec, pointers
from gitmem.errors import InvalidValueError
from gitmem.merge import ABSENT, RULES, Conflict, Merged, Rule, is_rule, merge
from tests.edits import Edit, edited, edits, rows, scalars, sides, texts, values

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


# --- the order of the questions at a place


def test_an_absent_side_is_a_removal_and_an_absent_base_an_addition() -> None:
    """So whole keys are merged by the same function."""
    assert merge(1, ABSENT, 1) == Merged(ABSENT, ())
    assert merge(1, ABSENT, ABSENT) == Merged(ABSENT, ())
    assert merge(ABSENT, ABSENT, 1) == Merged(1, ())
    assert merge(ABSENT, {"a": 1}, {"b": 2}) == Merged({"a": 1, "b": 2}, ())
    assert merge(1, ABSENT, 2) == Merged(1, (Conflict("", 1, ABSENT, 2),))
    assert merge(ABSENT, 1, 2) == Merged(ABSENT, (Conflict("", ABSENT, 1, 2),))


def test_a_rule_is_asked_before_anything_inside_is_merged() -> None:
    """A rule for a whole member outranks one inside it, wherever it stands among the rules."""
    asked: list[str] = []

    def note(conflict: Conflict) -> Any:
        asked.append(conflict.pointer)
        return conflict

    two = [Rule("/a/b", note), Rule("/a", note)]
    found = merge({"a": {}}, {"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "d": 2}}, two)
    assert asked == ["/a"]
    assert found.value == {"a": {}}
    assert [conflict.pointer for conflict in found.conflicts] == ["/a"]


def test_the_first_rule_that_names_the_place_is_asked() -> None:
    """As in gitmem.toml: the special one first, then the general one."""
    found = merge({"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 3, "b": 3}, [Rule("/a", "smallest"), Rule("/*", "largest")])
    assert found == Merged({"a": 2, "b": 3}, ())


def test_a_rule_that_fails_does_not_pass_on_to_the_next_one() -> None:
    """First match wins; a second rule for one place would never be noticed as wrong."""
    assert merge(1, "a", 2, [Rule("", "largest"), Rule("", "ours")]).conflicts


@pytest.mark.parametrize("side", [{"x": 2}, {"x": [2]}, {"x": {"a": 2}}, {}])
def test_a_function_is_asked_where_both_sides_are_equal(side: Any) -> None:
    """A counter wants to hear of both; so does a function that counts."""
    asked: list[Conflict] = []

    def both(conflict: Conflict) -> Any:
        asked.append(conflict)
        return "settled"

    assert merge({"x": 1}, side, copy.deepcopy(side), [Rule("/x", both)]) == Merged({"x": "settled"}, ())
    assert asked == [Conflict("/x", 1, side.get("x", ABSENT), side.get("x", ABSENT))]


def test_a_function_may_remove_or_leave_unsettled() -> None:
    """ABSENT removes; any Conflict, its own or another, leaves the place as it is."""
    base, ours, theirs = [{"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 3, "b": 3}]

    def judge(conflict: Conflict) -> Any:
        return ABSENT if conflict.pointer == "/a" else conflict._replace(ours=None)

    assert merge(base, ours, theirs, [Rule("/*", judge)]) == Merged({"b": 1}, (Conflict("/b", 1, 2, 3),))


def test_positions_are_those_of_the_merged_list() -> None:
    """For conflicts and for rules: what a function or `hold` removes makes the next one's position smaller."""
    base, ours, theirs = [{"id": n, "v": 0} for n in range(4)], [{"id": n, "v": 1} for n in range(4)], None
    theirs = [{"id": 9}, *({"id": n, "v": 2} for n in range(4))]
    seen: list[str] = []

    def drop_first(conflict: Conflict) -> Any:
        seen.append(conflict.pointer)
        return ABSENT if conflict.base["id"] == 0 else conflict

    found = merge(base, ours, theirs, [Rule("/*", drop_first)], hold=lambda conflict: ABSENT)
    assert seen == ["/1", "/1", "/1", "/1"]
    assert [conflict.pointer for conflict in found.conflicts] == ["/1", "/1", "/1"]
    assert found.value == [{"id": 9}]
    assert merge(base, ours, theirs, [Rule("/2/v", "largest")]).value[2] == {"id": 1, "v": 2}


def test_names_in_pointers_are_escaped() -> None:
    """Rules and conflicts speak RFC 6901."""
    base, ours, theirs = {"a/b~": {"*": 0}}, {"a/b~": {"*": 1}}, {"a/b~": {"*": 2}}
    assert merge(base, ours, theirs).conflicts[0].pointer == "/a~1b~0/*"
    assert merge(base, ours, theirs, [Rule("/a~1b~0/*", "largest")]) == Merged({"a/b~": {"*": 2}}, ())


def test_an_unknown_rule_is_refused_before_anything_is_merged() -> None:
    """A typing error that only shows at the first conflict is found too late."""
    with pytest.raises(ValueError, match=r"newest.*largest"):
        merge(1, 1, 1, [Rule("", "newest")])
    assert [name for name in (*RULES, "ours", "theirs", "newest", None, 1, ["union"]) if is_rule(name)] == [*RULES]


def test_tuples_and_subclasses_are_merged_as_what_they_are_stored_as() -> None:
    """Python's callers have tuples and enums; to call them changed would make conflicts out of nothing."""

    class State(StrEnum):
        DONE = "done"

    base: Any = {"a": [1, [2]], "b": "done"}
    assert merge(base, {"a": (1, (2,)), "b": State.DONE}, {"a": [1, [3]], "b": "x"}) == Merged(
        {"a": [1, [3]], "b": "x"}, ()
    )
    with pytest.raises(InvalidValueError) as caught:
        merge(base, {"a": {1}}, base)
    assert caught.value.pointer == "/a"


@pytest.mark.parametrize(
    "wrap", [lambda value: [value], lambda value: {"a": value}, lambda value: [{"id": 1, "a": value}]]
)
def test_a_value_as_deep_as_a_value_may_be_is_merged(wrap: Callable[[Any], Any]) -> None:
    """200 containers, each with a change on both sides: within Python's stack, test runner and all."""

    def depth(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0

    def deep(leaf: int) -> Any:
        value: Any = [leaf]
        while depth(wrap(value)) <= codec.MAX_DEPTH:
            value = wrap(value)
        return value

    found = merge(deep(0), deep(1), deep(2))
    assert len(found.conflicts) == 1
    assert codec.equal(found.value, deep(0))
    assert codec.equal(merge(deep(0), deep(1), deep(1), [NOWHERE]).value, deep(1))


# --- text


def test_lines_end_at_line_feeds_alone() -> None:
    """U+2028, form feeds and lone returns are part of a line, as git sees it."""
    base = "a\u2028b\x0c\r\x85c\n-\nd\u2028e\n"
    ours, theirs = base.replace("a", "A"), base.replace("e", "E")
    assert merge(base, ours, theirs) == Merged("A\u2028b\x0c\r\x85c\n-\nd\u2028E\n", ())
    both = merge(base, ours, base.replace("b", "B"))
    assert [conflict.pointer for conflict in both.conflicts] == [""]
    assert both.value == base


def test_long_texts_with_repeated_lines_are_merged() -> None:
    """The matcher of Python's library takes lines that occur often for noise, from 200 lines on."""
    lines = ["{", "x", "}"] * 100
    base, ours, theirs = lines[:], lines[:], lines[:]
    ours[31], theirs[250] = "ours", "theirs"
    found = merge(*("\n".join(one) for one in (base, ours, theirs)))
    lines[31], lines[250] = "ours", "theirs"
    assert found == Merged("\n".join(lines), ())


@given(texts, texts, texts)
def test_text_is_a_line_merge_or_one_conflict(base: str, ours: str, theirs: str) -> None:
    """Markers inside text would be data that nobody wrote."""
    found = merge({"t": base}, {"t": ours}, {"t": theirs})
    if found.conflicts:
        assert found == Merged({"t": base}, (Conflict("/t", base, ours, theirs),))
    else:
        written = {line for text in (base, ours, theirs) for line in text.split("\n")}
        assert {*found.value["t"].split("\n")} <= written
