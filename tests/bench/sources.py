"""Stores of other tools, large ones, made up: for measuring the import.

Knows the two tools' formats; the contents are the same at each run.
Law: one entry in about 165 is large (some 180 KB), so that 78,000 of them make about 122 MB in 36 namespaces.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

NAMESPACES = 36
LARGE_EVERY = 165
LARGE = 180_000
BEGIN = 1_700_000_000
_WORDS = (
    "agent answer approve branch cache check claim cluster commit contract decide deploy design draft error fence"
    " gate handoff index key lesson lock memory merge note pattern phase plan queue read report retry review"
    " schema session snapshot state status step store swarm task test token trace update value version write"
)
WORDS = _WORDS.split()

_SCHEMA = """
create table memory_entries (
    id integer primary key autoincrement, key text not null, value text not null,
    namespace text not null default 'default', metadata text,
    created_at integer default (strftime('%s', 'now')), updated_at integer default (strftime('%s', 'now')),
    accessed_at integer default (strftime('%s', 'now')), access_count integer default 0,
    ttl integer, expires_at integer, unique(key, namespace)
)
"""


def entries(count: int) -> Iterator[tuple[str, str, str, str, int]]:
    """(namespace, key, value, metadata, Unix seconds) of each entry; every time is another one."""
    chance = random.Random(7)
    for number in range(count):
        namespace = f"team-{number * 7 % NAMESPACES:02}"
        key = f"swarm/{WORDS[number % len(WORDS)]}/{number}"
        size = LARGE if number % LARGE_EVERY == 7 else chance.randrange(100, 800)
        session = f"session-{number // 500}"
        metadata = json.dumps({"sessionId": session, "storedBy": f"agent-{number % 9}", "type": "knowledge"})
        yield namespace, key, value(chance, number, size), metadata, BEGIN + 60 * number


def value(chance: random.Random, number: int, size: int) -> str:
    """A JSON object of about so many bytes; each tenth value is plain text."""
    if number % 10 == 3:
        return text(chance, size)
    lines = [text(chance, min(size, 1000)) for _ in range(max(1, size // 1000))]
    return json.dumps({"number": number, "progress": number % 101 / 100, "done": number % 2 == 0, "notes": lines})


def text(chance: random.Random, size: int) -> str:
    """Words, up to about so many bytes."""
    return " ".join(chance.choices(WORDS, k=size // 7))


def write(path: Path, *, entries: int) -> None:
    """A claude-flow 2.x store."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(_SCHEMA)
        db.executemany(
            "insert into memory_entries (namespace, key, value, metadata, created_at, updated_at, accessed_at)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            ((space, key, content, about, at, at, at) for space, key, content, about, at in _entries(entries)),
        )
        db.commit()


def write_ruflo(path: Path, *, entries: int) -> None:
    """A ruflo export, newest first as that tool writes it."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"schema": "ruflo-memory-export/v1", "namespace": null, "entries": [')
        for number, (space, key, content, _, at) in enumerate(_entries(entries)):
            made = 1000 * (2 * BEGIN - at)
            entry = {"key": key, "namespace": space, "value": content, "createdAt": made, "updatedAt": made}
            file.write((", " if number else "") + json.dumps(entry | {"size": len(content)}))
        file.write(f'], "count": {entries}}}\n')


_entries = entries
