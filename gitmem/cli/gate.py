"""The commands of a gate: one agent requests, somebody decides, others wait.

Knows what is typed and how a gate is told; which moves there are, and who is refused, is decided by `recipes.gate`.
Law: a command that moved a gate prints the state it made; one that is refused moved nothing (exit 4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli import values
from gitmem.cli.command import Place, family
from gitmem.cli.failures import Misused
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import hint, line, short, write, write_array, write_json, write_table
from gitmem.cli.recipes import TIMEOUT
from gitmem.entries import format_time
from gitmem.errors import GitmemError, WaitTimeoutError, typed
from gitmem.recipes.gate import PENDING, Gate, GateStatus, feedback_text, gates, status_of

if TYPE_CHECKING:
    from gitmem.memory import Memory


def _gates_like(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
    """For a shell's completion: the gates that begin like this; none if there is no memory here."""
    place = ctx.ensure_object(Place)
    try:
        return [one.name for one in gates(reading(place), namespace=place.namespace) if one.name.startswith(incomplete)]
    except GitmemError:
        return []


_Decorator = Callable[[Any], Any]
_NAME: _Decorator = click.argument("name", shell_complete=_gates_like)
_SHOWS: _Decorator = click.option("--shows", multiple=True, metavar="KEY", help="A key to look at before deciding. May "
                                  "be repeated; without it, those of the request before.")  # fmt: skip
_FEEDBACK: _Decorator = click.option("--feedback", metavar="TEXT", help="A word to whoever reads the gate.")
_REASON: _Decorator = click.option("--feedback", required=True, metavar="TEXT", help="The reason: it reaches whoever "
                                   "waits.")  # fmt: skip
_EXPECT: _Decorator = click.option("--expect", metavar="V|absent", help="Only if its last version is still this one: a "
                                   "number, a revision, or `absent`.")  # fmt: skip


@family("gate")
def gate() -> None:
    """Let others go on only when somebody has agreed.

    A gate NAME is the key checkpoint/gates/NAME; a NAME with a / is the whole key. Without --namespace (or
    GITMEM_NAMESPACE) gates lie in the namespace `coordination`. A plain `gitmem store KEY approved` counts too.
    """


@gate.verb("request")
@_NAME
@_SHOWS
@_FEEDBACK
@_EXPECT
def request(
    place: Place, as_json: bool, name: str, shows: tuple[str, ...], feedback: str | None, expect: str | None
) -> None:
    """Ask for a decision.

    Until then the gate is pending. `gitmem gate review` shows the keys of --shows to whoever decides.
    """
    made = _gate(writing(place), place, name).request(shows or None, feedback=feedback, expect=values.expected(expect))
    _tell_move(made, "requested", as_json)


@gate.verb("approve")
@_NAME
@_FEEDBACK
@_EXPECT
def approve(place: Place, as_json: bool, name: str, feedback: str | None, expect: str | None) -> None:
    """Let the others go on.

    If somebody has decided already, nothing is written, and what stands is told (exit 4).
    """
    made = _moving(place, name).approve(feedback=feedback, expect=values.expected(expect))
    _tell_move(made, "approved", as_json)
    _tell_unasked(place, made)


@gate.verb("reject")
@_NAME
@_REASON
@_EXPECT
def reject(place: Place, as_json: bool, name: str, feedback: str, expect: str | None) -> None:
    """Hold the others back.

    Whoever waits ends with exit 6 and the feedback. If somebody has decided already, nothing is written (exit 4).
    """
    made = _moving(place, name).reject(feedback, expect=values.expected(expect))
    _tell_move(made, "rejected", as_json)
    _tell_unasked(place, made)


@gate.verb("resubmit")
@_NAME
@_SHOWS
@_FEEDBACK
@_EXPECT
def resubmit(
    place: Place, as_json: bool, name: str, shows: tuple[str, ...], feedback: str | None, expect: str | None
) -> None:
    """Ask again after a rejection.

    A reviewer is shown what has changed since the request before.
    """
    made = _moving(place, name).resubmit(shows or None, feedback=feedback, expect=values.expected(expect))
    _tell_move(made, "resubmitted", as_json)


@gate.verb("complete")
@_NAME
@_FEEDBACK
@_EXPECT
def complete(place: Place, as_json: bool, name: str, feedback: str | None, expect: str | None) -> None:
    """Say that what the gate let through is done.

    No move comes after it.
    """
    made = _gate(writing(place), place, name).complete(feedback=feedback, expect=values.expected(expect))
    _tell_move(made, "completed", as_json)


@gate.verb("reopen")
@_NAME
@_REASON
@_EXPECT
def reopen(place: Place, as_json: bool, name: str, feedback: str, expect: str | None) -> None:
    """Take a decision back.

    It was a slip, or somebody decided who may not. The gate is pending again; who has gone on is not called back.
    """
    made = _moving(place, name).reopen(feedback, expect=values.expected(expect))
    _tell_move(made, "reopened", as_json)


