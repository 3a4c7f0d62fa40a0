"""The command status: how a swarm stands, once or live.

Knows how it is shown; what there is to show is the recipe's.
Law: on a terminal it is a table that is drawn anew, and ages while nothing happens; into a pipe each line says what it
is about, and nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from gitmem.cli.command import Place, verb
from gitmem.cli.opening import reading
from gitmem.cli.output import compact, counted, hint, on_terminal, paint, table, write, write_json
from gitmem.entries import format_time
from gitmem.recipes.gate import feedback_text
from gitmem.recipes.status import LAST, Status

if TYPE_CHECKING:
    from gitmem.recipes.gate import GateStatus
    from gitmem.recipes.status import AgentStatus, ClaimStatus, Swarm, Written

_REFRESH = 5.0  # seconds after which a table's ages are drawn anew
_MOST_KEYS = 3
_COLOURS = {
    "blocked": "magenta", "done": "green", "failed": "red", "pending": "yellow", "rejected": "red",
    "stopped": "red", "working": "cyan",
}  # fmt: skip
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@verb("status")
@click.option("--watch", is_flag=True, help="Go on, and show it anew after each change, until interrupted; into a pipe "
              "a block, or with --json a line, for each.")  # fmt: skip
@click.option("--last", type=click.IntRange(min=0), default=LAST, metavar="N", help=f"So many of the last commits; "
              f"{LAST} when left out.")  # fmt: skip
def status(place: Place, as_json: bool, watch: bool, last: int) -> None:
    """Show who works, who is blocked and on what, and what waits for a person.

    Agents say it at swarm/AGENT/status: a text, or an object with `state`, `waiting_for` and `reason`. Shown as well:
    gates that are pending or rejected, claims that hold, how many conflicts are open, and what was written last. The
    namespace is coordination unless another is named; commits and conflicts are those of all namespaces.
    """
    found = Status(reading(place), namespace=place.namespace)
    if not watch:
        now = found.read(last=last)
        write_json(now.to_json()) if as_json else _write(_lines(now))
        if not as_json and not now.agents:
            hint(f"no agent has stored swarm/AGENT/status in {now.namespace}")
    elif on_terminal() and not as_json:
        _draw(found, last)
    else:
        for now in found.follow(last=last):
            write(compact(now.to_json())) if as_json else _write([*_lines(now), ""])


def _write(lines: Iterable[str]) -> None:
    write("\n".join(lines))


def _draw(found: Status, last: int) -> None:
    """The table in place: what does not fit on the terminal is cut, not scrolled."""
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, vertical_overflow="ellipsis") as live:
        for now in found.follow(last=last, every=_REFRESH):
            live.update(Text.from_ansi("\n".join(_lines(now)), no_wrap=True, overflow="crop"), refresh=True)


def _lines(now: Swarm) -> list[str]:
    """Parts with titles on a terminal; into a pipe each line begins with its part."""
    many = f"{counted(now.conflicts, 'conflict')} left to a person"
    parts: list[tuple[str, str, list[list[str]]]] = [
        ("agent", "agents", [_agent(one) for one in now.agents]),
        ("gate", "gates that hold somebody back", [_gate(one, now.time) for one in now.gates]),
        ("claim", "claims", [_claim(one, now.time) for one in now.claims]),
        ("written", "last written", [_written(one, now.time) for one in now.last]),
    ]
    if not on_terminal():
        rows = [[kind, *row] for kind, _, part in parts for row in part]
        return [*table(rows), f"conflicts\t{now.conflicts}"]
    made = []
    for _, title, part in parts:
        if part:
            made += [paint(title, "yellow"), *_painted([[f"  {first}", *rest] for first, *rest in part]), ""]
    return [*made, paint(f"{many}: gitmem conflicts", "red") if now.conflicts else "no conflicts"]


def _painted(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """The lines of a table, each in the colour of its second column, the state."""
    return (paint(text, _COLOURS.get(row[1])) for row, text in zip(rows, table(rows), strict=True))


def _agent(one: AgentStatus) -> list[str]:
    said = compact(one.entry.value) if one.state is None else ""
    return [one.agent, one.state or "-", _age(one.age), "; ".join(filter(None, (one.why, said))) or "-"]


def _gate(one: GateStatus, now: datetime) -> list[str]:
    age = "-" if one.entry is None else _since(one.entry.time, now)
    shows = f"shows {', '.join(one.shows)}" if one.shows else ""
    said = "" if one.feedback is None else feedback_text(one.feedback)
    return [one.name, one.state, age, "; ".join(filter(None, (f"by {one.by}", said, shows)))]


def _claim(one: ClaimStatus, now: datetime) -> list[str]:
    if one.entry.expires is None:
        return [one.task, one.by, _since(one.entry.time, now), "until it is released"]
    left = _age(max(0, int((one.entry.expires - now).total_seconds())))
    return [one.task, one.by, _since(one.entry.time, now), f"until {format_time(one.entry.expires)}, {left} left"]


def _written(one: Written, now: datetime) -> list[str]:
    keys = [f"{namespace} {key}" for namespace, key in one.keys[:_MOST_KEYS]]
    more = [f"{len(one.keys) - _MOST_KEYS} more"] if len(one.keys) > _MOST_KEYS else []
    return [_since(one.time, now), one.agent, one.revision[:12], ", ".join([*keys, *more])]


def _since(time: datetime, now: datetime) -> str:
    return _age(max(0, int((now - time).total_seconds())))


def _age(seconds: int) -> str:
    """`12 s`, `3 min`, `2 h`, `5 d`."""
    size, unit = next((one for one in _UNITS if seconds >= one[0]), (1, "s"))
    return f"{seconds // size} {unit}"
