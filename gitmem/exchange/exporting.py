"""Exporting: every entry as a JSON object, or every version of every key, oldest first.

Knows the lines that `lines` reads; does not print them.
Law: imported into an empty memory, they give the same state, and with `history` the same versions.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gitmem import history as past
from gitmem.entries import Version, format_time
from gitmem.errors import CorruptValueError
from gitmem.exchange.records import RENEWED
from gitmem.globs import compile_glob
from gitmem.keys import check_namespace
from gitmem.objects import CorruptObjectError, MissingObjectError
from gitmem.reader import Reader
from gitmem.vault import Unreadable

if TYPE_CHECKING:
    from gitmem.entries import Entry
    from gitmem.memory import Memory

_BATCH, _BLOCK = 500, 200


def export(
    memory: Memory,
    *,
    namespace: str | None = None,
    glob: str | None = None,
    session: str | None = None,
    history: bool = False,
) -> Iterator[dict[str, Any]]:
    """The entries (see Entry.to_json), oldest first; of all namespaces unless one is named.

    With `history` the versions (see Version.to_json), deletions among them. Where a key's expiry was renewed after
    its last version, one more line follows that version, with the operation "renewed". With a `session`, only what was
    written under it: entries that nobody has changed since, or with `history` its versions. All from one snapshot. A
    file that is no value is left out, and an Unreadable warning names it.
    """
    vault = memory.vault
    reader = Reader(vault, vault.snapshot(bytes.fromhex(memory.snapshot)), now=vault.clock)
    if namespace is not None:
        check_namespace(namespace, writing=False)
    if glob is not None:
        compile_glob(glob)
    if history:
        return _versions(reader, namespace, glob, session)
    found = _entries(reader, namespace, glob)
    return (entry.to_json() for entry in found if session in (None, entry.session))


def _entries(reader: Reader, namespace: str | None, glob: str | None) -> Iterator[Entry]:
    head = reader.snapshot.oid
    index = reader.vault.indexed(reader.snapshot)
    order: list[tuple[int, str, str]] = []
    for name in reader.namespaces() if namespace is None else [namespace]:
        keys = reader.keys(name) if glob is None else list(reader.search_keys(name, glob))
        for start in range(0, len(keys), _BATCH):
            rows = index.tokens(head, name, keys[start : start + _BATCH])
            order.extend((row.ord, name, key) for key, row in rows.items())
    order.sort()
    for start in range(0, len(order), _BLOCK):
        block = [(name, key) for _, name, key in order[start : start + _BLOCK]]
        found = {(entry.namespace, entry.key): entry for entry in reader.entries(sorted(block))}
        yield from (found[where] for where in block if where in found)


def _versions(
    reader: Reader, namespace: str | None, glob: str | None, session: str | None
) -> Iterator[dict[str, Any]]:
    vault, snapshot = reader.vault, reader.snapshot
    index = vault.indexed(snapshot)
    wanted = past.wanted(namespace, glob)
    for oid in reversed(list(index.log(snapshot.oid, session=session))):
        for name, key, row in index.changes(oid):
            if not wanted(name, key):
                continue
            try:
                version = past.as_version(vault, snapshot, name, key, row)
            except (CorruptValueError, CorruptObjectError, MissingObjectError) as error:
                warnings.warn(f"version {row.version}: {error.message}", Unreadable, stacklevel=2)
                continue
            yield version.to_json()
            if row.blob is not None:
                expires = reader.expires(name, key)
                if expires != version.expires and _is_last(reader, version):
                    renewed = version.to_json() | {"operation": RENEWED}
                    yield renewed | {"expires": None if expires is None else format_time(expires)}


def _is_last(reader: Reader, version: Version) -> bool:
    token = reader.token(version.namespace, version.key)
    return token is not None and token.revision.hex() == version.revision
