"""Fan-out and fan-in: one agent publishes what is to be done, several do it at once, one gathers what they made.

Knows the workers by the keys under which they store their results; does not know what is in them.
Law: what is gathered was there together, in one snapshot; one failed worker ends it, however many are still missing.
A result {"state": "failed", …}, or the plain text `failed`, says so, whoever stored it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gitmem.errors import InvalidValueError, WaitTimeoutError, WorkerFailedError, typed
from gitmem.globs import escape
from gitmem.keys import check_key
from gitmem.recipes.ground import coordinating, countdown, each

if TYPE_CHECKING:
    from gitmem.entries import Entry
    from gitmem.memory import Memory
    from gitmem.view import View

FAILED = "failed"


class Progress(NamedTuple):
    """How far the workers are: their keys, each in one of the three, in the order in which they were asked for."""

    done: tuple[str, ...]
    failed: tuple[str, ...]
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, list[str]]:
        """As the command line prints it."""
        return {name: list(keys) for name, keys in self._asdict().items()}


class _Look(NamedTuple):
    """The results that are there in one snapshot, by worker; how far that is; the snapshot's revision."""

    results: dict[str, Entry]
    progress: Progress
    snapshot: str


class FanOut:
    """Work that is spread over workers; each is named by the key that holds its result."""

    def __init__(self, memory: Memory, *, namespace: str | None = None) -> None:
        self._memory = coordinating(memory, namespace)

    # --- who spreads the work, and who does it

    def publish(
        self, key: str, spec: Any, *, workers: Iterable[str] = (), message: str | None = None
    ) -> Entry:
        """Store what is to be done; the earlier results of `workers` are deleted in the same commit.

        So a second round starts afresh: nobody gathers what belongs to the first. Gives the entry as it stands then.
        """
        with self._memory.transaction(message or f"publish {self._memory.namespace} {key}") as tx:
            for worker in each(workers):
                check_key(worker)
                tx.delete_matching(escape(worker))  # one that is not there is no error
            tx.store(key, spec)
        return self._memory.entry(key)

    def complete(self, worker: str, value: Any, *, message: str | None = None) -> Entry:
        """Store a worker's result. InvalidValueError for one that says it has failed: that is `fail`."""
        if _failed(value):
            raise InvalidValueError(
                f"the result for {worker!r} says that its worker has failed",
                hint=f"`gitmem fanout fail {typed(worker)} REASON` says so; else choose another state",
                pointer="/state" if isinstance(value, dict) else "",
                reason="a failure",
            )
        return self._memory.store(worker, value, message=message or f"complete {self._memory.namespace} {worker}")

    def fail(self, worker: str, reason: Any, *, message: str | None = None) -> Entry:
        """Say that a worker has failed, and why; whoever gathers is told at once. A later `complete` mends it."""
        value = {"state": FAILED, "reason": reason, "by": self._memory.agent}
        return self._memory.store(worker, value, message=message or f"fail {self._memory.namespace} {worker}")

    # --- who gathers it

    def progress(self, workers: Iterable[str]) -> Progress:
        """How far the workers are now, in one snapshot."""
        return self._look(each(workers)).progress

    def gather(
        self,
        workers: Iterable[str],
        *,
        timeout: float | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> dict[str, Entry]:
        """Wait for all results: {key: entry}, in the order of `workers`.

        `on_progress` is called with each Progress that differs from the last, in this thread. WorkerFailedError as
        soon as one worker has failed; WaitTimeoutError after `timeout` seconds names those that are missing.
        """
        for look in self._looks(each(workers), timeout):
            if on_progress is not None:
                on_progress(look.progress)
            _raise_failed(look)
        return look.results

    def as_completed(self, workers: Iterable[str], *, timeout: float | None = None) -> Iterator[Entry]:
        """The results one by one, as they come, each worker's once. Errors as those of `gather`.

        What came at the same time comes in the order of `workers`; the timeout is for all of them together.
        """
        given: set[str] = set()
        for look in self._looks(each(workers), timeout):
            _raise_failed(look)
            for worker in look.progress.done:
                if worker not in given:
                    given.add(worker)
                    yield look.results[worker]

    def _looks(self, workers: tuple[str, ...], timeout: float | None) -> Iterator[_Look]:
        """What is there now, then again whenever it is more or less than that, until nothing is missing.

        Whatever its consumer does between two looks counts too; when the time is up it looks once more.
        """
        left = countdown(timeout)
        for worker in workers:
            check_key(worker)
        look = self._look(workers)
        yield look
        while look.progress.missing:
            seconds = left()
            changed = partial(_changed, workers=workers, seen=look.progress)
            try:
                look = self._memory.wait_until(changed, timeout=seconds, keys=[escape(key) for key in workers])
            except WaitTimeoutError as error:
                raise _too_late(look.progress, error.revision) from None
            yield look
            if seconds == 0 and look.progress.missing:
                raise _too_late(look.progress, look.snapshot)

    def _look(self, workers: tuple[str, ...]) -> _Look:
        """What is there now."""
        return self._memory.wait_until(partial(_seen, workers=workers), timeout=0, keys=())


def _seen(view: View, workers: Iterable[str]) -> _Look:
    found = {worker: view.entry(worker, None) for worker in workers}
    there = {worker: entry for worker, entry in found.items() if entry is not None}
    failed = tuple(worker for worker, entry in there.items() if _failed(entry.value))
    done = tuple(worker for worker in there if worker not in failed)
    missing = tuple(worker for worker in found if worker not in there)
    return _Look(there, Progress(done, failed, missing), view.snapshot)


def _changed(view: View, workers: Iterable[str], seen: Progress) -> _Look | None:
    look = _seen(view, workers)
    return look if look.progress != seen else None


def _failed(value: Any) -> bool:
    return bool((value.get("state") if isinstance(value, dict) else value) == FAILED)


def _raise_failed(look: _Look) -> None:
    """WorkerFailedError for the first worker that has failed, if one has."""
    for worker in look.progress.failed[:1]:
        entry = look.results[worker]
        told = entry.value if isinstance(entry.value, dict) else {}
        reason, by = told.get("reason"), told.get("by")
        by = by if isinstance(by, str) else entry.agent
        raise WorkerFailedError(
            f"{worker!r} has failed, says {by}: {'no reason given' if reason is None else _as_text(reason)}",
            hint=f"`gitmem history {typed(worker)} -n {typed(entry.namespace)}` tells more; once it is done again, "
            "gather again",
            key=worker,
            reason=reason,
            by=by,
        )


def _as_text(reason: Any) -> str:
    return reason if isinstance(reason, str) else json.dumps(reason, ensure_ascii=False)


def _too_late(seen: Progress, revision: str) -> WaitTimeoutError:
    """The time-out, told with the workers that are missing."""
    missing = list(seen.missing)
    return WaitTimeoutError(
        f"{len(missing)} of {len(seen.done) + len(missing)} workers did not come in time: {', '.join(missing)}",
        hint="`gitmem fanout progress KEY…` tells how far they are; nothing is lost by gathering again",
        missing=missing,
        revision=revision,
    )
