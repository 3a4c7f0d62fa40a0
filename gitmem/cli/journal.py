"""The commands of the journal: add, list, search, show, markdown.

Knows what is typed and printed; what an entry is, is decided by `recipes.journal`.
Law: whatever GITMEM_NAMESPACE says, the journal is the one of `captains-log`; only --namespace names another.
"""

from __future__ import annotations

import re
from typing import Any

import click

from gitmem.cli import values
from gitmem.cli.command import Place, family
from gitmem.cli.opening import reading, session_named, writing
from gitmem.cli.output import hint, line, nearest, shown, write, write_array, write_json, write_table
from gitmem.cli.writes import tell_entry
from gitmem.errors import GitmemError
from gitmem.recipes.journal import KINDS, Journal, JournalEntry, markdown_of

_DAY = re.compile(r"\d{4}-\d\d?-\d\d?|today|yesterday")


def _keys_like(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
    """For a shell's completion: the entries' keys that begin like this; none if there is no memory here."""
    try:
        return [one.key for one in _seeing(ctx.ensure_object(Place)).entries() if one.key.startswith(incomplete)]
    except GitmemError:
        return []


def _filters(function: Any) -> Any:
    """The options by which entries are chosen."""
    options = [
        click.option("--day", "--on", metavar="DAY", help="Of this day: 2026-02-28, today or yesterday (UTC)."),
        click.option("--since", metavar="TIME", help="From this day or instant on."),
        click.option("--until", metavar="TIME", help="Up to this day or instant, itself included."),
        click.option("--type", "kind", metavar="TYPE", help=f"Of this type: {', '.join(KINDS)}."),
        click.option("--tag", "--tags", metavar="TAG", help="With this tag."),
        click.option("--by", "--author", "author", metavar="AGENT", help="Of this author."),
        click.option("--of", "of_session", metavar="SESSION", help="Of this session: its name, a part "
                     "of it, or `last`."),
        click.option("--limit", type=click.IntRange(min=0), metavar="N", help="The last N of them."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@family("journal")
def journal() -> None:
    """Keep a journal: decisions, insights, blockers, milestones, questions.

    An entry is the key journal/DATE/TIME-TITLE-DIGITS in the namespace `captains-log`, unless -n names another one; it
    says who wrote it, when (UTC), and in which session. `gitmem delete KEY -n captains-log` takes one away.
    """


@journal.verb("add")
@click.argument("text", required=False)
@click.option("--type", "kind", type=click.Choice(KINDS), default="insight", help="What it is; an insight when left "
              "out.")  # fmt: skip
@click.option("--title", metavar="TEXT", help="One line; the first line of TEXT when left out.")
@click.option("--tags", "--tag", multiple=True, metavar="TAG,…", help="Words to find it by, between commas. May be "
              "repeated.")  # fmt: skip
@values.FILE
def add(
    place: Place, as_json: bool, text: str | None, kind: str, title: str | None, tags: tuple[str, ...], source: Any
) -> None:
    """Write an entry.

    TEXT is Markdown, in quotes; `-` reads stdin. Entries never overwrite each other.
    """
    said = values.read(text, source, as_text=True, name="TEXT")
    made = Journal(writing(place), namespace=place.only).add(said, kind=kind, title=title, tags=tags)
    tell_entry("added", made, as_json)


@journal.verb("list")
@_filters
def list_entries(place: Place, as_json: bool, limit: int | None, **filters: Any) -> None:
    """List the entries, the oldest first.

    The columns: key, type, author, tags, title.
    """
    _tell(place, as_json, limit, filters)


@journal.verb("search")
@click.argument("text", nargs=-1, required=True)
@_filters
def search(place: Place, as_json: bool, text: tuple[str, ...], limit: int | None, **filters: Any) -> None:
    """Search the entries for words.

    All of them have to be in the title, the text, the tags or the author, in any case, also as parts of words. Printed
    as by `list`.
    """
    _tell(place, as_json, limit, {**filters, "text": " ".join(text)})


@journal.verb("show")
@click.argument("key", shell_complete=_keys_like)
def show(place: Place, as_json: bool, key: str) -> None:
    """Show one entry.

    As Markdown; with --json as its members, and the entry of the memory.
    """
    found = _seeing(place).entry(key)
    write_json(found.to_json()) if as_json else write(shown(markdown_of(found)).rstrip("\n"))


@journal.verb("markdown")
@click.argument("what", metavar="[DAY|SESSION]", required=False)
def markdown(place: Place, as_json: bool, what: str | None) -> None:
    """Print a day or a session as Markdown.

    DAY is 2026-02-28, today or yesterday (UTC); today when nothing is named. Anything else is a SESSION: its name, a
    part of it, or `last`.
    """
    opened = _seeing(place)
    what = what or "today"
    named = {"day": what} if _DAY.fullmatch(what) else {"session": _session(place, opened, what)}
    text = opened.markdown(**named)
    write_json({"markdown": text}) if as_json else write(shown(text).rstrip("\n"))
    if not opened.entries(**named):
        hint(f"there is no entry of {line(named.popitem()[1])}: `gitmem journal list` shows all")


# --- inside


def _seeing(place: Place) -> Journal:
    return Journal(reading(place), namespace=place.only)


def _session(place: Place, opened: Journal, text: str) -> str:
    """The session that is meant; of one that an older tool wrote, only the entries may know."""
    return session_named(reading(place), text, is_known=lambda name: bool(opened.entries(session=name)))


def _tell(place: Place, as_json: bool, limit: int | None, filters: dict[str, Any]) -> None:
    opened = _seeing(place)
    asked = filters.pop("of_session")  # `session` is what --session says: under which one is read
    session = None if asked is None else _session(place, opened, asked)
    found = opened.entries(**filters, session=session)
    kind = None if found else _unheard(opened, filters["kind"])
    if kind is not None:
        hint(kind)
    found = found if limit is None else found[len(found) - min(limit, len(found)) :]
    if as_json:
        write_array(one.to_json() for one in found)
        return
    write_table([_row(one) for one in found], ["cyan", "yellow"])
    if not found and kind is None:
        narrowed = session is not None or any(filters.values())
        hint("no entry matches: `gitmem journal list` shows all" if narrowed else
             "the journal is empty: `gitmem journal add TEXT` writes an entry")  # fmt: skip


def _unheard(opened: Journal, kind: str | None) -> str | None:
    """The hint for a type that no entry has, nor could have by `add`."""
    known = dict.fromkeys([*KINDS, *(one.kind for one in opened.entries() if one.kind)])
    if kind is None or kind.casefold() in map(str.casefold, known):
        return None
    return f"no entry is of the type {line(kind)}: {nearest(kind, known)}"


def _row(one: JournalEntry) -> tuple[str, ...]:
    return one.key, one.kind or "-", one.author, ",".join(one.tags) or "-", one.title
