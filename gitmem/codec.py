"""JSON values and their canonical bytes.

Knows: what a legal value is, how it is printed, how strictly it is read. Does not know: keys, files, git.
Law: equal values <=> equal bytes. For values a and b: `equal(a, b)` <=> `encode(a) == encode(b)`;
`decode(encode(a))` equals a; and the bytes are those of CPython 3.11's
`json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2) + "\\n"`.

Printing and comparing keep their own stack, so a deep value is refused and never exhausts Python's. A value
may hold one list many times over, so the printer counts while it prints: small input cannot explode.

Reading is quick first and exact later: json's own scanner, with hooks that refuse, says only *that*
something is wrong; then `_first_fault` goes through the text once more to say *where*.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from json.encoder import encode_basestring
from typing import Any, TypeAlias

from gitmem.errors import InvalidValueError

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

MAX_DEPTH = 200
MAX_INT_DIGITS = 640  # what every Python converts, however sys.set_int_max_str_digits is set
MAX_VALUE_BYTES = 16 * 1024 * 1024

_INT_END = 10**MAX_INT_DIGITS

# What is refused: a reason, and the next step.
_TOO_DEEP = (
    f"more than {MAX_DEPTH} containers inside each other",
    "a value cannot contain itself; flatten it, or split it over several keys",
)
_TWICE = ("two members of one name", "give each member a name of its own")
_LONG_INT = (f"an integer of more than {MAX_INT_DIGITS} digits", "store it as a string")
_LONE = ("a lone surrogate", "text must be Unicode; write bytes in base64, do not cut pairs in two")
_SIZE_HINT = "split it over several keys, or raise max_value_bytes in gitmem.toml"
_SYNTAX_HINT = "write it as JSON in UTF-8: strings and names in double quotes, no trailing commas"
_TYPES_HINT = "use str, int, float, bool, None, list, tuple, and dict with str keys"
_NUMBER_HINT = "store null or a string instead"


class _Refused(Exception):
    """A reason and a hint, on the way to whoever knows the place."""


def place(path: Iterable[str | int]) -> str:
    """The RFC 6901 pointer that leads along member names and positions."""
    return "".join(["/" + str(step).replace("~", "~0").replace("/", "~1") for step in path])


def _invalid(pointer: str, reason: str, hint: str) -> InvalidValueError:
    at = f" at {pointer}" if pointer else ""
    return InvalidValueError(f"not a legal value{at}: {reason}", hint=hint, pointer=pointer, reason=reason)


# --- printing


def encode(value: object, *, max_bytes: int = MAX_VALUE_BYTES) -> bytes:
    """The canonical bytes of a value, with a final newline. Subclasses (enums, say) print as their base type.

    Raises InvalidValueError with the place of what is no JSON; a value that is too big has the place "".
    """
    text = "".join(_pieces(value, max_bytes)) + "\n"
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        raise _located(text) from None
    if len(data) > max_bytes:
        raise too_big(max_bytes)
    return data


def _pieces(root: object, max_bytes: int) -> list[str]:
    """The printed value in pieces. What is counted here is characters, a lower bound of bytes."""
    out: list[str] = []
    path: list[Any] = []  # one step for each open container, beginning with the root's None
    outer: list[tuple[Iterator[tuple[Any, Any]], str, bool]] = []
    rows: Iterator[tuple[Any, Any]] = iter(((None, root),))
    gap, newline, named = "", "\n", False
    name: Any = None
    room = max_bytes
    scalars, quote = _SCALARS, encode_basestring
    try:
        while True:
            for name, child in rows:
                start = f"{gap}{quote(name)}: " if named else gap
                kind = type(child)
                if kind not in _EXACT:
                    child = _plain(child)
                    kind = type(child)
                if kind in scalars:
                    piece = start + scalars[kind](child)
                elif len(path) >= MAX_DEPTH:
                    raise _Refused(*_TOO_DEEP)
                elif not child:
                    piece = start + ("{}" if kind is dict else "[]")
                else:
                    members = _rows(child)
                    outer.append((rows, newline, named))
                    path.append(name)
                    rows, named, newline = members, kind is dict, newline + "  "
                    gap = newline
                    out.append(start + ("{" if named else "["))
                    room -= len(start)
                    break
                gap = "," + newline
                out.append(piece)
                room -= len(piece)
                if room < 0:
                    raise too_big(max_bytes)
            else:
                if not outer:
                    return out
                close = "}" if named else "]"
                rows, newline, named = outer.pop()
                path.pop()
                gap = "," + newline
                out.append(newline + close)
                room -= len(newline)
    except _Refused as refused:
        raise _invalid(place([*path, name][1:]), *refused.args) from None


def _rows(container: Any) -> Iterator[tuple[Any, Any]]:
    """(name, child) of a container: members by code point, elements by position."""
    if type(container) is not dict:
        return enumerate(container)
    if {*map(type, container)} == _STR_ALONE:
        return iter(sorted(container.items()))
    members = {_plain_name(name): child for name, child in container.items()}
    if len(members) < len(container):
        raise _Refused(*_TWICE)
    return iter(sorted(members.items()))


def _plain_name(name: object) -> str:
    if isinstance(name, str):
        return str.__str__(name)
    raise _Refused(f"a member's name is {_kind(name)}, not str", "write the name as a string")


def _plain(value: object) -> Any:
    """A value of a subclass as the type that it derives from, whatever it overrides."""
    for ancestor, plain in _ANCESTORS:
        if issubclass(type(value), ancestor):
            return plain(value)
    raise _Refused(f"{_kind(value)} is not a type of JSON", _TYPES_HINT)


def _kind(value: object) -> str:
    return type(value).__name__


def _int_text(number: int) -> str:
    if -_INT_END < number < _INT_END:
        return int.__repr__(number)
    raise _Refused(*_LONG_INT)


def _float_text(number: float) -> str:
    text = float.__repr__(number)
    if text in _NOT_FINITE:
        raise _Refused(f"{text} is not JSON", _NUMBER_HINT)
    return text


def too_big(limit: int) -> InvalidValueError:
    """The error for a value of more than `limit` canonical bytes."""
    return _invalid("", f"more than {limit} bytes of JSON", _SIZE_HINT)


_NOT_FINITE = frozenset({"nan", "inf", "-inf"})
_STR_ALONE = {str}
_SCALARS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: _int_text,
    float: _float_text,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
}
_EXACT = frozenset({*_SCALARS, list, tuple, dict})
_ANCESTORS: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (list, lambda value: list(list.__iter__(value))),
    (tuple, lambda value: list(tuple.__iter__(value))),
    (dict, lambda value: dict(dict.items(value))),
)


# --- reading

_SCAN = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # the scanner itself, in C: what `json.loads` adds doubles the price of a read


def decode(data: bytes | str, *, max_bytes: int = MAX_VALUE_BYTES) -> JSON:
    """The value of a JSON text, canonical or not. `max_bytes` bounds the text as it stands, spaces counted.

    Raises InvalidValueError with the place; for malformed JSON the place is "" and the reason has the line.
    """
    text = _checked_text(data, max_bytes)
    try:
        value: JSON = _STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise _malformed(f"line {error.lineno} column {error.colno}: {error.msg}") from None
    except _Refused:
        raise _located(text) from None
    except RecursionError:
        if fault := _first_fault(text):
            raise fault from None
        raise  # a legal value: it is the caller who left no stack
    if _is_deep(text, value) or _has_lone_escape(text, value):
        raise _located(text)
    return value


def decode_trusted(data: bytes | str) -> JSON:
    """The value of a text that `encode` printed or `decode` accepted, without leading white space. Checks nothing."""
    value: JSON = _SCAN(data if isinstance(data, str) else data.decode("utf-8"), 0)[0]
    return value


def _malformed(reason: str) -> InvalidValueError:
    return _invalid("", reason, _SYNTAX_HINT)


def _checked_text(data: bytes | str, max_bytes: int) -> str:
    try:
        encoded = data.encode("utf-8") if isinstance(data, str) else data
        if len(encoded) > max_bytes:
            raise too_big(max_bytes)
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeEncodeError:
        raise _located(str(data)) from None
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise _malformed("line 1 column 1: a byte order mark")
    return text


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _Refused(*_TWICE)
    return members


def _parse_int(text: str) -> int:
    if len(text) > MAX_INT_DIGITS and len(text.lstrip("-")) > MAX_INT_DIGITS:
        raise _Refused(*_LONG_INT)
    return int(text)


def _parse_float(text: str) -> float:
    number = float(text)
    if number - number != 0.0:
        raise _Refused(f"{text[:40]} is too large for a double", _NUMBER_HINT)
    return number


def _parse_constant(text: str) -> None:
    raise _Refused(f"{text} is not JSON", _NUMBER_HINT)


_STRICT = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_parse_int, parse_float=_parse_float, parse_constant=_parse_constant
)
_COMPACT = json.JSONEncoder(ensure_ascii=False, check_circular=False)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def _is_deep(text: str, value: JSON) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [container for container in level if type(container) is list or type(container) is dict]
        level = [child for each in level for child in (each.values() if type(each) is dict else each)]
    return any(type(child) is list or type(child) is dict for child in level)


def _has_lone_escape(text: str, value: JSON) -> bool:
    """Whether an escape left half a pair; json joins the proper pairs."""
    if not _SURROGATE_ESCAPE.search(text):
        return False
    try:
        _COMPACT.encode(value).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


# --- the place of a fault

_TOKEN = re.compile(r'["\[\]{},]|[^\s"\[\]{},:]+')
_COLON = re.compile(r"[ \t\n\r]*:")
_STRING = json.JSONDecoder()


def _located(text: str) -> InvalidValueError:
    """The error for a text in which something is wrong."""
    return _first_fault(text) or _malformed("a lone surrogate, or malformed JSON")


def _first_fault(text: str) -> InvalidValueError | None:
    """The first thing in a JSON text that is refused, its syntax aside; None if there is nothing."""
    path: list[str | int] = []  # one step for each open container: a name in objects, a position in lists
    names: list[set[str]] = []
    position = 0
    try:
        while token := _TOKEN.search(text, position):
            position = token.end()
            if token[0] in "[{":
                if len(path) >= MAX_DEPTH:
                    raise _Refused(*_TOO_DEEP)
                path.append("" if token[0] == "{" else 0)
                names.append(set())
            elif token[0] in "]}":
                path.pop()
                names.pop()
            elif token[0] == ",":
                path[-1] = path[-1] + 1 if isinstance(path[-1], int) else ""
            elif token[0] != '"':
                _STRICT.decode(token[0])
            else:
                string, position = _STRING.raw_decode(text, token.start())
                named = _COLON.match(text, position) is not None
                if not _is_unicode(string):
                    return _invalid(place(path[:-1] if named else path), *_LONE)
                if named:
                    path[-1] = string
                    if string in names[-1]:
                        raise _Refused(*_TWICE)
                    names[-1].add(string)
    except _Refused as refused:
        return _invalid(place(path), *refused.args)
    except (json.JSONDecodeError, IndexError):
        pass  # malformed before anything was refused
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


# --- comparing


def equal(a: object, b: object) -> bool:
    """Equality by type: 1, 1.0 and True differ, and so do 0.0 and -0.0; a tuple is a list.

    What is no JSON equals only itself. Two containers are compared once, however often they are shared.
    """
    waiting: list[tuple[Any, Any]] = [(a, b)]
    seen: set[tuple[int, int]] = set()
    while waiting:
        pair = waiting.pop()
        if pair[0] is pair[1]:
            continue
        try:
            one, other = map(_exact, pair)
        except _Refused:
            return False
        kind = type(one)
        if kind is not type(other):
            return False
        if kind is dict or kind is list:
            if len(one) != len(other) or (kind is dict and one.keys() != other.keys()):
                return False
            if (ids := (id(pair[0]), id(pair[1]))) not in seen:
                seen.add(ids)
                waiting += zip(one, other, strict=True) if kind is list else _pairs(one, other)
        elif one != other or (kind is float and float.__repr__(one) != float.__repr__(other)):
            return False
    return True


def _pairs(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[Any, Any]]:
    return [(child, other[name]) for name, child in one.items()]


def _exact(value: object) -> Any:
    if type(value) is tuple:
        return list(value)
    return value if type(value) in _EXACT else _plain(value)
