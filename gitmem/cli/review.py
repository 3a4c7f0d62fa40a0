"""Reviewing a gate at a terminal: showing what there is to see, asking, and deciding on exactly that.

Knows how a review is printed and asked; which decisions are legal is `recipes.gate`'s. `gitmem run` asks in place
with the same pieces.
Law: an answer is written only if the gate and every key that was shown are still what was shown; otherwise the person
is told, and shown again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import click

from gitmem.cli.failures import report
from gitmem.cli.output import json_text, line, on_terminal, paint, short, shown, write
from gitmem.cli.past import difference
from gitmem.entries import format_time
from gitmem.errors import ConflictError, GitmemError
from gitmem.recipes.gate import NOTHING, PENDING, Gate, GateStatus
from gitmem.recipes.gate_review import Review, Shown, review

if TYPE_CHECKING:
    from gitmem.memory import Memory


class Answer(NamedTuple):
    """What a person says: approve, or reject with a feedback; `later` decides nothing."""

    move: str
    feedback: str | None = None


APPROVE, LATER = Answer("approve"), Answer("later")
Ask = Callable[[Review], Answer]

_WORDS = {"": "later", **{word[:size]: word for word in ("approve", "reject", "later") for size in (1, None)}}
_DONE = {"approve": "approved", "reject": "rejected"}


def is_asked_here() -> bool:
    """Whether a person can be shown something here, and can answer."""
    return sys.stdin.isatty() and on_terminal()


def review_one(memory: Memory, name: str, *, namespace: str | None = None, ask: Ask | None = None) -> GateStatus:
    """Show a gate's plan, ask, and decide; again, with a word, whenever something of it changed meanwhile.

    Gives the gate as it stands then: still pending if the answer was `later`. A gate that is not pending is told, and
    nobody is asked. ConflictError if somebody else decided while the person looked; MissingKeyError if there is no
    such gate (any more).
    """
    gate = Gate(memory, name, namespace=namespace)
    while True:
        seen = review(gate)
        if seen.gate.state != PENDING:
            write(f"{line(seen.gate.key)}: {line(seen.gate.told())}")
            return seen.gate
        show(seen)
        answer = (ask or ask_person)(seen)
        if answer.move == "later":
            return seen.gate
        try:
            return _decide(gate, seen, answer)
        except ConflictError as error:
            if gate.read().state not in (PENDING, NOTHING):
                raise
            write(paint(line(error.message), "yellow"))
            write(paint("so the answer was not taken: it was for what stood before", "yellow"))


def _decide(gate: Gate, seen: Review, answer: Answer) -> GateStatus:
    if answer.move == "approve":
        made = gate.approve(feedback=answer.feedback, expect=seen.expect, guard=seen.guard)
    else:
        made = gate.reject(answer.feedback, expect=seen.expect, guard=seen.guard)
    write(f"{_DONE[answer.move]} {line(made.key)}" + (f" ({short(made.entry.revision)})" if made.entry else ""))
    return made


def told_review(memory: Memory, name: str, *, namespace: str | None = None) -> int:
    """As `review_one`, where another gate may come next: what went wrong is told on stderr; gives the exit code."""
    try:
        review_one(memory, name, namespace=namespace)
    except GitmemError as error:
        return report(error)
    return 0


# --- shown


def show(seen: Review) -> None:
    """Print a gate: how it stands, the last decision, the keys that it shows, and what is new in them."""
    write(paint(f"{line(seen.gate.key)}: {line(seen.gate.told())}", "cyan"))
    if seen.decision is not None:
        write(f"before: {line(seen.decision.told())}")
    for one in seen.shown:
        write("")
        _show_value(one)
    if not seen.shown:
        write("it shows no keys: `gitmem gate request NAME --shows KEY` names what to look at")
    write("")
    if seen.since is not None and seen.since.entry is not None:
        entry = seen.since.entry
        write(f"since the request of {format_time(entry.time)} ({short(entry.revision)}):")
        found = [one.change for one in seen.shown if one.change is not None]
        write("\n".join(map(difference, found)) if found else "nothing has changed")
        write("")


def _show_value(one: Shown) -> None:
    entry = one.entry
    if entry is None:
        write(paint(f"{line(one.key)}: it is not there", "red"))
        return
    author = f"by {line(entry.agent)} at {format_time(entry.time)}"
    write(paint(f"{line(one.key)}: version {entry.version}, {author}", "green"))
    write(shown(entry.value if isinstance(entry.value, str) else json_text(entry.value)))


# --- asked


def ask_person(seen: Review, typed: Callable[[str], str] | None = None) -> Answer:
    """Ask until the answer is one of the three; a rejection also for its reason. No answer means later.

    `typed(question)` gives what was typed: another way to ask than to wait for it.
    """
    typed = typed or _typed
    while True:
        move = _WORDS.get(typed(f"{line(seen.gate.name)}: [a]pprove, [r]eject or [l]ater").lower())
        if move == "approve":
            return APPROVE
        if move == "later":
            return LATER
        if move == "reject" and (reason := typed("what is missing? (nothing: back to the question)")):
            return Answer("reject", reason)


def _typed(question: str) -> str:
    """The line that was typed; nothing at the end of the input. Ctrl-C ends the program."""
    try:
        said: str = click.prompt(question, default="", show_default=False)
    except click.Abort as end:
        if isinstance(end.__cause__ or end.__context__, KeyboardInterrupt):
            raise
        write("")
        return ""
    return said.strip()
