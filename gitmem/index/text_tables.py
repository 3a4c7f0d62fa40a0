"""The tables of the full-text index: documents, the words in them, and the root tree that they stand at.

Knows SQL and FTS5; does not know files, locks or processes.
Law: between transactions the documents are the keys of the root tree in `state`, each as its blob, and the words are
those of the documents that can be read. A row of FTS5 is taken out by the very text that it was put in with.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from math import inf
from typing import Any, NamedTuple

from gitmem import codec, trees
from gitmem.errors import InvalidValueError, StorageError
from gitmem.index.text_words import PARTS, parts_of, spread, text_of
from gitmem.keys import REASONING_BANK
from gitmem.objects import Objects, Oid, TooBig
from gitmem.trees import KeyId

SCHEMA = 1  # also grows when `text_words` finds another text in the same value
STEMMED = frozenset({REASONING_BANK})
"""The namespaces whose documents are kept by the stems of their words too, to be ranked."""
KEY_WEIGHT = 3.0
"""How much more a word counts in a key than in a value, where documents are found."""
WEIGHTS = {"key": 2.0, "approach": 2.0, "lessons": 0.5, "rest": 0.5}
"""How much a word counts in each part of a pattern, where patterns are ranked: most in what it is about. Lessons name
many things beside it. (Fitted to one half of fixtures/patterns.)
"""

_LETTERS = "unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
WORDS_TOKENIZER, STEMS_TOKENIZER = f'tokenize="{_LETTERS}"', f'tokenize="porter {_LETTERS}"'
TABLES = f"""
create table state(root blob);
create table documents(
    id integer primary key, namespace text not null, key text not null, blob blob not null,
    readable integer not null, unique(namespace, key));
