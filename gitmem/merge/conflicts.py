"""What a merge gives: the value, and its conflicts as values.

Knows nothing of how they come about. Law: a conflict is never written into the data.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Conflict(NamedTuple):
    """One place that both sides changed, and its three sides; ABSENT where there is nothing.

    `pointer` counts in the merged value; where nothing is held there, it is where something would stand.
    """

    pointer: str
    base: Any
    ours: Any
    theirs: Any


class Merged(NamedTuple):
    """The merged value (ABSENT if it is removed), and its conflicts in the order of the value."""

    value: Any
    conflicts: tuple[Conflict, ...]
