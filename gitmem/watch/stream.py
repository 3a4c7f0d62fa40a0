"""Watch: the events since a cursor, those that have happened and those to come.

Knows a cursor and the branch's head; what lies between them is `way`'s, what a commit did is `events`'.
Law: whoever resumes at the revision of an event that was marked `last` gets exactly what came after it. A commit's
events are never split between two calls of `next_commit`, and none comes twice, also where a wait is cancelled.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gitmem.errors import UnknownRevisionError
from gitmem.watch.events import Event, Interest, events, note
from gitmem.watch.lookout import Subscription, Watched, subscription
from gitmem.watch.waiting import LONGEST, check_timeout
from gitmem.watch.way import Step, way

if TYPE_CHECKING:
    from gitmem.objects import Oid
    from gitmem.reader import Witness
    from gitmem.vault import Snapshot, Vault


class Watch:
    """An iterator over events, for `for` and for `async for`, that waits for those to come; for one consumer.

    `close`, or leaving the `with` block, ends the iteration, also for whoever waits in it.
    """

    def __init__(
        self,
        vault: Vault,
        branch: str,
        interest: Interest,
        since: Oid,
        *,
        witness: Callable[[Snapshot], Witness | None] | None = None,
    ) -> None:
        """UnknownRevisionError if the branch's head does not come after `since`.

        `witness` is asked for whoever notes what is delivered of a commit.
        """
        self._vault = vault
        self._branch = branch
        self._interest = interest
        self._witness = witness
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
        return self._taken() if self._arrives(math.inf if timeout is None else check_timeout(timeout)) else []

    def so_far(self) -> Iterator[list[Event]]:
        """The events of the commits up to the branch's head of now, commit by commit; waits for nothing."""
        with self._lock:
            self._look_ahead()
            end = self._end
        while (self._bunch or self._cursor != end) and self._fill(ahead=False):
            yield self._taken()

    def _taken(self) -> list[Event]:
        found = list(self._bunch)
        self._bunch.clear()
        return found

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if not self._arrives(math.inf):
            raise StopIteration
        return self._bunch.popleft()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        import asyncio

        from gitmem.watch.aio import Woken

        if self._closed or not (bool(self._bunch) or await asyncio.to_thread(self._fill)):
            woken = Woken()
            with self._subscribed(woken.ring) as subscription:
                await asyncio.to_thread(subscription.open)
                while not self._closed and not await asyncio.to_thread(self._fill):
                    await woken.wait(LONGEST)
                    woken.event.clear()
        if self._closed:
            raise StopAsyncIteration
        return self._bunch.popleft()

    def _arrives(self, seconds: float) -> bool:
        """Whether events are there, now or within so many seconds."""
        if self._closed:
            return False
        deadline = time.monotonic() + seconds
        if self._fill():
            return True
        if seconds <= 0:
            return False
        woken = threading.Event()
        with self._subscribed(woken.set) as subscription:
            subscription.open()
            while not self._closed:
                if self._fill():
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                woken.wait(min(left, LONGEST))
                woken.clear()  # before looking whether it was `close`
        return False

    @contextmanager
    def _subscribed(self, wake: Callable[[], None]) -> Iterator[Subscription]:
        self._wakes.append(wake)
        watched = Watched(self._interest.namespace, self._interest.glob)
        try:
            with subscription(self._vault.repository, self._branch, wake, [watched]) as one:
                yield one
        finally:
            self._wakes.remove(wake)

    def _fill(self, *, ahead: bool = True) -> bool:
        """Have the events of one commit at hand; False if nothing has happened yet that is of interest.

        `ahead=False`: of the steps that are planned already.
        """
        with self._lock:
            while not self._bunch and not self._closed:
                if not self._steps and not (ahead and self._look_ahead()):
                    return False
                step = self._steps[0]
                found = events(self._vault, step, self._interest)
                self._before, self._cursor = self._cursor, step.commit
                self._steps.popleft()
                self._bunch.extend(found)
                if found and self._witness is not None:
                    note(self._vault, step, found, self._witness)
            return not self._closed

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
