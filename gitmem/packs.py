"""Reading packs: an object id to its kind and body, through the pack's version 2 index.

Knows one pack at a time, mapped into memory; does not know loose objects, nor which packs there are.
Law: what `find` gives, `read` can read; a damaged pack is a `PackDamage`, never a wrong body.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterator

Oid = bytes
"""An object id: the 20 raw bytes of a SHA-1; hex only at the edges."""

KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFS_DELTA, _REF_DELTA = 6, 7
_FANOUT, _TABLE = 8, 8 + 256 * 4
_KEPT_BYTES = 8 << 20
"""So many bytes of delta chains are remembered for each pack."""

Resolver = Callable[[Oid], tuple[str, bytes]]


class PackDamage(Exception):
    """The pack or its index does not read as one."""


class TooBig(Exception):
    """The object is larger than the reader's limit; nothing of it was inflated."""


class Pack:
    """One pack and its index, mapped lazily. A pack that was deleted while mapped stays readable."""

    def __init__(self, path: str) -> None:
        """`path` is that of the `.pack` file; nothing is opened before the first question."""
        self.path = path
        self._index: mmap.mmap | None = None
        self._pack: mmap.mmap | None = None
        self._count = 0
        self._fanout: tuple[int, ...] = ()
        self._bases: dict[int, tuple[str, bytes]] = {}
        self._weight = 0

    @property
    def count(self) -> int:
        """The number of objects."""
        self._open_index()
        return self._count

    def ids(self) -> Iterator[Oid]:
        """Every object id, in order."""
        index = self._open_index()
        for place in range(_TABLE, _TABLE + self._count * 20, 20):
            yield index[place : place + 20]

    def find(self, oid: Oid) -> int | None:
        """The offset of `oid` in the pack, or None."""
        index = self._index or self._open_index()
        first = oid[0]
        low = self._fanout[first - 1] if first else 0
        high = self._fanout[first]
        while low < high:
            middle = (low + high) // 2
            place = _TABLE + middle * 20
            found = index[place : place + 20]
            if found == oid:
                return self._offset(index, middle)
            if found < oid:
                low = middle + 1
            else:
                high = middle
        return None

    def read(self, offset: int, resolve: Resolver, *, limit: int | None = None) -> tuple[str, bytes]:
        """Kind and body of the object at `offset`; `resolve` gives the base of a delta that names it by id.

        Raises TooBig when the body is longer than `limit` bytes.
        """
        deltas: list[tuple[int, bytes]] = []
        pack = self._pack or self._open_pack()
        bases = self._bases
        while True:
            if (kept := bases.get(offset)) is not None:
                name, body = kept
                if limit is not None and not deltas and len(body) > limit:
                    raise TooBig(len(body))
                break
            kind, size, place = self._header(pack, offset)
            if kind == _OFS_DELTA:
                distance, place = self._distance(pack, place)
                deltas.append((offset, self._inflate(pack, place, size)))
                if not 0 < distance < offset:
                    raise PackDamage(f"{self.path}: a delta at {offset} has no base before it")
                offset -= distance
            elif kind == _REF_DELTA:
                base_id = pack[place : place + 20]
                deltas.append((offset, self._inflate(pack, place + 20, size)))
                name, body = resolve(base_id)
                break
            elif kind in KINDS:
                if limit is not None and size > limit:
                    raise TooBig(size)
                name, body = KINDS[kind], self._inflate(pack, place, size)
                if deltas:
                    self._keep(offset, name, body)
                break
            else:
                raise PackDamage(f"{self.path}: unknown object type {kind} at {offset}")
            if limit is not None and _target_size(deltas[0][1]) > limit:
                raise TooBig(limit)
        for offset, delta in reversed(deltas):
            body = apply_delta(body, delta)
            self._keep(offset, name, body)
        return name, body

    def _keep(self, offset: int, name: str, body: bytes) -> None:
        """Remember a link of a delta chain: whoever reads a history reads the links one after another."""
        self._weight += len(body)
        if self._weight > _KEPT_BYTES:
            self._bases, self._weight = {}, len(body)
        self._bases[offset] = (name, body)

    def _open_index(self) -> mmap.mmap:
        if self._index is None:
            index = _map(self.path[: -len("pack")] + "idx")
            if index[:8] != b"\xfftOc\x00\x00\x00\x02" or len(index) < _TABLE + 40:
                raise PackDamage(f"{self.path}: its index is not of version 2")
            self._fanout = struct.unpack_from(">256I", index, _FANOUT)
            self._count = self._fanout[255]
            if len(index) < _TABLE + self._count * 28 + 40:
                raise PackDamage(f"{self.path}: its index is cut short")
            self._index = index
        return self._index

    def _open_pack(self) -> mmap.mmap:
        if self._pack is None:
            pack = _map(self.path)
            if pack[:4] != b"PACK":
                raise PackDamage(f"{self.path}: not a pack")
            self._pack = pack
        return self._pack

    def _offset(self, index: mmap.mmap, place: int) -> int:
        table = _TABLE + self._count * 24
        offset: int = struct.unpack_from(">I", index, table + place * 4)[0]
        if offset & 0x80000000:
            large = table + self._count * 4 + (offset & 0x7FFFFFFF) * 8
            offset = struct.unpack_from(">Q", index, large)[0]
        return offset

    def _header(self, pack: mmap.mmap, offset: int) -> tuple[int, int, int]:
        try:
            byte = pack[offset]
            kind, size, shift, offset = (byte >> 4) & 7, byte & 15, 4, offset + 1
            while byte & 0x80:
                byte = pack[offset]
                size |= (byte & 0x7F) << shift
                shift, offset = shift + 7, offset + 1
        except IndexError:
            raise PackDamage(f"{self.path}: cut short at {offset}") from None
        return kind, size, offset

    def _distance(self, pack: mmap.mmap, place: int) -> tuple[int, int]:
        try:
            byte = pack[place]
            distance, place = byte & 0x7F, place + 1
            while byte & 0x80:
                byte = pack[place]
                distance, place = ((distance + 1) << 7) | (byte & 0x7F), place + 1
        except IndexError:
            raise PackDamage(f"{self.path}: cut short at {place}") from None
        return distance, place

    def _inflate(self, pack: mmap.mmap, place: int, size: int) -> bytes:
        inflater = zlib.decompressobj()
        body = bytearray()
        try:
            while len(body) <= size and not inflater.eof:
                chunk = pack[place : place + max(256, min(size, 1 << 20))]
                if not chunk:
                    break
                body += inflater.decompress(chunk, size + 1 - len(body))
                place += len(chunk) - len(inflater.unconsumed_tail)
        except zlib.error as error:
            raise PackDamage(f"{self.path}: {error}") from None
        if len(body) != size:
            raise PackDamage(f"{self.path}: an object inflates to another size than it says")
        return bytes(body)


