"""A pack that has arrived, read once from end to end: every object restored, hashed, judged; what it points to.

Knows one pack file without an index; does not know what else there is.
Law: no object is inflated beyond what it says of itself, none says more than is allowed, and all together neither;
what passes is sound, each under the id that its content has.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from gitmem.gitobject import hash_object, parse_commit, parse_tree
from gitmem.objects import TREE_MODE
from gitmem.packs import KINDS, Oid, PackDamage, apply_delta
from gitmem.soundness import GITLINK, Judge
from gitmem.transport.failures import Trouble
from gitmem.transport.limits import Limits

_OFS_DELTA, _REF_DELTA = 6, 7
_DEEPEST = 4096
_HINT = "nothing of it was taken; have that copy examined by `git fsck --strict` there"


class _Delta(NamedTuple):
    offset: int
    crc: int
    body: int  # where its deflated bytes begin
    size: int


class Arrival:
    """A pack read and judged. Trouble if anything is wrong with it."""

    def __init__(self, path: str, judge: Judge, limits: Limits = Limits()) -> None:  # noqa: B008 (frozen)
        self.path = path
        self.entries: dict[Oid, int] = {}  # id -> offset << 32 | crc, as an index is written from
        self.kinds: dict[Oid, str] = {}
        self.needs: dict[str, set[Oid]] = {"commit": set(), "tree": set(), "blob": set(), "": set()}
        self.checksum = b""
        self._judge = judge
        self._limits = limits
        self._left = limits.inflated
        self._by_offset: dict[int, list[_Delta]] = {}
        self._by_id: dict[Oid, list[_Delta]] = {}
        self._deltas = 0
        try:
            self._read()
        except (PackDamage, zlib.error, struct.error, IndexError) as error:
            raise Trouble(f"what it sends is damaged: {error}", "try again; " + _HINT) from None

    def _read(self) -> None:
        if os.path.getsize(self.path) < 32:
            raise PackDamage("the pack is cut short")
        with open(self.path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pack:
            magic, version, count = struct.unpack_from(">4sII", pack, 0)
            if magic != b"PACK" or version not in (2, 3):
                raise PackDamage("that is no pack")
            self.checksum = pack[-20:]
            with memoryview(pack) as view, view[:-20] as rest:
                if hashlib.sha1(rest, usedforsecurity=False).digest() != self.checksum:
                    raise PackDamage("the pack's checksum does not match")
            bases = self._scan(pack, count)
            for offset in bases:
                if offset in self._by_offset:
                    self._restore(pack, offset)
            self._by_ids(pack)
        if self._deltas:
            raise PackDamage(f"{self._deltas} deltas have no base")

    def _scan(self, pack: mmap.mmap, count: int) -> list[int]:
        """Go over all entries; take those that are whole, note the deltas by their bases. The offsets of the whole."""
        place, whole = 12, []
        for _ in range(count):
            start = place
            kind, size, place = _head(pack, place)
            self._allow(size)
            base = b""
            if kind == _REF_DELTA:
                base, place = pack[place : place + 20], place + 20
            elif kind == _OFS_DELTA:
                distance, place = _distance(pack, place)
                if not 12 <= start - distance < start:
                    raise PackDamage(f"a delta at {start} has no base before it")
            elif kind not in KINDS:
                raise PackDamage(f"unknown object type {kind} at {start}")
            body = place
            content, place = _inflate(pack, place, size)
            crc = zlib.crc32(pack[start:place])
            if kind in KINDS:
                self._take(KINDS[kind], content, start, crc)
                whole.append(start)
                continue
            self._deltas += 1
            delta = _Delta(start, crc, body, size)
            if kind == _OFS_DELTA:
                self._by_offset.setdefault(start - distance, []).append(delta)
            else:
                self._by_id.setdefault(base, []).append(delta)
        if place != len(pack) - 20:
            raise PackDamage("something stands behind the last object")
        return whole

    def _restore(self, pack: mmap.mmap, offset: int) -> None:
        """All deltas that rest on the whole object at this offset, directly or not."""
        kind, size, place = _head(pack, offset)
        self._rest_on(pack, offset, KINDS[kind], _inflate(pack, place, size)[0])

    def _rest_on(self, pack: mmap.mmap, offset: int, kind: str, body: bytes) -> None:
        """Without recursion; a body is kept only as long as deltas that rest on it are left."""
        pending = [(self._children(offset, kind, body), body)]
        held = len(body)
        while pending:
            children, former = pending[-1]
            delta = next(children, None)
            if delta is None:
                pending.pop()
                held -= len(former)
                continue
            if len(pending) > _DEEPEST or held > self._limits.all:
                raise PackDamage("its deltas rest on one another too deeply")
            content = self._apply(pack, former, delta)
            self._deltas -= 1
            oid = self._take(kind, content, delta.offset, delta.crc)
            if delta.offset in self._by_offset or oid in self._by_id:
                pending.append((self._children(delta.offset, kind, content, oid), content))
                held += len(content)

    def _children(self, offset: int, kind: str, body: bytes, oid: Oid | None = None) -> Iterator[_Delta]:
        """The deltas that rest on an object, by its offset or by its id; each is given once."""
        yield from self._by_offset.pop(offset, ())
        if self._by_id:
            yield from self._by_id.pop(oid or hash_object(kind, body), ())

    def _by_ids(self, pack: mmap.mmap) -> None:
        """Deltas that name their base by id and come before it: what `_restore` did not reach yet."""
        for oid in [oid for oid in self._by_id if oid in self.entries]:
            if oid in self._by_id:
                offset = self.entries[oid] >> 32
                if _head(pack, offset)[0] in KINDS:
                    self._restore(pack, offset)

    def _apply(self, pack: mmap.mmap, former: bytes, delta: _Delta) -> bytes:
        stored = _inflate(pack, delta.body, delta.size)[0]
        self._allow(_target(stored))
        return apply_delta(former, stored)

    def _allow(self, size: int) -> None:
        self._left -= size
        if size > self._limits.one or self._left < 0:
            what = f"an object of {size:,} bytes" if size > self._limits.one else "more bytes than a fetch may bring"
            raise Trouble(f"it sends {what}", "a larger limit can be given where that is meant")

    def _take(self, kind: str, body: bytes, offset: int, crc: int) -> Oid:
        """Judge an object and note what it needs."""
        oid = hash_object(kind, body)
        self.entries[oid] = offset << 32 | crc
        if oid in self.kinds:
            return oid
        fault = self._judge.fault(kind, body)
        try:
            if not fault:
                self._note(oid, kind, body)
        except ValueError as error:
            fault = str(error)
        if fault:
            raise Trouble(f"it sends the {kind} {oid.hex()}, which is not as git wants it: {fault}", _HINT)
        self.kinds[oid] = kind
        return oid

    def _note(self, oid: Oid, kind: str, body: bytes) -> None:
        if kind == "tree":
            for mode, child in parse_tree(body).values():
                if mode != GITLINK:
                    self.needs["tree" if mode == TREE_MODE else "blob"].add(child)
        elif kind == "commit":
            commit = parse_commit(oid, body)
            self.needs["tree"].add(commit.tree)
            self.needs["commit"].update(commit.parents)
        elif kind == "tag":
            self.needs[""].add(bytes.fromhex(body[7:47].decode("ascii")))


def _head(pack: mmap.mmap, place: int) -> tuple[int, int, int]:
    """Type and size at this place, and where the rest begins."""
    byte = pack[place]
    kind, size, shift, place = (byte >> 4) & 7, byte & 15, 4, place + 1
    while byte & 0x80:
        byte = pack[place]
        size |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if shift > 70:
            raise PackDamage("an object's size makes no sense")
    return kind, size, place


def _distance(pack: mmap.mmap, place: int) -> tuple[int, int]:
    byte = pack[place]
    distance, place = byte & 0x7F, place + 1
    while byte & 0x80:
        byte = pack[place]
        distance, place = ((distance + 1) << 7) | (byte & 0x7F), place + 1
    return distance, place


def _inflate(pack: mmap.mmap, place: int, size: int) -> tuple[bytes, int]:
    """So many bytes and the place behind them. One more than that is not inflated."""
    inflater = zlib.decompressobj()
    parts, left, end = [], size + 1, len(pack) - 20
    while not inflater.eof:
        chunk = inflater.unconsumed_tail
        if not chunk:
            chunk = pack[place : min(end, place + max(256, min(left, 1 << 20)))]
            place += len(chunk)
        if not chunk or not left:
            break
        part = inflater.decompress(chunk, left)
        left -= len(part)
        parts.append(part)
    if not inflater.eof or left != 1:
        raise PackDamage("an object inflates to another size than it says")
    return b"".join(parts) if len(parts) != 1 else parts[0], place - len(inflater.unused_data)


def _target(delta: bytes) -> int:
    """The size of what a delta makes."""
    place = 0
    while delta[place] & 0x80:
        place += 1
    size, shift, place = 0, 0, place + 1
    while True:
        byte = delta[place]
        size |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if not byte & 0x80:
            return size
