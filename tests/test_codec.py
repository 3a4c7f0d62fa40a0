"""The codec: one value has one text, and nothing else gets in."""

from __future__ import annotations

import enum
import json
import math
import sys
from collections import OrderedDict, UserDict
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitmem import codec
from gitmem.errors import InvalidValueError

FIXTURES = Path(__file__).parent.parent / "fixtures" / "values"


def cases(name: str) -> list[Any]:
    rows = json.loads((FIXTURES / name).read_text("utf-8"))["cases"]
    return [pytest.param(row, id=row["name"]) for row in rows]


def spelled(text: Any) -> str:
    """A fixture's text: plain, or a list of [piece, times]."""
    return text if isinstance(text, str) else "".join(piece * times for piece, times in text)


def oracle(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2)
    return (text + "\n").encode("utf-8")


def typed(value: Any) -> Any:
    """The value with every type spelled out: an equality by type that owes nothing to the codec."""
    if isinstance(value, dict):
        return ("object", sorted((name, typed(child)) for name, child in value.items()))
    if isinstance(value, list | tuple):
        return ("list", [typed(child) for child in value])
    return (type(value).__name__, repr(value))


def refusal(value: object, **options: Any) -> InvalidValueError:
    with pytest.raises(InvalidValueError) as caught:
        codec.encode(value, **options)
    return caught.value


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["", "a", "é", "~/", "\u2028"]
)
numbers = st.integers() | st.integers(-2, 2) | st.floats(allow_nan=False, allow_infinity=False)
scalars = (
    st.none() | st.booleans() | numbers | text | st.sampled_from([0.0, -0.0, 1.0, 10**300, 1e16, 5e-324])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4)
)
alike = st.sampled_from(
    [0, 0.0, -0.0, False, 1, 1.0, True, "1", None, [], {}, "", [1], [1.0], [True], {"a": 1}, {"a": 1.0}]
)
lookalikes = st.recursive(
    alike, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("a"), inner)
)


# --- the laws


@given(values)
@example({"b": [1.0, {"": []}], "a": {}})
def test_encode_prints_what_json_dumps_prints(value: Any) -> None:
    """FORMAT.md names CPython's printer as the reference, so it is the oracle."""
    assert codec.encode(value) == oracle(value)


@given(values)
def test_decode_gives_back_what_was_encoded(value: Any) -> None:
    """A store that changes a value, or only a type, on the way is no store."""
    data = codec.encode(value)
    assert typed(codec.decode(data)) == typed(value)
    assert typed(codec.decode(data.decode())) == typed(value)
    assert typed(codec.decode_trusted(data)) == typed(value)


@given(values, st.sampled_from([None, 0, 1, "\t"]), st.booleans())
def test_every_text_of_a_value_has_the_same_canonical_bytes(
    value: Any, indent: Any, ascii_only: bool
) -> None:
    """Equal values are equal blobs, however somebody else wrote them; canonical bytes are a fixed point."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    data = codec.encode(codec.decode(text))
    assert data == oracle(value)
    assert codec.encode(codec.decode(data)) == data


@given(lookalikes | values, lookalikes | values)
@example([0.0], [-0.0])
@example({"a": 1}, {"a": True})
@example({"a": [1]}, {"a": [1.0]})
@example({"a": 1, "b": 2}, {"b": 2, "a": 1})
@example([1, 2], [2, 1])
@example({"a": 1}, {"b": 1})
@example([1], [1, 1])
def test_equal_is_equality_of_bytes(a: Any, b: Any) -> None:
    """Merging and diffing compare values, the tree compares bytes; they must never disagree."""
    assert codec.equal(a, b) == (codec.encode(a) == codec.encode(b))
    assert codec.equal(a, codec.decode(codec.encode(a)))


# --- fixtures


@pytest.mark.parametrize("case", cases("accepted.json"))
def test_accepted_text_has_its_canonical_form(case: Any) -> None:
    """Another implementation of the format must print these bytes."""
    value = codec.decode(spelled(case["text"]))
    if case["canonical"] is None:
        assert codec.encode(value) == oracle(value)
    else:
        assert codec.encode(value).decode() == spelled(case["canonical"])
        assert codec.encode(codec.decode(spelled(case["canonical"]))).decode() == spelled(case["canonical"])


@pytest.mark.parametrize("case", cases("refused.json"))
def test_refused_text_names_its_place(case: Any) -> None:
    """Whoever wrote the text must find the fault in it; as bytes and as text it is the same one."""
    text = spelled(case.get("text", ""))
    forms: list[bytes | str] = [bytes.fromhex(case["hex"])] if "hex" in case else [text, text.encode()]
    for form in forms:
        with pytest.raises(InvalidValueError) as caught:
            codec.decode(form)
        assert caught.value.pointer == spelled(case["pointer"])
        assert case["reason"] in caught.value.reason
        assert caught.value.hint
        assert caught.value.reason in str(caught.value)


# --- what Python values there are


class Colour(enum.StrEnum):
    RED = "red"


class OldColour(str, enum.Enum):  # noqa: UP042 - the older way, whose str() is another text
    BLUE = "blue"


class Level(enum.IntEnum):
    HIGH = 3


class Loud(float):
    def __repr__(self) -> str:
        return "LOUD"


class Shy(int):
    def __repr__(self) -> str:
        return "shy"

    def __lt__(self, other: object) -> bool:
        return False

    __gt__ = __lt__


class Point(NamedTuple):
    x: int
    y: int


class Liar(dict[str, int]):
    def items(self) -> Any:
        return [("lie", 0)]

    def __iter__(self) -> Any:
        return iter(["lie"])

    def __len__(self) -> int:
        return 1


class Twin(str):
    """A name that is equal to nothing but itself."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        ([Colour.RED, OldColour.BLUE], ["red", "blue"]),
        ({OldColour.BLUE: 1, Colour.RED: 2, "green": 3}, {"blue": 1, "green": 3, "red": 2}),
        (Level.HIGH, 3),
        ([Loud(1.5), Shy(7)], [1.5, 7]),
        (OrderedDict(b=1, a=2), {"a": 2, "b": 1}),
        (Liar(a=1, b=2), {"a": 1, "b": 2}),
    ],
    ids=repr,
)
def test_subclasses_are_values_of_the_type_they_derive_from(value: object, plain: object) -> None:
    """Enums and named tuples are what agents have at hand; their own repr must not reach the file."""
    assert codec.encode(value) == codec.encode(plain)
    assert codec.equal(value, plain)
    assert codec.equal(plain, value)


