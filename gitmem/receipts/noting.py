"""Noting what an agent is told, while it is told.

Knows keys, blobs and the snapshot at which they were read; does not know versions, nor who will ask.
Law: a line is written by one call that appends, so that processes share a file, and before the caller goes on. What
cannot be written stops nobody: one warning, and a try again at the next read.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from errno import EINVAL
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from stat import S_ISREG
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from gitmem.errors import GitmemError

if TYPE_CHECKING:
    from gitmem.objects import Oid
    from gitmem.reader import Told
    from gitmem.trees import KeyId
    from gitmem.vault import Vault

FILE = "reads.jsonl"

_MOST_KEYS = 500  # of a line
_LOOK = 1.0  # seconds after which it is looked whether somebody has deleted the file
_MOST_KEPT, _MOST_PASTS = 100_000, 100
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # where somebody has put a pipe, nobody waits for its other end
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | _AT_ONCE

_Kept: TypeAlias = "dict[KeyId, tuple[Oid, Oid, str | None]]"
"""Of a key that was noted: a snapshot that has the version that was told, its blob, its revision if that is known."""


class Unnoted(UserWarning):
    """Reads go on, but what is read is not being noted."""


class Recorder:
    """Notes what one agent is told under one session at one snapshot: each version once, as far as that is known."""

    def __init__(self, record: _Record, names: str, snapshot: Oid, *, branch: str, past: bool = False) -> None:
        """`names` are the agent and the session, as members of a line."""
        self._record = record
        self._names = names
        self._snapshot = snapshot
        self._branch = branch
        self._past = past
        self._kept = record.kept_for(names, snapshot if past else None)
        self._middle = f'{names},"snapshot":"{snapshot.hex()}",'

    def told(self, namespace: str, key: str, blob: Oid) -> None:
        """Note one key that was read."""
        place, snapshot = (namespace, key), self._snapshot
        last = self._kept.get(place)
        if last is not None and last[0] == snapshot:
            return
        again = None if last is None or last[1] != blob else last[0]
        if self._record.append(self._line(namespace, quoted(key), again)):
            self._kept[place] = (snapshot, blob, None)

    def told_all(self, read: Iterable[Told]) -> None:
        """Note keys that were read together."""
        fresh: dict[tuple[str, Oid | None], list[str]] = {}
        noted: _Kept = {}
        for namespace, key, blob, revision in read:
            last = self._kept.get((namespace, key))
            if last is None or last[1] != blob:
                fresh.setdefault((namespace, None), []).append(key)
            elif last[0] != self._snapshot and last[2] != revision:
                fresh.setdefault((namespace, last[0]), []).append(key)
            noted[namespace, key] = (self._snapshot, blob, revision)
        if not fresh or self._record.append("".join(self._lines(fresh))):
            self._kept.update(noted)

    def at(self, snapshot: Oid) -> Recorder:
        """For what the same agent was told at another snapshot, which was the branch's head then."""
        return Recorder(self._record, self._names, snapshot, branch=self._branch)

    def past(self, snapshot: Oid) -> Recorder:
        """For what the same agent is told of the past."""
        return Recorder(self._record, self._names, snapshot, branch=self._branch, past=True)

    def _lines(self, fresh: dict[tuple[str, Oid | None], list[str]]) -> Iterable[str]:
        for (namespace, again), keys in fresh.items():
            for first in range(0, len(keys), _MOST_KEYS):
                yield self._line(namespace, ",".join(map(quoted, keys[first : first + _MOST_KEYS])), again)

    def _line(self, namespace: str, keys: str, again: Oid | None) -> str:
        record, more = self._record, ""
        if again is not None:
            more = f'"again":"{again.hex()}",'
        if self._past:
            more += record.head(self._branch)
        time = int(record.clock().timestamp() * 1_000_000)
        return f'{{"time":{time},{self._middle}{more}"namespace":{quoted(namespace)},"keys":[{keys}]}}\n'


def recorder(vault: Vault, snapshot: Oid, agent: str, session: str, *, branch: str) -> Recorder:
    """Who notes what an agent reads under a session at a branch's head."""
    record = _records.get(vault) or _records.setdefault(vault, _Record(vault))
    return Recorder(record, _names(agent, session), snapshot, branch=branch)


@lru_cache(100)
def _names(agent: str, session: str) -> str:
    return f'"agent":{quoted(agent)},"session":{quoted(session)}'


class _Record:
    """This machine's file, as one process writes it."""

    def __init__(self, vault: Vault) -> None:
        self.clock = vault.clock
        self._repository = vault.repository
        self._path = f"{vault.repository.local}/{FILE}"
        self._kept: dict[tuple[str, Oid | None], _Kept] = {}
        self._file: _File | None = None
        self._look = 0.0
        self._warned = False
        vault.closing.append(self.close)

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        self._file = None

    def head(self, branch: str) -> str:
        """The branch's head as a member of a line; nothing if it has none any more."""
        try:
            return f'"head":"{self._repository.head(branch).hex()}",'
        except GitmemError:
            return ""

    def kept_for(self, names: str, past: Oid | None) -> _Kept:
        """What was noted for an agent and a session, of now or of one commit; begun anew when it is long."""
        if past is not None and len(self._kept) > _MOST_PASTS:
            self._kept = {}
        kept = self._kept.setdefault((names, past), {})
        if len(kept) > _MOST_KEPT:
            kept.clear()
        return kept

    def append(self, lines: str) -> bool:
        """Whether they are in the file."""
        try:
            file = self._file
            if file is None or monotonic() > self._look:
                file = self._opened(file)
            file.write(lines.encode("ascii"))
        except OSError as error:
            self._warn(error)
            return False
        return True

    def _opened(self, file: _File | None) -> _File:
        """The file; another one where somebody has deleted that which is open."""
        self._look = monotonic() + _LOOK
        if file is None or not file.is_there():
            try:
                file = _File(self._path)
            except FileNotFoundError:
                self._repository.local.mkdir(parents=True, exist_ok=True, mode=0o700)
                file = _File(self._path)
            self._file = file
        return file

    def _warn(self, error: OSError) -> None:
        self._file = None
        if not self._warned:
            self._warned = True
            reason = error.strerror or str(error)
            warnings.warn(f"what is read is not being noted: {self._path}: {reason}", Unnoted, stacklevel=2)


def check_regular(descriptor: int) -> None:
    """OSError for what is open, but is no file that keeps lines: a pipe, a device."""
    if not S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(EINVAL, "it is no regular file")


def at_once(path: str, flags: int) -> int:
    """Open without waiting for anybody: an opener for `open`."""
    return os.open(path, flags | _AT_ONCE)


_records: WeakKeyDictionary[Vault, _Record] = WeakKeyDictionary()


class _File:
    """A file that is open for appending. Closed when nobody holds it any more: no thread writes to another's number."""

    __slots__ = ("_descriptor",)

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, _APPEND, 0o600)
        check_regular(self._descriptor)

    def write(self, body: bytes) -> None:
        """One call, but where the disk takes less of it."""
        while (taken := os.write(self._descriptor, body)) < len(body):
            body = body[taken:]

    def is_there(self) -> bool:
        return os.fstat(self._descriptor).st_nlink > 0

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            close(descriptor)
