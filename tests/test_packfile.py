"""A pack that we wrote is one that git, dulwich and our own reader accept, byte for byte."""

from __future__ import annotations

import io
import os
import random
import resource
import stat
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitmem.errors import StorageError
from gitmem.objects import Objects, Oid, hash_object, serialize_tree
from gitmem.packfile import PackWriter, encode_delta, write_index
from gitmem.packs import Pack, apply_delta

Git = Callable[..., str]


@pytest.fixture
def bare(tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "bare.git")
    return tmp_path / "bare.git"


def in_pack_folder(bare: Path) -> list[str]:
    folder = bare / "objects" / "pack"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def tree_states(count: int, *, seed: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """A blob's body and a tree of sixty entries that points to it, again and again."""
    chance = random.Random(seed)
    entries = {b"status-%02d.json" % n: (0o100644, hash_object("blob", b"")) for n in range(60)}
    for number in range(count):
        body = b'{\n  "state": %d\n}\n' % number
        entries[b"status-%02d.json" % chance.randrange(60)] = (0o100644, hash_object("blob", body))
        yield body, serialize_tree(entries)


def write_states(bare: Path, count: int, **options: int) -> tuple[Path, list[Oid]]:
    with PackWriter(str(bare), durable=False, **options) as writer:
        writer.add("blob", b"")
        trees: list[Oid] = []
        for body, tree in tree_states(count):
            writer.add("blob", body)
            trees.append(writer.add("tree", tree, base=trees[-1] if trees else None))
        path = writer.finish()
    assert path is not None
    return path, trees


def write_noise(bare: Path, bodies: int) -> None:
    with PackWriter(str(bare), durable=True) as writer:
        for number in range(bodies):
            writer.add("blob", random.Random(number).randbytes(150_000))
        writer.finish()


def test_git_takes_the_pack_and_would_write_the_same_index(bare: Path, git: Git, tmp_path: Path) -> None:
    """The index is written by our own code: git's must not differ in a byte."""
    path, trees = write_states(bare, 200)
    git(bare, "index-pack", "--strict", "-o", str(tmp_path / "git.idx"), str(path))
    assert path.with_suffix(".idx").read_bytes() == (tmp_path / "git.idx").read_bytes()
    assert git(bare, "fsck", "--strict", "--no-dangling") == ""
    expected = [tree for _, tree in tree_states(200)]
    objects = Objects(str(bare))
    assert [objects.read(oid) for oid in trees] == [("tree", tree) for tree in expected]


def test_dulwich_reads_the_pack(bare: Path) -> None:
    """A second reader, which shares nothing with us or git."""
    from dulwich.object_format import SHA1
    from dulwich.pack import Pack as Other

    path, trees = write_states(bare, 60)
    with Other(str(path.with_suffix("")), object_format=SHA1) as other:
        other.check()
        for oid, (_, tree) in zip(trees, tree_states(60), strict=True):
            assert other.get_raw(oid.hex().encode())[1] == tree


@pytest.mark.parametrize("depth", [0, 1, 7, 40])
def test_no_chain_of_deltas_is_longer_than_asked(bare: Path, git: Git, depth: int) -> None:
    """Reading the newest tree must not cost as much as the whole history."""
    path, _ = write_states(bare, 100, delta_depth=depth)
    lines = [line.split() for line in git(bare, "verify-pack", "-v", str(path)).splitlines()]
    chains = [int(words[5]) for words in lines if len(words) == 7 and words[1] == "tree"]
    assert max(chains, default=0) == depth


def test_a_changed_entry_costs_a_few_bytes(bare: Path) -> None:
    """A thousand states of a tree of 2.5 KB: as deltas they take less than a tenth."""
    path, _ = write_states(bare, 1000)
    assert path.stat().st_size < 1000 * 2500 / 10


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=40), st.binary(max_size=40))
@example(b"a" * 70_000, b"a" * 140_000, b"", b"x")
@example(b"ab" * 100, b"", b"ab", b"ab")
@example(b"x" * 66_000, b"y" * 66_000, b"old", b"new")
def test_a_delta_gives_the_body_back(start: bytes, end: bytes, old: bytes, new: bytes) -> None:
    """Starts and ends that overlap, are empty or longer than one copy instruction."""
    base, body = start + old + end, start + new + end
    delta = encode_delta(base, body)
    assert not delta or apply_delta(base, delta) == body
    assert delta or len(body) < 3 * (len(new) + 60)


def test_large_similar_bodies_become_deltas_that_git_reads(bare: Path, git: Git) -> None:
    """A copy instruction reaches 64 KB: a longer stretch, behind that border too, needs several."""
    body = random.Random(5).randbytes(300_000)
    changed = body[:200_000] + b"changed" + body[200_000:]
    with PackWriter(str(bare), durable=False) as writer:
        first = writer.add("blob", body)
        second = writer.add("blob", changed, base=first)
        path = writer.finish()
    assert path is not None
    assert path.stat().st_size < 302_000
    git(bare, "index-pack", str(path))
    assert Objects(str(bare)).blob(second) == changed
    assert git(bare, "cat-file", "-s", second.hex()).strip() == "300007"


