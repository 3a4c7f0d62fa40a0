"""One thread for each branch that is waited on: it sees the head move and wakes those whose keys have changed.

Knows a branch's head and who cares for what; does not know what anybody does with it.
Law: nobody is woken for a change of somebody else's keys, so a thousand that wait cost a writer nothing; everybody is
woken where it cannot be said what has changed. A wake-up is a reason to look, never an answer.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from gitmem import trees
from gitmem.errors import GitmemError
from gitmem.watch.bell import bell
from gitmem.watch.way import between

if TYPE_CHECKING:
    from gitmem.globs import Glob
    from gitmem.objects import Oid
    from gitmem.repository import Repository
    from gitmem.trees import KeyId

LINGER = 5.0
"""Seconds for which a lookout goes on when nobody waits any more: somebody may come again."""

MOST_STEPS = 64
"""The commits that are looked at for what has changed; after more of them everybody is woken."""

_Name: TypeAlias = tuple[str, str, bool]
_lookouts: dict[_Name, Lookout] = {}
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
    """Calls `wake` from another thread when a key that matters may have changed, from `open` until `close`."""

    def __init__(self, lookout: Callable[[], Lookout], wake: Callable[[], None], watched: Iterable[Watched]) -> None:
        """Use `subscription`; `lookout` gives the one to join, running."""
        self._find = lookout
        self._wake = wake
        self._lookout: Lookout | None = None
        self._closed = False
        self.keys: set[KeyId] = set()
        self.globs: list[Watched] = []
        for one in watched:
            if one.namespace is not None and one.glob is not None and one.glob.literal:
                self.keys.add((one.namespace, one.glob.prefix))
            else:
                self.globs.append(one)

    def open(self) -> Subscription:
        """Be woken from now on: look once after this. May take the time that a thread takes to start."""
        with _lock:
            self._lookout = self._find()
            self._lookout.join(self)
        if self._closed:  # by somebody else, meanwhile
            self._lookout.leave(self)
        return self

    def close(self) -> None:
        """Be woken no more. May be called twice, also before or while somebody else opens it."""
        self._closed = True
        if self._lookout is not None:
            self._lookout.leave(self)

    def wake(self) -> None:
        """Tell whoever waits; what goes wrong there is told as any thread's end is, and concerns nobody else."""
        try:
            if not self._closed:
                self._wake()
        except Exception:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Lookout:
    """The thread that watches one branch; it lives as long as somebody waits, and a little longer."""

    def __init__(self, repository: Repository, branch: str, name: _Name) -> None:
        """Start it; `name` is what it is registered under."""
        self._repository = repository
        self._branch = branch
        self._name = name
        self._bell = bell(str(repository.git_dir), events=name[2])
        self._moved = threading.Event()
        self._lock = threading.Lock()
        self._exact: dict[KeyId, set[Subscription]] = {}
        self._broad: set[Subscription] = set()
        self._bell.listen(self._moved.set)
        self._seen = self._head()
        threading.Thread(target=self._watch, name="gitmem-lookout", daemon=True).start()

    def join(self, one: Subscription) -> None:
        """Wake this one from now on."""
        with self._lock:
            for key in one.keys:
                self._exact.setdefault(key, set()).add(one)
            if one.globs:
                self._broad.add(one)

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
        while not (idle >= LINGER and self._ends()):
            patience = self._bell.patience
            rung = self._moved.wait(patience)
            self._moved.clear()
            self._look()
            idle = 0.0 if rung or self._exact or self._broad else idle + patience
        self._bell.leave(self._moved.set)

    def _ends(self) -> bool:
        """Give up the name, unless somebody has come: whoever comes later makes a lookout of his own."""
        with _lock, self._lock:
            if self._exact or self._broad:
                return False
            _lookouts.pop(self._name, None)
            return True

    def _look(self) -> None:
        head = self._head()
        if head == self._seen and head is not None:
            return
        changed = self._changes(self._seen, head)
        self._seen = head
        for one in self._concerned(changed):
            one.wake()

    def _concerned(self, changed: set[KeyId] | None) -> set[Subscription]:
        """Whom a change of these keys concerns; None: everybody."""
        with self._lock:
            concerned = {
                one for one in self._broad if changed is None or any(glob.takes(changed) for glob in one.globs)
            }
            return concerned.union(*(self._exact.get(key, ()) for key in (self._exact if changed is None else changed)))

    def _head(self) -> Oid | None:
        """The branch's head; None where it cannot be read: whoever waits looks, and is told why."""
        try:
            return self._repository.head(self._branch)
        except (GitmemError, OSError):
            return None

    def _changes(self, before: Oid | None, after: Oid | None) -> set[KeyId] | None:
        """The keys whose value or expiry changed on the way from one head to another; None if that cannot be said.

        On the way: somebody may have looked at a head in between, which was never seen here.
        """
        if before is None or after is None:
            return None
        objects = self._repository.objects
        changed: set[KeyId] = set()
        try:
            steps = between(objects, before, after, limit=MOST_STEPS)
            for step in steps or ():
                roots = [objects.commit(oid).tree for oid in step]
                areas = [trees.expires_root(objects, root) for root in roots]
                changed.update(trees.changed(objects, *roots), trees.changed(objects, *areas))
        except Exception:  # whatever it is: whoever waits meets it too, and this thread is everybody's
            return None
        return None if steps is None else changed

    def _forked(self) -> None:
        """In a child process: whoever still has a subscription may close it."""
        self._lock = threading.Lock()


def subscription(
    repository: Repository, branch: str, wake: Callable[[], None], watched: Iterable[Watched]
) -> Subscription:
    """To have `wake` called, from another thread, when one of these may have changed. Not open yet.

    The git setting `gitmem.fileEvents` = false does without file events.
    """
    events = repository.config.get("gitmem.fileevents", "true").lower() not in ("false", "no", "off", "0")
    name = (os.path.realpath(repository.git_dir), branch, events)

    def lookout() -> Lookout:
        if name not in _lookouts:
            _lookouts[name] = Lookout(repository, branch, name)
        return _lookouts[name]

    return Subscription(lookout, wake, watched)


def _forget() -> None:
    """In a child process no thread of the parent's goes on."""
    global _lock
    _lock = threading.Lock()
    for one in _lookouts.values():
        one._forked()
    _lookouts.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
