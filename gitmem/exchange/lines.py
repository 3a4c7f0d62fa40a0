"""gitmem's own export: one JSON object a line, an entry or a version, oldest first.

Knows the lines that `export` yields; does not know how they came about.
Law: the order of the lines is the order of history, whatever their times say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitmem.exchange.jsonfile import Part, parse_object, read_part
from gitmem.exchange.records import (
    DELETED,
    RENEWED,
    STORED,
    Heading,
    Refused,
    Unfit,
    expiry_of,
    seconds_of,
    stamp_of,
    text_of,
    value_body,
    wrong,
)

FORM = "gitmem"
EXPECTED = "gitmem's own export: JSON lines, each an object with namespace, key and value"
_MARK = b"\xef\xbb\xbf"
_OPERATIONS = {"created": STORED, "modified": STORED, "deleted": DELETED, "renewed": RENEWED}


class GitmemExport:
    """A file that `gitmem export` wrote."""

    form = FORM
    ordered = True

    def __init__(self, path: Path, *, namespace: str, now: float) -> None:
        """`namespace` and `now` are for lines that name none, and have no time."""
        self._path = path
        self._namespace = namespace
        self._now = now
        self._file = path.open("rb")

    def headings(self) -> Iterator[Heading | Refused]:
        """The lines; empty ones count for nothing."""
        offset, known = 0, False
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                mark = len(_MARK) if number == 1 and line.startswith(_MARK) else 0
                part = Part(number, offset + mark, len(line) - mark)
                offset += len(line)
                if not line[mark:].strip():
                    continue
                try:
                    entry = parse_object(line[mark:])
                except Unfit as unfit:
                    if not known or not line.endswith(b"\n"):
                        what = "is cut short" if known else "is of another form"
                        raise wrong(self._path, f"{what}: line {number}: {unfit}", EXPECTED) from None
                    yield Refused(self.where(part), str(unfit))
                    continue
                known = True
                try:
                    yield self._heading(part, entry)
                except Unfit as unfit:
                    yield Refused(self.where(part), str(unfit))

    def body(self, place: Any, *, limit: int) -> bytes:
        """The value of a line."""
        return value_body(read_part(self._file, place)["value"], limit=limit)

    def where(self, place: Any) -> str:
        """The line's number."""
        return f"line {place.number}"

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _heading(self, part: Part, entry: dict[str, Any]) -> Heading:
        operation = _OPERATIONS.get(entry.get("operation", "created"))
        if operation is None:
            raise Unfit("its operation is none of created, modified, deleted, renewed")
        if operation != DELETED and "value" not in entry:
            raise Unfit("its value is missing")
        moment = seconds_of(entry.get("time"), "time")
        namespace = entry.get("namespace")
        return Heading(
            part,
            self._namespace if namespace is None else text_of(namespace, "namespace"),
            text_of(entry.get("key"), "key"),
            int(self._now if moment is None else moment),
            0.0,
            stamp_of(entry.get("agent"), entry.get("session"), otherwise=FORM),
            None if operation == DELETED else expiry_of(entry.get("expires"), "expires"),
            operation,
            str(entry.get("revision", "")),
        )