@gate.verb("status")
@_NAME
def status(place: Place, as_json: bool, name: str) -> None:
    """Show how a gate stands.

    Who made the last move, when, with which feedback, and which keys it shows.
    """
    found = _gate(reading(place), place, name).requested()
    if as_json:
        write_json(found.to_json())
        return
    write(f"{line(found.key)}: {line(found.told())}{_revision(found)}")
    for key in found.shows:
        write(f"shows: {line(key)}")


@gate.verb("wait")
@_NAME
@TIMEOUT
def wait(place: Place, as_json: bool, name: str, timeout: float | None) -> None:
    """Wait until a gate is approved, or complete.

    Exits with 6 and tells the feedback as soon as it is rejected.
    """
    waited = _gate(reading(place), place, name)
    try:
        entry = waited.wait_until_approved(timeout=timeout)
    except WaitTimeoutError as error:
        if waited.read().entry is None:
            requested = f"`{waited.command('request')}` does; `gitmem gate list` lists those that have been"
            error.hint = f"nobody has requested it yet: {requested}"
        raise
    found = status_of(entry)
    if as_json or found is None:
        write_json(entry.to_json())
    else:
        write(f"{line(found.key)}: {line(found.told())}{_revision(found)}")


@gate.verb("list")
@click.argument("pattern", default="checkpoint/**")
@click.option("--state", metavar="STATE", type=click.Choice(["pending", "approved", "rejected", "complete"]),
              help="Only those in this state.")  # fmt: skip
def list_gates(place: Place, as_json: bool, pattern: str, state: str | None) -> None:
    """List the gates.

    PATTERN is a glob; `checkpoint/**` if none is given. The columns: gate, state, by, time, feedback.
    """
    found = [one for one in gates(reading(place), pattern, namespace=place.namespace) if state in (None, one.state)]
    if as_json:
        write_array(one.to_json() for one in found)
        return
    write_table([_row(one) for one in found], ["cyan", "yellow"])
    if not found:
        next_step = f" that is {state}" if state else ": `gitmem gate request NAME` makes one"
        hint(f"no gate matches {pattern}{next_step}")


@gate.verb("review")
@click.argument("name", required=False, shell_complete=_gates_like)
@click.pass_context
def review(ctx: click.Context, place: Place, as_json: bool, name: str | None) -> None:
    """Look at what waits for a decision, and decide.

    For each pending gate, or for NAME alone: the values of the keys that it shows, what has changed in them since the
    last request, and then the question: approve, reject (with a feedback), or later. An answer holds for exactly what
    was shown; if that has changed meanwhile, it is shown again. With --json it is printed, and nobody is asked.
    """
    from gitmem.cli import review as reviewing  # the other commands of a gate do without it
    from gitmem.recipes.gate_review import review as look

    memory = reading(place) if as_json else writing(place, create=False)
    names = [name] if name is not None else _pending(memory, place)
    if as_json:
        found = [look(_gate(memory, place, one)) for one in names]
        write_array(one.to_json() for one in found)
        return
    if not reviewing.is_asked_here():
        typed_name = "NAME" if name is None else typed(name)
        raise Misused(
            "a review asks a person, and nobody sits at this command",
            hint=f"`gitmem gate review {typed_name} --json` shows what there is to see; then `gitmem gate approve "
            f"{typed_name} --expect REVISION`, or `gitmem gate reject {typed_name} --feedback TEXT`",
        )
    if not names:
        hint("no gate is pending: `gitmem gate list` lists all")
    codes = [reviewing.told_review(memory, one, namespace=place.namespace) for one in names]
    ctx.exit(next(filter(None, codes), 0))


# --- inside


def _gate(memory: Memory, place: Place, name: str) -> Gate:
    return Gate(memory, name, namespace=place.namespace)


def _moving(place: Place, name: str) -> Gate:
    return _gate(writing(place, create=False), place, name)


def _pending(memory: Memory, place: Place) -> list[str]:
    return [one.key for one in gates(memory, namespace=place.namespace) if one.state == PENDING]


def _tell_move(made: GateStatus, word: str, as_json: bool) -> None:
    write_json(made.to_json()) if as_json else write(f"{word} {line(made.key)}{_revision(made)}")


def _tell_unasked(place: Place, made: GateStatus) -> None:
    """A decision on a gate of which nobody has spoken before: perhaps another one was meant."""
    if made.entry is None or made.entry.version > 1:
        return
    pending = [one.name for one in gates(reading(place), namespace=place.namespace) if one.state == PENDING]
    hint(f"nobody had requested this gate; pending: {', '.join(pending) or 'none'}")


def _revision(status: GateStatus) -> str:
    return "" if status.entry is None else f" ({short(status.entry.revision)})"


def _row(one: GateStatus) -> tuple[str, ...]:
    said = "-" if one.feedback is None else feedback_text(one.feedback)
    return one.name, one.state, one.by or "-", format_time(one.entry.time) if one.entry else "-", said
