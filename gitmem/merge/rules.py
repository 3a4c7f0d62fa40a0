"""What settles a place that both sides changed.

Knows the rules by name, what each needs, and how a pattern of pointers narrows on the way down. Does not
know keys: which rules are for a value, policy says.
Law: a rule gives a value (ABSENT removes), or the Conflict itself if it cannot settle it. All but `ours`,
`theirs` and functions give the same value whichever side is called ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from gitmem import pointers
from gitmem.codec import MAX_INT_DIGITS
from gitmem.members import ABSENT
from gitmem.merge.conflicts import Conflict
from gitmem.merge.runs import Element, united
from gitmem.merge.sameness import canonical, mark, same

Times = tuple[Any, Any] | None
_Settle = Callable[[Conflict], Any]

_INT_END = 10**MAX_INT_DIGITS


class Rule(NamedTuple):
    """`at` is a JSON pointer in which `*` stands for exactly one segment; "" is the whole value.

    `rule` is one of RULES, `ours`, `theirs`, or a function of a Conflict. The function gives the value, or
    ABSENT to remove it, or the Conflict to leave it unsettled; it is asked even where both sides are equal.
    """

    at: str
    rule: str | Callable[[Conflict], Any]


class Pending(NamedTuple):
    """A rule on its way down: the segments that are still to come."""

    segments: tuple[str, ...]
    settle: _Settle
    even: bool  # it is asked even where both sides made the same change


# --- on the way down


def is_rule(name: object) -> bool:
    """Whether gitmem.toml may name this rule."""
    return isinstance(name, str) and name in RULES


def ready(rules: Iterable[Rule], times: Times) -> Sequence[Pending]:
    """The rules as they stand above the whole value."""
    return [_pending(rule, times) for rule in rules]


def _pending(rule: Rule, times: Times) -> Pending:
    segments = pointers.parse(rule.at)
    if callable(rule.rule):
        return Pending(segments, rule.rule, True)
    settle = _BY_NAME.get(rule.rule)
    if settle is None:
        raise ValueError(f"no rule is called {rule.rule!r}; there are {', '.join(_BY_NAME)}, and functions")
    return Pending(segments, lambda conflict: settle(conflict, times), rule.rule == "total")


def below(rules: Sequence[Pending], step: str | int) -> Sequence[Pending]:
    """The rules that may name the member or element, or something inside it."""
    segment = str(step)
    return [Pending(rule[0][1:], *rule[1:]) for rule in rules if rule[0] and rule[0][0] in (segment, "*")]


def here(rules: Sequence[Pending]) -> Pending | None:
    """The first rule that names this very place."""
    return next((rule for rule in rules if not rule.segments), None)


# --- the rules themselves


def _latest(conflict: Conflict, times: Times) -> Any:
    if times is None or times[0] == times[1]:
        return conflict
    return conflict.ours if times[0] > times[1] else conflict.theirs


def _largest(conflict: Conflict, times: Times) -> Any:
    return max(conflict.ours, conflict.theirs, key=_rank) if _comparable(conflict) else conflict


def _smallest(conflict: Conflict, times: Times) -> Any:
    return min(conflict.ours, conflict.theirs, key=_rank) if _comparable(conflict) else conflict


def _rank(value: Any) -> tuple[Any, bytes]:
    """By value; 1 and 1.0, which Python calls equal, by their text."""
    return value, canonical(value)


def _comparable(conflict: Conflict) -> bool:
    sides = (conflict.ours, conflict.theirs)
    return all(map(_is_number, sides)) or all(isinstance(side, str) for side in sides)


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _total(conflict: Conflict, times: Times) -> Any:
    start = 0 if conflict.base is ABSENT else conflict.base
    terms = (conflict.ours, conflict.theirs, start)
    if not all(map(_is_number, terms)):
        return conflict.ours if same(conflict.ours, conflict.theirs) else conflict
    if all(type(term) is int for term in terms):
        total = conflict.ours + conflict.theirs - start
        return total if -_INT_END < total < _INT_END else conflict
    try:
        return _exactly(*terms)
    except (OverflowError, ValueError):  # more than a double holds
        return conflict


def _exactly(ours: float, theirs: float, start: float) -> float:
    """ours + theirs - start in whole numbers, rounded once; -0.0 never comes out."""
    terms = [ours.as_integer_ratio(), theirs.as_integer_ratio(), (-start).as_integer_ratio()]
    scale = max(below for _, below in terms)  # all of them are powers of two
    return sum(above * (scale // below) for above, below in terms) / scale


def _union(conflict: Conflict, times: Times) -> Any:
    lists = ([] if conflict.base is ABSENT else conflict.base, conflict.ours, conflict.theirs)
    if not all(isinstance(each, list) for each in lists):
        return conflict
    base, ours, theirs = ({mark(one): one for one in each} for each in lists)
    kept = [value for name, value in base.items() if name in ours and name in theirs]
    added = [[Element(name, value) for name, value in side.items() if name not in base] for side in (ours, theirs)]
    return kept + [theirs[name] if mine is ABSENT else mine for name, mine, _ in united(*added)]


_BY_NAME: dict[str, Callable[[Conflict, Times], Any]] = {
    "latest": _latest,
    "largest": _largest,
    "smallest": _smallest,
    "total": _total,
    "union": _union,
    "ours": lambda conflict, times: conflict.ours,
    "theirs": lambda conflict, times: conflict.theirs,
}
RULES: Final = ("latest", "largest", "smallest", "total", "union")
