"""Which text is a namespace or a key, and which names in a tree stand for it.

Knows the rules of segments and their percent-encoding. Does not know git, nor how wide directories are split:
only that `~0` … `~f` are bucket names, and which digits a name has.

Law: `parse_leaf(leaf_name(s)) == s` and `parse_directory(directory_name(s)) == s` for every legal segment,
so no two segments share a name; and a name in a tree is a key's if and only if encoding its decoding gives
it back.

What some file system would read as something else is written as %XX, so that every name can be checked out
and passes git's own checks (fsck, protectNTFS, protectHFS).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from gitmem.errors import InvalidKeyError

DEFAULT_NAMESPACE = "default"
CONFLICTS = "conflicts"
"""The namespace that gitmem alone writes: what merges could not settle."""
COORDINATION = "coordination"
"""The namespace in which agents meet, and in which sessions keep their own keys."""
REASONING_BANK = "reasoning-bank"
"""The namespace of patterns: what sessions learned for later ones."""
SUFFIX = ".json"
RESERVED = "gitmem"
MAX_KEY_BYTES = 1024
MAX_SEGMENT_BYTES = 240
BUCKET_DIGITS = {f"~{digit}".encode(): digit for digit in "0123456789abcdef"}

_SUFFIX = SUFFIX.encode()
_CACHED = 1 << 13
_SHOWN = 60

# Each alternative is one character that is written as %XX. Case-blind for ASCII alone: U+212A is no k.
_ANYWHERE = r'[%\\:*?"<>|~\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]'
_LEADING_DOT = r"\A\."
_LAST_DOT_OR_SPACE = r"[. ]\Z"
_DEVICE = r"\A(?=(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|\Z))[a-z]"
_FINAL_JSON = r"\.(?=json\Z)"
_IN_LEAF_PATTERN = f"{_ANYWHERE}|{_LEADING_DOT}|{_LAST_DOT_OR_SPACE}|{_DEVICE}"
_IN_LEAF = re.compile(_IN_LEAF_PATTERN, re.IGNORECASE | re.ASCII)
_IN_DIRECTORY = re.compile(f"{_IN_LEAF_PATTERN}|{_FINAL_JSON}", re.IGNORECASE | re.ASCII)
_ESCAPE = re.compile(rb"%([0-9A-F]{2})")

_SHORT = MAX_SEGMENT_BYTES // 3  # however it is encoded, nothing in a key so short is too long
_ORDINARY = re.compile(r"[^/\x00-\x1f\x7f-\U0010ffff]+(?:/[^/\x00-\x1f\x7f-\U0010ffff]+)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

_HINTS = {
    "key": "a key is segments of text between single slashes, such as swarm/coder/status",
    "namespace": "a namespace is one segment of text, such as coordination",
}


def check_key(key: object, *, writing: bool = True) -> tuple[str, ...]:
    """The segments of `key`; InvalidKeyError if it is none. NFC is asked for only when writing."""
    if not isinstance(key, str):
        raise _refusal("key", "", "", f"a key is text, not {type(key).__name__}")
    if len(key) > MAX_KEY_BYTES:
        raise _refusal("key", key, "", f"it is longer than {MAX_KEY_BYTES} bytes")
    if len(key) <= _SHORT and _ORDINARY.fullmatch(key):
        return tuple(key.split("/"))
    return _segments(key, writing)


def check_namespace(name: object, *, writing: bool = True) -> str:
    """`name` itself, if it is one legal segment; names that begin with "gitmem" are refused when writing."""
    if not isinstance(name, str):
        raise _refusal("namespace", "", "", f"a namespace is text, not {type(name).__name__}")
    if len(name) > MAX_SEGMENT_BYTES:
        raise _refusal("namespace", name, name, f"it is longer than {MAX_SEGMENT_BYTES} bytes once encoded")
    return _namespace(name, writing)


@lru_cache(_CACHED)
def leaf_name(segment: str) -> bytes:
    """The name of the file of a key that ends in `segment`."""
    return _IN_LEAF.sub(_percent, segment).encode() + _SUFFIX


@lru_cache(_CACHED)
def directory_name(segment: str) -> bytes:
    """The name of the directory of a namespace, or of the keys below `segment`."""
    return _IN_DIRECTORY.sub(_percent, segment).encode()


@lru_cache(_CACHED)
def parse_leaf(name: bytes) -> str | None:
    """The segment whose file is called `name`; None if `name` is foreign."""
    segment = _decode(name[: -len(_SUFFIX)]) if name.endswith(_SUFFIX) else None
    return segment if segment is not None and leaf_name(segment) == name else None


@lru_cache(_CACHED)
def parse_directory(name: bytes) -> str | None:
    """The segment whose directory is called `name`; None if `name` is foreign, a bucket or `~gitmem`."""
    segment = _decode(name)
    return segment if segment is not None and directory_name(segment) == name else None


def parse_path(path: bytes) -> tuple[str, str] | None:
    """The (namespace, key) whose value lies at `path` of a tree; None if the path is foreign.

    Buckets are accepted wherever they are the right ones for the name that follows, needed or not.
    """
    segments: list[str] = []
    buckets = ""
    *directories, leaf = path.split(b"/")
    for name in directories:
        if name in BUCKET_DIGITS:
            buckets += BUCKET_DIGITS[name]
            continue
        segment = parse_directory(name)
        if segment is None or not _lies_in(segment, buckets):
            return None
        segments.append(segment)
        buckets = ""
    last = parse_leaf(leaf)
    if last is None or not segments or not _lies_in(last, buckets):
        return None
    key = "/".join((*segments[1:], last))
    return (segments[0], key) if len(key.encode()) <= MAX_KEY_BYTES else None


@lru_cache(_CACHED)
def digits(name: str) -> str:
    """The hex digits that say in which buckets the decoded `name` lies: sha256 of its UTF-8 bytes."""
    import hashlib

    return hashlib.sha256(name.encode()).hexdigest()


@lru_cache(_CACHED)
def _segments(key: str, writing: bool) -> tuple[str, ...]:
    if not key:
        raise _refusal("key", key, "", "it is empty")
    segments = tuple(key.split("/"))
    for segment, reason in _faults(segments, writing):
        raise _refusal("key", key, segment, reason)
    if len(key.encode()) > MAX_KEY_BYTES:
        raise _refusal("key", key, "", f"it is longer than {MAX_KEY_BYTES} bytes of UTF-8")
    return segments


@lru_cache(_CACHED)
def _namespace(name: str, writing: bool) -> str:
    if "/" in name:
        raise _refusal("namespace", name, name, 'a namespace is one segment, without "/"')
    fault = _fault(name, writing) or _too_long(directory_name(name))
    if not fault and writing and name.startswith(RESERVED):
        fault = f'names that begin with "{RESERVED}" are reserved'
    if fault:
        raise _refusal("namespace", name, name, fault)
    return name


def _faults(segments: tuple[str, ...], writing: bool) -> Iterator[tuple[str, str]]:
    final = len(segments) - 1
    for position, segment in enumerate(segments):
        if not segment and position == 0:
            yield segment, 'it begins with "/"'
        elif not segment and position == final:
            yield segment, 'it ends with "/"'
        elif fault := _fault(segment, writing):
            yield segment, fault
        else:
            stem = leaf_name(segment)[: -len(_SUFFIX)] if position == final else directory_name(segment)
            if fault := _too_long(stem):
                yield segment, fault


def _fault(segment: str, writing: bool) -> str:
    if not segment:
        return "a segment is empty"
    if found := _CONTROL.search(segment):
        return f"it contains the control character U+{ord(found[0]):04X}"
    if segment.isascii():
        return ""
    if found := _SURROGATE.search(segment):
        return f"it contains half a surrogate pair, U+{ord(found[0]):04X}"
    return "it is not in Unicode normal form NFC" if writing and not _is_nfc(segment) else ""


def _too_long(stem: bytes) -> str:
    too_long = len(stem) > MAX_SEGMENT_BYTES
    return f"a segment is longer than {MAX_SEGMENT_BYTES} bytes once encoded" if too_long else ""


def _is_nfc(text: str) -> bool:
    import unicodedata

    return unicodedata.is_normalized("NFC", text)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def _decode(stem: bytes) -> str | None:
    """The legal segment that `stem` decodes to, canonical or not."""
    if len(stem) > MAX_SEGMENT_BYTES:
        return None
    try:
        segment = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), stem).decode()
    except UnicodeDecodeError:
        return None
    return None if "/" in segment or _fault(segment, writing=False) else segment


def _lies_in(segment: str, buckets: str) -> bool:
    return not buckets or digits(segment).startswith(buckets)


def _refusal(kind: str, text: str, segment: str, reason: str) -> InvalidKeyError:
    part = f", segment {_shown(segment)}" if segment and segment != text else ""
    message = f"invalid {kind} {_shown(text)}{part}: {reason}"
    return InvalidKeyError(
        message, hint=_HINTS[kind], key=_bounded(text), segment=_bounded(segment), reason=reason
    )


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_KEY_BYTES else text[:_SHOWN] + "…"


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}… ({len(text):,} characters)"
