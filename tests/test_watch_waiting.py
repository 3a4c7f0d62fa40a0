"""Waiting in threads, once with file events and once without: nobody is forgotten, and nobody is woken for others."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gitmem import (
    CorruptValueError,
    Entry,
    InvalidKeyError,
    InvalidPatternError,
    InvalidValueError,
    Memory,
    UnknownRevisionError,
    WaitTimeoutError,
)
from gitmem.view import View
from gitmem.watch import bell, lookout, stream
from gitmem.watch.events import Event
from tests.conftest import Clock
from tests.events import WAYS, nobody_is_left, waiters_memory
from tests.foreign import commit_files, run_git

LONG = 60.0
"""Seconds after which a test has failed; nothing here takes so long."""


@pytest.fixture(params=WAYS)
def memory(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Memory]:
    with waiters_memory(tmp_path, request.param) as memory:
        yield memory


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(100) as made:
        yield made


def lookouts() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "gitmem-lookout"]


def asleep(future: Future[Any], looks: threading.Semaphore, times: int = 1) -> None:
    """Until a waiter has looked so often, in vain."""
    for _ in range(times):
        assert looks.acquire(timeout=LONG)
    assert not future.done()


def counting(test: Callable[[Entry], object] = lambda entry: True) -> tuple[threading.Semaphore, Any]:
    """A condition over a view for one key, `k`, and a semaphore that counts its looks."""
    looks = threading.Semaphore(0)

    def condition(view: Any) -> Entry | None:
        entry = view.entry("k", None)
        looks.release()
        return entry if entry is not None and test(entry) else None

    return looks, condition


# --- one waiter


def test_what_is_there_already_is_returned_without_a_thread(memory: Memory) -> None:
    """A wait is a test of the state, not of an event; who need not wait, pays for a retrieve."""
    entry = memory.store("k", 1)
    before = lookouts()
    assert memory.wait_for("k") == entry
    assert memory.wait_for_all(["k"]) == {"k": entry}
    assert memory.wait_for_any(["x", "k"]) == entry
    assert memory.wait_until(lambda view: view.list()) == ["k"]
    with pytest.raises(WaitTimeoutError):
        memory.wait_for("x", timeout=0)
    assert lookouts() == before


def test_a_waiter_returns_when_somebody_stores(memory: Memory, pool: ThreadPoolExecutor) -> None:
    """Another Memory on the same path writes: as another process would."""
    looks, condition = counting()
    waiting = pool.submit(memory.wait_until, condition, keys=["k"], timeout=LONG)
    asleep(waiting, looks, 2)
    with Memory.open(memory.path, agent="writer") as other:
        stored = other.store("k", 1)
    assert waiting.result(LONG).revision == stored.revision


def test_until_is_a_function_of_the_entry_or_a_condition_on_the_value(memory: Memory) -> None:
    """What does not hold does not count, and what it never holds for is missing."""
    memory.store("k", {"n": 3})
    assert memory.wait_for("k", until=lambda entry: entry.version == 1, timeout=0).value == {"n": 3}
    assert memory.wait_for("k", until="n > `2`", timeout=0).version == 1
    for until in ("n > `3`", "nothing", lambda entry: entry.agent == "else"):
        with pytest.raises(WaitTimeoutError) as late:
            memory.wait_for("k", until=until, timeout=0)
        assert late.value.missing == ["k"]
    with pytest.raises(InvalidPatternError):
        memory.wait_for("k", until="n >")


def test_all_are_there_in_one_snapshot(memory: Memory, pool: ThreadPoolExecutor) -> None:
    """One that was there and went does not count when the other comes."""
    with memory.transaction() as tx:
        tx.store("left", 1)
        tx.store("right", 0)
    waiting = pool.submit(
        memory.wait_for_all, ["left", "right"], until=lambda entry: entry.value == 1, timeout=LONG
    )
    for number in range(50):
        with memory.transaction() as tx:
            tx.store("left", number % 2)
            tx.store("right", 1 - number % 2)
    assert not waiting.done()
    memory.store("left", 1)
    memory.store("right", 1)
    found = waiting.result(LONG)
    assert [entry.value for entry in found.values()] == [1, 1]
    assert found["left"].snapshot == found["right"].snapshot


def test_keys_that_come_from_a_generator_are_waited_for(memory: Memory) -> None:
    """They are told but once: looked at twice there would be none left to wait for, and all of none is there."""
    memory.store("a", 1)
    with pytest.raises(WaitTimeoutError) as caught:
        memory.wait_for_all((key for key in "ab"), timeout=0)  # type: ignore[arg-type]
    assert caught.value.missing == ["b"]


def test_any_is_the_first_in_the_order_asked(memory: Memory) -> None:
    """Not the first that was written."""
    memory.store("b", 1)
    memory.store("a", 1)
    assert memory.wait_for_any(["x", "a", "b"]).key == "a"
    assert memory.wait_for_any(["b", "a"]).key == "b"


def test_a_time_out_says_what_is_missing_and_from_where_to_go_on(memory: Memory) -> None:
    """Nothing that comes after the last look is lost to whoever resumes there."""
    memory.store("there", 1)
    with pytest.raises(WaitTimeoutError) as late:
        memory.wait_for_all(["there", "x y", "z"], timeout=0.05, namespace="default")
    assert (late.value.missing, late.value.revision) == (["x y", "z"], memory.snapshot)
    assert "gitmem wait 'x y' z`" in late.value.hint
    memory.store("z", 1)
    with memory.watch(since=late.value.revision) as watch:
        assert next(watch).key == "z"
    hints = {
        "gitmem wait a b --any --until 'v > `1`' -n team --branch side": lambda: memory.branch("side").wait_for_any(
            ["a", "b"], until="v > `1`", namespace="team", timeout=0
        ),
        "`gitmem watch --since": lambda: memory.wait_for("a", until=lambda entry: False, timeout=0),
    }
    for hint, wait in hints.items():
        with pytest.raises(WaitTimeoutError) as late:
            wait()
        assert late.value.hint.removeprefix("wait on with `").startswith(hint)
    with pytest.raises(WaitTimeoutError, match="in vain for the end of the world"):
        memory.wait_until(lambda view: None, what="the end of the world", timeout=0)


@pytest.mark.parametrize(
    "timeout", [-1, -0.001, math.nan, -math.inf, "1", True, pytest.param(object(), id="object")], ids=repr
)
def test_a_timeout_is_a_number_of_seconds(memory: Memory, timeout: Any) -> None:
    """NaN compares with nothing, so it would wait for ever."""
    with pytest.raises(InvalidValueError):
        memory.wait_for("k", timeout=timeout)
    with pytest.raises(InvalidValueError):
        memory.watch().next_commit(timeout)


def test_a_timeout_may_be_as_long_as_a_number(memory: Memory, pool: ThreadPoolExecutor) -> None:
    """Infinity, and more than any system can sleep."""
    waits = [pool.submit(memory.wait_for, "k", timeout=timeout) for timeout in (math.inf, 10**400, 1e300, None)]
    memory.store("k", 1)
    assert [wait.result(LONG).value for wait in waits] == [1] * 4


def test_what_cannot_be_waited_for_is_refused(memory: Memory) -> None:
    """A key that nobody can store, a text where a list is meant, nothing at all: each would wait for ever."""
    for wrong in ("", "a//b", "e\u0301"):
        with pytest.raises(InvalidKeyError):
            memory.wait_for(wrong, timeout=0)
    with pytest.raises(InvalidValueError, match="not the text 'abc'"):
        memory.wait_for_all("abc", timeout=0)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError):
        memory.wait_for_any([], timeout=0)
    assert memory.wait_for_all([], timeout=0) == {}


def test_what_a_condition_raises_ends_the_wait(memory: Memory, pool: ThreadPoolExecutor) -> None:
    """At the first look, and at a later one; nobody is left behind in the lookout."""
    looks, condition = counting(lambda entry: 1 // (1 - entry.value) and None)
    waiting = pool.submit(memory.wait_until, condition, keys=["k"], timeout=LONG)
    asleep(waiting, looks, 2)
    memory.store("k", 1)
    with pytest.raises(ZeroDivisionError):
        waiting.result(LONG)
    with pytest.raises(ZeroDivisionError):
        memory.wait_for("k", until=lambda entry: 1 / 0)
    assert nobody_is_left(memory)


def test_a_file_that_is_no_value_is_told(memory: Memory) -> None:
    """Waiting on would wait for ever without a word."""
    commit_files(memory.vault.repository.git_dir, {"default/k.json": b"{"})
    with pytest.raises(CorruptValueError):
        memory.wait_for("k", timeout=LONG)


def test_a_branch_that_goes_ends_the_wait(memory: Memory, pool: ThreadPoolExecutor) -> None:
    """Whoever waits on it is told, instead of waiting for nobody."""
    side = memory.branch("side")
    looks, condition = counting()
    waiting = pool.submit(side.wait_until, condition, timeout=LONG)
    asleep(waiting, looks, 2)
    memory.delete_branch("side")
    with pytest.raises(UnknownRevisionError):
        waiting.result(LONG)


@pytest.mark.parametrize("how", ["update-ref", "pack-refs", "push", "merge", "delete"])
def test_it_does_not_matter_who_moves_the_branch_and_how(
    memory: Memory, pool: ThreadPoolExecutor, how: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Plain git, a push from elsewhere, packed refs, a merge; and a wait for a key to go."""
    folder = memory.vault.repository.git_dir
    side = memory.branch("side")
    new = side.store("k", 1).revision
    if how == "delete":
        memory.store("k", 0)
    if how == "delete":
        waiting: Any = pool.submit(memory.wait_until, lambda view: not view.list(), keys=["k"], timeout=LONG)
    else:
        waiting = pool.submit(memory.wait_for, "k", timeout=LONG)
    if how == "update-ref":
        run_git(folder, "update-ref", "refs/heads/main", new)
    elif how == "pack-refs":
        run_git(folder, "pack-refs", "--all")
        run_git(folder, "update-ref", "refs/heads/main", new)
        run_git(folder, "pack-refs", "--all")
    elif how == "push":
        clone = tmp_path_factory.mktemp("clone")
        run_git(clone, "clone", "-q", str(folder), ".")
        run_git(clone, "push", "-q", "origin", "origin/side:main")
    elif how == "merge":
        memory.store("mine", 1)
        memory.merge("side")
    else:
        memory.delete("k")
    found = waiting.result(LONG)
    assert found is True if how == "delete" else found.value == 1


