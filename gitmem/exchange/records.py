"""What every source gives: headings (an entry without its value), and bodies on demand.

Knows times, names of agents and the JSON that hides in text, as other tools write them; does not know any tool.
Law: a source is read twice, headings first: only what was read to its end and found whole is written at all,
and values are held one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gitmem import codec
from gitmem.errors import InvalidValueError
from gitmem.provenance import Stamp, check_name

STORED, DELETED, RENEWED = "stored", "deleted", "renewed"

_LAST_SECOND = 253402300799  # of the year 9999
_MILLISECONDS = 100_000_000_000  # a number of seconds beyond the year 5000 counts milliseconds
_SHOWN = 120


class Heading(NamedTuple):
    """One state of one key, without its value.

    `place` is where its source finds the value; `time` and `expires` are Unix seconds, `moment` orders entries of
    one second. `operation` is stored, deleted, or renewed (only the expiry is new). Entries of one time and source
    become one commit, unless `commit` says that they were several.
    """

    place: Any
    namespace: str
    key: str
    time: int
    moment: float
    stamp: Stamp
    expires: int | None = None
    operation: str = STORED
    commit: str = ""


class Refused(NamedTuple):
    """What could not be taken, and why."""

    where: str
    reason: str


class Unfit(Exception):
    """A reason not to take an entry, on the way to whoever knows its place."""


class Source(Protocol):
    """A file or folder that holds entries. `ordered`: its own order tells what came after what, not the times."""

    form: str
    ordered: bool

    def headings(self) -> Iterator[Heading | Refused]:
        """Every entry, once. InvalidValueError if the source is not whole, or not what it should be."""

    def body(self, place: Any, *, limit: int) -> bytes:
        """The canonical bytes of the value at a heading's place. Unfit if there is none, or more than `limit`."""

    def where(self, place: Any) -> str:
        """The place in words."""

    def close(self) -> None:
        """Let go of the files."""


def wrong(path: Path, what: str, expected: str) -> InvalidValueError:
    """The error for a source that is not whole, or not what it should be."""
    return InvalidValueError(
        f"{path} {what}; nothing was written", hint=f"expected {expected}", pointer="", reason=what
    )


def shown(text: str) -> str:
    """Text of somebody else's, safe to print on a line."""
    safe = text if text.isprintable() else ascii(text)[1:-1]
    return safe if len(safe) <= _SHOWN else f"{safe[:_SHOWN]}…"


def text_body(text: str, *, limit: int) -> bytes:
    """The canonical bytes of a text that another tool kept: a JSON object or list hides in it, or it is text.

    What looks like JSON but is none by our rules (two members of one name, say) stays text, so nothing is lost.
    """
    if text.lstrip(" \t\r\n")[:1] in ("{", "["):
        try:
            return codec.encode(codec.decode(text, max_bytes=4 * len(text)), max_bytes=limit)
        except InvalidValueError:
            pass
    return value_body(text, limit=limit)


def value_body(value: object, *, limit: int) -> bytes:
    """The canonical bytes of a value; Unfit if it is none."""
    try:
        return codec.encode(value, max_bytes=limit)
    except InvalidValueError as error:
        at = f" at {shown(error.pointer)}" if error.pointer else ""
        raise Unfit(f"its value is not legal{at}: {error.reason}") from None


def text_of(value: object, what: str) -> str:
    """A text; Unfit says what the column or member holds instead."""
    if isinstance(value, str):
        return value
    if value is None:
        raise Unfit(f"its {what} is missing")
    raise Unfit(f"its {what} is {_KINDS.get(type(value), type(value).__name__)}, not text")


_KINDS = {bytes: "a blob", int: "a number", float: "a number", bool: "a boolean", list: "a list", dict: "an object"}


def seconds_of(value: object, what: str, *, milliseconds: bool = False) -> float | None:
    """A time as Unix seconds; None for none. Takes numbers, and text in ISO 8601 (UTC where it names no zone)."""
    if value is None:
        return None
    if isinstance(value, str):
        seconds = _parsed(value, what)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1000 if milliseconds or value > _MILLISECONDS else value
    else:
        raise Unfit(f"its {what} is no time")
    if not 0 <= seconds <= _LAST_SECOND:
        raise Unfit(f"its {what} is no time between 1970 and 9999")
    return seconds


def _parsed(text: str, what: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Unfit(f"its {what} is no time") from None
    try:
        return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        raise Unfit(f"its {what} is no time between 1970 and 9999") from None


def expiry_of(value: object, what: str, *, milliseconds: bool = False) -> int | None:
    """An expiry in whole Unix seconds, fractions rounded up; None for never."""
    seconds = seconds_of(value, what, milliseconds=milliseconds)
    return None if seconds is None else math.ceil(seconds)


def stamp_of(agent: object, session: object, *, otherwise: str) -> Stamp:
    """Who wrote, as far as the names are legal ones."""
    return Stamp(_name(agent, "agent") or otherwise, _name(session, "session"))


def _name(text: object, kind: str) -> str | None:
    if not isinstance(text, str):
        return None
    try:
        return check_name(text, kind=kind)
    except InvalidValueError:
        return None
