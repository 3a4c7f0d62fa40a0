"""The other branches of a remote: our refs follow them, so that `NAME/BRANCH` is a revision here.

Knows tracking refs; merges nothing. Law: whatever became of one of them there, it stops nothing: it is told by a
warning, and our ref stays as it was. One that is a branch of ours as well follows only forwards: what was rewritten
or removed there, its own sync tells.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gitmem.errors import GitmemError, RemoteError
from gitmem.objects import Oid
from gitmem.refs import branch_ref
from gitmem.remotes import TRACKING, Remote, tracking_ref
from gitmem.repository import Repository
from gitmem.sync.refusals import point, reason_against
from gitmem.transport import Transport
from gitmem.vault import Vault

SINGLY = 60.0
"""Seconds in which they are fetched one by one, where not all of them could be fetched together."""


class BranchLeft(UserWarning):
    """A branch of a remote was not looked at: here it stays as it was last seen there."""


class Others:
    """All branches of one remote but the one that is met."""

    def __init__(self, vault: Vault, remote: Remote, transport: Transport, but: str) -> None:
        self._index = vault.index
        self._repository: Repository = vault.repository
        self._remote, self._transport, self._but = remote, transport, but

    def follow(self, heads: Mapping[str, Oid]) -> None:
        """Let our refs follow these branches; at most one exchange, unless something is wrong with one of them."""
        refs, prefix = self._repository.refs.all(), f"{TRACKING}{self._remote.name}/"
        known = {ref.removeprefix(prefix): oid for ref, oid in refs.items() if ref.startswith(prefix)}
        ours = {name for name in (*known, *heads) if f"refs/heads/{name}" in refs}
        for name in known.keys() - heads.keys() - ours - {self._but}:
            with self._warned(name):
                point(self._repository, prefix + name, known[name], None)
        news = {name: oid for name, oid in sorted(heads.items()) if name != self._but and known.get(name) != oid}
        for name in self._arrived(news) if news else ():
            with self._warned(name):
                self._take(name, known.get(name), news[name], forwards=name in ours)

    def _arrived(self, news: Mapping[str, Oid]) -> Iterator[str]:
        """Those that came: together, or each alone if something is wrong with one of them."""
        try:
            self._transport.fetch(list(news.values()))
        except GitmemError as error:
            together = error
        else:
            yield from news
            return
        end = time.monotonic() + SINGLY
        for name, oid in news.items():
            came = False
            with self._warned(name):
                if len(news) == 1 or time.monotonic() > end:
                    raise together
                self._transport.fetch([oid])
                came = True
            if came:
                yield name

    def _take(self, name: str, known: Oid | None, theirs: Oid, *, forwards: bool) -> None:
        unfit = reason_against(self._repository, theirs)
        if unfit is not None:
            raise self._left(unfit[0])
        if forwards and known is not None and not self._comes_after(known, theirs):
            raise self._left(f"it was rewritten there; `gitmem sync {self._remote.name} --branch {name}` tells more")
        point(self._repository, tracking_ref(self._remote.name, name), known, theirs)

    def _comes_after(self, known: Oid, theirs: Oid) -> bool:
        for head in (theirs, known):
            self._index.catch_up(head)
        return self._index.is_ancestor(known, theirs)

    def _left(self, reason: str) -> RemoteError:
        return RemoteError(reason, remote=self._remote.name)

    @contextmanager
    def _warned(self, name: str) -> Iterator[None]:
        try:
            branch_ref(name)
            yield
        except GitmemError as error:
            words = f"branch {name} of {self._remote.name} is not looked at: {error.message}"
            warnings.warn(words, BranchLeft, stacklevel=2)
