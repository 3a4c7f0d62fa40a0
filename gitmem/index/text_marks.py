"""Where in a text the words of a question stand: as FTS5 sees it, asked about texts at hand.

Knows FTS5's highlighting, on tables in memory that are empty between two calls; does not know where texts come from.
Law: a function of its arguments alone: marks are ranges of characters of the text as it was given.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from gitmem.index.text_tables import STEMS_TOKENIZER, WORDS_TOKENIZER
from gitmem.index.text_words import SPLIT, any_of, spread

Marks = tuple[tuple[int, int], ...]

_OPEN, _CLOSE = "\x02", "\x03"  # no text of `text_words` holds control characters
_SIGNS = re.compile(f"[{_OPEN}{_CLOSE}{SPLIT}]")
_HIGHLIGHT = f"select highlight(texts, 0, '{_OPEN}', '{_CLOSE}') from texts where texts match ?"
_PIECE, _OVERLAP = 20_000, 500  # characters: what highlighting costs grows with the square of the marks
_desks = threading.local()


def marks(question: str, documents: Iterable[tuple[str, str]]) -> list[tuple[Marks, Marks]]:
    """Where some term of a question stands in each document's key and text.

    Of a long text only some pages are told: the first ones on which there is a mark.
    """
    with _desk() as db:
        return [(_marked(db, question, key), _marked(db, question, text)) for key, text in documents]


def words_in(words: Sequence[str], texts: Iterable[str]) -> tuple[str, ...]:
    """Those of the words whose stem is in one of the texts."""
    with _desk() as db:
        db.executemany("insert into stems values(?)", [(spread(text),) for text in texts])
        sql = "select 1 from stems where stems match ?"
        return tuple(word for word in words if db.execute(sql, (any_of((word,)),)).fetchone())


def _marked(db: sqlite3.Connection, question: str, text: str) -> Marks:
    for start, piece in _pieces(text):
        db.execute("delete from texts")
        db.execute("insert into texts values(?)", (spread(piece.replace(SPLIT, " ")),))
        row = db.execute(_HIGHLIGHT, (question,)).fetchone()
        if row is not None:
            return tuple((start + low, start + high) for low, high in _ranges(row[0]))
    return ()


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """A text in pieces that overlap, and where each begins: between two words, where there are any."""
    start = 0
    while len(text) - start > _PIECE:
        end = text.rfind(" ", start + _OVERLAP + 1, start + _PIECE)
        end = start + _PIECE if end < 0 else end
        yield start, text[start:end]
        cut = text.rfind(" ", start + 1, end - _OVERLAP)
        start = end - _OVERLAP if cut < 0 else cut + 1
    yield start, text[start:]


def _ranges(highlighted: str) -> Iterator[tuple[int, int]]:
    """The marked ranges, counted without the signs."""
    start = 0
    for signs, sign in enumerate(_SIGNS.finditer(highlighted)):
        at = sign.start() - signs
        if sign[0] == _OPEN:
            start = at
        elif sign[0] == _CLOSE:
            yield start, at


class _Desk:
    """Two empty tables in memory, made once in a thread: that costs more than ten questions."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.db.execute(f"create virtual table texts using fts5(text, {WORDS_TOKENIZER})")
        self.db.execute(f"create virtual table stems using fts5(text, {STEMS_TOKENIZER})")

    def __del__(self) -> None:
        self.db.close()


@contextmanager
def _desk() -> Iterator[sqlite3.Connection]:
    """This thread's tables, which are empty again afterwards; a child process has its own."""
    desk: _Desk | None = getattr(_desks, "desk", None)
    if desk is None or desk.process != os.getpid():
        desk = _desks.desk = _Desk()
    desk.db.execute("begin")
    try:
        yield desk.db
    finally:
        desk.db.execute("rollback")
