"""How two runs that were compared are shown: a table for people.

Knows rows; what is compared is decided by `Sessions.compare`, how keys are aligned by `Memory.compare`.
Law: what is not shown is counted; into a pipe each line says what it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from gitmem.cli.output import compact, counted, line, on_terminal, paint, table
from gitmem.cli.session_show import MOST, lasting, state_of
from gitmem.entries import ABSENT
from gitmem.errors import UnknownRevisionError

if TYPE_CHECKING:
    from gitmem.recipes.session import Sessions
    from gitmem.runs.comparing import Comparison, MemberPair, Pair
    from gitmem.runs.effects import Effect

_LONGEST = 40


def told(found: Comparison, sessions: Sessions, *, whole: bool) -> Iterator[str]:
    """The lines: the two runs, how much they share, what differs in it, and what only one has."""
    most = None if whole else MOST
    differing = [one for one in found.pairs if not one.same]
    names = ("A", found.a), ("B", found.b)
    yield from table([(side, name, _about(sessions, name)) for side, name in names], ("yellow", "cyan"))
    same = len(found.pairs) - len(differing)
    both = f"{counted(len(found.pairs), 'key')} in both: {len(differing)} differ, {same} the same"
    yield f"{both}; {len(found.only_a)} only in A, {len(found.only_b)} only in B"
    yield from _differences(differing, most)
    for side, effects in (("A", found.only_a), ("B", found.only_b)):
        yield from _only(side, effects, most)


def _about(sessions: Sessions, name: str) -> str:
    try:
        one = sessions.one(name)
    except UnknownRevisionError:
        return "-"
    return f"{state_of(one)}, {lasting(one.duration)}, {counted(one.commits, 'commit')} by {', '.join(one.agents)}"


def _differences(pairs: Sequence[Pair], most: int | None) -> Iterator[str]:
    """Under each key the places that differ: pointer, A's value, B's, and B - A of numbers."""
    rows = [(pair, member) for pair in islice(pairs, most) for member in islice(pair.members, most)]
    if not on_terminal():
        yield from table(["differs", pair.namespace, pair.key, *_cells(member)] for pair, member in rows)
    else:
        cells = [_cells(member) for _, member in rows]
        lines = iter(list(table([[f"    {pointer}", *rest] for pointer, *rest in cells])) if cells else [])
        for pair in islice(pairs, most):
            yield paint(f"~ {line(pair.namespace)} {line(pair.key)}", "yellow")
            yield from islice(lines, len(pair.members[:most]))
            yield from _more(len(pair.members), most, "    ")
    yield from _more(len(pairs), most, "")


def _cells(member: MemberPair) -> list[str]:
    moved = "" if member.difference is None else f"{member.difference:+}"
    return [member.pointer or "(all)", _side(member.a), _side(member.b), moved]


def _side(value: Any) -> str:
    text = "-" if value is ABSENT else compact(value)
    return text if len(text) <= _LONGEST or not on_terminal() else text[: _LONGEST - 1] + "…"


def _only(side: str, effects: Sequence[Effect], most: int | None) -> Iterator[str]:
    rows = [(f"only {side}", one.namespace, one.key, one.operation) for one in effects[:most]]
    yield from table(rows, ("magenta",)) if rows else ()
    yield from _more(len(effects), most, "")


def _more(number: int, most: int | None, indent: str) -> Iterator[str]:
    if most is not None and number > most:
        yield f"{indent}… and {number - most} more: --all shows them"
