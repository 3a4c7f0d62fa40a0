"""Keys and tree objects: which blob a key names, which keys a tree holds, what two trees differ in.

Knows both shapes of a directory (flat, or split in buckets) and reads either anywhere; does not write: `editing`
does. A logical directory is what a key's segment names; a node is one tree object of it (itself or a bucket).
Nor does a key's depth (512 segments are legal) weigh on the interpreter's stack: what goes down there keeps a list.
Law: a key has at most one value. Where another tool left two files for one key, the one at the canonical path
counts, otherwise the shallowest, and every question is answered by that rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from gitmem.keys import BUCKET_DIGITS, MAX_KEY_BYTES, directory_name, leaf_name, parse_directory, parse_leaf
from gitmem.layout import DIGITS, bucket, bucket_digit, digits, paths
from gitmem.objects import TREE_MODE, Objects, Oid, Tree

KeyId: TypeAlias = tuple[str, str]
"""(namespace, key)"""
Difference: TypeAlias = tuple[Oid | None, Oid | None]
"""The blob before and after; None where the key is absent."""

SYSTEM, EXPIRES = b"~gitmem", b"expires"
_FILE_TYPE = 0o170000
_REGULAR = 0o100000


def is_file(mode: int) -> bool:
    """Whether a key's value may lie in an entry of this mode: in a regular file, not in a link or a folder."""
    return mode & _FILE_TYPE == _REGULAR


class Step(NamedTuple):
    """One segment of a key's route: its decoded name, the entry that holds it, whether that is a directory.

    `bucket` is where the entry lies if its directory is split.
    """

    name: str
    entry: bytes
    directory: bool
    bucket: bytes


@lru_cache(65536)
def route(namespace: str, key: str) -> tuple[Step, ...]:
    """The segments from the root to the key's file."""
    *above, last = key.split("/")
    steps = [Step(name, directory_name(name), True, bucket(name, 0)) for name in (namespace, *above)]
    return (*steps, Step(last, leaf_name(last), False, bucket(last, 0)))


class Part(NamedTuple):
    """One logical entry of a node: encoded name, decoded name, whether it is a directory, and its id."""

    entry: bytes
    name: str
    directory: bool
    oid: Oid


def parts(tree: Tree, trail: str, *, root: bool = False) -> Iterator[Part]:
    """The logical entries that lie directly in a node; `trail` = the digits of the buckets down to it.

    Files at the root are foreign: a key has a namespace. So are names in a bucket that is not theirs.
    """
    for entry, (mode, oid) in tree.items():
        if entry in BUCKET_DIGITS:
            continue
        if mode == TREE_MODE:
            name = parse_directory(entry)
        elif mode & _FILE_TYPE == _REGULAR and not root:
            name = parse_leaf(entry)
        else:
            continue
        if name is not None and (not trail or digits(name).startswith(trail)):
            yield Part(entry, name, mode == TREE_MODE, oid)


def buckets(tree: Tree, trail: str) -> Iterator[tuple[str, Oid]]:
    """The buckets of a node: digit and id. None where `trail` has all the digits of a name: those are foreign."""
    for entry, digit in BUCKET_DIGITS.items() if len(trail) < DIGITS else ():
        found = tree.get(entry)
        if found is not None and found[0] == TREE_MODE:
            yield digit, found[1]


def expires_root(objects: Objects, root: Oid) -> Oid | None:
    """The tree that holds the expiries, laid out like the root; None if nothing expires."""
    system = objects.tree(root).get(SYSTEM)
    if system is None or system[0] != TREE_MODE:
        return None
    area = objects.tree(system[1]).get(EXPIRES)
    return area[1] if area is not None and area[0] == TREE_MODE else None


