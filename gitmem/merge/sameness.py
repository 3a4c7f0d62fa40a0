"""Equality by type, quickly, and the marks by which equal values are found.

Knows: values of exactly the types that json reads (`plain` makes them so), and ABSENT. Does not know: where
they stand. Law: `same(a, b)` <=> `codec.equal(a, b)` <=> `mark(a) == mark(b)`.

Python's own comparison says quickly that two values differ, but takes 1, 1.0 and true for one; only what
passes it is printed and compared as text. So a large value is gone through in C, once or twice.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable
from typing import Any

from gitmem import codec
from gitmem.members import ABSENT

_CONTAINERS = frozenset({dict, list})
_SCALARS = frozenset({str, int, float, bool, type(None)})
_AS_IT_IS = frozenset({str, int})  # scalars that are their own mark
_STR_ALONE = {str}

_compact = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


def same(a: Any, b: Any) -> bool:
    """Equality by type: 1, 1.0 and true differ, and so do 0.0 and -0.0."""
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b) or a != b:
        return False
    if kind is float:
        return float.__repr__(a) == float.__repr__(b)
    return kind not in _CONTAINERS or _compact(a) == _compact(b)


def mark(value: Any) -> Hashable:
    """Something to hash by: equal for values that are the same."""
    return value if type(value) in _AS_IT_IS else (_compact(value),)


def marks(values: list[Any]) -> list[Hashable]:
    """The mark of each."""
    if {*map(type, values)} <= _AS_IT_IS:
        return values
    return [one if type(one) in _AS_IT_IS else (_compact(one),) for one in values]


def canonical(value: Any) -> bytes:
    """The bytes by which values are put in an order that no side influences."""
    return codec.encode(value, max_bytes=sys.maxsize)


def plain(value: Any) -> Any:
    """The value with lists for tuples and plain types for subclasses; itself if there is nothing to replace.

    Raises InvalidValueError with the place for a type that JSON does not have.
    """
    if value is ABSENT:
        return value
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        kind = type(inner)
        if kind is list:
            if not {*map(type, inner)} <= _SCALARS:
                waiting += inner
        elif kind is dict and {*map(type, inner)} <= _STR_ALONE:
            waiting += inner.values()
        elif kind not in _SCALARS:
            return codec.decode_trusted(codec.encode(value, max_bytes=sys.maxsize))
    return value
