"""Globs: what they mean, told by a slow and obvious matcher, and that none is slow itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitmem import globs
from gitmem.errors import InvalidPatternError
from gitmem.globs import compile_glob, escape

FIXTURES = Path(__file__).parents[1] / "fixtures" / "keys"


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))["cases"]
    return found


def by_automaton(pattern: str) -> Callable[[str], object]:
    return globs._Automaton(globs._parse(pattern)).accepts


def by_expression(pattern: str) -> Callable[[str], object]:
    return re.compile(globs._regex(globs._parse(pattern)), re.DOTALL).fullmatch


# The slow and obvious matcher: reads the pattern from the left, tries everything, never remembers.

Then = Callable[[int], bool]


def obviously(pattern: str, key: str) -> bool:
    return matches_from(pattern, key, 0, lambda end: end == len(key))


def matches_from(pattern: str, key: str, at: int, then: Then) -> bool:
    if not pattern:
        return then(at)
    stars = len(pattern) - len(pattern.lstrip("*"))
    if stars >= 2 and pattern[stars : stars + 1] == "/":
        rest = pattern[stars + 1 :]
        begins = at == 0 or key[at - 1] == "/"
        ends = [end + 1 for end in range(at, len(key)) if key[end] == "/"]
        return any(matches_from(rest, key, end, then) for end in ([at] if begins else []) + ends)
    if stars == 1:
        limit = key.find("/", at) if "/" in key[at:] else len(key)
        return any(matches_from(pattern[1:], key, end, then) for end in range(at, limit + 1))
    if stars or pattern[0] == "%":
        return any(matches_from(pattern[stars or 1 :], key, end, then) for end in range(at, len(key) + 1))
    if pattern[0] == "{":
        alternatives, rest = split_braces(pattern)
        return any(
            matches_from(a, key, at, lambda end: matches_from(rest, key, end, then)) for a in alternatives
        )
    accepts, rest = one_character(pattern)
    return at < len(key) and accepts(key[at]) and matches_from(rest, key, at + 1, then)


def one_character(pattern: str) -> tuple[Callable[[str], bool], str]:
    if pattern[0] == "\\":
        return lambda character: character == pattern[1], pattern[2:]
    if pattern[0] == "?":
        return lambda character: character != "/", pattern[1:]
    if pattern[0] == "[":
        size = class_size(pattern)
        inside = pattern[1 : size - 1]
        negated = inside.startswith("!")
        members = class_members(inside[negated:])
        return lambda character: character != "/" and (character in members) != negated, pattern[size:]
    return lambda character: character == pattern[0], pattern[1:]


def class_size(pattern: str) -> int:
    at = 2 if pattern[1] == "!" else 1
    at += 2 if pattern[at] == "\\" else 1
    while pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1


def class_members(text: str) -> set[str]:
    units: list[tuple[str, bool]] = []
    while text:
        escaped = text[0] == "\\"
        units.append((text[escaped], escaped))
        text = text[1 + escaped :]
    members = set()
    while units:
        first = units.pop(0)[0]
        last = first
        if len(units) >= 2 and units[0] == ("-", False):
            last = units[1][0]
            del units[:2]
        members |= {chr(point) for point in range(ord(first), ord(last) + 1)}
    return members


def split_braces(pattern: str) -> tuple[list[str], str]:
    alternatives, depth, at, begin = [], 0, 0, 1
    while True:
        character = pattern[at]
        if character == "[":
            at += class_size(pattern[at:]) - 1
        elif character == "\\":
            at += 1
        elif character == "{":
            depth += 1
        elif (character == "," and depth == 1) or character == "}":
            depth -= character == "}"
            if depth == 0 or character == ",":
                alternatives.append(pattern[begin:at])
                begin = at + 1
            if depth == 0:
                return alternatives, pattern[at + 1 :]
        at += 1


ATOMS = ["*", "**", "**/", "/**", "%", "?", "[ab]", "[!a]", "[a-c]", "[!a-b/]", "[.-0]"]
ATOMS += ["a", "b", "c", "-", ".", "/", "*"]
ATOMS += ["[]a]", "[\\]b]", "[!]]", "[a\\-c]", "\\*", "\\{", "\\a", ",", "]", "}", "_", "é"]
PATTERNS = st.recursive(
    st.lists(st.sampled_from(ATOMS), max_size=5).map("".join),
    lambda inner: st.tuples(
        st.lists(st.sampled_from(ATOMS), max_size=2).map("".join),
        st.lists(
            inner.map(lambda text: text.replace("}", "").replace("{", "")) | inner, min_size=1, max_size=3
        ),
        st.lists(st.sampled_from(ATOMS), max_size=3).map("".join),
    ).map(lambda parts: f"{parts[0]}{{{','.join(parts[1])}}}{parts[2]}"),
    max_leaves=4,
)
KEYS = st.text("aab/cb-.]é0*,", max_size=7)


def compiles(pattern: str) -> bool:
    try:
        return bool(compile_glob(pattern))
    except InvalidPatternError:
        return False


@given(PATTERNS.filter(compiles), st.lists(KEYS, min_size=1, max_size=10))
@settings(max_examples=400, deadline=None)
def test_a_pattern_means_what_the_obvious_matcher_says(pattern: str, keys: list[str]) -> None:
    """The law, for the expression and for the automaton, whichever this pattern takes."""
    expected = [obviously(pattern, key) for key in keys]
    assert [compile_glob(pattern).matches(key) for key in keys] == expected
    assert [bool(by_automaton(pattern)(key)) for key in keys] == expected
    assert [bool(by_expression(pattern)(key)) for key in keys] == expected


@given(PATTERNS.filter(compiles), st.lists(KEYS, max_size=40))
@settings(max_examples=120, deadline=None)
def test_select_finds_what_matches_in_order(pattern: str, keys: list[str]) -> None:
    """Bisecting by the prefix is only a shortcut."""
    keys = sorted({*keys, *(key + tail for key in keys[:5] for tail in ("\U0010ffff", "/", "a"))})
    glob = compile_glob(pattern)
    found = list(glob.select(keys))
    assert found == [key for key in keys if glob.matches(key)]
    assert all(key.startswith(glob.prefix) for key in found)
    assert not glob.literal or found in ([], [glob.prefix])


@pytest.mark.parametrize("case", cases("globs"), ids=lambda case: f"{case['pattern']}-{case['key']}"[:40])
def test_a_pattern_means_what_the_format_says(case: dict[str, Any]) -> None:
    """A second implementation must find the same keys; the obvious matcher is held to it too."""
    pattern, key = case["pattern"], case["key"]
    assert compile_glob(pattern).matches(key) is case["matches"]
    assert bool(by_automaton(pattern)(key)) is case["matches"]
    assert obviously(pattern, key) is case["matches"]


@pytest.mark.parametrize("case", cases("malformed_globs"), ids=lambda case: ascii(case["pattern"][:20]))
def test_a_malformed_pattern_is_refused(case: dict[str, Any]) -> None:
    """A guess at what was meant would delete the wrong keys."""
    with pytest.raises(InvalidPatternError) as caught:
        compile_glob(case["pattern"])
    assert case["reason"] in caught.value.reason
    assert caught.value.pattern[:60] == case["pattern"][:60]
    assert len(str(caught.value)) < 300


def test_the_limits_themselves_are_allowed() -> None:
    """32 braces inside each other, and 4,096 characters."""
    assert compile_glob("{" * 32 + "a" + "}" * 32).matches("a")
    assert compile_glob("a" * 4096).matches("a" * 4096)


@pytest.mark.parametrize(
    ("pattern", "prefix", "literal"),
    [
        ("swarm/*/status", "swarm/", False),
        ("a/**/b", "a/", False),
        ("**", "", False),
        (r"a\*b[c]", "a*b", False),
        ("ab{c,d}", "ab", False),
        ("a/b", "a/b", True),
        (r"100\%,}]", "100%,}]", True),
    ],
)
def test_the_prefix_is_all_the_text_before_the_first_wildcard(
    pattern: str, prefix: str, literal: bool
) -> None:
    """Readers open only the directories below it; a literal pattern is one lookup."""
    glob = compile_glob(pattern)
    assert (glob.prefix, glob.literal) == (prefix, literal)


@given(st.text(min_size=1, max_size=30) | st.text("\\*?%[]{},!-/a", min_size=1, max_size=12))
def test_escaped_text_means_itself(text: str) -> None:
    """So that a key, whatever it is, can be put into a pattern, inside braces too."""
    glob = compile_glob(escape(text))
    assert glob.literal
    assert glob.prefix == text
    assert glob.matches(text)
    braces = compile_glob(f"{{x,{escape(text)}}}/y")
    assert list(filter(braces.matches, (f"{text}/y", "x/y", f"{text}"))) == list(
        dict.fromkeys((f"{text}/y", "x/y"))
    )


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("*a*a*a*a*a*a*a*a*b", "a" * 1000),
        ("**a**a**a**a**a**b", "a" * 1000),
        ("%a" * 40 + "b", "a" * 1000),
        ("{a,aa}" * 30 + "b", "a" * 60),
        ("{a,a}" * 30 + "b", "a" * 30),
        ("{a*,*a}" * 30 + "b", "a" * 1000),
        ("{{a,b}*,%}" * 300 + "q", "a" * 1000),
        ("{,a}" * 500 + "b", "a" * 500),
        ("**/" * 60 + "x", "a/" * 500),
        ("**/*a" * 20 + "b", "aa/" * 300),
        ("?*" * 300 + "b", "a" * 1000),
        ("[ab]*" * 300 + "c", "ab" * 500),
        ("{" * 30 + "a*,*a" + "}*" * 30 + "b", "a" * 1000),
        ("{" + ",".join(["%a?"] * 1000) + "}" * 1, "a/" * 500),
        ("**" + "?" * 200 + "b", "ab" * 500 + "/"),
    ],
)
def test_no_pattern_takes_exponential_time(pattern: str, key: str) -> None:
    """Patterns come from agents; a matcher that tries every way would not end within anyone's lifetime."""
    assert not compile_glob(pattern).matches(key)


def test_an_automaton_forgets_before_it_grows_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server keeps compiled patterns for long; what it forgot is worked out again, and right."""
    pattern = "**a????????b{c,cc}*"
    patient, forgetful = by_automaton(pattern), globs._Automaton(globs._parse(pattern))
    monkeypatch.setattr(globs, "_LEARNED", 100)
    keys = [
        f"{number:b}".replace("1", "a").replace("0", "b") + tail
        for number in range(400)
        for tail in ("", "c")
    ]
    for key in keys:
        assert forgetful.accepts(key) == patient(key)
        held = sum(1 + len(row.nodes) for row in forgetful.rows.values() for _ in (*row, None))
        assert held < 1000


def test_common_patterns_take_the_quick_way() -> None:
    """The automaton costs some five times as much a key."""
    for pattern in (
        "swarm/*/status",
        "**",
        "**/log-*",
        "%.md",
        "a/**/b",
        "{a,b}/*/{c,d}",
        "*a*",
        "*/*/*/*/*",
    ):
        assert isinstance(compile_glob(pattern)._accepts, type(re.compile("").fullmatch)), pattern
