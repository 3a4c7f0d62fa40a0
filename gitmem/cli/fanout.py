"""The commands of a fan-out: publish what is to be done, tell how it went, gather what was made.

Knows what is typed and printed; when all is there is decided by `recipes.fanout`.
Law: stdout holds results alone, and those of `gather` all at once or not at all; how far the workers are is told on
stderr, and only to a person.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli import values
from gitmem.cli.command import Place, family, keys_like
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import compact, line, note, paint, write, write_json, write_table
from gitmem.cli.recipes import MESSAGE, TIMEOUT
from gitmem.cli.writes import tell_entry
from gitmem.recipes.fanout import FanOut

if TYPE_CHECKING:
    from gitmem.recipes.fanout import Progress

_COLOURS = {"done": "green", "failed": "red", "missing": "yellow"}


@family("fanout")
def fanout() -> None:
    """Spread work over several agents, and gather what they made.

    Each worker is named by the key that holds its result, such as fanout/workers/user-service-complete. Without
    --namespace (or GITMEM_NAMESPACE) the keys lie in the namespace `coordination`.
    """


@fanout.verb("publish")
@click.argument("key", shell_complete=keys_like)
@click.argument("value", required=False)
@click.option("--worker", "workers", multiple=True, metavar="KEY", help="Where a worker will store its result; what an "
              "earlier round left there is deleted in the same commit. May be repeated.")  # fmt: skip
@values.value_options
@MESSAGE
def publish(
    place: Place, as_json: bool, key: str, value: str | None, workers: tuple[str, ...], source: Any, as_text: bool,
    message: str | None,
) -> None:  # fmt: skip
    """Store what is to be done.

    VALUE is read as `gitmem store` reads it. Workers wait for KEY: `gitmem handoff receive KEY`.
    """
    wanted = values.read(value, source, as_text=as_text)
    work = FanOut(writing(place), namespace=place.namespace)
    tell_entry("published", work.publish(key, wanted, workers=workers, message=message), as_json)


@fanout.verb("complete")
@click.argument("key", shell_complete=keys_like)
@click.argument("value", required=False)
@values.value_options
@MESSAGE
def complete(
    place: Place, as_json: bool, key: str, value: str | None, source: Any, as_text: bool, message: str | None
) -> None:
    """Store a worker's result.

    VALUE is read as `gitmem store` reads it.
    """
    wanted = values.read(value, source, as_text=as_text)
    work = FanOut(writing(place), namespace=place.namespace)
    tell_entry("completed", work.complete(key, wanted, message=message), as_json)


@fanout.verb("fail")
@click.argument("key", shell_complete=keys_like)
@click.argument("reason", required=False)
@values.value_options
@MESSAGE
def fail(
    place: Place, as_json: bool, key: str, reason: str | None, source: Any, as_text: bool, message: str | None
) -> None:
    """Say that a worker has failed, and why.

    Whoever gathers is told at once. A later `gitmem fanout complete` mends it. REASON is read as a VALUE.
    """
    told = values.read(reason, source, as_text=as_text, name="REASON")
    tell_entry("failed", FanOut(writing(place), namespace=place.namespace).fail(key, told, message=message), as_json)


@fanout.verb("gather")
@click.argument("keys", metavar="KEY...", nargs=-1, required=True, shell_complete=keys_like)
@TIMEOUT
@click.option("--as-completed", is_flag=True, help="Print each result when it comes: a row, or with --json a line.")
def gather(place: Place, as_json: bool, keys: tuple[str, ...], timeout: float | None, as_completed: bool) -> None:
    """Wait for all results, and print them.

    {key: value}; with --json {key: entry}. As soon as one worker has failed, the reason is told (exit 1).
    """
    work = FanOut(reading(place), namespace=place.namespace)
    if as_completed:
        for entry in work.as_completed(keys, timeout=timeout):
            told = entry.to_json()
            write(compact(told) if as_json else f"{paint(line(entry.key), 'cyan')}\t{compact(entry.value)}")
        return
    found = work.gather(keys, timeout=timeout, on_progress=_tell_progress if sys.stderr.isatty() else None)
    write_json({key: entry.to_json() if as_json else entry.value for key, entry in found.items()})


@fanout.verb("progress")
@click.argument("keys", metavar="KEY...", nargs=-1, required=True, shell_complete=keys_like)
def progress(place: Place, as_json: bool, keys: tuple[str, ...]) -> None:
    """Tell how far the workers are.

    The columns: done, failed or missing; the worker's key. Exits with 0 whatever they are.
    """
    found = FanOut(reading(place), namespace=place.namespace).progress(keys).to_json()
    if as_json:
        write_json(found)
        return
    for state, some in found.items():
        write_table([(state, key) for key in some], [_COLOURS[state]])


def _tell_progress(now: Progress) -> None:
    of = len(now.done) + len(now.failed) + len(now.missing)
    note(f"{len(now.done)} of {of} done" + (f", waiting for {', '.join(now.missing)}" if now.missing else ""))
