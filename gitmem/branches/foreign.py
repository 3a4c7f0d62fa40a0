"""Files that are no keys, merged by blob: README.md, links, folders of other tools.

Knows raw paths of a tree; what is a key's, a bucket's or gitmem's own is passed over.
Law: a file that only one side changed is that side's; what both changed differently is the winner's, and is told. So is
a file that cannot stay, since a key or another file needs its place: a key goes before a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from gitmem.descent import Descent, descend
from gitmem.gitobject import join_tree, tree_order
from gitmem.keys import parse_directory, parse_leaf
from gitmem.layout import bucket, bucket_digit
from gitmem.objects import TREE_MODE, Objects, Oid, Tree, Writer
from gitmem.place import POLICY_FILE
from gitmem.trees import EXPIRES, SYSTEM, KeyId, differing, is_file, route

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
    theirs = dict(_differences(objects, base, high))
    if theirs:
        ours = dict(_differences(objects, base, low))
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
    objects: Objects, before: Oid | None, after: Oid | None
) -> Iterator[tuple[Path, tuple[File | None, File | None]]]:
    """The foreign files that differ between two root trees, in no order: path, and the file on each side."""
    pairs: list[tuple[Oid | None, Oid | None, Path, int]] = [(before, after, (), _ROOT)]
    while pairs:
        before, after, path, kind = pairs.pop()
        old = objects.tree(before) if before is not None else {}
        new = objects.tree(after) if after is not None else {}
        for name in differing(old, new):
            mine, theirs = old.get(name), new.get(name)
            folders = [one[1] if one is not None and one[0] == TREE_MODE else None for one in (mine, theirs)]
            if folders != [None, None]:
                pairs.append((folders[0], folders[1], (*path, name), _below(name, kind)))
            files = [one if one is not None and _is_foreign(name, one, kind) else None for one in (mine, theirs)]
            if files[0] != files[1]:
                yield (*path, name), (files[0], files[1])


def _below(name: bytes, kind: int) -> int:
    """What kind of folder a folder of this name inside such a folder is."""
    if kind == _ROOT and name == SYSTEM:
        return _SYSTEM
    if kind == _SYSTEM:
        return _INSIDE if name == EXPIRES else _FOREIGN
    if kind == _FOREIGN or bucket_digit(name) is not None:
        return kind
    return _INSIDE if parse_directory(name) is not None else _FOREIGN


def _is_foreign(name: bytes, stored: File, kind: int) -> bool:
    """Whether this is a file, and neither a key's nor gitmem's own."""
    if stored[0] == TREE_MODE or (kind == _ROOT and name == POLICY_FILE):
        return False
    return not (kind == _INSIDE and is_file(stored[0]) and parse_leaf(name) is not None)


def at(objects: Objects, root: Oid | None, path: Path) -> File | None:
    """What lies at a raw path of a tree, a folder included."""
    found: File | None = None if root is None else (TREE_MODE, root)
    for name in path:
        found = objects.tree(found[1]).get(name) if found is not None and found[0] == TREE_MODE else None
    return found


def in_the_way(objects: Objects, root: Oid, keys: Iterable[KeyId]) -> dict[Path, File]:
    """What is no key's, but lies where one of these keys needs its file or a folder."""
    found: dict[Path, File] = {}
    for key in keys:
        nodes: list[tuple[Path, Oid]] = [((), root)]
        for step in route(*key):
            nodes = [one for path, node in nodes for one in _buckets(objects, path, node, step.name)]
            entries = [((*path, step.entry), objects.tree(node).get(step.entry)) for path, node in nodes]
            nodes = []
            for path, stored in entries:
                if stored is not None and step.directory and stored[0] == TREE_MODE:
                    nodes.append((path, stored[1]))
                elif stored is not None and (step.directory or not is_file(stored[0])):
                    found[path] = stored
    return found


def _buckets(objects: Objects, path: Path, node: Oid, name: str) -> Iterator[tuple[Path, Oid]]:
    """A directory's node, and its buckets in which a name may lie."""
    depth = 0
    while True:
        yield path, node
        entry = bucket(name, depth)
        below = objects.tree(node).get(entry)
        if below is None or below[0] != TREE_MODE:
            return
        path, node, depth = (*path, entry), below[1], depth + 1


def edit_files(
    objects: Objects, writer: Writer, root: Oid, edits: Mapping[Path, File | None]
) -> tuple[Oid, list[Path]]:
    """The root tree with these files (None: without), and the paths of those for which there is no place."""
    left: list[Path] = []
    edited = descend(_edited(objects, writer, root, edits, (), _ROOT, left))
    return edited or writer.add("tree", b""), left


def _edited(
    objects: Objects,
    writer: Writer,
    root: Oid | None,
    edits: Mapping[Path, File | None],
    above: Path,
    kind: int,
    left: list[Path],
) -> Descent[Oid | None]:
    tree: Tree = dict(objects.tree(root)) if root is not None else {}
    here = {path[0]: file for path, file in edits.items() if len(path) == 1}
    below: dict[bytes, dict[Path, File | None]] = {}
    for (name, *rest), file in edits.items():
        if rest:
            below.setdefault(name, {})[tuple(rest)] = file
    for name in [name for name, file in here.items() if file is None]:
        tree.pop(name, None)
    for name, deeper in below.items():
        inner = tree.get(name)
        if inner is not None and inner[0] != TREE_MODE:
            left += [(*above, name, *path) for path, file in deeper.items() if file is not None]
            continue
        folder = None if inner is None else inner[1]
        oid = yield _edited(objects, writer, folder, deeper, (*above, name), _below(name, kind), left)
        if oid is None:
            tree.pop(name, None)
        else:
            tree[name] = (TREE_MODE, oid)
    for name, file in here.items():
        if file is not None:
            inner = tree.get(name)
            if inner is None or _is_foreign(name, inner, kind) or (kind == _ROOT and name == POLICY_FILE):
                tree[name] = file
            else:
                left.append((*above, name))
    return writer.add("tree", join_tree(dict(sorted(tree.items(), key=tree_order)))) if tree else None
