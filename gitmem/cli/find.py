"""The command `find`: full-text search, and how what was looked for is shown in what was found.

Knows marks, terminals and pipes; what is found is decided by `Memory`.
Law: a mark is bold where a person reads in colours, and in [brackets] everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from gitmem.cli.command import Place, verb
from gitmem.cli.opening import reading
from gitmem.cli.output import colourful, hint, line, on_terminal, paint, write, write_array

if TYPE_CHECKING:
    from gitmem.finding import Hit
    from gitmem.memory import Memory

_MOST_WORDS = 10


@verb("find")
@click.argument("text", nargs=-1, required=True)
@click.option("--glob", metavar="PATTERN", help="Only in keys that match a glob, as in `gitmem search`.")
@click.option("--limit", type=click.IntRange(min=0), default=20, metavar="N", help="At most so many: 20 if not said.")
@click.option("--offset", type=click.IntRange(min=0), default=0, metavar="N", help="Leave out so many first.")
def find(place: Place, as_json: bool, text: tuple[str, ...], glob: str | None, limit: int, offset: int) -> None:
    """Find entries by the words in their keys and values, the best first.

    All words have to be there, anywhere in the key or the value: member names, strings and numbers. Case and accents
    make no difference. refr* is the beginning of a word, and a phrase stands in double quotes, which have to get past
    the shell:

    \b
        gitmem find refresh token
        gitmem find '"refresh tokens" flask'
        gitmem find 'refr*' --glob 'swarm/**' -n coordination

    Every namespace is searched unless --namespace says which. The columns: namespace, key, and the part of the value
    where the words stand, each marked.
    """
    bound, words = reading(place), " ".join(text)
    memory = bound.bind(session=None)  # more is looked for than is shown
    hits = memory.find(words, namespace=place.only, glob=glob, limit=limit + 1, offset=offset)
    bound.show(hit.entry for hit in hits[:limit])
    if as_json:
        write_array(hit.to_json() for hit in hits[:limit])
        return
    for hit in hits[:limit]:
        write(_told(hit))
    if len(hits) > limit:
        hint(f"there are more: --offset {offset + limit} goes on, --limit shows more at once")
    elif not hits and not offset:
        hint(_in_vain(memory, text, narrowed=place.only is not None or glob is not None))


def _told(hit: Hit) -> str:
    """One hit: on a terminal its text on a line of its own, else in columns."""
    key = _marked(hit.entry.key, hit.key_marks, "cyan")
    snippet = _marked(hit.snippet, hit.marks)
    if not on_terminal():
        return f"{line(hit.entry.namespace)}\t{key}\t{snippet}"
    return f"{line(hit.entry.namespace)}  {key}" + (f"\n    {snippet}" if snippet else "")


def _marked(text: str, marks: Iterable[tuple[int, int]], colour: str | None = None) -> str:
    shown, end = "", 0
    for low, high in marks:
        word = line(text[low:high])
        shown += paint(line(text[end:low]), colour)
        shown += click.style(word, bold=True, fg=colour) if colourful() else f"[{word}]"
        end = high
    return shown + paint(line(text[end:]), colour)


def _in_vain(memory: Memory, text: tuple[str, ...], *, narrowed: bool) -> str:
    """What to try next: without the words that are nowhere, if it is because of them."""
    words = dict.fromkeys(" ".join(text).replace('"', " ").split())
    known = [word for word in words if any(map(str.isalnum, word))]
    nowhere = [word for word in known if len(known) <= _MOST_WORDS and not memory.find(word, limit=1)]
    if nowhere:
        near = _beginning(memory, nowhere[0])
        return f"no key and no value holds {' or '.join(nowhere)}" + (f"; {near} would find something" if near else "")
    if narrowed:
        return "not there: without --glob and --namespace everything is searched"
    return "each word is somewhere, but nowhere all of them: look for fewer"


def _beginning(memory: Memory, word: str) -> str:
    """The longest beginning of a word that something has, if it is worth trying."""
    beginnings = (f"{word[:length]}*" for length in range(min(len(word), 20) - 1, 2, -1))
    return next((one for one in beginnings if memory.find(one, limit=1)), "")
