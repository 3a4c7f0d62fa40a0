"""What the families of recipes have in common: how long to wait, and the printing of what was waited for.

Knows options and values; does not know any pattern.
Law: what is printed of a key is what `gitmem retrieve` prints of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from gitmem.cli.output import shown, write, write_json
from gitmem.errors import InvalidKeyError, MissingKeyError, WaitTimeoutError

if TYPE_CHECKING:
    from gitmem.entries import Entry
    from gitmem.memory import Memory

TIMEOUT = click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer than this "
                       "(exit 5); 0 only looks. Without it, for ever.")  # fmt: skip
MESSAGE = click.option("--message", "-m", metavar="TEXT", help="The commit's subject: one line.")
ENTRY = click.option("--entry", "whole", is_flag=True, help="Print the entry: the value with its version, agent, "
                     "session and time.")  # fmt: skip


@contextmanager
def told_why(memory: Memory, *, until: str | None = None) -> Iterator[None]:
    """A wait for keys of the memory's namespace that ends in vain tells where the first one is, or what was meant."""
    try:
        yield
    except WaitTimeoutError as error:
        error.hint = "\n".join(filter(None, (*(_why(memory, key, until) for key in error.missing[:1]), error.hint)))
        raise


def _why(memory: Memory, key: str, until: str | None) -> str:
    try:
        entry = memory.entry(key)
    except MissingKeyError as error:
        glob = "keys are waited for one by one, and * is only itself: `gitmem watch` takes a glob"
        return glob if "*" in key else error.hint
    except InvalidKeyError:  # no key, but what was waited for in words
        return ""
    there = f"{key!r} is there (version {entry.version}, by {entry.agent})"
    return "" if until is None else f"{there}, but --until does not hold for it"


def tell_value(entry: Entry, as_json: bool, *, whole: bool) -> None:
    """Print an entry's value: a string bare, anything else as JSON; the whole entry if it is asked for."""
    if whole:
        write_json(entry.to_json())
    elif isinstance(entry.value, str) and not as_json:
        write(shown(entry.value))
    else:
        write_json(entry.value)
