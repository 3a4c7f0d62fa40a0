"""What each rule gives, and when it gives up."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem import codec
from gitmem.codec import MAX_INT_DIGITS
from gitmem.merge import ABSENT, RULES, Conflict, Merged, Rule, merge

BIG = 10**MAX_INT_DIGITS - 1
floats = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(10**30), 10**30)
numbers = whole | floats
lists = st.lists(st.integers(0, 5) | st.sampled_from([True, 1.0, "1", None]), max_size=6)


def by(rule: str, base: Any, ours: Any, theirs: Any, times: Any = None) -> Any:
    """What the rule gives for the whole value; a Conflict if it cannot settle it."""
    found = merge(base, ours, theirs, [Rule("", rule)], times)
    return found.conflicts[0] if found.conflicts else found.value


@pytest.mark.parametrize("rule", ["largest", "smallest", "total"])
@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        (1, 2, "2"), (1, True, 2), (1, False, True), (1, None, 2), (1, [1], [2]), (1, {"a": 1}, {"b": 2}),
        (1, ABSENT, 2), (ABSENT, "a", 1),
    ],
)  # fmt: skip
def test_numbers_and_text_alone_have_an_order(rule: str, base: Any, ours: Any, theirs: Any) -> None:
    """True is no number, and what is missing is not nothing."""
    assert by(rule, base, ours, theirs) == Conflict("", base, ours, theirs)
    assert by(rule, base, theirs, ours) == Conflict("", base, theirs, ours)


@given(numbers, numbers, numbers)
def test_the_largest_and_the_smallest_are_exact(base: Any, ours: Any, theirs: Any) -> None:
    """An int that no double holds is not rounded before it is compared."""
    for rule, better in (("largest", max), ("smallest", min)):
        found = by(rule, base, ours, theirs)
        if codec.equal(ours, base) or codec.equal(theirs, base):
            continue
        assert Fraction(found) == better(Fraction(ours), Fraction(theirs))
        assert codec.equal(found, by(rule, base, theirs, ours))
        assert any(codec.equal(found, side) for side in (ours, theirs))


def test_text_is_compared_by_code_point() -> None:
    """Not by any language's order."""
    assert by("largest", "", "Zebra", "apple") == "apple"
    assert by("smallest", "", "Zebra", "apple") == "Zebra"
    assert by("largest", "", "\uffff", "\U00010000") == "\U00010000"


@pytest.mark.parametrize("pair", [(1, 1.0), (0.0, -0.0), (-0.0, 0)])
def test_equal_numbers_of_two_types_are_chosen_by_their_text(pair: tuple[Any, Any]) -> None:
    """Either would be right; both machines must take the same."""
    for rule in ("largest", "smallest"):
        assert repr(by(rule, 5, *pair)) == repr(by(rule, 5, *reversed(pair)))
    assert repr(by("largest", 5, *pair)) != repr(by("smallest", 5, *pair))


@given(whole | st.just(ABSENT), whole, whole)
def test_the_total_of_whole_numbers_counts_both_sides(base: Any, ours: int, theirs: int) -> None:
    """A counter that both raised by one was raised by two, also where both now show the same."""
    start = 0 if base is ABSENT else base
    assert repr(by("total", base, ours, theirs)) == repr(ours + theirs - start)


@given(numbers, numbers, numbers)
def test_the_total_of_floats_is_rounded_once(base: Any, ours: Any, theirs: Any) -> None:
    """0.1 + 0.2 - 0.1 is 0.2, whatever the order of adding."""
    found = by("total", base, ours, theirs)
    if codec.equal(ours, base) or codec.equal(theirs, base):
        return
    exact = Fraction(ours) + Fraction(theirs) - Fraction(base)
    if {type(base), type(ours), type(theirs)} == {int}:
        assert type(found) is int
        assert found == exact
        return
    try:
        wanted = float(exact)
    except OverflowError:
        wanted = math.inf
    if math.isinf(wanted):
        assert found == Conflict("", base, ours, theirs)
    else:
        assert repr(found) == repr(wanted)


def test_a_total_that_is_no_legal_number_is_a_conflict() -> None:
    """What cannot be stored must not come out of a merge."""
    assert by("total", 0, BIG, 1) == Conflict("", 0, BIG, 1)
    assert by("total", 1, BIG, 1 - BIG) == 0
    assert by("total", 0, -BIG, -1) == Conflict("", 0, -BIG, -1)
    assert by("total", 0, BIG - 1, 1) == BIG
    assert by("total", 0.5, 1e308, 1.5e308) == Conflict("", 0.5, 1e308, 1.5e308)
    assert by("total", 0.5, 10**400, 1) == Conflict("", 0.5, 10**400, 1)
    assert by("total", ABSENT, 2, 2) == 4
    assert by("total", "1", 2, 3) == Conflict("", "1", 2, 3)


