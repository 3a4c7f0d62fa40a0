"""Text for people and JSON for programs: everything that the commands print.

Knows terminals, colours and columns; does not know what is printed.
Law: on a terminal nobody's text reaches it raw: control characters, line separators and those that turn the
direction of writing are printed as JSON escapes. Into a pipe a value and a key go exactly as they are.
Programs read --json; the columns are for people.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import click

Row = Sequence[str]

SIGNS = {"created": "+", "modified": "~", "deleted": "-", "unchanged": "="}
COLOURS = {"created": "green", "modified": "yellow", "deleted": "red"}
"""How it is shown what became of a key."""


def on_terminal() -> bool:
    """Whether what is printed is read by a person, now."""
    return sys.stdout.isatty()


def colourful() -> bool:
    """Whether colours are wanted: on a terminal that knows them, unless NO_COLOR says otherwise."""
    return on_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str | None) -> str:
    """The text in this colour, where colours are wanted."""
    return click.style(text, fg=colour) if colour and colourful() else text


def write(text: str) -> None:
    """Print one piece of output, as it is: click would take what looks like a colour out of a stored value."""
    click.echo(text, color=True)


def note(text: str) -> None:
    """Tell a person something that is no output: a line on stderr."""
    click.echo(line(text), err=True)


def hint(text: str) -> None:
    """Tell a person what to do next, on stderr."""
    note(f"hint: {text}")


def line(text: str) -> str:
    """Anybody's text as one line that no terminal obeys."""
    return text.translate(_escapes())


@lru_cache(1)
def _escapes() -> dict[int, str]:
    """JSON escapes for control characters, line separators, half pairs and changes of direction."""
    turning = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    unsafe = chain(range(0x20), range(0x7F, 0xA0), turning, (0x2028, 0x2029, 0xFEFF), range(0xD800, 0xE000))
    return {code: f"\\u{code:04x}" for code in unsafe} | {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}


def shown(text: str) -> str:
    """A text with its lines and tabs for whoever reads: as it is into a pipe, harmless on a terminal."""
    if not on_terminal():
        return text
    return "\n".join("\t".join(map(line, each.split("\t"))) for each in text.split("\n"))


def json_text(value: Any) -> str:
    """JSON for programs; on a terminal with the same escapes as any other text."""
    import json

    return json.dumps(value, ensure_ascii=False, indent=2)


def write_json(value: Any) -> None:
    """Print a value as JSON."""
    write(shown(json_text(value)))


def write_array(values: Iterable[Any]) -> None:
    """Print a JSON array element by element: it may be longer than memory is large."""
    opened = False
    for value in values:
        text = "\n".join("  " + each for each in shown(json_text(value)).split("\n"))
        click.echo((",\n" if opened else "[\n") + text, nl=False, color=True)
        opened = True
    click.echo("\n]" if opened else "[]")


def compact(value: Any) -> str:
    """A value on one line."""
    import json

    return line(json.dumps(value, ensure_ascii=False))


def write_table(rows: Iterable[Row], colours: Sequence[str | None] = ()) -> None:
    """Print rows: in columns on a terminal, the last one cut at its edge; with tabs and uncut into a pipe."""
    for text in table(rows, colours):
        write(text)


def table(rows: Iterable[Row], colours: Sequence[str | None] = ()) -> Iterator[str]:
    """The lines that `write_table` prints."""
    if on_terminal():
        return _columns([[line(cell) for cell in row] for row in rows], colours)
    return ("\t".join(line(cell) for cell in row) for row in rows)


def _columns(rows: list[list[str]], colours: Sequence[str | None]) -> Iterator[str]:
    import shutil

    width = shutil.get_terminal_size().columns
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        *cells, last = row
        room = max(20, width - sum(widths[:-1]) - 2 * len(cells))
        last = last if len(last) <= room else last[: room - 1] + "…"
        padded = [*(cell.ljust(size) for cell, size in zip(cells, widths, strict=False)), last]
        yield "  ".join(
            paint(cell, colours[at] if at < len(colours) else None) for at, cell in enumerate(padded)
        ).rstrip()


def counted(number: int, one: str, many: str = "") -> str:
    """`1 entry`, `2 entries`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def nearest(word: str, known: Iterable[str]) -> str:
    """What somebody may have meant who used a word that nobody knows: the nearest, else all there are."""
    from difflib import get_close_matches

    words = {one.casefold(): one for one in known}
    near = get_close_matches(word.casefold(), words, n=1)
    return f"did you mean {words[near[0]]}?" if near else f"there are {', '.join(words.values())}"


def short(revision: str) -> str:
    """Enough of a commit's id for a person, and for any command that takes a revision."""
    return revision[:12]
