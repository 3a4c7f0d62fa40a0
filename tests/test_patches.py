"""Patches: what the two RFCs say, and that nobody's value is changed behind their back."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem import codec, patches
from gitmem.errors import InvalidPatternError, InvalidValueError

FIXTURES = Path(__file__).parent.parent / "fixtures" / "values"
MERGES = json.loads((FIXTURES / "patch-merge.json").read_text("utf-8"))["cases"]
OPERATIONS = json.loads((FIXTURES / "patch-operations.json").read_text("utf-8"))["cases"]

names = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    st.none() | st.integers(0, 2) | st.just(1.0),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
paths = st.lists(names | st.sampled_from(["0", "1", "-"]), max_size=3).map(
    lambda steps: "".join("/" + s for s in steps)
)
rows = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
        "path": paths,
        "from": paths,
        "value": values,
    }
)


def reference_merge(target: Any, patch: Any) -> Any:
    """RFC 7396's own pseudocode, word for word."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = reference_merge(target.get(name), value)
    return target


def reference_operations(target: Any, operations: Any) -> Any:
    """RFC 6902 with deep copies and in-place changes: slow, and another way round than the module's."""
    document = [copy.deepcopy(target)]

    def walk(path: str) -> tuple[Any, Any]:
        holder: Any = document
        key: Any = 0
        for token in path.split("/")[1:]:
            holder = holder[key]
            if not isinstance(holder, dict | list):
                raise LookupError
            key = token if isinstance(holder, dict) else position(holder, token)
        return holder, key

    def position(holder: list[Any], token: str) -> int:
        if token == "-":
            return len(holder)
        if not token.isdigit():
            raise LookupError
        return int(token)

    def add(path: str, value: Any) -> None:
        holder, key = walk(path)
        if isinstance(holder, dict) or holder is document:
            holder[key] = value
        elif key > len(holder):
            raise LookupError
        else:
            holder.insert(key, value)

    for row in operations:
        op, path, source = row["op"], row["path"], row["from"]
        if op in ("move", "copy"):
            holder, key = walk(source)
            value = copy.deepcopy(holder[key])
            if op == "move" and source != path:
                del holder[key]
            if op == "copy" or source != path:
                add(path, value)
        elif op == "add":
            add(path, copy.deepcopy(row["value"]))
        else:
            holder, key = walk(path)
            found = holder[key]
            if op == "remove":
                del holder[key]
            elif op == "replace":
                holder[key] = copy.deepcopy(row["value"])
            elif codec.encode(found) != codec.encode(row["value"]):
                raise LookupError
    return document[0]


# --- merge patches


@pytest.mark.parametrize("case", MERGES, ids=lambda case: json.dumps(case["patch"])[:40])
def test_merge_patch_does_what_the_rfc_shows(case: Any) -> None:
    """Appendix A of RFC 7396."""
    assert codec.equal(patches.merge_patch(case["target"], case["patch"]), case["result"])


@given(values, values)
def test_merge_patch_is_the_rfcs_pseudocode_and_changes_nothing(target: Any, patch: Any) -> None:
    """The target lies in a cache and the patch is the caller's."""
    before = copy.deepcopy((target, patch))
    assert codec.equal(patches.merge_patch(target, patch), reference_merge(copy.deepcopy(target), patch))
    assert codec.equal((target, patch), before)


def test_a_result_shares_nothing_with_the_patch() -> None:
    """The caller may go on using the patch, or a list in it."""
    mine: list[int] = [1]
    merged: Any = patches.merge_patch({}, {"a": mine})
    added: Any = patches.json_patch({}, [{"op": "add", "path": "/a", "value": mine}])
    longer: Any = patches.append([], "", mine)
    mine.append(2)
    assert [merged, added, longer] == [{"a": [1]}, {"a": [1]}, [[1]]]


def test_a_patch_that_is_no_value_names_its_place() -> None:
    """A NaN, a cycle or an explosion in a patch is found before it is applied."""
    ring: dict[str, Any] = {}
    ring["a"] = ring

    def appended(target: Any, patch: Any, **options: Any) -> Any:
        return patches.append([], "", patch, **options)

    acts: tuple[Any, ...] = (patches.merge_patch, patches.json_patch, appended)
    for act in acts:
        with pytest.raises(InvalidValueError) as caught:
            act({}, [{"value": float("nan")}])
        assert caught.value.pointer == "/0/value"
        with pytest.raises(InvalidValueError):
            act({}, ring)
        with pytest.raises(InvalidValueError, match="bytes"):
            act({}, ["x" * 100], max_bytes=50)


