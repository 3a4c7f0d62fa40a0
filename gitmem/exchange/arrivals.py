"""Arrivals become commits: one for each time and source, in the order of coming, streamed into packs.

    arrivals -> blobs, at once into the open pack -> groups -> a chunk: trees and commits into the same pack,
             -> publish by compare-and-swap, all commits of the chunk at once -> else the chunk again, on a fresh head

Knows what one import brings; does not know where it comes from.
Law: what the memory's history holds already, with the same value and time, does not come again; a chunk is
published whole or not at all, so an import that breaks off can simply be repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

from gitmem import codec, contracts, trees
from gitmem.editing import edit
from gitmem.entries import format_time
from gitmem.errors import InvalidValueError
from gitmem.exchange.records import RENEWED, Heading
from gitmem.index.intake import Changes
from gitmem.objects import Commit, Identity, Oid, hash_object
from gitmem.packing import PackWriter
from gitmem.place import SELF
from gitmem.provenance import Stamp, compose
from gitmem.trees import KeyId
from gitmem.upkeep import after_write
from gitmem.vault import Snapshot, Vault
from gitmem.writing import WritePath, expiry_message, stamp_trailers, subject_of, write_commit

IMPORTED_FROM = "Imported-From"
CHUNK_COMMITS = 2_000
CHUNK_BYTES = 16 << 20


class State(NamedTuple):
    """A key's next state: its blob (None: deleted) and when it expires (Unix seconds; None: never)."""

    blob: Oid | None
    expires: int | None


_ABSENT = State(None, None)
Steps: TypeAlias = dict[KeyId, tuple[State, State]]
"""What one commit changes: each key's state before and after."""


class Group(NamedTuple):
    """What becomes one commit."""

    stamp: Stamp
    time: int
    commit: str
    states: dict[KeyId, State]

    def takes(self, heading: Heading) -> bool:
        """Whether the entry belongs to this commit: same time and source, and no second state of a key."""
        same = (self.stamp, self.time, self.commit) == (heading.stamp, heading.time, heading.commit)
        return same and (heading.namespace, heading.key) not in self.states


class _Past:
    """A key's versions, oldest first, and the one that was met last: arrivals come in their order."""

    def __init__(self, versions: list[tuple[Oid | None, int]]) -> None:
        self._versions = versions
        self._place = 0

    def meets(self, version: tuple[Oid | None, int]) -> bool:
        try:
            self._place = self._versions.index(version, self._place)
        except ValueError:
            return False
        return True