def test_the_base_must_be_of_one_kind(bare: Path, git: Git) -> None:
    """A delta inherits its base's kind: a blob made from a tree would come back as a tree."""
    _, tree = next(tree_states(1))
    with PackWriter(str(bare), durable=False) as writer:
        first = writer.add("tree", tree)
        second = writer.add("blob", tree + b"!", base=first)
        writer.finish()
    assert git(bare, "cat-file", "-t", second.hex()).strip() == "blob"


def test_nothing_is_visible_before_finish(bare: Path) -> None:
    """And an object that is added twice lies there once."""
    objects = Objects(str(bare))
    with PackWriter(str(bare), durable=True) as writer:
        oid = writer.add("blob", b"1\n")
        assert writer.add("blob", b"1\n") == oid
        assert oid in writer
        assert len(writer) == 1
        assert [name[:9] for name in in_pack_folder(bare)] == ["tmp_pack_"]
        assert not objects.contains(oid)
        path = writer.finish()
    assert path is not None
    assert objects.contains(oid)
    assert in_pack_folder(bare) == [path.with_suffix(".idx").name, path.name]
    assert {stat.S_IMODE(file.stat().st_mode) for file in (path, path.with_suffix(".idx"))} == {0o444}


def test_a_pack_of_nothing_is_not_written(bare: Path) -> None:
    """git would call it corrupt in some versions, and it is of no use in all."""
    with PackWriter(str(bare), durable=True) as writer:
        assert writer.finish() is None
    assert in_pack_folder(bare) == []


def test_what_was_not_finished_leaves_nothing(bare: Path) -> None:
    """A write that fails half-way leaves no file behind."""
    with PackWriter(str(bare), durable=True) as writer:
        writer.add("blob", b"1\n")
    assert in_pack_folder(bare) == []


def test_a_durable_pack_is_flushed_before_it_gets_its_name(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content, index, names (the index's last), folder: any other order can lose the pack to a power cut."""
    acts: list[str] = []

    def flushing(descriptor: int) -> None:
        acts.append("fsync " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name[:4])

    def renaming(source: str, target: str, rename: Callable[[str, str], None] = os.replace) -> None:
        acts.append("rename " + Path(target).suffix)
        rename(source, target)

    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(os, "replace", renaming)
    with PackWriter(str(bare), durable=True) as writer:
        writer.add("blob", b"1\n")
        writer.finish()
    assert acts == ["fsync tmp_", "fsync tmp_", "rename .pack", "rename .idx", "fsync pack"]


def test_a_full_disk_is_an_error_and_leaves_nothing(bare: Path) -> None:
    """Whether it is found out when adding or when finishing."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        for bodies in (1, 9):
            with pytest.raises(StorageError):
                write_noise(bare, bodies)
            assert in_pack_folder(bare) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_offsets_beyond_two_gigabytes_have_their_own_table(tmp_path: Path) -> None:
    """The first table has 31 bits: a big import passes that."""
    from dulwich.object_format import SHA1
    from dulwich.pack import load_pack_index

    offsets = [12, 0x7FFFFFFF, 0x80000000, 0x1_0000_0000, 0x12_3456_7890]
    entries = {hash_object("blob", b"%d" % offset): offset << 32 | 7 for offset in offsets}
    with open(tmp_path / "pack-1.idx", "wb") as file:
        write_index(file, entries, bytes(20))
    ours = Pack(str(tmp_path / "pack-1.pack"))
    theirs = load_pack_index(str(tmp_path / "pack-1.idx"), SHA1)
    theirs_by_id = {oid: (offset, crc) for oid, offset, crc in theirs.iterentries()}
    theirs.check()
    theirs.close()
    for oid, packed in entries.items():
        assert ours.find(oid) == packed >> 32
        assert theirs_by_id[oid] == (packed >> 32, 7)


def test_memory_does_not_grow_with_the_bodies(bare: Path) -> None:
    """An import of 122 MB streams through: only the last few bodies are kept, for deltas."""
    chance = random.Random(7)
    tracemalloc.start()
    try:
        with PackWriter(str(bare), durable=False) as writer:
            for _ in range(1500):
                writer.add("blob", chance.randbytes(40_000))
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_a_large_index_is_sorted_and_whole() -> None:
    """Every first byte of an id, also those that no object has, has its place in the fan-out."""
    for count in (1, 2, 3000):
        entries = {hash_object("blob", b"%d" % n): (n + 12) << 32 for n in range(count)}
        file = io.BytesIO()
        write_index(file, entries, bytes(20))
        content = file.getvalue()
        ids = [content[1032 + n * 20 : 1052 + n * 20] for n in range(count)]
        fanout = [int.from_bytes(content[8 + n * 4 : 12 + n * 4], "big") for n in range(256)]
        assert ids == sorted(entries)
        assert fanout == [sum(oid[0] <= first for oid in ids) for first in range(256)]
