"""A section of a git config file, found and taken out of its text.

Knows git's syntax of headers, comments and continued lines; does not know what settings mean.
Law: every byte outside the section stays.
"""

from __future__ import annotations

import re

_HEADER = re.compile(rb'\s*\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_ESCAPED = re.compile(rb"\\(.)")


def quoted(text: str) -> str:
    """The text between two double quotes of a config file."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def without_section(content: bytes, section: str, name: str) -> bytes:
    """The text without the sections `[section "name"]`, their settings and the comments among these."""
    wanted = (section.encode(), name.encode("utf-8", "surrogateescape"))
    kept, inside, continued = [], False, False
    for line in content.splitlines(keepends=True):
        header = None if continued else _HEADER.match(line)
        if header:
            inside = (header[1].lower(), _ESCAPED.sub(rb"\1", header[2] or b"")) == wanted
        if not inside:
            kept.append(line)
        continued = _goes_on(line)
    return b"".join(kept)


def _goes_on(line: bytes) -> bool:
    """Whether the next line belongs to this one: it ends in a backslash that no other one escapes."""
    text = line.rstrip(b"\r\n")
    comment = text.lstrip()[:1] in (b"#", b";")
    return not comment and (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
