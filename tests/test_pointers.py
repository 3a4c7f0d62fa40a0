"""JSON pointers: every place has one pointer, and a pointer names one place or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitmem import codec, pointers
from gitmem.errors import InvalidPatternError

FIXTURES = Path(__file__).parent.parent / "fixtures" / "values"
CASES = json.loads((FIXTURES / "pointers.json").read_text("utf-8"))["cases"]


def having(outcome: str) -> list[Any]:
    return [pytest.param(case, id=case["pointer"][:20]) for case in CASES if outcome in case]


tokens = st.lists(st.text("ab~/01", max_size=4) | st.text(max_size=4), max_size=4).map(tuple)


@given(tokens)
@example(("~1", "~0", "~01", "/", ""))
def test_tokens_survive_being_written(path: pointers.Tokens) -> None:
    """Member names may hold the pointer's own signs; the order of the two escapes is where others err."""
    assert pointers.parse(pointers.format(path)) == path


@given(st.lists(st.sampled_from(["~0", "~1", "/", "a", "0", "-"]), max_size=8).map("".join))
def test_legal_pointers_are_written_as_they_were(tail: str) -> None:
    """A place has one pointer, so pointers can be compared as text."""
    assert pointers.format(pointers.parse("/" + tail)) == "/" + tail


def test_the_empty_pointer_has_no_token() -> None:
    """ "" is the whole value and "/" the member with the empty name."""
    assert pointers.parse("") == ()
    assert pointers.parse("/") == ("",)
    assert pointers.format(()) == ""


@pytest.mark.parametrize("case", having("result"))
def test_a_pointer_finds_its_place(case: Any) -> None:
    """The examples of the RFC."""
    assert codec.equal(pointers.resolve(case["value"], case["pointer"]), case["result"])


@pytest.mark.parametrize("case", having("missing"))
def test_a_missing_place_is_a_lookup_error(case: Any) -> None:
    """Python would take -1, +1, 01, 1_0 and other digits for positions; a pointer does not."""
    with pytest.raises(LookupError, match=r"."):
        pointers.resolve(case["value"], case["pointer"])


@pytest.mark.parametrize("case", having("malformed"))
def test_a_malformed_pointer_is_the_callers_error(case: Any) -> None:
    """It is refused whatever the value is, with the pointer, the reason and a next step."""
    for act in (pointers.parse, lambda pointer: pointers.resolve(case["value"], pointer)):
        with pytest.raises(InvalidPatternError) as caught:
            act(case["pointer"])
        assert caught.value.pattern == case["pointer"]
        assert caught.value.reason
        assert caught.value.hint