def test_a_total_of_what_is_no_number_leaves_equal_sides_alone() -> None:
    """Both removed the counter, or wrote the same text beside it: they agree, and nobody has to be asked."""
    for base, side in ((5, ABSENT), ("a", "b"), (ABSENT, None), ("a", 5), (5, "a"), (True, False)):
        assert by("total", base, side, side) is side
    base, side = {"n": 1, "m": 1, "t": "a"}, {"n": 2, "t": "b"}
    assert merge(base, side, side, [Rule("/*", "total")]) == Merged({"n": 3, "t": "b"}, ())


def test_a_total_inside_is_found_below_equal_sides() -> None:
    """The short cut for equal sides would count one of the two."""
    base = {"a": {"n": 1, "m": [1]}, "b": 1}
    side = {"a": {"n": 2, "m": [2]}, "b": 2}
    assert merge(base, side, side, [Rule("/*/n", "total")]) == Merged({"a": {"n": 3, "m": [2]}, "b": 2}, ())
    assert merge(base, side, side, [Rule("/a/m/*", "total")]) == Merged({"a": {"n": 2, "m": [3]}, "b": 2}, ())
    assert merge(base, side, side, [Rule("", "latest"), Rule("/*/n", "total")]) == Merged(side, ())


@given(lists | st.just(ABSENT), lists, lists)
def test_a_union_is_a_set_in_three_ways(base: Any, ours: Any, theirs: Any) -> None:
    """What one side removed stays away, what either added is in, each once, 1 and 1.0 and true apart."""
    found = by("union", base, ours, theirs)
    if any(codec.equal(*pair) for pair in ((ours, base), (theirs, base), (ours, theirs))):
        return
    old, mine, other = ({*map(repr, side)} for side in ([] if base is ABSENT else base, ours, theirs))
    names = [*map(repr, found)]
    assert {*names} == (mine & other) | (mine - old) | (other - old)
    assert len({*names}) == len(names)
    kept = [name for name in names if name in old]
    assert kept == [name for name in dict.fromkeys(map(repr, [] if base is ABSENT else base)) if name in kept]
    assert names[: len(kept)] == kept
    assert codec.equal(found, by("union", base, theirs, ours))


@pytest.mark.parametrize(
    ("base", "ours", "theirs"), [([1], ABSENT, [2]), ("", [1], [2]), ([1], {}, [2]), ([], "a", "b")]
)
def test_a_union_is_for_lists(base: Any, ours: Any, theirs: Any) -> None:
    """A removed list is not an empty one."""
    assert by("union", base, ours, theirs) == Conflict("", base, ours, theirs)


def test_the_latest_is_the_side_that_was_written_last() -> None:
    """It may have removed the value. Without times, or at the same time, nobody can say."""
    assert by("latest", 1, 2, 3, (2, 1)) == 2
    assert by("latest", 1, 2, 3, (1, 2)) == 3
    assert by("latest", 1, ABSENT, 3, (2, 1)) is ABSENT
    assert by("latest", 1, 2, 3, (1, 1)) == Conflict("", 1, 2, 3)
    assert by("latest", 1, 2, 3) == Conflict("", 1, 2, 3)


def test_a_side_may_be_named_to_the_function_alone() -> None:
    """`ours` and `theirs` depend on who merges; gitmem.toml may not say them."""
    assert by("ours", 1, 2, 3) == 2
    assert by("theirs", 1, 2, 3) == 3
    assert by("theirs", 1, 2, ABSENT) is ABSENT
    assert not {"ours", "theirs"} & {*RULES}


def test_a_star_is_exactly_one_segment() -> None:
    """Of objects and of lists; not the place itself, and nothing deeper."""
    base = {"m": {"a": 1, "b": {"c": 1}}, "l": [1, "x", 1]}
    ours = {"m": {"a": 2, "b": {"c": 2}}, "l": [2, "x", 2]}
    theirs = {"m": {"a": 3, "b": {"c": 3}}, "l": [3, "x", 3]}

    def left(*patterns: str) -> list[str]:
        found = merge(base, ours, theirs, [Rule(pattern, "largest") for pattern in patterns])
        return [conflict.pointer for conflict in found.conflicts]

    assert left() == ["/l/0", "/l/2", "/m/a", "/m/b/c"]
    assert left("/m/*") == ["/l/0", "/l/2", "/m/b"]
    assert left("/m/*/c") == ["/l/0", "/l/2", "/m/a"]
    assert left("/*/*/*") == ["/l/0", "/l/2", "/m/a"]
    assert left("/l/*") == ["/m/a", "/m/b/c"]
    assert left("/*") == ["/l", "/m"]
    assert left("/*/2") == ["/l/0", "/m/a", "/m/b/c"]
    assert left("/m/*/*/c", "/x", "/m/a/b") == left()
