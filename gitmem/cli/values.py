"""What is typed, as a value: VALUE, `-`, --file, --string, --expect.

Knows the command line's rules for them; does not know which command asks.
Law: text that is not JSON is a string, unless it begins as JSON's containers and strings do: then it was meant
as JSON, and a slip of the keyboard is not stored as text.
"""

from __future__ import annotations

import re
import sys
from typing import IO, Any

import click

from gitmem.cli.failures import Misused
from gitmem.codec import decode
from gitmem.entries import ABSENT, UNSET
from gitmem.errors import InvalidValueError

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_MEANT_AS_JSON = ("{", "[", '"')
_LONGEST_NUMBER = 40  # as long as a full revision, which may be all digits
_ANY_SIZE = 1 << 40  # the memory's own limit is judged when the value is stored


_STRING = click.option("--string", "as_text", is_flag=True, help="Take it as text, whatever it looks like.")
FILE = click.option("--file", "source", type=click.File("rb"), help="Read it from a file; - is stdin.")


def value_options(function: Any) -> Any:
    """The options of a command that takes a VALUE: `source` and `as_text` of the function."""
    return FILE(_STRING(function))


def read(typed: str | None, source: IO[bytes] | None, *, as_text: bool | None = None, name: str = "VALUE") -> Any:
    """The value that was typed, piped, or lies in a file. InvalidValueError with the place if it is none.

    `as_text` is what --string says, None for a command that has no --string.
    """
    if (typed is None) == (source is None):
        hint = f"give {name}, or - for stdin, or --file FILE"
        raise Misused(f"{name} is missing" if typed is None else f"{name} and --file exclude each other", hint=hint)
    if source is not None:
        return parse(_text(source.read()), as_text=as_text)
    if typed == "-":
        piped = _text(sys.stdin.buffer.read())
        return parse(piped, as_text=as_text, piped=True)
    return parse(typed or "", as_text=as_text)


def parse(text: str, *, as_text: bool | None = None, piped: bool = False) -> Any:
    """A value from text; where piped text becomes a string, its last newline is left off."""
    if not as_text:
        try:
            return decode(text, max_bytes=_ANY_SIZE)
        except InvalidValueError as error:
            if text.lstrip().startswith(_MEANT_AS_JSON) or _NUMBER.fullmatch(text.strip()):
                raise (error if as_text is None else _meant_as_json(error)) from None
    return text.removesuffix("\n") if piped else text


def parse_json(text: str, name: str) -> Any:
    """A value where only JSON makes sense."""
    try:
        return decode(text, max_bytes=_ANY_SIZE)
    except InvalidValueError as error:
        raise InvalidValueError(
            f"{name} is {error.message}", hint=error.hint, pointer=error.pointer, reason=error.reason
        ) from None


def expected(text: str | None) -> Any:
    """What --expect means: `absent`, the number of a version, or a revision."""
    if text is None:
        return UNSET
    return ABSENT if text == "absent" else version(text)


def version(text: str) -> int | str:
    """The number of a version, or a revision: all digits under 40 characters are a number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _LONGEST_NUMBER else text


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidValueError(
            f"not a legal value: byte {error.start} is not UTF-8",
            hint="a value is JSON or text in UTF-8; write bytes in base64",
            pointer="",
            reason="not UTF-8",
        ) from None


def _meant_as_json(error: InvalidValueError) -> InvalidValueError:
    hint = f"{error.hint}\n--string stores the text as it is"
    return InvalidValueError(error.message, hint=hint, pointer=error.pointer, reason=error.reason)
