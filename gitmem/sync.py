"""Meeting another copy: fetch, merge, push, until both have one head.

Knows rounds, overtakers and rewritten histories; does not know protocols (`transport`) nor how values merge.
Law: a round publishes its merge there first and here after; whoever is overtaken there drops its merge and begins
again. Since a merge follows from its parents alone, two copies that meet each other make the same one. Killed at any
point, the next sync goes on from what the refs say.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gitmem import branches
from gitmem.branches import KeyResult, Merge, Plan, Record
from gitmem.errors import ContentionError, FormatError, InvalidPolicyError, RemoteError
from gitmem.objects import Oid, TooBig
from gitmem.place import POLICY_FILE, Place
from gitmem.policy import MAX_BYTES, PATH, parse_policy
from gitmem.refs import branch_ref
from gitmem.remotes import Remote, add, tracking_ref
from gitmem.repository import Repository
from gitmem.transport import Transport
from gitmem.vault import Vault
from gitmem.writing import WritePath

ROUNDS = 20
"""How often a sync begins again after it was overtaken."""
LONGEST_PAUSE = 2.0
"""Seconds; the first pause is a hundredth of it."""

_RANK = {result: place for place, result in enumerate(("unchanged", "updated", "deleted", "new", "merged", "conflict"))}


@dataclass(frozen=True, slots=True)
class Sync:
    """What meeting a remote came to.

    `before` and `revision` are this branch's head before and after; `sent` says that commits went there, `received`
    that commits came. `keys` are sorted, with their result here: new, updated, deleted, merged, conflict, or
    unchanged (this side alone had changed it, and sent it). `conflicts` are what was recorded.
    """

    remote: str
    branch: str
    before: str
    revision: str
    sent: bool
    received: bool
    keys: tuple[KeyResult, ...]
    conflicts: tuple[Record, ...]

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "remote": self.remote,
            "branch": self.branch,
            "before": self.before,
            "revision": self.revision,
            "sent": self.sent,
            "received": self.received,
            "keys": [one.to_json() for one in self.keys],
            "conflicts": [{"id": one.id, **one.to_json()} for one in self.conflicts],
        }


@dataclass
class _Tally:
    """What the rounds of one sync came to together."""

    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    conflicts: dict[str, Record] = field(default_factory=dict)
    sent: bool = False
    received: bool = False

    def count(self, merge: Merge) -> None:
        for one in merge.keys:
            key = (one.namespace, one.key)
            self.keys[key] = max(one.result, self.keys.get(key, one.result), key=_RANK.__getitem__)
        self.conflicts.update((one.id, one) for one in merge.conflicts)


class Meeting:
    """One branch here, the branch of the same name at one remote."""

    def __init__(self, vault: Vault, path: WritePath, remote: Remote, transport: Transport) -> None:
        self._vault, self._path = vault, path
        self._repository = vault.repository
        self._remote, self._transport = remote, transport
        self._tracking = tracking_ref(remote.name, path.branch)
        self._tally = _Tally()

    def run(self, *, dry_run: bool, pause: Callable[[float], None] = time.sleep) -> Sync:
        """Meet until nobody was quicker. RemoteError, what opening a memory raises of theirs, ContentionError."""
        before = self._head()
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

    def _look(self) -> Oid | None:
        """Their head, brought here whole and checked; None if they have no such branch."""
        known = self._repository.refs.read(self._tracking)  # before they are asked: it may only be older than that
        theirs = self._transport.heads().get(self._path.branch)
        if theirs is None or theirs == known:
            return theirs
        self._transport.fetch([theirs])
        check_memory(self._repository, self._remote, theirs)
        index = self._vault.index
        for head in (theirs, known):
            if head is not None:
                index.catch_up(head)
        if known is not None and not index.is_ancestor(known, theirs):
            raise self._rewritten(known, theirs)
        self._follow(known, theirs)
        return theirs

    def _follow(self, known: Oid | None, theirs: Oid) -> None:
        """Remember where their branch is; another process that was quicker knows as well."""
        self._point(self._tracking, known, theirs)

    def _point(self, ref: str, expected: Oid | None, new: Oid) -> None:
        """Move a ref of ours under the memory's lock: what a killed sync left in the way is known there for dead."""
        repository = self._repository
        with repository.lock():
            repository.refs.swap(ref, expected, new, locked=repository.locks, durable=repository.durable)

    def _rewritten(self, known: Oid, theirs: Oid) -> RemoteError:
        """Their history no longer holds what it held: nothing of it is taken, and what it held is kept."""
        name = f"refs/gitmem/rescue/{self._remote.name}-{self._path.branch}-{known.hex()[:12]}"
        self._point(name, None, known)
        remote, branch = self._remote, self._path.branch
        return RemoteError(
            f"the history of {branch} at {remote.name} was rewritten: it was at {known.hex()[:12]}, and what is there "
            f"now ({theirs.hex()[:12]}) does not come after it; what it held is kept as {name}",
            hint=f"if that was a mistake, put it back there: `git push --force URL {name}:refs/heads/{branch}`\n"
            f"if it is meant, `gitmem remote remove {remote.name}`, add it again and sync: both histories are merged,\n"
            "and what was taken out there comes back from here",
            remote=remote.name,
        )

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

    def _done(self, before: Oid, after: Oid) -> Sync:
        tally = self._tally
        return Sync(
            self._remote.name,
            self._path.branch,
            before.hex(),
            after.hex(),
            tally.sent,
            tally.received,
            tuple(KeyResult(*key, result) for key, result in sorted(tally.keys.items())),
            tuple(record for _, record in sorted(tally.conflicts.items())),
        )


def check_memory(repository: Repository, remote: Remote, head: Oid) -> None:
    """RemoteError unless the commit holds a memory that this gitmem can read: nothing of another is taken."""
    found = repository.objects.tree(repository.objects.commit(head).tree).get(POLICY_FILE)
    hint, reason = "check the address: `gitmem remote list`", "it holds no memory: gitmem.toml is missing"
    if found is not None:
        try:
            parse_policy(repository.objects.blob(found[1], limit=MAX_BYTES))
        except TooBig:
            hint, reason = "it has to become smaller there", f"its {PATH} is larger than {MAX_BYTES} bytes"
        except (FormatError, InvalidPolicyError) as error:
            hint, reason = error.hint, error.message
        else:
            return
    raise RemoteError(f"nothing is taken from {remote.name}: {reason}", hint=hint, remote=remote.name)


def begin(place: Place, remote: Remote, branch: str, connect: Callable[[Repository, Remote], Transport]) -> None:
    """Fill a memory that nobody sees yet with a remote's branch, and remember the remote.

    An empty remote is as good as a new memory. RemoteError if it has branches, but not this one; what opening a
    memory raises if it holds none.
    """
    repository = Repository(place)
    add(repository, remote.name, remote.url)
    transport = connect(repository, remote)
    heads = transport.heads()
    theirs = heads.get(branch)
    if theirs is None:
        if not heads:
            return
        raise RemoteError(
            f"{remote.name} has no branch {branch}",
            hint=f"it has: {', '.join(sorted(heads)[:10])}; choose with --branch",
            remote=remote.name,
        )
    transport.fetch([theirs])
    check_memory(repository, remote, theirs)
    refs, durable = repository.refs, repository.durable
    refs.swap(branch_ref(branch), refs.read(branch_ref(branch)), theirs, locked=False, durable=durable)
    refs.swap(tracking_ref(remote.name, branch), None, theirs, locked=False, durable=durable)
