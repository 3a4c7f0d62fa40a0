"""The table, and its last result beside this file.

Knows lines and files; does not know how they were measured.
Law: a run replaces the lines that it measured and leaves the others, each with its own date.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.measure import Figure

HERE = Path(__file__).parent
HEADINGS = ("work", "ours", "peer", "ratio (least – greatest round)", "aim", "met?")


def row(figure: Figure) -> dict[str, str]:
    """A line as text."""
    return {
        "name": figure.name,
        "work": figure.work,
        "ours": figure.ours,
        "peer": figure.peer,
        "ratio": figure.shown,
        "aim": figure.aim,
        "met": figure.verdict,
    }


def table(figures: Iterable[Figure]) -> list[str]:
    """The lines as a Markdown table."""
    return _table([tuple(row(figure).values())[1:] for figure in figures], HEADINGS)


def keep(system: str, figures: Sequence[Figure]) -> None:
    """Put these lines in the place of their last ones, in `results.json` and `results.md`."""
    path = HERE / "results.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    lines = kept.setdefault(system, {})
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    lines.update({figure.name: {**row(figure), "date": now} for figure in figures})
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    (HERE / "results.md").write_text("\n".join(_document(kept)) + "\n")


def _document(kept: dict[str, dict[str, dict[str, str]]]) -> Iterable[str]:
    yield "# The last results of `python -m tests.bench`"
    for system, lines in kept.items():
        yield from ("", f"## On {system}", "")
        yield from _table([tuple(line.values())[1:] for line in lines.values()], (*HEADINGS, "date"))


def _table(rows: Sequence[tuple[str, ...]], headings: tuple[str, ...]) -> list[str]:
    widths = [max(len(one[column]) for one in (headings, *rows)) for column in range(len(headings))]
    lines = [headings, tuple("-" * width for width in widths), *rows]
    return [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
