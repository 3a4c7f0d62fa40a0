"""The reading verbs, over whatever snapshot a view looks at: a branch's head (Memory) or a commit (`at`).

Knows default namespaces and argument shapes; the reading itself is `reader`'s and `history`'s.
Law: each verb reads one snapshot, taken when it is called.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from gitmem import history, revisions
from gitmem.entries import UNSET, Change, CommitRecord, Entry, Version
from gitmem.errors import InvalidValueError, UnknownRevisionError, typed
from gitmem.keys import DEFAULT_NAMESPACE, check_key, check_namespace
from gitmem.reader import Reader
from gitmem.vault import Vault

if TYPE_CHECKING:
    from gitmem.finding import Hit, Ranked
    from gitmem.policy import Policy
    from gitmem.receipts.reading import Receipt
    from gitmem.receipts.tracing import Trace


class View:
    """The reading verbs over one snapshot; `namespace=` in each verb overrides the view's own.

    Keys and values are as everywhere: a key is `/`-separated text, a value is any JSON value.
    """

    def __init__(self, vault: Vault, reader: Reader | None, namespace: str = DEFAULT_NAMESPACE) -> None:
        """`reader` looks at the snapshot; None for one who looks at a branch anew each time."""
        self._vault = vault
        self._fixed = reader
        self._namespace = namespace

    def _reader(self) -> Reader:
        if self._fixed is None:
            raise NotImplementedError
        return self._fixed

    def _in(self, namespace: str | None) -> str:
        return self._namespace if namespace is None else check_namespace(namespace, writing=False)

    @property
    def vault(self) -> Vault:
        """What this view reads from: for the floors above, not for callers."""
        return self._vault

    @property
    def snapshot(self) -> str:
        """The id of the commit that a read would see now."""
        return self._reader().snapshot.oid.hex()

    @property
    def policy(self) -> Policy:
        """What gitmem.toml says in this snapshot. InvalidPolicyError with the line, if it is malformed."""
        return self._vault.policy(self._reader().snapshot.root)

    # --- reads ---

    def retrieve(self, key: str, default: Any = UNSET, *, namespace: str | None = None) -> Any:
        """The value of a key, a fresh copy; `default` if it is absent, MissingKeyError if none is given."""
        namespace = self._in(namespace)
        reader = self._reader()
        blob = reader.blob(namespace, key)
        if blob is not None:
            value = self._vault.value(blob, namespace, key, reader.snapshot.root)
            if reader.witness is not None:
                reader.witness.told(namespace, key, blob)
            return value
        if default is UNSET:
            raise reader.missing(namespace, key)
        return default

    def entry(self, key: str, default: Any = UNSET, *, namespace: str | None = None) -> Entry:
        """The value with its version, revision, agent, session, time and expiry; else as `retrieve`."""
        namespace = self._in(namespace)
        reader = self._reader()
        entry = reader.entry(namespace, key)
        if entry is not None:
            if reader.witness is not None:
                _shown(reader, [entry])
            return entry
        if default is UNSET:
            raise reader.missing(namespace, key)
        found: Entry = default
        return found

    def list(self, prefix: str = "", *, namespace: str | None = None) -> builtins.list[str]:
        """The keys that begin with `prefix`, which is plain text, sorted by code point."""
        return self._reader().list(self._in(namespace), prefix)

    def namespaces(self) -> builtins.list[str]:
        """The namespaces that hold at least one key, sorted by code point."""
        return self._reader().namespaces()

    def search(
        self,
        pattern: str,
        *,
        where: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        namespace: str | None = None,
        all_namespaces: bool = False,
    ) -> builtins.list[Entry]:
        """The entries whose key matches a glob, in code-point order of keys (of namespaces first, if all).

        `*` and `?` stay in a segment, `**` and `%` cross; `where` is a JMESPath condition on the value, in which
        a type error is no match. InvalidPatternError for a malformed glob or condition.
        """
        for name, number in (("limit", limit), ("offset", offset)):
            if number is not None and (not isinstance(number, int) or number < 0):
                raise InvalidValueError(
                    f"{name}={number!r} is no number of entries", hint="from 0 on", pointer="", reason="not a number"
                )
        reader = self._reader()
        names = reader.namespaces() if all_namespaces else [self._in(namespace)]
        found = reader.search(names, pattern, where=where, limit=limit, offset=offset)
        if reader.witness is not None:
            _shown(reader, found)
        return found

    def search_keys(self, pattern: str, *, namespace: str | None = None) -> builtins.list[str]:
        """The keys that match a glob, in code-point order: `search` without reading the values."""
        return list(self._reader().search_keys(self._in(namespace), pattern))

    def show(self, entries: Iterable[Entry]) -> None:
        """Note that these entries were shown to the agent, where reads are noted: for whoever reads more than he shows.

        What `retrieve`, `entry`, `search` and `find` give, and what is waited for, is noted without it.
        """
        reader = self._reader()
        if reader.witness is None:
            return
        for snapshot, some in groupby(entries, attrgetter("snapshot")):
            there = reader
            if snapshot != reader.snapshot.oid.hex():
                there = history.reader_at(self._vault, bytes.fromhex(snapshot))
                there.witness = reader.witness.at(there.snapshot.oid)
            _shown(there, some)

    # --- by words ---

    def find(
        self,
        text: str,
        *,
        namespace: str | None = None,
        glob: str | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> builtins.list[Hit]:
        """The entries whose key or value holds all these words, best first; of all namespaces unless one is named.

        `"two words"` in double quotes are a phrase, `refr*` is a beginning; case and accents make no difference, and
        nothing else is syntax. What was written since somebody last asked is looked through first: the first time ever
        that is everything. InvalidPatternError if there is no word in `text`.
        """
        from gitmem import finding

        namespace = None if namespace is None else check_namespace(namespace, writing=False)
        reader = self._reader()
        found = finding.find(reader, text, namespace=namespace, glob=glob, limit=limit, offset=offset)
        if reader.witness is not None:
            _shown(reader, (hit.entry for hit in found))
        return found

    def rank(
        self, question: str, *, namespace: str | None = None, glob: str | None = None, limit: int = 50
    ) -> builtins.list[Ranked]:
        """The entries that hold any word of a question, by its stem, best first (BM25).

        Only in a namespace that is kept by stems, as the reasoning bank's is; else InvalidValueError. A question
        without a word has no answer, and is none of the errors.
        """
        from gitmem import finding

        return finding.rank(self._reader(), question, namespace=self._in(namespace), glob=glob, limit=limit)

    # --- the past ---

    def at(self, revision: str) -> View:
        """The reading verbs over the past: a commit id or its prefix, a ref, a session, or a time.

        What had expired by that commit's time is absent. UnknownRevisionError if it names nothing, or several.
        """
        reader = self._reader()
        then = history.reader_at(self._vault, revisions.resolve(self._vault, reader.snapshot, revision))
        then.witness = None if reader.witness is None else reader.witness.past(then.snapshot.oid)
        return View(self._vault, then, self._namespace)

    def revision(self, name: str) -> str:
        """The full id of the commit that a name means: an id or its prefix, a ref, a session, a time."""
        return revisions.resolve(self._vault, self._reader().snapshot, name).hex()

    def history(self, key: str, *, limit: int | None = None, namespace: str | None = None) -> builtins.list[Version]:
        """The versions of a key, newest first, deletions among them; MissingKeyError if there never was one."""
        namespace = self._in(namespace)
        check_key(key, writing=False)
        reader = self._reader()
        found = list(islice(history.versions(reader, namespace, key), limit))
        if not found and limit != 0:
            raise reader.missing(namespace, key)
        return found

    def version(self, key: str, version: int | str, *, namespace: str | None = None) -> Version:
        """One version of a key, by its number, or as of a revision. UnknownRevisionError if none, or several."""
        namespace = self._in(namespace)
        check_key(key, writing=False)
        reader = self._reader()
        index = self._vault.indexed(reader.snapshot)
        if isinstance(version, int):
            rows = index.by_number(reader.snapshot.oid, namespace, key, version)
        else:
            oid = revisions.resolve(self._vault, reader.snapshot, version)
            index.catch_up(oid)
            row = index.token(oid, namespace, key)
            rows = [] if row is None else [row]
        if len(rows) > 1:
            raise revisions.ambiguous(f"version {version} of {key}", [row.revision for row in rows])
        if not rows:
            raise UnknownRevisionError(
                f"key {key!r} in namespace {namespace!r} has no version {version}",
                hint=f"`gitmem history {typed(key)} -n {typed(namespace)}` shows the versions",
                revision=str(version),
            )
        return history.as_version(self._vault, reader.snapshot, namespace, key, rows[0])

    def log(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        glob: str | None = None,
        since: str | None = None,
        namespace: str | None = None,
        limit: int | None = None,
    ) -> builtins.list[CommitRecord]:
        """The commits, newest first, each with the keys it changed; of all namespaces unless one is named.

        `since` is exclusive: only what is not in that revision's history. With `glob` or `namespace`, only commits
        that changed a matching key, and only these changes.
        """
        found = self.iter_log(session=session, agent=agent, glob=glob, since=since, namespace=namespace)
        return list(islice(found, limit))

    def iter_log(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        glob: str | None = None,
        since: str | None = None,
        namespace: str | None = None,
    ) -> Iterator[CommitRecord]:
        """`log`, one commit at a time: for histories that do not fit into memory."""
        reader = self._reader()
        start = None if since is None else revisions.resolve(self._vault, reader.snapshot, since)
        return history.commits(
            reader, session=session, agent=agent, since=start, namespace=namespace, pattern=glob
        )

    def diff(
        self, before: str, after: str | None = None, glob: str | None = None, *, namespace: str | None = None
    ) -> builtins.list[Change]:
        """The keys whose value differs between two revisions (`after`: now), sorted by namespace and key.

        Of all namespaces unless one is named. What had expired by then counts as absent.
        """
        reader = self._reader()
        old = history.reader_at(self._vault, revisions.resolve(self._vault, reader.snapshot, before))
        if after is not None:
            reader = history.reader_at(self._vault, revisions.resolve(self._vault, reader.snapshot, after))
        return history.diff(old, reader, namespace=namespace, pattern=glob)

    def reads(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        key: str | None = None,
        namespace: str | None = None,
    ) -> Iterator[Receipt]:
        """What agents were told under sessions on this machine, oldest first; of all namespaces unless one is named.

        Noted while gitmem.toml says `audit_reads = true`: `memory.settings.set("audit_reads", True)`.
        """
        from gitmem.receipts.reading import receipts

        return receipts(self._vault, session=session, agent=agent, key=key, namespace=namespace)

    def trace(self, key: str, version: int | str, *, namespace: str | None = None) -> Trace:
        """Who was told a version on this machine, and what each wrote afterwards in that session, on any branch.

        `version` and the errors are as for `version`. Whether what was written has to do with it, nobody knows.
        """
        from gitmem.receipts.tracing import trace

        return trace(self._reader(), self.version(key, version, namespace=namespace))

    def blame(self, key: str, *, namespace: str | None = None) -> dict[str, Version]:
        """JSON pointer -> the version that last changed it, for every scalar and every empty list or object."""
        return history.blame(self._reader(), self._in(namespace), key)


def _shown(reader: Reader, entries: Iterable[Entry]) -> None:
    """Tell the reader's witness of these entries of its snapshot."""
    if reader.witness is not None:
        reader.witness.told_all(
            (one.namespace, one.key, blob, one.revision)
            for one in entries
            if (blob := reader.held(one.namespace, one.key)) is not None
        )