def _map(path: str) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not os.fstat(descriptor).st_size:
            raise PackDamage(f"{path}: empty")
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _number(delta: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = delta[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place


def _target_size(delta: bytes) -> int:
    try:
        _, place = _number(delta, 0)
        return _number(delta, place)[0]
    except IndexError:
        raise PackDamage("a delta is cut short") from None


def apply_delta(base: bytes, delta: bytes) -> bytes:
    """The body that `delta` makes of `base`, as git's pack format defines it.

    dulwich has the same in `dulwich.pack`, whose import costs a cold `retrieve` more than this reader does.
    """
    try:
        source, place = _number(delta, 0)
        target, place = _number(delta, place)
        out: list[bytes] = []
        left = target  # a few bytes can say: copy all of it a thousand times
        while place < len(delta):
            opcode = delta[place]
            place += 1
            if not opcode:
                raise PackDamage("a delta holds a reserved instruction")
            if not opcode & 0x80:
                out.append(delta[place : place + opcode])
                place += opcode
                continue
            start = size = 0
            for bit in range(4):
                if opcode & (1 << bit):
                    start |= delta[place] << (8 * bit)
                    place += 1
            for bit in range(3):
                if opcode & (0x10 << bit):
                    size |= delta[place] << (8 * bit)
                    place += 1
            size = size or 0x10000
            left -= size
            if start + size > len(base):
                raise PackDamage("a delta copies from behind its base")
            if left < 0:
                raise PackDamage("a delta makes more than it says")
            out.append(base[start : start + size])
    except IndexError:
        raise PackDamage("a delta is cut short") from None
    body = b"".join(out)
    if source != len(base) or target != len(body):
        raise PackDamage("a delta does not fit its base")
    return body
