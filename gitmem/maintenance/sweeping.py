"""Sweeping: what has expired leaves the tree by ordinary commits. Readers see no difference: it was absent to them.

Knows instants and keys; does not know how a commit is published.
Law: a key goes only if it has expired at the very snapshot that the deletion is built on, so whoever stored it
anew or renewed it a moment before keeps it.
"""

from __future__ import annotations

from gitmem.editing import edit
from gitmem.entries import Version
from gitmem.history import as_version
from gitmem.memory import Memory
from gitmem.objects import Commit
from gitmem.reader import Reader
from gitmem.writing import Rewrite, expiry_message


def sweep(memory: Memory) -> list[Version]:
    """Delete every expired key of the memory's branch in one commit; the deletions, none if nothing has expired.

    The judge is the memory's clock. Errors are those of every write.
    """
    vault = memory.vault

    def plan(head: Commit) -> Rewrite | None:
        now = vault.clock()
        expired = Reader(vault, vault.snapshot(head.oid), now=lambda: now).expired_keys()
        gone = dict.fromkeys(expired)
        if not gone:
            return None
        return Rewrite(
            len(gone), expiry_message(expired), lambda writer: edit(vault.objects, writer, head.tree, gone, gone)
        )

    commit = memory.write_path().rewrite(plan)
    if commit is None:
        return []
    snapshot = vault.snapshot(commit.oid)
    rows = vault.indexed(snapshot).changes(commit.oid)
    return [as_version(vault, snapshot, namespace, key, row) for namespace, key, row in rows]
