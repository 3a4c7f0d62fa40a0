"""Packs made by hand, also such as no git would write."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from gitmem.gitobject import hash_object

COMMIT, TREE, BLOB, TAG, OFS, REF = 1, 2, 3, 4, 6, 7
NAMES = {"commit": COMMIT, "tree": TREE, "blob": BLOB, "tag": TAG}


class Entry(NamedTuple):
    """One object as it is to lie in a pack. `base`: an id, or how many entries before this one."""

    kind: int
    body: bytes
    base: bytes | int | None = None
    size: int | None = None


def whole(kind: str, body: bytes) -> Entry:
    """An object as it is."""
    return Entry(NAMES[kind], body)


def varint(number: int) -> bytes:
    """Little-endian, seven bits a byte."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def delta(base: bytes, body: bytes) -> bytes:
    """A delta that copies nothing."""
    inserts = b"".join(bytes([len(body[at : at + 127])]) + body[at : at + 127] for at in range(0, len(body), 127))
    return varint(len(base)) + varint(len(body)) + inserts


def pack(entries: Sequence[Entry], *, count: int | None = None, tail: bytes = b"") -> bytes:
    """The whole file, with its checksum."""
    out = bytearray(b"PACK" + struct.pack(">II", 2, len(entries) if count is None else count))
    offsets: list[int] = []
    for entry in entries:
        offsets.append(len(out))
        out += _head(entry.kind, len(entry.body) if entry.size is None else entry.size)
        if entry.kind == REF:
            assert isinstance(entry.base, bytes)
            out += entry.base
        elif entry.kind == OFS:
            assert isinstance(entry.base, int)
            number = len(offsets) - 1 - entry.base
            out += _distance(offsets[-1] - offsets[number] if 0 <= number < len(offsets) else 1 << 20)
        out += zlib.compress(entry.body)
    out += tail
    return bytes(out) + hashlib.sha1(out, usedforsecurity=False).digest()


def _head(kind: int, size: int) -> bytes:
    rest = size >> 4
    return bytes([kind << 4 | size & 15 | (0x80 if rest else 0)]) + (varint(rest) if rest else b"")


def _distance(distance: int) -> bytes:
    out = [distance & 0x7F]
    while distance := distance >> 7:
        distance -= 1
        out.append(distance & 0x7F | 0x80)
    return bytes(reversed(out))


def tree(*entries: tuple[str, bytes, bytes]) -> bytes:
    """The body of a tree: mode, name, id; in the order given."""
    return b"".join(mode.encode() + b" " + name + b"\0" + oid for mode, name, oid in entries)


def commit(root: bytes, *parents: bytes, who: str = "A <a@example.org> 1767225700 +0000") -> bytes:
    """The body of a commit."""
    lines = [f"tree {root.hex()}", *(f"parent {parent.hex()}" for parent in parents)]
    return "\n".join([*lines, f"author {who}", f"committer {who}", "", "by hand\n"]).encode()


def history() -> tuple[list[Entry], bytes]:
    """A small sound history with deltas of both kinds, and the id of its commit."""
    text = b"".join(b"line %d of a text\n" % number for number in range(40))
    blob, other, third = text, text + b"more\n", text + b"most\n"
    ids = [hash_object("blob", one) for one in (blob, other, third)]
    root = tree(("100644", b"a", ids[0]), ("100644", b"b", ids[1]), ("100644", b"c", ids[2]))
    made = commit(hash_object("tree", root))
    entries = [
        whole("commit", made),
        whole("tree", root),
        whole("blob", blob),
        Entry(OFS, delta(blob, other), 1),
        Entry(REF, delta(other, third), ids[1]),
    ]
    return entries, hash_object("commit", made)
