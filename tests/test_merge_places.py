"""The questions at a place and their order, and text by lines."""

from __future__ import annotations

import copy
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given

from gitmem import codec
from gitmem.errors import InvalidValueError
from gitmem.merge import ABSENT, RULES, Conflict, Merged, Rule, is_rule, merge
from tests.edits import texts

NOWHERE = Rule("/no/such/member/anywhere/in/any/of/these/values", lambda conflict: conflict)


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
    theirs: Any = {"a": [1, [3]], "b": "x"}
    for same in ((1, (2,)), [1, (2,)], (1, [2])):
        assert merge(base, {"a": same, "b": "done"}, theirs) == Merged(theirs, ())
    assert merge(base, {"a": [1, [2]], "b": State.DONE}, theirs) == Merged(theirs, ())
    assert merge([1, [2]], [1, (2, 3)], [1, [0, 2]]) == Merged([1, [0, 2, 3]], ())
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


def test_as_many_lines_as_can_be_are_taken_for_unchanged() -> None:
    """Python's own matcher takes the longest block first, and loses more lines around it than it wins."""
    block = [*"abcdef"]
    base = ["1", "x", "2", "y", "3", "4", "5", "6", "7", *block]
    ours = [*block, "1", "p", "2", "q", "3", "4", "5", "6", "7"]
    theirs = ["five" if line == "5" else line for line in base]
    found = merge(*("\n".join(lines) + "\n" for lines in (base, ours, theirs)))
    assert found == Merged("\n".join(ours).replace("5", "five") + "\n", ())


@given(texts, texts, texts)
def test_text_is_a_line_merge_or_one_conflict(base: str, ours: str, theirs: str) -> None:
    """Markers inside text would be data that nobody wrote."""
    found = merge({"t": base}, {"t": ours}, {"t": theirs})
    if found.conflicts:
        assert found == Merged({"t": base}, (Conflict("/t", base, ours, theirs),))
    else:
        written = {line for text in (base, ours, theirs) for line in text.split("\n")}
        assert {*found.value["t"].split("\n")} <= written