def test_deep_patches_use_no_stack() -> None:
    """Depth is the codec's to judge; a patch as deep as a value may be is applied."""
    deep: Any = {}
    for _ in range(199):
        deep = {"a": deep}
    assert codec.equal(patches.merge_patch(None, deep), deep)


# --- operations


@pytest.mark.parametrize("case", OPERATIONS, ids=lambda case: case["name"])
def test_json_patch_does_what_the_rfc_says(case: Any) -> None:
    """Appendix A of RFC 6902 and its sentences; what is malformed and what fails are told apart."""
    before = copy.deepcopy(case)
    if "result" in case:
        assert codec.equal(patches.json_patch(case["target"], case["patch"]), case["result"])
    elif "failed" in case:
        with pytest.raises(patches.PatchFailed) as failed:
            patches.json_patch(case["target"], case["patch"])
        assert failed.value.index == case["failed"]
        assert failed.value.operation == case["patch"][case["failed"]]
        assert failed.value.reason in str(failed.value)
    else:
        with pytest.raises(InvalidValueError) as caught:
            patches.json_patch(case["target"], case["patch"])
        assert caught.value.pointer == case["malformed"]
        assert caught.value.reason
        assert caught.value.hint
    assert codec.equal(case, before)


@given(values, st.lists(rows, max_size=4))
def test_json_patch_agrees_with_a_slow_reference_and_changes_nothing(target: Any, patch: Any) -> None:
    """Copying only the way to a place must give what copying everything gives."""
    before = copy.deepcopy((target, patch))
    done, failed = outcome(target, patch)
    assert codec.equal((target, patch), before)
    if done is not None:
        assert codec.equal(
            patches.json_patch(target, patch[:done]), reference_operations(target, patch[:done])
        )
    if failed:
        with pytest.raises(LookupError):
            reference_operations(target, patch)


def outcome(target: Any, patch: Any) -> tuple[int | None, bool]:
    """How many operations can be made, and whether the next one fails; None for a malformed patch."""
    try:
        patches.json_patch(target, patch)
    except InvalidValueError:
        return None, False
    except patches.PatchFailed as error:
        return error.index, True
    return len(patch), False


def test_copies_of_copies_stay_small() -> None:
    """Sixty operations can write 2**60 elements; they are shared until somebody prints them."""
    doubling = [{"op": "copy", "from": "", "path": "/-"}, {"op": "copy", "from": "", "path": "/-"}] * 30
    with pytest.raises(InvalidValueError, match="bytes"):
        codec.encode(patches.json_patch([], doubling))


def test_a_place_may_be_very_deep() -> None:
    """Copies can nest a value deeper than Python's stack; the way there and back is a loop."""
    patch: list[Any] = []
    depth = 1
    for _ in range(12):
        patch.append({"op": "copy", "from": "", "path": "/a" * depth})
        depth *= 2
    result: Any = patches.json_patch({}, patch)
    for _ in range(depth - 1):
        result = result["a"]
    assert result == {}


def test_a_failed_patch_can_cross_a_process_border() -> None:
    """Errors are pickled by process pools; the fields must arrive."""
    error = patches.PatchFailed(2, {"op": "remove", "path": "/a"}, "there is no member 'a'")
    again = pickle.loads(pickle.dumps(error))
    assert vars(again) == vars(error)
    assert str(again) == str(error)


# --- append


def test_append_adds_one_element_to_a_copy() -> None:
    """At the root or at a pointer; the list that was read stays as it is."""
    target: Any = {"a": {"b~": [1]}, "c": [2]}
    result: Any = patches.append(target, "/a/b~0", [3])
    assert result == {"a": {"b~": [1, [3]]}, "c": [2]}
    assert target == {"a": {"b~": [1]}, "c": [2]}
    assert patches.append([1], "", None) == [1, None]
    assert patches.append([[1]], "/0", 2) == [[1, 2]]


@pytest.mark.parametrize(
    ("target", "path"),
    [({"a": {}}, "/a"), ({"a": [1]}, "/b"), ([], "/-"), ({"a": "text"}, "/a"), (None, ""), ([None], "/0")],
)
def test_append_needs_a_list_at_its_place(target: Any, path: str) -> None:
    """Nothing is created on the way: a misspelt pointer must not grow a second list."""
    with pytest.raises(InvalidValueError) as caught:
        patches.append(target, path, 1)
    assert caught.value.pointer == path
    assert caught.value.reason
    assert caught.value.hint


def test_append_refuses_a_malformed_pointer() -> None:
    """The pointer is wrong whatever the value is, so it is another error."""
    with pytest.raises(InvalidPatternError):
        patches.append([], "a", 1)
