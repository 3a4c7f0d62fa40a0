"""Which elements of two sequences are the same: the longest common subsequence of their marks.

Knows marks, which it only hashes and compares. Does not know what they stand for.
Law: `common` is a pure function of the two sequences. It pairs their common beginning, then their common
end; in between, of all longest common subsequences, it pairs the one whose positions (in the base, then in
the side) come first. So every implementation that is exact finds the same one.

Two engines, one answer. Where few positions match, chains of matches are counted (Hunt and Szymanski).
Where the same marks come again and again, rows of the usual table are kept as the bits of one integer each
(Hyyrö's form of the bit-parallel algorithm). A table of more than _TABLE bits is not begun: nothing is
common there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Sequence
from math import isqrt

_FEW = 8  # matches for each element, on the average
_TABLE = 2**36

_Rows = list[tuple[int, list[int]]]  # a position in the base, and the positions in the side that match it


def common(base: Sequence[Hashable], side: Sequence[Hashable]) -> list[int]:
    """For each position in the base, the position in the side that is paired with it; -1 if there is none."""
    partner = [-1] * len(base)
    start, short = 0, min(len(base), len(side))
    while start < short and base[start] == side[start]:
        partner[start] = start
        start += 1
    end = 0
    while end < short - start and base[-1 - end] == side[-1 - end]:
        partner[-1 - end] = len(side) - 1 - end
        end += 1
    for one, other in _between(base, side, start, len(base) - end, len(side) - end):
        partner[one] = other
    return partner


def _between(
    base: Sequence[Hashable], side: Sequence[Hashable], start: int, base_end: int, side_end: int
) -> list[tuple[int, int]]:
    where: dict[Hashable, list[int]] = {}
    for position in range(start, side_end):
        where.setdefault(side[position], []).append(position)
    rows = [(position, where[base[position]]) for position in range(start, base_end) if base[position] in where]
    if sum(len(matches) for _, matches in rows) <= _FEW * (len(rows) + side_end - start):
        return _by_chains(rows)
    if len(rows) * (side_end - start) <= _TABLE:
        return _by_table(rows, start, side_end)
    return []


def _by_chains(rows: _Rows) -> list[tuple[int, int]]:
    """Each match knows the length of the longest chain that begins with it; then the first chain is followed."""
    lengths: list[list[int]] = []
    begins: list[int] = []  # the last position in the side at which a chain of each length begins, negated
    for _, matches in reversed(rows):
        row = []
        for match in matches:
            behind = bisect_left(begins, -match)
            begins[behind : behind + 1] = [-match]
            row.append(behind + 1)
        lengths.append(row)
    pairs: list[tuple[int, int]] = []
    left, last = len(begins), -1
    for (position, matches), row in zip(rows, reversed(lengths), strict=True):
        at = bisect_right(matches, last)
        if left and at < len(matches) and row[at] == left:
            last, left = matches[at], left - 1
            pairs.append((position, last))
    return pairs


def _by_table(rows: _Rows, start: int, end: int) -> list[tuple[int, int]]:
    """The table's rows from the last to the first; bit p of a row stands for the side's position end - 1 - p.

    A bit is clear where one more position makes the common subsequence of what follows longer by one. Only
    each `step`-th row is kept; those between two kept ones are made again on the way forward.
    """
    full = (1 << (end - start)) - 1
    masks: dict[int, int] = {}
    for _, matches in rows:
        if matches[0] not in masks:
            masks[matches[0]] = _bits(matches, start, end)
    step = isqrt(len(rows)) + 1
    kept = {len(rows): full}
    row = full
    for number in range(len(rows) - 1, -1, -1):
        row = _above(row, masks[rows[number][1][0]], full)
        if number % step == 0:
            kept[number] = row

    pairs: list[tuple[int, int]] = []
    left, first = _length(row, end - start), start
    for block in range(0, len(rows), step):
        below = min(block + step, len(rows))
        again = [kept[below]]
        for number in range(below - 1, block, -1):
            again.append(_above(again[-1], masks[rows[number][1][0]], full))
        for number in range(block, below):
            position, matches = rows[number]
            under = again.pop()
            at = bisect_left(matches, first)
            if left and at < len(matches) and _length(under, end - 1 - matches[at]) == left - 1:
                first, left = matches[at] + 1, left - 1
                pairs.append((position, matches[at]))
    return pairs


def _bits(matches: list[int], start: int, end: int) -> int:
    row = bytearray((end - start + 7) // 8)
    for match in matches:
        bit = end - 1 - match
        row[bit >> 3] |= 1 << (bit & 7)
    return int.from_bytes(row, "little")


def _above(row: int, mask: int, full: int) -> int:
    met = row & mask
    return ((row + met) | (row - met)) & full


def _length(row: int, width: int) -> int:
    """The length of the longest common subsequence within the side's last `width` positions."""
    return width - (row & ((1 << width) - 1)).bit_count()