class Arrivals:
    """Takes arrivals one by one and publishes them chunk by chunk. One thread."""

    def __init__(self, vault: Vault, path: WritePath, *, importer: str, form: str) -> None:
        """`importer` is the agent who commits, where the memory has no committer of its own."""
        self._vault = vault
        self._repository = vault.repository
        self._path = path
        self._branch = branch = path.branch
        self._form = form
        self._committer = vault.committer or (importer, f"{importer}@gitmem")
        self._start = self._base = vault.head(branch)
        self.policy = vault.policy(self._start.root)
        self._young = not self._start.commit.parents
        self._past: dict[KeyId, _Past] = {}
        self._limited: set[KeyId] = set()  # what this import gave an expiry
        self._gone: set[KeyId] = set()
        self._pack: PackWriter | None = None
        self._begin_chunk()
        self.commits = self.stored = self.unchanged = 0
        self.now = int(vault.clock().timestamp())

    @property
    def expired(self) -> int:
        """How many keys the source leaves expired."""
        return len(self._gone)

    def take(self, heading: Heading, body: bytes | None) -> list[str]:
        """One state of one key; `body` is None for a deletion. May publish what came before.

        A value that breaks a contract, and is not here already, is not taken: then it gives the problems.
        """
        key = heading.namespace, heading.key
        state = _ABSENT if body is None else State(hash_object("blob", body), heading.expires)
        now = self._now(key)
        known = self._was_here(key, state, now, heading)
        bound = () if body is None or known else self.policy.contracts_for(*key)
        if bound and body is not None and (problems := contracts.problems(bound, codec.decode_trusted(body))):
            return problems
        if state.expires is not None and state.expires <= self.now:
            self._gone.add(key)
        else:
            self._gone.discard(key)
        if known:
            self.unchanged += 1
            return []
        group = self._groups[-1] if self._groups else None
        if group is None or not group.takes(heading):
            if len(self._groups) >= CHUNK_COMMITS or self._bytes >= CHUNK_BYTES:
                self._publish(())
            group = Group(heading.stamp, heading.time, heading.commit, {})
            self._groups.append(group)
        if body is not None:
            self._open_pack().add("blob", body, base=now.blob)
            self._bytes += len(body)
        group.states[key] = self._staged[key] = state
        return []

    def finish(self) -> None:
        """Publish the rest, and delete what has expired, as a sweep does."""
        self._publish(self._gone)
        if self.commits:
            after_write(self._repository)

    def abort(self) -> None:
        """Drop what is not published."""
        if self._pack is not None:
            self._pack.abort()
            self._pack = None

    # --- what is here already ---

    def _now(self, key: KeyId) -> State:
        """The state that the key would have if the chunk were published."""
        staged = self._staged.get(key)
        if staged is None:
            staged = self._known[key] = self._state_at(self._base.root, self._base.expires, key)
        return staged

    def _was_here(self, key: KeyId, state: State, now: State, heading: Heading) -> bool:
        """Whether the arrival is no news: it is so now, or was a version before the import began."""
        past = self._past.get(key)
        if past is None and state != now and not self._young:
            index = self._vault.indexed(self._start)
            rows = index.versions(self._start.oid, *key)
            past = self._past[key] = _Past([(row.blob, index.facts(row.revision).time) for row in rows][::-1])
        met = past is not None and heading.operation != RENEWED and past.meets((state.blob, heading.time))
        return met or state == now

    def _state_at(self, root: Oid, area: Oid | None, key: KeyId) -> State:
        objects = self._vault.objects
        blob = trees.lookup(objects, root, *key)
        if area is None or blob is None:
            return State(blob, None)
        expiry = trees.lookup(objects, area, *key)
        instant = None if expiry is None else self._vault.instant(expiry, *key)
        return State(blob, None if instant is None else int(instant.timestamp()))

    # --- publishing ---

    def _begin_chunk(self) -> None:
        self._groups: list[Group] = []
        self._staged: dict[KeyId, State] = {}
        self._known: dict[KeyId, State] = {}  # as of the base, so that it is looked up once
        self._bytes = 0

    def _open_pack(self) -> PackWriter:
        if self._pack is None:
            git_dir = str(self._repository.git_dir)
            self._pack = PackWriter(git_dir, durable=self._repository.durable)
        return self._pack

    def _publish(self, swept: Collection[KeyId]) -> None:
        """Publish the chunk, on whatever head there is; `swept` is deleted where it has expired."""
        if self._groups or swept:
            self._path.until_published(lambda: self._attempt(swept))
            self._begin_chunk()

    def _attempt(self, swept: Collection[KeyId]) -> Snapshot | None:
        """The head with the chunk on it; None if somebody else was quicker."""
        vault, objects = self._vault, self._vault.objects
        base = vault.head(self._branch)
        vault.notice(self._branch, base)
        pack = self._open_pack()
        objects.pending.append(pack.read)
        try:
            self._check(base)
            line = _Line(self, base, pack)
            for group in self._groups:
                line.add(group)
            line.sweep(swept)
            pack.finish()
        except BaseException:
            pack.abort()
            raise
        finally:
            objects.pending.remove(pack.read)
            self._pack = None
        if line.made:
            head = line.made[-1][0].oid
            if not self._repository.publish(self._branch, base.oid, head):
                return None
            vault.indexed(base).extend_many(line.made, branch=self._branch)
            base = vault.snapshot(head)
        self._base = base
        self.commits += len(line.made)
        self.stored += line.stored
        self.unchanged += line.unchanged
        self._limited |= line.limited
        return self._base


    def _check(self, base: Snapshot) -> None:
        """ContractError if the chunk breaks a contract that came after its arrivals were taken."""
        policy = self._vault.policy(base.root)
        if policy.contracts == self.policy.contracts:
            return
        for key, state in ((key, state) for group in self._groups for key, state in group.states.items()):
            if state.blob is not None and (bound := policy.contracts_for(*key)):
                contracts.check(bound, *key, self._vault.value(state.blob, *key, base.root))
        self.policy = policy


