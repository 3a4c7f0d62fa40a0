"""Writing: staged edits, and the one path by which they become a commit.

    snapshot -> stage (pure decisions on fresh data) -> objects, invisible and harmless
             -> publish by compare-and-swap -> else again from a fresh snapshot

(The shape is Irmin's: last-write-wins, test-and-set and merge are small functions beside one loop.)
Knows what was staged and when to try again; does not know verbs' arguments: `Memory` turns those into steps.
Law: a step may run several times, each time on the newest snapshot; what returned is published, what raised is not.
Whatever the verb, a new value keeps the contracts of the snapshot on which it is published.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from gitmem import codec, contracts, trees
from gitmem.editing import edit
from gitmem.entries import format_time, moment
from gitmem.errors import ContentionError, WriteIdError
from gitmem.objects import Commit, Identity, Oid, Writer, hash_object, serialize_commit
from gitmem.packing import PackWriter
from gitmem.place import SELF
from gitmem.policy import Policy
from gitmem.provenance import Stamp, check_message, compose
from gitmem.reader import Reader
from gitmem.stage import Stage, Staged, Step
from gitmem.trees import KeyId
from gitmem.upkeep import after_write
from gitmem.vault import Vault

PACK_FROM = 64
"""A commit with at least this many changed keys is written as one pack instead of loose objects."""
NONCE = "gitmem-nonce"
"""The header by which a commit is like no other: two copies that do the same in one second have done it twice."""
PATIENCE = 60.0
"""Seconds of lost races after which a write gives up."""

T = TypeVar("T")


class WriteId(NamedTuple):
    """A caller's name for one write: the retry returns the first result."""

    name: str
    digest: str
    key: KeyId | None


class Change(NamedTuple):
    """A key's blob in the tree that is changed, and its next state."""

    before: Oid | None
    staged: Staged


class Outcome(NamedTuple):
    """What a write came to: the snapshot that holds it, and the commit that did it (None if nothing changed)."""

    reader: Reader
    commit: Commit | None


class Rewrite(NamedTuple):
    """What care makes of a tree: how many files it writes, about; the commit's message; the writing of the root."""

    size: int
    message: str
    write: Callable[[Writer], Oid]


