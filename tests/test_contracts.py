"""Contracts: what keeps them, what breaks them, and what a schema must not be able to do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem import contracts
from gitmem.contracts import MOST, STEPS, STEPS_EACH, check, check_schema, problems
from gitmem.errors import ContractError, GitmemError, InvalidValueError
from gitmem.policy import Contract
from tests.house.blueprint import TOP

HANDOFF = {
    "type": "object",
    "required": ["recommended_approach", "libraries"],
    "properties": {
        "libraries": {"type": "array", "items": {"type": "string"}},
        "score": {"type": "integer", "minimum": 0},
    },
}


def contract(schema: Any, keys: str = "handoff/**") -> Contract:
    """A contract by a schema, or by the text of one."""
    return Contract(keys, None, schema if isinstance(schema, str) else json.dumps(schema))


def told(schema: Any, value: Any) -> list[str]:
    return problems([contract(schema)], value)


def test_a_value_that_keeps_its_contracts_has_no_problems() -> None:
    """And what no contract binds is free."""
    value = {"recommended_approach": "JWT", "libraries": ["jose"], "score": 3, "more": None}
    assert told(HANDOFF, value) == problems([], value) == told(True, value) == told({}, value) == []
    check([contract(HANDOFF), contract(True)], "default", "handoff/step1", value)


def test_every_problem_is_told_in_the_order_of_the_value() -> None:
    """Whoever has to mend it wants to mend it once: elements by position, members by code point."""
    value = {"score": -1, "libraries": [*["x"] * 2, None, *["x"] * 7, 10, {}]}
    assert told(HANDOFF, value) == [
        "'recommended_approach' is a required property",
        '/libraries/2: null is not of type "string"',
        '/libraries/10: 10 is not of type "string"',
        '/libraries/11: {} is not of type "string"',
        "/score: -1 is less than the minimum of 0",
    ]


def test_the_order_is_the_value_s_and_not_the_schema_s() -> None:
    """A schema may speak of z before a, and of the inside before the outside."""
    schema = {"properties": {"z": False, "a": {"properties": {"y": False, "x": False}, "maxProperties": 1}}}
    assert [problem.split(":")[0] for problem in told(schema, {"a": {"x": 1, "y": 2}, "z": 3})] == [
        "/a", "/a/x", "/a/y", "/z",
    ]  # fmt: skip


def test_members_are_named_by_pointers() -> None:
    """A name may hold a slash."""
    assert told({"properties": {"a/b": {"properties": {"~": {"type": "null"}}}}}, {"a/b": {"~": 1}}) == [
        '/a~1b/~0: 1 is not of type "null"'
    ]


def test_the_same_problem_under_two_contracts_is_one() -> None:
    """The problems of several contracts stand in one order."""
    one, other = {"required": ["a", "b"]}, {"required": ["b"], "properties": {"a": {"type": "null"}}}
    assert problems([contract(other), contract(one)], {}) == [
        "'b' is a required property",
        "'a' is a required property",
    ]
    assert problems([contract(other), contract(one)], {"a": 1}) == [
        "'b' is a required property",
        '/a: 1 is not of type "null"',
    ]


def test_the_error_names_the_key_and_the_contracts_that_it_breaks() -> None:
    """And has a next step; of contracts that are kept it is silent."""
    bound = [contract({"required": ["a"]}, "a/**"), contract(True, "**"), contract({"type": "array"}, "a/?")]
    with pytest.raises(ContractError) as caught:
        check(bound, "team", "a/b", {})
    assert caught.value.key == "a/b"
    assert caught.value.problems == ["'a' is a required property", '{} is not of type "array"']
    assert str(caught.value) == (
        "key 'a/b' in namespace 'team' breaks the contract for 'a/**' and 'a/?': "
        "'a' is a required property; {} is not of type \"array\""
    )
    assert "gitmem contract list" in caught.value.hint


def test_values_are_told_as_json_and_cut() -> None:
    """A person reads them in one line; the library would print Python, and all of it."""
    assert told({"enum": ["a", None]}, True) == ['true is not one of ["a", null]']
    assert told({"const": True}, 1) == ["true was expected"]
    (problem,) = told({"type": "null"}, {"a": ["x" * 10_000]})
    assert problem.startswith('{"a": ["xxx')
    assert problem.endswith('… is not of type "null"')
    assert len(problem) < 100
    (problem,) = told({"propertyNames": {"enum": ["x" * 10_000]}}, {"a": 1})
    assert len(problem) <= 300


def test_of_alternatives_it_is_told_why_each_was_none() -> None:
    """That none of them fits helps nobody."""
    schema = {"anyOf": [{"type": "string"}, {"properties": {"a": {"type": "integer"}}}]}
    assert told(schema, {"a": "b"}) == [
        '{"a": "b"} is not valid under any of the given schemas '
        '({"a": "b"} is not of type "string"; or /a: "b" is not of type "integer")'
    ]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"properties": {"a": False}}, {"a": 1}, "/a: nothing is allowed here"),
        ({"patternProperties": {"^x": False}}, {"xy": 1}, "/xy: nothing is allowed here"),
        ({"prefixItems": [True, False]}, [1, 2], "/1: nothing is allowed here"),
        ({"$defs": {"a": {"properties": {"b": False}}}, "$ref": "#/$defs/a"}, {"b": 1}, "/b: nothing is allowed here"),
        (False, 1, "nothing is allowed here"),
        ({"not": {}}, 1, "nothing is allowed here"),
    ],
)
def test_what_may_not_be_there_is_told_with_its_place(schema: Any, value: Any, expected: str) -> None:
    """The usual way to forbid a member; the library forgets where it stood."""
    assert told(schema, value) == [expected]


def test_a_list_of_problems_ends() -> None:
    """A million wrong elements would fill the memory and say no more than a thousand do."""
    with pytest.raises(ContractError) as caught:
        check([contract({"items": {"type": "null"}})], "default", "k", [1] * 100_000)
    assert len(caught.value.problems) == MOST
    assert len(str(caught.value)) < 2000
    assert str(caught.value).endswith(f"; and {MOST - 20} more")


def test_types_are_those_of_json_schema() -> None:
    """1.0 is an integer there, though gitmem tells it from 1; true never is."""
    assert told({"type": "integer"}, 1.0) == []
    assert told({"type": "integer"}, True) == ['true is not of type "integer"']


def test_a_schema_may_name_another_draft() -> None:
    """Schemas are copied from elsewhere: `items` as a list, `definitions`, `dependencies`."""
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}, False]}
    assert told(draft7, [1, 2]) == ['/0: 1 is not of type "null"', "/1: nothing is allowed here"]
    draft4 = {"$schema": "http://json-schema.org/draft-04/schema", "minimum": 1, "exclusiveMinimum": True}
    assert told(draft4, 2) == []
    assert told(draft4, 1) != []
    with pytest.raises(InvalidValueError, match="/exclusiveMinimum"):
        check_schema(json.dumps({"minimum": 1, "exclusiveMinimum": True}))


RECURSIVE = {"$defs": {"tree": {"items": {"$ref": "#/$defs/tree"}, "type": "array"}}, "$ref": "#/$defs/tree"}


@pytest.mark.parametrize(
    "schema",
    [
        True,
        False,
        {},
        HANDOFF,
        RECURSIVE,
        {"$ref": "#here", "$defs": {"a": {"$anchor": "here"}}},
        {"$id": "https://example.org/a", "$ref": "#/$defs/a", "$defs": {"a": {}}},
        {"$defs": {"a": {"$id": "https://example.org/b", "$ref": "#/$defs/c", "$defs": {"c": {}}}}},
        {"$dynamicRef": "#node", "$dynamicAnchor": "node"},
        {"properties": {"$ref": {"type": "string"}}},
        {"enum": [{"$ref": "https://example.org/"}], "const": {"$ref": "#/nowhere"}, "default": {"$ref": "x"}},
        {"unheard": "of"},
    ],
)
def test_a_legal_schema_is_accepted(schema: Any) -> None:
    """References inside it, names that only look like references, words of tomorrow."""
    check_schema(json.dumps(schema))


@pytest.mark.parametrize(
    ("schema", "pointer", "word"),
    [
        ({"type": "int"}, "/type", '"int" is not one of ["array"'),
        ({"required": "a"}, "/required", "array"),
        ({"properties": {"a": {"minimum": "1"}}}, "/properties/a/minimum", "number"),
        ({"$defs": {"a/b": {"pattern": "("}}}, "/$defs/a~1b/pattern", "regex"),
        ({"multipleOf": 0}, "/multipleOf", "0"),
        ({"$schema": "https://example.org/mine"}, "/$schema", "no draft"),
        ({"$schema": 5}, "/$schema", "no draft"),
        ({"$ref": 5}, "/$ref", "string"),
        ({"$ref": "https://example.org/schema"}, "", "nothing is fetched"),
        ({"$ref": "other.json#/a"}, "", "nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, "", "nothing is fetched"),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "", "nothing is fetched"),
        ({"items": {"anyOf": [{"$ref": "http://localhost:1/"}]}}, "", "http://localhost:1/"),
        ({"$dynamicRef": "https://example.org/x"}, "", "nothing is fetched"),
        ({"$ref": "#/$defs/a"}, "", "#/$defs/a"),
        ({"properties": {"a": {"$ref": "#b"}}}, "", "leads nowhere"),
        ({"$ref": "#/a/0", "a": []}, "", "leads nowhere"),
        ("[]", "", "object"),
        ("null", "", "object"),
        ('"object"', "", "object"),
        ("{", "", "line 1 column 2"),
        ("", "", "line 1 column 1"),
        ('{"a": 1, "a": 2}', "", "two members"),
        ("[" * 300 + "]" * 300, "", "more than 200"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(schema: Any, pointer: str, word: str) -> None:
    """It is refused when it is added, since it would stop every store to the keys that it binds."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    with pytest.raises(InvalidValueError) as caught:
        check_schema(text)
    assert caught.value.pointer == pointer
    assert word in caught.value.reason
    assert pointer in str(caught.value)
    assert caught.value.hint
    (problem,) = told(text, {"any": "value"})
    assert word in problem


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$ref": "#"}, 1),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, 1),
        ({"multipleOf": 0.5}, 10**600),
        ({"$ref": "#/x/y", "x": {"y": {"$ref": "#/gone"}}}, 1),
        ({"$ref": "#/x", "x": 5}, 1),
        ({"$ref": "#/x", "x": {"type": 5}}, 1),
        ({"$ref": "#/x", "x": {"pattern": "("}}, "text"),
        ({"$ref": "#/x", "x": {"required": 5}}, {}),
    ],
)
def test_a_value_that_cannot_be_judged_does_not_keep_its_contract(schema: Any, value: Any) -> None:
    """gitmem.toml may come from a stranger: circles, faults that no check sees, numbers beyond doubles."""
    (problem,) = told(schema, value)
    assert "cannot be" in problem or "leads nowhere" in problem
    assert len(problem) < 400
    with pytest.raises(ContractError):
        check([contract(schema)], "default", "k", value)


