"""What is worth reading first: relevance decides, then how it went, how old it is, and whether it was said already."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem.recipes.ranking import Candidate, choose, interval, likeness, relevance, telling, words

FAR = 400.0  # days


def candidate(
    name: str, relevance: float = 1.0, went: tuple[int, int] = (0, 0), age: float = 0.0, says: str = ""
) -> Candidate:
    return Candidate(name, relevance, *went, age, words(says or name))


def names(*candidates: Candidate, limit: int = 5) -> list[str]:
    return [one.candidate.name for one in choose(candidates, limit)]


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_interval_holds_the_share_and_narrows_with_every_try(successes: int, failures: int) -> None:
    """A pattern that was tried more often is known better, whichever way it went."""
    low, high = interval(successes, failures)
    assert 0 <= low <= high <= 1
    if successes + failures:
        assert low - 1e-9 <= successes / (successes + failures) <= high + 1e-9
        wide, more = high - low, interval(2 * successes, 2 * failures)
        assert more.high - more.low < wide
    assert interval(failures, successes) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(
    ("went", "low", "high"), [((9, 1), 0.596, 0.982), ((0, 0), 0, 1), ((5, 0), 0.566, 1), ((0, 5), 0, 0.434)]
)
def test_the_interval_is_wilson_s(went: tuple[int, int], low: float, high: float) -> None:
    """Figures from tables of the Wilson score interval at 95 %."""
    assert interval(*went) == pytest.approx((low, high), abs=0.001)


def test_nothing_makes_up_for_what_answers_another_question() -> None:
    """A pattern that always works for something else is no answer."""
    answer = candidate("answer", 10, (0, 9), FAR)
    other = candidate("other", 4, (1000, 0), 0)
    assert names(other, answer) == ["answer", "other"]


def test_among_equally_relevant_ones_what_worked_comes_before_what_nobody_tried_before_what_failed() -> None:
    """Nine of ten before one of one: a single success is no proof."""
    went = {"failed": (0, 9), "once": (1, 0), "never": (0, 0), "proven": (9, 1), "half": (1, 1), "slip": (0, 1)}
    tried = [candidate(name, 1, counts) for name, counts in went.items()]
    assert names(*tried, limit=6) == ["proven", "once", "never", "half", "slip", "failed"]


def test_among_equals_the_newer_one_comes_first() -> None:
    """What was true of last year's version may not be of this one; a clock that runs ahead wins nothing."""
    assert names(candidate("old", age=FAR), candidate("new", age=1)) == ["new", "old"]
    assert names(candidate("now", age=0), candidate("tomorrow", age=-1)) == ["now", "tomorrow"]


def test_what_was_said_already_stands_behind_what_is_new() -> None:
    """Five ways to say one thing are one answer; who was put off, and for what, is told."""
    first, again, another = (
        candidate("first", 1.0, says="rotate refresh tokens on every use"),
        candidate("again", 0.99, says="rotate the refresh token at each use"),
        candidate("another", 0.9, says="keep sessions in redis with a ttl"),
    )
    chosen = choose([first, again, another], 3)
    assert [one.candidate.name for one in chosen] == ["first", "another", "again"]
    assert [(one.instead_of, one.repeats) for one in chosen] == [(None, None), ("again", "first"), (None, None)]


def test_what_was_said_already_still_comes_before_what_hardly_answers() -> None:
    """Being new is no merit by itself."""
    same = [candidate(name, 1, says="rotate refresh tokens") for name in ("a", "b")]
    assert names(*same, candidate("off", 0.3, says="pin your dependencies")) == ["a", "b", "off"]


def test_patterns_that_share_some_words_do_not_stand_in_each_other_s_way() -> None:
    """All answers to a question share its words; only what says mostly the same is a repetition."""
    chosen = choose([
        candidate("jwt", 1.0, says="sign jwt access tokens with rs256"),
        candidate("opaque", 0.98, says="opaque tokens looked up in redis"),
        candidate("mtls", 0.9, says="client certificates between services"),
    ], 3)  # fmt: skip
    assert [one.candidate.name for one in chosen] == ["jwt", "opaque", "mtls"]
    assert all(one.instead_of is None for one in chosen)


few = st.lists(
    st.builds(
        Candidate,
        name=st.uuids().map(str),
        relevance=st.floats(0, 1e6),
        successes=st.integers(0, 50),
        failures=st.integers(0, 50),
        age=st.floats(-10, 1e5),
        words=st.frozensets(st.sampled_from("abcdef")),
    ),
    max_size=12,
    unique_by=lambda one: one.name,
)


@given(few, st.integers(0, 15))
def test_the_best_are_chosen_each_once(candidates: list[Candidate], limit: int) -> None:
    """A shorter answer is the beginning of a longer one; as many as are wanted, or as there are."""
    chosen = choose(candidates, limit)
    assert len(chosen) == min(limit, len(candidates))
    assert len({one.candidate.name for one in chosen}) == len(chosen)
    assert chosen == choose(candidates, 15)[:limit]
    assert {one.candidate for one in chosen} <= {*candidates}


@given(few)
def test_only_proportions_of_relevance_count(candidates: list[Candidate]) -> None:
    """BM25 is of no known scale: in a bank of three patterns it is a thousandth of what it is in one of thousands."""
    scaled = [one._replace(relevance=one.relevance * 1024) for one in candidates]
    assert [one.score for one in choose(scaled, 12)] == [one.score for one in choose(candidates, 12)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Rotate refresh tokens", "rotating the Refresh Token"),
        ("caches; CACHED, caching", "cache"),
        ("用户认证", "认证用户"),
        ("snake_case_names", "snake case names"),
    ],
)
def test_a_word_is_the_same_in_whatever_form(one: str, other: str) -> None:
    """Endings, case, order and punctuation are no difference between two approaches."""
    assert likeness(words(one), words(other)) == 1


@pytest.mark.parametrize(("one", "other"), [("jwt", "oauth"), ("", "jwt"), ("", "")])
def test_nothing_in_common_is_no_likeness(one: str, other: str) -> None:
    """Neither do two patterns that say nothing say the same."""
    assert likeness(words(one), words(other)) == 0


@given(st.text(), st.text())
def test_likeness_is_the_same_from_either_side(one: str, other: str) -> None:
    """Any text has words, or none."""
    found: Any = likeness(words(one), words(other))
    assert found == likeness(words(other), words(one))
    assert 0 <= found <= 1


def test_words_that_every_question_has_are_not_asked_for() -> None:
    """In a small bank "a" is a rare word, and a pattern that has one would be the best answer to anything."""
    assert telling("How do I refresh a token?").split() == ["refresh", "token?"]
    assert telling("Why doesn't a customer's re-run work?").split() == ["customer", "re-run", "work?"]
    assert telling("what’s up").split() == ["up"]
    assert telling("what is it") == "what is it"
    assert telling("如何 use 认证").split() == ["如何", "认证"]


def test_what_speaks_of_the_whole_question_answers_it_better() -> None:
    """One rare word in passing weighs as much as all of the question, where words are only added up."""
    question = words("rotate refresh tokens")
    whole = relevance(8, question, words("Rotate every refresh token on use"))
    part = relevance(9, question, words("Revoke tokens when somebody leaves"))
    assert whole > part > relevance(9, question, words("pin dependencies")) == 9
    assert relevance(9, words(""), question) == 9
