"""The versions that a run made, each with what stood before it.

Knows the index and merges; does not know what becomes of the versions.
Law: a merge that nobody edited made nothing of its own, it is no version of a run. What a person's merge made is
measured against what gitmem would have made of the same parents: else both sides' work would count as the merge's too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from gitmem.codec import decode
from gitmem.entries import ABSENT
from gitmem.errors import CorruptValueError, GitmemError, InvalidValueError, StorageError
from gitmem.index.runs import Made, RunCommit, Span
from gitmem.objects import Oid
from gitmem.place import SELF
from gitmem.provenance import is_own
from gitmem.trees import KeyId
from gitmem.vault import Vault

Wanted = Callable[[str, str], bool]


class Past(NamedTuple):
    """The blob of a key before a version, and the revision that it was of, where there is one."""

    blob: Oid | None
    revision: Oid | None


class Versions:
    """The versions of one run, read from the index at once; what they hold is read when it is asked for."""

    def __init__(self, vault: Vault, root: Oid) -> None:
        """`root` is the tree whose gitmem.toml says how large a value may be."""
        self._vault, self._root = vault, root
        self._merges: dict[Oid, dict[KeyId, Oid | None] | None] = {}
        self._bodies: dict[Oid, bytes] = {}

    def made(self, spans: Sequence[Span], wanted: Wanted) -> Iterator[tuple[Made, Past]]:
        """The versions of wanted keys, parents first, without those of merges that gitmem made."""
        for one in self._vault.index.made(spans, wanted):
            if one.commit.parents < 2:
                yield one, Past(one.before, one.before_revision)
            elif one.commit.agent != SELF:
                before = self._merged(one.commit, (one.namespace, one.key))
                if before.blob != one.blob:
                    yield one, before

    def value(self, blob: Oid | None, namespace: str, key: str) -> Any:
        """What a blob holds. CorruptValueError or StorageError if it cannot be read."""
        if blob is None:
            return ABSENT
        if blob in self._bodies:
            try:
                return decode(self._bodies[blob])
            except InvalidValueError as error:
                raise CorruptValueError(
                    error.message, hint=error.hint, namespace=namespace, key=key, reason=error.reason
                ) from error
        return self._vault.value(blob, namespace, key, self._root)

    def shown(self, blob: Oid | None, namespace: str, key: str) -> Any:
        """What a blob holds; ABSENT where that is no value: one key does not hide the others."""
        try:
            return self.value(blob, namespace, key)
        except (CorruptValueError, StorageError):
            return ABSENT

    # --- merges that somebody made ---

    def _merged(self, commit: RunCommit, key: KeyId) -> Past:
        """What gitmem's own merge of the same parents has for a key; of what it cannot merge, the newest side's."""
        newest = max(self._vault.index.parent_tokens(commit.revision, *key), key=lambda row: row.ord, default=None)
        if commit.revision not in self._merges:
            self._merges[commit.revision] = self._outcomes(commit)
        outcomes = self._merges[commit.revision]
        revision = None if newest is None else newest.revision
        if outcomes is not None and key in outcomes:
            return Past(outcomes[key], revision)
        return Past(None if newest is None else newest.blob, revision)

    def _outcomes(self, commit: RunCommit) -> dict[KeyId, Oid | None] | None:
        """Every key that a side changed, as a merge without a person leaves it."""
        from gitmem.branches import plan

        parents = self._vault.index.facts(commit.revision).parents
        if len(parents) != 2:
            return None
        try:
            planned = plan(self._vault, *parents)
        except GitmemError:
            return None
        for one in planned.outcomes.values():
            if one.result is not None and (made := planned.draft.read(one.result)) is not None:
                self._bodies[one.result] = made[1]
        return {key: one.result for key, one in planned.outcomes.items()}


def is_account(one: Made) -> bool:
    """Whether this is a session's own key, its account of what happened: that is not taken back."""
    return is_own(one.namespace, one.key, one.commit.session)
