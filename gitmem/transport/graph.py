"""What one side of a history has that the other lacks: commits first, then the objects of each.

Knows commits and trees; does not know refs or the way to the other side.
Law: what `ahead` and `objects_of` give, with what the known commits reach, is all that the new ones need; where
clocks were wrong it may be more, never less.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence

from gitmem.objects import EMPTY_TREE, TREE_MODE, Commit, Objects, Oid
from gitmem.place import ROOT_COMMIT
from gitmem.transport.failures import Trouble

MOST_HAVES = 256
_GITLINK = 0o160000
_LARGEST = 1 << 29
_NEAR, _FAR = 32, 20_000


def ahead(objects: Objects, new: Iterable[Oid], known: Collection[Oid]) -> list[Commit]:
    """The commits that `new` reach and `known` do not, parents before children. Known ones we lack are passed over.

    As git's rev-list does: newest first, and a commit that both sides reach is nobody's news.
    """
    ours: dict[Oid, bool] = {}  # commit -> whether it is news
    heap: list[tuple[int, Oid]] = []
    news = 0

    def see(oid: Oid, fresh: bool) -> None:
        nonlocal news
        before = ours.get(oid)
        if before is None:
            ours[oid] = fresh
            news += fresh
            heapq.heappush(heap, (-objects.commit(oid).committer.time, oid))
        elif before and not fresh:
            ours[oid] = False
            if oid not in done:
                news -= 1
            else:
                heapq.heappush(heap, (-objects.commit(oid).committer.time, oid))

    done: set[Oid] = set()
    for oid in known:
        if objects.contains(oid) and is_commit(objects, oid):
            see(oid, False)
    for oid in new:
        see(oid, True)
    while heap and news:
        _, oid = heapq.heappop(heap)
        fresh = ours[oid]
        if oid not in done:
            done.add(oid)
            news -= fresh
        for parent in objects.commit(oid).parents:
            see(parent, fresh)
    return _parents_first([objects.commit(oid) for oid in done if ours[oid]])


def _parents_first(commits: Sequence[Commit]) -> list[Commit]:
    """In an order in which every commit comes after those of its parents that are among them."""
    among = {commit.oid: commit for commit in commits}
    ordered: dict[Oid, Commit] = {}
    for start in sorted(commits, key=lambda commit: commit.committer.time):
        path = [start]
        while path:
            commit = path[-1]
            if commit.oid in ordered:
                path.pop()
                continue
            waiting = [among[one] for one in commit.parents if one in among and one not in ordered]
            if waiting:
                path += waiting
            else:
                ordered[commit.oid] = path.pop()
    return list(ordered.values())


def is_commit(objects: Objects, oid: Oid) -> bool:
    """Whether the object is here and is a commit."""
    return objects.contains(oid) and objects.read(oid)[0] == "commit"


def descends(objects: Objects, new: Oid, old: Oid) -> bool:
    """Whether `old` is `new` or an ancestor of it. A yes is quick where it is near; a no reads all of history."""
    heap, seen = [(0, new)], {new}
    while heap:
        _, oid = heapq.heappop(heap)
        if oid == old:
            return True
        for parent in objects.commit(oid).parents:
            if parent not in seen:
                seen.add(parent)
                heapq.heappush(heap, (-objects.commit(parent).committer.time, parent))
    return False


def objects_of(objects: Objects, commits: Iterable[Commit]) -> Iterator[tuple[Oid, Oid | None]]:
    """Every object of these commits that none of their parents has at the same path; parents come first.

    With each a similar one, its former state, if there is any. Nothing comes twice.
    """
    seen: set[Oid] = set()
    for commit in commits:
        roots = [objects.commit(parent).tree for parent in commit.parents]
        if commit.tree not in roots:
            yield from _below(objects, commit.tree, roots, seen)
        yield commit.oid, None


def _below(objects: Objects, root: Oid, roots: list[Oid], seen: set[Oid]) -> Iterator[tuple[Oid, Oid | None]]:
    pending = [(root, roots)]
    while pending:
        oid, formers = pending.pop()
        if oid in seen:
            continue
        seen.add(oid)
        yield oid, formers[0] if formers else None
        before = [objects.tree(former) for former in formers]
        for name, (mode, child) in objects.tree(oid).items():
            there = [old[name] for old in before if name in old]
            if mode == _GITLINK or child in seen or (mode, child) in there:
                continue
            same_kind = [other for old_mode, other in there if (old_mode == TREE_MODE) == (mode == TREE_MODE)]
            if mode == TREE_MODE:
                pending.append((child, same_kind))
            else:
                seen.add(child)
                yield child, same_kind[0] if same_kind else None


class Haves:
    """The commits that the other side is asked about, as dulwich's client wants them: an iterator of hex ids.

    At most 256: those it was last seen to have, our other tips, then ever older ones, with growing gaps.
    """

    def __init__(self, objects: Objects, followed: Iterable[Oid], tips: Iterable[Oid]) -> None:
        """`followed` are the commits that it had when we last looked: with those, no long search is needed."""
        followed = [tip for tip in followed if is_commit(objects, tip)]
        others = [tip for tip in tips if is_commit(objects, tip)]
        self._rest = _older(objects, list(dict.fromkeys([*followed, *others])), _NEAR if followed else _FAR)
        self._said: set[Oid] = set()

    def __next__(self) -> bytes | None:
        for oid in self._rest:
            if oid not in self._said and len(self._said) < MOST_HAVES:
                self._said.add(oid)
                return oid.hex().encode()
        return None

    def ack(self, oid: bytes) -> None:
        """The other side has it, and so all behind it: dulwich stops by itself when it has heard enough."""

    def nak(self) -> None:
        """It has none of those it was asked about so far."""


def _older(objects: Objects, tips: Sequence[Oid], far: int) -> Iterator[Oid]:
    yield from tips[: MOST_HAVES // 2]
    for tip in tips[:4]:
        gap, left, oid = 1, 1, tip
        for step in range(far):
            parents = objects.commit(oid).parents
            if not parents:
                yield oid
                break
            oid, left = parents[0], left - 1
            if not left:
                yield oid
                gap = gap if step < _NEAR else gap * 2
                left = gap
    if objects.contains(ROOT_COMMIT):
        yield ROOT_COMMIT


def body_of(objects: Objects, oid: Oid) -> tuple[str, bytes]:
    """An object's kind and body; git needs nobody to store the empty tree."""
    tree = b"" if oid == EMPTY_TREE else objects.tree_body(oid)  # the walk that led here has just read it
    return objects.read(oid, limit=_LARGEST) if tree is None else ("tree", tree)


def check_descends(objects: Objects, new: Oid, expected: Oid | None) -> None:
    """Trouble if pushing `new` over `expected` would drop history: a push is never forced."""
    if expected is not None and not (objects.contains(expected) and descends(objects, new, expected)):
        raise Trouble("the new commit does not descend from the one there", "fetch, merge, and push again")
