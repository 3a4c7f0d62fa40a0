"""Two runs compared: what each left of the keys that both wrote, and the keys that only one of them wrote.

Knows effects; says nothing about which run is better.
Law: blobs are compared before anything is read, so what both left alike costs nothing. A key is the same key in both
runs if it is once each run's session id, where it stands as a word of its own, has become `{session}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from gitmem.entries import ABSENT
from gitmem.history import wanted
from gitmem.members import changes
from gitmem.runs.effects import Effect, effects
from gitmem.runs.naming import Run
from gitmem.vault import Snapshot, Vault

SESSION = "{session}"


class MemberPair(NamedTuple):
    """A place in the values that two runs left of one key; `difference` is b - a where both are numbers."""

    pointer: str
    a: Any
    b: Any
    difference: int | float | None

    def to_json(self) -> dict[str, Any]:
        """As programs read it; a side that is absent is left out, since null is a value."""
        sides = {name: value for name, value in (("a", self.a), ("b", self.b)) if value is not ABSENT}
        return {"pointer": self.pointer, **sides, "difference": self.difference}


@dataclass(frozen=True)
class Pair:
    """A key that both runs wrote; `key` has `{session}` for the session's id."""

    namespace: str
    key: str
    a: Effect
    b: Effect

    @property
    def same(self) -> bool:
        """Whether both left the same."""
        return self.a.blobs[1] == self.b.blobs[1]

    @cached_property
    def members(self) -> tuple[MemberPair, ...]:
        """The places that differ, in the order of the value; the values are read when this is asked for."""
        if self.same:
            return ()
        return tuple(MemberPair(*one, difference(one[1], one[2])) for one in changes(self.a.after, self.b.after))

    def to_json(self) -> dict[str, Any]:
        """As programs read it."""
        sides = (("a", self.a), ("b", self.b))
        return {
            "namespace": self.namespace,
            "key": self.key,
            "same": self.same,
            **{name: {"key": one.key, "operation": one.operation, "revision": one.last} for name, one in sides},
            "members": [one.to_json() for one in self.members],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs `a` and `b`: the keys that both wrote, sorted, and those of only one of them."""

    a: str
    b: str
    pairs: tuple[Pair, ...]
    only_a: tuple[Effect, ...]
    only_b: tuple[Effect, ...]

    @property
    def differ(self) -> bool:
        """Whether the two runs left anything that is not the same."""
        return bool(self.only_a or self.only_b) or not all(one.same for one in self.pairs)

    def to_json(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "a": self.a,
            "b": self.b,
            "differ": self.differ,
            "pairs": [one.to_json() for one in self.pairs],
            "only_a": [one.to_json() for one in self.only_a],
            "only_b": [one.to_json() for one in self.only_b],
        }


def compare(
    vault: Vault, head: Snapshot, a: Run, b: Run, *, namespace: str | None, pattern: str | None
) -> Comparison:
    """Two runs, aligned key by key. InvalidPatternError for a malformed glob."""
    test = wanted(namespace, pattern)
    one, other = (
        _aligned(
            effect
            for effect in effects(vault, head, run, namespace=namespace, pattern=None)
            if test(effect.namespace, effect.key) or test(effect.namespace, aligned_key(effect))
        )
        for run in (a, b)
    )
    return Comparison(
        a.title,
        b.title,
        tuple(Pair(*where, one[where], other[where]) for where in sorted(one.keys() & other.keys())),
        tuple(one[where] for where in sorted(one.keys() - other.keys())),
        tuple(other[where] for where in sorted(other.keys() - one.keys())),
    )


def _aligned(found: Iterable[Effect]) -> dict[tuple[str, str], Effect]:
    """Effects by namespace and aligned key; one that would take another's key keeps its own."""
    by_key: dict[tuple[str, str], Effect] = {}
    for effect in sorted(found, key=lambda one: aligned_key(one) != one.key):
        where = (effect.namespace, aligned_key(effect))
        by_key[(effect.namespace, effect.key) if where in by_key else where] = effect
    return by_key


def aligned_key(effect: Effect) -> str:
    """The key with `{session}` for the id of the session that wrote it, where this is a word of its own."""
    if effect.session is None or effect.session not in effect.key:
        return effect.key
    return _word(effect.session).sub(SESSION, effect.key)


@lru_cache(64)
def _word(session: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(session)}(?!\w)")


def difference(a: Any, b: Any) -> int | float | None:
    """b - a of two numbers, as their digits say (0.3 - 0.1 is 0.2); None for all else, and beyond a double."""
    if type(a) is int and type(b) is int:
        return b - a
    if not {type(a), type(b)} <= {int, float}:
        return None
    try:
        found = float(Decimal(repr(b)) - Decimal(repr(a)))
    except (ArithmeticError, ValueError):
        return None
    return found if abs(found) != float("inf") else None
