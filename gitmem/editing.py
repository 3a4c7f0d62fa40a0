"""Changing trees: new blobs for some keys, and every directory on the way back in its canonical shape.

Knows where a key's file belongs; does not know why it changes, nor branches. One directory inside another is a step of
a `descent`: a key may have 512 segments.
Law: the result depends on the set of keys and their blobs alone, for the directories that the edits touch; what
is foreign (no key's path) stays where it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

from gitmem.descent import Descent, descend
from gitmem.errors import StorageError
from gitmem.gitobject import join_tree, splice, tree_order
from gitmem.keys import directory_name, leaf_name
from gitmem.layout import LIMIT, bucket, digits, paths
from gitmem.objects import BLOB_MODE, TREE_MODE, Objects, Oid, Tree, Writer
from gitmem.trees import EXPIRES, SYSTEM, KeyId, Part, buckets, parts, route

Edits: TypeAlias = "dict[tuple[str, bool], Oid | None | Edits]"
"""For one directory: (name, is a directory) -> the file's blob or None to remove it, or the edits below."""
Entries: TypeAlias = dict[tuple[str, bool], Part]
_TYPE = 0o170000
_SPLICED = 2
"""Up to so many changed entries, a tree's bytes are spliced instead of made anew."""


def edit(
    objects: Objects,
    writer: Writer,
    root: Oid,
    values: Mapping[KeyId, Oid | None],
    expiries: Mapping[KeyId, Oid | None] | None = None,
) -> Oid:
    """The root tree with these blobs at these keys (None removes), and these expiries. New trees go to `writer`."""
    editor = _Editor(objects, writer)
    if values:
        root = editor.area(root, values)
    if expiries:
        root = editor.expiries(root, expiries)
    return root


def nested(edits: Mapping[KeyId, Oid | None]) -> Edits:
    """Edits by key as edits by directory."""
    top: Edits = {}
    for (namespace, key), oid in edits.items():
        level = top
        *directories, leaf = route(namespace, key)
        for step in directories:
            level = level.setdefault((step.name, True), {})  # type: ignore[assignment]
        level[leaf.name, False] = oid
    return top


_Directory: TypeAlias = Descent[Oid | None]
"""A step that gives a directory's new tree."""


class _Mixed(Exception):
    """A node holds entries both directly and in buckets: another tool was here."""