# --- expiry


def sleeping(memory: Memory, condition: Callable[[Any], Any], **options: Any) -> Any:
    """The wait that `wait_until` would go through, after its first look."""
    wait = memory.waiting_until(condition, **{"timeout": None, "keys": None, "namespace": None, "what": "", **options})
    assert wait.look() is None
    return wait


def test_a_waiter_sleeps_until_what_it_read_expires(tmp_path: Path, clock: Clock) -> None:
    """Not longer than that, or than its own time; and never so long that a clock put forward would not be seen."""
    with Memory.open(tmp_path, clock=clock) as memory:
        memory.store("k", 1, ttl=10)
        memory.store("later", 1, ttl=1000)

        def seconds(*keys: str, **options: Any) -> float:
            wait = sleeping(memory, lambda view: [view.retrieve(key) for key in keys] and None, **options)
            return float(wait.seconds())

        assert seconds() > 1e6
        assert seconds("k") == 10
        assert seconds("later", "k") == 10
        assert seconds("later") == 30
        assert seconds("k", timeout=5) <= 5
        clock.advance(4)
        assert seconds("k") == 6
        clock.advance(6)
        with pytest.raises(WaitTimeoutError):
            memory.wait_for("k", timeout=0)


def test_an_expiry_wakes_at_the_instant(memory: Memory) -> None:
    """Nobody writes anything at that moment: the waiter has to know by himself."""
    entry = memory.store("k", 1, ttl=1)
    assert memory.wait_until(lambda view: view.entry("k", None) is None, keys=["k"], timeout=LONG) is True
    assert entry.expires is not None
    assert memory.clock() >= entry.expires
    assert memory.snapshot == entry.snapshot


