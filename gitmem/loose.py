"""One file on the disk: a loose object read, written whole or not at all, and brought to the disk.

Knows files; does not know caches, packs or branches.
Law: a loose object appears under its name complete, or not at all.
"""

from __future__ import annotations

import errno
import os
import zlib

from gitmem.errors import StorageError
from gitmem.gitobject import hash_object
from gitmem.packs import Oid, TooBig

STORED = 8192
"""Bodies up to this size are stored, larger ones compressed."""


def storage_error(error: OSError, path: str) -> StorageError:
    """What a refused system call means to the caller, with the next step."""
    hints = {
        errno.ENOSPC: "the disk is full: free some space, or run `gitmem gc`; nothing was lost",
        errno.EDQUOT: "the disk quota is used up: free some space; nothing was lost",
        errno.EROFS: "the file system is read-only: reading works, writing needs it writable",
        errno.EACCES: "the memory is not writable for this user: check the folder's owner and mode",
        errno.EPERM: "the memory is not writable for this user: check the folder's owner and mode",
    }
    where = error.filename or path
    return StorageError(
        f"{where}: {error.strerror}", hint=hints.get(error.errno or 0, "run `gitmem doctor`"), path=str(where)
    )


def sync_path(path: str) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def inflate_loose(oid: Oid, packed: bytes, limit: int | None) -> tuple[str, bytes]:
    inflater = zlib.decompressobj()
    start = inflater.decompress(packed, 8192)
    header, found, body = start.partition(b"\0")
    kind, _, digits = header.partition(b" ")
    size = int(digits) if found and digits.isdigit() else -1
    if size < 0 or kind not in (b"blob", b"tree", b"commit", b"tag"):
        raise ValueError("its header is not that of an object")
    if limit is not None and size > limit:
        raise TooBig(size)
    if inflater.unconsumed_tail:
        body += inflater.decompress(inflater.unconsumed_tail, size + 1 - len(body))
    if len(body) != size or hash_object(kind.decode(), body) != oid:
        raise ValueError("its content does not match its id")
    return kind.decode(), body


def deflate(body: bytes) -> bytes:
    """Deflate as git reads it. A small body is stored as it is: it fills one block of the disk either way, and
    the set-up of a compressor costs more than all the rest of writing it; packing compresses it later.
    """
    if len(body) > STORED:
        deflater = zlib.compressobj(1, zlib.DEFLATED, 12 if len(body) <= 1 << 16 else 15, 5)
        return deflater.compress(body) + deflater.flush()
    size = len(body)
    header = b"\x78\x01\x01" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")
    return header + body + zlib.adler32(body).to_bytes(4, "big")  # RFC 1950 around one stored block of RFC 1951


def keeps(path: str, oid: Oid) -> bool:
    """Whether the object lies at this path, whole; it is made young then."""
    try:
        os.utime(path)
        with open(path, "rb") as file:
            inflate_loose(oid, file.read(), None)
    except (OSError, zlib.error, ValueError):
        return False
    return True


def write_loose(path: str, kind: str, body: bytes) -> bool:
    """Write an object's file. Whether its folder had to be made: a gc removes the empty ones."""
    made = False
    packed = deflate(b"%s %d\0%s" % (kind.encode(), len(body), body))
    temporary = f"{path[:-38]}tmp_obj_{os.urandom(6).hex()}"
    for attempt in range(10):
        try:
            _create(temporary, packed)
            os.rename(temporary, path)
            return made
        except FileNotFoundError:
            if attempt == 9:
                raise
            os.makedirs(path[:-39], exist_ok=True)  # a gc may remove the empty folder again before we rename
            made = True
        except OSError:
            discard(temporary)
            raise
    raise AssertionError("the last attempt returns or raises")


def _create(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def discard(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def alternates(folder: str) -> list[str]:
    """The other object folders that this one names, as `git clone --shared` leaves them."""
    try:
        with open(os.path.join(folder, "info", "alternates"), encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    return [os.path.join(folder, line) for line in lines if line and not line.startswith("#")]
