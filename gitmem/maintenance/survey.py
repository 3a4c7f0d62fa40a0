"""One walk over a tree of keys: which files are keys' files, which directories are out of shape, what is foreign.

Knows paths and both shapes of a directory; reads no file's content.
Law: a directory is in shape if every node of it is: up to LIMIT entries lie in it directly, more of them all in
buckets. So a walk that looks at each node once decides it, and a key lies at two paths only out of shape.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from gitmem.errors import GitmemError, InvalidKeyError
from gitmem.keys import MAX_KEY_BYTES, check_key, digits, directory_name, leaf_name
from gitmem.layout import LIMIT
from gitmem.objects import TREE_MODE, Objects, Oid
from gitmem.place import POLICY_FILE
from gitmem.trees import SYSTEM, KeyId, Part, buckets, parts

Tell: TypeAlias = Callable[["Sight"], None]


class Sight(NamedTuple):
    """Something about a path that is worth telling; `touch` is the key whose writing would mend it.

    A key at two paths has none of its own: it lies in a node that is out of shape, and is mended with that.
    """

    code: str
    path: bytes
    words: str
    touch: KeyId | None = None


class File(NamedTuple):
    """A key's file; where a key has several, each comes."""

    namespace: str
    key: str
    path: bytes
    oid: Oid


class _Node(NamedTuple):
    """One tree object of a directory: its id, its path, and the digits of the buckets down to it."""

    oid: Oid
    path: bytes
    trail: str


class Survey:
    """A walk over one area: the root, or the expiries, which are laid out like it."""

    def __init__(self, objects: Objects, tell: Tell) -> None:
        self._objects = objects
        self._tell = tell

    def files(self, root: Oid, path: bytes = b"") -> Iterator[File]:
        """Every key's file below this root; meanwhile everything else is told."""
        directories: list[tuple[list[_Node], tuple[str, ...]]] = [([_Node(root, path, "")], ())]
        while directories:
            nodes, above = directories.pop()
            found: dict[tuple[str, bool], list[tuple[Part, bytes]]] = {}
            for node in nodes:
                self._count(node, above, found)
            self._alike(found, above)
            below = []
            for (name, directory), hits in found.items():
                segments = (*above, name)
                if directory:
                    below.append(([_Node(part.oid, path + b"/", "") for part, path in hits], segments))
                else:
                    yield from self._leaves(segments, hits)
            directories += reversed(below)

    def _leaves(self, segments: tuple[str, ...], hits: list[tuple[Part, bytes]]) -> Iterator[File]:
        namespace, key = segments[0], "/".join(segments[1:])
        if len(key.encode()) > MAX_KEY_BYTES:
            self._tell(Sight("foreign", hits[0][1], "its key would be too long"))
            return
        if len(hits) > 1:
            paths = b", ".join(path for _, path in hits)
            self._tell(Sight("key-twice", paths, f"all are files of key {key!r}"))
        for part, path in hits:
            yield File(namespace, key, path, part.oid)

    def _count(
        self, node: _Node, above: tuple[str, ...], found: dict[tuple[str, bool], list[tuple[Part, bytes]]]
    ) -> int:
        """Collect the entries of a node and its buckets; their number."""
        try:
            tree = self._objects.tree(node.oid)
        except GitmemError:
            return 0  # told as a damaged object
        direct = list(parts(tree, node.trail, root=not above))
        known = {part.entry for part in direct}
        for part in direct:
            found.setdefault((part.name, part.directory), []).append((part, node.path + part.entry))
        inside = 0
        for digit, oid in buckets(tree, node.trail):
            entry = b"~" + digit.encode()
            known.add(entry)
            inside += self._count(_Node(oid, node.path + entry + b"/", node.trail + digit), above, found)
        for entry, (mode, _) in tree.items():
            if entry not in known and not (not above and not node.path and entry in (POLICY_FILE, SYSTEM)):
                self._foreign(node, entry, mode)
        total = len(direct) + inside
        if len(direct) > LIMIT or (inside and (direct or total <= LIMIT)):
            self._shape(node, above, [part.name for part in direct] or [name for name, _ in found])
        return total

    def _shape(self, node: _Node, above: tuple[str, ...], names: list[str]) -> None:
        """Out of shape: writing any key that lies in this node mends it, or deleting one that is not there."""
        name = next((name for name in names if digits(name).startswith(node.trail)), None)
        if name is None:
            return
        touch = (above[0], "/".join((*above[1:], name))) if above else (name, "x")
        self._tell(Sight("out-of-shape", node.path.rstrip(b"/") or b"/", "it is not split as it should be", touch))

    def _foreign(self, node: _Node, entry: bytes, mode: int) -> None:
        path = node.path + entry
        words = _meant(entry, mode == TREE_MODE)
        self._tell(Sight("foreign-form" if words else "foreign", path, words or "it is no key's file"))

    def _alike(self, found: dict[tuple[str, bool], list[tuple[Part, bytes]]], above: tuple[str, ...]) -> None:
        """Names that some file systems take for one, and names that cannot be written any more."""
        folded: dict[tuple[str, bool], str] = {}
        for name, directory in found:
            path = "/".join((*above, name)).encode()
            if not name.isascii() and not unicodedata.is_normalized("NFC", name):
                self._tell(Sight("not-nfc", path, "it can be read, but not be written under this name"))
            plain = (unicodedata.normalize("NFC", name.casefold()), directory)
            other = folded.setdefault(plain, name)
            if other != name:
                self._tell(Sight("case", path, f"it differs from {other!r} in case alone"))


def _meant(entry: bytes, directory: bool) -> str:
    """What a foreign name would stand for if it were spelt as gitmem spells it; empty if for nothing."""
    stem = entry if directory else entry.removesuffix(b".json")
    if (not directory and stem == entry) or entry.startswith(b"~"):
        return ""
    try:
        name = unquote_to_bytes(stem).decode()
        check_key(name, writing=False)
    except (UnicodeDecodeError, InvalidKeyError):
        return ""
    proper = directory_name(name) if directory else leaf_name(name)
    if "/" in name:
        return ""
    if proper == entry:
        return "it lies in a bucket that is not its own, so nobody finds it"
    return f"{name!r} is spelt {proper.decode()!r} here, so nobody finds it"
