"""The verbs that wait, for asyncio: the same arguments, results and errors, to be awaited.

Knows the event loop; what is waited for is `waiting`'s.
Law: the loop is never blocked: each look runs in a thread of its own. Cancelling a wait leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from gitmem.entries import Entry
from gitmem.view import View

if TYPE_CHECKING:
    from gitmem.watch.verbs import WaitingVerbs
    from gitmem.watch.waiting import Until, Wait

T = TypeVar("T")


class Aio:
    """The waiting verbs of a memory as coroutines. Use `memory.aio`."""

    def __init__(self, memory: WaitingVerbs) -> None:
        self._memory = memory

    async def wait_for(
        self, key: str, *, until: Until = None, timeout: float | None = None, namespace: str | None = None
    ) -> Entry:
        """As `Memory.wait_for`."""
        return (await wait(self._memory.waiting([key], all, until=until, timeout=timeout, namespace=namespace)))[key]

    async def wait_for_all(
        self, keys: Sequence[str], *, until: Until = None, timeout: float | None = None, namespace: str | None = None
    ) -> dict[str, Entry]:
        """As `Memory.wait_for_all`."""
        return await wait(self._memory.waiting(keys, all, until=until, timeout=timeout, namespace=namespace))

    async def wait_for_any(
        self, keys: Sequence[str], *, until: Until = None, timeout: float | None = None, namespace: str | None = None
    ) -> Entry:
        """As `Memory.wait_for_any`."""
        there = await wait(self._memory.waiting(keys, any, until=until, timeout=timeout, namespace=namespace))
        return next(iter(there.values()))

    async def wait_until(
        self,
        condition: Callable[[View], T | None],
        *,
        timeout: float | None = None,
        keys: Iterable[str] | None = None,
        namespace: str | None = None,
        what: str = "",
    ) -> T:
        """As `Memory.wait_until`; the condition runs in another thread."""
        found = self._memory.waiting_until(condition, timeout=timeout, keys=keys, namespace=namespace, what=what)
        return await wait(found)


async def wait(waiting: Wait[T]) -> T:
    """What is waited for, as soon as it is there."""
    result = await asyncio.to_thread(_look, waiting)
    if result is not None:
        return result
    waiting.seconds()  # whoever only looks needs nobody to wake him
    bell = Woken()
    with waiting.subscription(bell.ring) as subscription:
        await asyncio.to_thread(subscription.open)
        while True:
            bell.event.clear()
            result = await asyncio.to_thread(_look, waiting)
            if result is not None:
                return result
            await bell.wait(waiting.seconds())


def _look(waiting: Wait[T]) -> T | None:
    """A look whose errors fit into a future: asyncio would lose a StopIteration, and whoever awaits it."""
    try:
        return waiting.look()
    except StopIteration as error:
        raise RuntimeError("the condition raised StopIteration") from error


class Woken:
    """An event of this loop that any thread may set."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.event = asyncio.Event()

    def ring(self) -> None:
        """Set the event, from any thread; a loop that has ended needs no waking."""
        try:
            self._loop.call_soon_threadsafe(self.event.set)
        except RuntimeError:
            pass

    async def wait(self, seconds: float) -> None:
        """Sleep until the event is set, at most so long.

        Without `asyncio.wait_for`: before Python 3.12 it forgets a cancellation that comes together with the event.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            pass
