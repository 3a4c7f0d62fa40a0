"""gitmem.toml: what all who share a memory agreed on.

Knows the settings of format 1 and where they stand in the file. Does not know where the file lies, nor what
merge rules and contracts mean: they stay in `document`, as does every setting it has not heard of.

Law: `parse_policy(dump_policy(document)).document == document`; nothing is dumped that could not be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gitmem.codec import MAX_VALUE_BYTES
from gitmem.errors import FormatError, InvalidPolicyError

FORMAT = 1
PATH = "gitmem.toml"
ROOT_BYTES = b"format = 1\n"

_LINE = re.compile(r"\(at line (\d+), column \d+\)\Z")
_AT_END = "(at end of document)"


class Policy(NamedTuple):
    """The settings, and the whole `document` from which they come (not to be changed)."""

    format: int
    max_value_bytes: int
    audit_reads: bool
    document: dict[str, Any]


DEFAULT_POLICY = Policy(FORMAT, MAX_VALUE_BYTES, False, {"format": FORMAT})


def parse_policy(data: bytes) -> Policy:
    """The settings in `data`; InvalidPolicyError with the line, or FormatError if it takes a newer gitmem."""
    if data == ROOT_BYTES:
        return DEFAULT_POLICY
    text = _text(data)
    document = _document(text)
    _check_format(document, text)
    size = document.get("max_value_bytes", MAX_VALUE_BYTES)
    if type(size) is not int or size < 1:
        raise _invalid("max_value_bytes has to be a positive whole number", _line_of("max_value_bytes", text))
    audit = document.get("audit_reads", False)
    if type(audit) is not bool:
        raise _invalid("audit_reads has to be true or false", _line_of("audit_reads", text))
    return Policy(FORMAT, size, audit, document)


def dump_policy(document: Mapping[str, Any]) -> bytes:
    """The bytes of gitmem.toml for `document`; InvalidPolicyError if they could not be read again."""
    import tomli_w

    try:
        data = tomli_w.dumps(document).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid(f"it cannot be written as TOML: {error}", None) from error
    parse_policy(data)
    return data


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _invalid("it is not UTF-8", data.count(b"\n", 0, error.start) + 1) from error


def _document(text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise _invalid("its values are nested too deeply", None) from error
    except ValueError as error:
        message = str(error)
        found = _LINE.search(message)
        line = int(found[1]) if found else len(text.splitlines()) if message.endswith(_AT_END) else None
        raise _invalid(_LINE.sub("", message).rstrip(), line) from error


def _check_format(document: dict[str, Any], text: str) -> None:
    number = document.get("format")
    if type(number) is int and number > FORMAT:
        message = f"{PATH} has format {number}; this gitmem reads format {FORMAT}"
        raise FormatError(message, hint="install a newer gitmem: pip install -U gitmem-store", path=PATH)
    if type(number) is not int or number != FORMAT:
        raise _invalid(f"format has to be {FORMAT}", _line_of("format", text))


def _line_of(setting: str, text: str) -> int | None:
    """The line that sets a top-level setting, as far as its first words tell."""
    begins = re.compile(rf"\s*[\"']?{setting}[\"']?\s*[=.]")
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("["):
            break
        if begins.match(line):
            return number
    return None


def _invalid(reason: str, line: int | None) -> InvalidPolicyError:
    place = f"{PATH}, line {line}" if line else PATH
    hint = f"correct {PATH} in the memory: it needs format = {FORMAT}; every other setting may be left out"
    return InvalidPolicyError(f"{place}: {reason}", hint=hint, line=line, reason=reason)
