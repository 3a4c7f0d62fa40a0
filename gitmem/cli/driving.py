"""Driving a run from a terminal: the run in a thread of its own, the person in the main one.

Knows signals, questions and the thread; what a run does is the runner's, how it is told is `progress`'.
Law: Ctrl-C, SIGTERM and SIGHUP end the run as `Runner.stop` does, a second one at once; this returns only when no agent
is left. A question at a gate holds nobody up, and is taken back when somebody else has answered it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli.output import note
from gitmem.cli.progress import EVERY, PENDING, Silence
from gitmem.errors import GitmemError
from gitmem.workflow.outcome import Outcome, Progress

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.workflow.runner import Runner

Ask = Callable[[str, Callable[[], bool]], None]

_LOOK = 0.1  # seconds between two looks at whether a question is still one


class Drive:
    """One run, from its start to its outcome."""

    def __init__(self, make: Callable[[Callable[[Progress], None]], Runner]) -> None:
        """`make` gives the runner, told to whom it tells its progress."""
        self._news: SimpleQueue[Progress | None] = SimpleQueue()
        self._runner = make(self._news.put)
        self._teller = Silence()
        self._end: list[Outcome | BaseException] = []
        self._begun = self._ended = False
        self._stops = 0
        self._gates: dict[str, str] = {}
        self._unasked: dict[str, None] = {}

    @property
    def runner(self) -> Runner:
        """What is driven."""
        return self._runner

    def run(self, teller: Silence, ask: Ask, gates: Container[str]) -> Outcome:
        """The outcome; what the runner raises is raised here.

        `ask(gate, is_open)` puts the question at one of these gates (their names); it has to come back soon once
        `is_open()` says no. It is called again whenever the gate is asked anew.
        """
        self._teller = teller
        thread = Thread(target=self._work, name="gitmem run")
        with _signals(), self._teller.telling():
            thread.start()
            try:
                while not self._ended and (thread.is_alive() or not self._news.empty()):
                    self._patiently(lambda: self._go_on(ask, gates))
            finally:
                if not self._ended:  # whoever reads what is printed has gone, say
                    self._runner.stop()
                while thread.is_alive():
                    self._patiently(thread.join)
        (end,) = self._end
        if isinstance(end, BaseException):
            raise end
        return end

    def _patiently(self, step: Callable[[], object]) -> None:
        """`step()`; a Ctrl-C in it ends the run, not the program."""
        try:
            step()
        except KeyboardInterrupt:
            self._stop()

    def _work(self) -> None:
        try:
            self._end.append(self._runner.run())
        except BaseException as error:
            self._end.append(error)
        finally:
            self._news.put(None)

    def _go_on(self, ask: Ask, gates: Container[str]) -> None:
        """Take what is told; put a question where there is one."""
        try:
            self._take(self._news.get(timeout=EVERY))
        except Empty:
            pass
        while not self._news.empty():
            self._take(self._news.get())
        self._teller.pass_time()
        while self._unasked and not self._ended and not self._stops:
            name = next(iter(self._unasked))
            del self._unasked[name]
            if name not in gates:
                continue
            with self._teller.aside():
                ask(name, partial(self._is_open, name))

    def _take(self, news: Progress | None) -> None:
        if news is None:
            self._ended = True
            return
        if news.kind == "gate":
            if news.state == PENDING and self._gates.get(news.name) != PENDING:
                self._unasked[news.name] = None
            elif news.state != PENDING:
                self._unasked.pop(news.name, None)
            self._gates[news.name] = news.state
        if not self._begun:
            self._begun = True
            self._teller.begin(self._runner.session or "")
        self._teller.told(news)

    def _is_open(self, name: str) -> bool:
        """Whether it still makes sense to ask; takes what was told meanwhile."""
        while not self._news.empty():
            self._take(self._news.get())
        return self._gates.get(name) == PENDING and not self._ended and not self._stops

    def _stop(self) -> None:
        self._stops += 1
        self._runner.stop()
        if self._stops == 1:
            self._teller.remark("ending the agents; once more kills them")


@contextmanager
def _signals() -> Iterator[None]:
    """While this lasts, what would end the process is a Ctrl-C; what is ignored stays so."""
    usual = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) == signal.SIG_DFL]
    for one in usual:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in usual:
            signal.signal(one, signal.SIG_DFL)


def asker(memory: Memory, gates: Mapping[str, str], namespace: str) -> Ask:
    """Puts the question at a gate (name -> key) to the person at this terminal, in whose name `memory` writes."""
    from gitmem.cli import review

    def ask(name: str, is_open: Callable[[], bool]) -> None:
        def answer(seen: Any) -> Any:
            return review.ask_person(seen, lambda question: _typed(question, is_open))

        try:
            review.review_one(memory, gates[name], namespace=namespace, ask=answer)
        except GitmemError as error:  # somebody was quicker, or took the gate away
            note(error.message)

    return ask


def _typed(question: str, is_open: Callable[[], bool]) -> str:
    """The line that was typed; nothing at the end of the input, or when the question is none any more."""
    click.echo(f"{question}: ", nl=False)
    while not select.select([sys.stdin], [], [], _LOOK)[0]:
        if not is_open():
            click.echo("(it is answered, or the run has ended)")
            return ""
    return os.read(sys.stdin.fileno(), 1 << 16).decode(errors="replace").strip()
