"""Objects: what git wrote we read, what we write git reads."""

from __future__ import annotations

import os
import subprocess
import zlib
from pathlib import Path

import pytest

from gitmem.errors import StorageError
from gitmem.objects import (
    BLOB_MODE,
    CorruptObjectError,
    Identity,
    MissingObjectError,
    Objects,
    Pack,
    TooBig,
    hash_object,
    parse_tree,
    serialize_tree,
)
from gitmem.packs import PackDamage


def git(folder: Path, *words: str, given: bytes = b"") -> bytes:
    return subprocess.run(["git", "-C", str(folder), *words], input=given, check=True, capture_output=True).stdout


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "--bare", "store.git")
    return tmp_path / "store.git"


def history(bare: Path, commits: int) -> list[str]:
    """Commits that each change one line of a long file, so that git makes deltas of them."""
    stream = []
    for number in range(commits):
        lines = "".join(f"line {n} {'changed' * (n == number)}\n" for n in range(300))
        stream.append(
            f"commit refs/heads/main\ncommitter A U Thor <a@example.com> {1700000000 + number} +0130\n"
            f"data 9\nnumber {number % 10}\nM 100644 inline dir/file.json\ndata {len(lines)}\n{lines}\n"
        )
    git(bare, "fast-import", "--quiet", given="".join(stream).encode())
    return git(bare, "rev-list", "main").decode().split()


@pytest.mark.parametrize("packed", [False, True])
def test_every_object_of_git_is_read_as_git_reads_it(bare: Path, packed: bool) -> None:
    """Deltas of both kinds, long chains and loose files give the same bytes as `git cat-file`."""
    history(bare, 30)
    if packed:
        git(bare, "repack", "-adfq", "--depth=50")
    else:
        pack = next((bare / "objects" / "pack").glob("*.pack")).rename(bare / "moved.pack")
        for index in (bare / "objects" / "pack").glob("*.idx"):
            index.unlink()
        git(bare, "unpack-objects", "-q", given=pack.read_bytes())
    objects = Objects(str(bare))
    listing = git(bare, "cat-file", "--batch-check", "--batch-all-objects").decode().splitlines()
    assert len(listing) > 80
    for line in listing:
        name, kind, _ = line.split()
        assert objects.read(bytes.fromhex(name)) == (kind, git(bare, "cat-file", kind, name))


def test_a_thin_chain_through_another_pack_is_resolved(bare: Path) -> None:
    """A pack made against a base by id (REF_DELTA) is read through the object store."""
    tip, *_, first = history(bare, 12)
    pack = git(bare, "pack-objects", "--stdout", "--revs", "--no-reuse-delta", given=f"{tip}\n".encode())
    other = bare.parent / "other.git"
    git(bare.parent, "init", "-q", "--bare", "other.git")
    git(other, "index-pack", "--stdin", "--fix-thin", given=pack)
    assert Objects(str(other)).commit(bytes.fromhex(first)).message == "number 0\n"[:9]


def test_what_we_write_git_reads(bare: Path) -> None:
    """Loose objects of ours pass `git fsck --strict`, whatever their size."""
    objects = Objects(str(bare))
    blob = objects.write("blob", b"x" * 100_000)
    small = objects.write("blob", b"{}\n")
    tree = objects.write("tree", serialize_tree({b"b.json": (BLOB_MODE, blob), b"a": (BLOB_MODE, small)}))
    who = Identity("näme", "n@gitmem", 1700000000, -90)
    writer = objects.writer(durable=True)
    from gitmem.objects import serialize_commit

    oid = writer.add("commit", serialize_commit(tree, (), who, who, "subject\n\nAgent: x\n"))
    writer.finish()
    git(bare, "update-ref", "refs/heads/main", oid.hex())
    assert git(bare, "fsck", "--strict") == b""
    assert git(bare, "log", "main", "--format=%an %ae %ai").decode() == "näme n@gitmem 2023-11-14 20:43:20 -0130\n"
    assert Objects(str(bare)).commit(oid).author == who


def test_an_object_found_present_is_made_young(bare: Path) -> None:
    """A gc prunes by age; skipping a write must not leave an old file behind it."""
    objects = Objects(str(bare))
    oid = objects.write("blob", b"again")
    path = objects.loose_path(oid)
    os.utime(path, (1, 1))
    assert objects.write("blob", b"again") == oid
    assert os.stat(path).st_mtime > 1_000_000


