"""How much another copy may send us at once.

Law: what is larger is refused before it is inflated; a person who means it can allow more.
"""

from __future__ import annotations

from typing import NamedTuple

LARGEST = 1 << 28
"""Bytes that a single object may have: 256 MiB, far beyond the largest value."""
IN_ALL = 1 << 30
"""Bytes that may arrive at once, and that may be held in memory to restore what was sent as differences: 1 GiB."""
INFLATED = 1 << 35
"""Bytes that all objects of one arrival may have together: 32 GiB, minutes of work. A long history of a memory sends
a hundred bytes of trees for each that travels.
"""


class Limits(NamedTuple):
    """How much may arrive, in bytes: one object, all as it travels, all as it is inflated."""

    one: int = LARGEST
    all: int = IN_ALL
    inflated: int = INFLATED
