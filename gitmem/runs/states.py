"""What a key was at a commit: its file and its expiry; and what a run made of it, touch by touch.

Knows trees and the index; does not know what is taken back.
Law: that a key expired is nobody's change. A deletion by which an expired key was cleared away is looked through: the
state is that of the key that had expired. (So a key that a run let expire can be taken back like any other.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from gitmem import trees
from gitmem.entries import moment
from gitmem.index.runs import Made, RunCommit
from gitmem.objects import Oid
from gitmem.reader import Reader
from gitmem.runs.versions import Past
from gitmem.trees import KeyId
from gitmem.vault import Vault


class State(NamedTuple):
    """A key's file as it lies in a tree, expired or not (None: there is none), and when it expires."""

    blob: Oid | None
    expires: datetime | None

    def gone(self, now: datetime) -> bool:
        """Whether nobody sees a value."""
        return self.blob is None or (self.expires is not None and self.expires <= now)


NOTHING = State(None, None)


class Touch(NamedTuple):
    """What one commit of a run made of a key: a version, or (with one blob on both sides) another expiry.

    `first` and `last` are that commit, or the ends of a stretch that is taken as one.
    """

    first: Oid
    last: Oid
    after: State
    before: State

    def reversed(self) -> Touch:
        """The touch that is merged in instead of out."""
        return self._replace(after=self.before, before=self.after)

    def joined(self, older: Touch) -> Touch | None:
        """This touch and the one before it as one, if nothing that lasts lies between them."""
        return self._replace(first=older.first, before=older.before) if self.before == older.after else None


class States:
    """The states of keys at commits; commits are read once."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._areas: dict[Oid, Oid | None] = {}

    def now(self, reader: Reader, where: KeyId) -> State:
        """A key at a snapshot."""
        blob = reader.stored(*where)
        if blob is not None:
            return State(blob, reader.expires(*where))
        row = reader.token(*where)
        return NOTHING if row is None else self._looked_through(row.revision, where)

    def touch(self, one: Made, past: Past) -> Touch:
        """A version that a run made, as a touch."""
        where = (one.namespace, one.key)
        revision = one.commit.revision
        after = State(one.blob, None if one.blob is None else self._expires(revision, where))
        if past.blob is not None:
            before = State(past.blob, self._expires(self._parent(revision), where))
        elif past.revision is not None:
            before = self._looked_through(past.revision, where)
        else:
            before = NOTHING
        return Touch(revision, revision, after, before)

    def renewals(self, run: Iterable[RunCommit]) -> Renewals:
        """The commits of a run that gave a key another expiry and no version."""
        return Renewals(self._vault, self.area, list(run))

    def area(self, revision: Oid | None) -> Oid | None:
        """The tree of the expiries at a commit."""
        if revision is None:
            return None
        if revision not in self._areas:
            objects = self._vault.objects
            self._areas[revision] = trees.expires_root(objects, objects.commit(revision).tree)
        return self._areas[revision]

    def _parent(self, revision: Oid) -> Oid | None:
        parents = self._vault.objects.commit(revision).parents
        return parents[0] if parents else None

    def _expires(self, revision: Oid | None, where: KeyId) -> datetime | None:
        area = self.area(revision)
        blob = None if area is None else trees.lookup(self._vault.objects, area, *where)
        return None if blob is None else self._vault.instant(blob, *where)

    def _looked_through(self, deletion: Oid, where: KeyId) -> State:
        """The state at a deletion: that before it, if it cleared away what had expired."""
        parent = self._parent(deletion)
        expires = self._expires(parent, where)
        if parent is None or expires is None or expires > moment(self._vault.index.facts(deletion).written):
            return NOTHING
        return State(trees.lookup(self._vault.objects, self._vault.objects.commit(parent).tree, *where), expires)


class Renewals:
    """Which keys got another expiry from which commits of a run: read once, when it is first asked for."""

    def __init__(self, vault: Vault, area: Callable[[Oid | None], Oid | None], run: list[RunCommit]) -> None:
        self._vault, self._area, self._run = vault, area, run

    def of(self, where: KeyId) -> list[tuple[RunCommit, Touch]]:
        """The touches of a key that are no versions, parents first."""
        return self._found.get(where, [])

    @cached_property
    def _found(self) -> dict[KeyId, list[tuple[RunCommit, Touch]]]:
        found: dict[KeyId, list[tuple[RunCommit, Touch]]] = {}
        for commit in self._run:
            for where, touch in self._touches(commit):
                found.setdefault(where, []).append((commit, touch))
        return found

    def _touches(self, commit: RunCommit) -> Iterator[tuple[KeyId, Touch]]:
        objects = self._vault.objects
        parents = self._vault.index.facts(commit.revision).parents
        if len(parents) != 1:
            return
        areas = (self._area(parents[0]), self._area(commit.revision))
        if areas[0] == areas[1]:
            return
        root, past = (objects.commit(oid).tree for oid in (commit.revision, parents[0]))
        for where, instants in trees.changed(objects, *areas).items():
            blob = trees.lookup(objects, root, *where)
            if blob is not None and blob == trees.lookup(objects, past, *where):
                before, after = (None if one is None else self._vault.instant(one, *where) for one in instants)
                yield where, Touch(commit.revision, commit.revision, State(blob, after), State(blob, before))
