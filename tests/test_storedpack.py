"""A finished pack is read from end to end: every object once, and none that is not what its id says."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitmem.objects import hash_object
from gitmem.packfile import PackWriter, write_index
from gitmem.packs import PackDamage
from gitmem.storedpack import StoredPack

BODIES = [b"%d\n" % number * 200 for number in range(20)]


def packed(folder: Path, *bodies: bytes) -> Path:
    """A pack of blobs, each given as a delta of the one before."""
    with PackWriter(str(folder), durable=False) as writer:
        before = None
        for body in bodies:
            before = writer.add("blob", body, base=before)
        path = writer.finish()
    assert path is not None
    return path


def test_every_object_comes_once_and_after_its_base(tmp_path: Path) -> None:
    """So a copy can keep the deltas as they are."""
    bodies = [b"line\n" * 100 + body[:20] for body in BODIES]
    pack = StoredPack(str(packed(tmp_path, *bodies)))
    entries = list(pack.entries())
    assert [entry.oid for entry in entries] == [hash_object("blob", body) for body in bodies]
    assert sorted(entry.oid for entry in entries) == list(pack.ids())
    assert len(pack) == 20
    assert [entry.base for entry in entries] == [None, *(entry.oid for entry in entries[:-1])]
    pack.check()


def test_a_copy_has_the_same_bytes(tmp_path: Path) -> None:
    """Nothing is inflated on the way."""
    path = packed(tmp_path, *BODIES)
    with PackWriter(str(tmp_path / "other"), durable=False) as writer:
        for entry in StoredPack(str(path)).entries():
            writer.copy(entry)
        other = writer.finish()
    assert other is not None
    assert other.read_bytes() == path.read_bytes()
    assert other.with_suffix(".idx").read_bytes() == path.with_suffix(".idx").read_bytes()


def test_a_check_compares_content_with_ids(tmp_path: Path) -> None:
    """An object that inflates well can still be another one than the index says."""
    path = packed(tmp_path, b"1\n")
    path.with_suffix(".idx").unlink()
    with path.with_suffix(".idx").open("wb") as file:
        write_index(file, {hash_object("blob", b"2\n"): 12 << 32}, bytes(20))
    with pytest.raises(PackDamage, match="another content"):
        StoredPack(str(path)).check()


def test_damage_anywhere_is_found(tmp_path: Path) -> None:
    """A flipped bit in any object, or an end that is missing: an error of ours, never a wrong body."""
    path = packed(tmp_path, *BODIES[:3])
    whole = path.read_bytes()
    path.chmod(0o644)
    for place in range(12, len(whole) - 20):
        path.write_bytes(whole[:place] + bytes((whole[place] ^ 4,)) + whole[place + 1 :])
        with pytest.raises(PackDamage):
            StoredPack(str(path)).check()
    for end in range(0, len(whole) - 21, 7):
        path.write_bytes(whole[:end])
        with pytest.raises(PackDamage):
            StoredPack(str(path)).check()
    path.write_bytes(whole)
    index = path.with_suffix(".idx")
    index.chmod(0o644)
    for content in (b"", b"\xfftOc", index.read_bytes()[:1080]):
        index.write_bytes(content)
        with pytest.raises(PackDamage):
            StoredPack(str(path))