def test_a_schema_too_deep_to_be_checked_is_refused() -> None:
    """The check of a schema goes down into it, deeper than Python's stack."""
    schema: Any = {}
    for _ in range(190):
        schema = {"items": schema}
    with pytest.raises(InvalidValueError, match="too deep"):
        check_schema(json.dumps(schema))


WORDS = [
    "type", "enum", "const", "items", "prefixItems", "properties", "required", "anyOf", "not", "$ref", "$id", "$defs",
    "minimum", "multipleOf", "pattern", "additionalProperties", "unevaluatedProperties", "dependentSchemas", "$schema",
    "contains", "if", "then", "$anchor", "$dynamicRef", "propertyNames", "uniqueItems", "maxLength",
]  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["string", "object", "array", "#", "#/$defs/a", "(", "^a", "a", "http://[", "%zz", "#%zz"])
)


# --- the same verdict everywhere, and in time


def nested(depth: int, value: Any = None) -> Any:
    """A value inside so many lists."""
    for _ in range(depth):
        value = [value]
    return value


def below(frames: int, function: Callable[[], Any]) -> Any:
    """What a function gives when so many calls are on the stack already."""
    return function() if frames == 0 else below(frames - 1, function)


@pytest.mark.parametrize("frames", [0, 500, 800])
def test_a_verdict_does_not_depend_on_the_callers_stack(frames: int) -> None:
    """Verdicts decide what merges come to, and every machine has to come to the same; a kept verdict too."""
    schema = {"type": ["array", "integer"], "items": {"$ref": "#"}}
    contracts._judge.cache_clear()
    assert below(frames, lambda: told(schema, nested(163, 1))) == []
    (problem,) = below(frames, lambda: told(schema, nested(163)))
    assert problem.endswith("/0: null is not of type 'array', 'integer'")
    (problem,) = below(frames, lambda: told({"items": {"allOf": [{"allOf": [{"$ref": "#"}]}]}}, nested(163, 1)))
    assert "too deep" in problem


