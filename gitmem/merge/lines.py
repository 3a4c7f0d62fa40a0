"""Text that both sides changed, merged by lines.

Knows: text. Does not know: values. Law: a line ends at `\\n` alone; where two changes touch or overlap, the
text as a whole is a conflict, and no marker is ever written into it.

The regions are those of diff3 (Khanna, Kunal and Pierce, "A Formal Investigation of Diff3"): between two lines
that all three texts share, at most one side may differ from the base, or both in the same way.
"""

from __future__ import annotations

from gitmem.merge.alignment import shared


def merged(base: str, ours: str, theirs: str) -> str | None:
    """The text with the changes of both sides; None where they touch."""
    old, mine, other = map(_lines, (base, ours, theirs))
    to_mine, to_other = _places(old, mine), _places(old, other)
    stable = [(row, to_mine[row], to_other[row]) for row in sorted(to_mine.keys() & to_other.keys())]
    out: list[str] = []
    row = left = right = 0
    for stop, left_stop, right_stop in [*stable, (len(old), len(mine), len(other))]:
        region = _settled(old[row:stop], mine[left:left_stop], other[right:right_stop])
        if region is None:
            return None
        out += region
        out += old[stop : stop + 1]
        row, left, right = stop + 1, left_stop + 1, right_stop + 1
    return "".join(out)


def _settled(old: list[str], mine: list[str], other: list[str]) -> list[str] | None:
    """The lines between two stable ones; None if both sides changed them differently."""
    if mine in (old, other):
        return other
    return mine if other == old else None


def _places(old: list[str], side: list[str]) -> dict[int, int]:
    """Where each line of the base that a side has kept stands in it."""
    return {row + step: column + step for row, column, count in shared(old, side) for step in range(count)}


def _lines(text: str) -> list[str]:
    *whole, rest = text.split("\n")
    return [line + "\n" for line in whole] + ([rest] if rest else [])
