"""How much another copy may send us at once.

Law: what is larger is refused before it is inflated; a person who means it can allow more.
"""

from __future__ import annotations

from typing import NamedTuple

LARGEST = 1 << 28
"""Bytes that a single object may have: 256 MiB, far beyond the largest value."""
IN_ALL = 1 << 30
"""Bytes that all objects of one arrival may have together, deltas counted too, unless more is asked for."""


class Limits(NamedTuple):
    """How much may arrive, in bytes: one object, and all together."""

    one: int = LARGEST
    all: int = IN_ALL
