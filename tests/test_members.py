"""Changes member by member: complete, minimal in kind, and enough to rebuild the other side."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitmem import codec, patches, pointers
from gitmem.members import ABSENT, MemberChange, changes, leaves

FIXTURES = Path(__file__).parent.parent / "fixtures" / "values"
CASES = json.loads((FIXTURES / "changes.json").read_text("utf-8"))["cases"]

scalars = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, -0.0, 1.0, ""])
names = st.sampled_from(["a", "b", "/", "~", "", "0"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=10,
)


def replay(before: Any, found: list[MemberChange]) -> Any:
    """The changes made to `before` as RFC 6902 operations, in the order that the module's law names."""
    replaced = [change for change in found if change.before is not ABSENT and change.after is not ABSENT]
    removed = [change for change in found if change.after is ABSENT]
    added = [change for change in found if change.before is ABSENT]
    patch = [{"op": "test", "path": change.pointer, "value": change.before} for change in replaced + removed]
    patch += [{"op": "replace", "path": change.pointer, "value": change.after} for change in replaced]
    patch += [{"op": "remove", "path": change.pointer} for change in reversed(removed)]
    patch += [{"op": "add", "path": change.pointer, "value": change.after} for change in added]
    return patches.json_patch(before, patch)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_changes_are_the_members_that_differ(case: Any) -> None:
    """`diff` and `blame` show these; another implementation must name the same places in the same order."""
    wanted = [
        MemberChange(row["pointer"], row.get("before", ABSENT), row.get("after", ABSENT))
        for row in case["changes"]
    ]
    found = changes(case["before"], case["after"])
    assert list(map(repr, found)) == list(map(repr, wanted))  # repr tells 1, 1.0 and True apart


@given(values, values)
@example([0, 1, 2, 9], [0, 3, 9])
@example([[0], [0, 0]], [[0], [0]])
def test_changes_rebuild_the_other_side(before: Any, after: Any) -> None:
    """Nothing is left out and no place is misnamed, or the replay would not arrive."""
    kept = copy.deepcopy((before, after))
    assert codec.equal(replay(before, changes(before, after)), after)
    assert codec.equal((before, after), kept)


@given(values, values)
@example([1], [1.0])
def test_there_are_no_changes_between_equal_values_only(before: Any, after: Any) -> None:
    """By type: a diff that hides 1 -> 1.0 would show a version that changed nothing."""
    assert (changes(before, after) == []) == codec.equal(before, after)
    assert changes(before, copy.deepcopy(before)) == []


@given(values, values)
def test_no_change_holds_another(before: Any, after: Any) -> None:
    """Each place is told once, at its deepest: two objects or two lists are never a change as a whole."""
    found = changes(before, after)
    places = [(change.pointer, change.after is ABSENT) for change in found]
    assert len(places) == len(set(places))
    for change in found:
        kinds = {type(change.before), type(change.after)}
        assert kinds not in ({dict}, {list})


def test_an_absent_side_is_one_change_at_the_root() -> None:
    """A key that appears or goes has no members on the other side."""
    assert changes(ABSENT, {"a": 1}) == [MemberChange("", ABSENT, {"a": 1})]
    assert changes([1], ABSENT) == [MemberChange("", [1], ABSENT)]
    assert changes(ABSENT, ABSENT) == []


def test_missing_is_one_thing_in_every_process() -> None:
    """It is compared with `is`, so copies and pickles must be the same one."""
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT
    assert copy.deepcopy(ABSENT) is ABSENT
    assert repr(ABSENT) == "ABSENT"
    assert not ABSENT


def test_deep_values_use_no_stack() -> None:
    """A value may be 200 deep whoever asks."""

    def deep(leaf: int) -> Any:
        value: Any = leaf
        for level in range(200):
            value = [value] if level % 2 else {"a": value}
        return value

    assert changes(deep(1), deep(2)) == [MemberChange("/0/a" * 100, 1, 2)]
    assert leaves(deep(1)) == {"/0/a" * 100: 1}


@given(values)
def test_leaves_are_the_ends_of_a_value(value: Any) -> None:
    """Every leaf stands at its pointer, has nothing inside, and no leaf of the value is missing."""
    found = leaves(value)

    def count(inner: Any) -> int:
        if isinstance(inner, dict | list) and inner:
            return sum(map(count, inner.values() if isinstance(inner, dict) else inner))
        return 1

    assert len(found) == count(value)
    for pointer, leaf in found.items():
        assert codec.equal(pointers.resolve(value, pointer), leaf)
        assert not (isinstance(leaf, dict | list) and leaf)


def test_leaves_come_in_the_order_of_the_value() -> None:
    """The order is that of the canonical file: members by code point, elements by position."""
    value: Any = {"b": [1, {}, []], "a": {"~/": None}, "": "x", "aa": 0}
    assert list(leaves(value).items()) == [
        ("/", "x"),
        ("/a/~0~1", None),
        ("/aa", 0),
        ("/b/0", 1),
        ("/b/1", {}),
        ("/b/2", []),
    ]
    assert leaves("x") == {"": "x"}
    assert leaves({}) == {"": {}}