def lookup(objects: Objects, root: Oid, namespace: str, key: str) -> Oid | None:
    """The blob that the key names below `root`, or None. A handful of dictionary look-ups when trees are warm."""
    node = root
    for step in route(namespace, key):
        tree = objects.tree(node)
        found = tree.get(step.entry)
        if step.bucket in tree:
            hits = list(_hits(objects, node, step, 0, root=node == root))
            if len(hits) > 1:
                return keys_of(objects, root, namespace).get(key)  # two paths meet: the whole namespace settles it
            if not hits:
                return None
            node = hits[0]
        elif found is None or (found[0] != TREE_MODE if step.directory else found[0] & _FILE_TYPE != _REGULAR):
            return None
        else:
            node = found[1]
    return node


def expiry(objects: Objects, root: Oid, namespace: str, key: str) -> Oid | None:
    """The blob of the key's expiry, or None."""
    area = expires_root(objects, root)
    return None if area is None else lookup(objects, area, namespace, key)


def _hits(objects: Objects, node: Oid, step: Step, depth: int, *, root: bool) -> Iterator[Oid]:
    tree = objects.tree(node)
    found = tree.get(step.entry)
    if found is not None:
        mode = found[0]
        if mode == TREE_MODE if step.directory else mode & _FILE_TYPE == _REGULAR and not root:
            yield found[1]
    below = tree.get(bucket(step.name, depth))
    if below is not None and below[0] == TREE_MODE:
        yield from _hits(objects, below[1], step, depth + 1, root=root)


def namespaces(objects: Objects, root: Oid) -> list[str]:
    """The namespaces below `root` that hold at least one key, sorted by code point."""
    names = {part.name for part in _all_parts(objects, root, "", root=True)}
    return sorted(name for name in names if any(_below(objects, root, name)))


def keys_of(objects: Objects, root: Oid, namespace: str) -> dict[str, Oid]:
    """Every key of a namespace with its blob, in no particular order."""
    keys: dict[str, Oid] = {}
    twice: dict[str, list[tuple[bytes, Oid]]] = {}
    for key, oid in _below(objects, root, namespace):
        if key in keys:
            twice[key] = []
        keys[key] = oid
    if twice:
        for path, key, oid in all_paths(objects, root, namespace):
            if key in twice:
                twice[key].append((path, oid))
        for key, candidates in twice.items():
            keys[key] = _choose(objects, root, namespace, key, keys, candidates)
    return keys


def namespace_nodes(objects: Objects, root: Oid, namespace: str) -> tuple[Oid, ...]:
    """The tree objects of a namespace: one, none, or several where another tool left it at two paths."""
    return tuple(_hits(objects, root, route(namespace, "x")[0], 0, root=True))


def nodes_at(objects: Objects, root: Oid, namespace: str, directory: Iterable[str]) -> list[Oid]:
    """The tree objects of a directory of keys, named by its segments: one, none, or several (see above)."""
    nodes = list(namespace_nodes(objects, root, namespace))
    for name in directory:
        step = Step(name, directory_name(name), True, bucket(name, 0))
        nodes = [oid for node in nodes for oid in _hits(objects, node, step, 0, root=False)]
    return nodes


def names_in(objects: Objects, node: Oid) -> Iterator[str]:
    """The names directly below a directory, of keys and of directories, in no particular order."""
    return (part.name for part in _all_parts(objects, node, "", root=False))


def _below(objects: Objects, root: Oid, namespace: str) -> Iterator[tuple[str, Oid]]:
    for node in namespace_nodes(objects, root, namespace):
        yield from keys_below(objects, node, "")


def keys_below(objects: Objects, directory: Oid, prefix: str) -> Iterator[tuple[str, Oid]]:
    """Every key file below a directory, as (prefix + segments, blob); a key at two paths comes twice."""
    nodes = [(directory, prefix, "")]
    while nodes:
        node, prefix, trail = nodes.pop()
        tree = objects.tree(node)
        for part in parts(tree, trail):
            key = prefix + part.name
            if part.directory:
                nodes.append((part.oid, key + "/", ""))
            elif len(key) <= MAX_KEY_BYTES // 4 or len(key.encode()) <= MAX_KEY_BYTES:
                yield key, part.oid
        nodes += [(oid, prefix, trail + digit) for digit, oid in buckets(tree, trail)]


