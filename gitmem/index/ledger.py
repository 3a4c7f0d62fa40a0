"""What one open index has recorded, and the law by which a commit's versions are found.

Knows the tables and the ancestry of the commits in them; does not know files, other processes or git objects.

The law. V(C) are the versions of a key among commit C and its ancestors. A root commit is a version of the
keys it has; a commit with one parent, of those whose blob differs from the parent's. For a merge, the newest
side is a parent whose V holds every other parent's V; the merge is a version if there is no newest side, or
if its blob is not the newest side's. C's token is C if it is a version, else the token of its parent or
newest side.
By induction V(C) is the token and the versions among its ancestors, and C's blob is the token's. So one
side's V holds another's exactly if it holds the other's token, and a version's number is the size of its V:
one more than the newest side's, and at a merge without one, one more than what its sides have together, each
counted once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gitmem import provenance
from gitmem.index.ancestry import Ancestry, Place, Reach, Segment
from gitmem.objects import Commit, Oid
from gitmem.trees import Difference, KeyId

_MOST_PLACES = 20_000
_BUNCH = 500
_FEW = 8
_LIMIT = 2**63 - 1

_CANDIDATES = """
select v.ord, v.version, v.blob, c.revision, c.chain, k.id
from keys k cross join versions v on v.key_id = k.id cross join commits c on c.ord = v.ord
where k.namespace = ? and k.key = ? and v.ord <= ? order by v.ord desc
"""

_LATEST = """
select k.key, v.ord, v.version, v.blob, c.revision, c.chain, k.id from keys k
cross join versions v on v.key_id = k.id
    and v.ord = (select max(ord) from versions where key_id = k.id and ord <= ?)
cross join commits c on c.ord = v.ord
where k.namespace = ? and k.key in ({})
"""


_COMMIT = """
insert into commits(ord, revision, chain, agent, session, time, committed, parents, written)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_BY_KEY = "insert into versions select id, ?, ?, ? from keys where namespace = ? and key = ?"


class Token(NamedTuple):
    """A row of `versions`, with where its commit lies. `key_id` is 0 where it is not at hand."""

    ord: int
    version: int
    blob: Oid | None
    revision: Oid
    chain: int
    key_id: int


class Known(NamedTuple):
    """A recorded commit: its place, and its committer's time made monotone."""

    place: Place
    committed: int


class Fresh(NamedTuple):
    """What was recorded last: whoever wrote a commit asks for it next."""

    place: Place
    revision: Oid
    facts: tuple[str, str | None, int, int, bytes, int]
    tokens: dict[KeyId, Token]