@pytest.mark.parametrize(
    ("value", "pointer", "reason"),
    [
        ({"a": [b"x"]}, "/a/0", "bytes"),
        ({"a": {1, 2}}, "/a", "set"),
        pytest.param([0, object()], "/1", "object", id="object"),
        (Decimal(1), "", "Decimal"),
        (UserDict(a=1), "", "UserDict"),
        ({"a": {1: 2}}, "/a", "int"),
        ({"a": {None: 2, "b": 1}}, "/a", "NoneType"),
        ([{Twin("a"): 1, Twin("a"): 2}], "/0", "two members"),
        ([math.nan], "/0", "nan"),
        ({"a/b": {"~": -math.inf}}, "/a~1b/~0", "-inf"),
        ([1, 10**640], "/1", "640 digits"),
        (-(10**640), "", "640 digits"),
        (1 << 10_000_000, "", "640 digits"),
        ({"a": ["é\ud800"]}, "/a/0", "surrogate"),
        ({"b": {"x\udfff": 1}}, "/b", "surrogate"),
        ("\ud83d\ude00", "", "surrogate"),
        ({"a": 1, "b": math.nan, "c": math.nan}, "/b", "nan"),
    ],
    ids=lambda case: "" if isinstance(case, int) else ascii(case)[:40],
)
def test_what_is_no_value_is_refused_at_its_place(value: object, pointer: str, reason: str) -> None:
    """The caller has the value before them and needs the member, not the fact alone."""
    error = refusal(value)
    assert error.pointer == pointer
    assert reason in error.reason
    assert error.hint


def test_raw_surrogates_in_text_are_refused_at_their_place() -> None:
    """A str may hold what no UTF-8 file can, even two halves side by side."""
    for raw, pointer in [('{"a": ["\ud83d\ude00"]}', "/a/0"), ('"\ud83d\\ude00"', ""), ("[\ud800", "")]:
        with pytest.raises(InvalidValueError) as caught:
            codec.decode(raw)
        assert caught.value.pointer == pointer


