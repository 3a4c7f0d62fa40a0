"""The commands of the reasoning bank: pattern learn, outcome, recall, show, list, relate.

Knows what is typed and printed; what a pattern is, and what is worth reading first, the recipe decides.
Law: a pattern that was printed can be named in any of these commands as it was printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli import values
from gitmem.cli.command import Place, family
from gitmem.cli.failures import Misused
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import (
    compact,
    counted,
    hint,
    line,
    note,
    paint,
    shown,
    write,
    write_array,
    write_json,
    write_table,
)
from gitmem.entries import format_time
from gitmem.errors import GitmemError, typed
from gitmem.keys import REASONING_BANK
from gitmem.recipes.reasoning import FOLDER, Pattern, Patterns

if TYPE_CHECKING:
    from gitmem.recipes.reasoning import Learned, Recalled

OUTCOMES = {"success": True, "failure": False}
_SHOWN = 20
_LISTED, _RECALLED = 200, 2000  # characters of a text: `show` and --json have all of it

_LESSON = click.option("--lesson", "lessons", multiple=True, metavar="TEXT", help="What was found out about it. May be "
                       "repeated.")  # fmt: skip
_SECTIONS = {"lessons_learned": "Lessons", "anti_patterns": "Not to be done", "related": "Related",
             "sessions_used": "Sessions"}  # fmt: skip


def _names_like(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """For a shell's completion: the patterns that begin like this, as they were begun; none without a memory."""
    prefix = "" if incomplete.startswith(FOLDER) else FOLDER
    try:
        keys = reading(ctx.ensure_object(Place)).list(prefix + incomplete, namespace=REASONING_BANK)
    except GitmemError:
        return []
    return [key.removeprefix(prefix) for key in keys[:1000]]


_PATTERN = click.argument("name", metavar="PATTERN", shell_complete=_names_like)


@family("pattern")
def pattern() -> None:
    """Keep what worked, and find it again: lessons that later sessions build on.

    A pattern is the key pattern/DOMAIN/NAME in the namespace reasoning-bank; DOMAIN/NAME is enough. Recall patterns
    before you begin, tell the outcome of each that you used, and learn what nobody knew. In a session (--session, or
    the active one) it is noted what was recalled, and `gitmem session end` asks how that went.
    """


def _writing(place: Place, *, create: bool = False) -> Patterns:
    return Patterns(writing(place, create=create), namespace=place.only)


def _reading(place: Place) -> Patterns:
    return Patterns(reading(place), namespace=place.only)


@pattern.verb("learn")
@_PATTERN
@click.argument("approach", required=False)
@click.option("--type", "kind", metavar="TEXT", help="The kind of pattern; of a new one the domain, when left out.")
@_LESSON
@click.option("--avoid", "avoided", multiple=True, metavar="TEXT", help="What not to do. May be repeated.")
@click.option("--snippet", "snippets", multiple=True, metavar="NAME=TEXT", help="A piece of code; NAME=@FILE reads it "
              "from a file. May be repeated.")  # fmt: skip
@click.option("--related", multiple=True, metavar="PATTERN", help="A pattern that is there already, related both ways. "
              "May be repeated.")  # fmt: skip
@values.FILE
def learn(
    place: Place, as_json: bool, name: str, approach: str | None, kind: str | None, lessons: tuple[str, ...],
    avoided: tuple[str, ...], snippets: tuple[str, ...], related: tuple[str, ...], source: Any,
) -> None:  # fmt: skip
    """Keep a pattern, or learn more about one that is there.

    APPROACH says what to do, as one text; `-` reads it from stdin. Of a pattern that is there it replaces the approach
    and may be left out; lessons and all other lists are united. Patterns that say nearly the same are pointed out.
    """
    said = None
    if approach is not None or source is not None:
        said = str(values.read(approach, source, as_text=True, name="APPROACH"))
    made = _writing(place, create=True).learn(
        name, said, pattern_type=kind, lessons=lessons, anti_patterns=avoided, snippets=_snippets(snippets),
        related=related,
    )  # fmt: skip
    write_json(made.to_json()) if as_json else _tell_learned(made)


