"""What the value of a pattern looks like: read as others may have written it, and changed as `reasoning` asks for.

Knows the members. Does not know memories: every change here is a pure function of a value, so that it may run again.
Law: a change touches only the members that it speaks of; what another tool keeps beside them stays.

    pattern_type      what kind of pattern it is; its domain, when nobody said
    approach          what to do
    lessons_learned   what was found out about it
    anti_patterns     what not to do
    code_snippets     name -> text
    related           the keys of other patterns
    sessions_used     the sessions that learned it or tried it
    successes, failures, success_rate   how it went: two counts, and what they come to (0-100)

A count is a whole number from 0 to MOST. What else stands in its place counts nothing when it is read, and is mended by
a person before it is counted on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from gitmem.codec import equal
from gitmem.errors import InvalidValueError
from gitmem.recipes import ranking
from gitmem.recipes.ranking import Interval, interval

if TYPE_CHECKING:
    from gitmem.entries import Entry

FOLDER = "pattern/"
LISTS = ("lessons_learned", "anti_patterns", "related", "sessions_used")
COUNTS = ("successes", "failures")
MOST = 1 << 53
"""The greatest count: so far every program that reads JSON counts exactly, and no share of it is beyond a float."""

_EMPTY: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), **{name: [] for name in LISTS}, "code_snippets": {}}


class Outcomes(NamedTuple):
    """How often a pattern was tried, and how it went. `stated`: somebody said so, and nobody has counted."""

    successes: float
    failures: float
    stated: bool = False

    @property
    def tried(self) -> float:
        """How often."""
        return self.successes + self.failures

    @property
    def rate(self) -> int | None:
        """How many of a hundred tries succeeded; None if there were none."""
        return round(100 * self.successes / self.tried) if self.tried else None

    @property
    def sure(self) -> Interval:
        """Where the share of successes lies, with 95 % of certainty."""
        return interval(self.successes, self.failures)

    def told(self) -> str:
        """In words: what was counted, and what is sure of it."""
        if not self.tried:
            return "not tried yet"
        low, high = (round(100 * edge) for edge in self.sure)
        bound = f"at least {low}" if self.successes >= self.failures else f"at most {high}"
        sure = f"so {bound} % do (95 % sure)"
        if self.stated:
            return f"said to succeed in {self.rate} % ({self.tried:g} sessions), {sure}"
        return f"{self.successes:g} of {self.tried:g} succeeded, {sure}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as it was read; `entry` is the key's entry as any other. Members that are malformed are empty here."""

    entry: Entry

    @property
    def key(self) -> str:
        """The whole key, such as `pattern/authentication/jwt`."""
        return self.entry.key

    @property
    def domain(self) -> str:
        """The first segment behind `pattern/`."""
        return self.key.removeprefix(FOLDER).partition("/")[0]

    @property
    def name(self) -> list[str]:
        """The segments behind the domain."""
        return self.key.removeprefix(FOLDER).split("/")[1:]

    @property
    def words(self) -> frozenset[str]:
        """What it says to do, as words."""
        return ranking.words(self.approach)

    @property
    def members(self) -> dict[str, Any]:
        """All of the value, an object; that of a pattern which another tool stored as text holds at least a text."""
        found = members(self.entry.value)
        return {"approach": str(self.entry.value)} if found is None else found

    @property
    def approach(self) -> str:
        """What to do; empty if nobody said."""
        approach = self.members.get("approach")
        return approach if isinstance(approach, str) else "" if approach is None else _text(approach)

    @property
    def outcomes(self) -> Outcomes:
        """How it went so far."""
        return outcomes(self.members)

    def to_json(self) -> dict[str, Any]:
        """The entry as everywhere, with what its counts come to: members `outcomes`, and `at_least` in it (0-1)."""
        went = self.outcomes
        return {
            **self.entry.to_json(),
            "outcomes": {
                "successes": went.successes,
                "failures": went.failures,
                "stated": went.stated,
                "at_least": round(went.sure.low, 4),
                "at_most": round(went.sure.high, 4),
            },
        }


def members(value: Any) -> dict[str, Any] | None:
    """The members of a pattern, also of one that was stored as the text of a JSON object; None if it is none."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def outcomes(pattern: Mapping[str, Any]) -> Outcomes:
    """What was counted; where nothing was, what somebody stated as `success_rate` for the sessions that used it."""
    successes, failures = (_count(pattern.get(name)) for name in COUNTS)
    rate, sessions = pattern.get("success_rate"), pattern.get("sessions_used")
    if successes + failures or not _is_number(rate) or not 0 <= rate <= 100:
        return Outcomes(successes, failures)
    tried = max(1, len(sessions) if isinstance(sessions, list) else _count(sessions))
    return Outcomes(tried * rate / 100, tried - tried * rate / 100, stated=True)


def learned(value: Any, news: Mapping[str, Any]) -> dict[str, Any]:
    """What a pattern becomes (None: one that nobody knew): lists are united, snippets too, all else is replaced.

    InvalidValueError if the value is no pattern.
    """
    pattern = dict(_EMPTY) if value is None else _pattern(value)
    told = {name: new for name, new in news.items() if new not in ([], {})}
    return {**pattern, **{name: _joined(name, pattern.get(name), new) for name, new in told.items()}}


def counted(value: Any, *, success: bool, lessons: Sequence[str], session: str | None) -> dict[str, Any]:
    """One outcome more. InvalidValueError if the value is no pattern, or its counts are no numbers."""
    pattern = learned(value, {"lessons_learned": lessons, "sessions_used": [] if session is None else [session]})
    successes, failures = (_checked_count(pattern, name) for name in COUNTS)
    went = Outcomes(min(successes + success, MOST), min(failures + (not success), MOST))
    return {**pattern, "successes": went.successes, "failures": went.failures, "success_rate": went.rate}


def united(old: Any, new: Sequence[Any]) -> list[Any]:
    """The old list and what of the new is not in it, each once; what was no list is its only element."""
    found = list(old) if isinstance(old, list) else [] if old is None else [old]
    for one in new:
        if not any(equal(one, other) for other in found):
            found.append(one)
    return found


def _joined(name: str, old: Any, new: Any) -> Any:
    if name in LISTS:
        return united(old, new)
    return {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new


def _pattern(value: Any) -> dict[str, Any]:
    found = members(value)
    if found is not None:
        return dict(found)
    reason = f"a pattern is an object, and this is {_text(value)[:60]}"
    raise InvalidValueError(
        reason, hint="move it to a key outside of pattern/, or store an object there", pointer="", reason=reason
    )


def _checked_count(pattern: Mapping[str, Any], name: str) -> int:
    count = pattern.get(name, 0)
    if _is_count(count):
        return int(count)
    reason = f"{name} is {_text(count)[:60]}, which counts nothing"
    hint = f"""mend it: gitmem patch KEY '{{"{name}": 0}}' -n reasoning-bank"""
    raise InvalidValueError(reason, hint=hint, pointer=f"/{name}", reason=reason)


def _count(said: Any) -> int:
    return int(said) if _is_count(said) else 0


def _is_count(said: Any) -> TypeGuard[float]:
    return _is_number(said) and 0 <= said <= MOST and said == int(said)


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) is int or type(value) is float


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
