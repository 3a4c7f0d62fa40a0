"""The runner: drives a plan, each task as soon as what it waits for is there.

Knows the loop alone: what may happen is decided by `ready`, what is written by `record`, processes are the keeper's.
Law: a task starts only after a commit that says so, and that commit's parent holds all it waited for; whatever kills
the runner, its agents end, and `resume` goes on from what is in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from gitmem.errors import ConflictError, InvalidValueError, UnknownRevisionError
from gitmem.globs import escape
from gitmem.recipes.session_names import is_segment, session_names
from gitmem.workflow import course
from gitmem.workflow.course import Course, Turn
from gitmem.workflow.facts import SESSIONS, Facts, keys_of, phase_key, plan_key, versions
from gitmem.workflow.keeping import Keeper, end_marked
from gitmem.workflow.outcome import RUNNING, Outcome, Progress
from gitmem.workflow.ready import missing
from gitmem.workflow.record import Record, contested, plan_of
from gitmem.workflow.states import DONE
from gitmem.workflow.workplace import Workplace, beginning, place_of

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.workflow.parts import Plan

JOBS = 16
"""The tasks at work at the same time, where neither the caller nor the plan says how many."""
GRACE = 5.0
"""Seconds that an agent has between being told to end and being killed."""


class Runner:
    """One run of a plan. `run()` drives it to its end; `stop()` ends it early, from anywhere."""

    def __init__(
        self,
        memory: Memory,
        plan: Plan,
        folder: str | os.PathLike[str],
        *,
        jobs: int | None = None,
        timeout: float | None = None,
        grace: float = GRACE,
        on_event: Callable[[Progress], None] | None = None,
        record: Record | None = None,
    ) -> None:
        """`folder` is where the agents work: the plan's. The run signs as `gitmem-run`, in the plan's namespace,
        whatever `memory` is bound to. Its session is that of `memory`, unless this one has had a run already; then, or
        if it has none, the run begins one of its own.

        `jobs` tasks, from 1 on, work at a time (else what the plan says, else 16); `timeout` is in seconds for the
        whole run. `on_event` is told in the thread of `run()`, first of every task and gate, then of each change; it
        has to be quick. `record` is that of a run to go on with: `resume` finds it.
        """
        self._memory, self._plan, self._folder = memory, plan, os.path.abspath(folder)
        self._jobs = _checked(jobs if jobs is not None else plan.parallel or JOBS)
        self._timeout, self._grace = timeout, grace
        self._tell = on_event or (lambda progress: None)
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._old = record
        self._session = None if record is None else record.session

    @property
    def session(self) -> str | None:
        """The run's session; None until it has begun. Known by the first call of `on_event`."""
        return self._session

    @property
    def plan(self) -> Plan:
        """What is run; of a resumed run, as it was when it began."""
        return self._plan

    def run(self) -> Outcome:
        """Run to the end. ConflictError, and nothing is started, while a run with one of its keys is at work on this
        machine already.

        Returns also if tasks fail, or after `stop()`; what the memory raises (StorageError, say) is passed on after
        all agents have ended. KeyboardInterrupt counts as `stop()`. To be called once.
        """
        with ExitStack() as stack:
            with beginning(self._memory):
                record, workplace = self._begin(stack) if self._old is None else self._take_up(stack, self._old)
                self._session = record.session
            held = stack.enter_context(workplace.lock_keeper())
            end_marked(workplace.mark)  # of a keeper that was killed with its runner
            mark = workplace.new_mark()
            keeper = stack.enter_context(Keeper(self._queue.put, grace=self._grace, mark=mark, holds=[held]))
            facts = Facts(record.memory, self._plan, record.origin)
            turns = self._turns(record, facts)
            keys = [escape(key) for key in keys_of(self._plan)] or ["none"]
            stack.enter_context(record.memory.when_changed(lambda: self._queue.put(course.CHANGED), keys=keys))
            return Course(
                record,
                facts,
                workplace,
                turns,
                self._queue,
                keeper,
                folder=self._folder,
                jobs=self._jobs,
                timeout=self._timeout,
                tell=self._tell,
            ).run()

    def stop(self) -> None:
        """End all agents and the run; a second call kills them at once. For other threads and signal handlers."""
        self._queue.put(course.STOP)

    # --- inside ---

    def _begin(self, stack: ExitStack) -> tuple[Record, Workplace]:
        """Lock a place, and make the first commit."""
        self._check_rivals()
        for session in self._names():
            workplace = Workplace.new(self._memory, session, plan_folder=self._folder)
            if workplace is None:
                continue
            stack.enter_context(workplace.lock_runner())
            try:
                record = Record.begin(self._memory, session, self._plan)
            except BaseException:
                workplace.discard()
                raise
            if record is not None:
                workplace.remember(self._folder, record.origin.first)
                return record, workplace
            workplace.discard()
        raise AssertionError("there is always another name")

    def _names(self) -> Iterator[str]:
        """The session that the memory is bound to, if it can have a run and never had one; then new ones."""
        bound = self._memory.session
        if bound is not None and is_segment(bound) and not versions(self._memory, plan_key(bound), namespace=SESSIONS):
            yield bound
        yield from session_names(self._plan.name, self._memory.clock())

    def _take_up(self, stack: ExitStack, record: Record) -> tuple[Record, Workplace]:
        """Lock the place of a run that there is."""
        workplace = Workplace.of(self._memory, record.session)
        if stack.enter_context(workplace.lock_runner()) is None:
            raise ConflictError(
                f"the run {record.session} is at work: nothing is there to resume",
                hint="`gitmem status` shows how far it is",
                namespace=SESSIONS,
                key=phase_key(record.session),
            )
        self._check_rivals()
        workplace.remember(self._folder, record.origin.first)
        return record, workplace

    def _check_rivals(self) -> None:
        """ConflictError if a run is at work here that writes what this one writes."""
        own = self._old.session if self._old is not None else None
        for entry in self._memory.search("session/*/phase", namespace=SESSIONS):
            session = entry.key.split("/")[1]
            if entry.value != RUNNING or session == own:
                continue
            try:
                shared = contested(self._plan, plan_of(self._memory, session)[0], statuses=True)
                place = place_of(self._memory, session)
            except UnknownRevisionError:  # somebody else's keys
                continue
            if shared and place is not None and place.is_alive():
                raise ConflictError(
                    f"the run {session} is at work and writes {shared[0]!r} too",
                    hint="wait until it has ended, or give the plan another namespace",
                    namespace=self._plan.namespace,
                    key=shared[0],
                )

    def _turns(self, record: Record, facts: Facts) -> list[Turn]:
        """Where the tasks stand; a run that is taken up again says so in memory."""
        standings = record.standings()
        turns = [Turn(task, standings[task.name]) for task in self._plan.tasks]
        for turn in turns:
            started = standings[turn.task.name].started
            if started is not None:
                promised = [promise.key for promise in turn.task.stores]
                turn.before = dict(record.origin.facts(record.memory.at(started), promised))
        if self._old is not None:
            facts.look()
            rest = [turn.task for turn in turns if turn.state != DONE]
            record.again({task.name: missing(self._plan, task, facts.snapshot) for task in rest})
        return turns