create index documents_unreadable on documents(id) where not readable;
create virtual table words using fts5(key, body, content='', {WORDS_TOKENIZER});
create virtual table stems using fts5({", ".join(PARTS)}, content='', {STEMS_TOKENIZER});
"""

class Search(NamedTuple):
    """A table of words, how it tells how well a document answers, and whose documents it holds (None: everybody's)."""

    table: str
    score: str
    namespaces: frozenset[str] | None = None


WORDS = Search("words", f"-bm25(words, {KEY_WEIGHT}, 1.0)")
STEMS = Search("stems", f"-bm25(stems, {', '.join(str(WEIGHTS[part]) for part in PARTS)})", STEMMED)

_BEST = "select rowid, {score} as score from {table} where {table} match :question order by score desc limit :most"
_NAMED = "select namespace, key from documents where id = ?"
_AMONG = """
select d.namespace, d.key, found.score
from (select rowid, {score} as score from {table} where {table} match :question limit -1) found
join documents d on d.id = found.rowid
where found.score >= :least{within} order by found.score desc, d.namespace, d.key limit :most
"""
_UNREADABLE = """
select namespace, key from documents indexed by documents_unreadable
where not readable{within} order by namespace, key
"""


class Bounds(NamedTuple):
    """In which namespace to look (None: in all), and for which keys (None: for all)."""

    namespace: str | None
    wanted: Callable[[str], bool] | None

    @property
    def within(self) -> str:
        """What SQL has to ask for besides."""
        named, tested = self.namespace is not None, self.wanted is not None
        return " and namespace = :namespace" * named + " and wanted(key)" * tested

    def take_all(self, search: Search) -> bool:
        """Whether every document of the table will do."""
        return self.wanted is None and (self.namespace is None or search.namespaces == frozenset({self.namespace}))


Row = tuple[str, str, float]


def narrow(db: sqlite3.Connection, bounds: Bounds) -> None:
    """Teach the connection which keys are wanted. Before a transaction: FTS5 keeps a statement open until its end, and
    SQLite takes no other function meanwhile.
    """
    if bounds.wanted is not None:
        db.create_function("wanted", 1, bounds.wanted, deterministic=True)


def best(db: sqlite3.Connection, search: Search, question: str, bounds: Bounds, most: int) -> list[Row]:
    """(namespace, key, score) of the documents that answer best: by score, then namespace and key.

    Where any document will do, only the best are looked up, unless the last of them has equals.
    """
    arguments = {"question": question, "namespace": bounds.namespace, "most": most + 1, "least": -inf}
    if bounds.take_all(search):  # a quarter quicker than asking each for its namespace
        rows = db.execute(_BEST.format(**search._asdict()), arguments).fetchall()
        if most == 0 or len(rows) <= most or rows[most][1] < rows[most - 1][1]:
            return _named(db, rows[:most])
        arguments["least"] = rows[most][1]
    among = _AMONG.format(**search._asdict(), within=bounds.within)
    return db.execute(among, arguments).fetchall()[:most]


def _named(db: sqlite3.Connection, rows: list[tuple[int, float]]) -> list[Row]:
    named = [(db.execute(_NAMED, (document,)).fetchone(), score) for document, score in rows]
    if any(key is None for key, _ in named):
        raise sqlite3.DatabaseError("there are words without a document")
    return sorted(((*key, score) for key, score in named), key=lambda row: (-row[2], *row[:2]))


def unreadable(db: sqlite3.Connection, bounds: Bounds) -> list[KeyId]:
    """The keys whose files are no values, sorted."""
    return db.execute(_UNREADABLE.format(within=bounds.within), {"namespace": bounds.namespace}).fetchall()


def stand_at(db: sqlite3.Connection, objects: Objects, root: Oid, limit: int) -> bool:
    """Whether there is nothing to do: the tables are those of this root, and what could not be read still cannot."""
    if _root(db) != root:
        return False
    return all(_value(objects, blob, limit) is None for _, _, _, blob in _unread(db))


def move(db: sqlite3.Connection, objects: Objects, root: Oid, limit: int) -> None:
    """Take the tables from the root they stand at to this one; anew, where the way there is lost.

    StorageError if this root's trees cannot be read.
    """
    writer = _Writer(db, objects, limit)
    try:
        old = _root(db)
        if old is None:
            raise _Lost
        writer.again(_unread(db))
        writer.change(trees.changed(objects, old, root))
    except (_Lost, StorageError):
        writer.fill(root)
    db.execute("delete from state")
    db.execute("insert into state values(?)", (root,))


class _Lost(Exception):
    """A text that is to be taken out can no longer be had."""


class _Writer:
    """Puts documents in and takes them out."""

    def __init__(self, db: sqlite3.Connection, objects: Objects, limit: int) -> None:
        self._db = db
        self._objects = objects
        self._limit = limit

    def fill(self, root: Oid) -> None:
        """Everything anew."""
        for table in ("words", "stems"):
            self._db.execute(f"insert into {table}({table}) values('delete-all')")
        self._db.execute("delete from documents")
        for namespace in trees.namespaces(self._objects, root):
            for key, blob in trees.keys_of(self._objects, root, namespace).items():
                self._add(namespace, key, blob)

    def change(self, differences: dict[KeyId, trees.Difference]) -> None:
        """What differs between two roots."""
        for (namespace, key), (old, new) in differences.items():
            if old is not None:
                self._remove(namespace, key)
            if new is not None:
                self._add(namespace, key, new)

    def again(self, rows: Iterable[tuple[int, str, str, Oid]]) -> None:
        """Documents that could not be read: a lost object may have come back, the limit may be another."""
        for _, namespace, key, blob in rows:
            self._remove(namespace, key)
            self._add(namespace, key, blob)

    def _add(self, namespace: str, key: str, blob: Oid) -> None:
        found = _value(self._objects, blob, self._limit)
        sql = "insert into documents(namespace, key, blob, readable) values(?, ?, ?, ?)"
        document = self._db.execute(sql, (namespace, key, blob, found is not None)).lastrowid
        if found is not None:
            for table, columns in _columns(namespace, key, found[0]):
                marks = ", ".join("?" * len(columns))
                sql = f"insert into {table}(rowid, {', '.join(columns)}) values(?, {marks})"
                self._db.execute(sql, (document, *columns.values()))

    def _remove(self, namespace: str, key: str) -> None:
        sql = "select id, blob, readable from documents where namespace = ? and key = ?"
        known = self._db.execute(sql, (namespace, key)).fetchone()
        if known is None:
            raise _Lost
        document, blob, readable = known
        self._db.execute("delete from documents where id = ?", (document,))
        if not readable:
            return
        found = _value(self._objects, blob, None)
        if found is None:
            raise _Lost
        for table, columns in _columns(namespace, key, found[0]):
            marks = ", ".join("?" * len(columns))
            sql = f"insert into {table}({table}, rowid, {', '.join(columns)}) values('delete', ?, {marks})"
            self._db.execute(sql, (document, *columns.values()))


def _columns(namespace: str, key: str, value: Any) -> Iterable[tuple[str, dict[str, str]]]:
    """The tables in which a document stands, and its texts there."""
    yield "words", {"key": spread(key), "body": spread(text_of(value))}
    if namespace in STEMMED:
        yield "stems", dict(zip(PARTS, map(spread, parts_of(key, value)), strict=True))


def _value(objects: Objects, blob: Oid, limit: int | None) -> tuple[Any] | None:
    """A blob's value, in a tuple since null is a value; None if it is none, is too big or is lost."""
    try:
        body = objects.read_blob(blob, limit=limit)
        return (codec.decode(body, max_bytes=len(body)),)
    except (InvalidValueError, StorageError, TooBig):
        return None


def _root(db: sqlite3.Connection) -> Oid | None:
    row = db.execute("select root from state").fetchone()
    return None if row is None else row[0]


def _unread(db: sqlite3.Connection) -> list[tuple[int, str, str, Oid]]:
    sql = "select id, namespace, key, blob from documents indexed by documents_unreadable where not readable"
    return db.execute(sql).fetchall()
