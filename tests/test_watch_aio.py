"""The same for asyncio: cancelled again and again, on one loop by the hundred, and never in the loop's way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gitmem import Memory, WaitTimeoutError
from gitmem.watch import lookout
from gitmem.watch.aio import Woken
from gitmem.watch.stream import Watch
from tests.events import WAYS, nobody_is_left, waiters_memory

LONG = 60.0
T = TypeVar("T")


@pytest.fixture(params=WAYS)
def memory(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Memory]:
    with waiters_memory(tmp_path, request.param) as memory:
        yield memory


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(LONG):
            return await main()

    return asyncio.run(bounded())


def test_what_is_there_is_given_and_what_comes_is_awaited(memory: Memory) -> None:
    """All four verbs, with the arguments and results of those that block."""
    aio = memory.aio

    async def main() -> list[Any]:
        waits = [
            asyncio.ensure_future(wait)
            for wait in (
                aio.wait_for("k", until="@ == `1`"),
                aio.wait_for_all(["k", "l"]),
                aio.wait_for_any(["l", "k"]),
                aio.wait_until(lambda view: view.list()),
            )
        ]
        await asyncio.sleep(0)
        with memory.transaction() as tx:
            tx.store("l", 2)
            tx.store("k", 1)
        return [*await asyncio.gather(*waits), await aio.wait_for("k")]

    entry, everything, first, keys, again = run(main)
    assert entry == again == everything["k"] == memory.entry("k")
    assert (list(everything), first.key, keys) == (["k", "l"], "l", ["k", "l"])
    assert nobody_is_left(memory)


def test_a_time_out_is_the_same(memory: Memory) -> None:
    """0 only looks, here too; and what a condition raises ends the wait."""
    before = threading.active_count()
    for timeout in (0, 0.05):
        with pytest.raises(WaitTimeoutError) as late:
            run(lambda timeout=timeout: memory.aio.wait_for_all(["k", "l"], timeout=timeout))  # type: ignore[misc]
        assert (late.value.missing, late.value.revision) == (["k", "l"], memory.snapshot)
        assert timeout or threading.active_count() <= before
    with pytest.raises(ZeroDivisionError):
        run(lambda: memory.aio.wait_until(lambda view: 1 / 0))


def test_a_condition_that_raises_stop_iteration_does_not_hang(memory: Memory) -> None:
    """`next(…)` without a default is quickly written, and no future can hold what it raises."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        run(lambda: memory.aio.wait_until(lambda view: next(iter(view.list()))))
    with pytest.raises(StopIteration):
        memory.wait_until(lambda view: next(iter(view.list())))


def test_a_thousand_wait_on_one_loop(memory: Memory) -> None:
    """Tasks, not threads: they share the lookout, and few threads look for them."""
    waiters = 1000

    async def main() -> set[int]:
        before = threading.active_count()
        waits = [asyncio.ensure_future(memory.aio.wait_for(f"k/{number % 10}")) for number in range(waiters)]
        while sum(len(those) for one in lookout._lookouts.values() for those in one._exact.values()) < waiters:
            await asyncio.sleep(0.01)
        assert threading.active_count() - before < 50
        with memory.transaction() as tx:
            for number in range(10):
                tx.store(f"k/{number}", number)
        return {entry.value for entry in await asyncio.gather(*waits)}

    assert run(main) == set(range(10))
    assert nobody_is_left(memory)


@pytest.mark.parametrize("yields", range(6))
def test_a_wait_that_is_cancelled_leaves_nothing_behind(memory: Memory, yields: int) -> None:
    """Whenever it comes: before the first look, while it subscribes in a thread, asleep."""
    opened = threading.Semaphore(0)
    real = lookout.Subscription.open

    def slow(self: Any) -> Any:
        opened.acquire(timeout=LONG)
        return real(self)

    async def main() -> None:
        waits = [asyncio.ensure_future(memory.aio.wait_for(f"k/{number}")) for number in range(20)]
        watch = memory.watch()
        waits.append(asyncio.ensure_future(anext(watch)))
        for _ in range(yields):
            await asyncio.sleep(0.005 * yields)
        for wait in waits:
            wait.cancel()
        done = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(one) for one in done} == {asyncio.CancelledError}
        opened.release(100)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookout.Subscription, "open", slow)
        run(main)  # ends with its threads: those that were subscribing are done
    assert nobody_is_left(memory)


