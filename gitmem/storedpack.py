"""A finished pack, read from its first byte to its last: to copy it into another one, and to check it.

Knows the objects as they are stored; does not know what they mean, nor which packs there are.
Law: what `check` has passed can be read back by every id of the pack's index.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator

from gitmem.gitobject import hash_object
from gitmem.packfile import OFS_DELTA, REF_DELTA, Body, Recent, StoredEntry
from gitmem.packs import KINDS, Oid, Pack, PackDamage, apply_delta

_CHECK_BYTES = 16 << 20


class StoredPack:
    """A finished pack, read from its first byte to its last. PackDamage where it does not read as one."""

    def __init__(self, path: str) -> None:
        """`path` is that of the `.pack` file; its index is read at once."""
        self._path = path
        with open(path[: -len("pack")] + "idx", "rb") as file:
            self._index = file.read()
        if self._index[:8] != b"\xfftOc\x00\x00\x00\x02" or len(self._index) < 1072:
            raise PackDamage(f"{path}: its index is not of version 2")
        self._count: int = struct.unpack_from(">I", self._index, 1028)[0]
        if len(self._index) < 1072 + self._count * 28:
            raise PackDamage(f"{path}: its index is cut short")
        self._offsets = self._read_offsets()
        self._order = sorted(range(self._count), key=self._offsets.__getitem__)

    def __len__(self) -> int:
        """The number of objects."""
        return self._count

    def ids(self) -> Iterator[Oid]:
        """Every object id, in order."""
        return (self._oid(place) for place in range(self._count))

    def entries(self) -> Iterator[StoredEntry]:
        """Every object as it is stored, by offset; nothing is inflated."""
        for place, offset, stored in self._slices():
            try:
                yield self._entry(self._oid(place), offset, stored)
            except IndexError:
                raise PackDamage(f"{self._path}: cut short at {offset}") from None

    def stored(self) -> Iterator[tuple[Oid, bytes]]:
        """Every object's id, and its bytes as they lie there, head and all, by offset."""
        return ((self._oid(place), stored) for place, _, stored in self._slices())

    def _slices(self) -> Iterator[tuple[int, int, bytes]]:
        """Each object's place in the index, its offset, and its bytes."""
        if os.path.getsize(self._path) < 32:
            raise PackDamage(f"{self._path}: cut short")
        with open(self._path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pack:
            if pack[:4] != b"PACK":
                raise PackDamage(f"{self._path}: not a pack")
            for number, place in enumerate(self._order, start=1):
                last = number == self._count
                end = len(pack) - 20 if last else self._offsets[self._order[number]]
                offset = self._offsets[place]
                yield place, offset, pack[offset:end]

    def check(self) -> None:
        """Read every object back and compare it with its id. PackDamage at the first that differs."""
        recent = Recent(_CHECK_BYTES)
        for entry in self.entries():
            try:
                kind, body = self._restore(entry, recent)
            except zlib.error as error:
                raise PackDamage(f"{self._path}: {entry.oid.hex()}: {error}") from None
            if hash_object(kind, body) != entry.oid:
                raise PackDamage(f"{self._path} holds another content under the id {entry.oid.hex()}")
            recent.put(entry.oid, Body(kind, body, 0, 0))

    def _restore(self, entry: StoredEntry, recent: Recent) -> tuple[str, bytes]:
        body = zlib.decompressobj().decompress(entry.deflated, entry.size + 1)
        if len(body) != entry.size:
            raise PackDamage(f"{self._path}: {entry.oid.hex()} inflates to another size than it says")
        if entry.base is None:
            return KINDS[entry.kind], body
        kept = recent.get(entry.base)
        if kept is not None:
            return kept.kind, apply_delta(kept.body, body)
        kind, former = self._read(entry.base)
        return kind, apply_delta(former, body)

    def _read(self, oid: Oid) -> tuple[str, bytes]:
        pack = Pack(self._path)
        offset = pack.find(oid)
        if offset is None:
            raise PackDamage(f"{self._path}: the base {oid.hex()} of a delta is missing")
        return pack.read(offset, self._read)

    def _entry(self, oid: Oid, offset: int, stored: bytes) -> StoredEntry:
        byte = stored[0]
        kind, size, shift, place = (byte >> 4) & 7, byte & 15, 4, 1
        while byte & 0x80:
            byte = stored[place]
            size |= (byte & 0x7F) << shift
            shift, place = shift + 7, place + 1
        base: Oid | None = None
        if kind == REF_DELTA:
            base, place = stored[place : place + 20], place + 20
        elif kind == OFS_DELTA:
            byte = stored[place]
            distance, place = byte & 0x7F, place + 1
            while byte & 0x80:
                byte = stored[place]
                distance, place = (distance + 1) << 7 | (byte & 0x7F), place + 1
            base = self._at(offset - distance)
        elif kind not in KINDS:
            raise PackDamage(f"{self._path}: unknown object type {kind} at {offset}")
        return StoredEntry(oid, kind, size, base, stored[place:])

    def _oid(self, place: int) -> Oid:
        return self._index[1032 + place * 20 : 1052 + place * 20]

    def _at(self, offset: int) -> Oid:
        number = bisect_left(self._order, offset, key=self._offsets.__getitem__)
        if number == self._count or self._offsets[self._order[number]] != offset:
            raise PackDamage(f"{self._path}: a delta points between the objects, at {offset}")
        return self._oid(self._order[number])

    def _read_offsets(self) -> array[int]:
        table = 1032 + self._count * 24
        offsets = array("Q", struct.unpack_from(f">{self._count}I", self._index, table))
        large = table + self._count * 4
        for place, offset in enumerate(offsets):
            if offset & 0x80000000:
                offsets[place] = struct.unpack_from(">Q", self._index, large + (offset & 0x7FFFFFFF) * 8)[0]
        return offsets
