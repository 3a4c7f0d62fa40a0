"""Keys of 512 segments, the most that 1,024 bytes can hold: every verb works with them, from a deep stack too."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitmem import Memory, MissingKeyError, trees
from gitmem.editing import edit
from gitmem.exchange import export, import_file
from gitmem.keys import digits
from gitmem.layout import LIMIT
from gitmem.maintenance import doctor
from gitmem.objects import BLOB_MODE, EMPTY_TREE, TREE_MODE, Objects, Oid, serialize_tree
from tests.conftest import Clock
from tests.foreign import commit_files, paths_of, run_git

T = TypeVar("T")
DEPTH = 512
FRAMES = 700
"""So much of the interpreter's stack is taken before a verb is called: of 1,000 frames less than DEPTH are left.

(Under Hypothesis, which makes the stack longer by itself, it proves nothing; there the depth alone counts.)
"""


def deep(*last: str, of: str = "a") -> str:
    """A key of 512 segments that ends so."""
    return "/".join([of] * (DEPTH - len(last)) + list(last))


def from_below(act: Callable[[], T], frames: int = FRAMES) -> T:
    """What `act` returns, called where a program of somebody's has gone deep already."""
    __tracebackhide__ = True
    return from_below(act, frames - 1) if frames else act()


# --- trees ---


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    folder = tmp_path_factory.mktemp("deep")
    run_git(folder, "init", "-q", "--bare")
    found = Objects(str(folder))
    found.write("tree", b"")
    return found


def write(objects: Objects, root: Oid, edits: dict[trees.KeyId, Oid | None]) -> Oid:
    return from_below(lambda: edit(objects, objects.writer(durable=False), root, edits))


def listed(objects: Objects, root: Oid) -> dict[bytes, Oid]:
    """Every file of a tree, as plain git lists it."""
    lines = run_git(objects.git_dir, "ls-tree", "-r", "-z", root.hex()).split("\0")[:-1]
    return {line.split("\t", 1)[1].encode(): bytes.fromhex(line.split()[2]) for line in lines}


def wide(above: list[str]) -> list[str]:
    """Keys in one directory, just more than it holds in one piece; every second one is a directory."""
    return ["/".join([*above, f"w{number}", *["z"] * (number % 2)]) for number in range(LIMIT + 1)]


depths = st.sampled_from([0, 1, 255, 300, DEPTH - 2, DEPTH - 1])
stems = st.sampled_from("ab")
bits = st.lists(st.sampled_from(["a", "b"]), max_size=2)


@st.composite
def key_sets(draw: st.DrawFn) -> list[str]:
    """Few keys, most of them deep, some side by side or below one another, perhaps with a wide directory on the way."""
    deep_ones = st.builds(lambda of, depth, last: [of] * (depth - len(last)) + [*last, "k"], stems, depths, bits)
    keys = {"/".join(one) for one in draw(st.lists(deep_ones, min_size=1, max_size=4))}
    if draw(st.booleans()):
        keys.update(wide([draw(stems)] * draw(st.sampled_from([0, 1, 300, 450]))))
    return sorted(keys)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(keys=key_sets(), gone=key_sets(), seed=st.randoms(use_true_random=False))
def test_deep_keys_lie_where_the_rule_says_whatever_the_order(
    objects: Objects, keys: list[str], gone: list[str], seed: Any
) -> None:
    """One tree for one set of keys, as plain git lists it; what came and went leaves no trace in it."""
    blobs: dict[trees.KeyId, Oid | None] = {("n", key): objects.write("blob", key.encode()) for key in keys}
    root = write(objects, EMPTY_TREE, blobs)
    assert listed(objects, root) == {
        trees.canonical_path({("n", True)}, keys, "n", key): blobs["n", key] for key in keys
    }

    only = {("n", key): objects.write("blob", b"gone") for key in gone if key not in keys}
    before = write(objects, EMPTY_TREE, dict.fromkeys(only, objects.write("blob", b"gone")))
    mixed = before
    order = list(blobs)
    seed.shuffle(order)
    for start in range(0, len(order), 40):
        mixed = write(objects, mixed, {key: blobs[key] for key in order[start : start + 40]})
    both = {**blobs, **only}
    assert from_below(lambda: trees.keys_of(objects, mixed, "n")) == {key: oid for (_, key), oid in both.items()}
    assert from_below(lambda: trees.changed(objects, before, mixed)) == {key: (None, oid) for key, oid in blobs.items()}
    assert from_below(lambda: trees.touched(objects, before, mixed, "n")) >= set(keys)
    assert write(objects, mixed, dict.fromkeys(only)) == root
    assert write(objects, root, dict.fromkeys(blobs)) == EMPTY_TREE


def plant(objects: Objects, path: list[bytes], tree: dict[bytes, tuple[int, Oid]]) -> Oid:
    """A tree in which this one lies below these folders."""
    oid = objects.write("tree", serialize_tree(tree))
    for name in reversed(path):
        oid = objects.write("tree", serialize_tree({name: (TREE_MODE, oid)}))
    return oid


