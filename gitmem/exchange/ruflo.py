"""The export of claude-flow 3 ("ruflo"): one JSON object with a list of entries, times in Unix milliseconds.

Knows the schema `ruflo-memory-export/v1`; does not know what becomes of the entries.
Law: every element of the list is an entry or is refused; a file that ends too early gives none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitmem.exchange.jsonfile import Malformed, Part, Scanner, read_part
from gitmem.exchange.records import (
    Heading,
    Refused,
    Unfit,
    expiry_of,
    seconds_of,
    stamp_of,
    text_body,
    text_of,
    value_body,
    wrong,
)

FORM = "ruflo"
SCHEMA = "ruflo-memory-export/v1"
_EXPECTED = f'a JSON object with "schema": "{SCHEMA}" and a list of entries'


class RufloExport:
    """A ruflo export file."""

    form = FORM
    ordered = False

    def __init__(self, path: Path, *, namespace: str, now: float) -> None:
        """`namespace` and `now` are for entries that name none, and have no time."""
        self._path = path
        self._namespace = namespace
        self._now = now
        self._file = path.open("rb")

    def headings(self) -> Iterator[Heading | Refused]:
        """The entries, in the file's order."""
        members: dict[str, Any] = {}
        try:
            with self._path.open("rb") as file:
                for part in Scanner(file).parts("entries", members):
                    try:
                        yield self._heading(part)
                    except Unfit as unfit:
                        yield Refused(self.where(part), str(unfit))
        except Malformed as fault:
            raise wrong(self._path, f"is cut short or damaged {fault}", _EXPECTED) from None
        if members.get("schema") != SCHEMA:
            raise wrong(self._path, f"has the schema {members.get('schema')!r}", _EXPECTED)
        if members.get("entries") is not True:
            raise wrong(self._path, "has no list of entries", _EXPECTED)

    def body(self, place: Any, *, limit: int) -> bytes:
        """The value: text, or the JSON that hides in it."""
        value = read_part(self._file, place)["value"]
        return text_body(value, limit=limit) if isinstance(value, str) else value_body(value, limit=limit)

    def where(self, place: Any) -> str:
        """The element of the list."""
        return f"entries[{place.number}]"

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _heading(self, part: Part) -> Heading:
        entry = read_part(self._file, part)
        moment = seconds_of(entry.get("updatedAt"), "updatedAt", milliseconds=True)
        if moment is None:
            moment = seconds_of(entry.get("createdAt"), "createdAt", milliseconds=True)
        if moment is None:
            moment = self._now
        if "value" not in entry:
            raise Unfit("its value is missing")
        namespace = entry.get("namespace")
        return Heading(
            part,
            self._namespace if namespace is None else text_of(namespace, "namespace"),
            text_of(entry.get("key"), "key"),
            int(moment),
            moment,
            stamp_of(entry.get("storedBy"), entry.get("sessionId"), otherwise=FORM),
            expiry_of(entry.get("expiresAt"), "expiresAt", milliseconds=True),
        )
