"""Git's objects as values: trees, commits, people; from bytes and to bytes.

Knows the formats alone; does not know where objects lie.
Law: serializing what was parsed gives the same bytes for every object that gitmem wrote.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from gitmem.packs import Oid

TREE_MODE, BLOB_MODE = 0o40000, 0o100644
Tree: TypeAlias = dict[bytes, tuple[int, Oid]]
"""Entry name -> (mode, id), in git's order. Shared by a cache: never change one."""

_ENTRY = re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0(.{20})", re.DOTALL)
_MODES = {b"100644": BLOB_MODE, b"40000": TREE_MODE}
_IDENTITY = re.compile(r"(.*?) ?<([^<>\n]*)> (-?\d+) ([+-])(\d\d)(\d\d)$")



class Identity(NamedTuple):
    """Who and when: `time` in Unix seconds, `offset` in minutes east of UTC."""

    name: str
    email: str
    time: int
    offset: int


class Commit(NamedTuple):
    """A commit, parsed; `oid` is its own id."""

    oid: Oid
    tree: Oid
    parents: tuple[Oid, ...]
    author: Identity
    committer: Identity
    message: str


def hash_object(kind: str, body: bytes) -> Oid:
    """The id git gives to `body`."""
    digest = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(body)), usedforsecurity=False)
    digest.update(body)
    return digest.digest()


EMPTY_TREE = hash_object("tree", b"")


def parse_tree(body: bytes) -> Tree:
    """The entries of a tree's body; ValueError if it is none."""
    tree: Tree = {}
    size = 0
    for mode, name, oid in _ENTRY.findall(body):
        tree[name] = (_MODES.get(mode) or int(mode, 8), oid)
        size += len(mode) + len(name) + 22
    if size != len(body):
        raise ValueError("not a tree")
    return tree


def tree_order(entry: tuple[bytes, tuple[int, Oid]]) -> bytes:
    """Git sorts a tree's entries as if a directory's name ended in a slash."""
    return entry[0] + b"/" if entry[1][0] == TREE_MODE else entry[0]


def serialize_tree(entries: Mapping[bytes, tuple[int, Oid]]) -> bytes:
    """The body of a tree with these entries, in any order."""
    return join_tree(dict(sorted(entries.items(), key=tree_order)))


def join_tree(ordered: Tree) -> bytes:
    """The body of a tree whose entries are in git's order."""
    return b"".join([b"%o %s\0%s" % (mode, name, oid) for name, (mode, oid) in ordered.items()])


def splice(tree: Tree, body: bytes, changes: Mapping[bytes, tuple[int, Oid] | None]) -> tuple[Tree, bytes]:
    """A tree and its body with some entries set or (None) removed: the usual store, at a fraction of making it anew."""
    entries = list(tree.items())
    for name, new in changes.items():
        old = tree.get(name)
        if old is not None and new is not None and old[0] == new[0]:
            place, start = _place(entries, name, new)
            end = start + _size(name, new)
            body = body[: end - 20] + new[1] + body[end:]
            entries[place] = (name, new)
            continue
        if old is not None:
            place, start = _place(entries, name, old)
            body = body[:start] + body[start + _size(name, old) :]
            del entries[place]
        if new is not None:
            place, start = _place(entries, name, new)
            body = body[:start] + b"%o %s\0%s" % (new[0], name, new[1]) + body[start:]
            entries.insert(place, (name, new))
    return dict(entries), body


def _place(entries: list[tuple[bytes, tuple[int, Oid]]], name: bytes, stored: tuple[int, Oid]) -> tuple[int, int]:
    """Where an entry stands or would stand: its number, and its offset in the body."""
    place = bisect_left(entries, tree_order((name, stored)), key=tree_order)
    sizes = [len(name) + (27 if stored[0] == TREE_MODE else 28) for name, stored in entries[:place]]
    return place, sum(sizes)


def _size(name: bytes, stored: tuple[int, Oid]) -> int:
    return len(name) + (27 if stored[0] == TREE_MODE else 28)


def _identity_line(who: Identity) -> str:
    sign = "-" if who.offset < 0 else "+"
    hours, minutes = divmod(abs(who.offset), 60)
    return f"{who.name} <{who.email}> {who.time} {sign}{hours:02}{minutes:02}"


def serialize_commit(
    tree: Oid,
    parents: Iterable[Oid],
    author: Identity,
    committer: Identity,
    message: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
) -> bytes:
    """The body of a commit; `message` as it is, with its final newline. `headers` are more than git's own."""
    lines = [f"tree {tree.hex()}"]
    lines += [f"parent {parent.hex()}" for parent in parents]
    lines += [f"author {_identity_line(author)}", f"committer {_identity_line(committer)}"]
    lines += [f"{name} {value}" for name, value in headers]
    lines += ["", message]
    return "\n".join(lines).encode()


def _parse_identity(line: str) -> Identity:
    match = _IDENTITY.match(line)
    if match is None:
        return Identity(line, "", 0, 0)
    name, email, time, sign, hours, minutes = match.groups()
    offset = int(hours) * 60 + int(minutes)
    return Identity(name, email, int(time), -offset if sign == "-" else offset)


def parse_commit(oid: Oid, body: bytes) -> Commit:
    """A commit's body as a value; ValueError if it is none. A foreign author line never raises."""
    head, _, message = body.partition(b"\n\n")
    tree = b""
    parents: list[Oid] = []
    people = {b"author": Identity("", "", 0, 0), b"committer": Identity("", "", 0, 0)}
    encoding = "utf-8"
    for line in head.split(b"\n"):
        name, _, rest = line.partition(b" ")
        if name == b"tree":
            tree = bytes.fromhex(rest.decode("ascii"))
        elif name == b"parent":
            parents.append(bytes.fromhex(rest.decode("ascii")))
        elif name in people:
            people[name] = _parse_identity(rest.decode("utf-8", "replace"))
        elif name == b"encoding" and rest.lower() in (b"latin1", b"iso-8859-1", b"latin-1"):
            encoding = "latin-1"
    if len(tree) != 20 or any(len(parent) != 20 for parent in parents):
        raise ValueError("not a commit")
    text = message.decode(encoding, "replace")
    return Commit(oid, tree, tuple(parents), people[b"author"], people[b"committer"], text)