@pytest.mark.parametrize("frames", [0, 500, 800])
def test_a_schema_is_legal_however_deep_its_reader_stands(frames: int) -> None:
    """What one process takes for no schema is taken so until it ends, and stops every store."""
    schema: Any = {"type": "null"}
    for _ in range(40):
        schema = {"items": schema}
    contracts._judge.cache_clear()
    below(frames, lambda: check_schema(json.dumps(schema)))


def test_a_caller_without_any_stack_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no verdict then; the same holds where memory ends."""
    with pytest.raises(RecursionError):
        below(sys.getrecursionlimit(), lambda: told(HANDOFF, {}))

    def nothing_left(*_: Any) -> str:
        raise MemoryError

    monkeypatch.setattr(contracts, "_reason", nothing_left)
    with pytest.raises(MemoryError):
        told(HANDOFF, {})


@pytest.mark.parametrize(
    ("value", "unique"),
    [
        ([1, True, "1", None, "null", [1], ["1"], {"a": 1}, {"a": "1"}, 0, False, 0.5, [], {}], True),
        ([{"a": 1}, {"a": True}, {"a": [0]}, {"a": [False]}, {"b": 1}, {"a": 1, "b": 1}], True),
        ([2**53, 2.0**53 + 2, 2**53 + 1], True),
        ([1, 1.0], False),
        ([0, -0.0], False),
        ([10**22, 1e22], False),
        ([{"a": [1, {"b": 2}], "c": 0}, {"c": 0.0, "a": [1.0, {"b": 2}]}], False),
        (["a", "a"], False),
    ],
)
def test_elements_are_unique_by_the_equality_of_json_schema(value: list[Any], unique: bool) -> None:
    """1 is 1.0 there and not true, however deep it stands."""
    assert (told({"uniqueItems": True}, value) == []) == unique
    assert told({"uniqueItems": False}, value) == []


@given(st.lists(LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(st.sampled_from("ab"), LEAVES), max_size=5))
def test_unique_is_what_it_is_for_the_library(value: list[Any]) -> None:
    """For elements apart, which it compares one with another."""
    from jsonschema import Draft202012Validator

    pairs = [[one, other] for at, one in enumerate(value) for other in value[:at]]
    alike = [pair for pair in pairs if Draft202012Validator({"const": pair[0]}).is_valid(pair[1])]
    assert (told({"uniqueItems": True}, value) == []) == (not alike)


def test_many_objects_are_known_for_unique_in_time() -> None:
    """Comparing each with each would take hours, while a merge waits."""
    value = [{"id": number} for number in range(100_000)]
    assert told({"uniqueItems": True}, value) == []
    assert told({"uniqueItems": True}, [*value, {"id": 7.0}]) != []


TREE = {
    "$defs": {str(at): {"allOf": [{"$ref": f"#/$defs/{at + 1}"}] * 2} for at in range(30)} | {"30": {}},
    "$ref": "#/$defs/0",
}
NAMED = "https://json-schema.org/draft/2020-12/schema"
NAMED_TREE = {
    "$defs": {name: {"$schema": NAMED, **inner} for name, inner in TREE["$defs"].items()},  # type: ignore[attr-defined]
    "$ref": "#/$defs/0",
}
UNEVALUATED: Any = {"properties": {"a": True}}
for _ in range(60):
    UNEVALUATED = {"allOf": [UNEVALUATED], "unevaluatedProperties": {}}


@pytest.mark.parametrize("schema", [TREE, NAMED_TREE, UNEVALUATED])
def test_a_judgement_ends(schema: Any) -> None:
    """A kilobyte of schema asks for a billion steps: whoever pushes it would stop every merge of a team."""
    (problem,) = told(schema, {"a": 1})
    assert f"more than {STEPS + 2 * STEPS_EACH:,} steps" in problem


def test_a_large_value_may_take_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted against its size: it keeps a contract with references as a small one does."""
    monkeypatch.setattr(contracts, "STEPS", 1000)
    schema = {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"type": "integer"}}}
    assert told(schema, list(range(1000))) == []
    assert told(schema, [*range(1000), None]) == ['/1000: null is not of type "integer"']


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema could otherwise make every writer of a team call home."""
    tried = []

    def refuse(*arguments: Any, **_: Any) -> None:
        tried.append(arguments)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    away = {"$ref": "http://127.0.0.1:1/"}
    hidden = {"$ref": "#/x", "x": away}  # not where a schema is looked for
    assert "nothing is fetched" in told(away, 1)[0]
    assert "cannot be judged" in told(hidden, 1)[0]
    assert tried == []


def test_the_library_is_imported_where_a_value_is_judged() -> None:
    """It takes longer than the rest of a store."""
    program = (
        "import sys; from gitmem import contracts; contracts.check([], 'a', 'b', 1);"
        "assert 'jsonschema' not in sys.modules; contracts.check_schema('true'); assert 'jsonschema' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=TOP)


ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WORDS, "a"]), inner, max_size=3),
    max_leaves=12,
)


@given(ANYTHING, ANYTHING)
def test_whatever_the_schema_what_comes_out_is_a_list_of_problems(schema: Any, value: Any) -> None:
    """The law: no schema makes a write, or a merge, fail in a way that nobody expects."""
    found = told(schema, value)
    assert all(isinstance(problem, str) and problem for problem in found)
    try:
        check_schema(json.dumps(schema))
    except GitmemError:
        assert found
