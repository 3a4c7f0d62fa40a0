"""The past of keys: history, log, diff, blame.

Knows versions and commits through the index; writes nothing.
Law: what it says follows from the commits alone, and is the same on every clone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gitmem import trees
from gitmem.entries import ABSENT, Change, CommitRecord, Version, moment, operation_of
from gitmem.errors import CorruptValueError, StorageError
from gitmem.globs import compile_glob
from gitmem.members import leaves
from gitmem.provenance import parse
from gitmem.reader import Reader
from gitmem.vault import Snapshot, Vault

if TYPE_CHECKING:
    from gitmem.index import VersionRow
    from gitmem.objects import Oid

__all__ = ["Change", "CommitRecord", "Version", "blame", "commits", "diff", "reader_at", "versions"]


def reader_at(vault: Vault, oid: Oid) -> Reader:
    """The past at a commit; its own committer time judges expiry."""
    snapshot = vault.snapshot(oid)
    time = moment(snapshot.commit.committer.time)
    return Reader(vault, snapshot, now=lambda: time)


def versions(reader: Reader, namespace: str, key: str) -> Iterator[Version]:
    """The versions of a key, newest first; deletions are versions too.

    One whose file is no value has the value ABSENT, as a deletion has, but is not called deleted.
    """
    vault, snapshot = reader.vault, reader.snapshot
    for row in vault.indexed(snapshot).versions(snapshot.oid, namespace, key):
        try:
            value = _value(vault, snapshot, namespace, key, row)
        except (CorruptValueError, StorageError):
            value = ABSENT
        yield _version(vault, snapshot, namespace, key, row, value)


def as_version(vault: Vault, snapshot: Snapshot, namespace: str, key: str, row: VersionRow) -> Version:
    """One row of the index as a version, its value read. CorruptValueError if its file is no value."""
    return _version(vault, snapshot, namespace, key, row, _value(vault, snapshot, namespace, key, row))


def _value(vault: Vault, snapshot: Snapshot, namespace: str, key: str, row: VersionRow) -> Any:
    return ABSENT if row.blob is None else vault.value(row.blob, namespace, key, snapshot.root)


def _version(
    vault: Vault, snapshot: Snapshot, namespace: str, key: str, row: VersionRow, value: Any
) -> Version:
    index = vault.index
    facts = index.facts(row.revision)
    there = vault.past(row.revision)
    expiry = None if there.expires is None else trees.lookup(vault.objects, there.expires, namespace, key)
    before = index.parent_tokens(row.revision, namespace, key)
    existed = any(parent.blob is not None for parent in before)
    return Version(
        value,
        namespace,
        key,
        row.version,
        row.revision.hex(),
        snapshot.oid.hex(),
        facts.agent,
        facts.session,
        moment(facts.time),
        None if expiry is None else vault.instant(expiry, namespace, key),
        operation=operation_of(existed or None, row.blob),
    )


def diff(before: Reader, after: Reader, *, namespace: str | None, pattern: str | None) -> list[Change]:
    """The keys whose value differs between two readers, sorted; expired keys count as absent on their side."""
    test = wanted(namespace, pattern)
    under = "" if pattern is None else compile_glob(pattern).prefix
    roots = (before.snapshot.root, after.snapshot.root)
    candidates = set(trees.changed(before.vault.objects, *roots, namespace=namespace, under=under))
    if before.snapshot.expires is not None or after.snapshot.expires is not None:
        candidates.update(before.expired_keys(), after.expired_keys())
    changes = []
    for name, key in sorted(candidates):
        if test(name, key):
            old, new = before.blob(name, key), after.blob(name, key)
            if old != new:
                changes.append(_change(before.vault, name, key, old, new, after.snapshot.root))
    return changes


def _change(vault: Vault, namespace: str, key: str, old: Oid | None, new: Oid | None, root: Oid) -> Change:
    """Two blobs as a change; one that is no value, or is lost, shows as absent: one key does not hide a log."""
    values = []
    for blob in (old, new):
        try:
            values.append(ABSENT if blob is None else vault.value(blob, namespace, key, root))
        except (CorruptValueError, StorageError):
            values.append(ABSENT)
    return Change(namespace, key, operation_of(old, new), *values)


def wanted(namespace: str | None, pattern: str | None) -> Callable[[str, str], bool]:
    """A test of (namespace, key); None for any."""
    glob = None if pattern is None else compile_glob(pattern)

    def test(name: str, key: str) -> bool:
        return (namespace is None or name == namespace) and (glob is None or glob.matches(key))

    return test


def commits(
    reader: Reader,
    *,
    session: str | None,
    agent: str | None,
    since: Oid | None,
    namespace: str | None,
    pattern: str | None,
) -> Iterator[CommitRecord]:
    """The commits up to this snapshot, newest first, with the keys each changed (against its first parent).

    With a namespace or a pattern: those that are versions of a matching key, and only these changes. (So a merge
    stands there only where it decided something.)
    """
    vault, snapshot = reader.vault, reader.snapshot
    index = vault.indexed(snapshot)
    if since is not None:
        index.catch_up(since)
    test = wanted(namespace, pattern)
    filtered = namespace is not None or pattern is not None
    for oid in index.log(snapshot.oid, session=session, agent=agent, since=since):
        keys = [row[:2] for row in index.changes(oid) if test(*row[:2])] if filtered else None
        if keys is None or keys:
            yield record(reader, oid, keys)


def record(reader: Reader, oid: Oid, keys: Sequence[trees.KeyId] | None = None) -> CommitRecord:
    """A commit with its changes: of these keys, or (None) of all. Any commit: values are judged by the reader's."""
    vault = reader.vault
    commit = vault.objects.commit(oid)
    facts = vault.index.facts(oid)
    before = vault.objects.commit(commit.parents[0]).tree if commit.parents else None
    if keys is None:
        differences = trees.changed(vault.objects, before, commit.tree)
    else:
        differences = {key: trees.difference(vault.objects, before, commit.tree, key) for key in keys}
    changes = [
        _change(vault, namespace, key, old, new, reader.snapshot.root)
        for (namespace, key), (old, new) in sorted(differences.items())
    ]
    return CommitRecord(
        revision=oid.hex(),
        parents=tuple(parent.hex() for parent in commit.parents),
        agent=facts.agent,
        session=facts.session,
        time=moment(facts.time),
        message=parse(commit.message)[0],
        changes=tuple(changes),
    )