class Ledger:
    """The tables of one connection. Everything it caches is true of this connection alone."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._known: dict[Oid, Known] = {}
        self._forget()

    def close(self) -> None:
        """Close the connection: nothing can be asked any more."""
        self.db.close()

    def _forget(self) -> None:
        self._known.clear()
        self._ancestry = Ancestry()
        self._joined = 0
        self._fresh: Fresh | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction that no other process can get in between. After a failure nothing of it is left."""
        self.db.execute("begin immediate")
        try:
            yield
            self.db.execute("commit")
        except BaseException:
            self._forget()
            if self.db.in_transaction:
                self.db.execute("rollback")
            raise

    # --- places and ancestry ---

    def known(self, revision: Oid) -> Known | None:
        """What is recorded of the commit, or None."""
        known = self._known.get(revision)
        if known is None:
            row = self.db.execute(
                "select chain, ord, committed from commits where revision = ?", (revision,)
            ).fetchone()
            if row is None:
                return None
            known = Known(Place(row[0], row[1]), row[2])
            self._remember(revision, known)
        return known

    def last(self) -> int:
        """The greatest number given so far."""
        number: int | None = self.db.execute("select max(ord) from commits").fetchone()[0]
        return number or 0

    def precedes(self, chain: int, ord: int, place: Place) -> bool:
        """Whether the commit at (chain, ord) is the one at `place` or an ancestor of it."""
        if chain == place.chain:
            return ord <= place.ord
        return ord < place.ord and self.reach(place).holds(chain, ord)

    def reach(self, place: Place) -> Reach:
        self._take_joins(place.ord)
        return self._ancestry.reach(place)

    def floor(self, inside: Reach, outside: Reach) -> int:
        return self._ancestry.floor(inside, outside)

    def _take_joins(self, ord: int) -> None:
        """Transactions follow each other as numbers do: whoever sees a commit sees all joins before it."""
        if ord > self._joined:
            rows = self.db.execute("select ord, chain, links from joins where ord > ? order by ord", (self._joined,))
            for ord_, chain, text in rows:
                numbers = [int(number) for number in text.split()]
                links = tuple(map(Place, numbers[::2], numbers[1::2]))
                self._ancestry.add(Place(chain, ord_), links)
                ord = max(ord, ord_)
            self._joined = ord

    def _remember(self, revision: Oid, known: Known) -> None:
        if len(self._known) >= _MOST_PLACES:
            self._known.clear()
        self._known[revision] = known

    # --- versions ---

    def token(self, place: Place, namespace: str, key: str) -> Token | None:
        """The last version of the key at `place`."""
        if self._fresh is not None and self._fresh.place == place and (namespace, key) in self._fresh.tokens:
            return self._fresh.tokens[namespace, key]
        for row in self.db.execute(_CANDIDATES, (namespace, key, place.ord)):
            if row[4] == place.chain or self.precedes(row[4], row[0], place):
                return Token._make(row)
        return None

    def versions(self, place: Place, namespace: str, key: str) -> Iterator[Token]:
        """All of them, newest first; the iterator keeps a statement open."""
        for row in self.db.execute(_CANDIDATES, (namespace, key, place.ord)):
            if self.precedes(row[4], row[0], place):
                yield Token._make(row)

    def tokens(self, place: Place, namespace: str, keys: Sequence[str]) -> dict[str, Token]:
        """The last versions of many keys."""
        found: dict[str, Token] = {}
        for start in range(0, len(keys), _BUNCH):
            bunch = keys[start : start + _BUNCH]
            sql = _LATEST.format(",".join("?" * len(bunch)))
            for key, *row in self.db.execute(sql, (place.ord, namespace, *bunch)):
                token: Token | None = Token._make(row)
                if token is not None and not self.precedes(token.chain, token.ord, place):
                    token = self.token(place, namespace, key)
                if token is not None:
                    found[key] = token
        return found

    # --- recording ---

    def record(self, commit: Commit, differences: Sequence[Mapping[KeyId, Difference]]) -> None:
        """Enter a commit whose parents are known; `differences` to each of them (of a root: to nothing)."""
        parents = [self._recorded(parent) for parent in commit.parents]
        last = self.last()
        place = Place(self._chain(parents, last), last + 1)
        times = [_bounded(commit.committer.time), *(parent.committed for parent in parents)]
        known = Known(place, max(times))
        places = [parent.place for parent in parents]
        facts = self._enter(commit, known, places)
        if len(places) > 1:
            rows: Iterable[tuple[KeyId, int | None, int, Oid | None]] = self._merged(places, differences)
        else:
            rows = self._changed(places[0] if places else None, differences[0])
        made = {
            key: Token(place.ord, number, blob, commit.oid, place.chain, key_id or 0)
            for key, key_id, number, blob in list(rows)
        }
        self._insert(made)
        self._remember(commit.oid, known)
        self._fresh = Fresh(place, commit.oid, facts, made)

    def _insert(self, made: Mapping[KeyId, Token]) -> None:
        """Enter versions; those whose key is not at hand by its number get one first if they have none."""
        new = [key for key, token in made.items() if not token.key_id]
        if new:
            self.db.executemany("insert or ignore into keys(namespace, key) values (?, ?)", new)
            rows = [(made[key].ord, made[key].version, made[key].blob, *key) for key in new]
            self.db.executemany(_BY_KEY, rows)
        known = [(token.key_id, token.ord, token.version, token.blob) for token in made.values() if token.key_id]
        if known:
            self.db.executemany("insert into versions values (?, ?, ?, ?)", known)

    def facts(self, revision: Oid, place: Place) -> tuple[str, str | None, int, int, bytes, int]:
        """Agent, session, author's time, monotone committer's time, parents joined, committer's time."""
        if self._fresh is not None and self._fresh.revision == revision:
            return self._fresh.facts
        row: tuple[str, str | None, int, int, bytes, int] = self.db.execute(
            "select agent, session, time, committed, parents, written from commits where ord = ?", (place.ord,)
        ).fetchone()
        return row

    def _recorded(self, revision: Oid) -> Known:
        known = self.known(revision)
        if known is None:
            raise LookupError(f"commit {revision.hex()} is not in the index")
        return known

    def _enter(
        self, commit: Commit, known: Known, parents: list[Place]
    ) -> tuple[str, str | None, int, int, bytes, int]:
        place = known.place
        trailers = provenance.parse(commit.message)[1]
        facts = (
            trailers.get(provenance.AGENT) or commit.author.name or provenance.DEFAULT_AGENT,
            trailers.get(provenance.SESSION) or None,
            _bounded(commit.author.time),
            known.committed,
            b"".join(commit.parents),
            _bounded(commit.committer.time),
        )
        self.db.execute(_COMMIT, (place.ord, commit.oid, place.chain, *facts))
        elsewhere = [parent for parent in parents if parent.chain != place.chain]
        if elsewhere or not parents:
            links = " ".join(f"{parent.chain} {parent.ord}" for parent in elsewhere)
            self.db.execute("insert into joins values (?, ?, ?)", (place.ord, place.chain, links))
        if write_id := trailers.get("Write-Id"):
            digest = trailers.get("Write-Digest", "")
            self.db.execute("insert into write_ids values (?, ?, ?)", (write_id, place.ord, digest))
        if undoes := trailers.get(provenance.UNDOES):
            narrowed = (trailers.get(provenance.UNDO_KEYS), trailers.get(provenance.UNDO_NAMESPACE))
            self.db.execute("insert into undos values (?, ?, ?, ?)", (place.ord, undoes, *narrowed))
        return facts

    def _chain(self, parents: list[Known], last: int) -> int:
        """The chain of a parent that is the last on it so far, else a new one, named by its first commit."""
        for parent in parents:
            chain, ord = parent.place
            if ord == last or not self._has_later(chain, ord):
                return chain
        return last + 1

    def _has_later(self, chain: int, ord: int) -> bool:
        later = self.db.execute("select 1 from commits where ord > ? and chain = ? limit 1", (ord, chain))
        return later.fetchone() is not None

    # The law. Rows are (key, its id if at hand, number, blob).

    def _changed(
        self, parent: Place | None, differences: Mapping[KeyId, Difference]
    ) -> Iterator[tuple[KeyId, int | None, int, Oid | None]]:
        changed = {key: after for key, (before, after) in differences.items() if before != after}
        tokens = {} if parent is None else self._tokens_of(parent, changed)
        for key, after in changed.items():
            token = tokens.get(key)
            key_id, number = (None, 0) if token is None else (token.key_id, token.version)
            yield key, key_id, number + 1, after

    def _tokens_of(self, place: Place, keys: Collection[KeyId]) -> dict[KeyId, Token]:
        """The last versions of keys of any namespaces: a few one by one, many in bunches."""
        if len(keys) < _FEW:
            found = {key: self.token(place, *key) for key in keys}
            return {key: token for key, token in found.items() if token is not None}
        by_namespace: dict[str, list[str]] = {}
        for namespace, key in keys:
            by_namespace.setdefault(namespace, []).append(key)
        return {
            (namespace, key): token
            for namespace, some in by_namespace.items()
            for key, token in self.tokens(place, namespace, some).items()
        }

    def _merged(
        self, parents: list[Place], differences: Sequence[Mapping[KeyId, Difference]]
    ) -> Iterator[tuple[KeyId, int | None, int, Oid | None]]:
        self._take_joins(self.last())
        judged: set[KeyId] = set()
        newest = 0
        for number, one in enumerate(parents):
            for other in parents[number + 1 :]:
                side, own = self._ancestry.apart(one, other)
                newest = 1 - side
                judged |= self._keys_in(own)
        if len(parents) > 2:
            judged.update(*differences)
        else:  # a key that the one side never touched alone: the other side is the newest
            rest = {key: blobs for key, blobs in differences[newest].items() if key not in judged}
            yield from self._changed(parents[newest], rest)
        for key in judged:
            yield from self._judged(key, parents, differences)

    def _judged(
        self, key: KeyId, parents: list[Place], differences: Sequence[Mapping[KeyId, Difference]]
    ) -> Iterator[tuple[KeyId, int | None, int, Oid | None]]:
        tokens = [self.token(parent, *key) for parent in parents]
        blob = _blob(key, tokens, differences)
        newest = self._newest(parents, tokens)
        if newest is None:
            key_id = next(token.key_id for token in tokens if token is not None)
            yield key, key_id, 1 + self._union(key, parents, tokens), blob
        elif (token := tokens[newest]) is None:
            if blob is not None:
                yield key, None, 1, blob
        elif token.blob != blob:
            yield key, token.key_id, token.version + 1, blob

    def _newest(self, parents: list[Place], tokens: list[Token | None]) -> int | None:
        """The parent whose versions hold all the other parents' versions."""
        for number, parent in enumerate(parents):
            if all(token is None or self.precedes(token.chain, token.ord, parent) for token in tokens):
                return number
        return None

    def _union(self, key: KeyId, parents: list[Place], tokens: list[Token | None]) -> int:
        """How many versions of the key the parents reach together."""
        total = 0 if tokens[0] is None else tokens[0].version
        for number in range(1, len(parents)):
            total += self._own_versions(key, parents[number], tokens[number], parents[:number])
        return total

    def _own_versions(self, key: KeyId, parent: Place, token: Token | None, others: list[Place]) -> int:
        """How many versions of the key only this parent reaches, and none of the others."""
        own = 0
        left = 0 if token is None else token.version  # the parent's versions that are not looked at yet
        for version in self.versions(parent, *key):
            if not any(self.precedes(version.chain, version.ord, other) for other in others):
                own += 1
            elif version.version == left:
                break  # it and its ancestors are all that is left, and somebody else has them too
            left -= 1
        return own

    def _keys_in(self, segments: list[Segment]) -> set[KeyId]:
        """The keys that have a version in one of the segments."""
        keys: set[KeyId] = set()
        for chain, low, high in segments:
            keys.update(
                self.db.execute(
                    "select distinct k.namespace, k.key from versions v join commits c on c.ord = v.ord"
                    " join keys k on k.id = v.key_id where v.ord > ? and v.ord <= ? and c.chain = ?",
                    (low, high, chain),
                )
            )
        return keys


def _blob(key: KeyId, tokens: list[Token | None], differences: Sequence[Mapping[KeyId, Difference]]) -> Oid | None:
    """The merge's blob: the difference to a parent tells it; without one it is the parent's."""
    for difference in differences:
        if key in difference:
            return difference[key][1]
    return tokens[0].blob if tokens[0] is not None else None


def _bounded(seconds: int) -> int:
    return max(-_LIMIT, min(_LIMIT, seconds))
