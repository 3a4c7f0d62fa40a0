"""What comes of a question: patterns with the reasons why they were chosen, and the note of it in the session.

Knows sentences and notes; which pattern is chosen, `ranking` decides from what stands here.
Law: a pattern that a session recalled stays noted as it was first recalled, until its outcome is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitmem.entries import format_time
from gitmem.recipes.ranking import Candidate, Choice, relevance, words
from gitmem.recipes.reasoning_members import Pattern

if TYPE_CHECKING:
    from gitmem.entries import Entry

NOTE = "recalled"
"""The key below `session/<id>/` in the namespace `coordination` that tells what a session recalled."""

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Recalled:
    """A pattern that answers a question. `score` is about 1 for the best; `words` are those of the question that it
    speaks of, and `reasons` say in words why it was chosen.
    """

    pattern: Pattern
    score: float
    words: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def entry(self) -> Entry:
        """The pattern's entry."""
        return self.pattern.entry

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        why = {"score": round(self.score, 4), "words": list(self.words), "reasons": list(self.reasons)}
        return {**self.pattern.to_json(), **why}


def candidate(pattern: Pattern, score: float, question: frozenset[str], now: datetime) -> Candidate:
    """A pattern, whose text answers a question (its words) with this score, as `ranking` sees it."""
    went, said = pattern.outcomes, pattern.words
    answers = relevance(score, question, said | words(*pattern.name))
    return Candidate(pattern.key, answers, went.successes, went.failures, _age(pattern, now), said)


def reasons(pattern: Pattern, spoken: Sequence[str], choice: Choice, now: datetime) -> tuple[str, ...]:
    """Why this one, in sentences without a full stop."""
    told = [f"speaks of {', '.join(spoken)}"] if spoken else []
    told += [pattern.outcomes.told(), f"last learned or tried {_ago(pattern, now)}"]
    if choice.instead_of is not None:
        told.append(f"preferred to {choice.instead_of}, which says nearly the same as {choice.repeats}")
    return tuple(told)


def with_recalled(question: str, recalled: Iterable[Recalled], now: datetime) -> Callable[[Any], Any]:
    """The change of a session's note after a question: what is noted already stays as it is."""
    notes = {
        one.entry.key: {"question": question, "version": one.entry.version, "time": format_time(now), "outcome": None}
        for one in recalled
    }
    return lambda value: {**notes, **noted(value)}


def with_outcome(key: str, outcome: str) -> Callable[[Any], Any]:
    """The change of a session's note after an outcome: what was never recalled there is not noted now."""

    def told(value: Any) -> Any:
        notes = noted(value)
        return {**notes, key: {**notes[key], "outcome": outcome}} if key in notes else value

    return told


def noted(value: Any) -> dict[str, dict[str, Any]]:
    """A session's note as it was read: key -> question, version, time, outcome."""
    rows = value.items() if isinstance(value, dict) else ()
    return {key: row for key, row in rows if isinstance(row, dict)}


def _age(pattern: Pattern, now: datetime) -> float:
    return max(0.0, (now - pattern.entry.time).total_seconds() / _DAY)


def _ago(pattern: Pattern, now: datetime) -> str:
    days = int(_age(pattern, now))
    ago = "today" if days == 0 else "a day ago" if days == 1 else f"{days} days ago"
    return f"{ago} ({pattern.entry.time:%Y-%m-%d})"
