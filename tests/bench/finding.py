"""Finding by words: a few hits, many hits, and what the first question costs, among 100,000 keys.

Knows what others would ask: LIKE over a table of values, or FTS5 itself; does not know how documents are kept.
Law: both sides give the same keys.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from gitmem import Memory
from gitmem.index.text_tables import KEY_WEIGHT, WORDS_TOKENIZER
from gitmem.index.text_words import text_of
from tests.bench.ground import NAMESPACE, Ground, key_of, open_memory, value_of
from tests.bench.measure import Figure, compare, race

MANY = 100_000
BEST = f"select rowid from words where words match ? order by bm25(words, {KEY_WEIGHT}, 1.0) limit 20"
DOCUMENTS = f"create virtual table words using fts5(key, body, content='', {WORDS_TOKENIZER})"


def find(ground: Ground) -> Iterator[Figure]:
    """Words that few have, a word that a third has (all equals, to be put in order), and filling the index."""
    keys = ground.size(MANY, 10_000)
    with open_memory(ground.filled(keys)) as memory:
        table = _table(ground.path("peer.sqlite3"), keys)
        numbers = [number * 7919 % keys for number in range(20)]
        for number in numbers:
            found = [hit.entry.key for hit in memory.find(f'"step {number} of the plan"')]
            assert sorted(found) == sorted(_like(table, number))
        mine, theirs = cycle(numbers), cycle(numbers)
        pair = race(
            lambda: memory.find(f'"step {next(mine)} of the plan"'),
            lambda: _like(table, next(theirs)),
            rounds=5,
            turns=ground.size(10, 5),
        )
        part = 20 * keys // MANY  # what LIKE takes goes with the number of keys
        yield compare("find", f"find a phrase, {keys:,} keys", pair, peer="LIKE", limit=1 / part, aim=f"≤ 1/{part}")
        bare = sqlite3.connect(memory.path / "derived" / "text.sqlite3")
        pair = race(
            lambda: memory.find("complete"),
            lambda: bare.execute(BEST, ('"complete"',)).fetchall(),
            rounds=5,
            turns=ground.size(10, 5),
        )
        work = f"find a word that {keys // 3:,} entries have, all alike"
        yield compare("find-common", work, pair, peer="the bare FTS5 query", limit=4)
        bare.close()
        pair = race(lambda: _first(memory), lambda: _filled(ground.path("fts.sqlite3"), table), rounds=3, turns=1)
        yield compare("find-first", f"the first find ever, {keys:,} keys", pair, peer="table → FTS5", limit=6)
        table.close()


def _table(path: Path, keys: int) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    db.execute("create table entries(namespace text, key text, value text, primary key(namespace, key)) without rowid")
    rows = ((NAMESPACE, key_of(n), json.dumps(value_of(n))) for n in range(keys))
    db.executemany("insert into entries values(?, ?, ?)", rows)
    db.commit()
    return db


def _like(table: sqlite3.Connection, number: int) -> list[str]:
    rows = table.execute("select key from entries where value like ? limit 20", (f"%step {number} of the plan%",))
    return [key for (key,) in rows]


def _first(memory: Memory) -> None:
    memory.close()
    for found in (memory.path / "derived").glob("text.sqlite3*"):
        found.unlink()
    assert memory.find("nothing of the kind") == []


def _filled(path: Path, table: sqlite3.Connection) -> None:
    """The same texts, out of a table of values."""
    db = sqlite3.connect(path)
    db.execute("pragma journal_mode = wal")
    db.execute(DOCUMENTS)
    rows = table.execute("select key, value from entries")
    db.executemany("insert into words(key, body) values(?, ?)", ((key, text_of(json.loads(one))) for key, one in rows))
    db.commit()
    db.close()
