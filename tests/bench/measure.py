"""Measuring two ways of doing one work side by side, and saying what came out.

Knows clocks and ratios; does not know what is measured.
Law: a figure is a ratio of two times taken in turns in the same run, so that whatever else the machine does
falls on both sides; an absolute time is shown, never judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]


@dataclass(frozen=True)
class Pair:
    """Seconds per piece of work on either side, one number for each round."""

    ours: tuple[float, ...]
    peer: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours by the peer's, round by round."""
        return tuple(mine / theirs for mine, theirs in zip(self.ours, self.peer, strict=True))


@dataclass(frozen=True)
class Figure:
    """One line of the table. `measured` has one number for each round; their median is judged by `limit`."""

    name: str
    work: str
    ours: str
    peer: str
    measured: tuple[float, ...]
    limit: float
    aim: str
    at_least: bool = False
    show: str = "{:.2f}×"

    @property
    def value(self) -> float:
        return median(self.measured)

    @property
    def met(self) -> bool:
        return self._passes(self.value)

    @property
    def clear(self) -> bool:
        """Whether every round says the same."""
        return len({self._passes(one) for one in self.measured}) == 1

    @property
    def shown(self) -> str:
        """The median, and the least and the greatest of the rounds."""
        middle = self.show.format(self.value)
        if len(self.measured) == 1:
            return middle
        low, high = (self.show.format(edge(self.measured)) for edge in (min, max))
        return f"{middle} ({low} – {high})"

    @property
    def verdict(self) -> str:
        return ("yes" if self.met else "**no**") + ("" if self.clear else ", not in every round")

    def _passes(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


def race(ours: Work, peer: Work, *, rounds: int, turns: int, block: int = 1, per: int = 1) -> Pair:
    """Let both sides work in turns, `block` calls at a time; `per` is how many pieces of work one call does.

    A round is `turns` blocks of either side, and its number the median call. One block of each comes before, untimed.
    """
    for work in (ours, peer):
        _block(work, block)
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(turns):
            order = (0, 1) if turn % 2 == 0 else (1, 0)
            for side in order:
                times[side].extend(_block((ours, peer)[side], block))
        for side in (0, 1):
            found[side].append(median(times[side]) / per)
    return Pair(tuple(found[0]), tuple(found[1]))


def _block(work: Work, count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


def compare(
    name: str, work: str, pair: Pair, *, peer: str, limit: float, aim: str | None = None, at_least: bool = False
) -> Figure:
    """The line for a race; `peer` names the other side."""
    wish = aim or f"≤ {limit:g}×"
    return Figure(
        name,
        work,
        duration(median(pair.ours)),
        f"{duration(median(pair.peer))}, {peer}",
        pair.ratios,
        limit,
        wish,
        at_least,
        "{:.2f}×" if median(pair.ratios) >= 0.1 else "{:.4f}×",
    )


def duration(seconds: float) -> str:
    """For people: µs, ms or s."""
    for unit, scale in (("µs", 1e6), ("ms", 1e3)):
        if seconds * scale < 1000:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"