class WritePath:
    """The write path of one branch for one author."""

    def __init__(self, vault: Vault, branch: str, stamp: Stamp) -> None:
        self._vault = vault
        self._repository = vault.repository
        self._branch = branch
        self._stamp = stamp

    @property
    def branch(self) -> str:
        """The branch that is written."""
        return self._branch

    @property
    def stamp(self) -> Stamp:
        """Who writes, and in which session."""
        return self._stamp

    def stage(self) -> Stage:
        """A stage on the newest snapshot, for reading inside a transaction before it is committed."""
        return Stage(self._reader())

    def run(
        self,
        steps: Sequence[Step],
        *,
        message: str | None,
        write_id: WriteId | None = None,
        prepared: Stage | None = None,
        trailers: Sequence[tuple[str, str]] = (),
    ) -> Outcome:
        """Stage the steps and publish them as one commit; none if they change nothing and there is nothing to say.

        `trailers` are what the commit says beside agent, session and write id. `prepared` is a stage on which the steps
        have run: it stands if nothing has been written since. The steps may run several times. ContentionError when the
        race was lost for a minute; every error of a step is passed on, and nothing was written then.
        """
        subject = None if message is None else check_message(message)
        outcome = self.until_published(lambda: self._attempt(steps, subject, write_id, prepared, trailers))
        if outcome.commit is not None:
            after_write(self._repository)
        return outcome

    def rewrite(self, plan: Callable[[Commit], Rewrite | None], stamp: Stamp | None = None) -> Commit | None:
        """Publish the tree that `plan` makes of the newest commit; None if it makes none.

        For care, which mends what it finds and is signed by gitmem itself, unless a `stamp` says who it was: it also
        works where gitmem.toml is broken. The plan may run several times; errors as those of `run`.
        """
        return self.until_published(lambda: self._rewritten(plan, stamp or Stamp(SELF, None)))[0]

    def until_published(self, attempt: Callable[[], T | None]) -> T:
        """Try under the lock until an attempt is no lost race (None); for the floors above, not for callers."""
        deadline = time.monotonic() + PATIENCE
        self._repository.check_writable(self._branch)
        while True:
            with self._repository.lock():
                outcome = attempt()
            if outcome is not None:
                return outcome
            if time.monotonic() > deadline:
                raise ContentionError(
                    f"branch {self._branch} moved under every attempt for {PATIENCE:.0f} seconds",
                    hint="something else writes without a pause; try again",
                    path=str(self._repository.place.path),
                    age=None,
                )

    def _rewritten(self, plan: Callable[[Commit], Rewrite | None], stamp: Stamp) -> tuple[Commit | None] | None:
        vault = self._vault
        base = vault.objects.commit(self._repository.head(self._branch))
        wish = plan(base)
        if wish is None:
            return (None,)
        writer = self._writer(wish.size)
        try:
            root = wish.write(writer)
            if root == base.tree:
                commit = None
            else:
                commit = self._commit(writer, root, base.oid, wish.message, stamp, vault.clock())
                writer.finish()
        finally:
            if isinstance(writer, PackWriter):
                writer.abort()
        if commit is not None and not self._repository.publish(self._branch, base.oid, commit.oid):
            return None
        return (commit,)

    def _reader(self) -> Reader:
        vault = self._vault
        return Reader(vault, vault.head(self._branch), now=vault.clock)

    def _attempt(
        self,
        steps: Sequence[Step],
        subject: str | None,
        write_id: WriteId | None,
        prepared: Stage | None,
        trailers: Sequence[tuple[str, str]],
    ) -> Outcome | None:
        vault = self._vault
        now = vault.clock()
        base = vault.head(self._branch)
        vault.notice(self._branch, base)
        reader = Reader(vault, base, now=lambda: now)
        if write_id is not None:
            first = self._first_result(reader, write_id)
            if first is not None:
                return first
        if prepared is not None and prepared.holds_at(reader.snapshot.oid):
            stage = prepared
        else:
            stage = Stage(reader)
            for step in steps:
                step(stage)
        changes = self._changes(stage)
        if not changes and write_id is None and not stage.speaks:
            return Outcome(reader, None)
        check_contracts(vault.policy(base.root), changes)
        writer = self._writer(len(changes))
        if write_id is not None:
            trailers = [*trailers, ("Write-Id", write_id.name), ("Write-Digest", write_id.digest)]
        try:
            commits = self._commits(stage, changes, subject, trailers, writer, now)
            writer.finish()
        except BaseException:
            if isinstance(writer, PackWriter):
                writer.abort()
            raise
        new = commits[-1][0]
        if not self._repository.publish(self._branch, base.oid, new.oid):
            return None
        for commit, differences in commits:
            vault.index.extend(commit, differences, branch=self._branch)
        return Outcome(Reader(vault, vault.snapshot(new.oid), now=lambda: now), new)

    def _writer(self, count: int) -> Writer:
        if count < PACK_FROM:
            return self._vault.objects.writer(durable=self._repository.durable)
        return PackWriter(str(self._repository.git_dir), durable=self._repository.durable)

    def _first_result(self, reader: Reader, write_id: WriteId) -> Outcome | None:
        """What this write id did before, if it did; WriteIdError if that was something else."""
        found = self._vault.indexed(reader.snapshot).write_id(reader.snapshot.oid, write_id.name)
        if found is None:
            return None
        oid, digest = found
        if digest != write_id.digest:
            raise WriteIdError(
                f"write id {write_id.name!r} was used before, by {oid.hex()[:12]}, for something else",
                hint="a write id names one write with one key, value and verb: choose a new one",
                namespace=write_id.key[0] if write_id.key else "",
                key=write_id.key[1] if write_id.key else "",
                write_id=write_id.name,
                revision=oid.hex(),
            )
        snapshot = self._vault.snapshot(oid)
        then = moment(snapshot.commit.committer.time)
        return Outcome(Reader(self._vault, snapshot, now=lambda: then), snapshot.commit)

    def _changes(self, stage: Stage) -> dict[KeyId, Change]:
        """What of the staged differs from the snapshot, in value or expiry."""
        changed = {}
        for (namespace, key), staged in stage.staged.items():
            blob = stage.reader.blob(namespace, key)
            if staged.body is None:
                if blob is not None:
                    changed[namespace, key] = Change(blob, staged)
            elif (
                blob is None
                or hash_object("blob", staged.body) != blob
                or staged.expires != stage.reader.expires(namespace, key)
            ):
                changed[namespace, key] = Change(blob, staged)
        return changed

    def _commits(
        self,
        stage: Stage,
        changes: Mapping[KeyId, Change],
        subject: str | None,
        trailers: Sequence[tuple[str, str]],
        writer: Writer,
        now: datetime,
    ) -> list[tuple[Commit, dict[KeyId, trees.Difference]]]:
        """Write the objects of one commit, or two: what had expired and is written now, is deleted first."""
        base = stage.reader.snapshot
        made = []
        root, parent = base.root, base.oid
        gone = Staged(None, None)
        expired = {key: Change(stage.reader.stored(*key), gone) for key in changes if stage.reader.expired(*key)}
        if expired:
            root, differences = apply(self._vault, writer, root, expired)
            commit = self._commit(writer, root, parent, expiry_message(list(expired)), Stamp(SELF, None), now)
            made.append((commit, differences))
            parent = commit.oid
        root, differences = apply(self._vault, writer, root, changes)
        message = compose(subject or subject_of(stage.verbs), [*stamp_trailers(self._stamp), *trailers])
        made.append((self._commit(writer, root, parent, message, self._stamp, now), differences))
        return made

    def _commit(
        self, writer: Writer, root: Oid, parent: Oid, message: str, stamp: Stamp, now: datetime
    ) -> Commit:
        seconds = int(now.timestamp())
        author = Identity(stamp.agent, f"{stamp.agent}@gitmem", seconds, 0)
        name, email = self._vault.committer or (stamp.agent, f"{stamp.agent}@gitmem")
        committer = Identity(name, email, seconds, 0)
        once = () if stamp.agent == SELF else ((NONCE, os.urandom(8).hex()),)
        return write_commit(self._vault, writer, root, (parent,), author, committer, message, headers=once)