def _all_parts(objects: Objects, node: Oid, trail: str, *, root: bool) -> Iterator[Part]:
    """The logical entries of one directory, whatever buckets they lie in."""
    tree = objects.tree(node)
    yield from parts(tree, trail, root=root)
    for digit, oid in buckets(tree, trail):
        yield from _all_parts(objects, oid, trail + digit, root=root)


def all_paths(objects: Objects, root: Oid, namespace: str) -> Iterator[tuple[bytes, str, Oid]]:
    """Every key file of a namespace as (tree path, key, blob)."""
    step = route(namespace, "x")[0]

    def nodes(node: Oid, path: bytes, trail: str) -> Iterator[tuple[Oid, bytes, str, str]]:
        tree = objects.tree(node)
        if step.entry in tree and tree[step.entry][0] == TREE_MODE and digits(namespace).startswith(trail):
            yield tree[step.entry][1], path + step.entry + b"/", "", ""
        for digit, oid in buckets(tree, trail):
            yield from nodes(oid, path + b"~" + digit.encode() + b"/", trail + digit)

    waiting = list(nodes(root, b"", ""))
    while waiting:
        node, path, prefix, trail = waiting.pop()
        tree = objects.tree(node)
        for part in parts(tree, trail):
            if part.directory:
                waiting.append((part.oid, path + part.entry + b"/", prefix + part.name + "/", ""))
            else:
                yield path + part.entry, prefix + part.name, part.oid
        waiting += [
            (oid, path + b"~" + digit.encode() + b"/", prefix, trail + digit) for digit, oid in buckets(tree, trail)
        ]


def _choose(
    objects: Objects,
    root: Oid,
    namespace: str,
    key: str,
    keys: Iterable[str],
    candidates: list[tuple[bytes, Oid]],
) -> Oid:
    """The canonical path's blob, else the shallowest path's (the smaller path, if they are equally deep)."""
    names = {(part.name, True) for part in _all_parts(objects, root, "", root=True)}
    canonical = canonical_path(names, keys, namespace, key)
    return min(candidates, key=lambda one: (one[0] != canonical, one[0].count(b"/"), one[0]))[1]


def canonical_path(
    namespaces: Iterable[tuple[str, bool]], keys: Iterable[str], namespace: str, key: str
) -> bytes:
    """Where the key's file belongs, given all namespaces and all keys of its own: the plain, slow rule."""
    entries: Iterable[tuple[str, bool]] = namespaces
    path: list[bytes] = []
    prefix = ""
    inside = list(keys)
    for step in route(namespace, key):
        below_root = bool(path)
        path += [*paths(entries)[step.name, step.directory], step.entry]
        prefix += step.name + "/" if below_root else ""
        inside = [one for one in inside if one.startswith(prefix)]
        rests = [one[len(prefix) :].split("/", 1) for one in inside]
        entries = {(rest[0], len(rest) > 1) for rest in rests}
    return b"/".join(path)


def changed(
    objects: Objects, before: Oid | None, after: Oid | None, *, namespace: str | None = None, under: str = ""
) -> dict[KeyId, Difference]:
    """The keys whose blob differs between two root trees; descends only where tree ids differ.

    With `namespace` and `under`: only keys of that namespace, and only those that begin so. A directory that was
    split or joined gives no difference: where there are buckets, each candidate is looked up by its key on both sides.
    """
    found: dict[KeyId, Difference | None] = {}
    if before != after:
        _compare_roots(objects, before, after, "", found, namespace, under)
    differences = {key: one or difference(objects, before, after, key) for key, one in found.items()}
    return {key: (old, new) for key, (old, new) in differences.items() if old != new}


def difference(objects: Objects, before: Oid | None, after: Oid | None, key: KeyId) -> Difference:
    """One key's blob on both sides."""
    old, new = (None if root is None else lookup(objects, root, *key) for root in (before, after))
    return old, new


