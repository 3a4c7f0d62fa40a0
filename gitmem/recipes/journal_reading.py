"""What counts as an entry of the journal, and what it says: ours, those that older tools wrote, a plain text.

Knows keys, values and names of members; does not know the memory, nor how an entry is made.
Law: whatever lies at a journal's key is read as something: a member that nobody knows is kept in `more`, a value that
is no object is the text.

    journal/2026-02-02/120000-docs-drift-3f2a1c     as we write it
    journal/2025-11-17/integration-insights         a day, and a name
    journal:2025-11-17-11:30:00                     a day and a time
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from gitmem.codec import decode
from gitmem.entries import format_time
from gitmem.errors import InvalidValueError

if TYPE_CHECKING:
    from gitmem.entries import Entry

GLOB = "journal{/,:}**"
"""Every key at which an entry of the journal lies."""

_MEMBERS = {
    "type": ("type", "kind", "category"),
    "title": ("title", "subject", "heading"),
    "text": ("text", "content", "body", "message", "insight", "note"),
    "tags": ("tags", "labels"),
    "author": ("author", "agent", "by"),
    "session": ("session", "session_id", "sessionId"),
    "time": ("time", "timestamp", "created_at", "createdAt"),
}  # what is meant -> what it has been called; the first that says something counts

_KEY = re.compile(r"journal[/:](\d{4}-\d\d-\d\d)(?:[/T_ -](\d\d):?(\d\d):?(\d\d)(?!\d))?")
_TITLE = 80
_MILLISECONDS = 10**11  # so many seconds are the year 5138: a larger number counts in thousandths


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry of the journal. `kind` and `session` are None where nobody said; `more` are the members left over.

    `day` is that of its key, `time` the instant it tells: from the value, else the key, else the commit.
    """

    key: str
    day: date
    time: datetime
    kind: str | None
    title: str
    text: str
    tags: tuple[str, ...]
    author: str
    session: str | None
    more: Mapping[str, Any]
    entry: Entry

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "key": self.key,
            "time": format_time(self.time),
            "type": self.kind,
            "title": self.title,
            "text": self.text,
            "tags": list(self.tags),
            "author": self.author,
            "session": self.session,
            "more": dict(self.more),
            "entry": self.entry.to_json(),
        }


def entry_of(entry: Entry) -> JournalEntry | None:
    """An entry of the memory, or a version, read as one of the journal; None if its key is none of a journal's."""
    if not entry.key.startswith(("journal/", "journal:")):
        return None
    said, more = _said(entry.value)
    time = time_of(said["time"]) or key_time(entry.key) or _on_its_day(entry)
    text = said["text"] if isinstance(said["text"], str) else ""
    return JournalEntry(
        key=entry.key,
        day=key_day(entry.key) or time.date(),
        time=time,
        kind=_word(said["type"]),
        title=_word(said["title"]) or title_of(text) or _name(entry.key),
        text=text,
        tags=tags_of(said["tags"]),
        author=_word(said["author"]) or entry.agent,
        session=_word(said["session"]) or entry.session,
        more=more,
        entry=entry,
    )


# --- the value


def _said(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a value says, by our own names, and the members that are none of them."""
    if isinstance(value, str):
        value = _inside(value)
    if not isinstance(value, Mapping):
        value = {"text": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}
    taken = {
        meant: next((name for name in names if value.get(name) not in (None, "")), None)
        for meant, names in _MEMBERS.items()
    }
    more = {name: each for name, each in value.items() if name not in taken.values() and each is not None}
    return {meant: None if name is None else value[name] for meant, name in taken.items()}, more


def _inside(text: str) -> Any:
    """The object that a text holds as JSON: tools that only know texts stored values so.

    Else the text; also where it could not be stored as a value (half of a pair of surrogates, say): nobody could keep
    a part of it, such as a title.
    """
    if not text.lstrip().startswith("{"):
        return text
    try:
        found = decode(text)
    except InvalidValueError:
        return text
    return found if isinstance(found, dict) else text


def _word(said: Any) -> str | None:
    return " ".join(said.split()) or None if isinstance(said, str) else None


def tags_of(said: Any) -> tuple[str, ...]:
    """Tags, each once, in their order: a list of them, or one text in which commas part them."""
    found = [said] if isinstance(said, str) else said if isinstance(said, Iterable) else []
    parts = (part for one in found if isinstance(one, str) for part in one.split(","))
    return tuple(dict.fromkeys(filter(None, (" ".join(part.split()) for part in parts))))


def title_of(text: str) -> str:
    """The first line of a text, without the signs of a Markdown heading, and cut where it is long."""
    first = next(filter(None, map(str.strip, text.splitlines())), "")
    title = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", first.lstrip("#")).split())
    return title if len(title) <= _TITLE else title[: _TITLE - 1].rstrip() + "…"


def _name(key: str) -> str:
    return key.rpartition("/")[2].replace("-", " ") if "/" in key else key


# --- the time


def key_day(key: str) -> date | None:
    """The day that a key names."""
    found = _KEY.match(key)
    return None if found is None else day_of(found[1])


def key_time(key: str) -> datetime | None:
    """The instant that a key names; keys tell it in UTC."""
    found = _KEY.match(key)
    if found is None or found[2] is None:
        return None
    return time_of(f"{found[1]}T{found[2]}:{found[3]}:{found[4]}")


def day_of(text: str) -> date | None:
    """A day written as YYYY-MM-DD; None if it is none of the calendar."""
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def time_of(said: Any) -> datetime | None:
    """An instant as tools write it: ISO 8601 (UTC where it names no zone), or seconds or milliseconds since 1970.

    None for what is none between the years 1 and 9999: it would be known by no clock.
    """
    try:
        if isinstance(said, int | float) and not isinstance(said, bool):
            return datetime.fromtimestamp(int(said // 1000 if abs(said) >= _MILLISECONDS else said), UTC)
        time = datetime.fromisoformat(said)
        return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _on_its_day(entry: Entry) -> datetime:
    """When an entry was stored, if its key names that day or none; else the beginning of the day it names."""
    day, stored = key_day(entry.key), entry.time.astimezone(UTC)
    if day is None or day == stored.date():
        return stored
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