class _Editor:
    def __init__(self, objects: Objects, writer: Writer) -> None:
        self._objects = objects
        self._writer = writer

    def area(self, root: Oid | None, edits: Mapping[KeyId, Oid | None]) -> Oid:
        """A root (of values or of expiries) with these edits: the empty tree if nothing is left."""
        oid = descend(self._directory([root] if root else [], nested(edits), root=True))
        return oid if oid is not None else self._write_tree({}, None)

    def expiries(self, root: Oid, edits: Mapping[KeyId, Oid | None]) -> Oid:
        tree = dict(self._objects.tree(root))
        system = dict(self._objects.tree(tree[SYSTEM][1])) if SYSTEM in tree else {}
        old = system.get(EXPIRES)
        area = descend(self._directory([old[1]] if old else [], nested(edits), root=True))
        self._put(system, EXPIRES, TREE_MODE, area)
        self._put(tree, SYSTEM, TREE_MODE, self._write(system, None))
        return self._write_tree(tree, root, [SYSTEM])

    def _directory(self, nodes: list[Oid], edits: Edits, *, root: bool = False) -> _Directory:
        """One logical directory after the edits; None when nothing is left of it."""
        if len(nodes) <= 1:
            try:
                return (yield from self._node(nodes[0] if nodes else None, "", edits, root=root))
            except _Mixed:
                pass
        return (yield from self._rebuild(nodes, edits, root=root))

    def _node(self, oid: Oid | None, trail: str, edits: Edits, *, root: bool) -> _Directory:
        tree = self._objects.tree(oid) if oid is not None else {}
        below = dict(buckets(tree, trail))
        if below:
            return (yield from self._wide(tree, oid, trail, below, edits, root=root))
        new = dict(tree)
        touched = []
        for (name, directory), change in edits.items():
            entry = _entry(name, directory)
            if isinstance(change, dict):
                old = tree.get(entry)
                change = yield self._directory([old[1]] if old is not None and old[0] == TREE_MODE else [], change)
            self._put(new, entry, TREE_MODE if directory else BLOB_MODE, change)
            touched.append(entry)
        if len(new) > LIMIT:
            logical = list(parts(new, trail, root=root))
            if len(logical) > LIMIT:
                return self._split(new, logical, trail, oid)
        return self._write(new, oid, touched)

    def _wide(
        self, tree: Tree, oid: Oid | None, trail: str, below: dict[str, Oid], edits: Edits, *, root: bool
    ) -> _Directory:
        if any(True for _ in parts(tree, trail, root=root)):
            raise _Mixed
        by_digit: dict[str, Edits] = {}
        for (name, directory), change in edits.items():
            by_digit.setdefault(digits(name)[len(trail)], {})[name, directory] = change
        new = dict(tree)
        for digit, some in by_digit.items():
            changed = yield from self._node(below.get(digit), trail + digit, some, root=root)
            self._put(new, b"~" + digit.encode(), TREE_MODE, changed)
        if self._count(new, trail, root=root) <= LIMIT:
            found: dict[tuple[str, bool], list[tuple[int, Part]]] = {}
            residue = self._gather(new, trail, found, root=root)
            return self._shape({name: hits[0][1] for name, hits in found.items()}, residue, trail, oid)
        return self._write(new, oid, [b"~" + digit.encode() for digit in by_digit])

    def _count(self, tree: Tree, trail: str, *, root: bool) -> int:
        """The logical entries of a node, buckets included; exact up to LIMIT, and beyond it just more than that."""
        total = sum(1 for _ in parts(tree, trail, root=root))
        sizes = self._objects.sizes
        unknown = []
        for digit, oid in buckets(tree, trail):
            size = sizes.get((oid, trail))
            if size is None:
                unknown.append((digit, oid))
            else:
                total += size
        for digit, oid in unknown:
            if total > LIMIT:
                break
            size = sizes[oid, trail] = self._count(self._objects.tree(oid), trail + digit, root=root)
            total += size
        return total

    def _split(self, tree: Tree, logical: list[Part], trail: str, base: Oid | None) -> Oid | None:
        residue = dict(tree)
        for part in logical:
            del residue[part.entry]
        return self._shape({(part.name, part.directory): part for part in logical}, residue, trail, base)

    def _shape(self, entries: Entries, residue: Tree, trail: str, base: Oid | None) -> Oid | None:
        """A node in its canonical shape: direct up to LIMIT entries, otherwise by the next digit."""
        new = dict(residue)
        if len(entries) <= LIMIT:
            for part in entries.values():
                self._put(new, part.entry, TREE_MODE if part.directory else BLOB_MODE, part.oid)
            return self._write(new, base)
        shares: dict[bytes, Entries] = {}
        for name, part in entries.items():
            shares.setdefault(bucket(part.name, len(trail)), {})[name] = part
        for entry, share in shares.items():
            foreign = self._objects.tree(residue[entry][1]) if entry in residue else {}
            self._put(new, entry, TREE_MODE, self._shape(share, foreign, trail + entry[1:].decode(), None))
        return self._write(new, base)

    def _rebuild(self, nodes: list[Oid], edits: Edits, *, root: bool) -> _Directory:
        """One directory from scratch, however another tool left it: spread, mixed, or at two paths."""
        found: dict[tuple[str, bool], list[tuple[int, Part]]] = {}
        residue: Tree = {}
        for node in nodes:
            residue = self._gather(self._objects.tree(node), "", found, root=root) | residue
        shape = paths(found)
        entries: Entries = {}
        for name, hits in found.items():
            hits.sort(key=lambda hit: (hit[0] != len(shape[name]), hit[0]))
            entries[name] = hits[0][1]
        for name, hits in found.items():
            if name[1] and (len(hits) > 1 or name in edits):
                below = edits.get(name)
                oid = yield self._directory([part.oid for _, part in hits], below if isinstance(below, dict) else {})
                self._replace(entries, name, oid)
        for name, change in edits.items():
            if isinstance(change, dict):
                if name not in found:
                    self._replace(entries, name, (yield self._directory([], change)))
            else:
                self._replace(entries, name, change)
        return self._shape(entries, residue, "", nodes[0] if nodes else None)

    @staticmethod
    def _replace(entries: Entries, name: tuple[str, bool], oid: Oid | None) -> None:
        if oid is None:
            entries.pop(name, None)
        else:
            entries[name] = Part(_entry(*name), *name, oid)

    def _gather(
        self, tree: Tree, trail: str, found: dict[tuple[str, bool], list[tuple[int, Part]]], *, root: bool
    ) -> Tree:
        """Collect the logical entries of a node, each with its depth in buckets; what is left is foreign."""
        logical = {part.entry: part for part in parts(tree, trail, root=root)}
        inside = {b"~" + digit.encode(): (digit, oid) for digit, oid in buckets(tree, trail)}
        residue: Tree = {}
        for entry, stored in tree.items():
            if entry in logical:
                part = logical[entry]
                found.setdefault((part.name, part.directory), []).append((len(trail), part))
            elif entry in inside:
                digit, oid = inside[entry]
                foreign = self._gather(self._objects.tree(oid), trail + digit, found, root=root)
                self._put(residue, entry, TREE_MODE, self._write(foreign, oid))
            else:
                residue[entry] = stored
        return residue

    @staticmethod
    def _put(tree: Tree, entry: bytes, mode: int, oid: Oid | None) -> None:
        """Set or remove an entry; what is foreign there is not ours to replace."""
        old = tree.get(entry)
        if old is not None and (old[0] & _TYPE) != (mode & _TYPE):
            if oid is None:
                return
            raise StorageError(
                f"a foreign file named {entry.decode(errors='replace')!r} lies where a key needs its place",
                hint="move it away with git, or choose another key",
                path=entry.decode(errors="replace"),
            )
        if oid is not None:
            tree[entry] = (mode, oid)
        elif old is not None:
            del tree[entry]

    def _write(self, tree: Tree, base: Oid | None, touched: Collection[bytes] | None = None) -> Oid | None:
        return self._write_tree(tree, base, touched) if tree else None

    def _write_tree(self, tree: Tree, base: Oid | None, touched: Collection[bytes] | None = None) -> Oid:
        """Write a tree; `base` is what it was, of which only the entries `touched` may differ (None: any)."""
        body = None if base is None else self._objects.tree_body(base)
        if base is None or body is None or touched is None or len(touched) > _SPLICED:
            tree = dict(sorted(tree.items(), key=tree_order))
            body = join_tree(tree)
        else:
            tree, body = splice(self._objects.tree(base), body, {name: tree.get(name) for name in touched})
        oid = self._writer.add("tree", body, base=base)
        self._objects.keep_tree(oid, tree, body)
        return oid


def _entry(name: str, directory: bool) -> bytes:
    return directory_name(name) if directory else leaf_name(name)