def test_a_deep_directory_at_two_paths_is_one(objects: Objects) -> None:
    """Another tool put a part of it into a bucket: every directory below is read as one, and mended as one."""
    blob = objects.write("blob", b"1")
    key, other, new = deep("x"), deep("y"), deep("z")
    straight = write(objects, EMPTY_TREE, {("n", key): blob})
    aside = write(objects, EMPTY_TREE, {("n", other): blob})
    bucket = f"~{digits('a')[0]}".encode()
    inside = dict(objects.tree(objects.tree(straight)[b"n"][1]))
    inside[bucket] = (TREE_MODE, plant(objects, [], objects.tree(objects.tree(aside)[b"n"][1])))
    root = plant(objects, [b"n"], inside)
    assert from_below(lambda: trees.keys_of(objects, root, "n")) == {key: blob, other: blob}
    assert from_below(lambda: {found for _, found, _ in trees.all_paths(objects, root, "n")}) == {key, other}
    mended = write(objects, root, {("n", new): blob})
    assert mended == write(objects, EMPTY_TREE, {("n", one): blob for one in (key, other, new)})


@pytest.mark.parametrize("depth", [64, 65, 1500])
def test_buckets_deeper_than_a_name_has_digits_are_foreign(objects: Objects, depth: int) -> None:
    """No name belongs there; nobody looks for a digit that a name does not have, nor stumbles over the depth."""
    name = "a"
    trail = [f"~{digit}".encode() for digit in (digits(name) * 30)[:depth]]
    blob = objects.write("blob", b"1")
    root = plant(objects, [b"n", *trail], {b"a.json": (BLOB_MODE, blob)})
    there = {"a": blob} if depth == 64 else {}
    assert trees.lookup(objects, root, "n", name) == there.get("a")
    assert from_below(lambda: trees.keys_of(objects, root, "n"), 600) == there
    assert {key for _, key in trees.changed(objects, None, root)} == there.keys()
    after = write(objects, root, {("n", "b"): blob})
    assert trees.keys_of(objects, after, "n") == {**there, "b": blob}
    assert blob in listed(objects, after).values()
    back = write(objects, after, {("n", "b"): None})
    assert listed(objects, back).keys() == ({b"n/a.json"} if there else listed(objects, root).keys())


# --- verbs ---


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory", agent="diver", clock=clock, durability="fast") as opened:
        yield opened


def sound(memory: Memory) -> None:
    """git and the doctor find nothing wrong."""
    git_dir = memory.vault.repository.git_dir
    assert run_git(git_dir, "fsck", "--strict", "--full", "--no-dangling", "--no-progress") == ""
    assert from_below(lambda: doctor(memory.path)).findings == ()


def test_every_verb_takes_a_key_of_512_segments(memory: Memory, clock: Clock) -> None:
    """Beside one that differs in its last segment, one that is shorter, and a wide directory at the bottom."""

    def dive() -> None:
        memory.store(deep("x"), {"n": 1})
        memory.create(deep("y"), [1])
        memory.store(deep("x"), {"n": 2})
        memory.patch(deep("x"), {"m": 3})
        memory.append(deep("y"), 2)
        memory.store(deep("x").rsplit("/", 1)[0], "above")
        with memory.transaction("wide") as tx:
            for key in wide(["b"] * (DEPTH - 4)):
                tx.store(key, key)
        memory.store(deep("s", of="c"), 1, ttl=10)
        assert memory.retrieve(deep("x")) == {"n": 2, "m": 3}
        assert memory.entry(deep("y")).value == [1, 2]
        assert [version.version for version in memory.history(deep("x"))] == [3, 2, 1]
        assert memory.blame(deep("x"))["/n"].version == 2
        assert memory.list("a/a/") == [deep("x").rsplit("/", 1)[0], deep("x"), deep("y")]
        assert len(memory.list("b/b/")) == LIMIT + 1
        assert [entry.key for entry in memory.search("**/[xy]")] == [deep("x"), deep("y")]
        assert len(memory.search("*/" * (DEPTH - 1) + "*")) == 3
        assert [change.key for record in memory.log(limit=1) for change in record.changes] == [deep("s", of="c")]
        assert len(memory.diff("HEAD~2", "HEAD")) == LIMIT + 2
        clock.advance(11)
        assert memory.retrieve(deep("s", of="c"), None) is None
        memory.delete(deep("y"))
        with pytest.raises(MissingKeyError, match="there is no key"):
            memory.retrieve(deep("y"))
        with pytest.raises(MissingKeyError, match="there is no key"):
            memory.retrieve(deep("z"))
        memory.restore(deep("y"), version=2)
        assert memory.retrieve(deep("y")) == [1, 2]

    with ThreadPoolExecutor(1) as others:  # a thread has a stack of its own, and on some systems a small one
        others.submit(from_below, dive).result()
    assert len([path for path in paths_of(memory.vault.repository.git_dir) if path.startswith("default/a/")]) == 3
    sound(memory)


