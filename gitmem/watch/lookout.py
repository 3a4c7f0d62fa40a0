"""One thread for each branch that is waited on: it sees the head move and wakes those whose keys have changed.

Knows a branch's head and who cares for what; does not know what anybody does with it.
Law: nobody is woken for a change of somebody else's keys, so a thousand that wait cost a writer nothing; everybody is
woken where it cannot be said what has changed. A wake-up is a reason to look, never an answer.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from gitmem import trees
from gitmem.errors import GitmemError
from gitmem.watch.bell import bell

if TYPE_CHECKING:
    from gitmem.globs import Glob
    from gitmem.objects import Oid
    from gitmem.repository import Repository
    from gitmem.trees import KeyId

LINGER = 5.0
"""Seconds for which a lookout goes on when nobody waits any more: somebody may come again."""

_lookouts: dict[tuple[str, str, bool], Lookout] = {}
_lock = threading.Lock()


class Watched(NamedTuple):
    """What matches a glob in a namespace; None stands for every namespace, and for every key."""

    namespace: str | None
    glob: Glob | None

    def takes(self, changed: Iterable[KeyId]) -> bool:
        """Whether one of these keys is watched."""
        return any(
            self.namespace in (None, name) and (self.glob is None or self.glob.matches(key)) for name, key in changed
        )


class Subscription:
    """Calls `wake` from another thread when a key that matters may have changed, until it is closed."""

    def __init__(
        self, lookout: Lookout, wake: Callable[[], None], keys: frozenset[KeyId], globs: tuple[Watched, ...]
    ) -> None:
        """Use `subscribe`."""
        self._lookout = lookout
        self.wake = wake
        self.keys = keys
        self.globs = globs

    def close(self) -> None:
        """Be woken no more. May be called twice."""
        self._lookout.leave(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Lookout:
    """The thread that watches one branch; it lives as long as somebody waits, and a little longer."""

    def __init__(self, repository: Repository, branch: str, name: tuple[str, str, bool]) -> None:
        """`name` is what it is registered under."""
        self._repository = repository
        self._branch = branch
        self._name = name
        self._bell = bell(str(repository.git_dir), events=name[2])
        self._moved = threading.Event()
        self._lock = threading.Lock()
        self._exact: dict[KeyId, set[Subscription]] = {}
        self._broad: set[Subscription] = set()
        self._thread: threading.Thread | None = None
        self._seen: Oid | None = None

    def join(self, one: Subscription) -> None:
        """Wake this one from now on."""
        with self._lock:
            for key in one.keys:
                self._exact.setdefault(key, set()).add(one)
            if one.globs or not one.keys:
                self._broad.add(one)
            if self._thread is None:
                self._bell.listen(self._moved.set)
                self._seen = self._head()
                self._thread = threading.Thread(target=self._watch, name="gitmem-lookout", daemon=True)
                self._thread.start()

    def leave(self, one: Subscription) -> None:
        """Wake this one no more."""
        with self._lock:
            self._broad.discard(one)
            for key in one.keys:
                those = self._exact.get(key, set())
                those.discard(one)
                if not those:
                    self._exact.pop(key, None)

    def _watch(self) -> None:
        idle = 0.0
        while True:
            patience = self._bell.patience
            rung = self._moved.wait(patience)
            self._moved.clear()
            self._look()
            with self._lock:
                idle = 0.0 if rung or self._exact or self._broad else idle + patience
                if idle >= LINGER:
                    self._thread = None
                    break
        self._bell.leave(self._moved.set)
        with _lock:
            if _lookouts.get(self._name) is self and self._thread is None:
                del _lookouts[self._name]

    def _look(self) -> None:
        head = self._head()
        if head == self._seen and head is not None:
            return
        changed = self._changes(self._seen, head)
        self._seen = head
        with self._lock:
            woken = set(self._broad) if changed is None else {
                one for one in self._broad if not one.globs or any(glob.takes(changed) for glob in one.globs)
            }  # fmt: skip
            for key in self._exact if changed is None else changed:
                woken |= self._exact.get(key, set())
        for one in woken:
            one.wake()

    def _head(self) -> Oid | None:
        """The branch's head; None where it cannot be read: whoever waits looks, and is told why."""
        try:
            return self._repository.head(self._branch)
        except (GitmemError, OSError):
            return None

    def _changes(self, before: Oid | None, after: Oid | None) -> set[KeyId] | None:
        """The keys whose value or expiry differs between two heads; None if that cannot be said."""
        if before is None or after is None:
            return None
        objects = self._repository.objects
        try:
            roots = [objects.commit(oid).tree for oid in (before, after)]
            areas = [trees.expires_root(objects, root) for root in roots]
            return {*trees.changed(objects, *roots), *trees.changed(objects, *areas)}
        except (GitmemError, OSError):
            return None


def subscribe(
    repository: Repository, branch: str, wake: Callable[[], None], *, keys: Iterable[KeyId], globs: Iterable[Watched]
) -> Subscription:
    """Have `wake` called, from another thread, when one of these may have changed; neither keys nor globs: any key.

    The git setting `gitmem.fileEvents` = false does without file events.
    """
    events = repository.config.get("gitmem.fileevents", "true").lower() not in ("false", "no", "off", "0")
    name = (os.path.realpath(repository.git_dir), branch, events)
    with _lock:
        lookout = _lookouts.setdefault(name, Lookout(repository, branch, name))
    one = Subscription(lookout, wake, frozenset(keys), tuple(globs))
    lookout.join(one)
    return one


def _forget() -> None:
    """In a child process no thread of the parent's goes on."""
    global _lock
    _lock = threading.Lock()
    _lookouts.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