class _Line:
    """The commits of one attempt, each the parent of the next."""

    def __init__(self, arrivals: Arrivals, base: Snapshot, pack: PackWriter) -> None:
        self._arrivals = arrivals
        self._vault = arrivals._vault
        self._pack = pack
        self._root = base.root
        self._parent = base.oid
        self._area = base.expires
        self._now = int(self._vault.clock().timestamp())
        self._states = dict(arrivals._known) if base.oid == arrivals._base.oid else {}
        self.made: list[tuple[Commit, Changes]] = []
        self.stored = self.unchanged = 0
        self.limited: set[KeyId] = set()

    def add(self, group: Group) -> None:
        """A group's commit, as far as it changes anything; what had expired before is deleted first."""
        steps = self._steps(group.states)
        self.unchanged += len(group.states) - len(steps)
        if not steps:
            return
        if self._area is not None and self._clear(steps):
            steps = self._steps(group.states)
        self.limited.update(key for key, (_, new) in steps.items() if new.expires is not None)
        self.stored += len(steps)
        trailers = [*stamp_trailers(group.stamp), (IMPORTED_FROM, self._arrivals._form)]
        verbs = [("import" if new.blob is not None else "delete", key) for key, (_, new) in steps.items()]
        try:
            message = compose(subject_of(verbs), trailers)
        except InvalidValueError:  # a key that ends like git's line for scissors
            message = compose("import 1 key", trailers)
        self._commit(steps, message, _identity(group.stamp.agent, group.time), self._arrivals._committer)

    def sweep(self, candidates: Iterable[KeyId]) -> bool:
        """Delete those of these keys that are there and have expired; whether there was one."""
        if self._area is None:
            return False
        states = {key: self._state(key) for key in candidates}
        expired = {
            key: (state, _ABSENT)
            for key, state in states.items()
            if state.blob is not None and state.expires is not None and state.expires <= self._now
        }
        if expired:
            committer = self._vault.committer or (SELF, f"{SELF}@gitmem")
            self._commit(expired, expiry_message(sorted(expired)), _identity(SELF, self._now), committer)
        return bool(expired)

    def _clear(self, steps: Steps) -> bool:
        """Delete what had expired and is written now, unless this import itself brought it like that."""
        ours = (self.limited, self._arrivals._limited)
        return self.sweep([key for key in steps if not any(key in some for some in ours)])

    def _steps(self, states: Mapping[KeyId, State]) -> Steps:
        """What of these states is new, with what is there now."""
        found = ((key, self._state(key), state) for key, state in states.items())
        return {key: (old, new) for key, old, new in found if old != new}

    def _state(self, key: KeyId) -> State:
        state = self._states.get(key)
        return state if state is not None else self._arrivals._state_at(self._root, self._area, key)

    def _commit(self, steps: Steps, message: str, author: Identity, committer: tuple[str, str]) -> None:
        values: dict[KeyId, Oid | None] = {}
        expiries: dict[KeyId, Oid | None] = {}
        changes: dict[KeyId, trees.Difference] = {}
        for key, (old, new) in steps.items():
            self._states[key] = new
            if old.blob != new.blob:
                values[key] = new.blob
                changes[key] = old.blob, new.blob
            if new.expires is not None:
                expiries[key] = self._pack.add("blob", _expiry_body(new.expires))
            elif old.expires is not None:
                expiries[key] = None
        objects = self._vault.objects
        self._root = edit(objects, self._pack, self._root, values, expiries)
        if expiries:
            self._area = trees.expires_root(objects, self._root)
        who = Identity(*committer, self._now, 0)
        commit = write_commit(self._vault, self._pack, self._root, (self._parent,), author, who, message)
        self._parent = commit.oid
        self.made.append((commit, changes))


def _identity(agent: str, seconds: int) -> Identity:
    return Identity(agent, f"{agent}@gitmem", seconds, 0)


def _expiry_body(seconds: int) -> bytes:
    return b'"%s"\n' % format_time(datetime.fromtimestamp(seconds, UTC)).encode()


__all__ = ["IMPORTED_FROM", "Arrivals"]
