"""Full-text search over one snapshot: `find` for who knows the words, `rank` for who has a question.

Knows hits and what is shown of them; the words are counted in `index.text`, entries are the reader's.
Law: the answer is that of the reader's snapshot and clock, whatever was written, deleted or expired since the index
last stood somewhere. A file that is no value has no words: it is left out, and an Unreadable warning names it.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gitmem.entries import Entry
from gitmem.errors import CorruptValueError, InvalidValueError, StorageError
from gitmem.globs import compile_glob
from gitmem.reader import Reader
from gitmem.vault import Unreadable

if TYPE_CHECKING:
    from gitmem.index.text import Bounds, Found, Search
    from gitmem.index.text_marks import Marks
    from gitmem.trees import KeyId

__all__ = ["Hit", "Ranked", "find", "rank"]

SNIPPET = 160
"""About how many characters of a value are shown around its marks."""

_ALL = 1 << 62  # as much as SQLite can count
_LEAD = 40
_GAP = "…"


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that holds what was looked for, and the part of it to show.

    `snippet` is a part of the value's text as one line: member names, strings and numbers, parted by a dot in the
    middle. `marks` are the ranges of its characters that were looked for, `key_marks` those of the key.
    `score` compares hits of one question: higher is better.
    """

    entry: Entry
    snippet: str
    marks: tuple[tuple[int, int], ...]
    key_marks: tuple[tuple[int, int], ...]
    score: float

    def to_json(self) -> dict[str, Any]:
        """The hit as the command line prints it: the entry and what is shown of it."""
        return {
            **self.entry.to_json(),
            "snippet": self.snippet,
            "marks": [list(each) for each in self.marks],
            "key_marks": [list(each) for each in self.key_marks],
            "score": self.score,
        }


@dataclass(frozen=True, slots=True)
class Ranked:
    """An entry and how well its words answer a question: `score` is BM25, higher is better.

    `words` are those of the question that it holds, by their stem; found out when asked for, in a fraction of a
    millisecond: ask it of what you show, not of all.
    """

    entry: Entry
    score: float
    _asked: tuple[str, ...] = field(repr=False)

    @property
    def words(self) -> tuple[str, ...]:
        """The question's words that the entry holds, as they were asked."""
        from gitmem.index.text_marks import words_in
        from gitmem.index.text_words import parts_of

        return words_in(self._asked, parts_of(self.entry.key, self.entry.value))

    def to_json(self) -> dict[str, Any]:
        """The entry, its score and its words."""
        return {**self.entry.to_json(), "score": self.score, "words": list(self.words)}


def find(
    reader: Reader, text: str, *, namespace: str | None, glob: str | None, limit: int, offset: int
) -> list[Hit]:
    """The entries with all these words, phrases and beginnings, best first; see `View.find`."""
    from gitmem.index.text import WORDS, Bounds
    from gitmem.index.text_marks import marks
    from gitmem.index.text_words import question, text_of

    _check(limit=limit, offset=offset)
    asked = question(text)
    bounds = Bounds(namespace, None if glob is None else compile_glob(glob).matches)
    hits = _entries(reader, *_answers(reader, WORDS, asked.every, bounds, offset, offset + limit))
    texts = [(entry.key, text_of(entry.value)) for entry, _ in hits]
    return [
        Hit(entry, *excerpt(body, in_body), in_key, score)
        for (entry, score), (_, body), (in_key, in_body) in zip(hits, texts, marks(asked.some, texts), strict=True)
    ]


def rank(reader: Reader, text: str, *, namespace: str, glob: str | None, limit: int) -> list[Ranked]:
    """The entries with any word of a question, by stem, best first; see `View.rank`."""
    from gitmem.index.text import STEMMED, STEMS, Bounds
    from gitmem.index.text_words import any_of, words_of

    _check(limit=limit)
    if namespace not in STEMMED:
        reason = f"questions are answered in {', '.join(sorted(STEMMED))} alone"
        raise InvalidValueError(
            f"namespace {namespace!r} is not kept by the stems of its words: {reason}",
            hint="`gitmem find` looks for words in every namespace",
            pointer="",
            reason=reason,
        )
    asked = words_of(text)
    if not asked:
        return []
    bounds = Bounds(namespace, None if glob is None else compile_glob(glob).matches)
    found, unreadable = _answers(reader, STEMS, any_of(asked), bounds, 0, limit)
    return [Ranked(entry, score, asked) for entry, score in _entries(reader, found, unreadable)]


def _check(**numbers: int) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int) or number < 0:
            raise InvalidValueError(
                f"{name}={number!r} is no number of entries", hint="from 0 on", pointer="", reason="not a number"
            )


def _answers(
    reader: Reader, search: Search, question: str, bounds: Bounds, start: int, stop: int
) -> tuple[list[Found], list[KeyId]]:
    """The answers from `start` to `stop` that have not expired, and the keys that could not be looked into."""
    text, root = reader.vault.text, reader.snapshot.root
    limit, most = reader.vault.policy(root).max_value_bytes, min(stop, _ALL)
    while True:
        found, unreadable = text.best(root, search, question, bounds, most=most, limit=limit)
        here = [one for one in found if not reader.expired(one.namespace, one.key)]
        if len(here) >= stop or len(found) < most:
            return here[start:stop], unreadable
        most = min(2 * most + len(found) - len(here), _ALL)


def _entries(reader: Reader, found: Sequence[Found], unreadable: Iterable[KeyId]) -> list[tuple[Entry, float]]:
    _warn(reader, unreadable)
    pairs = sorted((one.namespace, one.key) for one in found)
    entries = {(entry.namespace, entry.key): entry for entry in reader.entries(pairs)}
    scored = ((entries.get((one.namespace, one.key)), one.score) for one in found)
    return [(entry, score) for entry, score in scored if entry is not None]


def _warn(reader: Reader, unreadable: Iterable[KeyId]) -> None:
    for namespace, key in unreadable:
        try:
            reader.retrieve(namespace, key)
        except (CorruptValueError, StorageError) as error:
            warnings.warn(error.message, Unreadable, stacklevel=2)


def excerpt(text: str, marks: Marks) -> tuple[str, Marks]:
    """The part of a text in which most marks stand together, with its marks; the beginning where there are none."""
    if len(text) <= SNIPPET:
        return text, marks
    begin, end = _window(text, marks)
    front, back = _GAP * (begin > 0), _GAP * (end < len(text))
    shift = len(front) - begin
    inside = tuple((low + shift, min(high, end) + shift) for low, high in marks if begin <= low < end)
    return front + text[begin:end] + back, inside


def _window(text: str, marks: Marks) -> tuple[int, int]:
    """From where to where: no word is cut that is not longer than half a snippet."""
    starts, ends = [low for low, _ in marks], [high for _, high in marks]
    room = SNIPPET - 2 * _LEAD
    together = [bisect_left(ends, low + room) - at for at, low in enumerate(starts)]
    first = starts[together.index(max(together))] if together else 0
    begin = max(0, min(first - _LEAD, len(text) - SNIPPET))
    end = min(len(text), begin + SNIPPET)
    if begin:
        begin = min(_next_gap(text, begin, first), first)
    if end < len(text):
        cut = text.rfind(" ", begin + SNIPPET // 2, end)
        end = cut if cut > 0 else end
    return begin, end


def _next_gap(text: str, begin: int, first: int) -> int:
    cut = text.find(" ", begin, first)
    return begin if cut < 0 else cut + 1
