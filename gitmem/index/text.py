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

from gitmem.errors import StorageError
from gitmem.index import text_tables as tables
from gitmem.index.file import IndexFile, is_busy, wait
from gitmem.index.text_tables import STEMS, WORDS, Bounds, Search
from gitmem.objects import Objects, Oid
from gitmem.trees import KeyId

__all__ = ["STEMS", "WORDS", "Bounds", "Found", "Search", "TextIndex"]

T = TypeVar("T")

_ATTEMPTS = 3
_PATIENCE, _PAUSE = 100, 500  # so often we wait, so many milliseconds: somebody fills tables that we want filled, too
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
            tables.narrow(db, bounds)
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
                _begin_writing(db)
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
                    self._db = self._opened()
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

    def _opened(self) -> sqlite3.Connection:
        try:
            db = self._file.open()
        except sqlite3.OperationalError as error:  # for want of tables even in memory
            raise StorageError(
                f"full-text search needs an SQLite with FTS5: {error}",
                hint="SQLite is built into Python: another Python has it; `gitmem search` does without",
            ) from error
        wait(db, _PAUSE)
        return db

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


def _begin_writing(db: sqlite3.Connection) -> None:
    """Begin when nobody else writes; between two pauses a person can give up by Ctrl-C, which SQLite does not hear."""
    for attempt in range(_PATIENCE):
        try:
            db.execute("begin immediate")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or attempt == _PATIENCE - 1:
                raise


class _Moved(Exception):
    """The file at the path is not the one that is open."""


def _leave_to_parents() -> None:
    for index in _indexes:
        index._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parents)
