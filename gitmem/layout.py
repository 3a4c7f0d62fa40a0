"""Wide directories: when a directory is split, and in which bucket an entry lies.

Knows decoded names and counts. Does not know git: `trees` gives these rules their tree objects.

Law: the shape of a directory is a pure function of the set of its entries, whatever the order of writing.
An entry is a decoded name directly below, with whether it is a directory: a file and a directory of one
name are two entries of one bucket. More than LIMIT entries are split by the first hex digit of sha256 over
the name, a bucket of more than LIMIT by the next digit, and so on. Foreign names are no entries: they
neither count nor move.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from gitmem.keys import BUCKET_DIGITS, digits

__all__ = ["BUCKETS", "DIGITS", "LIMIT", "Entry", "bucket", "bucket_digit", "digits", "paths"]

LIMIT = 128
DIGITS = 64
"""So many digits a name has: what lies deeper in buckets than that is no key's."""
BUCKETS = frozenset(BUCKET_DIGITS)

Entry: TypeAlias = tuple[str, bool]


def bucket(name: str, depth: int) -> bytes:
    """The bucket (such as b"~a") that takes `name` in a directory that is split, `depth` buckets down.

    Below its last digit it is b"", which no entry of a tree is called.
    """
    return b"~" + digits(name)[depth].encode() if depth < DIGITS else b""


def bucket_digit(entry: bytes) -> str | None:
    """The digit of a bucket's name; None for every other name."""
    return BUCKET_DIGITS.get(entry)


def paths(entries: Iterable[Entry]) -> dict[Entry, tuple[bytes, ...]]:
    """The buckets in which each entry of one directory lies, outermost first; () for directly.

    The slow and plain reading of the rule, for tests and for `doctor`.
    """
    return _paths(set(entries), 0)


def _paths(entries: set[Entry], depth: int) -> dict[Entry, tuple[bytes, ...]]:
    if len(entries) <= LIMIT:
        return dict.fromkeys(entries, ())
    placed: dict[Entry, tuple[bytes, ...]] = {}
    for name in BUCKETS:
        inside = {entry for entry in entries if bucket(entry[0], depth) == name}
        placed |= {entry: (name, *below) for entry, below in _paths(inside, depth + 1).items()}
    return placed
