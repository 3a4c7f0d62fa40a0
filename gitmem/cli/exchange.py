"""The commands that take in and give back: import, export.

Knows how a report is printed; what is taken in, and how, is decided by `gitmem.exchange`.
Law: what was not taken in is listed with its reason, and the exit code says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import click

from gitmem.cli.command import Place, verb
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import counted, line, write, write_json


@verb("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--form", metavar="FORM",
              help="What SOURCE is, if its content should not tell: claude-flow, ruflo, "
              "gitmem or folder.")  # fmt: skip
@click.pass_context
def import_source(ctx: click.Context, place: Place, as_json: bool, source: Path, form: str | None) -> None:
    """Take in a store of claude-flow or ruflo, an export, or a folder.

    SOURCE is a SQLite file of claude-flow 2.x, a ruflo-memory-export/v1 file, the JSON lines of `gitmem export`, or a
    folder of JSON files. Times and sources become the commits'; access counts and the like are not kept. Exits with 1
    if something could not be taken in.

    What is imported is written last, whatever its time says: it stands over what lies here under the same key. The
    history keeps that, and what it holds already does not come again.
    """
    from gitmem.exchange import import_file

    report = import_file(writing(place), source, form=form, namespace=place.namespace)
    if as_json:
        write_json(report.to_json())
    else:
        write(f"{report.form}: {counted(report.entries, 'entry', 'entries')}, {counted(report.commits, 'commit')}")
        expired = f" ({report.expired} of them had expired: in the history, absent now)" if report.expired else ""
        write(f"{report.stored} stored{expired}, {report.unchanged} unchanged")
        for old, new in report.renamed:
            write(f"renamed: {line(old)} is {line(new)} here")
        for where, reason in report.refused:
            write(f"refused: {line(where)}: {line(reason)}")
    ctx.exit(1 if report.refused else 0)


@verb("export")
@click.argument("pattern", required=False)
@click.option("--history", is_flag=True, help="Every version, not only the last one.")
@click.option("--output", "-o", type=click.File("w", encoding="utf-8", lazy=True), default="-", metavar="FILE",
              help="Write to a file instead of stdout.")  # fmt: skip
def export(place: Place, as_json: bool, pattern: str | None, history: bool, output: IO[str]) -> None:
    """Print entries as JSON lines, oldest first.

    A line is an entry, with --history a version, as `gitmem history --json` shows it; `gitmem import` takes them back.
    All namespaces unless one is named; PATTERN is a glob. It is JSON with or without --json.
    """
    from gitmem.exchange import export as lines

    write_lines(lines(reading(place), namespace=place.only, glob=pattern, history=history), output)


def write_lines(versions: Iterable[dict[str, Any]], output: IO[str]) -> None:
    """Write JSON objects, one a line."""
    import json

    for version in versions:
        output.write(_one_line(json.dumps(version, ensure_ascii=False)) + "\n")
    output.flush()


def _one_line(text: str) -> str:
    """JSON with the characters escaped at which some readers of lines also end one."""
    for separator in "\x85\u2028\u2029":
        text = text.replace(separator, f"\\u{ord(separator):04x}")
    return text