def blame(reader: Reader, namespace: str, key: str) -> dict[str, Version]:
    """For each member inside the value (a scalar, or an empty list or object): the version that last changed it.

    As `git blame` does with lines: a member that a parent version has too is the parent's.
    """
    vault, snapshot = reader.vault, reader.snapshot
    token = reader.token(namespace, key)
    blob = reader.blob(namespace, key)
    if token is None or blob is None:
        raise reader.missing(namespace, key)
    index = vault.index
    found: dict[str, VersionRow] = {}
    members = _members(reader, token, namespace, key)
    waiting: dict[int, tuple[VersionRow, dict[str, Any]]] = {token.ord: (token, members)}
    while waiting:
        row, open_members = waiting.pop(max(waiting))
        for parent in index.parent_tokens(row.revision, namespace, key):
            theirs = _members(reader, parent, namespace, key)
            same = {at: value for at, value in open_members.items() if at in theirs and _same(theirs[at], value)}
            if same:
                known = waiting.get(parent.ord, (parent, {}))[1]
                waiting[parent.ord] = (parent, known | same)
                open_members = {at: value for at, value in open_members.items() if at not in same}
        found.update((at, row) for at in open_members)
    cache = {row.revision: as_version(vault, snapshot, namespace, key, row) for row in found.values()}
    return {at: cache[found[at].revision] for at in members}


def _members(reader: Reader, row: VersionRow, namespace: str, key: str) -> dict[str, Any]:
    """The members of one version's value; none where there is no value."""
    if row.blob is None:
        return {}
    try:
        return dict(leaves(reader.vault.value(row.blob, namespace, key, reader.snapshot.root)))
    except CorruptValueError:
        return {}


def _same(one: Any, other: Any) -> bool:
    from gitmem.codec import equal

    return equal(one, other)