def _snippets(given: Iterable[str]) -> dict[str, str]:
    found = {}
    for one in given:
        name, mark, text = one.partition("=")
        if not name or not mark:
            raise Misused(f"--snippet {typed(one)} names nothing", hint="it takes NAME=TEXT or NAME=@FILE")
        found[name] = _file_text(text[1:]) if text.startswith("@") else text
    return found


def _file_text(path: str) -> str:
    try:
        with click.open_file(path, "rb") as file:
            return str(values.read(None, file, as_text=True))
    except OSError as error:
        reason = f"--snippet cannot read {typed(path)}: {error.strerror}"
        raise Misused(reason, hint="NAME=@FILE reads a file, NAME=TEXT takes the text") from None


def _tell_learned(made: Learned) -> None:
    entry = made.pattern.entry
    word, told = "updated", f": {', '.join(made.changes or ())}"
    if not made.changes:
        word, told = ("learned", "") if made.changes is None else ("unchanged:", ", nothing new")
    write(f"{word} {line(entry.key)} (version {entry.version}){told}")
    for one in made.similar:
        note(f"{one.key} says {round(100 * one.likeness)} % the same: {_cut(one.approach, _LISTED)}")
    if made.similar:
        relate = f"gitmem pattern relate {typed(entry.key)} {typed(made.similar[0].key)}"
        hint(f"if it is the same, learn it there and delete this one; else `{relate}`")


@pattern.verb("outcome")
@_PATTERN
@click.argument("how", metavar="success|failure", type=click.Choice(list(OUTCOMES)))
@_LESSON
def outcome(place: Place, as_json: bool, name: str, how: str, lessons: tuple[str, ...]) -> None:
    """Tell how it went: one success or one failure more.

    Whoever tells one at the same moment, here or on another copy: each counts. What is printed, such as `1 of 2
    succeeded, so at least 9 % do (95 % sure)`, is what can be relied on: few tries prove little, whatever their rate.
    """
    made = _writing(place).outcome(name, OUTCOMES[how], lesson=lessons)
    write_json(made.to_json()) if as_json else write(f"{line(made.key)}: {made.outcomes.told()}")


@pattern.verb("recall")
@click.argument("question", nargs=-1, required=True)
@click.option("--domain", metavar="DOMAIN", help="Only patterns of this domain.", shell_complete=_names_like)
@click.option("--limit", type=click.IntRange(min=1), default=5, metavar="N", help="So many at the most; 5 when left "
              "out.")  # fmt: skip
@click.option("--no-note", is_flag=True, help="Do not note in the session what was recalled.")
def recall(
    place: Place, as_json: bool, question: tuple[str, ...], domain: str | None, limit: int, no_note: bool
) -> None:
    """Find the patterns that answer a question, the best first, and say why each was chosen.

    Any word of QUESTION counts, in whatever form. The words that a pattern has decide; how it went so far, how long
    ago, and whether it says what another says already turn the order of those that answer about equally well. Long
    texts are cut: `pattern show` has all of a pattern.
    """
    asked = " ".join(question)
    patterns = _reading(place) if no_note else _writing(place)
    found = patterns.recall(asked, domain=domain, limit=limit, note=not no_note)
    if as_json:
        write_json([one.to_json() for one in found])
        return
    for number, one in enumerate(found, 1):
        _tell_recalled(number, one)
    if found:
        hint(f"tell how it went: `gitmem pattern outcome {typed(found[0].entry.key)} success`, or failure")
    else:
        _hint_domains(patterns, domain, "no pattern speaks of it")