@pytest.mark.parametrize("ttl", [50, 5000, None], ids=["shortened", "renewed", "cleared"])
def test_a_change_of_an_expiry_alone_wakes(memory: Memory, pool: ThreadPoolExecutor, ttl: float | None) -> None:
    """No value changed, but until when somebody may sleep did."""
    entry = memory.store("k", 1, ttl=500)
    looks, condition = counting(lambda entry: entry.expires != first.expires)
    first = entry
    waiting = pool.submit(memory.wait_until, condition, keys=["k"], timeout=LONG)
    asleep(waiting, looks, 2)
    memory.store("k", 1, ttl=ttl, expect=entry)
    assert waiting.result(LONG).revision == entry.revision


# --- many


def test_a_hundred_waiters_share_one_lookout(memory: Memory, pool: ThreadPoolExecutor) -> None:
    """Two memories on one path, all verbs: one thread for the branch, one bell for the git directory."""
    with Memory.open(memory.path) as other:
        before = set(threading.enumerate())  # not their idents: one that ended since would have lent its own
        conditions = [counting() for _ in range(98)]
        waits = [
            pool.submit((memory, other)[number % 2].wait_until, condition, timeout=LONG)
            for number, (_, condition) in enumerate(conditions)
        ]
        waits += [pool.submit(memory.wait_for, "k", timeout=LONG), pool.submit(other.wait_for, "k", timeout=LONG)]
        for waiting, (looks, _) in zip(waits, conditions, strict=False):
            asleep(waiting, looks, 2)
        new = [one for one in set(threading.enumerate()) - before if "ThreadPool" not in one.name]
        assert [one.name for one in new].count("gitmem-lookout") == 1
        assert len(new) <= 6  # the lookout, and what watchdog needs for one observer of two folders
        memory.store("k", 1)
        assert {wait.result(LONG).value for wait in waits} == {1}


