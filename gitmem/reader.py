"""Reading one snapshot: retrieve, entry, list, namespaces, search.

Knows one commit and an instant that judges expiry; takes no lock and writes nothing.
Law: every answer is that of one commit; an expired key is absent to every verb.
"""

from __future__ import annotations

import builtins
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from gitmem import trees
from gitmem.errors import CorruptValueError, InvalidPatternError, MissingKeyError, typed
from gitmem.keys import DEFAULT_NAMESPACE, check_key, check_namespace
from gitmem.members import ABSENT
from gitmem.objects import CorruptObjectError, MissingObjectError
from gitmem.vault import Clock, Snapshot, Unreadable, Vault

if TYPE_CHECKING:  # entries and globs are imported where they are used: a cold `retrieve` needs neither
    from typing import Protocol

    from gitmem.entries import Entry
    from gitmem.index import VersionRow
    from gitmem.objects import Oid

    class Witness(Protocol):
        """Whoever has to hear what a caller is told."""

        def told(self, namespace: str, key: str, blob: Oid) -> None: ...
        def told_all(self, read: Iterable[Told]) -> None: ...
        def at(self, snapshot: Oid) -> Witness: ...
        def past(self, snapshot: Oid) -> Witness: ...


Told: TypeAlias = "tuple[str, str, Oid, str]"
"""Namespace, key and blob of something that was read, and the revision (hex) of its version."""

_BATCH = 500
_NEAR = 500


