"""The way from one revision to another: which commits a consumer is told of, and in which order.

Knows commits and their parents; does not know keys.

The history is a graph, a stream of events is a line. From the head backwards, at a merge the way goes to the first
parent from which the cursor can be reached: never blindly to the first, since a fast-forward puts our own commits
beside it. What a merge brought in from its other sides appears once, at the merge.

Law: for each commit on the way from a cursor, the way from that commit is the rest of it. (Where the way passed
a merge, no earlier parent comes after the cursor; so none comes after a commit that does.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gitmem.index import Index
    from gitmem.objects import Objects, Oid


class Step(NamedTuple):
    """One commit of the way, and the parent over which it is reached."""

    parent: Oid
    commit: Oid


def way(objects: Objects, index: Index, since: Oid, head: Oid) -> list[Step] | None:
    """The steps from `since` (exclusive) to `head`, the oldest first; None if `since` is no ancestor of `head`."""
    if since == head:
        return []
    if not objects.contains(since) or not index.is_ancestor(since, head):
        return None
    return list(_backwards(objects, index, since, head))[::-1]


def _backwards(objects: Objects, index: Index, since: Oid, head: Oid) -> Iterator[Step]:
    while head != since:
        parents = objects.commit(head).parents
        parent = parents[0] if len(parents) == 1 else next(one for one in parents if index.is_ancestor(since, one))
        yield Step(parent, head)
        head = parent


def between(objects: Objects, before: Oid, after: Oid, *, limit: int) -> list[Step] | None:
    """Every step from a commit to its parent that may have been made between two heads; None if there are more than
    `limit`, or if `before` is no ancestor of `after`.

    Whoever compared the two heads alone would miss what was changed and changed back.
    """
    steps: list[Step] = []
    seen, waiting = {before, after}, [after]
    found = False
    while waiting:
        commit = waiting.pop()
        for parent in objects.commit(commit).parents:
            steps.append(Step(parent, commit))
            found |= parent == before
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
        if len(steps) > limit:
            return None
    return steps if found else None
