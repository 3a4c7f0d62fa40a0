"""Versions and tokens, slowly: the design's text followed word for word, with sets of ancestors.

A graph is a list of commits; each names its parents by their place in the list, and has the whole state of all
keys. Nothing here is clever, so that it can be read beside the text and believed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

State = Mapping[str, str]


class Node(NamedTuple):
    """A commit: its parents' places, and what every key holds in it (a missing key is absent)."""

    parents: tuple[int, ...]
    state: State


class Reference:
    """Answers about one graph."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.ancestors = cache(self._ancestors)
        self.is_version = cache(self._is_version)

    def _ancestors(self, place: int) -> frozenset[int]:
        """The commit and all its ancestors."""
        return frozenset({place}).union(*(self.ancestors(parent) for parent in self.nodes[place].parents))

    def content(self, place: int, key: str) -> str | None:
        return self.nodes[place].state.get(key)

    def versions(self, place: int, key: str) -> frozenset[int]:
        """The versions of the key among the commit and its ancestors."""
        return frozenset(one for one in self.ancestors(place) if self.is_version(one, key))

    def _is_version(self, place: int, key: str) -> bool:
        parents = self.nodes[place].parents
        content = self.content(place, key)
        if len(parents) == 0:
            return content is not None
        if len(parents) == 1:
            return content != self.content(parents[0], key)
        if len(parents) == 2:
            return self._is_version_merge(place, key)
        return self._is_version_octopus(place, key)

    def _is_version_merge(self, place: int, key: str) -> bool:
        """Both sides have a version that the other lacks, or its blob is not that of the side with the newer
        version (of both, if neither has one)."""
        ours, theirs = self.nodes[place].parents
        content = self.content(place, key)
        only_ours = self.versions(ours, key) - self.versions(theirs, key)
        only_theirs = self.versions(theirs, key) - self.versions(ours, key)
        if only_ours and only_theirs:
            return True
        if only_ours:
            return content != self.content(ours, key)
        if only_theirs:
            return content != self.content(theirs, key)
        return content != self.content(ours, key) and content != self.content(theirs, key)

    def _is_version_octopus(self, place: int, key: str) -> bool:
        """The same of several sides: none of them has all the others' versions, or it is not the newest's."""
        parents = self.nodes[place].parents
        together = frozenset().union(*(self.versions(parent, key) for parent in parents))
        newest = [parent for parent in parents if self.versions(parent, key) == together]
        return not newest or self.content(place, key) != self.content(newest[0], key)

    def token(self, place: int, key: str) -> int | None:
        """The last version: the one that has all the others among its ancestors."""
        versions = self.versions(place, key)
        last = [one for one in versions if versions <= self.ancestors(one)]
        assert len(last) == bool(versions), "the token is unique"
        return last[0] if last else None

    def number(self, version: int, key: str) -> int:
        """How many versions are among the version and its ancestors."""
        return len(self.versions(version, key))


def random_graph(seed: int, size: int, keys: list[str]) -> list[Node]:
    """Merges of anything with anything, wilful contents, few values: so that the same change is made twice,
    changes are taken back, and keys are deleted and come back."""
    dice = random.Random(seed)
    nodes: list[Node] = []
    for place in range(size):
        if place == 0 or dice.random() < 0.03:
            nodes.append(Node((), _changed(dice, {}, keys)))
            continue
        recent = range(max(0, place - dice.choice((2, 3, 5, 30))), place)
        count = dice.choice((1, 1, 1, 2, 2, 2, 2, 3, 4))
        parents = tuple(dice.sample(recent, min(count, len(recent))))
        if len(parents) == 1:
            nodes.append(Node(parents, _changed(dice, nodes[parents[0]].state, keys)))
        else:
            nodes.append(Node(parents, dict(_merged(dice, [nodes[parent].state for parent in parents], keys))))
    return nodes


def _changed(dice: random.Random, state: State, keys: list[str]) -> State:
    after = dict(state)
    for key in dice.sample(keys, dice.choice((0, 1, 1, 1, 2))):
        if dice.random() < 0.25:
            after.pop(key, None)
        else:
            after[key] = dice.choice("abc")
    return after


def _merged(dice: random.Random, sides: list[State], keys: list[str]) -> Iterator[tuple[str, str]]:
    for key in keys:
        content = dice.choice(sides).get(key)
        if dice.random() < 0.15:
            content = dice.choice(("a", "b", "c", None))
        if content is not None:
            yield key, content
