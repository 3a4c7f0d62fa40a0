"""Where in a text the words of a question stand: as FTS5 sees it, asked about texts at hand.

Knows FTS5's highlighting, on tables in memory that live for one call; does not know where texts come from.
Law: a function of its arguments alone: marks are ranges of characters of the text as it was given.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

from gitmem.index.text_tables import STEMS_TOKENIZER, WORDS_TOKENIZER
from gitmem.index.text_words import SPLIT, any_of, spread

Marks = tuple[tuple[int, int], ...]

_OPEN, _CLOSE = "\x02", "\x03"  # no text of `text_words` holds control characters
_SIGNS = re.compile(f"[{_OPEN}{_CLOSE}{SPLIT}]")


def marks(question: str, texts: Sequence[Sequence[str]]) -> list[list[Marks]]:
    """Where the question (as `text_words` makes it) meets each part of each text; nowhere, if it does not meet it."""
    width = len(texts[0]) if texts else 1
    columns = ", ".join(f"part{number}" for number in range(width))
    put = f"insert into texts(rowid, {columns}) values(1, {', '.join('?' * width)})"
    asked = ", ".join(f"highlight(texts, {number}, '{_OPEN}', '{_CLOSE}')" for number in range(width))
    found: list[list[Marks]] = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(f"create virtual table texts using fts5({columns}, {WORDS_TOKENIZER})")
        for parts in texts:
            db.execute(put, [spread(part) for part in parts])
            row = db.execute(f"select {asked} from texts where texts match ?", (question,)).fetchone()
            found.append([tuple(_ranges(text)) for text in row] if row else [()] * width)
            db.execute("delete from texts")
    return found


def words_in(words: Sequence[str], texts: Sequence[str]) -> tuple[str, ...]:
    """Those of the words whose stem is in one of the texts."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(f"create virtual table texts using fts5(part, {STEMS_TOKENIZER})")
        db.executemany("insert into texts(part) values(?)", [(spread(text),) for text in texts])
        sql = "select 1 from texts where texts match ?"
        return tuple(word for word in words if db.execute(sql, (any_of((word,)),)).fetchone())


def _ranges(highlighted: str) -> Iterator[tuple[int, int]]:
    """The marked ranges, counted without the signs."""
    start = 0
    for signs, sign in enumerate(_SIGNS.finditer(highlighted)):
        at = sign.start() - signs
        if sign[0] == _OPEN:
            start = at
        elif sign[0] == _CLOSE:
            yield start, at
