"""Fan-out and fan-in: everything that was asked for is there together, or somebody says why not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gitmem import InvalidKeyError, InvalidValueError, Memory, WaitTimeoutError, WorkerFailedError
from gitmem.recipes import FanOut, Handoff
from gitmem.recipes.fanout import Progress

SPEC = "fanout/architecture/spec"
WORKERS = tuple(f"fanout/workers/{name}-service-complete" for name in ("user", "product", "order"))
USER, PRODUCT, ORDER = WORKERS
SERVICES = {"services": [{"name": name, "api_contract": {}, "dependencies": []} for name in WORKERS]}


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path, agent="system-architect", durability="fast") as memory:
        yield memory


@pytest.fixture
def work(memory: Memory) -> FanOut:
    return FanOut(memory)


def test_three_workers_and_an_integrator_start_in_any_order(memory: Memory) -> None:
    """Each waits for what it needs, all by itself; what is gathered is what they made."""

    def worker(key: str) -> Any:
        mine = memory.bind(agent=key.split("/")[-1])
        spec = Handoff(mine).receive(SPEC, requires=["services"], timeout=60)
        return FanOut(mine).complete(key, {"built_from": spec.revision})

    with ThreadPoolExecutor(4) as pool:
        gathering = pool.submit(FanOut(memory).gather, WORKERS, timeout=60)
        made = [pool.submit(worker, key) for key in WORKERS]
        spec = FanOut(memory).publish(SPEC, SERVICES, workers=WORKERS)
        gathered = gathering.result(timeout=30)
    assert [one.result().value for one in made] == [{"built_from": spec.revision}] * 3
    assert list(gathered) == list(WORKERS)
    assert {entry.agent for entry in gathered.values()} == {key.split("/")[-1] for key in WORKERS}
    assert len({entry.snapshot for entry in gathered.values()}) == 1


def test_a_second_round_starts_afresh(memory: Memory, work: FanOut) -> None:
    """Publishing takes the first round's results away in the same commit; a worker's key may look like a glob."""
    odd = "fanout/workers/[*"  # as a glob, it is malformed
    for key in (*WORKERS, odd):
        work.complete(key, 1)
    work.publish(SPEC, SERVICES, workers=[USER, odd, "fanout/workers/new"], message="again")
    assert work.progress([*WORKERS, odd]) == Progress(done=(PRODUCT, ORDER), failed=(), missing=(USER, odd))
    (last, *_) = memory.log()
    assert last.message == "again"
    assert list(work.gather([odd], on_progress=lambda progress: progress.done or work.complete(odd, 2))) == [odd]
    assert {change.key: change.operation for change in last.changes} == {
        SPEC: "created", USER: "deleted", odd: "deleted"
    }  # fmt: skip


def test_a_spec_among_its_own_workers_survives(work: FanOut) -> None:
    """A slip of the keyboard must not delete what is being published."""
    assert work.publish(SPEC, SERVICES, workers=[SPEC]).value == SERVICES


def test_progress_is_told_with_every_change(work: FanOut) -> None:
    """From nothing to all, in the thread of the one who gathers; here each change is made by the listener himself."""
    heard: list[Progress] = []

    def listen(progress: Progress) -> None:
        heard.append(progress)
        for key in progress.missing[-1:]:
            work.complete(key, key)

    assert [entry.value for entry in work.gather(WORKERS, on_progress=listen).values()] == list(WORKERS)
    assert [progress.missing for progress in heard] == [WORKERS, (USER, PRODUCT), (USER,), ()]
    assert heard[-1].to_json() == {"done": list(WORKERS), "failed": [], "missing": []}


def test_a_round_that_is_published_again_is_gathered_again(work: FanOut) -> None:
    """What was done in the round before does not stay done in the eyes of who waits."""
    heard: list[int] = []
    work.complete(USER, "old")

    def listen(progress: Progress) -> None:
        heard.append(len(progress.done))
        if len(heard) == 1:
            work.publish(SPEC, SERVICES, workers=WORKERS)
        elif len(heard) == 2:
            for key in WORKERS:
                work.complete(key, "new")

    assert {entry.value for entry in work.gather(WORKERS, on_progress=listen).values()} == {"new"}
    assert (heard[:2], heard[-1]) == ([1, 0], 3)


def test_one_failed_worker_ends_the_gather_with_its_reason(memory: Memory, work: FanOut) -> None:
    """Also while others are missing: nobody waits an hour for what cannot be whole any more."""
    failed = FanOut(memory.bind(agent="backend-dev")).fail(PRODUCT, "the schema is contradictory")
    assert failed.value == {"state": "failed", "reason": "the schema is contradictory", "by": "backend-dev"}
    for look in (work.gather, lambda keys: list(work.as_completed(keys))):
        with pytest.raises(WorkerFailedError) as caught:
            look(WORKERS)
        error = caught.value
        assert (error.key, error.reason, error.by) == (PRODUCT, "the schema is contradictory", "backend-dev")
        assert "says backend-dev: the schema is contradictory" in str(error)
    assert work.progress(WORKERS) == Progress(done=(), failed=(PRODUCT,), missing=(USER, ORDER))


def test_a_failure_while_somebody_gathers_ends_it(work: FanOut) -> None:
    """He has looked already, and is told by the change."""
    with pytest.raises(WorkerFailedError, match="out of memory"):
        work.gather(WORKERS, on_progress=lambda progress: progress.failed or work.fail(ORDER, "out of memory"))


@pytest.mark.parametrize(
    ("value", "reason", "by"),
    [
        ("failed", None, "coder"),
        ({"state": "failed"}, None, "coder"),
        ({"state": "failed", "reason": {"exit": 1}, "by": "runner"}, {"exit": 1}, "runner"),
        ({"state": "failed", "reason": "x", "by": ["?"]}, "x", "coder"),
    ],
)  # fmt: skip
def test_a_plain_store_says_so_too(memory: Memory, work: FanOut, value: Any, reason: Any, by: str) -> None:
    """An agent that only knows store takes part; who stored it has said it, unless the value names another."""
    memory.bind(agent="coder").store(USER, value, namespace="coordination")
    with pytest.raises(WorkerFailedError) as caught:
        work.gather([USER])
    assert (caught.value.reason, caught.value.by) == (reason, by)
    assert ("no reason given" in str(caught.value)) is (reason is None)


@pytest.mark.parametrize("value", [None, False, {"state": "done"}, {"state": None}, {"states": "failed"}, ["failed"]])
def test_any_other_value_is_a_result(work: FanOut, value: Any) -> None:
    """Null and false among them: a key that is there is there."""
    work.complete(USER, value)
    assert work.gather([USER])[USER].value == value


@pytest.mark.parametrize("value", ["failed", {"state": "failed", "reason": "x"}])
def test_a_failure_is_no_completion(work: FanOut, value: Any) -> None:
    """Whoever completes with it has mistaken the verb; the gather would end with a riddle."""
    with pytest.raises(InvalidValueError) as caught:
        work.complete(USER, value)
    assert "fanout fail" in caught.value.hint
    assert work.progress([USER]).missing == (USER,)


def test_a_failed_worker_may_try_again(memory: Memory, work: FanOut) -> None:
    """Its later result stands; both are in the history."""
    work.fail(USER, "no network")
    work.complete(USER, 1)
    assert work.gather([USER])[USER].value == 1
    assert len(memory.history(USER, namespace="coordination")) == 2


def test_results_come_one_by_one(work: FanOut) -> None:
    """Each once, as soon as it is there, in the order of the workers where several are."""
    work.complete(ORDER, 3)
    coming = work.as_completed((*WORKERS, ORDER))
    assert next(coming).key == ORDER
    work.complete(PRODUCT, 2)
    work.complete(USER, 1)
    work.complete(ORDER, 4)
    assert [entry.key for entry in coming] == [USER, PRODUCT]


def test_who_is_missing_in_the_end_is_named(memory: Memory, work: FanOut) -> None:
    """A time-out is for all of them together, and says with whom to talk."""
    work.complete(USER, 1)
    for look in (work.gather, lambda keys, timeout: list(work.as_completed(keys, timeout=timeout))):
        with pytest.raises(WaitTimeoutError) as caught:
            look(WORKERS, timeout=0)
        assert (caught.value.missing, caught.value.revision) == ([PRODUCT, ORDER], memory.snapshot)
        assert "2 of 3" in str(caught.value)


def test_a_timeout_is_for_all_looks_together(work: FanOut) -> None:
    """A round that is begun again and again never has them all: each change alone would renew the time."""

    def undo(progress: Progress) -> None:
        work.publish(SPEC, SERVICES, workers=[USER]) if progress.done else work.complete(USER, 1)

    with pytest.raises(WaitTimeoutError):
        work.gather(WORKERS, timeout=0.05, on_progress=undo)


def test_what_came_while_nobody_looked_is_seen_when_the_time_is_up(work: FanOut) -> None:
    """Whoever listens may take longer than there is time."""
    heard: list[Progress] = []

    def listen(progress: Progress) -> None:
        heard.append(progress)
        for key in progress.missing:
            work.complete(key, key)

    assert len(work.gather(WORKERS, timeout=0, on_progress=listen)) == len(heard) + 1 == 3


def test_nobody_to_wait_for_is_all(work: FanOut) -> None:
    """And a text alone is one worker, not its letters."""
    assert work.gather([], timeout=0) == {}
    assert list(work.as_completed([], timeout=0)) == []
    work.complete(USER, 1)
    assert list(work.gather(USER, timeout=0)) == [USER]


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5", True])
def test_a_timeout_is_a_number_of_seconds(work: FanOut, timeout: Any) -> None:
    """Also for who has nobody to wait for: the mistake would be found when it is too late."""
    for workers in ([], WORKERS):
        with pytest.raises(InvalidValueError):
            work.gather(workers, timeout=timeout)


def test_what_can_be_no_key_is_no_worker(memory: Memory, work: FanOut) -> None:
    """A slip is told when the work is published, not when nobody ever comes."""
    for worker in ("fanout//user", "cafe\u0301"):
        with pytest.raises(InvalidKeyError):
            work.publish(SPEC, SERVICES, workers=[worker])
        with pytest.raises(InvalidKeyError):
            work.gather([worker], timeout=0)
    assert memory.namespaces() == []


def test_an_expired_result_is_missing(tmp_path: Path, clock: Any) -> None:
    """Expired is absent, for whoever gathers too."""
    with Memory.open(tmp_path, clock=clock, durability="fast") as memory:
        memory.store(USER, 1, ttl=5, namespace="coordination")
        assert FanOut(memory).progress([USER]).done == (USER,)
        clock.advance(5)
        assert FanOut(memory).progress([USER]).missing == (USER,)
