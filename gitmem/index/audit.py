"""The index's file held against git: whether every row in it is what history says.

Knows two ledgers, the file's and one made anew from git in memory; does not know why they differ.
Law: looking changes nothing; commits that only one of the two has recorded are no difference, since an index may
be behind, and may remember history that was rewritten.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator

from gitmem.index.file import SCHEMA, IndexFile, _alone, delete
from gitmem.index.intake import record_history
from gitmem.index.ledger import Ledger
from gitmem.objects import Objects, Oid

_BOTH = "select revision from main.commits intersect select revision from kept.commits"
_ROWS = {
    "commits": "select c.revision, c.parents, c.agent, c.session, c.time, c.committed, c.written from {0}.commits c",
    "versions": (
        "select c.revision, k.namespace, k.key, v.version, v.blob"
        " from {0}.versions v join {0}.keys k on k.id = v.key_id join {0}.commits c on c.ord = v.ord"
    ),
    "undos": "select c.revision, u.undoes, u.keys, u.namespace from {0}.undos u join {0}.commits c on c.ord = u.ord",
    "write ids": ("select c.revision, w.write_id, w.digest from {0}.write_ids w join {0}.commits c on c.ord = w.ord"),
}


def check(path: str, objects: Objects, heads: Iterable[Oid]) -> str:
    """What is wrong with the index at `path`, or nothing: "". StorageError if git's own objects cannot be read.

    Takes as long as building the index anew, since that is what it is compared with.
    """
    if not os.path.exists(path):
        return ""
    try:
        db = IndexFile(None).open()
        try:
            db.execute("attach database ? as kept", (path,))
            if db.execute("pragma kept.user_version").fetchone()[0] != SCHEMA:
                return "it is of another schema"
            found = db.execute("pragma kept.integrity_check(1)").fetchone()[0]
            if found != "ok":
                return str(found)
            ledger = Ledger(db)
            for head in heads:
                record_history(ledger, objects, head)
            return _difference(db)
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        return f"it cannot be read: {error}"


def _difference(db: sqlite3.Connection) -> str:
    db.execute(f"create temp table shared as {_BOTH}")
    db.execute("create unique index temp.shared_revision on shared(revision)")
    for what, rows in _ROWS.items():
        fresh, kept = (
            f"{rows.format(name)} where c.revision in (select revision from temp.shared)" for name in ("main", "kept")
        )
        for one, other in ((fresh, kept), (kept, fresh)):
            row = db.execute(f"{one} except {other} limit 1").fetchone()
            if row is not None:
                return f"its {what} of commit {row[0].hex()} are not those of git"
    return ""


def discard(path: str) -> None:
    """Delete the index; whoever has it open notices and begins a new one."""
    with _alone(path):
        delete(path)


def line(path: str, branch: str) -> Iterator[Oid]:
    """The head of a branch that the index at `path` saw last, then its first parents; nothing if it cannot be read."""
    if not os.path.exists(path):
        return
    try:
        db = sqlite3.connect(path, isolation_level=None)
    except sqlite3.Error:
        return
    try:
        row = db.execute("select revision from heads where branch = ?", (branch,)).fetchone()
        while row is not None and row[0]:
            yield row[0][:20]
            row = db.execute("select parents from commits where revision = ?", (row[0][:20],)).fetchone()
    except sqlite3.Error:
        return
    finally:
        db.close()