def check_contracts(policy: Policy, changes: Mapping[KeyId, Change]) -> None:
    """ContractError if a new value breaks a contract; a value that stays as it is may go on breaking one."""
    if not policy.contracts:
        return
    for where, (before, (body, _)) in changes.items():
        if body is not None and (bound := policy.contracts_for(*where)) and hash_object("blob", body) != before:
            contracts.check(bound, *where, codec.decode_trusted(body))


def write_commit(
    vault: Vault,
    writer: Writer,
    root: Oid,
    parents: tuple[Oid, ...],
    author: Identity,
    committer: Identity,
    message: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
) -> Commit:
    """Write a commit object and remember it."""
    oid = writer.add("commit", serialize_commit(root, parents, author, committer, message, headers=headers))
    commit = Commit(oid, root, parents, author, committer, message)
    vault.objects.keep_commit(commit)
    return commit


def apply(
    vault: Vault, writer: Writer, root: Oid, changes: Mapping[KeyId, Change]
) -> tuple[Oid, dict[KeyId, trees.Difference]]:
    """Write the blobs and trees of these changes: the new root, and each key's blob before and after."""
    values: dict[KeyId, Oid | None] = {}
    expiries: dict[KeyId, Oid | None] = {}
    differences: dict[KeyId, trees.Difference] = {}
    area = trees.expires_root(vault.objects, root)
    for (namespace, key), (before, staged) in changes.items():
        after = None
        if staged.body is not None:
            after = writer.add("blob", staged.body)
            vault.keep_value(after, staged.body)
        values[namespace, key] = after
        if before != after:
            differences[namespace, key] = (before, after)
        if staged.expires is not None:
            expiries[namespace, key] = writer.add("blob", b'"%s"\n' % format_time(staged.expires).encode())
        elif area is not None and trees.lookup(vault.objects, area, namespace, key) is not None:
            expiries[namespace, key] = None
    return edit(vault.objects, writer, root, values, expiries), differences


def stamp_trailers(stamp: Stamp) -> list[tuple[str, str]]:
    """The trailers that say who wrote, and in which session."""
    trailers = [("Agent", stamp.agent)]
    if stamp.session is not None:
        trailers.append(("Session", stamp.session))
    return trailers


def expiry_message(keys: Sequence[KeyId]) -> str:
    """The message of a commit that deletes what had expired."""
    return compose(subject_of([("expire", key) for key in keys]), [("Agent", SELF)])


def subject_of(verbs: Sequence[tuple[str, KeyId]]) -> str:
    """A commit's subject: verb, namespace and key; of several keys their number."""
    if len(verbs) == 1:
        verb, (namespace, key) = verbs[0]
        return f"{verb} {namespace} {key}"
    names = sorted({verb for verb, _ in verbs})
    spaces = sorted({namespace for _, (namespace, _) in verbs})
    where = ", ".join(spaces[:3]) + (", …" if len(spaces) > 3 else "")
    return f"{', '.join(names)} {len({key for _, key in verbs})} keys in {where}"
