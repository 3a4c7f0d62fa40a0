"""Claims: of all who want a task one gets it, for so long as it renews its claim. A claim is one key that expires.

Knows who holds what, until when, and by which token. Does not know what the task is: whoever works under a claim
names it as the guard of each write, `memory.store(key, value, guard=claim.entry)`.
Law: the token belongs to one taking of the task: renewing keeps it, whoever takes the task later gets another. So what
a holder writes too late is refused, however long it slept, and also where nobody has taken the task yet.

(The fence is Martin Kleppmann's, "How to do distributed locking": a lock that expires is safe only if the writes that
it protects name a token.)
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gitmem.entries import ABSENT, format_time
from gitmem.errors import (
    ConflictError,
    KeyExistsError,
    StaleError,
    UnknownRevisionError,
    WaitTimeoutError,
    typed,
)
from gitmem.globs import escape
from gitmem.recipes.ground import coordinating, countdown, where

if TYPE_CHECKING:
    from types import TracebackType

    from gitmem.entries import Entry, Version
    from gitmem.memory import Memory
    from gitmem.view import View

FOLDER = "claims/"
TTL = 300.0
"""Seconds after which a claim that nobody renews is over."""


class Claims:
    """The tasks that agents take. A bare task means `claims/TASK`; one with a `/` is the full key.

    The memory's agent is who claims: two processes of one name are one holder, and either may renew or release.
    """

    def __init__(self, memory: Memory, *, namespace: str | None = None) -> None:
        self._memory = coordinating(memory, namespace)

    def take(self, task: str, *, ttl: float | None = TTL, timeout: float | None = 0.0) -> Claim:
        """Claim a task for `ttl` seconds (None: until it is released); KeyExistsError says who holds it, until when.

        Waits up to `timeout` seconds (None: for ever) for its release or expiry, and then tries again, since others
        wait too: nobody is promised a turn. Taken once more by its own holder it is refused like any other.
        """
        memory, key, left = self._memory, key_of(task), countdown(timeout)
        while True:
            try:
                entry = memory.create(key, {"by": memory.agent}, ttl=ttl, message=f"claim {memory.namespace} {key}")
            except KeyExistsError as error:
                seconds = left()
                if seconds == 0 or not self._free(key, seconds):
                    raise self._taken(key, error) from None
            else:
                return Claim(memory, entry, ttl=ttl)

    def mine(self, task: str, *, token: str | None = None, ttl: float | None = TTL) -> Claim:
        """Go on with a claim that this agent holds, or that `token` names, taken by another process.

        MissingKeyError if nobody holds the task, ConflictError if somebody else does; with a token StaleError, if the
        claim is over. `ttl` is for its renewals.
        """
        memory, key = self._memory, key_of(task)
        if token is not None:
            claim = Claim(memory, fence(memory, key, token), ttl=ttl)
            now = memory.entry(key, None)
            if now is None or now.revision != claim.token:
                raise claim.over(ABSENT if now is None else now)
            return Claim(memory, now, ttl=ttl)
        entry = memory.entry(key)
        if holder(entry) == memory.agent:
            return Claim(memory, entry, ttl=ttl)
        raise ConflictError(
            f"{held_by(entry)}, not by {memory.agent}",
            hint="only its holder renews or releases it, or whoever has its token: --agent, --token",
            namespace=entry.namespace,
            key=key,
        )

    def held(self, pattern: str = FOLDER + "**") -> list[Entry]:
        """The claims that hold now, in code-point order of their keys."""
        return self._memory.search(pattern)

    def _free(self, key: str, left: float | None) -> bool:
        """Wait until nobody holds the task; whether that came in time."""

        def free(view: View) -> bool:
            return view.entry(key, None) is None

        try:
            return self._memory.wait_until(free, timeout=left, keys=[escape(key)], what=f"the end of the claim {key}")
        except WaitTimeoutError:
            return False

    def _taken(self, key: str, error: KeyExistsError) -> KeyExistsError:
        now = self._memory.entry(key, error.current)
        return KeyExistsError(
            held_by(now),
            hint="take another task, or wait for its end: --timeout SECONDS, in Python timeout=",
            **{**error.fields, "current": now},
        )


class Claim:
    """A task that was taken. `entry` is the fence for `guard=`; its revision is the `token`, which no renewal changes.

    As a context manager it releases the task at the end. Whoever else writes its key ends the claim.
    """

    def __init__(self, memory: Memory, entry: Entry, *, ttl: float | None = TTL) -> None:
        """Use `Claims.take` or `Claims.mine`."""
        self._memory = memory
        self._ttl = ttl
        self._released = False
        self.entry = entry

    @property
    def key(self) -> str:
        """The key of the claim."""
        return self.entry.key

    @property
    def task(self) -> str:
        """The task, as it was named when it was taken."""
        return task_of(self.entry.key)

    @property
    def token(self) -> str:
        """The revision that took the task: 40 hex digits."""
        return self.entry.revision

    def renew(self, ttl: float | None = None) -> Entry:
        """Hold the task for `ttl` seconds (None: as when it was taken) from now; StaleError if the claim is over.

        A commit, but no version: what is guarded by an older entry of this claim still holds.
        """
        lasting = self._ttl if ttl is None else ttl
        memory, value = self._memory, self.entry.value
        message = f"renew {memory.namespace} {self.key}"
        try:
            self.entry = memory.store(self.key, value, ttl=lasting, expect=self.entry, message=message)
        except StaleError as error:
            raise self.over(error.current) from None
        return self.entry

    def release(self) -> None:
        """Let others have the task; StaleError if the claim was over before: somebody may have it already."""
        memory = self._memory
        try:
            memory.delete(self.key, expect=self.entry, message=f"release {memory.namespace} {self.key}")
        except StaleError as error:
            raise self.over(error.current) from None
        self._released = True

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release, unless that was done; that the claim was over is told, unless there is a worse error to tell."""
        if self._released:
            return
        if kind is None:
            self.release()
            return
        with suppress(StaleError):
            self.release()

    def over(self, current: Any) -> StaleError:
        """The error that tells a former holder what stands now: an entry, or ABSENT."""
        now = "nobody holds it now" if current is ABSENT else held_by(current)
        return StaleError(
            f"the claim {self.token[:12]} of task {self.task!r} is over: {now}",
            hint=f"stop working on it, or take it again: `gitmem claim take {typed(self.task)}{where(self._memory)}`",
            namespace=self.entry.namespace,
            key=self.key,
            expected=self.entry,
            current=current,
        )


