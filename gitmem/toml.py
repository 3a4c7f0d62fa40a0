"""TOML: text -> a document, and the line in which a place of the document stands.

Knows TOML as `tomllib` reads it; does not know any setting.
Law: of a text that can be read every place has its line: that of its key, its header or, in a list, its first
character. `tomllib` decides what can be read; the walk for lines is made only where something is wrong, and follows
what `tomllib` has let pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""Where something stands in a document: names of tables and settings, and positions in lists, from 0."""

_LINE = re.compile(r"\(at line (\d+), column \d+\)\Z")
_AT_END = "(at end of document)"


class Malformed(ValueError):
    """Text that is no TOML: `reason`, and the `line` (from 1) if it is known."""

    def __init__(self, reason: str, line: int | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


def decode(source: bytes) -> str:
    """The text of a file; Malformed with the line if it is not UTF-8."""
    try:
        return source.decode()
    except UnicodeDecodeError as error:
        raise Malformed("it is not UTF-8", source.count(b"\n", 0, error.start) + 1) from error


def parse(text: str) -> dict[str, Any]:
    """The document; Malformed with what `tomllib` says is wrong."""
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise Malformed("its values are nested too deeply", None) from error
    except ValueError as error:
        message = str(error)
        found = _LINE.search(message)
        line = int(found[1]) if found else len(text.splitlines()) if message.endswith(_AT_END) else None
        raise Malformed(_LINE.sub("", message).rstrip(), line) from error


class Lines:
    """The lines of a document's places."""

    def __init__(self, text: str) -> None:
        """`text` has to be one that `parse` has read."""
        self._found = _Walk(text).lines

    def of(self, *place: str | int) -> int | None:
        """The line of a place; of the nearest around it that is there, if it is not; None at the top."""
        for end in range(len(place), 0, -1):
            if place[:end] in self._found:
                return self._found[place[:end]]
        return None


# --- the walk

_TOKEN = r"""
      (?P<blank> [ \t\r]+ | \#[^\n]* )
    | (?P<newline> \n )
    | (?P<mark> [\[\]{}=,.] )
    | (?P<quoted> \"{3} (?:\\.|[^\\])*? \"{3,5} | '{3} .*? '{3,5} | " (?:\\.|[^"\\\n])* " | '[^'\n]*' )
    | (?P<bare> [^\s\[\]{}=,.\#"']+ )
    | (?P<other> . )
    """  # compiled where something is wrong


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


_END = _Token("end", "", 0)


class _Lost(ValueError):
    """Nothing that `tomllib` would have read."""


class _Walk:
    """From left to right over a text that `tomllib` has read, so that nothing has to be checked again."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Place, int] = {}
        self._tables: dict[Place, int] = {}  # how many each [[…]] has so far
        self._tokens = _tokens(text)
        self._next = next(self._tokens, _END)
        try:
            self._document()
        except (ValueError, RecursionError):  # a caller's stack may be shorter here than it was there
            pass

    def _document(self) -> None:
        table: Place = ()
        while self._skip() is not _END:
            if self._next.text == "[":
                table = self._header()
            else:
                self._setting(table)

    def _header(self) -> Place:
        """The table that a header opens."""
        line = self._step().line
        several = self._next.text == "["
        if several:
            self._step()
        *names, last = self._names("]")
        place: Place = ()
        for name in names:
            place = self._inside((*place, name), line)
        place = (*place, last)
        if several:
            self._step()
            self._tables[place] = self._tables.get(place, 0) + 1
        return self._inside(place, line)

    def _inside(self, place: Place, line: int) -> Place:
        """The table that a name in a header means: the last one, if there are several."""
        self.lines.setdefault(place, line)
        if place in self._tables:
            place = (*place, self._tables[place] - 1)
            self.lines.setdefault(place, line)
        return place

    def _setting(self, place: Place) -> None:
        line = self._next.line
        for name in self._names("="):
            place = (*place, name)
            self.lines.setdefault(place, line)
        self._value(place)

    def _value(self, place: Place) -> None:
        opening = self._step().text
        if opening == "[":
            position = 0
            while self._skip(",").text != "]":
                self.lines[*place, position] = self._next.line
                self._value((*place, position))
                position += 1
            self._step()
        elif opening == "{":
            while self._skip(",").text != "}":
                self._setting(place)
            self._step()
        else:
            while self._next.kind in ("bare", "quoted") or self._next.text == ".":  # 1979-05-27 07:32:00.5
                self._step()

    def _names(self, end: str) -> list[str]:
        """The parts of a dotted name; its end is taken too."""
        names = []
        while (token := self._step()).text != end:
            if token.kind != "mark":
                names.append(_unquoted(token))
        if not names:
            raise _Lost
        return names

    def _step(self) -> _Token:
        if self._next is _END:
            raise _Lost
        taken, self._next = self._next, next(self._tokens, _END)
        return taken

    def _skip(self, *marks: str) -> _Token:
        """The next token that is neither the end of a line nor one of these marks; it is not taken."""
        while self._next.kind == "newline" or self._next.text in marks:
            self._step()
        return self._next


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for found in re.finditer(_TOKEN, text, re.VERBOSE | re.DOTALL):
        kind = found.lastgroup or ""
        if kind != "blank":
            yield _Token(kind, found[0], line)
        line += found[0].count("\n")


def _unquoted(token: _Token) -> str:
    if token.kind != "quoted":
        return token.text
    import tomllib

    return str(tomllib.loads(f"name = {token.text}")["name"])
