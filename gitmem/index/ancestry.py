"""Which commit is an ancestor of which, answered without walking the commits between them.

Knows: chains and the places where they meet. It does not know: git, SQLite, keys, versions.
Law: a chain is a path of commits, each the parent of the next; every commit lies on exactly one chain, and
its number (`ord`) is greater than its parents'. Hence on one chain "ancestor" means "smaller number", and all
that a commit can reach is one number per chain: the highest that it reaches there. What must be remembered is
only the joins: the first commit of each chain, and each merge, with the parents that lie on other chains. A
linear history of any length is one join.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

KEPT_VECTORS = 16


class Place(NamedTuple):
    """Where a commit lies: its chain, and its number."""

    chain: int
    ord: int


class Segment(NamedTuple):
    """The commits of one chain whose numbers are above `low` and up to `high`."""

    chain: int
    low: int
    high: int


class Reach:
    """All ancestors of the commit at one place, itself included."""

    __slots__ = ("place", "vector")

    def __init__(self, place: Place, vector: Mapping[int, int]) -> None:
        self.place = place
        self.vector = vector

    def highest(self, chain: int) -> int:
        """The highest number reached on the chain, or -1."""
        return self.place.ord if chain == self.place.chain else self.vector.get(chain, -1)

    def holds(self, chain: int, ord: int) -> bool:
        return ord <= self.highest(chain)

    def chains(self) -> Iterable[int]:
        return {self.place.chain, *self.vector}


class Ancestry:
    """The joins of all chains; they are added in the order of their numbers."""

    def __init__(self) -> None:
        self._ords: dict[int, list[int]] = {}
        self._links: dict[int, list[tuple[Place, ...]]] = {}
        self._vectors: OrderedDict[tuple[int, int], dict[int, int]] = OrderedDict()

    def add(self, place: Place, links: tuple[Place, ...]) -> None:
        """The first commit of a chain (links: all its parents), or a merge (links: the parents elsewhere)."""
        self._ords.setdefault(place.chain, []).append(place.ord)
        self._links.setdefault(place.chain, []).append(links)

    def reach(self, place: Place) -> Reach:
        """Costs one look-up, unless a join was passed since the last question about this chain."""
        return Reach(place, self._vector(place.chain, self._last_join(place)))

    def floor(self, inside: Reach, outside: Reach) -> int:
        """Every commit of `inside` that is not in `outside` has a number above this."""
        gaps = [
            max(outside.highest(chain), self._ords[chain][0] - 1)
            for chain in inside.chains()
            if inside.highest(chain) > outside.highest(chain)
        ]
        return min(gaps, default=inside.place.ord)

    def apart(self, one: Place, other: Place) -> tuple[int, list[Segment]]:
        """One side (0 or 1) and segments that hold every commit which only it reaches, perhaps some more.

        The side is the one whose own commits were all found first, so that a long branch which takes in a
        short one again and again pays for the short one only.
        """
        return _Parting(self._ords, self._links).run(one, other)

    # A vector belongs to a join; the commits after it, up to the next join, share it but for their own chain.

    def _last_join(self, place: Place) -> int:
        return bisect_right(self._ords[place.chain], place.ord) - 1

    def _vector(self, chain: int, join: int) -> dict[int, int]:
        cached = self._vectors.get((chain, join))
        if cached is not None:
            self._vectors.move_to_end((chain, join))
            return cached
        path = [(chain, join)]
        while (before := self._before(*path[-1])) is not None and before not in self._vectors:
            path.append(before)
        vector: dict[int, int] = {}
        if before is not None:
            self._vectors.move_to_end(before)
            vector.update(self._vectors[before])
        for step in path[:0:-1]:
            self._absorb(vector, *step)
        if len(path) > 1:
            self._keep(path[1], dict(vector))  # other chains begin there too
        self._absorb(vector, *path[0])
        self._keep(path[0], vector)
        return vector

    def _keep(self, join: tuple[int, int], vector: dict[int, int]) -> None:
        self._vectors[join] = vector
        if len(self._vectors) > KEPT_VECTORS:
            self._vectors.popitem(last=False)

    def _before(self, chain: int, join: int) -> tuple[int, int] | None:
        if join > 0:
            return chain, join - 1
        links = self._links[chain][0]
        return (links[0].chain, self._last_join(links[0])) if links else None

    def _absorb(self, vector: dict[int, int], chain: int, join: int) -> None:
        links = self._links[chain][join]
        if join == 0 and links:  # what the first parent reaches is in the vector already
            vector[links[0].chain] = links[0].ord
            links = links[1:]
        stack = list(links)
        while stack:
            at, ord = stack.pop()
            reached = vector.get(at, -1)
            if at == chain or reached >= ord:
                continue
            vector[at] = ord
            ords = self._ords[at]
            for join in range(bisect_right(ords, reached), bisect_right(ords, ord)):
                stack.extend(self._links[at][join])


class _Parting:
    """A walk down from two commits at once, from join to join, in the order of falling numbers.

    `tops` holds, for each side, the highest number found so far on each chain. Children have greater numbers
    than parents, so when a join comes off the heap, all ways down to it have been walked: it is common if
    both tops are above it. What only one side reaches, it reaches by ways that only it has; so once no
    waiting join of a side is its own alone, nothing of its own is still hidden.
    """

    def __init__(self, ords: Mapping[int, list[int]], links: Mapping[int, list[tuple[Place, ...]]]) -> None:
        self._ords = ords
        self._links = links
        self._tops: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._heap: list[tuple[int, int, int, int, int]] = []

    def run(self, one: Place, other: Place) -> tuple[int, list[Segment]]:
        self._enter(0, one)
        self._enter(1, other)
        while len(own := self._sides_with_own()) == 2:
            _, side, chain, join, floor = heapq.heappop(self._heap)
            for link in self._links[chain][join]:
                self._enter(side, link)
            self._wait(side, chain, join - 1, floor)
        segments = [self._segments(side) for side in (0, 1)]
        done = [side for side in (0, 1) if side not in own]
        side = min(done, key=lambda side: sum(part.high - part.low for part in segments[side]))
        return side, segments[side]

    def _enter(self, side: int, place: Place) -> None:
        floor = self._tops[side].get(place.chain, -1)
        if floor < place.ord:
            self._tops[side][place.chain] = place.ord
            self._wait(side, place.chain, bisect_right(self._ords[place.chain], place.ord) - 1, floor)

    def _wait(self, side: int, chain: int, join: int, floor: int) -> None:
        if join >= 0 and self._ords[chain][join] > floor:
            heapq.heappush(self._heap, (-self._ords[chain][join], side, chain, join, floor))

    def _sides_with_own(self) -> set[int]:
        return {side for negative, side, chain, _, _ in self._heap if self._tops[1 - side].get(chain, -1) < -negative}

    def _segments(self, side: int) -> list[Segment]:
        found = []
        for chain, high in self._tops[side].items():
            low = max(self._tops[1 - side].get(chain, -1), self._ords[chain][0] - 1)
            if high > low:
                found.append(Segment(chain, low, high))
        return found
