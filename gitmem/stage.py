"""The snapshot that a write is decided on, and what has been staged over it.

Knows keys, values and tokens as they would be if it were committed now; does not know commits.
Law: what is staged hides the snapshot, and nothing of it is visible to anybody else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from gitmem import codec
from gitmem.entries import ABSENT
from gitmem.errors import StaleError, typed
from gitmem.globs import Glob
from gitmem.objects import Oid
from gitmem.reader import Reader
from gitmem.revisions import expected_token
from gitmem.trees import KeyId

Step: TypeAlias = Callable[["Stage"], None]
"""What one verb does to a stage; may run several times, each time on a newer snapshot."""


class Staged(NamedTuple):
    """A key's next state: the canonical bytes (None: deleted) and when it expires (None: never)."""

    body: bytes | None
    expires: datetime | None


class Stage:
    """The snapshot that a write is decided on, and what has been staged over it."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.staged: dict[KeyId, Staged] = {}
        self.verbs: list[tuple[str, KeyId]] = []
        self.speaks = False  # whether a commit is made even if it changes nothing: for what it says
        self._limit = reader.vault.policy(reader.snapshot.root).max_value_bytes

    def holds_at(self, snapshot: Oid) -> bool:
        """Whether what was staged is what would be staged at that commit now: nothing of it depends on the time."""
        mine = self.reader.snapshot
        return mine.oid == snapshot and mine.expires is None and not any(one.expires for one in self.staged.values())

    @property
    def now(self) -> datetime:
        """The time of writing."""
        return self.reader.now()

    def value(self, namespace: str, key: str) -> Any:
        """The value as it would be now, or ABSENT."""
        staged = self.staged.get((namespace, key))
        if staged is None:
            return self.reader.retrieve(namespace, key)
        return ABSENT if staged.body is None else codec.decode_trusted(staged.body)

    def show(self, namespace: str, key: str) -> None:
        """Note that the snapshot's value was shown, where reads are noted; what was staged here is no news."""
        witness = self.reader.witness
        if witness is not None and (namespace, key) not in self.staged:
            blob = self.reader.held(namespace, key)
            if blob is not None:
                witness.told(namespace, key, blob)

    def present(self, namespace: str, key: str) -> bool:
        """Whether the key would be there now."""
        staged = self.staged.get((namespace, key))
        return self.reader.blob(namespace, key) is not None if staged is None else staged.body is not None

    def matching(self, namespace: str, glob: Glob) -> list[str]:
        """The keys that match a glob as they would be now, sorted."""
        found = {key for key in glob.select(self.reader.keys(namespace)) if self.present(namespace, key)}
        found.update(
            key
            for (name, key), staged in self.staged.items()
            if name == namespace and staged.body is not None and glob.matches(key)
        )
        return sorted(found)

    def token(self, namespace: str, key: str) -> str | None:
        """The revision of the key's last version as of the snapshot, if the key is there."""
        if self.reader.blob(namespace, key) is None:
            return None
        row = self.reader.token(namespace, key)
        return None if row is None else row.revision.hex()

    def expires(self, namespace: str, key: str) -> datetime | None:
        """When the key as it would be now expires."""
        staged = self.staged.get((namespace, key))
        if staged is not None:
            return staged.expires
        return self.reader.expires(namespace, key) if self.present(namespace, key) else None

    def put(self, verb: str, namespace: str, key: str, value: Any, *, expires: datetime | None) -> None:
        """Stage a value. InvalidValueError if it is none, or too big for this memory."""
        self.put_body(verb, namespace, key, codec.encode(value, max_bytes=self._limit), expires=expires)

    def put_body(self, verb: str, namespace: str, key: str, body: bytes, *, expires: datetime | None) -> None:
        """Stage a value whose canonical bytes are known. InvalidValueError if they are too many for this memory."""
        if len(body) > self._limit:
            raise codec.too_big(self._limit)
        self._stage(verb, namespace, key, Staged(body, expires))

    def remove(self, verb: str, namespace: str, key: str) -> None:
        """Stage a deletion."""
        self._stage(verb, namespace, key, Staged(None, None))

    def _stage(self, verb: str, namespace: str, key: str, staged: Staged) -> None:
        self.staged[namespace, key] = staged
        self.verbs.append((verb, (namespace, key)))

    def expect(self, namespace: str, key: str, expect: Any) -> None:
        """StaleError unless the key's token, as of the snapshot, is what `expect` names."""
        wanted = expected_token(self.reader, namespace, key, expect)
        absent = self.reader.blob(namespace, key) is None
        if wanted is None:
            if absent:
                return
        else:
            row = self.reader.token(namespace, key)
            if row is not None and row.revision.hex() == wanted and absent == (row.blob is None):
                return
        raise self._stale(namespace, key, expect, wanted)

    def _stale(self, namespace: str, key: str, expect: Any, wanted: str | None) -> StaleError:
        current = self.reader.entry(namespace, key)
        wish = "absent" if wanted is None else f"at {wanted[:12]}"
        if isinstance(expect, int):
            wish = f"at version {expect}"
        if current is None:
            state, hint = "absent", "read it again, or store with expect=ABSENT (--expect absent)"
        else:
            state = f"at {current.revision[:12]} (version {current.version}, by {current.agent})"
            hint = f"read it again and decide anew: `gitmem retrieve {typed(key)} -n {typed(namespace)} --entry`"
        return StaleError(
            f"key {key!r} in namespace {namespace!r} was expected to be {wish}, but it is {state}",
            hint=hint,
            namespace=namespace,
            key=key,
            expected=expect,
            current=ABSENT if current is None else current,
        )
