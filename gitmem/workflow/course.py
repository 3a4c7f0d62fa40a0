"""The course of a run: what happens, one thing after the other, from the first look to the end of the last agent.

Knows when to look, to start and to stop; what may happen is decided by `ready`, what is written is the record's,
processes are the keeper's. Law: one thread alone acts, and takes what others tell it out of one queue; each decision
is made on what it has just read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from gitmem.entries import Entry
from gitmem.errors import StaleError, StorageError
from gitmem.watch.waiting import ASLEEP, LONGEST
from gitmem.workflow.gating import Gating
from gitmem.workflow.keeping import Ended, Failed, Keeper, Lost
from gitmem.workflow.outcome import INTERRUPTED, REJECTED, TIMED_OUT, Outcome, Progress
from gitmem.workflow.parts import Task, Waits
from gitmem.workflow.ready import Fact, broken_promises, missing, ready, stopped
from gitmem.workflow.states import DONE, ENDED, FAILED, STOPPED, WAITING, WORKING

if TYPE_CHECKING:
    from gitmem.workflow.facts import Facts
    from gitmem.workflow.record import Record, Standing
    from gitmem.workflow.workplace import Workplace

STOP = "stop"
CHANGED = "changed"
"""What the queue brings beside the keeper's answers."""
TELL = 0.5
"""Seconds between two commits that only say for what tasks wait now: nothing depends on them."""


class Turn:
    """A task in this run: where it stands."""

    def __init__(self, task: Task, standing: Standing) -> None:
        self.task = task
        self.state = standing.state if standing.state == DONE else WAITING
        self.attempt = standing.attempt
        self.reason = standing.reason if self.state == DONE else ""
        self.exit = standing.exit if self.state == DONE else None
        self.failures = 0
        self.missing: list[str] = []
        self.told: list[str] = []  # what the memory says that it misses
        self.deadline: float | None = None
        self.timed_out = False
        self.before: dict[str, Fact] | None = None

    def progress(self) -> Progress:
        """As it is told to others."""
        waiting_for = tuple(self.missing) if self.state == WAITING else ()
        return Progress(
            "task", self.task.name, self.state, self.task.agent, self.attempt, waiting_for, self.reason, self.exit
        )


