"""Who wins where nothing settles, and what came in that this memory would not have taken.

Knows the last version of each key on both sides, through the index; does not know how values are merged.
Law: the later author time wins, then the larger commit id; never who merges, where, or when.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gitmem.branches import records
from gitmem.branches.records import Author, Record, record_id, side
from gitmem.contracts import problems
from gitmem.entries import ABSENT
from gitmem.errors import CorruptValueError, InvalidKeyError
from gitmem.keys import check_key, check_namespace
from gitmem.objects import Oid
from gitmem.place import SELF
from gitmem.policy import Policy
from gitmem.trees import KeyId
from gitmem.vault import Vault


class Verdicts:
    """The authors of the last versions on the lower and the higher side."""

    def __init__(self, vault: Vault, low: Sequence[Oid], high: Sequence[Oid]) -> None:
        """`low` and `high` are the commits whose history is each side's past."""
        self._vault = vault
        self._sides = (low, high)
        self._authors: dict[KeyId, tuple[Author, Author]] = {}
        one, other = (max(self._author(head) for head in heads) for heads in self._sides)
        self.heads: tuple[Author, Author] = (one, other)

    def newer_head(self) -> int:
        """0 or 1: the side that wins where a place has no version of its own, as gitmem.toml has none."""
        return int(self.heads[1] > self.heads[0])

    def read(self, keys: Iterable[KeyId]) -> None:
        """Look up the last versions of many keys at once."""
        spaces: dict[str, list[str]] = {}
        for namespace, key in keys:
            spaces.setdefault(namespace, []).append(key)
        for namespace, names in spaces.items():
            one, other = (self._last(heads, namespace, names) for heads in self._sides)
            self._authors.update(((namespace, name), (one[name], other[name])) for name in names)

    def of(self, key: KeyId) -> tuple[Author, Author]:
        """Who wrote the key last on each side."""
        if key not in self._authors:
            self.read([key])
        return self._authors[key]

    def of_value(self, key: KeyId, blob: Oid, writer: int | None, limit: int, policy: Policy) -> Record | None:
        """A record if this value breaks a rule of keys, values or contracts, and nobody was told of it yet.

        `writer` is the side that it comes from: 0 or 1, None for both. More than `limit` bytes are no value.
        """
        found = self._problem(key, blob, limit, policy)
        if found is None:
            return None
        value, problem = found
        id = record_id(*key, "", None, None, blob)
        if any(self._recorded(head, id) for heads in self._sides for head in heads):
            return None
        author = max(self.of(key)) if writer is None else self.of(key)[writer]
        return Record(id, *key, "", ABSENT, (side(value, author),), problem, blobs=(None, blob))

    def _problem(self, key: KeyId, blob: Oid, limit: int, policy: Policy) -> tuple[object, str] | None:
        """The value and the kind of rule that it breaks."""
        try:
            check_namespace(key[0])
            check_key(key[1])
        except InvalidKeyError:
            return ABSENT, "key"
        try:
            value = self._vault.value(blob, *key, b"", limit=limit)
        except CorruptValueError:
            return ABSENT, "value"
        contracts = policy.contracts_for(*key)
        return (value, "contract") if contracts and problems(contracts, value) else None

    def knowing(self, key: KeyId) -> int | None:
        """The side (0 or 1) that knows every version which somebody wrote on the other, and more; None if neither."""
        low, high = ({row for head in heads for row in self._written(head, key)} for heads in self._sides)
        return 0 if high < low else 1 if low < high else None

    def _written(self, head: Oid, key: KeyId) -> Iterator[Oid]:
        """The versions of the key that no merge made."""
        index = self._vault.index
        for row in index.versions(head, *key):
            facts = index.facts(row.revision)
            if facts.agent != SELF or len(facts.parents) < 2:
                yield row.revision

    def let_go(self, key: KeyId, which: int) -> bool:
        """Whether this side (0 or 1) deleted the key last, and the other side never heard of it."""
        index = self._vault.index
        for head in self._sides[which]:
            last = index.token(head, *key)
            if last is not None and last.blob is None:
                return not any(index.is_ancestor(last.revision, other) for other in self._sides[1 - which])
        return False

    def _recorded(self, head: Oid, id: str) -> bool:
        """Whether a record of this id was ever made in the history of this commit."""
        return self._vault.index.token(head, records.NAMESPACE, id) is not None

    def _last(self, heads: Sequence[Oid], namespace: str, names: list[str]) -> dict[str, Author]:
        found: dict[str, Author] = {}
        for head in heads:
            for name, row in self._vault.index.tokens(head, namespace, names).items():
                author = self._author(row.revision)
                found[name] = max(author, found.get(name, author))
        missing = {name: self._author(heads[0]) for name in names if name not in found}
        return found | missing

    def _author(self, revision: Oid) -> Author:
        self._vault.index.catch_up(revision)
        facts = self._vault.index.facts(revision)
        return Author(facts.time, revision, facts.agent)