def test_only_those_concerned_are_woken(memory: Memory) -> None:
    """A thousand wait for other keys: a store costs them nothing, and so it costs the writer nothing."""
    woken: list[str] = []
    last = threading.Event()

    def told(name: str) -> Callable[[], None]:
        return last.set if name == "last" else lambda: woken.append(name)

    names = [f"swarm/{number}/status" for number in range(1000)]
    subscriptions = [memory.when_changed(told(name), keys=[name]) for name in [*names, "last"]]
    globs = ["swarm/7/*", "swarm/{8,9}/status", "swarm/1?/status", "**"]
    subscriptions += [memory.when_changed(told(glob), keys=[glob]) for glob in globs]
    subscriptions.append(memory.when_changed(told("elsewhere"), keys=["swarm/7/status"], namespace="team"))
    subscriptions.append(memory.when_changed(told("nothing"), keys=[]))
    memory.store("swarm/7/status", 1)
    memory.store("last", 1)
    assert last.wait(LONG)
    for one in subscriptions:
        one.close()
        one.close()
    assert set(woken) == {"swarm/7/status", "swarm/7/*", "**"}
    assert woken.count("swarm/7/status") == 1


def test_when_changed_tells_of_every_namespace_unless_one_is_named(memory: Memory) -> None:
    """The whole branch, a namespace, a pattern in the memory's own."""
    waits = {name: threading.Event() for name in ("all", "team", "mine")}
    with (
        memory.when_changed(waits["all"].set),
        memory.when_changed(waits["team"].set, namespace="team"),
        memory.when_changed(waits["mine"].set, keys=["k"]),
    ):
        memory.store("k", 1, namespace="team")
        assert waits["all"].wait(LONG)
        assert waits["team"].wait(LONG)
        assert not waits["mine"].is_set()
        memory.store("k", 1)
        assert waits["mine"].wait(LONG)