class Course:
    """One run, from its first commit on."""

    def __init__(
        self,
        record: Record,
        facts: Facts,
        workplace: Workplace,
        turns: list[Turn],
        queue: SimpleQueue[Any],
        keeper: Keeper,
        *,
        folder: str,
        jobs: int,
        timeout: float | None,
        tell: Callable[[Progress], None],
    ) -> None:
        """`timeout` is in seconds for the whole course."""
        self._record, self._facts, self._workplace, self._queue = record, facts, workplace, queue
        self._plan = record.plan
        self._keeper, self._folder, self._jobs, self._tell = keeper, folder, jobs, tell
        self._turns = {turn.task.name: turn for turn in turns}
        self._gates = Gating(record.memory, self._plan, tell)
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._moved = True
        self._told = 0.0
        self._ending = ""

    def run(self) -> Outcome:
        """To the end."""
        try:
            self._announce()
            while not self._is_over():
                if not self._ending:
                    self._decide()
                if not self._is_over():
                    self._take(self._next())
        except KeyboardInterrupt:
            self._abandon()
        return self._close()

    # --- what comes ---

    def _next(self) -> object:
        """What happens next; None if it was only time to look."""
        try:
            return self._queue.get(timeout=self._patience())
        except Empty:
            return None

    def _patience(self) -> float | None:
        """The seconds until something is to be done that nobody tells of; None if there is no such thing."""
        instants = [turn.deadline for turn in self._turns.values()]
        if not self._ending:
            expiry = self._facts.seconds()
            instants += [self._deadline, None if expiry is None else time.monotonic() + min(expiry, ASLEEP)]
            instants += [self._told + TELL] if self._untold() else []
        awaited = [instant for instant in instants if instant is not None]
        return min(max(0.0, min(awaited) - time.monotonic()), LONGEST) if awaited else None

    def _take(self, news: object) -> None:
        if news == STOP:
            self._end(INTERRUPTED)
        elif isinstance(news, Ended):
            self._ended(self._turns[news.name], news.code)
        elif isinstance(news, Failed):
            self._failed(self._turns[news.name], f"it cannot be started: {news.reason}", None)
        elif isinstance(news, Lost):
            raise StorageError(
                "the keeper of the run's agents was killed, and they with it",
                hint=f"`gitmem run --resume {self._record.session}` goes on",
            )
        self._expire()

    def _expire(self) -> None:
        """Stop what has taken too long."""
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline and not self._ending:
            self._end(TIMED_OUT)
        for turn in self._working():
            if turn.deadline is not None and now >= turn.deadline:
                turn.timed_out, turn.deadline = True, None
                self._keeper.stop(turn.task.name)

    # --- what follows ---

    def _decide(self) -> None:
        """Do everything that what is there now allows."""
        while self._look() or self._moved:
            self._moved = False
            if self._gates.look(self._facts):
                self._moved = True
                continue
            for name, reason in stopped(self._plan, self._facts.snapshot, self._states()).items():
                self._move(self._turns[name], STOPPED, reason)
            for name in ready(self._plan, self._facts.snapshot, self._states()):
                if sum(1 for _ in self._working()) >= self._jobs:
                    break
                self._start(self._turns[name])
        self._tell_waiting()

    def _look(self) -> bool:
        """Read what is there now, and see for what tasks wait; whether anything has changed."""
        if not self._facts.look():
            return False
        for turn in self._turns.values():
            if turn.state == WAITING:
                now = missing(self._plan, turn.task, self._facts.snapshot)
                if now != turn.missing:
                    turn.missing = now
                    self._tell(turn.progress())
        return True

    def _start(self, turn: Turn) -> None:
        task = turn.task
        try:
            self._record.working(task, turn.attempt + 1, self._because(task))
        except StaleError:
            self._facts.forget()
            self._moved = True
            return
        if turn.before is None:
            turn.before = dict(self._facts.snapshot)
        turn.state, turn.timed_out = WORKING, False
        turn.attempt += 1
        turn.reason, turn.exit, turn.missing = "", None, []
        turn.deadline = None if task.timeout is None else time.monotonic() + task.timeout
        try:
            log = self._workplace.open_log(task.name, turn.attempt)
        except OSError as error:
            self._failed(turn, f"it cannot be started: its log cannot be written: {error.strerror}", None)
            return
        words = self._plan.agent(task.agent).command_for(task)
        self._keeper.start(task.name, words, env=self._variables(task), cwd=self._folder, log=log)
        self._tell(turn.progress())

    def _because(self, task: Task) -> Iterator[Entry]:
        """The entries that let a task start."""
        for want in task.waits.wants:
            alone = Task(task.name, task.agent, waits=Waits("all", (want,)))
            if not missing(self._plan, alone, self._facts.snapshot):
                yield self._facts.entries[want.key]
        for key in task.gates:
            yield self._facts.entries[key]

    def _variables(self, task: Task) -> dict[str, str]:
        return {
            "GITMEM_STORE": str(self._record.memory.path.absolute()),
            "GITMEM_BRANCH": self._record.memory.branch_name,
            "GITMEM_NAMESPACE": self._plan.namespace,
            "GITMEM_AGENT": task.name,
            "GITMEM_SESSION": self._record.session,
            "GITMEM_TASK": task.name,
        }

    def _ended(self, turn: Turn, code: int) -> None:
        """An agent has ended; what it promised is judged by what is in memory now."""
        self._look()
        self._moved = True
        promised = [] if code else broken_promises(turn.task, turn.before or {}, self._facts.snapshot)
        if turn.timed_out:
            self._failed(turn, f"timed out after {turn.task.timeout:g} s", code)
        elif code:
            self._failed(turn, f"exit code {code}" if code > 0 else f"ended by {_signal(-code)}", code)
        elif promised:
            self._failed(turn, f"it ended well, but {'; '.join(promised)}", code)
        else:
            self._move(turn, DONE, "", code)

    def _failed(self, turn: Turn, reason: str, code: int | None) -> None:
        """An attempt failed: another one follows, or the task has failed. Whoever was told to end did not fail."""
        tries = turn.task.retries + 1
        turn.failures += 1
        if self._ending:
            self._move(turn, WAITING, self._ending, code)
        elif turn.failures < tries:
            self._move(turn, WAITING, f"{reason} (try {turn.failures} of {tries})", code)
        else:
            self._move(turn, FAILED, reason, code)

    def _move(self, turn: Turn, state: str, reason: str, code: int | None = None) -> None:
        turn.state, turn.reason, turn.exit, turn.deadline = state, reason, code, None
        turn.missing = missing(self._plan, turn.task, self._facts.snapshot) if state == WAITING else []
        turn.told = []
        self._moved = True
        self._record.over(turn.task, state, attempt=turn.attempt, reason=reason, exit=code)
        self._tell(turn.progress())

    def _end(self, why: str) -> None:
        """Stop everything; what works is told to end, and at the second time killed."""
        if self._ending:
            self._keeper.hurry()
            return
        self._ending = why
        for turn in self._working():
            self._keeper.stop(turn.task.name)

    def _abandon(self) -> None:
        """After a Ctrl-C that may have struck anywhere: end everything, and see in memory what was going on."""
        self._ending = INTERRUPTED
        self._keeper.close()
        while not self._queue.empty():
            news = self._queue.get()
            if isinstance(news, Ended) and self._turns[news.name].state == WORKING:
                self._ended(self._turns[news.name], news.code)
        for turn in self._turns.values():
            if turn.state == WORKING or self._record.says(turn.task, WORKING):
                self._move(turn, WAITING, INTERRUPTED)

    # --- what is told ---

    def _announce(self) -> None:
        self._facts.look()
        for turn in self._turns.values():
            if turn.state == WAITING:
                turn.missing = turn.told = missing(self._plan, turn.task, self._facts.snapshot)
            self._tell(turn.progress())
        self._gates.announce(self._facts)

    def _untold(self) -> list[Turn]:
        waiting = [turn for turn in self._turns.values() if turn.state == WAITING]
        return [turn for turn in waiting if turn.missing[:1] != turn.told[:1]]

    def _tell_waiting(self) -> None:
        """Say in memory, now and then, for what tasks wait now."""
        untold = self._untold()
        if untold and time.monotonic() >= self._told + TELL:
            self._record.waiting({turn.task.name: turn.missing for turn in untold})
            self._told = time.monotonic()
            for turn in untold:
                turn.told = turn.missing

    # --- the end ---

    def _working(self) -> Iterator[Turn]:
        return (turn for turn in self._turns.values() if turn.state == WORKING)

    def _states(self) -> dict[str, str]:
        return {name: turn.state for name, turn in self._turns.items()}

    def _is_over(self) -> bool:
        if self._ending:
            return not any(self._working())
        return all(turn.state in ENDED for turn in self._turns.values())

    def _close(self) -> Outcome:
        states = set(self._states().values())
        phase = INTERRUPTED if self._ending and states != {DONE} else DONE if states <= {DONE} else FAILED
        self._record.phase(phase)
        tasks = tuple(turn.progress() for turn in self._turns.values())
        return Outcome(self._record.session, phase, self._verdict(phase), tasks, self._gates.progress(self._facts))

    def _verdict(self, phase: str) -> str:
        if phase == DONE:
            return DONE
        if self._ending:
            return self._ending
        failed = [turn for turn in self._turns.values() if turn.state == FAILED]
        if not failed:
            return REJECTED if self._gates.rejected(self._facts) else FAILED
        return TIMED_OUT if all(turn.timed_out for turn in failed) else FAILED


def _signal(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
