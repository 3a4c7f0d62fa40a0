"""Which of the patterns that answer a question are worth reading first.

Knows relevance, counts, ages and words; does not know what a pattern is, nor where it lies.
Law: relevance decides. What is known of the outcomes and how long ago that was turn the order of those that are
about equally relevant, and of two that say the same the better one comes first, the other behind what is new.

    relevance   BM25 x how much of the question the name and the approach speak of
    merit       relevance x outcomes x age; the best of a question's has a relevance of 1
    outcomes    what is sure of success less what is sure of failure: 0 where nobody has tried
    choose      again and again the one with the most merit, less what of it is said already

The interval is Wilson's (1927) for a share; taking likeness to what is chosen off the merit is the idea of maximal
marginal relevance (Carbonell and Goldstein, 1998).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from math import pow, sqrt
from typing import NamedTuple

COVER = 1.0
"""How much more a pattern answers whose name and approach have all words of the question than one that has none there.

BM25 adds up the words that are there: one rare word in passing is worth as much to it as the whole question.
"""
OUTCOMES = 0.25
"""By how much a pattern that always succeeded comes before one that nobody tried, and that before one that failed."""
AGE = 0.1
"""By how much one of today comes before one that was forgotten."""
HALF_LIFE = 180.0
"""Days after which half of what being new is worth is gone."""
SAME = 0.5
"""From this likeness on two patterns say in part the same."""
REPEATED = 0.4
"""How much of its merit a pattern loses that says exactly what another says that is chosen already."""

_SURE = 1.96  # of a normal distribution 95 % lie within so many standard deviations
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_CONTRACTED = re.compile(r"(?<=\w)(?:n['’]t|['’](?:d|ll|m|re|s|ve))\b", re.IGNORECASE)
_ENDINGS = ("ings", "ing", "edly", "ed", "es", "s", "e")
_SHORTEST_STEM = 3
_STOP = frozenset(_WORD.findall(
    "a an and any are as at be but by can do does each every for from has have how i if in into is it its me my not of "
    "on or our should so than that the their them then there these they this to us use used using via was we what when "
    "where which who why will with you your"
))  # fmt: skip


class Interval(NamedTuple):
    """Where a share lies, with 95 % of certainty: numbers from 0 to 1."""

    low: float
    high: float


class Candidate(NamedTuple):
    """What is to be ranked. Only the proportions of `relevance` count; `age` is in days, `words` are what it says."""

    name: str
    relevance: float
    successes: float
    failures: float
    age: float
    words: frozenset[str]


class Choice(NamedTuple):
    """A candidate that was chosen. `instead_of` would have come here, but `repeats` says nearly the same already."""

    candidate: Candidate
    score: float
    instead_of: str | None = None
    repeats: str | None = None


def interval(successes: float, failures: float) -> Interval:
    """Where the share of successes lies; anywhere, as long as nobody has tried."""
    tried = successes + failures
    if not tried:
        return Interval(0.0, 1.0)
    share, slack = successes / tried, _SURE**2 / tried
    middle = (share + slack / 2) / (1 + slack)
    reach = _SURE * sqrt(share * (1 - share) / tried + slack / (4 * tried)) / (1 + slack)
    return Interval(max(0.0, middle - reach), min(1.0, middle + reach))


def telling(question: str) -> str:
    """The question without the words that every question has; as it is if it has no others.

    Among a few patterns, "a" may be the rarest word of all, and then it would decide.
    """
    plain = _CONTRACTED.sub("", question)
    left = _WORD.sub(lambda found: "" if found[0].casefold() in _STOP else found[0], plain)
    return left if _WORD.search(left) else question


def words(*texts: str) -> frozenset[str]:
    """The words of texts, so that those which differ in an ending alone, or in case, are one."""
    return frozenset(map(_stem, {*_WORD.findall(" ".join(texts).casefold())} - _STOP))


@lru_cache(1 << 13)
def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word[: -len(ending)]
    return word


def relevance(score: float, question: frozenset[str], said: frozenset[str]) -> float:
    """How well what is said in a few words answers a question, from the score of all of it."""
    return score * (1 + COVER * len(question & said) / len(question)) if question else score


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """How much two sets of words are the same (Dice's measure): from 0, nothing, to 1."""
    number = len(one) + len(other)
    return 2 * len(one & other) / number if number else 0.0


def merit(candidate: Candidate, best: float) -> float:
    """What a candidate is worth by itself; `best` is the greatest relevance of all."""
    sure = interval(candidate.successes, candidate.failures)
    outcomes = sure.low - (1 - sure.high)
    youth = pow(0.5, max(candidate.age, 0.0) / HALF_LIFE)
    return (candidate.relevance / best if best else 0.0) * (1 + OUTCOMES * outcomes) * (1 + AGE * (youth - 0.5))


def choose(candidates: Iterable[Candidate], limit: int) -> list[Choice]:
    """The best of them, the first first; of equal ones the one that came first."""
    given = list(candidates)
    best = max((one.relevance for one in given), default=0.0)
    left = [_Runner(one, merit(one, best)) for one in given]
    chosen: list[Choice] = []
    while left and len(chosen) < limit:
        taken = max(left, key=lambda one: one.score)
        foremost = max(left, key=lambda one: one.merit)
        put_off = (None, None) if foremost is taken else (foremost.candidate.name, foremost.repeats)
        chosen.append(Choice(taken.candidate, taken.score, *put_off))
        left.remove(taken)
        for one in left:
            one.compare(taken.candidate)
    return chosen


class _Runner:
    """A candidate that is not chosen yet, and what of it is said already."""

    def __init__(self, candidate: Candidate, merit: float) -> None:
        self.candidate = candidate
        self.merit = self.score = merit
        self.repeats: str | None = None
        self._alike = SAME

    def compare(self, other: Candidate) -> None:
        """Take note of one that was chosen: whatever is most alike counts."""
        alike = likeness(self.candidate.words, other.words)
        if alike > self._alike:
            self._alike, self.repeats = alike, other.name
            self.score = self.merit * (1 - REPEATED * (alike - SAME) / (1 - SAME))
