"""How lists are taken apart: what is aligned, where insertions stand, what identities change."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem import codec
from gitmem.merge import ABSENT, Conflict, Merged, merge
from gitmem.merge.alignment import shared
from gitmem.merge.runs import Element, united
from gitmem.merge.sameness import mark, marks, same
from tests.edits import values

letters = st.text("abc", max_size=8)


def pairs(one: Any, other: Any) -> list[tuple[int, int]]:
    return [(row + step, column + step) for row, column, count in shared(one, other) for step in range(count)]


def every_common_subsequence(one: str, other: str) -> Any:
    for count in range(min(len(one), len(other)), -1, -1):
        for rows in combinations(range(len(one)), count):
            for columns in combinations(range(len(other)), count):
                if [one[row] for row in rows] == [other[column] for column in columns]:
                    yield list(zip(rows, columns, strict=True))


def slow(one: Any, other: Any) -> list[tuple[int, int]]:
    """The same by the whole table."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for row in reversed(range(len(one))):
        for column in reversed(range(len(other))):
            below = max(table[row + 1][column], table[row][column + 1])
            table[row][column] = table[row + 1][column + 1] + 1 if one[row] == other[column] else below
    found: list[tuple[int, int]] = []
    column = 0
    for row in range(len(one)):
        for at in range(column, len(other)):
            if one[row] == other[at] and table[row + 1][at + 1] + 1 == table[row][column]:
                found.append((row, at))
                column = at + 1
                break
    return found


# --- alignment


@given(st.text("ab", max_size=5), st.text("abc", max_size=5))
def test_the_alignment_is_the_first_of_the_longest(one: str, other: str) -> None:
    """A second implementation must choose the same one, or two machines would make two heads."""
    found = list(every_common_subsequence(one, other))
    longest = [each for each in found if len(each) == len(found[0])]
    assert pairs(one, other) == min(longest) == slow(one, other)


@pytest.mark.parametrize("seed", range(60))
def test_both_engines_find_the_same(seed: int) -> None:
    """Long sequences, with few differences and with many, few marks and many: against the plain table."""
    chance = random.Random(seed)
    kinds, size = chance.choice([2, 3, 10, 40, 1000]), chance.choice([5, 60, 150])
    one = [chance.randrange(kinds) for _ in range(size)]
    other = [chance.randrange(kinds) for _ in range(chance.randrange(2 * size))]
    shuffled = chance.sample(one, size)
    touched = one[:]
    for _ in range(chance.randrange(12)):
        touched.insert(chance.randrange(len(touched) + 1), chance.randrange(kinds))
        del touched[chance.randrange(len(touched))]
    for side in (other, shuffled, touched, one[::-1], one, []):
        assert pairs(one, side) == slow(one, side)
        assert pairs(side, one) == slow(side, one)


def test_lists_of_thousands_are_aligned_in_a_moment() -> None:
    """Not by a clock: an algorithm that is quadratic in Python would take minutes here."""
    chance = random.Random(1)
    bits = [chance.randrange(2) for _ in range(6000)]
    others = [chance.randrange(2) for _ in range(6000)]
    names = list(range(6000))
    assert len(pairs(bits, others)) > 4500
    assert len(pairs(names, names[::-1])) == 1
    assert len(pairs(names, [*names[3000:], *names[:3000]])) == 3000
    assert merge(bits, [2, *bits], [*bits, 3]) == Merged([2, *bits, 3], ())


@given(values, values)
def test_marks_are_equality_by_type(one: Any, other: Any) -> None:
    """1, 1.0 and true are three elements; 0.0 and -0.0 are two."""
    assert same(one, other) == codec.equal(one, other) == (mark(one) == mark(other))
    assert marks([one, other]) == [mark(one), mark(other)]
    assert same(one, [one]) is False


# --- runs


@given(letters, letters)
def test_two_runs_have_each_element_as_often_as_the_one_that_has_it_more_often(one: str, other: str) -> None:
    """The same addition by both sides is made once; the order depends on neither side's name."""
    found = united(run(one), run(other))
    assert Counter(name for name, _, _ in found) == Counter(one) | Counter(other)
    assert [(name, theirs, ours) for name, ours, theirs in united(run(other), run(one))] == found
    for number, (side, text) in enumerate(((1, one), (2, other))):
        had = [each[side] for each in found if each[side] is not ABSENT]
        assert Counter(had) == Counter(text), number
    smaller = min(one, other, key=lambda text: codec.encode(list(text))) if one and other else one or other
    kept = [each for each in found if each[1 if smaller == one else 2] is not ABSENT]
    assert "".join(str(name) for name, _, _ in kept) == smaller


def run(text: str) -> list[Element]:
    return [Element(letter, letter) for letter in text]


