"""Which text a value holds to be found by, and how words to look for become a question that FTS5 understands.

Knows values, scripts and the syntax of FTS5's questions; does not know where texts are kept.
Law: nothing that a caller writes is syntax but double quotes and a star behind a word; a character of a script that
sets no spaces between words is a word of its own, in texts and in questions alike, so that any run of them is found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from gitmem.errors import InvalidPatternError

PARTS = ("key", "approach", "lessons", "rest")
"""What the documents of a namespace that is kept by stems are made of, as columns."""
SPLIT = "\u200b"
"""Stands around each character that is a word of its own: no text of ours has it otherwise."""

_BETWEEN = " · "
_MEMBERS = {"approach": "approach", "lessons_learned": "lessons"}  # member of a pattern -> its column
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
_CONTROLS = re.compile(f"[\0-\x1f\x7f-\x9f\ud800-\udfff{SPLIT}]")
_TERMS = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')
_MOST_TERMS, _MOST_WORDS = 1000, 100
_SHOWN = 60


def text_of(value: Any) -> str:
    """Member names, strings and numbers of a value as one line, in the value's order; neither true, false nor null."""
    found: list[str] = []
    _collect(value, found)
    return _plain("".join(found[:-1]))


def parts_of(key: str, value: Any) -> tuple[str, ...]:
    """A pattern's text by `PARTS`; of a value that is no pattern everything is rest."""
    members = value if isinstance(value, dict) else {}
    found = {column: text_of(members[name]) for name, column in _MEMBERS.items() if name in members}
    rest = {name: one for name, one in members.items() if name not in _MEMBERS} if members else value
    return key, found.get("approach", ""), found.get("lessons", ""), text_of(rest)


def spread(text: str) -> str:
    """The text as the index reads it: with breaks around the characters that are words of their own."""
    return text if text.isascii() else _UNSPACED.sub(rf"{SPLIT}\g<0>{SPLIT}", text)


class Question(NamedTuple):
    """What to ask FTS5: for documents with every one of the terms, and for places with some of them."""

    every: str
    some: str


def question(text: str) -> Question:
    """The question for words, "phrases" and beginnings*. InvalidPatternError if there is none of them."""
    terms = []
    for phrase, star, word in _TERMS.findall(_checked(text)):
        wanted = phrase or word.rstrip("*")
        if any(unicodedata.category(each)[0] in "LN" for each in wanted):
            terms.append(_quoted(wanted) + "*" * bool(star or word.endswith("*")))
    if not terms:
        raise _refusal(text, "holds no word to look for", "a word has at least one letter or digit")
    if len(terms) > _MOST_TERMS:
        raise _refusal(text, "is too long to look for", f"{len(terms):,} words are more than {_MOST_TERMS:,}")
    return Question(" ".join(terms), " OR ".join(terms))


def words_of(text: str) -> tuple[str, ...]:
    """The words of a question in anybody's language, each once, in order; none of a text without any.

    Where a script sets no spaces, each two neighbours are a word. What is beyond the first hundred is not asked for.
    """
    runs = "".join(each if _in_word(each) else " " for each in _checked(text)).split()
    found: dict[str, str] = {}
    for word in (word for run in runs for word in _neighbours(run)):
        found.setdefault(word.casefold(), word)
    return tuple(islice(found.values(), _MOST_WORDS))


def any_of(words: tuple[str, ...]) -> str:
    """What to ask FTS5 for documents with at least one of these words."""
    return " OR ".join(map(_quoted, words))


def _collect(value: Any, found: list[str]) -> None:
    """Put each text in a value and what follows it to the others: a colon behind a name that says of what."""
    if isinstance(value, dict):
        for name, one in value.items():
            found += name, _BETWEEN if isinstance(one, bool) or one in (None, "", [], {}) else ": "
            _collect(one, found)
    elif isinstance(value, list):
        for one in value:
            _collect(one, found)
    elif isinstance(value, str):
        if value:
            found += value, _BETWEEN
    elif value is not None and not isinstance(value, bool):
        found += repr(value), _BETWEEN


def _plain(text: str) -> str:
    """Without control characters, and with one space where there is white space: no word is changed by it."""
    line = " ".join(text.split())
    return line if line.isprintable() else " ".join(_CONTROLS.sub(" ", line).split())


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise _refusal("", "is nothing to look for", f"what is looked for is text, not {type(text).__name__}")
    return _CONTROLS.sub(" ", text)


def _refusal(text: str, fault: str, reason: str) -> InvalidPatternError:
    shown = repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"
    return InvalidPatternError(
        f"{shown} {fault}: {reason}",
        hint='words all have to be there; "two words" are a phrase, and refr* is a beginning; '
        "`gitmem search` looks for keys by a glob",
        pattern=text,
        reason=reason,
    )


def _in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def _quoted(text: str) -> str:
    return f'"{spread(text)}"'


def _neighbours(run: str) -> Iterator[str]:
    """The words in a run of letters."""
    for piece in _scripts(run):
        if len(piece) > 2 and _UNSPACED.match(piece):
            yield from (piece[at : at + 2] for at in range(len(piece) - 1))
        else:
            yield piece


def _scripts(run: str) -> list[str]:
    """A run of letters, parted where a script without spaces begins or ends."""
    return [piece for piece in re.split(f"({_UNSPACED.pattern}+)", run) if piece]
