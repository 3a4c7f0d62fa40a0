"""The index's SQLite file: opened, found unfit, deleted, replaced; or memory where no file can be had.

Knows files, SQLite's errors and the tables' shape; does not know what the tables mean.
Law: what lies in the file can be had again, so no trouble with it is the caller's: a damaged file is deleted
and begun anew, and where there is no place for one (read-only, full, on a network) the tables are kept in
memory.
Opening and deleting happen under one lock, because SQLite's three files must never be of two generations.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SCHEMA = 2
SHORT_WAIT, LONG_WAIT = 100, 5000  # milliseconds; a store should not wait long for what is only derived
_COMPANIONS = ("-wal", "-shm", "")

_TABLES = """
create table commits(
    ord integer primary key, revision blob not null unique, parents blob not null, chain integer not null,
    agent text not null, session text, time integer not null, committed integer not null,
    written integer not null);
create index commits_session on commits(session) where session is not null;
create index commits_committed on commits(committed);
create table joins(ord integer primary key, chain integer not null, links text not null);
create table keys(id integer primary key, namespace text not null, key text not null, unique(namespace, key));
create table versions(
    key_id integer not null, ord integer not null, version integer not null, blob blob,
    primary key(key_id, ord)) without rowid;
create index versions_ord on versions(ord);
create table write_ids(
    write_id text not null, ord integer not null, digest text not null,
    primary key(write_id, ord)) without rowid;
create table undos(ord integer primary key, undoes text not null, keys text, namespace text);
create table heads(branch text primary key, revision blob not null) without rowid;
"""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR}
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR}
_NETWORKS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs", "fuse.sshfs"}


class IndexFile:
    """One place for an index; `in_memory` once it has been given up. Not thread-safe."""

    def __init__(self, path: str | None, tables: str = _TABLES, schema: int = SCHEMA) -> None:
        """`tables` is the SQL that makes them, `schema` the number by which a file with just these is known."""
        self.path = path
        self._tables, self._schema = tables, schema
        self.in_memory = path is None
        self._identity: tuple[int, int] | None = None
        self._wait = SHORT_WAIT

    def open(self) -> sqlite3.Connection:
        """A connection to tables of our schema. Never fails: at worst they are empty ones in memory."""
        if self.path is not None and not self.in_memory:
            try:
                db = self._open(self.path)
            except (sqlite3.Error, OSError):
                self.in_memory = True
            else:
                wait(db, self._wait)
                return db
        db = _connect(":memory:")
        _make_tables(db, self._tables, self._schema)
        return db

    def moved(self) -> bool:
        """Whether somebody deleted or replaced the file that was opened."""
        return not self.in_memory and self._identity != _identity(self.path)

    def give_up(self, error: sqlite3.DatabaseError, attempt: int) -> None:
        """Decide what the next `open` does, after the connection failed with `error` and was closed."""
        code = _code(error)
        if attempt == 0 and code in _PASSING:
            self._wait = LONG_WAIT
            return
        if attempt == 0 and self.path is not None and code in _DAMAGED:
            try:
                with _alone(self.path):
                    if self._identity == _identity(self.path):
                        delete(self.path)
                return
            except OSError:
                pass
        self.in_memory = True

    def _open(self, path: str) -> sqlite3.Connection:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if on_network(os.path.dirname(path) or "."):
            raise OSError("SQLite's write-ahead log needs shared memory, which a network does not give")
        with _alone(path):
            if not os.path.exists(path):
                delete(path)  # a log without its file belongs to another generation
            try:
                db = self._open_fit(path)
            except sqlite3.DatabaseError as error:
                if _code(error) not in _DAMAGED:
                    raise
                db = None
            if db is None:
                delete(path)
                db = self._open_fit(path)
            if db is None:
                raise OSError("this file system gives SQLite no write-ahead log")
            self._identity = _identity(path)
            return db

    def _open_fit(self, path: str) -> sqlite3.Connection | None:
        """The tables, made if the file is new; None if they are of another schema, or cannot be shared."""
        db = _connect(path)
        try:
            if db.execute("pragma journal_mode = wal").fetchone()[0] == "wal":
                db.execute("pragma synchronous = normal")
                db.execute("pragma wal_autocheckpoint = 8000")  # pages; each time costs a few flushes
                db.execute("pragma cache_size = -16000")  # KiB; ids come in no order
                schema = db.execute("pragma user_version").fetchone()[0]
                if schema == 0 and not db.execute("select count(*) from sqlite_master").fetchone()[0]:
                    _make_tables(db, self._tables, self._schema)
                    schema = self._schema
                if schema == self._schema:
                    return db
        except BaseException:
            db.close()
            raise
        db.close()
        return None


def delete(path: str) -> None:
    """Remove the file and SQLite's companions of it."""
    for companion in _COMPANIONS:
        try:
            os.unlink(path + companion)
        except FileNotFoundError:
            pass


def wait(db: sqlite3.Connection, milliseconds: int) -> None:
    """How long the connection waits for a lock of another process before it is an error."""
    db.execute(f"pragma busy_timeout = {milliseconds}")


def is_busy(error: sqlite3.DatabaseError) -> bool:
    """Whether another process had the file for too long."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def on_network(folder: str) -> bool:
    """Whether the folder lies on a network file system, as far as the system tells."""
    try:
        device = os.stat(folder).st_dev
        if not sys.platform.startswith("linux") or os.major(device) != 0:
            return False  # a device of its own has a major number
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            return is_network_mount(mounts.read(), f"{os.major(device)}:{os.minor(device)}")
    except OSError:
        return False


def is_network_mount(mountinfo: str, device: str) -> bool:
    """The same, of the text of `/proc/self/mountinfo` and a device as `major:minor`."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        if left.split()[2:3] == [device]:
            return right.split()[:1][0] in _NETWORKS if right.split() else False
    return False


@contextmanager
def _alone(path: str) -> Iterator[None]:
    """No other process opens or deletes the index at `path` meanwhile (where the system has such locks)."""
    if sys.platform == "win32":
        yield  # a file that is open cannot be deleted there
        return
    import fcntl

    descriptor = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _connect(path: str) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=LONG_WAIT / 1000, isolation_level=None, check_same_thread=False, cached_statements=64
    )


def _make_tables(db: sqlite3.Connection, tables: str, schema: int) -> None:
    db.executescript(f"begin immediate; {tables} pragma user_version = {schema}; commit;")


def _identity(path: str | None) -> tuple[int, int] | None:
    try:
        found = os.stat(path or "")
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _code(error: sqlite3.DatabaseError) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