class Reader:
    """The keys at one snapshot. Cheap to make: what it reads is kept in the vault."""

    def __init__(self, vault: Vault, snapshot: Snapshot, *, now: Clock) -> None:
        """`now` judges expiry: the clock for the present, the commit's own time for the past.

        `until` is the first instant at which something that was read here expires: so long the answers hold.
        `witness` is for the verbs: what they give to a caller they tell it too, if there is one.
        """
        self.until: datetime | None = None
        self.witness: Witness | None = None
        self.vault = vault
        self.snapshot = snapshot
        self.now = now
        self._blobs: dict[tuple[str, str], Oid | None] = {}
        self._about: dict[tuple[str, str], tuple[Oid, Callable[[Any], Entry]]] = {}
        self._expired: dict[str, list[tuple[str, datetime]]] = {}

    # --- one key ---

    def retrieve(self, namespace: str, key: str) -> Any:
        """The value, or ABSENT."""
        blob = self.blob(namespace, key)
        if blob is None:
            return ABSENT
        return self.vault.value(blob, namespace, key, self.snapshot.root)

    def entry(self, namespace: str, key: str) -> Entry | None:
        """The value and where it was read, or None."""
        known = self._known(namespace, key)
        return None if known is None else known[1](self.vault.value(known[0], namespace, key, self.snapshot.root))

    def about(self, namespace: str, key: str) -> Callable[[Any], Entry] | None:
        """What makes a key's entry of its value, also where its file is none; None if the key is absent."""
        known = self._known(namespace, key)
        return None if known is None else known[1]

    def _known(self, namespace: str, key: str) -> tuple[Oid, Callable[[Any], Entry]] | None:
        blob = self.blob(namespace, key)
        if blob is None:
            return None
        known = self._about.get((namespace, key))
        if known is None:
            row = self.token(namespace, key)
            if row is None:
                raise AssertionError(f"{namespace}/{key} is in the tree, but no commit brought it")
            known = self._describe(namespace, key, blob, row)
        return known

    def blob(self, namespace: str, key: str) -> Oid | None:
        """The blob of a key that is there and has not expired."""
        try:
            found = self._blobs[namespace, key]
        except (KeyError, TypeError):  # of a key that is no text: `stored` says so
            found = self.stored(namespace, key)
            if found is not None:
                self._blobs[namespace, key] = found
        if found is not None and self.snapshot.expires is not None and self.expired(namespace, key):
            return None
        return found

    def held(self, namespace: str, key: str) -> Oid | None:
        """The blob of a key, expired or not: kept, if it was asked for before."""
        return self._blobs.get((namespace, key)) or self.stored(namespace, key)

    def stored(self, namespace: str, key: str) -> Oid | None:
        """The blob of a key, expired or not."""
        check_namespace(namespace, writing=False)
        check_key(key, writing=False)
        return trees.lookup(self.vault.objects, self.snapshot.root, namespace, key)

    def expires(self, namespace: str, key: str) -> datetime | None:
        """When the key expires or expired; None for never."""
        area = self.snapshot.expires
        if area is None:
            return None
        oid = trees.lookup(self.vault.objects, area, namespace, key)
        return None if oid is None else self.vault.instant(oid, namespace, key)

    def expired(self, namespace: str, key: str) -> bool:
        """Whether the key has an expiry that has passed."""
        instant = self.expires(namespace, key)
        if instant is None or instant <= self.now():
            return instant is not None
        self._holds(instant)
        return False

    def _holds(self, instant: datetime | None) -> None:
        if self.until is None or (instant is not None and instant < self.until):
            self.until = instant

    def token(self, namespace: str, key: str) -> VersionRow | None:
        """The key's last version as of this snapshot, a deletion included; None if there never was one."""
        return self.vault.indexed(self.snapshot).token(self.snapshot.oid, namespace, key)

    def missing(self, namespace: str, key: str) -> MissingKeyError:
        """The error for a key that is not here, with the nearest thing to try."""
        return missing_key(self, namespace, key)

    def _describe(
        self, namespace: str, key: str, blob: Oid, row: VersionRow
    ) -> tuple[Oid, Callable[[Any], Entry]]:
        """A key's blob, and its entry but for the value; kept."""
        from gitmem.entries import Entry, moment

        facts = self.vault.index.facts(row.revision)
        about = (
            namespace,
            key,
            row.version,
            row.revision.hex(),
            self.snapshot.oid.hex(),
            facts.agent,
            facts.session,
            moment(facts.time),
            self.expires(namespace, key),
        )
        found = self._about[namespace, key] = (blob, lambda value: Entry(value, *about))
        return found

    # --- many keys ---

    def namespaces(self) -> builtins.list[str]:
        """The namespaces that hold a key, sorted by code point."""
        names = trees.namespaces(self.vault.objects, self.snapshot.root)
        if self.snapshot.expires is None:
            return names
        return [name for name in names if self.keys(name)]

    def keys(self, namespace: str, prefix: str = "") -> builtins.list[str]:
        """The keys of a namespace, at least those that begin with `prefix`, sorted; shared: never change it."""
        check_namespace(namespace, writing=False)
        keys = self.vault.keys(self.snapshot, namespace, prefix)
        gone = self._gone(namespace)
        return [key for key in keys if key not in gone] if gone else keys

    def _gone(self, namespace: str) -> set[str]:
        """The keys of a namespace that have expired and still lie in the tree."""
        area = self.snapshot.expires
        if area is None:
            return set()
        if namespace not in self._expired:
            instants = []
            for key, oid in trees.keys_of(self.vault.objects, area, namespace).items():
                instant = self.vault.instant(oid, namespace, key)
                if instant is not None:
                    instants.append((key, instant))
            self._expired[namespace] = instants
        now, instants = self.now(), self._expired[namespace]
        self._holds(min((instant for _, instant in instants if instant > now), default=None))
        return {key for key, instant in instants if instant <= now}

    def expired_keys(self) -> builtins.list[tuple[str, str]]:
        """(namespace, key) of everything that has expired and still lies in the tree."""
        if self.snapshot.expires is None:
            return []
        names = trees.namespaces(self.vault.objects, self.snapshot.expires)
        return [
            (name, key) for name in names for key in sorted(self._gone(name)) if self.stored(name, key) is not None
        ]

    def list(self, namespace: str, prefix: str = "") -> builtins.list[str]:
        """The keys that begin with `prefix` (plain text), sorted by code point."""
        keys = self.keys(namespace, prefix)
        if not prefix:
            return keys.copy()
        low = bisect_left(keys, prefix)
        high = bisect_right(keys, prefix, low, key=lambda key: key[: len(prefix)])
        return keys[low:high]

    def search_keys(self, namespace: str, pattern: str) -> Iterator[str]:
        """The keys that match a glob, in order. InvalidPatternError for a malformed one."""
        from gitmem.globs import compile_glob

        glob = compile_glob(pattern)
        return glob.select(self.keys(namespace, glob.prefix))

    def search(
        self, namespaces: Iterable[str], pattern: str, *, where: str | None, limit: int | None, offset: int
    ) -> builtins.list[Entry]:
        """The entries whose key matches a glob and whose value meets a JMESPath condition, in order.

        A type error in the condition is no match. InvalidPatternError for a malformed glob or condition. A file that
        is no value is left out, and an Unreadable warning names it.
        """
        from gitmem.globs import compile_glob

        compile_glob(pattern)
        pairs = ((name, key) for name in namespaces for key in self.search_keys(name, pattern))
        stop = None if limit is None else offset + limit
        if where is None:
            return list(self.entries(islice(pairs, offset, stop)))
        test = condition(where)
        return list(islice((entry for entry in self.entries(pairs) if test(entry.value)), offset, stop))

    def entries(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Entry]:
        """The entries of these (namespace, key) pairs that are here, read in batches."""
        for namespace, group in groupby(pairs, itemgetter(0)):
            keys = [key for _, key in group]
            for start in range(0, len(keys), _BATCH):
                yield from self._read(namespace, keys[start : start + _BATCH])

    def _read(self, namespace: str, keys: builtins.list[str]) -> Iterator[Entry]:
        about, value, root = self._about, self.vault.value, self.snapshot.root
        unknown = [key for key in keys if (namespace, key) not in about]
        if unknown:
            rows = self.vault.indexed(self.snapshot).tokens(self.snapshot.oid, namespace, unknown)
            for key, row in rows.items():
                blob = self.blob(namespace, key)
                if blob is not None:
                    self._describe(namespace, key, blob, row)
        for key in keys:
            known = about.get((namespace, key))
            if known is not None and (self.snapshot.expires is None or not self.expired(namespace, key)):
                try:
                    found = value(known[0], namespace, key, root)
                except (CorruptValueError, CorruptObjectError, MissingObjectError) as error:
                    warnings.warn(error.message, Unreadable, stacklevel=2)
                else:
                    yield known[1](found)