def test_a_pack_that_appears_later_is_found(bare: Path) -> None:
    """Another process's gc moves objects from loose files into packs while we read."""
    objects = Objects(str(bare))
    tips = history(bare, 5)
    for name in tips:
        objects.commit(bytes.fromhex(name))
    git(bare, "repack", "-adfq")
    fresh = Objects(str(bare))
    fresh.packs()
    git(bare, "fast-import", "--quiet", given=b"commit refs/heads/x\ncommitter A <a> 1 +0000\ndata 0\n\n")
    assert fresh.commit(bytes.fromhex(git(bare, "rev-parse", "x").decode().strip())).parents == ()


@pytest.mark.parametrize(
    "damage", [b"", b"garbage", zlib.compress(b"blob 3\0abcd"), zlib.compress(b"blob 4\0abce"), zlib.compress(b"x")]
)
def test_a_damaged_loose_object_is_named(bare: Path, damage: bytes) -> None:
    """Never a wrong body: cut short, overlong, of another content, or no object at all."""
    objects = Objects(str(bare))
    oid = objects.write("blob", b"abcd")
    path = Path(objects.loose_path(oid))
    path.chmod(0o644)
    path.write_bytes(damage)
    with pytest.raises(CorruptObjectError, match=oid.hex()):
        objects.blob(oid)


def test_a_damaged_pack_is_named(bare: Path) -> None:
    """A flipped byte in a pack is found by the object's id."""
    names = history(bare, 3)
    git(bare, "repack", "-adfq")
    pack = next((bare / "objects" / "pack").glob("*.pack"))
    pack.chmod(0o644)
    content = bytearray(pack.read_bytes())
    content[20:40] = bytes(20)
    pack.write_bytes(bytes(content))
    objects = Objects(str(bare))
    with pytest.raises(CorruptObjectError):
        [objects.commit(bytes.fromhex(name)) for name in names]


def test_inflating_is_bounded(bare: Path) -> None:
    """A small file that inflates to a huge one is refused by what its header says, before it is inflated."""
    objects = Objects(str(bare))
    oid = objects.write("blob", bytes(1_000_000))
    with pytest.raises(TooBig):
        objects.read(oid, limit=1000)


def test_a_missing_object_is_named(bare: Path) -> None:
    """The id that something points to stands in the error."""
    with pytest.raises(MissingObjectError, match="00" * 20):
        Objects(str(bare)).blob(bytes(20))


def test_tree_order_is_gits() -> None:
    """A directory sorts as if its name ended in a slash: `a.json` comes before `a/`, `a0` after it."""
    entries = {b"a": (0o40000, bytes(20)), b"a.json": (BLOB_MODE, bytes(20)), b"a0": (BLOB_MODE, bytes(20))}
    assert list(parse_tree(serialize_tree(entries))) == [b"a.json", b"a", b"a0"]
    assert hash_object("blob", b"").hex() == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_a_gc_between_writing_and_flushing_loses_nothing(bare: Path) -> None:
    """A loose file may have become part of a pack before it is flushed: then that pack is."""
    objects = Objects(str(bare))
    writer = objects.writer(durable=True)
    oid = writer.add("blob", b"packed meanwhile")
    git(bare, "update-ref", "refs/tags/x", oid.hex())
    git(bare, "repack", "-adq")
    git(bare, "prune-packed")
    assert not Path(objects.loose_path(oid)).exists()
    writer.finish()
    lost = objects.writer(durable=True)
    Path(objects.loose_path(lost.add("blob", b"lost"))).unlink()
    with pytest.raises(StorageError):
        lost.finish()