@pytest.mark.parametrize("yields", range(6))
def test_a_cancellation_that_comes_with_a_wake_up_is_not_forgotten(yields: int) -> None:
    """Whoever called the wait away would wait for ever for it to end."""

    async def main() -> bool:
        woken = Woken()
        wait = asyncio.ensure_future(woken.wait(LONG))
        for _ in range(5):
            await asyncio.sleep(0)
        woken.event.set()
        for _ in range(yields):
            await asyncio.sleep(0)
        cancelled = wait.cancel()
        await asyncio.wait([wait])
        return wait.cancelled() == cancelled

    assert run(main)


def test_a_stream_that_is_cancelled_again_and_again_loses_nothing(memory: Memory) -> None:
    """Each event once and in order, whatever was under way when the consumer was called away."""
    commits = 150

    def write() -> None:
        with Memory.open(memory.path, agent="writer") as writer:
            for number in range(commits):
                with writer.transaction() as tx:
                    tx.store("a", number)
                    tx.store("b", number)

    async def main() -> tuple[list[tuple[str, Any]], int]:
        watch, told, cancelled = memory.watch(), [], 0
        with ThreadPoolExecutor() as pool:
            writing = pool.submit(write)
            while len(told) < 2 * commits:
                try:
                    event = await asyncio.wait_for(anext(watch), 0.0005 * (cancelled % 5))
                except TimeoutError:
                    cancelled += 1
                    continue
                told.append((event.key, event.new.value if event.new else None))
            writing.result(LONG)
        assert watch.revision == memory.snapshot
        return told, cancelled

    told, cancelled = run(main)
    assert told == [(key, number) for number in range(commits) for key in "ab"]
    assert cancelled
    assert nobody_is_left(memory)


def test_async_for_ends_when_somebody_closes_the_watch(memory: Memory) -> None:
    """From another thread as well, whether it sleeps or not."""

    async def main() -> list[str]:
        told = []
        with memory.watch() as watch:
            memory.store("k", 1)
            async for event in watch:
                told.append(event.key)
                threading.Timer(0.05 * len(told), watch.close).start()
        async for event in watch:
            told.append(event.key)
        return told

    assert run(main) == ["k"]


def test_a_wake_up_for_nothing_is_one_look(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expiry that is renewed wakes whoever watches the key, and is no event: he goes to sleep again."""
    entry = memory.store("k", 1, ttl=100)
    looks = threading.Semaphore(0)
    fill = Watch._fill

    def counted(self: Watch, **options: Any) -> bool:
        found = fill(self, **options)
        looks.release()
        return found

    monkeypatch.setattr(Watch, "_fill", counted)

    async def main() -> tuple[int, int]:
        watch = memory.watch()
        waiting = asyncio.ensure_future(anext(watch))
        for _ in range(2):
            await asyncio.to_thread(looks.acquire, True, LONG)
        memory.store("k", 1, ttl=200, expect=entry)
        await asyncio.to_thread(looks.acquire, True, LONG)
        await asyncio.sleep(0.3)
        idle = 0
        while looks.acquire(blocking=False):
            idle += 1
        memory.store("k", 2)
        return idle, (await waiting).new.value

    assert run(main) == (0, 2)


def test_a_condition_that_does_not_hold_yet_is_asked_once_for_each_change(memory: Memory) -> None:
    """Woken for a value that is not the one, it goes to sleep again."""
    looks = threading.Semaphore(0)

    def is_two(view: Any) -> bool:
        looks.release()
        return bool(view.retrieve("k", 0) == 2)

    async def main() -> int:
        waiting = asyncio.ensure_future(memory.aio.wait_until(is_two, keys=["k"]))
        for _ in range(2):
            await asyncio.to_thread(looks.acquire, True, LONG)
        memory.store("k", 1)
        await asyncio.to_thread(looks.acquire, True, LONG)
        await asyncio.sleep(0.3)
        idle = 0
        while looks.acquire(blocking=False):
            idle += 1
        memory.store("k", 2)
        assert await waiting is True
        return idle

    assert run(main) == 0


def test_the_loop_goes_on_while_others_look(memory: Memory) -> None:
    """A condition that takes its time runs in a thread: a coroutine beside it makes as many steps as it likes."""
    inside, enough = threading.Event(), threading.Event()

    def slow(view: Any) -> bool:
        inside.set()
        return enough.wait(LONG)

    async def main() -> bool:
        waiting = asyncio.ensure_future(memory.aio.wait_until(slow))
        while not inside.is_set():
            await asyncio.sleep(0)
        for _ in range(1000):
            await asyncio.sleep(0)
        enough.set()
        return await waiting

    assert run(main) is True