def condition(expression: str) -> Any:
    """A JMESPath expression as a test of a value; what it yields is true as JMESPath calls it true."""
    import jmespath
    from jmespath.exceptions import ArityError, JMESPathError, UnknownFunctionError

    try:
        compiled = jmespath.compile(expression)
    except (JMESPathError, ValueError, RecursionError) as error:  # also a number of a million digits
        raise _malformed(expression, error) from None

    def test(value: Any) -> bool:
        try:
            result = compiled.search(value)
        except (ArityError, UnknownFunctionError) as error:
            raise _malformed(expression, error) from None
        except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError):
            return False
        return result not in (None, "", [], {}) and result is not False

    test(None)
    return test


def _malformed(expression: str, error: Exception) -> InvalidPatternError:
    reason = str(error).splitlines()[0]
    return InvalidPatternError(
        f"{expression!r} is not a JMESPath expression: {reason}",
        hint="literals stand in backquotes: success_rate > `90`, state == 'done'; see jmespath.org",
        pattern=expression,
        reason=reason,
    )


def missing_key(reader: Reader, namespace: str, key: str) -> MissingKeyError:
    """MissingKeyError with the next thing to try: what became of the key, or what may have been meant."""
    hint = _elsewhere(reader, namespace, key) or _gone_since(reader, namespace, key) or _near(reader, namespace, key)
    return MissingKeyError(
        f"there is no key {key!r} in namespace {namespace!r}", hint=hint, namespace=namespace, key=key
    )


def _elsewhere(reader: Reader, namespace: str, key: str) -> str:
    names = trees.namespaces(reader.vault.objects, reader.snapshot.root)
    for name in names:
        if name != namespace and reader.blob(name, key) is not None:
            return f"there is one in namespace {name!r}: name it with -n {name}"
    inside = [name for name in names if key.startswith(name + "/") and reader.blob(name, key[len(name) + 1 :])]
    if inside:
        name, rest = inside[0], key[len(inside[0]) + 1 :]
        return f"{name!r} is a namespace: `gitmem retrieve {typed(rest)} -n {typed(name)}`"
    if namespace not in names and names:
        return f"namespace {namespace!r} is empty; there are: {', '.join(names[:10])}"
    return ""


def _gone_since(reader: Reader, namespace: str, key: str) -> str:
    """What became of a key that was here once."""
    row = reader.token(namespace, key)
    if row is None:
        return ""
    from gitmem.entries import moment

    more = f"`gitmem history {typed(key)} -n {typed(namespace)}` shows what it was"
    expires = reader.expires(namespace, key)
    if row.blob is not None and expires is not None:
        return f"it expired at {expires:%Y-%m-%dT%H:%M:%SZ}; {more}"
    facts = reader.vault.index.facts(row.revision)
    when = f"{moment(facts.time):%Y-%m-%dT%H:%M:%SZ}"
    return f"it was deleted at {when} by {facts.agent}; {more}, `gitmem restore` brings it back"


def _near(reader: Reader, namespace: str, key: str) -> str:
    """A key or directory that is spelled alike, looked for where the route to the key ends."""
    from difflib import get_close_matches

    objects, root = reader.vault.objects, reader.snapshot.root
    segments = key.split("/")
    for depth, segment in enumerate(segments):
        if depth < len(segments) - 1 and trees.nodes_at(objects, root, namespace, segments[: depth + 1]):
            continue
        nodes = trees.nodes_at(objects, root, namespace, segments[:depth])
        names = {name for node in nodes for name in islice(trees.names_in(objects, node), _NEAR)}
        close = get_close_matches(segment, sorted(names), n=1, cutoff=0.7)
        if close:
            meant = "/".join([*segments[:depth], close[0], *segments[depth + 1 :]])
            return f"did you mean {meant!r}?"
        break
    space = "" if namespace == DEFAULT_NAMESPACE else f" -n {typed(namespace)}"
    return f"`gitmem list{space}` shows the keys"
