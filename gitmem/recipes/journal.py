"""The journal: what was decided, learned or asked, and what is in the way, in the words of whoever noticed it.

Knows entries, their keys, and pages of Markdown; does not know who reads them. Other tools' entries are
`journal_reading`'s.
Law: an entry is a key of its own and is never overwritten: not by one of the same second with the same title, and not
by one that another copy of this memory made meanwhile. So a key ends with a few digits of its value's hash: two copies
give one key to one value only.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn

from gitmem.codec import encode
from gitmem.entries import format_time
from gitmem.errors import InvalidValueError, KeyExistsError
from gitmem.recipes.journal_reading import GLOB, JournalEntry, day_of, entry_of, key_day, tags_of, time_of, title_of

if TYPE_CHECKING:
    from gitmem.entries import Entry
    from gitmem.memory import Memory

__all__ = ["KINDS", "NAMESPACE", "Journal", "JournalEntry", "entry_of", "markdown_of"]

NAMESPACE = "captains-log"
KINDS = ("decision", "insight", "blocker", "milestone", "question")

_NAMED_DAYS = {"today": 0, "yesterday": 1}
_LONGEST = 40  # characters of a title in a key
_BYTES = 160
_DIGITS = 6
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Journal:
    """The journal of one memory, in the namespace `captains-log`: also of a memory that is bound to another one."""

    def __init__(self, memory: Memory, *, namespace: str | None = None) -> None:
        self._memory = memory.bind(namespace=NAMESPACE if namespace is None else namespace)

    def add(self, text: str, *, kind: str = "insight", title: str | None = None, tags: Iterable[str] = ()) -> Entry:
        """Write an entry, at `journal/<date>/<HHMMSS>-<title>-<digits>`, in UTC, by the memory's agent.

        The text is Markdown; without a `title` its first line is the title. `kind` is one of KINDS. InvalidValueError
        for another one, for no text, and for a title that is more than a line.
        """
        if kind not in KINDS:
            _refuse("type", f"{kind!r} is no type of entry", f"there are {', '.join(KINDS)}")
        if not text.strip():
            _refuse("text", "the entry says nothing", "a sentence is enough")
        now = self._memory.clock().astimezone(UTC)
        value = {
            "type": kind,
            "title": title_of(text) or kind if title is None else _checked_title(title),
            "text": text.strip(),
            "tags": list(tags_of(tags)),
            "author": self._memory.agent,
            "session": self._memory.session,
            "time": format_time(now),
        }
        return self._create(key_of(now, value), value)

    def _create(self, key: str, value: dict[str, Any]) -> Entry:
        """The very same words of the same second get -2, -3, …"""
        for number in count(1):
            numbered = key if number == 1 else f"{key}-{number}"
            try:
                return self._memory.create(numbered, value, message=f"journal {value['type']} {numbered}")
            except KeyExistsError:
                continue
        raise AssertionError("there is always another number")

    def entries(
        self,
        *,
        day: date | str | None = None,
        since: date | str | None = None,
        until: date | str | None = None,
        kind: str | None = None,
        tag: str | None = None,
        author: str | None = None,
        session: str | None = None,
        text: str | None = None,
    ) -> list[JournalEntry]:
        """The entries that meet all that is named, oldest first; older forms among them.

        `day` is that of the key; `since` and `until`, which count themselves in, are days or instants, also as text.
        Tags and types are compared without case. `text` are words that all have to be in the title, the text, a tag
        or the author, also as parts of words, without case.
        """
        start, end = self._edge(since, "since", time.min), self._edge(until, "until", time.max)
        wanted = [_plain(word) for word in (text or "").split()]
        return sorted(
            (
                one
                for one in self._read(None if day is None else self._day(day))
                if (start is None or start <= one.time)
                and (end is None or one.time <= end)
                and (kind is None or _plain(kind) == _plain(one.kind or ""))
                and (tag is None or _plain(tag) in map(_plain, one.tags))
                and author in (None, one.author)
                and session in (None, one.session)
                and _has(one, wanted)
            ),
            key=lambda one: (one.time, one.key),
        )

    def entry(self, key: str) -> JournalEntry:
        """One entry, by its key; MissingKeyError if it is absent, InvalidValueError if that is no journal's key."""
        found = entry_of(self._memory.entry(key))
        if found is None:
            _refuse("key", f"{key!r} is no entry of the journal", "their keys begin with journal/ or journal:")
        return found

    def markdown(self, *, day: date | str | None = None, session: str | None = None) -> str:
        """A page of Markdown: a day's entries (of today, where nothing is named), or a session's."""
        of_day = self._day(day or "today") if day is not None or session is None else None
        named = ", ".join(str(one) for one in (of_day, session) if one is not None)
        found = self.entries(day=of_day, session=session)
        return "\n".join([f"# Journal of {named}\n", *map(markdown_of, found)])

    def _read(self, day: date | None) -> list[JournalEntry]:
        """Every entry, or a day's; values of other days are not read, unless there are keys that name no day."""
        undated = day is None or any(key_day(key) is None for key in self._memory.search_keys(GLOB))
        found = map(entry_of, self._memory.search(GLOB if undated else GLOB.replace("**", f"{day}**")))
        return [one for one in found if one is not None and day in (None, one.day)]

    # --- what is asked

    def _day(self, asked: date | str) -> date:
        if isinstance(asked, datetime):
            return asked.astimezone(UTC).date()
        day = self._named(asked) if isinstance(asked, str) else asked
        return day or _refuse("day", f"{asked!r} is no day", "write it as 2026-02-28, today or yesterday")

    def _named(self, text: str) -> date | None:
        back = _NAMED_DAYS.get(text)
        return day_of(text) if back is None else self._memory.clock().astimezone(UTC).date() - timedelta(days=back)

    def _edge(self, asked: date | str | None, name: str, of_day: time) -> datetime | None:
        """The instant at which a span of time begins or ends: of a day, its first or its last."""
        if isinstance(asked, str):
            hint = "write it as 2026-02-28, as 2026-02-28T12:00:00Z, or as today"
            asked = self._named(asked) or time_of(asked) or _refuse(name, f"{asked!r} is no time", hint)
        if isinstance(asked, datetime):
            return asked if asked.tzinfo is not None else asked.replace(tzinfo=UTC)
        return None if asked is None else datetime.combine(asked, of_day, UTC)


