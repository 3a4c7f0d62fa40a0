"""Where the nodes of a picture lie, and along which ways its arrows run: columns from left to right.

Knows boxes and columns; does not know what is drawn in them.
Law: no two boxes meet, and no arrow runs through the box of another node: where it passes a column it has a slot of
its own there, which it shares only with arrows from the same node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from gitmem.workflow.links import Link, Links, Node

GAP, SPACE, MARGIN = 64.0, 18.0, 20.0
"""Pixels between columns, between what lies in one column, and around all."""
_SLOT = 8.0

Point: TypeAlias = tuple[float, float]
_Place: TypeAlias = tuple[int, int]
"""A node and its layer; with another layer, the slot of its arrows there."""


class Box(NamedTuple):
    """A rectangle, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The height of its middle."""
        return self.y + self.height / 2


class Placing:
    """The boxes of all nodes, in their order, and the size of the whole."""

    def __init__(self, found: Links, size: Callable[[Node], tuple[float, float]]) -> None:
        """`size` gives the width and height of a node."""
        self._found = found
        self._sizes = [size(node) for node in found.nodes]
        self._layers = sorted({node.layer for node in found.nodes})
        self._places: dict[_Place, Box] = {}
        self._between = {link: self._passed(link) for link in found.links}
        self._slots = {(link.source, layer) for link, layers in self._between.items() for layer in layers}
        columns = [self._column(layer) for layer in self._layers]
        heights = [sum(map(self._height, column)) + SPACE * (len(column) - 1) for column in columns]
        x = MARGIN
        for layer, column, height in zip(self._layers, columns, heights, strict=True):
            x = self._place(layer, column, x, MARGIN + (max(heights) - height) / 2) + GAP
        self.width, self.height = x - GAP + MARGIN, max(heights) + 2 * MARGIN
        self.boxes = [self._places[at, node.layer] for at, node in enumerate(found.nodes)]

    def way(self, link: Link) -> list[Point]:
        """The points through which an arrow runs, from right edge to left edge; between two and three it is level."""
        source, target = self.boxes[link.source], self.boxes[link.target]
        slots = [self._places[link.source, layer] for layer in self._between[link]]
        across = [(x, slot.middle) for slot in slots for x in (slot.x, slot.x + slot.width)]
        return [(source.x + source.width, source.middle), *across, (target.x, target.middle)]

    def _passed(self, link: Link) -> list[int]:
        first, last = self._found.nodes[link.source].layer, self._found.nodes[link.target].layer
        return [layer for layer in self._layers if first < layer < last]

    def _column(self, layer: int) -> list[_Place]:
        """What lies in a layer: its nodes, and a slot for each node whose arrows pass it."""
        nodes = [(at, layer) for at, node in enumerate(self._found.nodes) if node.layer == layer]
        return [*nodes, *sorted(slot for slot in self._slots if slot[1] == layer)]

    def _height(self, place: _Place) -> float:
        return self._sizes[place[0]][1] if self._is_node(place) else _SLOT

    def _is_node(self, place: _Place) -> bool:
        return self._found.nodes[place[0]].layer == place[1]

    def _place(self, layer: int, column: list[_Place], x: float, y: float) -> float:
        """Place a column, in the order of what leads to it; gives its right edge."""
        width = max(self._sizes[at][0] for at, own in column if self._is_node((at, own)))
        for place in sorted(column, key=self._pull):
            self._places[place] = Box(x, y, width, self._height(place))
            y += self._height(place) + SPACE
        return x + width

    def _pull(self, place: _Place) -> float:
        """The mean height at which what leads to a place leaves the column before it."""
        links = [link for link in self._found.links if link.target == place[0]] if self._is_node(place) else []
        sources = [link.source for link in links] or ([] if self._is_node(place) else [place[0]])
        before = [layer for layer in self._layers if layer < place[1]]
        heights = [
            next(self._places[source, layer].middle for layer in reversed(before) if (source, layer) in self._places)
            for source in sources
        ]
        return sum(heights) / len(heights) if heights else 0.0
