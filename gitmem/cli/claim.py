"""The commands about who works on what: claim take, renew, release, list.

Knows what is typed and printed; a claim's rules are the recipe's.
Law: on stdout `take` prints the token and nothing else, so that a script keeps it; what a person wants to know beside
it goes to stderr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitmem.cli.command import Place, family
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import hint, line, note, short, write, write_json, write_table
from gitmem.entries import format_time
from gitmem.errors import typed
from gitmem.recipes.claim import FOLDER, TTL, Claims, holder

if TYPE_CHECKING:
    from gitmem.entries import Entry

_TTL = click.option("--ttl", type=float, default=TTL, metavar="SECONDS",
                    help=f"The claim ends by itself after so many seconds; {TTL:g} when left out.")  # fmt: skip
_TOKEN = click.option("--token", metavar="REV", help="The claim that was taken with this token; without it the one "
                      "that this agent holds.")  # fmt: skip


@family("claim")
def claim() -> None:
    """Take a task, so that nobody else does.

    A claim is the key claims/TASK (a TASK with a / is the full key), in the namespace coordination unless another is
    named. It ends when it is released, or by itself; renew it while you work. Its token is a fence: a write with
    --guard claims/TASK@TOKEN is refused once the claim is over, even if you have not noticed.
    """


@claim.verb("take")
@click.argument("task")
@_TTL
@click.option("--timeout", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="If somebody holds it, "
              "wait so long for its release or expiry; not at all when left out.")  # fmt: skip
def take(place: Place, as_json: bool, task: str, ttl: float, timeout: float) -> None:
    """Take a task, and print the claim's token.

    If somebody holds it, the exit code is 4, and the error says who, until when.
    """
    taken = Claims(writing(place), namespace=place.namespace).take(task, ttl=ttl, timeout=timeout)
    if as_json:
        write_json(taken.entry.to_json())
        return
    write(taken.token)
    note(f"{taken.key} is {holder(taken.entry)}'s{_until(taken.entry)}; "
         f"for writes: --guard {typed(taken.key)}@{taken.token}")  # fmt: skip


@claim.verb("renew")
@click.argument("task")
@_TOKEN
@_TTL
def renew(place: Place, as_json: bool, task: str, token: str | None, ttl: float) -> None:
    """Go on holding a task, for --ttl seconds from now.

    The token stays the same. If the claim is over, the exit code is 4: stop working.
    """
    claims = Claims(writing(place, create=False), namespace=place.namespace)
    entry = claims.mine(task, token=token).renew(ttl)
    write_json(entry.to_json()) if as_json else write(f"renewed {line(entry.key)}{_until(entry)}")


@claim.verb("release")
@click.argument("task")
@_TOKEN
def release(place: Place, as_json: bool, task: str, token: str | None) -> None:
    """Let others have a task.

    If the claim was over before, the exit code is 4.
    """
    mine = Claims(writing(place, create=False), namespace=place.namespace).mine(task, token=token)
    mine.release()
    write_json(mine.entry.to_json()) if as_json else write(f"released {line(mine.key)}")


@claim.verb("list")
@click.argument("pattern", default=f"{FOLDER}**")
def list_claims(place: Place, as_json: bool, pattern: str) -> None:
    """List the claims that hold.

    PATTERN is a glob. The columns: key, holder, until when (- for no end), the beginning of the token.
    """
    found = Claims(reading(place), namespace=place.namespace).held(pattern)
    if as_json:
        write_json([entry.to_json() for entry in found])
        return
    rows = [(one.key, holder(one), _end(one), short(one.revision)) for one in found]
    write_table(rows, ["cyan", None, None, "yellow"])
    if not found:
        hint("nobody holds a claim: `gitmem claim take TASK` takes a task")


def _end(entry: Entry) -> str:
    return "-" if entry.expires is None else format_time(entry.expires)


def _until(entry: Entry) -> str:
    return "" if entry.expires is None else f" until {format_time(entry.expires)}"
