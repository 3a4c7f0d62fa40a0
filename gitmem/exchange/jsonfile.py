"""JSON files that are too large to be read at once: where their parts lie, and each part by itself.

Knows JSON text in a binary file; does not know what the parts mean.
Law: a part is parsed when it is asked for, and at no time is more than one of them held.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from gitmem.exchange.records import Unfit

_CHUNK = 1 << 20
_SPACE = " \t\r\n"


class Malformed(Exception):
    """The file ends too early, or something is in it that is not JSON; says where."""


class Part(NamedTuple):
    """A stretch of the file: its number among its neighbours, where it begins, and how long it is."""

    number: int
    offset: int
    size: int


class Scanner:
    """Goes through one JSON object in a file, and the elements of one of its lists.

    The bytes are scanned as Latin-1: JSON's own signs are ASCII, and a place in the text is a place in the file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """`file` is read from where it stands, which is the object's start."""
        self._file = file
        self._text = ""
        self._begin = file.tell()
        self._place = 0
        self._decoder = json.JSONDecoder()

    def parts(self, name: str, others: dict[str, Any]) -> Iterator[Part]:
        """The elements of the list `name`, as stretches of the file; the other members go into `others`.

        There the list, if it was found, stands as True.
        """
        self._take("{")
        while self._peek() != "}":
            member = self._value()
            self._take(":")
            if member == name and self._peek() == "[":
                yield from self._elements()
                others[name] = True
            else:
                others[str(member)] = self._value()
            if not self._continues("}"):
                break
        self._take("}")
        if self._peek():
            raise self._fault("something follows the end")

    def _elements(self) -> Iterator[Part]:
        self._take("[")
        number = 0
        while self._peek() != "]":
            start = self._begin + self._place
            self._value()
            yield Part(number, start, self._begin + self._place - start)
            number += 1
            if not self._continues("]"):
                break
        self._take("]")

    def _continues(self, end: str) -> bool:
        """Past the comma, if there is one; a comma before the end is no JSON."""
        if self._peek() != ",":
            return False
        self._place += 1
        if self._peek() == end:
            raise self._fault("a comma before the end")
        return True

    def _take(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._fault(f"{sign!r} is missing")
        self._place += 1

    def _peek(self) -> str:
        """The next sign that is no space; "" at the file's end."""
        while True:
            while self._place < len(self._text):
                sign = self._text[self._place]
                if sign not in _SPACE:
                    return sign
                self._place += 1
            if not self._more():
                return ""

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
                if end < len(self._text) or not self._more():
                    self._place = end
                    return value
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._more():
                    raise self._fault("it ends too early, or is no JSON") from None

    def _more(self) -> bool:
        """Read on; what lies behind is dropped."""
        chunk = self._file.read(max(_CHUNK, len(self._text) - self._place))
        if not chunk:
            return False
        self._begin += self._place
        self._text = self._text[self._place :] + chunk.decode("latin-1")
        self._place = 0
        return True

    def _fault(self, reason: str) -> Malformed:
        return Malformed(f"at byte {self._begin + self._place}: {reason}")


def read_part(file: IO[bytes], part: Part) -> dict[str, Any]:
    """The object at a stretch of the file; Unfit if there is none. Its values are judged when they are encoded."""
    file.seek(part.offset)
    return parse_object(file.read(part.size))


def parse_object(text: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8; Unfit if it is none, or two of its members have one name."""
    try:
        value = _STRICT.decode(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise Unfit("it is not UTF-8") from None
    except RecursionError:
        raise Unfit("it is nested too deeply") from None
    except ValueError as error:
        raise Unfit(f"it is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Unfit("it is no object")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise Unfit("two members have one name")
    return members


_STRICT = json.JSONDecoder(object_pairs_hook=_members)
