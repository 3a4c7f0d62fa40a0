"""The derived full-text index: which documents of a tree hold which words, asked at one root tree.

Knows keys, blobs and the words in them; does not know commits, expiry or what a caller may see.
Law: every answer is that of the root tree it is asked at. The tables stand at one root; a question at another first
takes them there by what differs between the two, in the same transaction. They may vanish, be damaged or be impossible
at any time, which only costs time. Filling them is up to whoever asks: a store never waits for it.

FTS5 keeps no texts here, only where words are: what a blob holds can be read again, to take it out as to show it.
`text_words` says which text that is, `text_tables` how it lies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gitmem.errors import StorageError
from gitmem.index import text_tables as tables
from gitmem.index.asking import Asked
from gitmem.index.file import IndexFile, is_busy, wait
from gitmem.index.text_tables import STEMMED, STEMS, WORDS, Bounds, Search
from gitmem.objects import Objects, Oid
from gitmem.trees import KeyId

__all__ = ["STEMMED", "STEMS", "WORDS", "Bounds", "Found", "Search", "TextIndex"]

_PATIENCE, _PAUSE = 100, 500  # so often we wait, so many milliseconds: somebody fills tables that we want filled, too


class Found(NamedTuple):
    """One document and how well it answers: by BM25, higher is better."""

    namespace: str
    key: str
    score: float


class TextIndex(Asked[sqlite3.Connection]):
    """The texts in `objects`, indexed at `path` (None: in memory). Threads and processes may share it."""

    def __init__(self, path: str | None, objects: Objects) -> None:
        """Opens nothing until it is asked."""
        super().__init__(IndexFile(path, tables.TABLES, tables.SCHEMA))
        self._objects = objects

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
                self._check_place()
                _begin_writing(db)
                tables.move(db, self._objects, root, limit)
            yield
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            raise

    def _open(self) -> sqlite3.Connection:
        try:
            db = self._file.open()
        except sqlite3.OperationalError as error:  # for want of tables even in memory
            raise StorageError(
                f"full-text search needs an SQLite with FTS5: {error}",
                hint="SQLite is built into Python: another Python has it; `gitmem search` does without",
            ) from error
        wait(db, _PAUSE)
        return db


def _begin_writing(db: sqlite3.Connection) -> None:
    """Begin when nobody else writes; between two pauses a person can give up by Ctrl-C, which SQLite does not hear."""
    for attempt in range(_PATIENCE):
        try:
            db.execute("begin immediate")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or attempt == _PATIENCE - 1:
                raise
