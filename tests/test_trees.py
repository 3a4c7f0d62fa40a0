"""Trees of keys: one shape for one set of keys, whatever the order of writing and whoever wrote before."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitmem import trees
from gitmem.editing import edit
from gitmem.errors import StorageError
from gitmem.layout import LIMIT, bucket
from gitmem.objects import BLOB_MODE, EMPTY_TREE, TREE_MODE, Objects, Oid, serialize_tree
from gitmem.trees import KeyId, canonical_path

QUICK = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    folder = tmp_path_factory.mktemp("trees")
    subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
    store = Objects(str(folder))
    store.write("tree", b"")
    return store


def blob(objects: Objects, text: str) -> Oid:
    return objects.write("blob", text.encode())


def write(objects: Objects, root: Oid, edits: dict[KeyId, Oid | None]) -> Oid:
    writer = objects.writer(durable=False)
    return edit(objects, writer, root, edits)


def paths(objects: Objects, root: Oid, prefix: bytes = b"") -> Iterator[tuple[bytes, Oid]]:
    for name, (mode, oid) in objects.tree(root).items():
        if mode == TREE_MODE:
            yield from paths(objects, oid, prefix + name + b"/")
        else:
            yield prefix + name, oid


def plant(objects: Objects, files: dict[bytes, Oid]) -> Oid:
    """A tree with these files, as another tool would write it."""
    below: dict[bytes, dict[bytes, Oid]] = {}
    entries = {}
    for path, oid in files.items():
        head, slash, rest = path.partition(b"/")
        if slash:
            below.setdefault(head, {})[rest] = oid
        else:
            entries[head] = (BLOB_MODE, oid)
    for head, inside in below.items():
        entries[head] = (TREE_MODE, plant(objects, inside))
    return objects.write("tree", serialize_tree(entries))


names = st.sampled_from(["a", "b", "a.json", ".x", "con", "~1", "ключ", "x y.", "%41"])
keys = st.lists(names, min_size=1, max_size=3).map("/".join)
wide = st.builds(lambda count, stem: [f"{stem}{n}" for n in range(count)], st.integers(0, 300), st.sampled_from("pq"))


@QUICK
@given(few=st.sets(keys, max_size=12), many=wide, drop=st.integers(0, 300), seed=st.integers(0, 99))
def test_same_keys_same_tree(objects: Objects, few: set[str], many: list[str], drop: int, seed: int) -> None:
    """The shape is a pure function of the set of keys: any order, with detours, gives one root id."""
    chance = random.Random(seed)
    keys_wanted = [*few, *(f"w/{name}" for name in many[drop:])]
    wanted: dict[KeyId, Oid | None] = {("n", key): blob(objects, key) for key in keys_wanted}
    at_once = write(objects, EMPTY_TREE, wanted)
    order = [("n", f"w/{name}") for name in many] + list(wanted)
    chance.shuffle(order)
    root = EMPTY_TREE
    for start in range(0, len(order), 40):
        root = write(objects, root, {one: blob(objects, one[1]) for one in order[start : start + 40]})
    extra = sorted(set(order) - set(wanted))
    for start in range(0, len(extra), 7):
        root = write(objects, root, dict.fromkeys(extra[start : start + 7]))
    assert root == at_once
    assert trees.keys_of(objects, root, "n") == {key: oid for (_, key), oid in wanted.items()}
    for (_, key), oid in list(wanted.items())[:20]:
        assert trees.lookup(objects, root, "n", key) == oid
    every = [key for _, key in wanted]
    for path, key, _ in list(trees.all_paths(objects, root, "n"))[:20]:
        assert path == canonical_path([("n", True)], every, "n", key)


@QUICK
@given(seed=st.integers(0, 10_000))
def test_the_difference_of_two_trees_is_that_of_their_keys(objects: Objects, seed: int) -> None:
    """Splitting and joining of directories show no difference; everything else does."""
    chance = random.Random(seed)
    pool = [(f"n{chance.randrange(3)}", f"{chance.choice('abc')}/k{n}") for n in range(400)]
    sides = []
    for _ in range(2):
        chosen = chance.sample(pool, chance.choice([5, 100, 380]))
        sides.append({one: blob(objects, str(chance.randrange(2))) for one in chosen})
    before, after = (write(objects, EMPTY_TREE, side) for side in sides)  # type: ignore[arg-type]
    expected = {
        one: (sides[0].get(one), sides[1].get(one)) for one in pool if sides[0].get(one) != sides[1].get(one)
    }
    assert trees.changed(objects, before, after) == expected
    assert trees.changed(objects, None, after) == {one: (None, oid) for one, oid in sides[1].items()}


@QUICK
@given(seed=st.integers(0, 10_000))
def test_a_directory_left_by_another_tool_is_read_and_mended(objects: Objects, seed: int) -> None:
    """Files spread over direct places and buckets, some keys twice: reading follows the rule, a write mends."""
    chance = random.Random(seed)
    every = [f"d/k{n}" for n in range(chance.choice([4, 140]))]
    files: dict[bytes, Oid] = {b"n/d/README.md": blob(objects, "mine"), b"n/d/~3/odd.txt": blob(objects, "too")}
    placed: dict[str, dict[bytes, Oid]] = {}
    for key in every:
        name = key[2:]
        places = [b"", bucket(name, 0) + b"/", bucket(name, 0) + b"/" + bucket(name, 1) + b"/"]
        for place in chance.sample(places, 1 if chance.random() < 0.8 else 2):
            path = b"n/d/" + place + name.encode() + b".json"
            files[path] = placed.setdefault(key, {})[path] = blob(objects, path.decode())
    root = plant(objects, files)
    read = trees.keys_of(objects, root, "n")
    assert read.keys() == set(every)
    for key, places_of in placed.items():
        canonical = canonical_path([("n", True)], every, "n", key)
        best = canonical if canonical in places_of else min(places_of, key=lambda path: path.count(b"/"))
        assert trees.lookup(objects, root, "n", key) == read[key] == places_of[best]
    mended = write(objects, root, {("n", "d/k0"): blob(objects, "new")})
    wanted = read | {"d/k0": blob(objects, "new")}
    clean = write(objects, EMPTY_TREE, {("n", key): oid for key, oid in wanted.items()})
    foreign = {path: oid for path, oid in paths(objects, mended) if not path.endswith(b".json")}
    assert foreign == {path: oid for path, oid in files.items() if not path.endswith(b".json")}
    ours = {path: oid for path, oid in paths(objects, mended) if path.endswith(b".json")}
    assert ours == dict(paths(objects, clean))


def test_a_namespace_left_at_two_paths_is_one(objects: Objects) -> None:
    """A root that was split in one copy and not in the other, merged by path."""
    one, two = blob(objects, "1"), blob(objects, "2")
    files = {b"n/a.json": one, bucket("n", 0) + b"/n/b.json": two, bucket("n", 0) + b"/n/a.json": two}
    root = plant(objects, files)
    assert trees.namespaces(objects, root) == ["n"]
    assert trees.keys_of(objects, root, "n") == {"a": one, "b": two}
    mended = write(objects, root, {("n", "c"): one})
    assert dict(paths(objects, mended)) == {b"n/a.json": one, b"n/b.json": two, b"n/c.json": one}


def test_expiries_lie_beside_the_values(objects: Objects) -> None:
    """`~gitmem/expires` is laid out like the root, and leaves nothing behind."""
    value, instant = blob(objects, "1"), blob(objects, '"2026-01-01T00:00:00Z"\n')
    writer = objects.writer(durable=False)
    root = edit(objects, writer, EMPTY_TREE, {("n", "a/b"): value}, {("n", "a/b"): instant})
    assert dict(paths(objects, root)) == {b"n/a/b.json": value, b"~gitmem/expires/n/a/b.json": instant}
    assert trees.expiry(objects, root, "n", "a/b") == instant
    assert trees.namespaces(objects, root) == ["n"]
    root = edit(objects, writer, root, {}, {("n", "a/b"): None})
    assert dict(paths(objects, root)) == {b"n/a/b.json": value}


def test_foreign_things_are_not_followed_and_not_replaced(objects: Objects) -> None:
    """A symlink at a key's path is no value, and a key never overwrites what it did not write."""
    text = blob(objects, "target")
    link = objects.write("tree", serialize_tree({b"a.json": (0o120000, text), b"d": (BLOB_MODE, text)}))
    root = objects.write("tree", serialize_tree({b"n": (TREE_MODE, link), b"top.json": (BLOB_MODE, text)}))
    assert trees.lookup(objects, root, "n", "a") is None
    assert trees.namespaces(objects, root) == []
    for key in ("a", "d/x"):
        with pytest.raises(StorageError):
            write(objects, root, {("n", key): text})
    assert {path for path, _ in paths(objects, write(objects, root, {("n", "b"): text}))} == {
        b"n/a.json",
        b"n/b.json",
        b"n/d",
        b"top.json",
    }


def test_more_namespaces_than_fit_split_the_root(objects: Objects) -> None:
    """Root entries are namespaces; gitmem.toml and ~gitmem neither count nor move."""
    value = blob(objects, "1")
    root = plant(objects, {b"gitmem.toml": blob(objects, "format = 1\n")})
    for count in (LIMIT, LIMIT + 1):
        root = write(objects, root, {(f"n{number}", "k"): value for number in range(count)})
        split = any(name.startswith(b"~") for name in objects.tree(root))
        assert split == (count > LIMIT)
        assert b"gitmem.toml" in objects.tree(root)
        assert len(trees.namespaces(objects, root)) == count
