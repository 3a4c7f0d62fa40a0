"""Noting what an agent is told, while it is told.

Knows keys, blobs and the snapshot at which they were read; does not know versions, nor who will ask.
Law: a line is written by one call that appends, so that processes share a file, and before the caller goes on. What
cannot be written stops nobody: one warning, and a try again at the next read.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from gitmem.errors import GitmemError

if TYPE_CHECKING:
    from gitmem.objects import Oid
    from gitmem.provenance import Stamp
    from gitmem.reader import Told
    from gitmem.trees import KeyId
    from gitmem.vault import Snapshot, Vault

FILE = "reads.jsonl"

_MOST_KEYS = 500  # of a line
_MOST_KEPT, _MOST_PASTS = 100_000, 100
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)

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

    def told(self, namespace: str, key: str, blob: Oid) -> None:
        """Note one key that was read."""
        last = self._kept.get((namespace, key))
        if last is None or last[0] != self._snapshot:
            self.told_all([(namespace, key, blob, None)])

    def told_all(self, read: Iterable[Told]) -> None:
        """Note keys that were read together."""
        fresh: dict[tuple[str, Oid | None], list[str]] = {}
        noted: _Kept = {}
        for namespace, key, blob, revision in read:
            last = self._kept.get((namespace, key))
            if last is None or last[1] != blob:
                fresh.setdefault((namespace, None), []).append(key)
            elif last[0] == self._snapshot:
                revision = revision or last[2]
            elif revision is None or revision != last[2]:
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
        start = f'{{"time":"{self._record.now()}",{self._names},"snapshot":"{self._snapshot.hex()}",'
        if self._past:
            start += self._record.head(self._branch)
        for (namespace, again), keys in fresh.items():
            where = f'"namespace":{quoted(namespace)},"keys":['
            before = "" if again is None else f'"again":"{again.hex()}",'
            for first in range(0, len(keys), _MOST_KEYS):
                yield f"{start}{before}{where}{','.join(map(quoted, keys[first : first + _MOST_KEYS]))}]}}\n"


def recorder(vault: Vault, snapshot: Snapshot, stamp: Stamp, branch: str) -> Recorder | None:
    """Who notes what is read at a snapshot; None if no session is bound, or gitmem.toml there does not ask for it."""
    if stamp.session is None or not vault.policy(snapshot.root).audit_reads:
        return None
    record = _records.get(vault) or _records.setdefault(vault, _Record(vault))
    names = f'"agent":{quoted(stamp.agent)},"session":{quoted(stamp.session)}'
    return Recorder(record, names, snapshot.oid, branch=branch)


class _Record:
    """This machine's file, as one process writes it."""

    def __init__(self, vault: Vault) -> None:
        self._repository = vault.repository
        self._clock = vault.clock
        self._path = f"{vault.repository.local}/{FILE}"
        self._kept: dict[tuple[str, Oid | None], _Kept] = {}
        self._warned = False

    def now(self) -> str:
        return self._clock().isoformat()

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
            descriptor = self._open()
            try:
                _write(descriptor, lines.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            self._warn(error)
            return False
        return True

    def _open(self) -> int:
        try:
            return os.open(self._path, _APPEND, 0o600)
        except FileNotFoundError:
            self._repository.local.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(self._path, _APPEND, 0o600)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            reason = error.strerror or str(error)
            warnings.warn(f"what is read is not being noted: {self._path}: {reason}", Unnoted, stacklevel=2)


_records: WeakKeyDictionary[Vault, _Record] = WeakKeyDictionary()


def _write(descriptor: int, body: bytes) -> None:
    """One call, but where the disk takes less of it."""
    while body:
        body = body[os.write(descriptor, body) :]