def _checked(jobs: int) -> int:
    if jobs < 1:
        raise InvalidValueError(
            f"{jobs} tasks at a time would never come to an end", hint="1 or more", pointer="", reason="too few jobs"
        )
    return jobs


def resume(
    memory: Memory,
    session: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    jobs: int | None = None,
    timeout: float | None = None,
    grace: float = GRACE,
    on_event: Callable[[Progress], None] | None = None,
) -> Runner:
    """The runner that goes on with a run: what is done stays done, everything else is tried again, anew with all its
    retries. Gates keep their decisions.

    UnknownRevisionError if there is no such session. InvalidValueError if no `folder` is named and this machine has
    not seen the run. ConflictError if it has, and the memory says now that the run began otherwise: commands are not
    taken from whoever can merge a plan in. Its `run` raises ConflictError while the run is at work, or if a later one
    took its keys away.
    """
    record = Record.find(memory, session)
    place = place_of(memory, session)
    seen = None if place is None else place.first
    if seen not in (None, record.origin.first):
        raise ConflictError(
            f"{session} began here with {seen}, and now the memory has an older plan for it, of {record.origin.first}",
            hint="somebody brought it in: nothing of it is started; run the plan anew",
            namespace=SESSIONS,
            key=plan_key(session),
        )
    known = folder if folder is not None else None if place is None else place.plan_folder
    if known is None:
        raise InvalidValueError(
            f"this machine does not know in which folder the agents of {session} work",
            hint="name the folder of the plan",
            pointer="",
            reason="no folder",
        )
    return Runner(
        memory, record.plan, known, jobs=jobs, timeout=timeout, grace=grace, on_event=on_event, record=record
    )
