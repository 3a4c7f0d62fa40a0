"""How a session is shown: one line of a list, or all there is to say of it, on one screen.

Knows rows and signs; what there is to say is decided by `recipes.session_report`.
Law: each line begins with what it is about, on a terminal once a part; what does not fit is counted, never dropped
without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gitmem.cli.output import SIGNS, compact, counted, line, on_terminal, paint, short, table
from gitmem.entries import format_time
from gitmem.provenance import slug

if TYPE_CHECKING:
    from gitmem.recipes.journal import JournalEntry
    from gitmem.recipes.session import Report, SessionStatus
    from gitmem.recipes.session_summary import Decision, Summary
    from gitmem.runs.effects import Effect

Rows = Sequence[Sequence[str]]

MOST = 15
"""So many lines of a part are shown unless all are asked for; half of them of those that are seldom long."""
_STATES = {"running": "cyan", "done": "green", "failed": "red", "interrupted": "red", "abandoned": "magenta"}
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_MOST_AGENTS = 3


def row(one: SessionStatus, now: datetime, *, active: bool) -> tuple[str, ...]:
    """One line of the list. A topic is in the name already, but for what no shell takes as it is."""
    names = list(one.agents)
    more = f" and {len(names) - _MOST_AGENTS} more" if len(names) > _MOST_AGENTS else ""
    topic = f"{one.topic}: " if one.topic and not slug(one.topic) else ""
    return (
        one.id + ("*" if active else ""),
        state_of(one),
        f"{lasting(max(0, int((now - one.written).total_seconds())), units=1)} ago",
        lasting(one.duration),
        counted(one.commits, "commit"),
        topic + ", ".join(names[:_MOST_AGENTS]) + more,
    )


def state_of(one: SessionStatus) -> str:
    """The state, and whether the session was taken back."""
    return one.state if one.undone_by is None else f"{one.state}, undone"


def lasting(seconds: int, *, units: int = 2) -> str:
    """`12 s`, `3 min`, `2 h 5 min`, `5 d 1 h`: the largest units."""
    first = next((place for place, (size, _) in enumerate(_UNITS) if seconds >= size), len(_UNITS) - 1)
    words: list[str] = []
    for size, unit in _UNITS[first : first + units]:
        words += [f"{seconds // size} {unit}"] if seconds >= size or not words else []
        seconds %= size
    return " ".join(words)


def told(made: Report, *, whole: bool = False) -> list[str]:
    """All there is to say of a session, part by part."""
    did = made.summary
    lines = [_headline(made.status)]
    parts: tuple[tuple[str, Rows, Sequence[str | None]], ...] = (
        ("about", _about(made), ()),
        ("agents", [_agent(name, counts) for name, counts in did.agents.items()], ("cyan",)),
        ("keys", [(_counts(made),)], ()),
        ("", [_change(one) for one in made.changes], ()),
        ("reads", [(name, f"{counted(number, 'key')} here") for name, number in made.reads.items()], ("cyan",)),
        ("settings", [(one.message, f"{one.agent} at {one.time}") for one in did.settings], ("yellow",)),
        ("decided", _decided(did), ("cyan",)),
        ("conflicts", _conflicts(did), ()),
        ("journal", [_note(one) for one in did.journal if one.kind != "decision"], ("cyan",)),
        ("patterns", _patterns(did), ("cyan",)),
        ("artifacts", [(one,) for one in _artifacts(did)], ()),
        ("open", [(one.kind, one.key, one.says) for one in made.open] or [("nothing",)], ("magenta",)),
    )
    for title, rows, colours in parts:
        most = None if whole else MOST if not title else MOST // 2
        lines += _part(title or "keys", rows, colours, most=most, go_on=not title)
    return lines


def _headline(one: SessionStatus) -> str:
    undone = "" if one.undone_by is None else f", undone by {short(one.undone_by)}"
    return f"{paint(line(one.id), 'yellow')}  {paint(line(one.state), _STATES.get(one.state))}{paint(undone, 'red')}"


def _part(title: str, rows: Rows, colours: Sequence[str | None], *, most: int | None, go_on: bool) -> Iterator[str]:
    """The lines of a part: on a terminal its title stands before the first one alone."""
    shown = rows[:most]
    if not on_terminal():
        yield from table([(title, *one) for one in shown])
    else:
        titles = ["" if go_on or number else title for number in range(len(shown))]
        cells = [(f"{first:<9}", *one) for first, one in zip(titles, shown, strict=True)]
        yield from table(cells, ("yellow", *colours)) if cells else ()
    if len(rows) > len(shown):
        more = f"… and {len(rows) - len(shown)} more: --all shows them"
        yield f"{'':<11}{more}" if on_terminal() else f"{title}\t{more}"


# --- the parts


def _about(made: Report) -> Rows:
    one = made.status
    rows = [("topic", one.topic)] if one.topic else []
    far = " so far" if one.is_open else ""
    until = format_time(one.end or one.written)
    rows.append(("time", f"{lasting(one.duration)}{far}, {format_time(one.start)} to {until}"))
    if made.late is not None:
        rows.append(("late", f"somebody wrote under it after its end: {format_time(made.late)}"))
    said = (("phase", made.phase), ("progress", made.progress))
    return rows + [(name, _text(value)) for name, value in said if value not in (None, one.state)]


def _agent(name: str, counts: object) -> tuple[str, ...]:
    assert isinstance(counts, dict)
    return name, counted(counts["commits"], "commit"), counted(counts["keys"], "key")


def _counts(made: Report) -> str:
    counts = {**made.summary.keys, "as before": sum(one.operation == "unchanged" for one in made.changes)}
    return ", ".join(f"{number} {word}" for word, number in counts.items() if number) or "none written"


def _change(one: Effect) -> tuple[str, ...]:
    versions = f" ({one.versions} versions)" if one.versions > 1 else ""
    return f"{SIGNS[one.operation]} {one.namespace}", one.key, ", ".join(one.agents) + versions


def _decided(did: Summary) -> Rows:
    notes = [one for one in did.journal if one.kind == "decision"]
    return [*map(_decision, did.gates), *map(_note, notes)]


def _decision(one: Decision) -> tuple[str, ...]:
    signed = "" if one.by == one.signed_by else f" (signed by {one.signed_by})"
    return "gate", one.gate, f"{one.state}, by {one.by}{signed} at {one.time}"


def _note(one: JournalEntry) -> tuple[str, ...]:
    return one.kind or "-", one.title, f"{one.author} at {format_time(one.time)}"


def _conflicts(did: Summary) -> Rows:
    settled = {one.id for one in did.settled}
    made = {one.id for one in did.made}
    rows = [(one, "made and settled" if one.id in settled else "made") for one in did.made]
    rows += [(one, "settled") for one in did.settled if one.id not in made]
    return [(word, one.id, f"{one.namespace} {one.key} {one.pointer}".strip()) for one, word in rows]


def _patterns(did: Summary) -> Rows:
    silent = set(did.recalled.without_outcome)
    rows = [("learned", key) for key in did.learned]
    return rows + [("recalled", f"{key} (no outcome told)" if key in silent else key) for key in did.recalled.keys]


def _artifacts(did: Summary) -> Iterable[str]:
    found = did.artifacts
    if found is None:
        return []
    return [_text(one) for one in found] if isinstance(found, list) else [_text(found)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else compact(value)
