"""One branch here and the branch of the same name there: rounds of fetch, merge, push, until both have one head.

Knows rounds and overtakers; does not know protocols (`transport`) nor how values merge.
Law: a round publishes its merge there first and here after. Only forwards: what they once had and have no more is
refused, and nothing is ever forced.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from gitmem import branches, trees
from gitmem.branches import Plan
from gitmem.branches.records import NAMESPACE
from gitmem.errors import ContentionError
from gitmem.objects import Oid
from gitmem.refs import branch_ref
from gitmem.remotes import Remote, tracking_ref
from gitmem.sync.others import Others
from gitmem.sync.outcome import Sync, Tally
from gitmem.sync.refusals import check_memory, gone, nowhere, point, rewritten
from gitmem.transport import Transport
from gitmem.vault import Vault
from gitmem.writing import WritePath

ROUNDS = 20
"""How often a sync begins again after it was overtaken."""
LONGEST_PAUSE = 2.0
"""Seconds; the first pause is a hundredth of it."""


class Meeting:
    """One branch here, the branch of the same name at one remote."""

    def __init__(self, vault: Vault, path: WritePath, remote: Remote, transport: Transport) -> None:
        self._vault, self._path = vault, path
        self._repository = vault.repository
        self._remote, self._transport = remote, transport
        self._tracking = tracking_ref(remote.name, path.branch)
        self._tally = Tally()
        self._heads: dict[str, Oid] = {}

    def run(self, *, dry_run: bool, pause: Callable[[float], None] = time.sleep) -> Sync:
        """Meet until nobody was quicker, then look at their other branches.

        A branch that only they have is made here. RemoteError, what opening a memory raises of theirs, ContentionError;
        UnknownRevisionError if nobody has the branch.
        """
        done = self._met(dry_run, pause)
        if not dry_run:
            Others(self._vault, self._remote, self._transport, but=self._path.branch).follow(self._heads)
        return done

    def _met(self, dry_run: bool, pause: Callable[[float], None]) -> Sync:
        before = self._repository.refs.read(branch_ref(self._path.branch))
        if before is None:
            return self._came(dry_run)
        seen = set()
        for attempt in range(ROUNDS):
            if attempt:
                pause(random.uniform(0, min(LONGEST_PAUSE, 0.01 * LONGEST_PAUSE * 2**attempt)))
            theirs = self._look()
            seen.add(theirs)
            if dry_run:
                return self._planned(before, theirs)
            if self._round(theirs):
                return self._done(before, self._head())
        branch, name = self._path.branch, self._remote.name
        if len(seen) > 1:
            message = f"branch {branch} of {name} moved under every one of {ROUNDS} attempts"
            hint = "it is very busy: sync again; nothing is lost"
        else:
            message = f"branch {branch} of {name} stands still, and yet took none of {ROUNDS} pushes"
            hint = f"a dead writer's lock may be in the way there: refs/heads/{branch}.lock; if it is a memory,\n"
            hint += "the next write or `gitmem doctor --repair` there removes it"
        raise ContentionError(message, hint=hint, path=name, age=None)

    def _head(self) -> Oid:
        return self._repository.head(self._path.branch)

    def _came(self, dry_run: bool) -> Sync:
        """A branch that only they have begins here where theirs is."""
        theirs = self._look(here=False)
        if theirs is None:
            raise nowhere(self._remote, self._path.branch, self._heads)
        check_memory(self._repository, self._remote, self._path.branch, theirs)  # it may be known from plain git
        if not dry_run:
            branches.create(self._repository, self._path.branch, theirs)
        self._tally.received = True
        keys = trees.changed(self._repository.objects, None, self._repository.objects.commit(theirs).tree)
        self._tally.came(key for key in keys if key[0] != NAMESPACE)
        return self._done(None, theirs)

    def _look(self, *, here: bool = True) -> Oid | None:
        """Their head, brought here whole and checked; None if they have no such branch."""
        known = self._repository.refs.read(self._tracking)  # before they are asked: it may only be older than that
        branch, self._heads = self._path.branch, self._transport.heads()
        theirs = self._heads.get(branch)
        if theirs is None and known is not None and here:
            if self._heads:
                raise gone(self._repository, self._remote, branch, known)
            self._follow(known, None)  # all of them are: it was made anew
        if theirs is None or theirs == known:
            return theirs
        self._transport.fetch([theirs])
        check_memory(self._repository, self._remote, branch, theirs)
        index = self._vault.index
        for head in (theirs, known):
            if head is not None:
                index.catch_up(head)
        if known is not None and not index.is_ancestor(known, theirs):
            raise rewritten(self._repository, self._remote, branch, known, theirs)
        self._follow(known, theirs)
        return theirs

    def _follow(self, known: Oid | None, theirs: Oid | None) -> None:
        """Remember where their branch is; another process that was quicker knows as well."""
        point(self._repository, self._tracking, known, theirs)

    def _round(self, theirs: Oid | None) -> bool:
        """Merge, publish there, then here; False if somebody was quicker there."""
        ours = self._head()
        if theirs == ours:
            return True
        made = None if theirs is None else branches.plan(self._vault, ours, theirs)
        head = ours if made is None else made.head
        if made is not None:
            made.write(self._vault)
        if head != theirs:
            if not self._transport.push(self._path.branch, theirs, head):
                return False
            self._tally.sent = True
            self._follow(theirs, head)
            if made is not None and head == ours:
                self._tally.count(branches.told(made))
        if made is not None and head != ours:
            self._receive(made, head)
        return True

    def _receive(self, made: Plan, head: Oid) -> None:
        """Their head, or our merge that is there by now, comes into our branch: others may have written meanwhile."""
        self._tally.received = True
        self._tally.count(branches.told(made))
        done = branches.take_in(self._vault, self._path, head, prepared=made if made.theirs == head else None)
        if done.ours != made.ours:
            self._tally.count(branches.told(done))

    def _planned(self, before: Oid, theirs: Oid | None) -> Sync:
        head = before
        if theirs is not None:
            made = branches.plan(self._vault, before, theirs)
            head = made.head
            self._tally.count(branches.told(made))
        self._tally.sent, self._tally.received = head != theirs, head != before
        return self._done(before, head)

    def _done(self, before: Oid | None, after: Oid) -> Sync:
        was = before.hex() if before is not None else ""
        return self._tally.told(self._remote.name, self._path.branch, was, after.hex())
