"""How an index is asked: one caller at a time, and on new tables where the open ones fail.

Knows the life of a connection; does not know what the tables mean, nor how a file is opened and given up (`file`).
Law: tables that fail are no caller's trouble: the same work is done again on others, at last on tables in memory. A
child process never touches what its parent had open.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from gitmem.index.file import IndexFile

_ATTEMPTS = 3
_known: weakref.WeakSet[Asked[Any]] = weakref.WeakSet()
_abandoned: list[object] = []  # connections of a parent process: a child must not even close them


class Closable(Protocol):
    """Tables that are open."""

    def close(self) -> None:
        """Let go of the connection."""


T = TypeVar("T")
Tables = TypeVar("Tables", bound=Closable)


class Asked(Generic[Tables]):
    """What an index is: tables in a file, opened when they are asked. Threads and processes may share it."""

    def __init__(self, file: IndexFile) -> None:
        """Opens nothing."""
        self._file = file
        self._lock = threading.RLock()
        self._tables: Tables | None = None
        _known.add(self)

    @property
    def in_memory(self) -> bool:
        """Whether no file is used, for whatever reason."""
        return self._file.in_memory

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        with self._lock:
            self._close()

    # --- what an index says of itself ---

    def _open(self) -> Tables:
        """The tables, on a new connection to the file."""
        raise NotImplementedError

    def _let_go(self) -> Tables | None:
        """Forget what was open, and what is true of it alone."""
        tables, self._tables = self._tables, None
        return tables

    # --- inside ---

    def _ask(self, work: Callable[[Tables], T]) -> T:
        """Do some work on the open tables; if they fail, again on new ones, at last on tables in memory."""
        with self._lock:
            for attempt in range(_ATTEMPTS + 1):
                if attempt == _ATTEMPTS:
                    self._file.in_memory = True
                if self._tables is None:
                    self._tables = self._open()
                try:
                    return work(self._tables)
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

    def _check_place(self) -> None:
        """Before work writes: is the file at the path the one that is open? If not, the work begins anew on that."""
        if self._file.moved():
            raise _Moved

    def _close(self) -> None:
        tables = self._let_go()
        if tables is not None:
            try:
                tables.close()
            except sqlite3.Error:
                pass  # it is given up

    def _forked(self) -> None:
        """In a child process: the parent's connection and lock are not ours."""
        _abandoned.append(self._let_go())
        self._lock = threading.RLock()


class _Moved(Exception):
    """The file at the path is not the one that is open."""


def _leave_to_parents() -> None:
    for one in _known:
        one._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parents)
