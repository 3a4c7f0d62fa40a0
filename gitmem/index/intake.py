"""How commits come into the ledger: history that others wrote, commits of our own, the heads of branches.

Knows how to read what is missing from git, and in which order to enter it; does not know the law of versions.
Law: parents come before children, what is recorded is never recorded twice, and no process is kept waiting
while another one reads git.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from gitmem.index.file import LONG_WAIT, SHORT_WAIT, wait
from gitmem.index.ledger import Ledger
from gitmem.objects import Commit, Objects, Oid
from gitmem.trees import Difference, KeyId, changed

Changes: TypeAlias = Mapping[KeyId, Difference]

_BATCH = 1000  # commits in one transaction


def record_history(ledger: Ledger, objects: Objects, head: Oid) -> None:
    """Record `head` and its ancestors, as far as they are not; between the transactions git is read."""
    unknown = _unknown(ledger, objects, head)
    wait(ledger.db, LONG_WAIT)
    try:
        for start in range(0, len(unknown), _BATCH):
            read = [
                (commit, _differences(objects, commit))
                for commit in map(objects.commit, unknown[start : start + _BATCH])
                if ledger.known(commit.oid) is None
            ]
            with ledger.writing():
                for commit, differences in read:
                    if ledger.known(commit.oid) is None:  # another process may have been quicker
                        ledger.record(commit, differences)
    finally:
        wait(ledger.db, SHORT_WAIT)


def record_own(ledger: Ledger, commits: Sequence[tuple[Commit, Changes]], branch: str | None) -> bool:
    """Record a line of commits whose changes are at hand; False if they do not continue what is recorded."""
    if any(len(commit.parents) > 1 for commit, _ in commits):
        return False
    with ledger.writing():
        for commit, changes in commits:
            if any(ledger.known(parent) is None for parent in commit.parents):
                return False
            if ledger.known(commit.oid) is None:
                ledger.record(commit, [changes])
        if branch is not None:
            follow = "update heads set revision = ? where branch = ? and revision = ?"
            first, last = commits[0][0], commits[-1][0]
            if not ledger.db.execute(follow, (last.oid, branch, first.parents[0] if first.parents else b"")).rowcount:
                move_head(ledger, branch, last.oid, always=False)
    return True


def move_head(ledger: Ledger, branch: str, head: Oid, *, always: bool) -> Oid | None:
    """Remember a branch's head (if need be only `always`). The one before, if it does not precede this one."""
    row = ledger.db.execute("select revision from heads where branch = ?", (branch,)).fetchone()
    before: Oid | None = None if row is None else row[0]
    lost = None if before is None or _leads_to(ledger, before, head) else before
    if before != head and (always or lost is None):
        ledger.db.execute("insert or replace into heads values (?, ?)", (branch, head))
    return lost


def _leads_to(ledger: Ledger, before: Oid, head: Oid) -> bool:
    old, new = ledger.known(before), ledger.known(head)
    return old is not None and new is not None and ledger.precedes(*old.place, new.place)


def _unknown(ledger: Ledger, objects: Objects, head: Oid) -> list[Oid]:
    """`head` and its ancestors that are not recorded; parents first, lines of first parents unbroken."""
    order: list[Oid] = []
    seen: set[Oid] = set()
    stack = [(head, False)]
    while stack:
        oid, finished = stack.pop()
        if finished:
            order.append(oid)
        elif oid not in seen:
            seen.add(oid)
            if ledger.known(oid) is None:
                stack.append((oid, True))
                stack.extend((parent, False) for parent in reversed(objects.commit(oid).parents))
    return order


def _differences(objects: Objects, commit: Commit) -> list[Changes]:
    if not commit.parents:
        return [changed(objects, None, commit.tree)]
    return [changed(objects, objects.commit(parent).tree, commit.tree) for parent in commit.parents]
