"""The derived full-text index: which documents of a tree hold which words, asked at one root tree.

Knows keys, blobs and the words in them; does not know commits, expiry or what a caller may see.
Law: every answer is that of the root tree it is asked at. The tables stand at one root; a question at another first
takes them there by what differs between the two, in the same transaction. They may vanish, be damaged or be impossible
at any time, which only costs time. Filling them is up to whoever asks: a store never waits for it.

FTS5 keeps no texts here, only where words are: what a blob holds can be read again, to take it out as to show it.
`text_words` says which text that is, `text_tables` how it lies.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from gitmem.index import text_tables as tables
from gitmem.index.file import IndexFile, wait
from gitmem.index.text_tables import STEMS, WORDS, Bounds, Search
from gitmem.objects import Objects, Oid
from gitmem.trees import KeyId

__all__ = ["STEMS", "WORDS", "Bounds", "Found", "Search", "TextIndex"]

T = TypeVar("T")

_ATTEMPTS = 3
_PATIENCE = 60_000  # milliseconds: somebody else may be filling the tables, which we should have to do ourselves
_indexes: weakref.WeakSet[TextIndex] = weakref.WeakSet()
_abandoned: list[sqlite3.Connection | None] = []  # connections of a parent process: a child must not even close them


class Found(NamedTuple):
    """One document and how well it answers: by BM25, higher is better."""

    namespace: str
    key: str
    score: float


class TextIndex:
    """The texts in `objects`, indexed at `path` (None: in memory). Threads and processes may share it."""

    def __init__(self, path: str | None, objects: Objects) -> None:
        """Opens nothing until it is asked."""
        self._file = IndexFile(path, tables.TABLES, tables.SCHEMA)
        self._objects = objects
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        _indexes.add(self)

    @property
    def in_memory(self) -> bool:
        """Whether no file is used, for whatever reason."""
        return self._file.in_memory

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        with self._lock:
            self._close()

    def best(
        self, root: Oid, search: Search, question: str, bounds: Bounds, *, most: int, limit: int
    ) -> tuple[list[Found], list[KeyId]]:
        """The best `most` documents at this root, and the keys whose files are no values: they may have been meant.

        By score, then namespace and key. `question` as `text_words` makes it; `limit` is how many bytes a value may
        have. StorageError if the root's trees cannot be read.
        """

        def work(db: sqlite3.Connection) -> tuple[list[Found], list[KeyId]]:
            with self._at(db, root, limit):
                rows = tables.best(db, search, question, bounds, most)
                return [Found(*row) for row in rows], tables.unreadable(db, bounds)

        return self._ask(work)

    # --- inside ---

    @contextmanager
    def _at(self, db: sqlite3.Connection, root: Oid, limit: int) -> Iterator[None]:
        """A transaction in which the tables are those of this root tree; it only reads where they are already."""
        db.execute("begin")
        try:
            if not tables.stand_at(db, self._objects, root, limit):
                db.execute("rollback")
                if self._file.moved():
                    raise _Moved
                db.execute("begin immediate")
                tables.move(db, self._objects, root, limit)
            yield
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            raise

    def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work on the open tables; if they fail, again on new ones, at last on tables in memory."""
        with self._lock:
            for attempt in range(_ATTEMPTS + 1):
                if attempt == _ATTEMPTS:
                    self._file.in_memory = True
                if self._db is None:
                    self._db = self._file.open()
                    wait(self._db, _PATIENCE)
                try:
                    return work(self._db)
                except _Moved:
                    self._close()
                except sqlite3.ProgrammingError:
                    raise
                except sqlite3.DatabaseError as error:
                    self._close()
                    if self._file.in_memory:
                        raise
                    self._file.give_up(error, attempt)
            raise AssertionError("tables in memory neither move nor fail")

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error:
                pass  # it is given up

    def _forked(self) -> None:
        """In a child process: the parent's connection and lock are not ours."""
        _abandoned.append(self._db)
        self._db, self._lock = None, threading.RLock()


class _Moved(Exception):
    """The file at the path is not the one that is open."""


def _leave_to_parents() -> None:
    for index in _indexes:
        index._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parents)
