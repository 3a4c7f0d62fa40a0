"""JSON pointers (RFC 6901): the text that names a place inside a value.

Knows: the escapes, and how a token names a member or an element. Does not know: what stands at the place.
Law: `parse(format(tokens)) == tokens`, and `format(parse(pointer)) == pointer` for every legal pointer.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from gitmem import codec
from gitmem.codec import JSON
from gitmem.errors import InvalidPatternError

Tokens: TypeAlias = tuple[str, ...]

_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,17}")  # more digits than any list is long


def parse(pointer: str) -> Tokens:
    """The tokens of a pointer; "" is the whole value. Raises InvalidPatternError if it is malformed."""
    if not pointer:
        return ()
    if pointer[0] != "/":
        raise _malformed(pointer, "it does not begin with '/'")
    if _BAD_ESCAPE.search(pointer):
        raise _malformed(pointer, "a '~' is not followed by 0 or 1")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))


def format(tokens: Tokens) -> str:
    """The pointer that names the place along these tokens."""
    return codec.place(tokens)


def resolve(value: JSON, pointer: str) -> JSON:
    """What stands at the place. Raises LookupError if nothing does; "-" names no element."""
    for token in parse(pointer):
        value = step(value, token)
    return value


def step(container: JSON, token: str) -> JSON:
    """The member or the element that one token names. Raises LookupError if there is none."""
    if isinstance(container, dict):
        if token in container:
            return container[token]
        raise LookupError(f"there is no member {token!r}")
    if isinstance(container, list):
        return container[index(token, len(container))]
    raise LookupError(f"{token!r} leads into something that is no object and no list")


def index(token: str, count: int) -> int:
    """The position below `count` that a token names: digits without a leading zero. LookupError if none."""
    if not _INDEX.fullmatch(token):
        raise LookupError(f"{token!r} is not a position in a list")
    position = int(token)
    if position >= count:
        raise LookupError(f"position {token} is past the end of the list")
    return position


def _malformed(pointer: str, reason: str) -> InvalidPatternError:
    return InvalidPatternError(
        f"not a JSON pointer: {pointer!r}: {reason}",
        hint="write it as /member/0/member, with ~1 for '/' and ~0 for '~'; \"\" is the whole value",
        pattern=pointer,
        reason=reason,
    )