def test_ints_of_640_digits_pass_whatever_the_interpreter_limits() -> None:
    """sys.set_int_max_str_digits is global and somebody else's; 640 is the least that it can be set to."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        number = 10**640 - 1
        assert codec.decode(codec.encode(-number)) == -number
        assert "640 digits" in refusal(number + 1).reason
    finally:
        sys.set_int_max_str_digits(before)


# --- depth


def nested(depth: int, kind: str = "[") -> Any:
    value: Any = [] if kind == "[" else {}
    for _ in range(depth - 1):
        value = [value] if kind == "[" else {"a": value}
    return value


@pytest.mark.parametrize("kind", ["[", "{"])
def test_200_containers_pass_and_201_do_not(kind: str) -> None:
    """The limit is exact, the same in both directions, and an empty container counts."""
    assert codec.encode(nested(200, kind)) == oracle(nested(200, kind))
    assert codec.equal(codec.decode(json.dumps(nested(200, kind))), nested(200, kind))
    step = "/0" if kind == "[" else "/a"
    with pytest.raises(InvalidValueError) as caught:
        codec.decode(json.dumps(nested(201, kind)))
    assert caught.value.pointer == step * 200
    # the innermost container is empty, and empty ones are printed without being entered
    assert refusal(nested(201, kind)).pointer == step * 200
    assert refusal(nested(202, kind)).pointer == step * 200


def test_a_cycle_ends_at_the_depth_limit() -> None:
    """A value that contains itself is a mistake of the caller, not a crash."""
    ring: dict[str, Any] = {"a": 1}
    ring["self"] = [ring]
    assert "200 containers" in refusal(ring).reason


def at_depth(frames: int, act: Any) -> Any:
    return act() if frames == 0 else at_depth(frames - 1, act)


def stack_left() -> int:
    """How many calls the test can still make, less twenty."""
    frame, depth = sys._getframe(), 0
    while frame.f_back:
        frame, depth = frame.f_back, depth + 1
    return sys.getrecursionlimit() - depth - 20


def test_deep_values_print_and_compare_on_a_nearly_full_stack() -> None:
    """Printing keeps its own stack: a caller deep in a framework can store what is legal."""
    value, twin = nested(200), nested(200)
    left = stack_left()
    assert at_depth(left, lambda: codec.encode(value)) == oracle(value)
    assert at_depth(left, lambda: codec.equal(value, twin))


def test_a_full_stack_is_not_taken_for_a_fault_of_the_value() -> None:
    """json's own scanner may run out of stack; then the text is not called illegal."""
    data = codec.encode(nested(200))
    left = stack_left()
    try:
        read = at_depth(left, lambda: codec.decode(data))
    except RecursionError:
        return
    assert codec.equal(read, nested(200))


# --- size


@pytest.mark.parametrize(
    "value", ["x" * 100, "é" * 100, ["a"] * 30, {"a": {"b": [1, {}]}}], ids=["1", "2", "3", "4"]
)
def test_the_size_limit_is_exact_in_bytes_with_the_newline(value: object) -> None:
    """The limit is one of bytes in the file: characters that need two count twice."""
    size = len(oracle(value))
    assert codec.encode(value, max_bytes=size) == oracle(value)
    assert codec.decode(oracle(value), max_bytes=size) == value
    assert codec.decode(oracle(value).decode(), max_bytes=size) == value
    for error in (refusal(value, max_bytes=size - 1), refusal(value, max_bytes=3)):
        assert error.pointer == ""
        assert "bytes" in error.reason
    for data in (oracle(value), oracle(value).decode()):
        with pytest.raises(InvalidValueError, match="bytes"):
            codec.decode(data, max_bytes=size - 1)


@pytest.mark.parametrize("shape", ["pairs", "members", "chains", "texts"])
def test_shared_references_do_not_explode(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty small lists can stand for 2**60 elements, and a deep chain many times is mostly brackets."""
    value: Any = []
    for _ in range(60):
        value = [value, value] if shape == "pairs" else {"a": value, "b": value}
    if shape == "chains":
        value = [nested(199)] * 100_000  # each is printed in 79,000 characters
    elif shape == "texts":
        value = ["x" * 1000] * 100_000
    opened, printed = counters(monkeypatch)
    assert "bytes" in refusal(value, max_bytes=100_000).reason
    assert len(opened) <= (2 * 198 + 1 if shape == "chains" else 100_000 / 3)
    assert len(printed) <= 100


def counting(calls: list[int], act: Any) -> Any:
    def counted(given: Any) -> Any:
        calls.append(1)
        return act(given)

    return counted


def counters(monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[int]]:
    """Lists that grow with each container that is opened, and each text that is printed."""
    opened: list[int] = []
    printed: list[int] = []
    rows, quote = codec._rows, codec._SCALARS[str]
    monkeypatch.setattr(codec, "_rows", counting(opened, rows))
    monkeypatch.setitem(codec._SCALARS, str, counting(printed, quote))
    return opened, printed


def test_equal_ends_on_shared_references_and_cycles() -> None:
    """Two containers are compared once, so 2**60 paths are sixty comparisons."""

    def doubled(leaf: int) -> Any:
        value: Any = [leaf]
        for _ in range(60):
            value = [value, value]
        return value

    assert codec.equal(doubled(1), doubled(1))
    assert not codec.equal(doubled(1), doubled(2))
    rings: list[list[Any]] = [[1], [1]]
    for ring in rings:
        ring.append(ring)
    assert codec.equal(*rings)


def test_what_is_no_value_equals_only_itself() -> None:
    """equal answers and never raises: callers pass markers for what is absent."""
    marker = object()
    assert codec.equal(marker, marker)
    assert not codec.equal(marker, object())
    assert not codec.equal([marker], [None])
    assert not codec.equal(b"a", "a")


def test_decode_trusted_and_decode_never_share_values() -> None:
    """Each call gives a value of its own; whoever changes it changes nobody else's."""
    data = codec.encode({"a": []})
    for read in (codec.decode, codec.decode_trusted):
        one: Any = read(data)
        one["a"].append(1)
        assert read(data) == {"a": []}