def test_a_durable_writer_never_replaces_a_sound_file_by_one_that_is_not_flushed(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between such a rename and the flush a power cut takes the object from everybody who has it acknowledged."""
    objects = Objects(str(bare))
    first = objects.writer(durable=True)
    oid = first.add("blob", b"{}\n")
    first.finish()
    flushed: set[int] = set()
    fsync, rename = os.fsync, os.rename

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        flushed.add(os.fstat(descriptor).st_ino)

    def judged(source: str, target: str) -> None:
        assert not os.path.exists(target) or os.stat(source).st_ino in flushed
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "rename", judged)
    path = objects.loose_path(oid)
    os.utime(path, (1, 1))
    again = Objects(str(bare)).writer(durable=True)
    assert again.add("blob", b"{}\n") == oid
    again.finish()
    assert os.stat(path).st_mtime > 1000
    assert os.stat(path).st_ino in flushed


def test_a_durable_writer_mends_a_damaged_file(bare: Path) -> None:
    """What lies there under the object's name is no proof that it is the object."""
    objects = Objects(str(bare))
    oid = objects.write("blob", b"{}\n")
    os.chmod(objects.loose_path(oid), 0o644)
    Path(objects.loose_path(oid)).write_bytes(b"")
    writer = objects.writer(durable=True)
    writer.add("blob", b"{}\n")
    writer.finish()
    assert objects.read(oid) == ("blob", b"{}\n")


def test_a_damaged_loose_file_does_not_hide_a_packed_copy(bare: Path) -> None:
    """A small object is written beside its pack again; a power cut may leave that file empty."""
    oid = bytes.fromhex(history(bare, 1)[0])
    git(bare, "repack", "-adq")
    objects = Objects(str(bare))
    body = objects.read(oid)[1]
    path = Path(objects.loose_path(oid))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    assert Objects(str(bare)).read(oid) == ("commit", body)


def test_a_folder_made_anew_is_flushed_anew(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gc removes the folders that it empties: that one was flushed before is no proof."""
    objects = Objects(str(bare))

    def write() -> Path:
        writer = objects.writer(durable=True)
        path = Path(objects.loose_path(writer.add("blob", b"{}\n")))
        writer.finish()
        return path

    path = write()
    path.unlink()
    path.parent.rmdir()
    flushed = []
    monkeypatch.setattr("gitmem.objects.sync_path", lambda path: flushed.append(Path(path)))
    assert write() == path
    assert flushed == [path, path.parent, bare / "objects"]


def pack_of(folder: Path, content: bytes) -> Pack:
    """A pack whose only object is `content` as it stands there, at offset 12."""
    path = folder / "pack-of-one.pack"
    path.write_bytes(b"PACK" + bytes([0, 0, 0, 2, 0, 0, 0, 1]) + content)
    return Pack(str(path))


@pytest.mark.parametrize(
    ("distance", "delta"),
    [(b"\x00", b"\x03\x03\x90\x03"), (b"\x0c", b"\x03\x03\x90\x03"), (b"\x7f", b"\x03\x03\x90\x03"),
     (b"\xff\xff", b"\x03\x03\x90\x03"), (b"\x80", b""), (b"\x01", b""), (b"\x01", b"\x83")],
    ids=["itself", "the header", "before the pack", "far before", "no end", "no delta", "half a delta"],
)  # fmt: skip
def test_a_delta_without_a_base_is_damage(tmp_path: Path, distance: bytes, delta: bytes) -> None:
    """It is neither an endless search nor an error of Python's."""
    pack = pack_of(tmp_path, bytes([6 << 4 | len(delta)]) + distance + zlib.compress(delta))
    with pytest.raises(PackDamage):
        pack.read(12, lambda oid: ("blob", oid), limit=100)
    cut = pack_of(tmp_path, bytes([6 << 4 | 4]) + b"\x80")
    with pytest.raises(PackDamage):
        cut.read(12, lambda oid: ("blob", oid))


def test_a_pack_that_a_gc_took_before_it_was_opened_is_no_trouble(bare: Path) -> None:
    """It was listed, not mapped: what it held lies in another pack by now, and every question finds it there."""
    tip = history(bare, 5)[0]
    git(bare, "repack", "-adfq")
    for number, question in enumerate(("contains", "freshen", "read")):
        objects = Objects(str(bare))
        (old,) = objects.packs()
        blob = git(bare, "hash-object", "-w", "--stdin", given=question.encode()).decode().strip()
        git(bare, "tag", f"t{number}", blob)
        git(bare, "repack", "-adfq")
        assert not Path(old.path).exists()
        assert getattr(objects, question)(bytes.fromhex(tip))


def test_a_damaged_large_object_is_written_again(bare: Path) -> None:
    """Found present is not enough: what is acknowledged has to be readable."""
    body = os.urandom(20_000)
    path = Path(Objects(str(bare)).loose_path(Objects(str(bare)).write("blob", body)))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:100])
    assert Objects(str(bare)).blob(Objects(str(bare)).write("blob", body)) == body