def markdown_of(one: JournalEntry) -> str:
    """An entry as a part of a page: a heading, who and in which session, the text as it was written."""
    kind = f"{one.kind}: " if one.kind else ""
    about = [one.author, *filter(None, [one.session]), *(f"#{tag}" for tag in one.tags)]
    text = list(filter(None, [_without_title(one)]))
    more = [f"- {name}: {json.dumps(said, ensure_ascii=False)}" for name, said in one.more.items()]
    parts = [f"## {format_time(one.time)} {kind}{one.title}", f"*{', '.join(about)}*", *text]
    return "\n\n".join([*parts, *(["\n".join(more)] if more else [])]) + "\n"


def _without_title(one: JournalEntry) -> str:
    """The text; without its first line where that is the title already."""
    first, _, rest = one.text.strip().partition("\n")
    return rest.strip() if " ".join(first.lstrip("#").split()) == one.title else one.text.strip()


# --- keys


def key_of(now: datetime, value: dict[str, Any]) -> str:
    """Where an entry lies: entries that say other things, of whichever copy, have other keys."""
    digits = sha256(encode(value)).hexdigest()[:_DIGITS]
    return f"journal/{now:%Y-%m-%d}/{now:%H%M%S}-{_slug(value['title']) or value['type']}-{digits}"


def _slug(title: str) -> str:
    """The words of a title, in any script, joined by hyphens."""
    words = "".join(one if unicodedata.category(one)[0] in "LMN" else " " for one in title.lower()).split()
    spoken = (word for word in words if any(map(str.isalnum, word)))  # not the marks of a picture alone
    slug = unicodedata.normalize("NFC", "-".join(spoken))
    if len(slug) > _LONGEST:
        slug = slug[: _LONGEST + 1].rpartition("-")[0] or slug[:_LONGEST]
    return slug.encode()[:_BYTES].decode(errors="ignore").strip("-")


# --- words


def _has(one: JournalEntry, words: list[str]) -> bool:
    told = _plain("\n".join([one.title, one.text, one.author, *one.tags])) if words else ""
    return all(word in told for word in words)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


# --- what is refused


def _checked_title(title: str) -> str:
    shown = " ".join(title.split())
    if not shown or _CONTROL.search(title):
        _refuse("title", "a title is one line, and not empty", "the text may be longer")
    return shown


def _refuse(place: str, reason: str, hint: str) -> NoReturn:
    raise InvalidValueError(reason, hint=hint, pointer=f"/{place}", reason=reason)
