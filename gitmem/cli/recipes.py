"""What the families of recipes have in common: how long to wait, and the printing of what was waited for.

Knows options and values; does not know any pattern.
Law: what is printed of a key is what `gitmem retrieve` prints of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitmem.cli.output import shown, write, write_json

if TYPE_CHECKING:
    from gitmem.entries import Entry

TIMEOUT = click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer than this "
                       "(exit 5); 0 only looks. Without it, for ever.")  # fmt: skip
MESSAGE = click.option("--message", "-m", metavar="TEXT", help="The commit's subject: one line.")
ENTRY = click.option("--entry", "whole", is_flag=True, help="Print the entry: the value with its version, agent, "
                     "session and time.")  # fmt: skip


def tell_value(entry: Entry, as_json: bool, *, whole: bool) -> None:
    """Print an entry's value: a string bare, anything else as JSON; the whole entry if it is asked for."""
    if whole:
        write_json(entry.to_json())
    elif isinstance(entry.value, str) and not as_json:
        write(shown(entry.value))
    else:
        write_json(entry.value)