def test_two_branches_with_deep_keys_are_merged(memory: Memory) -> None:
    """Keys, what remained in conflict, and foreign files that lie deeper than any key."""
    git_dir = memory.vault.repository.git_dir
    far = "/".join(["files"] * 600)
    memory.store(deep("x"), {"a": 1, "b": 1})
    commit_files(git_dir, {far + "/one.txt": b"1", far + "/gone.txt": b"1"})
    side = memory.branch("side")
    commit_files(git_dir, {far + "/one.txt": b"2", far + "/gone.txt": None, far + "/new.txt": b"3"}, branch="side")
    side.patch(deep("x"), {"a": 2, "b": 2})
    side.store(deep("t"), 1)
    memory.patch(deep("x"), {"b": 3})
    memory.store(deep("o"), 1)
    commit_files(git_dir, {far + "/ours.txt": b"4"})
    merged = from_below(lambda: memory.merge("side"))
    assert [record.key for record in merged.conflicts] == [deep("x")]
    assert memory.retrieve(deep("x"))["a"] == 2
    assert memory.list("a/a/") == [deep("o"), deep("t"), deep("x")]
    foreign = {path.rsplit("/", 1)[1] for path in paths_of(git_dir) if path.startswith("files/")}
    assert foreign == {"one.txt", "new.txt", "ours.txt"}
    from_below(lambda: memory.resolve(deep("x")))
    assert memory.conflicts() == []


@pytest.mark.parametrize("program", ["dulwich", "git"])
def test_copies_exchange_deep_keys(memory: Memory, tmp_path: Path, program: str) -> None:
    """Pushed, fetched, cloned, and merged on the way."""
    hub = tmp_path / "hub.git"
    run_git(tmp_path, "init", "-q", "--bare", "-b", "main", str(hub))
    memory.store(deep("x"), 1)
    memory.add_remote("origin", str(hub))
    from_below(lambda: memory.sync(program=program))
    other = from_below(lambda: Memory.clone(hub, tmp_path / "other", agent="other", program=program))
    other.store(deep("y"), 2)
    memory.store(deep("z"), 3)
    from_below(lambda: other.sync(program=program), 600)
    from_below(lambda: memory.sync(program=program), 600)
    from_below(lambda: other.sync(program=program), 600)
    assert memory.snapshot == other.snapshot
    assert other.list("a/") == [deep("x"), deep("y"), deep("z")]
    sound(other)
    other.close()


@pytest.mark.parametrize("git", [True, False], ids=["git", "alone"])
def test_deep_trees_are_packed(memory: Memory, monkeypatch: pytest.MonkeyPatch, git: bool) -> None:
    """By git and, where there is none, by our own packer."""
    for number in range(3):
        memory.store(deep("x"), number)
    with monkeypatch.context() as patched:
        if not git:
            patched.setenv("PATH", "")
        report = from_below(lambda: memory.gc(full=True))
    assert (report.loose_after, report.packs_after, report.trouble) == (0, 1, "")
    assert [version.version for version in memory.history(deep("x"))] == [3, 2, 1]
    sound(memory)


def test_deep_keys_go_out_and_come_in(memory: Memory, tmp_path: Path, clock: Clock) -> None:
    """As JSON lines, and from a folder of files."""
    memory.store(deep("x"), 1)
    memory.store(deep("x"), 2)
    lines = from_below(lambda: [json.dumps(one) for one in export(memory, history=True)])
    (tmp_path / "out.jsonl").write_text("\n".join(lines))
    with Memory.open(tmp_path / "second", agent="diver", clock=clock) as second:
        from_below(lambda: import_file(second, tmp_path / "out.jsonl"))
        assert [version.value for version in second.history(deep("x"))] == [2, 1]
        top = folder(tmp_path / "folder", deep("y"), b"3")
        try:
            report = from_below(lambda: import_file(second, top))
        finally:
            subprocess.run(["rm", "-r", str(top)], check=True)  # what Python removes folders with goes only so deep
        assert report.complete
        assert second.retrieve(deep("y")) == 3


def folder(top: Path, key: str, body: bytes) -> Path:
    """A folder with one file at the key's place."""
    top.mkdir()
    *above, last = key.split("/")
    path = str(top)
    for name in above:
        path += "/" + name
        os.mkdir(path)
    Path(path, last + ".json").write_bytes(body)
    return top


def test_the_doctor_mends_a_deep_directory(memory: Memory) -> None:
    """It is one like any other: told with its path, written anew, nothing lost."""
    memory.store(deep("x"), 1)
    git_dir = memory.vault.repository.git_dir
    folder = "default/" + deep().rsplit("/", 2)[0]
    wrong = {f"{folder}/{number:03}.json": b"1\n" for number in range(LIMIT + 1)}
    commit_files(git_dir, wrong)
    found = from_below(lambda: doctor(memory.path))
    assert {finding.code for finding in found.findings} == {"out-of-shape"}
    assert from_below(lambda: doctor(memory.path, repair=True)).ok
    sound(memory)
    assert len(memory.list("a/")) == LIMIT + 2
