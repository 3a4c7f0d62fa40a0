"""`gitmem config`: the settings that all who share a memory have in common.

Knows what is typed and how it is printed; what a setting takes is decided by `settings`.
Law: with a name alone nothing is written. An edit is one commit, and travels with the memory.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import click

from gitmem.cli import values
from gitmem.cli.command import Place, verb
from gitmem.cli.failures import Misused
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import write, write_json, write_table
from gitmem.entries import UNSET
from gitmem.policy import SETTINGS


def _names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in SETTINGS if name.startswith(incomplete)]


@verb("config")
@click.argument("name", required=False, shell_complete=_names)
@click.argument("value", required=False)
@click.option("--unset", is_flag=True, help="Let it be as it is where nothing is said.")
@click.option("--message", "-m", metavar="TEXT", help="The commit's subject: one line.")
def config(
    place: Place, as_json: bool, name: str | None, value: str | None, unset: bool, message: str | None
) -> None:
    """List the settings, print one, or set it.

    They hold for all who share the memory; setting one is a commit of gitmem.toml. abandoned_after is seconds: after so
    long without a write a session that nobody ended is shown as abandoned. With audit_reads true, each machine notes
    who reads what there under a session: `gitmem trace`. max_value_bytes is the size of the largest value. The columns
    of the list: name, value, `set` or `default`, meaning. How merges settle conflicts is said by `gitmem rules`, what
    values look like by `gitmem contract`.
    """
    if unset and (name is None or value is not None):
        raise Misused("--unset takes the name of a setting, and no value", hint="gitmem config --unset audit_reads")
    if message is not None and value is None and not unset:
        raise Misused("--message goes with a value, or with --unset")
    if name is None:
        _list(place, as_json)
    elif value is None and not unset:
        write_json(reading(place).settings.get(name))
    else:
        _edit(place, as_json, name, value, message)


def _list(place: Place, as_json: bool) -> None:
    settings = reading(place).settings
    found, said = settings.values(), settings.policy.document
    if as_json:
        write_json(found)
        return
    rows = [
        (name, json.dumps(value), "set" if name in said else "default", SETTINGS[name].meaning)
        for name, value in found.items()
    ]
    write_table(rows, ["cyan", "yellow"])


def _edit(place: Place, as_json: bool, name: str, value: str | None, message: str | None) -> None:
    from gitmem.settings import check_setting

    wanted: Any = UNSET if value is None else values.parse(value)
    check_setting(name, wanted)  # before a memory is made for it
    settings = writing(place).settings
    change = settings.unset if wanted is UNSET else partial(settings.set, value=wanted)
    before, now = change(name, message=message), settings.get(name)
    if as_json:
        write_json({"name": name, "value": now, "before": before})
    else:
        changed = f"was {json.dumps(before)}" if before != now else "as before"
        write(f"{name} = {json.dumps(now)} ({changed})")