@pytest.mark.parametrize(
    ("ours", "theirs", "wanted"),
    [
        ([1], [2], [1, 2]),
        ([3, 1], [2, 9], [2, 9, 3, 1]),
        ([1, 5, 2], [1, 4, 2], [1, 4, 5, 2]),  # 5 stands before 2, which both have, behind what is there
        (["a", "x"], ["b", "a", "c"], ["b", "a", "x", "c"]),
        (["a", "b"], ["b", "x", "a"], ["x", "a", "b"]),
        ([1, 1], [1], [1, 1]),
        ([1, 2, 1], [1, 1], [1, 2, 1]),
        ([10], [9], [10, 9]),  # by bytes, not by number
        ([1], [1.0], [1, 1.0]),
    ],
)
def test_insertions_at_one_place(ours: list[Any], theirs: list[Any], wanted: list[Any]) -> None:
    """The run with the smaller bytes first; the other one's rest before what follows it there."""
    for base in ([], ["first"], ["last"]):
        sides = [[*base, *each] if base == ["first"] else [*each, *base] for each in (ours, theirs, wanted)]
        assert repr(merge(base, sides[0], sides[1])) == repr(Merged(sides[2], ()))
        assert repr(merge(base, sides[1], sides[0])) == repr(Merged(sides[2], ()))


def test_appends_of_many_are_all_kept() -> None:
    """A shared list that everybody appends to: each merge brings the rest."""
    base = ["begin"]
    sides = [[*base, *(f"agent {agent} entry {n}" for n in range(5))] for agent in range(4)]
    for order in permutations(sides):
        value: Any = base
        for side in order:
            value, conflicts = merge(base, value, side)
            assert conflicts == ()
        assert value[0] == "begin"
        assert sorted(value[1:]) == sorted(entry for side in sides for entry in side[1:])


# --- by position


def test_an_element_between_the_same_neighbours_was_edited() -> None:
    """If there are as many as before: otherwise nobody can say which one became which."""
    base = [{"t": "a", "n": 1}, "-", {"t": "b", "n": 1}]
    ours = [{"t": "A", "n": 1}, "-", {"t": "b", "n": 1}]
    theirs = [{"t": "a", "n": 2}, "-", {"t": "b", "n": 2}]
    assert merge(base, ours, theirs) == Merged([{"t": "A", "n": 2}, "-", {"t": "b", "n": 2}], ())
    longer = [{"t": "a", "n": 2}, "new", "-", {"t": "b", "n": 2}]
    found = merge(base, ours, longer)
    assert found.conflicts == (Conflict("/2", base[0], ours[0], ABSENT),)
    assert found.value == [{"t": "a", "n": 2}, "new", {"t": "a", "n": 1}, "-", {"t": "b", "n": 2}]


def test_replacing_elements_differently_is_a_conflict_for_each() -> None:
    """Positions count what was inserted before."""
    found = merge(["x", 1, 2], ["x", 3, 4], ["new", "x", 5, 6])
    assert found == Merged(["new", "x", 1, 2], (Conflict("/2", 1, 3, 5), Conflict("/3", 2, 4, 6)))


# --- identities


def people(*rows: Any) -> list[Any]:
    return [{"id": row} if not isinstance(row, tuple) else {"id": row[0], "v": row[1]} for row in rows]


def test_an_element_with_an_identity_is_found_wherever_it_lies() -> None:
    """One side moves it, the other edits it: both happen."""
    base = people(("a", 1), ("b", 1), ("c", 1), ("d", 1))
    ours = people(("d", 1), ("a", 1), ("b", 1), ("c", 1))
    theirs = people(("a", 1), ("b", 1), ("c", 1), ("d", 2))
    assert merge(base, ours, theirs) == Merged(people(("d", 2), ("a", 1), ("b", 1), ("c", 1)), ())


@pytest.mark.parametrize("field", ["id", "name", "key"])
@pytest.mark.parametrize("lists", [([], [1], [2]), ([3], [1, 3], [3, 2]), (ABSENT, [1], [2])])
def test_two_new_elements_of_one_identity_are_one(field: str, lists: Any) -> None:
    """They are merged as if the base had an empty one; at two places, the earlier one holds."""

    def named(numbers: Any, **more: int) -> Any:
        if numbers is ABSENT:
            return ABSENT
        return [{field: "new", **more} if number < 3 else {field: number} for number in numbers]

    base, ours, theirs = named(lists[0]), named(lists[1], a=1), named(lists[2], b=2)
    found = merge(base, ours, theirs)
    rest = [{field: 3}] if lists[0] == [3] else []
    assert found == Merged([{field: "new", "a": 1, "b": 2}, *rest], ())


