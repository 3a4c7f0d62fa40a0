"""What others wrote of a key since a run: who is to be asked, and when it was.

Knows the versions of one key; reads their values only where a place is in conflict.
Law: a version of the run itself is nobody else's, and a merge that only took a value over did not write it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from gitmem import pointers
from gitmem.codec import equal
from gitmem.entries import ABSENT
from gitmem.objects import Oid
from gitmem.runs.states import Touch
from gitmem.trees import KeyId
from gitmem.vault import Vault

if TYPE_CHECKING:
    from gitmem.index import VersionRow

_MOST = 500
"""Versions that are looked through for who changed a place; behind them the newest counts."""


class Others:
    """The versions of a key, up to a head, that a run did not make."""

    def __init__(
        self, vault: Vault, head: Oid, where: KeyId, run: Collection[Oid], read: Callable[[Oid | None, KeyId], Any]
    ) -> None:
        """`run` are the commits that do not count; `read` gives a blob's value, ABSENT where it is none."""
        self._index, self._head, self._where = vault.index, head, where
        self._run, self._read = run, read
        self._values: dict[Oid | None, Any] = {}

    def times(self, touch: Touch) -> tuple[Any, Any]:
        """The author times of what others wrote last and of what stood before a touch; at a tie, others' is later."""
        newest = self._newest
        tokens = self._index.parent_tokens(touch.first, *self._where)
        earlier = max((self._index.facts(row.revision).time for row in tokens), default=0)
        return (0 if newest is None else self._index.facts(newest.revision).time, 1), (earlier, 0)

    def writer(self, pointer: str) -> Oid:
        """The version that last made the place what it is."""
        for row in self._rows:
            value = self._at(row.blob, pointer)
            parents = self._index.parent_tokens(row.revision, *self._where)
            if not any(equal(self._at(parent.blob, pointer), value) for parent in parents):
                return row.revision
        if self._newest is not None:
            return self._newest.revision
        token = self._index.token(self._head, *self._where)
        assert token is not None, "a key in conflict has versions"
        return token.revision

    @property
    def _newest(self) -> VersionRow | None:
        return self._rows[0] if self._rows else None

    @cached_property
    def _rows(self) -> list[VersionRow]:
        rows = islice(self._index.versions(self._head, *self._where), _MOST + len(self._run))
        return [row for row in rows if row.revision not in self._run][:_MOST]

    def _at(self, blob: Oid | None, pointer: str) -> Any:
        if blob not in self._values:
            self._values[blob] = self._read(blob, self._where)
        try:
            return pointers.resolve(self._values[blob], pointer)
        except LookupError:
            return ABSENT
