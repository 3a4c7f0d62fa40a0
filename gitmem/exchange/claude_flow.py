"""The SQLite store of claude-flow 2.x: the table `memory_entries`, with times in Unix seconds.

Knows that schema, and how to read a database without leaving a trace beside it; does not know what becomes of it.
Law: the store is never written to, and what lies in a write-ahead log or a journal beside it counts.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitmem.exchange.records import (
    Heading,
    Refused,
    Unfit,
    expiry_of,
    seconds_of,
    stamp_of,
    text_body,
    text_of,
    wrong,
)
from gitmem.provenance import Stamp

FORM = "claude-flow"
MAGIC = b"SQLite format 3\0"
_EXPECTED = "a claude-flow 2.x store: a SQLite file with the table memory_entries (namespace, key, value)"
_OPTIONAL = ("metadata", "updated_at", "created_at", "expires_at")
_WAL_MODE = b"\x02\x02"


class Undecodable(bytes):
    """Text of the database that is no UTF-8."""


class ClaudeFlowStore:
    """A claude-flow store, opened for reading at one moment."""

    form = FORM
    ordered = False

    def __init__(self, path: Path, *, now: float) -> None:
        """`now` is the time of entries that have none of their own."""
        self._path = path
        self._now = now
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._stamps: dict[object, Stamp] = {}
        try:
            self._db = self._open()
            self._columns = self._check()
        except sqlite3.DatabaseError as error:
            self.close()
            raise wrong(path, f"cannot be read: {error}", _EXPECTED) from None
        except BaseException:
            self.close()
            raise

    def headings(self) -> Iterator[Heading | Refused]:
        """The rows; values are not read yet."""
        columns = ", ".join(name if name in self._columns else "null" for name in _OPTIONAL)
        try:
            for row in self._db.execute(f"select rowid, namespace, key, {columns} from memory_entries"):
                try:
                    yield self._heading(*row)
                except Unfit as unfit:
                    yield Refused(self.where(row[0]), str(unfit))
        except sqlite3.DatabaseError as error:
            raise wrong(self._path, f"cannot be read: {error}", _EXPECTED) from None

    def body(self, place: Any, *, limit: int) -> bytes:
        """The value of a row."""
        try:
            row = self._db.execute("select value from memory_entries where rowid = ?", (place,)).fetchone()
        except (sqlite3.DatabaseError, OverflowError) as error:
            raise Unfit(f"its value cannot be read: {error}") from None
        return text_body(_checked(row[0], "value"), limit=limit)

    def where(self, place: Any) -> str:
        """The row's number."""
        return f"row {place}"

    def close(self) -> None:
        """Close the database, and remove the copy if there was one."""
        db = self.__dict__.pop("_db", None)
        if db is not None:
            db.close()
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def _heading(self, row: int, namespace: object, key: object, metadata: object, *times: object) -> Heading:
        updated, created, expires = times
        moment = seconds_of(updated, "updated_at")
        if moment is None:
            moment = seconds_of(created, "created_at")
        if moment is None:
            moment = self._now
        return Heading(
            row,
            _checked(namespace, "namespace"),
            _checked(key, "key"),
            int(moment),
            moment,
            self._stamp(metadata),
            expiry_of(expires, "expires_at"),
        )

    def _stamp(self, metadata: object) -> Stamp:
        """Who stored it, as the metadata say; the tool itself where they are silent."""
        found = self._stamps.get(metadata)
        if found is None:
            try:
                parsed = json.loads(metadata) if isinstance(metadata, str) else None
            except (ValueError, RecursionError):
                parsed = None
            members = parsed if isinstance(parsed, dict) else {}
            found = stamp_of(members.get("storedBy"), members.get("sessionId"), otherwise=FORM)
            if len(self._stamps) < 10_000:
                self._stamps[metadata] = found
        return found

    # --- opening ---

    def _open(self) -> sqlite3.Connection:
        """Read-only where that leaves no trace; otherwise a copy, with what belongs to it."""
        wal, shared, journal = (self._path.with_name(self._path.name + end) for end in ("-wal", "-shm", "-journal"))
        with self._path.open("rb") as file:
            head = file.read(20)
        if head[:16] != MAGIC:
            raise wrong(self._path, "is no SQLite file", _EXPECTED)
        uri = self._path.resolve().as_uri()
        if not _has_content(wal):
            attempt = uri + ("?mode=ro&immutable=1" if head[18:20] == _WAL_MODE else "?mode=ro")
        elif shared.exists():
            attempt = uri + "?mode=ro"  # somebody has it open
        else:
            return self._opened_copy(wal, journal)
        try:
            return _connect(attempt)
        except sqlite3.OperationalError:
            return self._opened_copy(wal, journal)

    def _opened_copy(self, *companions: Path) -> sqlite3.Connection:
        """A reader of a log must write beside it, and one of a journal into the file."""
        self._copy = tempfile.TemporaryDirectory(prefix="gitmem-import-")
        folder = Path(self._copy.name)
        for path in (self._path, *companions):
            if path.exists():
                shutil.copyfile(path, folder / path.name)
        return _connect((folder / self._path.name).resolve().as_uri() + "?mode=rw")

    def _check(self) -> set[str]:
        """The columns of the table, of a database that is whole."""
        columns = {row[1] for row in self._db.execute("pragma table_info(memory_entries)")}
        if not columns >= {"namespace", "key", "value"}:
            raise wrong(self._path, "has no table memory_entries with namespace, key and value", _EXPECTED)
        fault = self._db.execute("pragma quick_check(1)").fetchone()[0]
        if fault != "ok":
            raise wrong(self._path, f"is damaged: {fault}", f"{_EXPECTED}; `sqlite3 FILE .recover` saves what it can")
        self._db.execute("begin")
        return columns


def _connect(uri: str) -> sqlite3.Connection:
    db = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        db.text_factory = _text
        db.execute("select count(*) from sqlite_master").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _text(stored: bytes) -> str | Undecodable:
    try:
        return stored.decode("utf-8")
    except UnicodeDecodeError:
        return Undecodable(stored)


def _checked(value: object, column: str) -> str:
    if isinstance(value, Undecodable):
        raise Unfit(f"its {column} is not UTF-8")
    return text_of(value, column)


__all__ = ["FORM", "MAGIC", "ClaudeFlowStore"]
