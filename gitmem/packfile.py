"""Writing packs: many objects streamed into one file, similar ones as deltas.

Knows git's pack format and its version 2 index; does not know which objects belong together, nor loose ones.
Law: nothing of a pack is visible before `finish`, and then all of it; memory holds an id, an offset and a
checksum for each object, and a bounded number of bodies.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha1
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from gitmem.gitobject import hash_object
from gitmem.loose import discard, storage_error, sync_path
from gitmem.packs import KINDS, Oid, Pack, PackDamage

_NUMBERS = {kind: number for number, kind in KINDS.items()}
OFS_DELTA, REF_DELTA = 6, 7
_CHUNK = 1 << 20
_COPY_LIMIT = 0x10000
_RECENT_BYTES = {"tree": 16 << 20, "blob": 8 << 20}
_SMALL = 256
_OVERHEAD = 300  # what an entry costs beside its body
_BYTES = [bytes((number,)) for number in range(256)]
_NEAR_COPY, _FAR_COPY = struct.Struct("<BHH").pack, struct.Struct("<BIH").pack
_STORED = struct.Struct("<BBBHH").pack


class PackWriter:
    """Streams objects into one new pack; as a context manager it aborts what was not finished. One thread."""

    def __init__(self, git_dir: str, *, durable: bool, delta_depth: int = 40) -> None:
        """`durable`: `finish` returns when the pack is on the disk. `delta_depth` bounds the delta chains."""
        self._folder = os.path.join(git_dir, "objects", "pack")
        self._durable = durable
        self._delta_depth = delta_depth
        self._entries: dict[Oid, int] = {}  # id -> offset << 32 | crc
        self._recent = {kind: Recent(size) for kind, size in _RECENT_BYTES.items()}
        self._size = 12
        self._temporary = os.path.join(self._folder, f"tmp_pack_{os.urandom(6).hex()}")
        try:
            os.makedirs(self._folder, exist_ok=True)
            descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o444)
            self._file: IO[bytes] = open(descriptor, "w+b", buffering=1 << 18)  # noqa: SIM115 (abort closes it)
            self._file.write(b"PACK" + bytes(8))
        except OSError as error:
            raise storage_error(error, self._temporary) from error

    def __enter__(self) -> PackWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def __contains__(self, oid: object) -> bool:
        """Whether the object was added to this pack."""
        return oid in self._entries

    def __len__(self) -> int:
        """The number of objects added."""
        return len(self._entries)

    def add(self, kind: str, body: bytes, *, base: Oid | None = None) -> Oid:
        """Add an object, unless it is in this pack already; returns its id. StorageError if the disk refuses.

        `base` names a similar object added shortly before, as the former state of the same tree; it may make
        this one a small delta, or be of no use.
        """
        oid = hash_object(kind, body)
        if oid in self._entries:
            return oid
        offset, depth, chunk = self._size, 0, b""
        recent = self._recent.get(kind)
        similar = recent.get(base) if recent is not None and base is not None else None
        if similar is not None and similar.depth < self._delta_depth:
            delta = encode_delta(similar.body, body)
            if delta:
                depth = similar.depth + 1
                head = _entry_head(OFS_DELTA, len(delta))
                chunk = head + _distance(offset - similar.offset) + _deflate(delta)
        self._append(oid, chunk or _entry_head(_NUMBERS[kind], len(body)) + _deflate(body))
        if recent is not None:
            recent.put(oid, Body(kind, body, offset, depth))
        return oid

    def copy(self, entry: StoredEntry) -> None:
        """Add an object of another pack as it lies there; its base must come along, before or after."""
        if entry.oid in self._entries:
            return
        base = entry.base
        if base is None:
            head = _entry_head(entry.kind, entry.size)
        elif base in self._entries:
            distance = self._size - (self._entries[base] >> 32)
            head = _entry_head(OFS_DELTA, entry.size) + _distance(distance)
        else:
            head = _entry_head(REF_DELTA, entry.size) + base
        self._append(entry.oid, head + entry.deflated)

    def read(self, oid: Oid) -> tuple[str, bytes] | None:
        """Kind and body of an object added to this pack, before it is visible to anybody; None if it was not."""
        for recent in self._recent.values():
            if (kept := recent.get(oid)) is not None:
                return kept.kind, kept.body
        stored = self._entries.get(oid)
        if stored is None:
            return None
        self._file.flush()
        return Pack(self._temporary).read(stored >> 32, self._read_base)

    def _read_base(self, oid: Oid) -> tuple[str, bytes]:
        found = self.read(oid)
        if found is None:
            raise PackDamage(f"{self._temporary}: the base {oid.hex()} of a delta is missing")
        return found

    def finish(self) -> Path | None:
        """Make the pack visible; its path, or None (and no pack) if nothing was added."""
        if not self._entries:
            self.abort()
            return None
        try:
            return self._publish(self._seal())
        except OSError as error:
            raise storage_error(error, self._temporary) from error
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove the temporary files; a pack that was finished stays."""
        try:
            self._file.close()
        except OSError:
            pass  # what could not be flushed is thrown away anyhow
        for path in (self._temporary, self._temporary_index):
            discard(path)

    @property
    def _temporary_index(self) -> str:
        return self._temporary.replace("tmp_pack_", "tmp_idx_")

    def _append(self, oid: Oid, chunk: bytes) -> None:
        try:
            self._file.write(chunk)
        except OSError as error:
            raise storage_error(error, self._temporary) from error
        self._entries[oid] = self._size << 32 | zlib.crc32(chunk)
        self._size += len(chunk)

    def _seal(self) -> bytes:
        """Put the count into the header, which the checksum covers: hence a second reading. The checksum."""
        file = self._file
        file.seek(0)
        file.write(b"PACK" + struct.pack(">II", 2, len(self._entries)))
        file.seek(0)
        digest = sha1(usedforsecurity=False)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        file.write(digest.digest())
        file.flush()
        if self._durable:
            os.fsync(file.fileno())
        return digest.digest()

    def _publish(self, checksum: bytes) -> Path:
        descriptor = os.open(self._temporary_index, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        with open(descriptor, "wb") as file:
            write_index(file, self._entries, checksum)
            file.flush()
            if self._durable:
                os.fsync(file.fileno())
        target = os.path.join(self._folder, f"pack-{checksum.hex()}")
        os.replace(self._temporary, target + ".pack")
        os.replace(self._temporary_index, target + ".idx")  # last: a pack without index is invisible
        if self._durable:
            sync_path(self._folder)
        return Path(target + ".pack")


class StoredEntry(NamedTuple):
    """An object as it lies in a pack: `deflated` is its body, or its delta if `base` names an object."""

    oid: Oid
    kind: int
    size: int
    base: Oid | None
    deflated: bytes


class Body(NamedTuple):
    kind: str
    body: bytes
    offset: int
    depth: int


class Recent:
    """The bodies last used, by id, up to about so many bytes in all. An id is put once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._bodies: OrderedDict[Oid, Body] = OrderedDict()

    def get(self, oid: Oid) -> Body | None:
        found = self._bodies.get(oid)
        if found is not None:
            self._bodies.move_to_end(oid)
        return found

    def put(self, oid: Oid, body: Body) -> None:
        self._bodies[oid] = body
        self._held += len(body.body) + _OVERHEAD
        while self._held > self._limit:
            self._held -= len(self._bodies.popitem(last=False)[1].body) + _OVERHEAD


def encode_delta(base: bytes, body: bytes) -> bytes:
    """A delta that copies the common start, inserts the middle and copies the common end.

    Cheap, and all that a tree with one changed entry needs; b"" where it does not save half.
    """
    limit = min(len(base), len(body))
    start = _shared_start(base, body, limit)
    end = _shared_end(base, body, limit - start)
    middle = body[start : len(body) - end]
    if (len(middle) + 16) * 2 > len(body):
        return b""
    sizes = _varint(len(base)) + _varint(len(body))
    return sizes + _copy(0, start) + _inserts(middle) + _copy(len(base) - end, end)


def write_index(file: IO[bytes], entries: Mapping[Oid, int], checksum: bytes) -> None:
    """The version 2 index of a pack; `entries` maps an id to offset << 32 | crc.

    The layout is that of git's Documentation/gitformat-pack.txt.
    """
    ids = sorted(entries)
    fanout = [bisect_left(ids, bytes((first + 1,))) for first in range(255)] + [len(ids)]
    crcs = array("I", (entries[oid] & 0xFFFFFFFF for oid in ids))
    offsets, large = array("I"), array("Q")
    for oid in ids:
        offset = entries[oid] >> 32
        if offset >= 0x80000000:
            large.append(offset)
            offset = 0x80000000 | (len(large) - 1)
        offsets.append(offset)
    if sys.byteorder == "little":
        for table in (crcs, offsets, large):
            table.byteswap()
    digest = sha1(usedforsecurity=False)
    head = b"\xfftOc" + struct.pack(">257I", 2, *fanout)
    for part in (head, b"".join(ids), crcs.tobytes(), offsets.tobytes(), large.tobytes(), checksum):
        digest.update(part)
        file.write(part)
    file.write(digest.digest())


def _shared_start(base: bytes, body: bytes, limit: int) -> int:
    """How many bytes both begin with, up to `limit`, by halving: comparing slices is what is quick."""
    low = 0
    if base[:limit] == body[:limit]:
        return limit
    while limit - low > 1:
        middle = (low + limit) >> 1
        if base[low:middle] == body[low:middle]:
            low = middle
        else:
            limit = middle
    return low


def _shared_end(base: bytes, body: bytes, limit: int) -> int:
    """How many bytes both end with, up to `limit`."""
    ours, theirs, low = len(base), len(body), 0
    if base[ours - limit :] == body[theirs - limit :]:
        return limit
    while limit - low > 1:
        middle = (low + limit) >> 1
        if base[ours - middle : ours - low] == body[theirs - middle : theirs - low]:
            low = middle
        else:
            limit = middle
    return low


def _copy(offset: int, size: int) -> bytes:
    """Copy instructions for a stretch of the base, each of at most 64 KB (a size of 0) as git writes them."""
    out = b""
    while size:
        step = min(size, _COPY_LIMIT)
        if offset < 0x10000:
            out += _NEAR_COPY(0xB3, offset, step & 0xFFFF)
        else:
            out += _FAR_COPY(0xBF, offset, step & 0xFFFF)
        offset, size = offset + step, size - step
    return out


def _inserts(middle: bytes) -> bytes:
    """Instructions that insert new bytes, at most 127 each."""
    if len(middle) < 128:
        return bytes((len(middle),)) + middle if middle else b""
    return b"".join(_inserts(middle[place : place + 127]) for place in range(0, len(middle), 127))


def _varint(number: int) -> bytes:
    """Little-endian, seven bits a byte."""
    out = b""
    while number > 0x7F:
        out += _BYTES[number & 0x7F | 0x80]
        number >>= 7
    return out + _BYTES[number]


def _entry_head(kind: int, size: int) -> bytes:
    """Type and size: four bits of the size beside the type, then seven a byte."""
    if size < 16:
        return _BYTES[kind << 4 | size]
    return _BYTES[kind << 4 | size & 15 | 0x80] + _varint(size >> 4)


def _distance(distance: int) -> bytes:
    """How far back: big-endian, seven bits a byte, each form beginning where the shorter ends."""
    out = _BYTES[distance & 0x7F]
    while distance := distance >> 7:
        distance -= 1
        out = _BYTES[distance & 0x7F | 0x80] + out
    return out


def _deflate(body: bytes) -> bytes:
    """Small bodies are stored as they are, others get a small window: zlib's set-up costs more than they do."""
    size = len(body)
    if size <= _SMALL:
        return _STORED(0x78, 1, 1, size, size ^ 0xFFFF) + body + zlib.adler32(body).to_bytes(4, "big")
    window, memory = (12, 5) if size <= 4096 else (13, 6) if size <= 65536 else (15, 8)
    deflater = zlib.compressobj(1, zlib.DEFLATED, window, memory)
    return deflater.compress(body) + deflater.flush()
