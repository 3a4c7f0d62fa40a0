"""Files that are no keys, merged by blob: README.md, links, folders of other tools.

Knows raw paths of a tree; what is a key's, a bucket's or gitmem's own is passed over.
Law: a file that only one side changed is that side's; what both changed differently is the winner's, and is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from gitmem.gitobject import join_tree, tree_order
from gitmem.keys import parse_directory, parse_leaf
from gitmem.layout import bucket_digit
from gitmem.objects import TREE_MODE, Objects, Oid, Tree, Writer
from gitmem.place import POLICY_FILE
from gitmem.trees import EXPIRES, SYSTEM, differing

Path: TypeAlias = tuple[bytes, ...]
File: TypeAlias = tuple[int, Oid]
"""Mode and id."""


class ForeignConflict(NamedTuple):
    """A file that both sides changed differently."""

    path: Path
    base: File | None
    low: File | None
    high: File | None


class Found(NamedTuple):
    """What becomes of the foreign files of the lower side, and where the sides disagree."""

    edits: dict[Path, File | None]
    conflicts: list[ForeignConflict]


def merge_files(objects: Objects, base: Oid | None, low: Oid, high: Oid, *, high_wins: bool) -> Found:
    """The edits that turn the lower side's foreign files into the merged ones."""
    edits: dict[Path, File | None] = {}
    conflicts = []
    theirs = dict(_differences(objects, base, high, (), _ROOT))
    if theirs:
        ours = dict(_differences(objects, base, low, (), _ROOT))
        for path, (before, after) in sorted(theirs.items()):
            mine = ours[path][1] if path in ours else before
            if path in ours and mine != after:
                conflicts.append(ForeignConflict(path, before, mine, after))
                if not high_wins:
                    continue
            if mine != after:
                edits[path] = after
    return Found(edits, conflicts)


_ROOT, _INSIDE, _FOREIGN, _SYSTEM = range(4)  # what kind of folder is looked at


def _differences(
    objects: Objects, before: Oid | None, after: Oid | None, path: Path, kind: int
) -> Iterator[tuple[Path, tuple[File | None, File | None]]]:
    """The foreign files that differ below two trees: path, and the file on each side."""
    old = objects.tree(before) if before is not None else {}
    new = objects.tree(after) if after is not None else {}
    for name in differing(old, new):
        mine, theirs = old.get(name), new.get(name)
        below = _below(name, kind)
        folders = [one[1] if one is not None and one[0] == TREE_MODE else None for one in (mine, theirs)]
        files = [one if one is not None and one[0] != TREE_MODE else None for one in (mine, theirs)]
        if below is not None and folders != [None, None]:
            yield from _differences(objects, folders[0], folders[1], (*path, name), below)
        if files[0] != files[1] and not _is_ours(name, kind):
            yield (*path, name), (files[0], files[1])


def _below(name: bytes, kind: int) -> int | None:
    """What kind of folder a name inside such a folder is; None to stay out."""
    if kind == _ROOT and name == SYSTEM:
        return _SYSTEM
    if kind in (_FOREIGN, _SYSTEM):
        return None if kind == _SYSTEM and name == EXPIRES else _FOREIGN
    if bucket_digit(name) is not None:
        return kind
    return _INSIDE if parse_directory(name) is not None else _FOREIGN


def _is_ours(name: bytes, kind: int) -> bool:
    """Whether a file of this name is a key's or gitmem's own."""
    if kind == _ROOT:
        return name == POLICY_FILE
    return kind == _INSIDE and parse_leaf(name) is not None


def edit_files(objects: Objects, writer: Writer, root: Oid, edits: Mapping[Path, File | None]) -> Oid:
    """The root tree with these foreign files; one whose folder is a file by now, or the other way round, is left."""
    below: dict[bytes, dict[Path, File | None]] = {}
    for (name, *rest), file in edits.items():
        below.setdefault(name, {})[tuple(rest)] = file
    return _edited(objects, writer, root, below) or writer.add("tree", b"")


def _edited(
    objects: Objects, writer: Writer, root: Oid | None, below: Mapping[bytes, Mapping[Path, File | None]]
) -> Oid | None:
    tree: Tree = dict(objects.tree(root)) if root is not None else {}
    for name, changes in below.items():
        found = tree.get(name)
        deeper: dict[bytes, dict[Path, File | None]] = {}
        for path, file in changes.items():
            if path:
                deeper.setdefault(path[0], {})[path[1:]] = file
            elif found is None or found[0] != TREE_MODE:
                _put(tree, name, file)
        if deeper and (tree.get(name) or (TREE_MODE,))[0] == TREE_MODE:
            inner = tree.get(name)
            oid = _edited(objects, writer, inner[1] if inner is not None else None, deeper)
            _put(tree, name, None if oid is None else (TREE_MODE, oid))
    if not tree:
        return None
    ordered = dict(sorted(tree.items(), key=tree_order))
    return writer.add("tree", join_tree(ordered))


def _put(tree: Tree, name: bytes, file: File | None) -> None:
    if file is None:
        tree.pop(name, None)
    else:
        tree[name] = file