def touched(objects: Objects, before: Oid, after: Oid, namespace: str) -> set[str]:
    """The keys of one namespace whose paths differ between two root trees: a superset of those that changed."""
    keys: dict[str, Difference | None] = {}
    old, new = (namespace_nodes(objects, root, namespace) for root in (before, after))
    if old != new:
        _compare(objects, old[0] if old else None, new[0] if new else None, keys, plain=False)
    return set(keys)


def differing(old: Tree, new: Tree) -> list[bytes]:
    """The names whose entries differ between two tree objects."""
    return [name for name, entry in old.items() if new.get(name) != entry] + [name for name in new if name not in old]


def _trees(objects: Objects, before: Oid | None, after: Oid | None) -> tuple[Tree, Tree]:
    old = objects.tree(before) if before is not None else {}
    return old, objects.tree(after) if after is not None else {}


def _sides(old: Tree, new: Tree) -> Iterator[tuple[bytes, bool, Oid | None, Oid | None]]:
    """The entries of two nodes that differ: encoded name, whether a directory, id on each side."""
    for entry in differing(old, new):
        mine, theirs = old.get(entry), new.get(entry)
        for directory in (False, True):
            left = mine[1] if mine and (mine[0] == TREE_MODE) == directory else None
            right = theirs[1] if theirs and (theirs[0] == TREE_MODE) == directory else None
            if left != right or (left is not None and not directory):
                yield entry, directory, left, right


def _unsplit(*both: Tree) -> bool:
    """Whether no bucket lies in these nodes: then a name in them is the only one of its kind."""
    return all(BUCKET_DIGITS.keys().isdisjoint(tree) for tree in both)


def _compare_roots(
    objects: Objects,
    before: Oid | None,
    after: Oid | None,
    trail: str,
    found: dict[KeyId, Difference | None],
    only: str | None,
    under: str,
) -> None:
    trees = _trees(objects, before, after)
    plain = not trail and _unsplit(*trees)
    for entry, directory, old, new in _sides(*trees):
        if not directory:
            continue
        digit = bucket_digit(entry)
        if digit is not None and len(trail) < DIGITS:
            _compare_roots(objects, old, new, trail + digit, found, only, under)
            continue
        namespace = parse_directory(entry)
        if namespace is not None and digits(namespace).startswith(trail) and only in (None, namespace):
            keys: dict[str, Difference | None] = {}
            _compare(objects, old, new, keys, under, plain=plain)
            found.update(((namespace, key), one) for key, one in keys.items())


def _compare(
    objects: Objects,
    before: Oid | None,
    after: Oid | None,
    found: dict[str, Difference | None],
    under: str = "",
    *,
    plain: bool,
) -> None:
    """The keys whose files differ below two nodes; with their blobs where the way there is `plain`: without buckets."""
    pairs = [(before, after, "", "", plain)]
    while pairs:
        before, after, prefix, trail, plain = pairs.pop()
        trees = _trees(objects, before, after)
        plain = plain and _unsplit(*trees)
        below = []
        for entry, directory, old, new in _sides(*trees):
            digit = bucket_digit(entry) if directory else None
            if digit is not None:
                below.append((old, new, prefix, trail + digit, False))
                continue
            name = parse_directory(entry) if directory else parse_leaf(entry)
            if name is None or (trail and not digits(name).startswith(trail)):
                continue
            path = prefix + name + "/" * directory
            if directory and (path.startswith(under) or under.startswith(path)):
                below.append((old, new, path, "", plain))
            elif not directory and path.startswith(under) and len(path.encode()) <= MAX_KEY_BYTES:
                found[path] = _regular(trees, entry) if plain else None
        pairs += reversed(below)


def _regular(trees: tuple[Tree, Tree], entry: bytes) -> Difference:
    """A name's blobs in two nodes; links and other irregular files are no keys."""
    old, new = (tree.get(entry) for tree in trees)
    return (
        old[1] if old is not None and old[0] & _FILE_TYPE == _REGULAR else None,
        new[1] if new is not None and new[0] & _FILE_TYPE == _REGULAR else None,
    )
