"""`gitmem retrieve`: alone in its file, since agents call it again and again, a process each time.

Knows one key; imports the verbs only if it is asked for more than the present value.
Law: a string is printed bare, anything else as the JSON that is stored; --json is always JSON.
"""

from __future__ import annotations

from typing import Any

import click

from gitmem.cli.command import Place, keys_like, verb
from gitmem.cli.output import shown, write, write_json


@verb("retrieve")
@click.argument("key", shell_complete=keys_like)
@click.option("--at", metavar="REV", help="As it was at a commit, tag, session or time.")
@click.option("--default", metavar="JSON", help="Print this if there is no such key, and succeed.")
@click.option("--entry", is_flag=True, help="Print the entry: the value with its version, agent, session and time.")
def retrieve(place: Place, as_json: bool, key: str, at: str | None, default: str | None, entry: bool) -> None:
    """Print the value of a key.

    A string is printed bare, anything else as JSON; --json prints JSON always.
    """
    from gitmem.errors import MissingKeyError

    try:
        found = _value(place, key) if at is None and not entry else _read(place, key, at, entry)
    except MissingKeyError:
        if default is None:
            raise
        from gitmem.cli.values import parse

        found = parse(default)
    if isinstance(found, str) and not as_json:
        write(shown(found))
    else:
        write_json(found)


def _value(place: Place, key: str) -> Any:
    """The value now, read in the cheapest way there is."""
    from gitmem.cli.opening import glance
    from gitmem.keys import DEFAULT_NAMESPACE
    from gitmem.members import ABSENT

    reader, namespace = glance(place), place.namespace or DEFAULT_NAMESPACE
    found = reader.retrieve(namespace, key)
    if found is ABSENT:
        raise reader.missing(namespace, key)
    if reader.witness is not None and (blob := reader.held(namespace, key)) is not None:
        reader.witness.told(namespace, key, blob)
    return found


def _read(place: Place, key: str, at: str | None, entry: bool) -> Any:
    """The value or the entry, now or then."""
    from gitmem.cli.opening import reading

    view = reading(place)
    then = view if at is None else view.at(at)
    return then.entry(key).to_json() if entry else then.retrieve(key)
