"""One repository as gitmem uses it: its objects, its refs, a branch's head, and publishing a new one.

Knows commits and branches; does not know keys, entries or their history.
Law: `publish` is the only way a branch moves, and it moves by compare-and-swap; the lock is for fairness alone.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import get_ident

from gitmem import place as places
from gitmem.errors import FormatError, InvalidValueError, NotAMemoryError, StorageError, UnknownRevisionError
from gitmem.locking import TIMEOUT, exclusive, exclusive_or_none
from gitmem.loose import discard, storage_error
from gitmem.objects import Objects, Oid, TooBig
from gitmem.place import POLICY_FILE, Place
from gitmem.policy import DEFAULT_POLICY, MAX_BYTES, ROOT_BYTES, Policy, parse_policy, too_long
from gitmem.refs import Refs, branch_ref

_ACTIVE = "session"
_LONGEST = 1024


class Repository:
    """A bare repository and its two folders. Threads may share one; opening one costs a few small reads."""

    def __init__(self, where: Place, *, lock: bool = True) -> None:
        """NotAMemoryError if there is none at `where`; FormatError if it uses what gitmem refuses.

        `lock=False` leaves everything to the compare-and-swap: for the test that it suffices.
        """
        if not places.exists(where):
            raise NotAMemoryError(
                f"there is no memory at {where.path}",
                hint=f"create one with `gitmem init {where.path.parent}`",
                path=str(where.path),
            )
        self.place = where
        self.git_dir: Path = where.git_dir
        self.derived: Path = where.derived
        self.local: Path = where.local
        self.config = places.read_config(where.git_dir / "config")
        places.check_features(where, self.config)
        self.objects = Objects(str(where.git_dir))
        self.refs = Refs(where.git_dir, where.local)
        self.locks = lock
        self.published = 0
        self._policies: dict[Oid, Policy] = {}

    @property
    def durable(self) -> bool:
        """Whether a write is on the disk when it returns; set by `gitmem.durability`, `sync` unless told otherwise."""
        durability = self.config.get("gitmem.durability", "sync")
        if durability not in places.DURABILITIES:
            raise InvalidValueError(
                f"gitmem.durability is {durability!r}, which is neither sync nor fast",
                hint=f"run `git -C {self.git_dir} config gitmem.durability sync`",
                pointer="",
                reason="unknown durability",
            )
        return durability == "sync"

    def head(self, branch: str) -> Oid:
        """The commit at the tip of a branch; UnknownRevisionError if there is no such branch."""
        head = self.refs.read(branch_ref(branch))
        if head is None:
            raise UnknownRevisionError(
                f"there is no branch {branch!r} in {self.place.path}",
                hint="`gitmem branch` shows the branches; the usual one is main",
                revision=branch,
            )
        return head

    def policy(self, root: Oid) -> Policy:
        """What `gitmem.toml` in this root tree says; InvalidPolicyError or FormatError if it says nothing.

        NotAMemoryError if it is not there.
        """
        found = self.objects.tree(root).get(POLICY_FILE)
        if found is None:
            raise NotAMemoryError(
                f"{self.place.path} is a git repository, but it holds no memory: gitmem.toml is missing",
                hint="name another with --store, or create one with `gitmem init PATH`",
                path=str(self.place.path),
            )
        policy = self._policies.get(found[1])
        if policy is None:
            try:
                body = self.objects.blob(found[1], limit=MAX_BYTES)
            except TooBig:
                raise too_long() from None
            policy = DEFAULT_POLICY if body == ROOT_BYTES else self._parse(body)
            self._policies[found[1]] = policy
        return policy

    def _parse(self, body: bytes) -> Policy:
        try:
            return parse_policy(body)
        except FormatError as error:
            raise FormatError(
                f"{self.place.path}: {error.message}", hint=error.hint, path=str(self.place.path)
            ) from None

    def active_session(self) -> str | None:
        """The session under which this machine writes when nobody names one; None if there is none.

        A file that names none, which nothing of gitmem writes, is told of by a warning.
        """
        from gitmem.provenance import check_name  # a retrieve does without

        path = self.local / _ACTIVE
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                name = file.read(_LONGEST).removesuffix("\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            name = f"{error.strerror}"
        else:
            try:
                return check_name(name, kind="session")
            except InvalidValueError as error:
                name = error.reason
        warnings.warn(f"{path} names no session ({name}): `gitmem session leave` removes it", stacklevel=2)
        return None

    def active_since(self) -> float | None:
        """When the active session became that, in seconds since 1970; None if there is none."""
        try:
            return os.stat(self.local / _ACTIVE).st_mtime
        except OSError:
            return None

    def activate(self, session: str | None) -> None:
        """Make a session this machine's active one, or none. StorageError if `local/` cannot be written."""
        path = self._lock_path(_ACTIVE)
        try:
            if session is None:
                discard(path)
                return
            made = f"{path}.{os.getpid()}-{get_ident()}"
            with open(made, "w", encoding="utf-8") as file:
                file.write(session + "\n")
            os.replace(made, path)
        except OSError as error:
            raise storage_error(error, path) from error

    @contextmanager
    def lock(self, *, timeout: float = TIMEOUT) -> Iterator[None]:
        """Hold the memory's lock, if this repository uses it. ContentionError if it cannot be had in `timeout`."""
        if not self.locks:
            yield
            return
        with exclusive(self._lock_path("lock"), timeout=timeout):
            yield

    def maintenance_lock(self) -> AbstractContextManager[bool]:
        """A context manager: True while this process alone maintains the repository, False if another does."""
        return exclusive_or_none(self._lock_path("gc.lock"))

    def _lock_path(self, name: str) -> str:
        path = f"{self.local}/{name}"
        if not os.path.exists(path):
            try:
                self.local.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise storage_error(error, str(self.place.path)) from error
        return path

    def check_writable(self, branch: str) -> None:
        """StorageError if the branch is checked out in a worktree: its files would silently differ from it."""
        bare = self.config.get("core.bare", "true").lower() != "false"
        worktree = places.checked_out(self.place, branch, bare=bare)
        if worktree is not None:
            raise StorageError(
                f"branch {branch} is checked out in the worktree {worktree}",
                hint=f"check out another branch there: `git -C {worktree} switch --detach`",
                path=worktree,
            )

    def publish(self, branch: str, expected: Oid, new: Oid) -> bool:
        """Move the branch from `expected` to `new`; False, and nothing done, if it is elsewhere by now."""
        return self.refs.swap(branch_ref(branch), expected, new, locked=self.locks, durable=self.durable)