def test_a_callback_that_fails_deafens_nobody_else(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is everybody's: what a callback raises is told as any thread's end is, and the thread goes on."""
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    with memory.when_changed(lambda: 1 / 0):  # type: ignore[arg-type, return-value]
        for number in range(3):
            with ThreadPoolExecutor() as pool:
                waiting = pool.submit(memory.wait_for, f"k{number}", timeout=LONG)
                memory.store(f"k{number}", 1)
                waiting.result(LONG)
    assert set(told) == {ZeroDivisionError}


def test_whatever_cannot_be_compared_wakes_everybody(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lookout that ended with an error would leave all of them asleep."""
    monkeypatch.setattr(lookout.trees, "changed", lambda *_, **__: 1 / 0)
    woken = threading.Event()
    with memory.when_changed(woken.set, keys=["else"]):
        memory.store("k", 1)
        assert woken.wait(LONG)


def test_what_was_changed_and_changed_back_wakes(
    memory: Memory, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Init: a claim is free. Next: it is taken, somebody looks and waits, it is released; only then the lookout looks.
    Invariant: whoever waits is woken, although the two heads that the lookout saw hold the same.
    """
    may_look, look, looks = threading.Event(), lookout.Lookout._look, threading.Semaphore(0)

    def slow(self: lookout.Lookout) -> None:
        assert may_look.wait(LONG)
        look(self)

    def is_free(view: View) -> bool:
        looks.release()
        return view.entry("claims/task", None) is None

    monkeypatch.setattr(lookout.Lookout, "_look", slow)
    with memory.when_changed(lambda: None, keys=["another"]):
        memory.store("claims/task", 1)
        waiting = pool.submit(memory.wait_until, is_free, keys=["claims/task"], timeout=LONG)
        asleep(waiting, looks, times=2)
        memory.delete("claims/task")
        may_look.set()
        assert waiting.result(LONG / 4) is True  # at the end of its time every waiter looks


def test_the_threads_end_when_nobody_waits(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A little later, since somebody often comes again; and whoever comes after that finds a new one."""
    monkeypatch.setattr(lookout, "LINGER", 0.2)
    folder = os.path.realpath(memory.vault.repository.git_dir)
    for _ in range(2):
        before = set(threading.enumerate())
        with memory.when_changed(lambda: None):
            made = [one for one in threading.enumerate() if one not in before]
            assert [one.name for one in made if one.name == "gitmem-lookout"] == ["gitmem-lookout"]
        for thread in made:
            thread.join(LONG)
            assert not thread.is_alive(), thread
        assert folder not in [name[0] for name in lookout._lookouts]


@pytest.mark.parametrize("at", ["__init__", "start"])
def test_where_the_system_has_no_watches_left_waiters_look(
    memory: Memory, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """inotify's watches are few, and other programs take them; nothing is left running of what was begun."""
    from watchdog.observers import Observer

    def watchdogs() -> set[threading.Thread]:
        return {one for one in threading.enumerate() if "watchdog" in type(one).__module__}

    before = watchdogs()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(Observer, at, refuse)
    looks, condition = counting()
    waiting = pool.submit(memory.wait_until, condition, keys=["k"], timeout=LONG)
    asleep(waiting, looks, 2)
    memory.store("k", 1)
    waiting.result(LONG)
    assert watchdogs() <= before


def test_a_move_that_is_told_late_is_seen_in_time(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """watchdog holds a move back for half a second where it was interrupted between its halves; then the lock, which
    it told of before, has to be enough. Here it never tells of the move at all, which comes after two looks."""
    heard, look, rename, glances = bell.Bell._heard, lookout.Lookout._look, os.rename, threading.Semaphore(0)

    def looked(self: lookout.Lookout) -> None:
        look(self)
        glances.release()

    def slow(source: str, target: str) -> None:
        while glances.acquire(blocking=False):
            pass
        for _ in range(2 if target.endswith("heads/main") else 0):
            assert glances.acquire(timeout=LONG / 4)
        rename(source, target)

    def locks_alone(self: bell.Bell, path: str, created: bool) -> None:
        if path.endswith(".lock"):
            heard(self, path, created)

    monkeypatch.setattr(bell, "HEARING", LONG)
    monkeypatch.setattr(bell.Bell, "_heard", locks_alone)
    looks, condition = counting()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(memory.wait_until, condition, keys=["k"], timeout=LONG)
        asleep(waiting, looks, 2)
        monkeypatch.setattr(lookout.Lookout, "_look", looked)
        monkeypatch.setattr(os, "rename", slow)
        memory.store("k", 1)
        waiting.result(LONG / 2)


def test_a_lock_that_is_let_go_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking so often is dear: it ends with the move, with the lock, and with the time in which either comes."""
    one = bell.Bell(str(tmp_path), events=True)
    monkeypatch.setattr(one, "_observer", object())
    rings: list[int] = []
    one.listen(lambda: rings.append(1))

    def after(*events: tuple[str, bool]) -> float:
        for path, created in events:
            one._heard(path, created)
        return one.patience

    taken, moved, gone = ("refs/heads/main.lock", True), ("refs/heads/main", False), ("refs/heads/main.lock", False)
    assert after() == bell.HEARING
    assert after(taken) == bell.EXPECTING
    assert after(("refs/heads/side", False)) == bell.EXPECTING
    assert after(moved) == bell.HEARING
    assert len(rings) == 3
    assert after(taken, gone) == bell.HEARING
    assert len(rings) == 4
    monkeypatch.setattr(bell, "LATE", -1)
    assert after(taken) == bell.HEARING


# --- streams


def test_a_stream_waits_for_what_is_to_come(memory: Memory, pool: ThreadPoolExecutor) -> None:
    """Event by event, commit after commit, whoever writes."""
    watch = memory.watch("own/**", all_namespaces=True)
    taken = pool.submit(lambda: [next(watch) for _ in range(80)])
    with Memory.open(memory.path, agent="other") as other:
        for number in range(20):
            memory.store(f"own/{number}", number)
            other.store(f"not/{number}", number)
            with other.transaction() as tx:
                for part in range(3):
                    tx.store(f"own/{number}/{part}", number, namespace="team")
    events: list[Event] = taken.result(LONG)
    assert [event.key for event in events] == [
        key for number in range(20) for key in (f"own/{number}", *(f"own/{number}/{part}" for part in range(3)))
    ]
    assert [event.last for event in events] == [True, False, False, True] * 20


def test_no_sleep_is_so_long_that_an_iteration_ends(
    memory: Memory, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch over which nothing happens for months is still one."""
    monkeypatch.setattr(stream, "LONGEST", 0.001)
    with memory.watch() as one, memory.watch() as other:
        told = [pool.submit(next, one), pool.submit(other.next_commit)]
        with pytest.raises(TimeoutError):
            told[0].result(0.05)
        memory.store("a", 1)
        for one_told in told:
            assert one_told.result(LONG)


def test_close_ends_an_iteration_from_any_thread(memory: Memory, pool: ThreadPoolExecutor) -> None:
    """Also between looking and sleeping: the moment at which a wake-up could be lost. And before it began."""
    for _ in range(100):
        watch = memory.watch()
        begun = threading.Event()

        def consume(watch: Any = watch, begun: Any = begun) -> list[Event]:
            begun.set()
            return list(watch)

        consuming = pool.submit(consume)
        assert begun.wait(LONG)
        watch.close()
        assert consuming.result(LONG) == []
    with memory.watch() as watch:
        memory.store("k", 1)
    assert list(watch) == []
    assert watch.next_commit() == []
    watch.close()


@pytest.mark.parametrize("moment", ["before", "after", "asleep"])
def test_a_wake_up_between_looking_and_sleeping_is_not_lost(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """`close` comes before the second look, after it, or just as the sleep begins."""
    watch = memory.watch()
    fill, wait, looks = type(watch)._fill, threading.Event.wait, []

    def closing(self: Any, **options: Any) -> bool:
        looks.append(1)
        if len(looks) == 2 and moment == "before":
            watch.close()
        found = fill(self, **options)
        if len(looks) == 2 and moment == "after":
            watch.close()
        return found

    def sleeping(self: Any, timeout: float | None = None) -> bool:
        if threading.current_thread() is not threading.main_thread():
            return wait(self, timeout)
        if moment == "asleep" and len(looks) == 2:
            watch.close()
        rung = wait(self, LONG)
        assert rung, "it sleeps although it is closed"
        return rung

    monkeypatch.setattr(type(watch), "_fill", closing)
    monkeypatch.setattr(threading.Event, "wait", sleeping)
    assert watch.next_commit() == []
    assert len(looks) == 2


def test_so_far_ends_although_somebody_writes_on(memory: Memory) -> None:
    """Otherwise `--once` would never end beside a busy writer."""
    start = memory.snapshot
    for number in range(3):
        memory.store("k", number)
    watch = memory.watch(since=start)
    assert next(watch).new is not None
    memory.store("k", 3)
    told = []
    for bunch in watch.so_far():
        told += [event.new.value for event in bunch if event.new]
        memory.store("k", 100 + len(told))
    assert told == [1, 2, 3]
    assert [event.new.value for event in watch.next_commit(0) if event.new] == [101]


def test_so_far_ends_although_the_last_commit_is_of_no_interest(memory: Memory) -> None:
    """And somebody writes on: the end is that of the moment at which it was asked for."""
    watch = memory.watch("k")
    memory.store("k", 0)
    memory.store("else", 0)
    told = []
    for bunch in watch.so_far():
        told += [event.new.value for event in bunch if event.new]
        memory.store("k", len(told))
        assert len(told) < 5
    assert told == [0]


def test_an_error_on_the_way_loses_no_commit(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails for a moment: whoever asks again gets what he would have got."""
    watch = memory.watch()
    memory.store("a", 1)
    memory.store("b", 1)
    with monkeypatch.context() as patch:
        patch.setattr(stream, "events", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watch.next_commit(0)
    assert [event.key for event in (*watch.next_commit(0), *watch.next_commit(0))] == ["a", "b"]


# --- forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_waits_although_its_parent_waited(memory: Memory, pool: ThreadPoolExecutor) -> None:
    """No thread of the parent's goes on in it, and what they held is nobody's there."""
    looks, condition = counting()
    waiting = pool.submit(memory.wait_until, condition, keys=["k"], timeout=LONG)
    asleep(waiting, looks, 2)
    with memory.when_changed(lambda: None) as subscription:
        ready, told = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                subscription.close()
                os.write(told, b"x")
                os._exit(0 if memory.wait_for("k", timeout=LONG).value == 1 else 1)
            except BaseException as error:
                os.write(2, repr(error).encode())
                os._exit(2)
        assert os.read(ready, 1) == b"x"
        memory.store("k", 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert waiting.result(LONG).value == 1
    os.close(ready)
    os.close(told)
