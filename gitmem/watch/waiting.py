"""Looking until a condition holds, or the time is up: the part that threads and coroutines share.

Knows snapshots and time; does not know how its caller sleeps.
Law: each look is at one snapshot, with everything that has expired by now gone. Between two looks its caller may
sleep until he is woken, or for `seconds`: then something that was read expires, or the time is up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gitmem.entries import Entry
from gitmem.errors import InvalidValueError, WaitTimeoutError, typed
from gitmem.globs import compile_glob, escape
from gitmem.keys import check_key
from gitmem.reader import Reader, condition
from gitmem.view import View
from gitmem.watch.lookout import Subscription, Watched, subscription

if TYPE_CHECKING:
    from gitmem.reader import Witness
    from gitmem.vault import Snapshot, Vault

T = TypeVar("T")

LONGEST = 4_000_000.0
"""Seconds: more than a month, less than any system's longest sleep."""
ASLEEP = 30.0
"""The longest sleep towards an expiry: the clock that judges it may be put forward, or go on while a machine rests."""

Until = Callable[[Entry], object] | str | None


class Wait(Generic[T]):
    """One wait: what is looked for, in which keys, and until when."""

    def __init__(
        self,
        vault: Vault,
        branch: str,
        namespace: str,
        look: Callable[[View], T | None],
        *,
        timeout: float | None,
        missing: Callable[[View], list[str]],
        watched: Iterable[Watched],
        again: Callable[[list[str]], str] = lambda missing: "",
        witness: Callable[[Snapshot], Witness | None] | None = None,
    ) -> None:
        """`watched`: a change of what is worth a look. For the error, `missing` names what is not there, and `again`
        the command that waits on for it. `witness` is asked for whoever notes what the condition is shown.
        """
        self._vault = vault
        self._branch = branch
        self._namespace = namespace
        self._condition = look
        self._missing = missing
        self._watched = watched
        self._again = again
        self._witness = witness
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + check_timeout(timeout)
        self._view: View
        self._reader: Reader

    def look(self) -> T | None:
        """What the condition gives for the memory as it is now; None if it does not hold."""
        vault = self._vault
        self._reader = Reader(vault, vault.head(self._branch), now=vault.clock)
        if self._witness is not None:
            self._reader.witness = self._witness(self._reader.snapshot)
        self._view = View(vault, self._reader, self._namespace)
        return self._condition(self._view)

    def subscription(self, wake: Callable[[], None]) -> Subscription:
        """To have `wake` called when it is worth looking again, once it is opened."""
        return subscription(self._vault.repository, self._branch, wake, self._watched)

    def seconds(self) -> float:
        """For how long a sleep is worthwhile after the last look. WaitTimeoutError if the time is up."""
        left = LONGEST if self._deadline is None else self._deadline - time.monotonic()
        if left <= 0:
            raise self._late()
        if self._reader.until is None:
            return min(left, LONGEST)
        expiry = (self._reader.until - self._vault.clock()).total_seconds()
        return min(left, max(expiry, 0.0), ASLEEP)

    def _late(self) -> WaitTimeoutError:
        missing = self._missing(self._view)
        revision = self._view.snapshot
        space = "" if self._namespace == "default" else f" -n {typed(self._namespace)}"
        place = space + ("" if self._branch == "main" else f" --branch {typed(self._branch)}")
        again = f"wait on with `{command}{place}`; " if (command := self._again(missing)) else ""
        return WaitTimeoutError(
            f"waited {self._timeout:g} s in vain for {', '.join(missing) or 'a change'} in namespace {self._namespace}",
            hint=f"{again}`gitmem watch --since {revision[:12]}{place}` shows what happens",
            missing=missing,
            revision=revision,
        )


def check_timeout(timeout: object) -> float:
    """The seconds, 0 or more; InvalidValueError for anything else."""
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout >= 0:
        raise InvalidValueError(
            f"timeout {timeout!r} is not a number of seconds",
            hint="0 only looks; leave it out to wait for ever",
            pointer="",
            reason="not a timeout",
        )
    return float(min(timeout, LONGEST))


def holds(until: Until) -> Callable[[Entry], object]:
    """`until` as a test of an entry: a function, a JMESPath condition on its value, or None: that it is there."""
    if until is None:
        return lambda entry: True
    if callable(until):
        return until
    test = condition(until)
    return lambda entry: test(entry.value)


def found(view: View, key: str, test: Callable[[Entry], object]) -> Entry | None:
    """The entry, if it is there and the test holds."""
    entry: Any = view.entry(key, None)
    return entry if entry is not None and test(entry) else None


def wait_again(keys: list[str], until: Until, *, several: bool) -> str:
    """The command that waits on for these keys; none where a function has to hold."""
    if callable(until):
        return ""
    test = "" if until is None else f" --until {typed(until)}"
    return f"gitmem wait {' '.join(map(typed, keys))}{' --any' if several else ''}{test}"


def exactly(namespace: str, keys: Iterable[str]) -> list[Watched]:
    """These keys of a namespace; InvalidKeyError for one that could never be there."""
    if isinstance(keys, str):
        raise InvalidValueError(
            f"the keys to wait for are a list of texts, not the text {keys!r}",
            hint="name one key in a list of its own",
            pointer="",
            reason="not a list",
        )
    named = list(keys)
    for key in named:
        check_key(key)
    return [Watched(namespace, compile_glob(escape(key))) for key in named]


def broadly(namespace: str, patterns: Iterable[str] | None) -> list[Watched]:
    """What matches one of these globs in a namespace; None: every key of it."""
    if patterns is None:
        return [Watched(namespace, None)]
    if isinstance(patterns, str):
        patterns = [patterns]
    return [Watched(namespace, compile_glob(pattern)) for pattern in patterns]