def key_of(task: str) -> str:
    """Where the claim of a task lies."""
    return task if "/" in task else FOLDER + task


def task_of(key: str) -> str:
    """The short name of a claim that lies where claims do; else its key."""
    short = key.removeprefix(FOLDER)
    return key if "/" in short else short


def holder(entry: Entry) -> str:
    """Who holds a claim: who it says, or whoever stored it."""
    said = entry.value.get("by") if isinstance(entry.value, dict) else None
    return said if isinstance(said, str) else entry.agent


def held_by(entry: Entry) -> str:
    """Who holds it until when, in words."""
    until = "until it is released" if entry.expires is None else f"until {format_time(entry.expires)}"
    return f"task {task_of(entry.key)!r} in namespace {entry.namespace!r} is held by {holder(entry)} {until}"


def fence(memory: Memory, key: str, token: str, *, namespace: str | None = None) -> Version:
    """The version that wrote a key, by its token: an entry for `guard=`, from what was handed over as text.

    UnknownRevisionError unless the token is that very version's revision, or the beginning of it.
    """
    found = memory.version(key, token, namespace=namespace)
    if isinstance(token, str) and found.revision.startswith(token):
        return found
    raise UnknownRevisionError(
        f"{token!r} is no token of key {key!r} in namespace {found.namespace!r}",
        hint="a token is the revision that wrote the key: `gitmem claim take` prints it, and so does "
        "`gitmem retrieve KEY --entry`",
        revision=str(token),
    )
