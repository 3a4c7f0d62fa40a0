"""What every view of one memory shares: the repository, its index, and what was read from them so far.

Knows snapshots; does not know verbs. A bound Memory, a transaction and a reader of the past all hold the same vault.
Law: nothing here is trusted beyond an object id: each question begins at a commit, and what is kept, is kept by id.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left, insort
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gitmem import trees
from gitmem.codec import decode, decode_trusted
from gitmem.errors import CorruptValueError, InvalidValueError, typed
from gitmem.objects import Commit, CorruptObjectError, Oid, TooBig
from gitmem.policy import Policy
from gitmem.repository import Repository

if TYPE_CHECKING:
    from gitmem.index import Index
    from gitmem.index.text import TextIndex

_CACHED_BYTES = 64 << 20
_CACHED_LISTINGS = 32
_CACHED_INSTANTS = 100_000

Clock = Callable[[], datetime]


class Unreadable(UserWarning):
    """A value was left out of an answer about many keys, since its file is none, or is lost."""


class HistoryRewritten(UserWarning):
    """Somebody moved a branch to a commit that does not come after the one it was at."""


class Snapshot:
    """All keys at one commit."""

    __slots__ = ("commit", "expires", "oid", "root")

    def __init__(self, commit: Commit, expires: Oid | None) -> None:
        self.commit = commit
        self.oid = commit.oid
        self.root = commit.tree
        self.expires = expires


class Vault:
    """One repository, opened once, shared by threads and by every view of it."""

    def __init__(self, repository: Repository, *, clock: Clock, committer: tuple[str, str] | None) -> None:
        """`clock` gives aware datetimes; `committer` is (name, email), or None for the agent."""
        self.repository = repository
        self.objects = repository.objects
        self.clock = clock
        self.committer = committer
        self.closing: list[Callable[[], None]] = []
        self._snapshots: dict[Oid, Snapshot] = {}
        self._heads: dict[str, Oid] = {}
        self._recent: dict[str, Snapshot] = {}
        self._values: dict[Oid, tuple[str, int]] = {}
        self._cached = 0
        self._listings: dict[str, tuple[tuple[Oid, ...], Oid, list[str]]] = {}
        self._instants: dict[Oid, datetime | None] = {}

    @cached_property
    def index(self) -> Index:
        """The history index, opened when it is first needed: a plain `retrieve` never does."""
        from gitmem.index import Index

        return Index(str(self.repository.derived / "index.sqlite3"), self.objects)

    @cached_property
    def text(self) -> TextIndex:
        """The full-text index, in a file of its own: filling it holds nobody up who writes."""
        from gitmem.index.text import TextIndex

        return TextIndex(str(self.repository.derived / "text.sqlite3"), self.objects)

    def past(self, oid: Oid) -> Snapshot:
        """The snapshot at a commit, whatever its gitmem.toml says: for telling history."""
        commit = self.objects.commit(oid)
        return Snapshot(commit, trees.expires_root(self.objects, commit.tree))

    def snapshot(self, oid: Oid) -> Snapshot:
        """The snapshot at a commit. What `policy` raises, if that is no memory's."""
        found = self._snapshots.get(oid)
        if found is None:
            found = self.past(oid)
            self.policy(found.root)
            with self.objects.lock:
                if len(self._snapshots) > 1000:
                    self._snapshots.clear()
                self._snapshots[oid] = found
        return found

    def head(self, branch: str) -> Snapshot:
        """The snapshot at a branch's head, read from its ref now."""
        found = self._recent[branch] = self.snapshot(self.repository.head(branch))
        return found

    def recent(self, branch: str) -> Snapshot:
        """A snapshot at which the branch was lately: for what a write checks again on its own snapshot."""
        return self._recent.get(branch) or self.head(branch)

    def policy(self, root: Oid) -> Policy:
        """What gitmem.toml says in this root tree."""
        return self.repository.policy(root)

    def indexed(self, snapshot: Snapshot) -> Index:
        """The index, caught up so that it knows this snapshot."""
        index = self.index
        index.catch_up(snapshot.oid)
        return index

    def notice(self, branch: str, head: Snapshot) -> None:
        """Look whether the branch's history was rewritten since this machine last saw it.

        If so, what was lost is kept under `refs/gitmem/rescue/`, and a HistoryRewritten warning says so.
        """
        last = self._heads.get(branch)
        if last == head.oid:
            return
        index = self.indexed(head)
        lost = None
        if last is None or not self.objects.contains(last) or not index.is_ancestor(last, head.oid):
            lost = index.record_head(branch, head.oid)
        self._heads[branch] = head.oid
        if lost is None or not self.objects.contains(lost) or self.repository.head(branch) != head.oid:
            return
        name = f"refs/gitmem/rescue/{branch}-{lost.hex()[:12]}"
        self.repository.refs.swap(name, None, lost, locked=False, durable=self.repository.durable)
        warnings.warn(
            f"the history of {branch} in {self.repository.place.path} was rewritten; "
            f"what it held before is kept as {name}",
            HistoryRewritten,
            stacklevel=2,
        )

    def value(self, oid: Oid, namespace: str, key: str, root: Oid, *, limit: int | None = None) -> Any:
        """A blob's value, a fresh copy each time. CorruptValueError names the key where it is none, or is larger than
        the `limit` (else what gitmem.toml says): whether it is known already makes no difference.
        """
        limit = limit or self.policy(root).max_value_bytes
        known = self._values.get(oid)
        if known is not None and known[1] <= limit:
            return decode_trusted(known[0])
        try:
            body = self.objects.read_blob(oid, limit=limit)
            value = decode(body, max_bytes=limit)
        except TooBig as error:
            raise corrupt(namespace, key, f"it is larger than {limit} bytes") from error
        except InvalidValueError as error:
            raise corrupt(namespace, key, error.reason) from error
        self.keep_value(oid, body)
        return value

    def keep_value(self, oid: Oid, body: bytes) -> None:
        """Remember a body that is known to be a value."""
        with self.objects.lock:
            self._cached += len(body)
            if self._cached > _CACHED_BYTES:
                self._values.clear()
                self._cached = len(body)
            self._values[oid] = body.decode().lstrip(), len(body)

    def instant(self, oid: Oid, namespace: str, key: str) -> datetime | None:
        """The instant in an expiry's blob; one that is damaged counts as never, so that nothing vanishes."""
        try:
            return self._instants[oid]
        except KeyError:
            pass
        try:
            instant = datetime.fromisoformat(str(decode(self.objects.read_blob(oid, limit=100))))
            found = None if instant.tzinfo is None else instant.astimezone(UTC)
        except (CorruptObjectError, InvalidValueError, TooBig, ValueError, OverflowError):
            found = None
        if len(self._instants) >= _CACHED_INSTANTS:
            self._instants.clear()
        self._instants[oid] = found
        return found

    def keys(self, snapshot: Snapshot, namespace: str, prefix: str = "") -> list[str]:
        """The keys of a namespace, sorted by code point; shared: never change it.

        At least those that begin with `prefix`, perhaps all. Kept by tree id; from one snapshot to the next only what
        differs is looked at.
        """
        directory = prefix.split("/")[:-1]
        if directory and namespace not in self._listings:
            start = "/".join([*directory, ""])
            found = trees.nodes_at(self.objects, snapshot.root, namespace, directory)
            return sorted({key for node in found for key, _ in trees.keys_below(self.objects, node, start)})
        nodes = trees.namespace_nodes(self.objects, snapshot.root, namespace)
        known = self._listings.get(namespace)
        if known is not None and known[0] == nodes:
            return known[2]
        listing = None
        if known is not None and len(nodes) == len(known[0]) == 1:
            listing = self._patched(known[2], known[1], snapshot.root, namespace)
        if listing is None:
            listing = sorted(trees.keys_of(self.objects, snapshot.root, namespace))
        with self.objects.lock:
            if len(self._listings) >= _CACHED_LISTINGS:
                self._listings.pop(next(iter(self._listings)))
            self._listings[namespace] = (nodes, snapshot.root, listing)
        return listing

    def _patched(self, listing: list[str], old: Oid, new: Oid, namespace: str) -> list[str] | None:
        candidates = trees.touched(self.objects, old, new, namespace)
        if len(candidates) > 1000:
            return None
        patched = listing.copy()
        for key in candidates:
            place = bisect_left(patched, key)
            was = place < len(patched) and patched[place] == key
            now = trees.lookup(self.objects, new, namespace, key) is not None
            if was and not now:
                del patched[place]
            elif now and not was:
                insort(patched, key)
        return patched

    def close(self) -> None:
        """Close both indexes, and whatever waits in `closing`. The vault may be used again: it opens what it needs."""
        for close in self.closing:
            close()
        for name in ("index", "text"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                opened.close()


def corrupt(namespace: str, key: str, reason: str) -> CorruptValueError:
    """The error for a file at a key's path that is no value."""
    return CorruptValueError(
        f"the file of key {key!r} in namespace {namespace!r} is no value: {reason}",
        hint=f"store the key anew, or restore an earlier version: `gitmem history {typed(key)} -n {typed(namespace)}`",
        namespace=namespace,
        key=key,
        reason=reason,
    )