def test_identities_are_compared_by_type() -> None:
    """1, 1.0, true and "1" are four elements."""
    base: list[Any] = [{"id": 1}, {"id": 1.0}, {"id": True}, {"id": "1"}, {"id": None}]
    theirs = [{**one, "v": number} for number, one in enumerate(base)]
    assert repr(merge(base, base[::-1], theirs).value) == repr(theirs[::-1])


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ([{"id": 1, "v": 1}], [{"id": 1, "v": 1}, {"v": 2}], [{"id": 1, "v": 3}]),  # one has none
        ([{"id": 1}, {"id": 1, "v": 1}], [{"id": 1}], [{"id": 1}, {"id": 1, "v": 2}]),  # two have the same
        (
            [{"id": [1]}, {"id": [2]}],
            [{"id": [2]}, {"id": [1]}],
            [{"id": [1]}, {"id": [2], "w": 1}],
        ),  # a list is no identity
        ([{"id": 1}, 5], [5, {"id": 1}], [{"id": 1, "v": 1}, 5]),  # not all are objects
    ],
)
def test_without_identities_for_all_there_are_none(base: Any, ours: Any, theirs: Any) -> None:
    """An identity that holds for some elements only would tear apart what belongs together."""
    plain = [[renamed(one) for one in side] for side in (base, ours, theirs)]
    assert repr(merge(base, ours, theirs)).replace("'id'", "'other'") == repr(merge(*plain))


def renamed(element: Any) -> Any:
    return (
        {"other": element["id"], **{k: v for k, v in element.items() if k != "id"}}
        if isinstance(element, dict) and "id" in element
        else element
    )


def test_the_first_field_that_all_have_is_the_identity() -> None:
    """`id` before `name` before `key`: a renamed element keeps its identity."""
    base = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    ours = [{"id": 2, "name": "b"}, {"id": 1, "name": "A"}]
    theirs = [{"id": 1, "name": "a", "v": 1}, {"id": 2, "name": "b"}]
    assert merge(base, ours, theirs) == Merged([{"id": 2, "name": "b"}, {"id": 1, "name": "A", "v": 1}], ())
    anonymous = [*theirs, {"name": "c"}]
    found = merge(base, ours, anonymous)  # now by name: a became A
    assert [conflict.theirs for conflict in found.conflicts] == [theirs[0]]


@pytest.mark.parametrize("order", [*permutations("abcd")])
@pytest.mark.parametrize("other", ["abcd", "abcde", "eabcd", "abecd"])
def test_the_side_that_moved_says_where(order: tuple[str, ...], other: str) -> None:
    """What the other side inserts is there too, and nothing is doubled."""
    found = merge(people(*"abcd"), people(*order), people(*other))
    assert found.conflicts == ()
    names = [one["id"] for one in found.value]
    assert [name for name in names if name != "e"] == list(order)
    assert Counter(names) == Counter(other)


@given(st.permutations("abcde"), st.permutations("abcde"))
def test_what_both_moved_stands_once(one: list[str], other: list[str]) -> None:
    """Whichever place is chosen, it is one, and it is the same for both."""
    found = merge(people(*"abcde"), people(*one), people(*other))
    assert found.conflicts == ()
    assert sorted(row["id"] for row in found.value) == list("abcde")
    assert merge(people(*"abcde"), people(*other), people(*one)) == found


def test_moved_by_both_to_two_places_the_earlier_one_holds() -> None:
    """Some rule there must be; this one needs no knowledge of sides."""
    base = people(*"abcdefg")
    assert merge(base, people(*"gabcdef"), people(*"abcgdef")).value == people(*"gabcdef")


def test_moved_and_removed_is_removed_unless_it_was_edited() -> None:
    """A move is no change of the element. The conflict holds the base, where the base has it."""
    base = people(("a", 1), ("b", 1), ("c", 1))
    moved, edited = people(("c", 1), ("a", 1), ("b", 1)), people(("c", 2), ("a", 1), ("b", 1))
    removed = people(("a", 1), ("b", 1))
    assert merge(base, moved, removed) == Merged(removed, ())
    found = merge(base, edited, removed)
    assert found == Merged(base, (Conflict("/2", {"id": "c", "v": 1}, {"id": "c", "v": 2}, ABSENT),))


def test_an_element_with_another_identity_is_another_element() -> None:
    """Whoever changes the id takes the element away from the one who edits it."""
    base, ours, theirs = people(("a", 1)), people(("z", 1)), people(("a", 2))
    found = merge(base, ours, theirs)
    assert found.conflicts == (Conflict("/1", base[0], ABSENT, theirs[0]),)
    assert found.value == people(("z", 1), ("a", 1))
