"""Memory: what everybody holds in the hand. Open one, bind it to an agent, a session and a namespace.

Knows how a memory is found, begun and closed; the verbs are those of `view` and `verbs` and of the floors below.
Law: a bound memory shares everything with the one it came from but the names it signs and looks with.
"""

from __future__ import annotations

import os
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitmem import place as places
from gitmem import upkeep
from gitmem.entries import UNSET, Version, moment
from gitmem.errors import InvalidValueError, NotAMemoryError, StorageError
from gitmem.keys import DEFAULT_NAMESPACE, check_namespace
from gitmem.packing import GcReport
from gitmem.provenance import DEFAULT_AGENT, Stamp, check_name
from gitmem.repository import Repository
from gitmem.runs import RunVerbs
from gitmem.vault import Clock, Vault

if TYPE_CHECKING:  # merging and meeting are imported where they are used: most programs do neither
    from gitmem.branches import Merge, Record
    from gitmem.remotes import Remote
    from gitmem.settings import Settings
    from gitmem.sync import Sync
    from gitmem.transport import Credentials


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Memory(RunVerbs):
    """A branch of a memory as one agent sees and writes it. Threads may share it; `bind` gives it another name."""

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        agent: str = DEFAULT_AGENT,
        session: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        branch: str = "main",
        create: bool = True,
        durability: str | None = None,
        clock: Clock = _utc_now,
        lock: bool = True,
        committer: tuple[str, str] | None = None,
    ) -> Memory:
        """Open the memory at `path` (a folder, a `.gitmem` or a bare repository), or the nearest one upwards.

        Where there is none it is created, unless `create` is false (then NotAMemoryError); `durability` ("sync" or
        "fast") is for that case. `clock` gives aware datetimes. `committer` is (name, email), the agent if None.
        `lock=False` is for the test that the compare-and-swap alone suffices.
        """
        stamp = Stamp(check_name(agent, kind="agent"), _checked_session(session))
        for part, text in zip(("committer's name", "committer's email"), committer or (), strict=False):
            check_name(text, kind=part)
        check_namespace(namespace, writing=False)
        if durability not in (None, *places.DURABILITIES):
            raise InvalidValueError(
                f"durability {durability!r} is neither 'sync' nor 'fast'",
                hint="sync survives a power cut, fast a killed process",
                pointer="",
                reason="unknown durability",
            )
        where = places.locate(path)
        if not places.exists(where):
            if not create:
                raise NotAMemoryError(
                    f"there is no memory at {where.path}",
                    hint="create one with `gitmem init`, or name another with --store",
                    path=str(where.path),
                )
            places.create(where, durability=durability or "sync")
        elif create and places.is_empty(where):
            places.create(where, durability=durability or "sync")
        vault = Vault(Repository(where, lock=lock), clock=clock, committer=committer)
        memory = cls(vault, stamp=stamp, namespace=namespace, branch=branch)
        vault.head(branch)
        return memory

    def bind(
        self,
        *,
        agent: str | None = None,
        session: str | None = UNSET,
        namespace: str | None = None,
        branch: str | None = None,
    ) -> Memory:
        """The same memory with another agent, session, namespace or branch; what is left out stays."""
        stamp = Stamp(
            self._stamp.agent if agent is None else check_name(agent, kind="agent"),
            self._stamp.session if session is UNSET else _checked_session(session),
        )
        return type(self)(
            self._vault,
            stamp=stamp,
            namespace=self._namespace if namespace is None else check_namespace(namespace, writing=False),
            branch=self._branch if branch is None else branch,
        )

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Memory {self.path} namespace={self._namespace!r} agent={self.agent!r}>"

    def close(self) -> None:
        """Close the index; of use where files must not stay open. Every memory bound to this one is closed too."""
        self._vault.close()

    @property
    def path(self) -> Path:
        """Where the memory lies: its `.gitmem`, or the bare repository."""
        return self._vault.repository.place.path

    def local_folder(self, *names: str) -> Path:
        """A folder of this machine alone below the memory's `local/`, never synced; made where it is missing."""
        folder = self._vault.repository.local.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def clock(self) -> datetime:
        """What time it is, aware of its zone, as `Memory.open(clock=)` tells it."""
        return self._vault.clock()

    @property
    def agent(self) -> str:
        """Who signs what this memory writes."""
        return self._stamp.agent

    @property
    def session(self) -> str | None:
        """The session that what this memory writes belongs to."""
        return self._stamp.session

    @property
    def active_session(self) -> str | None:
        """The session under which the doors of this machine write when nobody names one: `gitmem session start`."""
        return self._vault.repository.active_session()

    @property
    def active_since(self) -> datetime | None:
        """When it became that, by this machine's clock; None if there is none."""
        since = self._vault.repository.active_since()
        return None if since is None else moment(int(since))

    def activate(self, session: str | None) -> None:
        """Make a session this machine's active one, or (None) let there be none; what is bound already stays so."""
        self._vault.repository.activate(_checked_session(session))

    @property
    def namespace(self) -> str:
        """Where keys lie when a verb names no namespace."""
        return self._namespace

    @property
    def branch_name(self) -> str:
        """The branch that is read and written."""
        return self._branch

    # --- branches ---

    def branches(self) -> dict[str, str]:
        """Every branch and the revision of its head, by name."""
        from gitmem import branches

        return {name: oid.hex() for name, oid in branches.listing(self._vault.repository).items()}

    def branch(self, name: str, at: str | None = None) -> Memory:
        """Make a branch at a revision (now: this branch's head), and give the memory bound to it.

        One that is there already at that revision is as good; ConflictError if it is elsewhere.
        """
        from gitmem import branches

        start = self.snapshot if at is None else self.revision(at)
        branches.create(self._vault.repository, name, bytes.fromhex(start))
        return self.bind(branch=name)

    def delete_branch(self, name: str) -> str:
        """Remove a branch, whose last revision is returned; never `main`. UnknownRevisionError if there is none."""
        from gitmem import branches

        return branches.remove(self._vault.repository, name).hex()

    def merge(self, revision: str, *, dry_run: bool = False) -> Merge:
        """Take a branch, or any revision, into this branch: key by key, then member by member inside the values.

        Never asks: where both sides changed one place and no rule settles it, the later writer's value stands and a
        record in the namespace `conflicts` keeps both, until `resolve`. The merge commit follows from its two parents
        alone, so it is the same whoever makes it. `dry_run` tells the same and writes nothing.
        """
        from gitmem import branches

        theirs = bytes.fromhex(self.revision(revision))
        if dry_run:
            return branches.told(branches.plan(self._vault, bytes.fromhex(self.snapshot), theirs))
        return branches.told(branches.take_in(self._vault, self.write_path(), theirs))

    def conflicts(self) -> list[Record]:
        """The conflicts that merges left to a person, by namespace, key and pointer."""
        from gitmem import branches

        return branches.conflicts(self._reader())

    def resolve(
        self,
        what: str,
        take: str = "winner",
        *,
        value: Any = UNSET,
        message: str | None = None,
        namespace: str | None = None,
    ) -> list[Version]:
        """Settle a conflict, by its id, or all of a key: take the "winner", the "other", the "base", or a `value`.

        The value is that of the place in conflict. What was written since the merge stays: the choice is merged with
        it, MergeConflictError if they contradict each other. Returns what changed, the record's deletion among it.
        """
        from gitmem import branches

        step = branches.resolve(self._in(namespace), what, take, value if value is UNSET else deepcopy(value))
        return self._deleted(self._run([step], message or f"resolve {what}"))

    # --- what all who share the memory agreed on, and other copies ---

    @property
    def settings(self) -> Settings:
        """The merge rules and contracts of gitmem.toml: to list, add, remove and check."""
        from gitmem.settings import Settings

        return Settings(self._vault, self.write_path())

    def remotes(self) -> list[Remote]:
        """The other copies that this one knows: name and url."""
        from gitmem import remotes

        return remotes.remotes(self._vault.repository)

    def add_remote(self, name: str, url: str | os.PathLike[str]) -> Remote:
        """Remember another copy. RemoteError for an url with a password in it, or a name that is taken."""
        from gitmem import remotes

        return remotes.add(self._vault.repository, name, os.fspath(url))

    def remove_remote(self, name: str) -> None:
        """Forget another copy, and where it was last seen. RemoteError if there is none of this name."""
        from gitmem import remotes

        remotes.remove(self._vault.repository, name)

    def sync(
        self,
        remote: str | None = None,
        *,
        dry_run: bool = False,
        timeout: float = 60.0,
        program: str | None = None,
        credentials: Credentials | None = None,
    ) -> Sync:
        """Meet another copy: fetch, merge, push, so that both have one head. `origin`, or the only one, if unnamed.

        Merges as `merge` does; never a force push. What is written here meanwhile may leave this copy ahead. A branch
        that only the other side has is made here; their further branches become revisions (`origin/edits`), and one
        that cannot be a BranchLeft warning. `dry_run` fetches, remembers where the other side is, and moves no branch.
        `timeout` is in seconds without progress; `program` is "dulwich" or "git" (else what `gitmem.transport` in
        git's config says); `credentials` gives (user, password) for a URL. RemoteError if it cannot be reached or
        refuses, or if its history was rewritten (`lasting` says whether waiting can mend it); ContentionError if
        others were quicker there again and again; UnknownRevisionError if neither side has this branch. Whatever is
        cut off, the next sync completes.
        """
        from gitmem.remotes import find
        from gitmem.sync import Meeting
        from gitmem.transport import connect

        repository = self._vault.repository
        other = find(repository, remote)
        way = connect(repository, other, program=program, timeout=timeout, credentials=credentials)
        return Meeting(self._vault, self.write_path(), other, way).run(dry_run=dry_run)

    @classmethod
    def clone(
        cls,
        url: str | os.PathLike[str],
        path: str | os.PathLike[str],
        *,
        remote: str = "origin",
        branch: str = "main",
        durability: str = "sync",
        timeout: float = 60.0,
        program: str | None = None,
        credentials: Credentials | None = None,
        **opening: Any,
    ) -> Memory:
        """A new memory at `path` with what the one at `url` holds, which it remembers as `remote`; all or nothing.

        What remains is as for `open`, and for `sync`. StorageError if there is a memory at `path` already.
        """
        from functools import partial

        from gitmem.remotes import Remote, check_url
        from gitmem.sync import begin
        from gitmem.transport import connect

        where = places.place(path)
        way = partial(connect, program=program, timeout=timeout, credentials=credentials)
        other = Remote(remote, check_url(os.fspath(url), name=remote))
        fill = partial(begin, remote=other, branch=branch, connect=way)
        made = False
        try:
            made = not places.exists(where) and places.create(where, durability=durability, fill=fill)
        finally:
            if not made:
                places.discard_empty(where)
        if not made:
            raise StorageError(
                f"there is a memory at {where.path} already",
                hint="name another folder, or add a remote there: `gitmem remote add origin URL`",
                path=str(where.path),
            )
        return cls.open(path, branch=branch, create=False, **opening)

    def gc(self, *, full: bool = False, auto: bool = False) -> GcReport:
        """Pack the memory, beside readers and writers; `full` into one pack, `auto` only if it is due."""
        return upkeep.gc(self._vault.repository, full=full, auto=auto)


def _checked_session(session: str | None) -> str | None:
    return None if session is None else check_name(session, kind="session")
