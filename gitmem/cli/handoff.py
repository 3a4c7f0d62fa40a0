"""The commands of a chain: an agent completes a step, the next one receives it.

Knows what is typed and printed; what counts as complete is decided by `recipes.handoff`.
Law: `receive` prints what `retrieve` would, and prints nothing before the step is complete.
"""

from __future__ import annotations

from typing import Any

import click

from gitmem.cli import values
from gitmem.cli.command import Place, family, keys_like
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import compact, hint, write_array, write_table
from gitmem.cli.recipes import ENTRY, MESSAGE, TIMEOUT, tell_value, told_why
from gitmem.cli.writes import tell_entry
from gitmem.entries import format_time
from gitmem.recipes.ground import coordinating
from gitmem.recipes.handoff import STEPS, Handoff

_REQUIRES = click.option("--requires", multiple=True, metavar="FIELD", help="A field that the result must have: a "
                         "member's name, or a JSON pointer such as /services/0/name. May be repeated.")  # fmt: skip


@family("handoff")
def handoff() -> None:
    """Hand work over, from one agent to the next.

    A step is a key, such as handoff/step1/research-complete. Without --namespace (or GITMEM_NAMESPACE) steps lie in
    the namespace `coordination`.
    """


@handoff.verb("complete")
@click.argument("step", shell_complete=keys_like)
@click.argument("value", required=False)
@values.value_options
@_REQUIRES
@MESSAGE
def complete(
    place: Place, as_json: bool, step: str, value: str | None, source: Any, as_text: bool, requires: tuple[str, ...],
    message: str | None,
) -> None:  # fmt: skip
    """Hand a result over.

    VALUE is read as `gitmem store` reads it. If it lacks a required field, nothing is stored (exit 7).
    """
    wanted = values.read(value, source, as_text=as_text)
    steps = Handoff(writing(place), namespace=place.namespace)
    tell_entry("completed", steps.complete(step, wanted, requires=requires, message=message), as_json)


@handoff.verb("receive")
@click.argument("step", shell_complete=keys_like)
@_REQUIRES
@TIMEOUT
@ENTRY
def receive(
    place: Place, as_json: bool, step: str, requires: tuple[str, ...], timeout: float | None, whole: bool
) -> None:
    """Wait for a result, and print it.

    A value that lacks a required field does not count yet.
    """
    memory = coordinating(reading(place), place.namespace)
    with told_why(memory):
        entry = Handoff(memory, namespace=memory.namespace).receive(step, requires=requires, timeout=timeout)
    tell_value(entry, as_json, whole=whole)


@handoff.verb("status")
@click.argument("pattern", default=STEPS)
def status(place: Place, as_json: bool, pattern: str) -> None:
    """List the steps that are complete.

    PATTERN is a glob; `handoff/**` if none is given. The columns: step, agent, time, value.
    """
    found = Handoff(reading(place), namespace=place.namespace).status(pattern)
    if as_json:
        write_array(entry.to_json() for entry in found)
        return
    rows = [(entry.key, entry.agent, format_time(entry.time), compact(entry.value)) for entry in found]
    write_table(rows, ["cyan", None, "yellow"])
    if not found:
        hint(f"no step matches {pattern} yet")
