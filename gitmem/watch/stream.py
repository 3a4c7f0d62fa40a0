"""Watch: the events since a cursor, those that have happened and those to come.

Knows a cursor and the branch's head; what lies between them is `way`'s, what a commit did is `events`'.
Law: whoever resumes at the revision of an event that was marked `last` gets exactly what came after it. A commit's
events are never split between two calls of `next_commit`, and none comes twice, also where a wait is cancelled.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gitmem.errors import UnknownRevisionError
from gitmem.watch.events import Event, Interest, events
from gitmem.watch.lookout import Watched, subscribe
from gitmem.watch.waiting import LONGEST, check_timeout
from gitmem.watch.way import Step, way

if TYPE_CHECKING:
    from gitmem.objects import Oid
    from gitmem.vault import Vault


class Watch:
    """An iterator over events, for `for` and for `async for`, that waits for those to come; for one consumer.

    `close`, or leaving the `with` block, ends the iteration, also for whoever waits in it.
    """

    def __init__(self, vault: Vault, branch: str, interest: Interest, since: Oid) -> None:
        """UnknownRevisionError if the branch's head does not come after `since`."""
        self._vault = vault
        self._branch = branch
        self._interest = interest
        self._before = self._cursor = self._end = since
        self._steps: deque[Step] = deque()
        self._bunch: deque[Event] = deque()
        self._closed = False
        self._lock = threading.Lock()
        self._wakes: list[Callable[[], None]] = []
        self._look_ahead()

    @property
    def revision(self) -> str:
        """The revision from which another watch would deliver what this one has not delivered yet."""
        return (self._before if self._bunch else self._cursor).hex()

    def close(self) -> None:
        """End the iteration. May be called twice, and from any thread."""
        self._closed = True
        for wake in tuple(self._wakes):
            wake()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next_commit(self, timeout: float | None = None) -> list[Event]:
        """The events of the next commit that has any; [] if none came within `timeout` seconds, or after `close`.

        The rest of a commit's events, if some of them were taken one by one.
        """
        if not self._arrives(LONGEST if timeout is None else check_timeout(timeout)):
            return []
        found = list(self._bunch)
        self._bunch.clear()
        return found

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if not self._arrives(LONGEST):
            raise StopIteration
        return self._bunch.popleft()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        import asyncio

        from gitmem.watch.aio import Woken

        woken = Woken()
        with self._subscribed(woken.ring):
            while not self._closed and not await asyncio.to_thread(self._fill):
                await woken.wait(LONGEST)
        if self._closed:
            raise StopAsyncIteration
        return self._bunch.popleft()

    def _arrives(self, seconds: float) -> bool:
        """Whether events are there, now or within so many seconds."""
        if not self._closed and self._fill():
            return True
        woken, deadline = threading.Event(), time.monotonic() + seconds
        with self._subscribed(woken.set):
            while not self._closed:
                woken.clear()
                if self._fill():
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                woken.wait(left)
        return False

    @contextmanager
    def _subscribed(self, wake: Callable[[], None]) -> Iterator[None]:
        self._wakes.append(wake)
        watched = Watched(self._interest.namespace, self._interest.glob)
        try:
            with subscribe(self._vault.repository, self._branch, wake, keys=(), globs=[watched]):
                yield
        finally:
            self._wakes.remove(wake)

    def _fill(self) -> bool:
        """Have the events of one commit at hand; False if nothing has happened yet that is of interest."""
        with self._lock:
            while not self._bunch:
                if not self._steps and not self._look_ahead():
                    return False
                step = self._steps.popleft()
                self._bunch.extend(events(self._vault, step, self._interest))
                self._before, self._cursor = self._cursor, step.commit
            return True

    def _look_ahead(self) -> bool:
        """Plan the way from where the last one ended to the head of now; False if that is no step."""
        head = self._vault.head(self._branch).oid
        if head == self._end:
            return False
        index = self._vault.index
        index.catch_up(head)
        steps = way(self._vault.objects, index, self._end, head)
        if steps is None:
            raise _astray(self._end, head, self._branch)
        self._end = head
        self._steps.extend(steps)
        return True


def _astray(cursor: Oid, head: Oid, branch: str) -> UnknownRevisionError:
    there = head.hex()[:12]
    return UnknownRevisionError(
        f"revision {cursor.hex()[:12]} is not in the history of {branch}, whose head is {there}",
        hint="watch on from now on, without --since, or from a revision that `gitmem log` shows; if somebody rewrote "
        f"the history, `git log {cursor.hex()[:12]}` may still show what was there",
        revision=cursor.hex(),
    )
