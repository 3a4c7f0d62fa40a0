"""Which elements of two sequences are the same: the longest common subsequence of their marks.

Knows marks, which it only hashes and compares. Does not know what they stand for.
Law: of all longest common subsequences, `shared` finds the one whose positions in the base, then in the side,
come first. So every implementation that is exact finds the same one; and a side that only inserted is
aligned as before when another's insertions are in it too, whatever was inserted.

Two engines, one answer. Few differences: how far one comes from the end with each number of differences, on
each diagonal (Myers). Many: the usual table, a row of it being the bits of one integer (Hyyrö). Both answer
how much is in common behind a point; then one walk from the beginning takes each match that costs nothing.
A table of more than _TABLE bits is not begun: then nothing more is common.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from math import isqrt
from typing import TypeAlias

_TABLE = 2**30
_OFTEN = 32  # marks that occur more often have their bits kept

Marks: TypeAlias = Sequence[Hashable]
Block: TypeAlias = tuple[int, int, int]  # a position in the base, one in the side, and how many from there on


def shared(base: Marks, side: Marks) -> list[Block]:
    """The stretches that both have, in order. Two of them may touch."""
    start = _agree(base, 0, side, 0)
    rest, other = base[start:], side[start:]
    behind = _by_reach(rest, other)
    if behind is None:
        behind = _among_both(rest, other)
    blocks = [(start + row, start + column, count) for row, column, count in behind]
    return [(0, 0, start), *blocks] if start else blocks


def _among_both(one: Marks, other: Marks) -> list[Block]:
    """For many differences: what only one of the two has is left out first."""
    both = {*one} & {*other}
    rows = [row for row, mark in enumerate(one) if mark in both]
    columns = [column for column, mark in enumerate(other) if mark in both]
    one, other = [one[row] for row in rows], [other[column] for column in columns]
    blocks = _by_reach(one, other)
    if blocks is None:
        blocks = _by_table(one, other) if len(one) * len(other) <= _TABLE else []
    return _joined([(rows[row + step], columns[at + step]) for row, at, count in blocks for step in range(count)])


def _joined(pairs: list[tuple[int, int]]) -> list[Block]:
    blocks: list[Block] = []
    row = column = count = 0
    for pair in pairs:
        if pair == (row + count, column + count):
            count += 1
            continue
        if count:
            blocks.append((row, column, count))
        (row, column), count = pair, 1
    return [*blocks, (row, column, count)] if count else blocks


def _agree(one: Marks, row: int, other: Marks, column: int) -> int:
    """How long both go on alike from there; beyond an end not at all.

    In growing steps, since slices are compared in C.
    """
    length, step, end = 0, 1, min(len(one) - row, len(other) - column)
    while length < end:
        if one[row + length : row + length + step] == other[column + length : column + length + step]:
            length += step
            step *= 2
        elif step > 1:
            step //= 2
        else:
            break
    return min(length, end) if end > 0 else 0


# --- few differences


def _by_reach(one: Marks, other: Marks) -> list[Block] | None:
    """None if there are too many differences for this way."""
    reach = _reach(one, other, 16 + isqrt(len(one) + len(other)))
    if reach is None:
        return None
    blocks: list[Block] = []
    row = column = 0
    left = len(reach) - 1
    while row < len(one):
        if count := _agree(one, row, other, column):
            blocks.append((row, column, count))
            row, column = row + count, column + count
            continue
        nearest = range(1, min(left, len(other) - column - 1) + 1)
        ahead = next((steps for steps in nearest if other[column + steps] == one[row]), 0)
        if ahead and reach[left - ahead].get(row - column - ahead, len(one)) <= row:
            column, left = column + ahead, left - ahead
        else:
            row, left = row + 1, left - 1
    return blocks


def _reach(one: Marks, other: Marks, most: int) -> list[dict[int, int]] | None:
    """For each number of differences: diagonal -> the first row from which so many suffice to the end.

    The diagonal of a point is its row minus its column. None if `most` differences do not suffice.
    """
    last = len(one) - len(other)
    if abs(last) > most:
        return None
    back, other_back = one[::-1], other[::-1]  # what is alike just before a point goes on alike from there
    found = [{last: len(one) - _agree(back, 0, other_back, 0)}]
    while found[-1].get(0, 1) > 0:
        count = len(found)
        if count > most:
            return None
        before, now = found[-1], {}
        for diagonal in range(last - count, last + count + 1, 2):
            row = min(before.get(diagonal + 1, len(one) + 2) - 1, before.get(diagonal - 1, len(one) + 1))
            now[diagonal] = row - _agree(back, len(one) - row, other_back, len(other) - row + diagonal)
        found.append(now)
    return found


# --- many differences


def _by_table(one: Marks, other: Marks) -> list[Block]:
    """Each mark must occur in both. Row by row from the last; a row's bit p is the column `width - 1 - p`.

    A bit is clear where one more column makes what is in common from there on longer by one. Only each
    `step`-th row is kept; those between two kept ones are made again on the way forward.
    """
    width = len(other)
    where: dict[Hashable, list[int]] = {}
    for column, mark in enumerate(other):
        where.setdefault(mark, []).append(column)
    often = {mark: _bits(columns, width) for mark, columns in where.items() if len(columns) > _OFTEN}
    full = (1 << width) - 1

    def above(bits: int, row: int) -> int:
        mark = one[row]
        met = bits & (often[mark] if mark in often else _bits(where[mark], width))
        return ((bits + met) | (bits - met)) & full

    step = isqrt(len(one)) + 1
    kept = {len(one): full}
    bits = full
    for row in range(len(one) - 1, -1, -1):
        bits = above(bits, row)
        if row % step == 0:
            kept[row] = bits

    blocks: list[Block] = []
    left, first = _length(bits, width), 0
    for begin in range(0, len(one), step):
        end = min(begin + step, len(one))
        below = [kept[end]]
        for row in range(end - 1, begin, -1):
            below.append(above(below[-1], row))
        for row in range(begin, end):
            columns, under = where[one[row]], below.pop()
            at = bisect_left(columns, first)
            if at < len(columns) and _length(under, width - 1 - columns[at]) == left - 1:
                blocks.append((row, columns[at], 1))
                first, left = columns[at] + 1, left - 1
    return blocks


def _bits(columns: list[int], width: int) -> int:
    bits = bytearray((width + 7) // 8)
    for column in columns:
        place = width - 1 - column
        bits[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(bits, "little")


def _length(bits: int, columns: int) -> int:
    """How much is in common from the row on, within the last so many columns."""
    return columns - (bits & ((1 << columns) - 1)).bit_count()
