"""TOML: what is read, and in which line each part of it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from gitmem import toml

TRICKY = """\
name = "line 1"   # a # in a comment, and a quote: "
'quoted "name"' = 'line 2' # [[not]] a header
dotted . "second part".third = "line 3"
many = [ "line 4",
  # "no element", ]
  "line 6", [ "line 6", [
    "line 7" ] ], { key = "line 7", until = 'line 7' },
  3.14, 1979-05-27 07:32:00.5, "line 8" ]
long = \"\"\"
[[task]]
name = "no" \\\"\"\" \"\"\"\"\"
literal = '''
]'''
[agents.researcher]
command = ["line 15", "{prompt}"]
[[task]]
name = "line 17"
[task.inner]
name = "line 19"
[[task.rows]]
name = "line 21"
[[task.rows]]
name = "line 23"
[ "task" . other ]
name = "line 25"
[[task]]
name = "line 27"
[task.inner]
name = "line 29"
empty = []
none = {}
text = ["", '', "]", '}', ","]
"""


def places(value: Any, place: toml.Place = ()) -> Iterator[tuple[toml.Place, Any]]:
    if place:
        yield place, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield from places(one, (*place, name))


def test_every_part_of_a_document_has_its_line() -> None:
    """Comments, quotes, text over several lines, lists in lists and headers all try to shift it."""
    lines = toml.Lines(TRICKY)
    told = [(place, value) for place, value in places(toml.parse(TRICKY)) if str(value).startswith("line ")]
    assert len(told) == 18
    assert [(place, f"line {lines.of(*place)}") for place, _ in told] == told


def test_a_table_has_the_line_of_its_header() -> None:
    """Where a setting is missing, its table is what can be pointed at."""
    lines = toml.Lines(TRICKY)
    assert [lines.of("task", number) for number in (0, 1)] == [16, 26]
    assert [lines.of("task", 0, "rows", number) for number in (0, 1)] == [20, 22]
    assert lines.of("agents") == lines.of("agents", "researcher") == 14
    assert (lines.of("long"), lines.of("literal")) == (9, 12)


def test_what_is_not_there_has_the_line_of_what_is_around_it() -> None:
    """A place of a problem may be one that should be there."""
    lines = toml.Lines(TRICKY)
    assert lines.of("task", 1, "agent") == 26
    assert lines.of("many", 99) == 4
    assert lines.of("nothing", "at", "all") is lines.of() is None


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        (b"a = 1\nb = \xff\n", 2, "UTF-8"),
        (b"a = 1\nb = 1 2\n", 2, "Expected newline"),
        (b"a = 1\nb = [", 2, "Invalid value"),
        (b"a = " + b"[" * 5000, None, "too deeply"),
        (b"a = 1\na = 2\n", 2, "Cannot overwrite"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(source: bytes, line: int | None, reason: str) -> None:
    """The file is written by hand."""
    with pytest.raises(toml.Malformed, match=reason) as caught:
        toml.parse(toml.decode(source))
    assert (caught.value.line, "at line" in caught.value.reason) == (line, False)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4) | st.sampled_from(["a", "b", "[a]"])
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=12,
    ),
    max_size=4,
)


def numbered(value: Any, count: Iterator[int]) -> Any:
    """The document with a number of its own at each leaf."""
    if isinstance(value, dict):
        return {name: numbered(one, count) for name, one in value.items()}
    if isinstance(value, list):
        return [numbered(one, count) for one in value]
    return f"leaf {next(count)};"


@given(DOCUMENTS)
def test_the_lines_are_those_of_any_document(document: dict[str, Any]) -> None:
    """As another program writes it, with tables, lists of tables and inline tables as it thinks fit."""
    document = numbered(document, iter(range(100)))
    text = tomli_w.dumps(document)
    assert toml.parse(text) == document
    lines = toml.Lines(text)
    for place, value in places(document):
        shown = text.split("\n")[(lines.of(*place) or 0) - 1]
        if isinstance(value, str):
            assert value in shown, place
        elif isinstance(value, dict | list) and isinstance(place[-1], str):
            assert place[-1] in shown or json.dumps(place[-1])[1:-1] in shown or "\\" in shown, place


@given(st.text(st.sampled_from("[]{}=,.\"'#\n a1"), max_size=30))
def test_a_search_in_what_is_no_toml_ends(text: str) -> None:
    """It promises no lines there, but a caller who forgot to parse must not wait for ever."""
    toml.Lines(text)