def _tell_recalled(number: int, one: Recalled) -> None:
    """A pattern in a few lines: what to do, what was found out, and why it is here."""
    members = one.pattern.members
    write(f"{number}. {paint(line(one.entry.key), 'cyan')}")
    write(f"   {line(_cut(one.pattern.approach, _RECALLED))}")
    for mark, name in (("- ", "lessons_learned"), ("not: ", "anti_patterns")):
        texts = _each(members.get(name))
        for text in texts[:_SHOWN]:
            write(f"   {mark}{line(_cut(text, _RECALLED))}")
        if len(texts) > _SHOWN:
            write(f"   {mark}… and {len(texts) - _SHOWN} more: `gitmem pattern show {typed(one.entry.key)}`")
    write("   " + paint(f"({line('; '.join(one.reasons))})", "yellow"))


def _hint_domains(patterns: Patterns, domain: str | None, told: str) -> None:
    """What to do where nothing was found, in a domain or in all of them."""
    domains = patterns.domains()
    if domain is not None and domains:
        hint(f"{told} in the domain {domain!r}; there are the domains {', '.join(domains[:_SHOWN])}")
    else:
        hint(f"{told}: `gitmem pattern learn DOMAIN/NAME APPROACH` keeps what you find out")


@pattern.verb("show")
@_PATTERN
def show(place: Place, as_json: bool, name: str) -> None:
    """Show one pattern, all of it.

    With --json as its entry, and what its outcomes come to.
    """
    found = _reading(place).show(name)
    if as_json:
        write_json(found.to_json())
        return
    for text in _told(found):
        write(text)
    hint(f"how it became so: `gitmem history {typed(found.key)} -n {REASONING_BANK}`")


def _told(found: Pattern) -> Iterator[str]:
    entry, members = found.entry, found.members
    yield paint(line(entry.key), "cyan")
    yield shown(found.approach)
    yield ""
    kind = members.get("pattern_type")
    by = f"version {entry.version}, by {line(entry.agent)} at {format_time(entry.time)}"
    yield f"{line(kind) if isinstance(kind, str) else found.domain}; {found.outcomes.told()}; {by}"
    for member, title in _SECTIONS.items():
        if rows := _each(members.get(member)):
            yield f"\n{title}:"
            yield from (f"- {line(text)}" for text in rows)
    snippets = members.get("code_snippets")
    for name, code in snippets.items() if isinstance(snippets, dict) else ():
        yield f"\n{line(name)}:\n{shown(code) if isinstance(code, str) else compact(code)}"


@pattern.verb("list")
@click.argument("domain", required=False, shell_complete=_names_like)
def list_patterns(place: Place, as_json: bool, domain: str | None) -> None:
    """List the patterns, of one domain or of all.

    The columns: key, successes of tries, the share that succeeds at least (95 % sure; -, if nobody tried), the
    beginning of the approach.
    """
    found = _reading(place).list(domain)
    if as_json:
        write_array(one.to_json() for one in found)
        return
    write_table([(one.key, *_record(one), _cut(one.approach, _LISTED)) for one in found], ["cyan", None, "yellow"])
    if not found:
        _hint_domains(_reading(place), domain, "there is no pattern")


def _record(found: Pattern) -> tuple[str, str]:
    went = found.outcomes
    return f"{went.successes:g}/{went.tried:g}", f"{round(100 * went.sure.low)} %" if went.tried else "-"


@pattern.verb("relate")
@_PATTERN
@click.argument("others", metavar="OTHER…", nargs=-1, required=True, shell_complete=_names_like)
def relate(place: Place, as_json: bool, name: str, others: tuple[str, ...]) -> None:
    """Relate a pattern to others, both ways, in one commit."""
    made = _writing(place).relate(name, *others)
    if as_json:
        write_json(made.to_json())
        return
    related = _each(made.members.get("related"))
    write(f"{line(made.key)} is related to {counted(len(related), 'pattern')}: {line(', '.join(related))}")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _each(texts: Any) -> list[str]:
    """The elements of a list that somebody stored, as texts."""
    rows = texts if isinstance(texts, list) else [] if texts is None else [texts]
    return [one if isinstance(one, str) else compact(one) for one in rows]
