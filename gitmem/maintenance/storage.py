"""Every stored object, read once, in the order in which it lies on the disk: cheap for packs of long delta chains.

Knows objects and what they point to; does not know refs or keys: `damage` says what the harm is.
Law: if every stored object is sound and everything that one points to is stored, then so is everything that a
branch reaches. Only ids are kept in memory, some hundred bytes for each object, never all bodies.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from gitmem.gitobject import hash_object
from gitmem.loose import inflate_loose
from gitmem.objects import EMPTY_TREE, Objects, Oid, TooBig
from gitmem.packfile import Body, Recent, StoredEntry
from gitmem.packs import KINDS, Pack, PackDamage, apply_delta
from gitmem.soundness import Judge, ids_in_tree, points_to
from gitmem.storedpack import StoredPack

LARGEST = 1 << 28
_RECENT_BYTES = 32 << 20


class Copy(NamedTuple):
    """One damaged copy of an object: in a loose file, or in a pack."""

    oid: Oid
    path: str
    loose: bool
    reason: str


class Stock:
    """What one reading of all objects came to."""

    def __init__(self, objects: Objects) -> None:
        """Reads everything: seconds for each 100,000 objects."""
        self.damaged: list[Copy] = []
        self.bad_packs: dict[str, str] = {}
        self.malformed: dict[Oid, str] = {}
        self.missing: set[Oid] = set()
        self.count = 0
        self._objects = objects
        self._judging = Judge()
        self._present: set[Oid] = {EMPTY_TREE}  # which nobody needs to store
        self._take_loose()
        self._take_packs()
        self.missing = {oid for oid in self.missing if not objects.contains(oid)}
        self._present.clear()

    def _take_loose(self) -> None:
        loose = list(self._objects.loose_ids())
        self._present.update(loose)
        for pack in self._objects.packs():
            try:
                self._present.update(pack.ids())
            except (PackDamage, OSError):
                continue  # told when it is read
        for oid in loose:
            path = self._objects.loose_path(oid)
            try:
                with open(path, "rb") as file:
                    kind, body = inflate_loose(oid, file.read(), LARGEST)
            except FileNotFoundError:
                continue  # packed meanwhile
            except TooBig:
                self.count += 1
            except (ValueError, zlib.error, OSError) as error:
                self.damaged.append(Copy(oid, path, True, str(error)))
            else:
                self._judge(oid, kind, body)

    def _take_packs(self) -> None:
        """Read every pack; those that appear meanwhile too."""
        seen: set[str] = set()
        while True:
            self._objects.refresh()
            fresh = [pack.path for pack in self._objects.packs() if pack.path not in seen]
            if not fresh:
                return
            for path in fresh:
                seen.add(path)
                self._take_pack(path)

    def _take_pack(self, path: str) -> None:
        try:
            pack = StoredPack(path)
            self._present.update(pack.ids())
            for entry, body in bodies(path, pack.entries(), self._objects):
                if isinstance(body, Body):
                    self._judge(entry.oid, body.kind, body.body)
                else:
                    self.damaged.append(Copy(entry.oid, path, False, body))
        except FileNotFoundError:
            return  # repacked meanwhile
        except (PackDamage, OSError) as error:
            self.bad_packs[path] = str(error)

    def _judge(self, oid: Oid, kind: str, body: bytes) -> None:
        self.count += 1
        if kind == "blob" or (kind == "tree" and self._known(body)):
            return
        fault = self._judging.fault(kind, body)
        try:
            self.missing.update(target for target in points_to(oid, kind, body) if target not in self._present)
        except ValueError as error:
            fault = str(error)
        if fault:
            self.malformed[oid] = fault

    def _known(self, body: bytes) -> bool:
        """Whether there is nothing to look for in a tree: known names, and all that it points to is there."""
        return self._judging.knows(body) and self._present.issuperset(ids_in_tree(body))


def bodies(path: str, entries: Iterator[StoredEntry], objects: Objects) -> Iterator[tuple[StoredEntry, Body | str]]:
    """The objects of a pack, each with its body, or with what is wrong with it."""
    recent = Recent(_RECENT_BYTES)
    pack = Pack(path)
    for entry in entries:
        try:
            body = _restore(entry, recent, pack, objects)
        except TooBig:
            continue
        except (PackDamage, zlib.error, ValueError, OSError, KeyError) as error:
            yield entry, str(error)
            continue
        recent.put(entry.oid, body)
        yield entry, body


def _restore(entry: StoredEntry, recent: Recent, pack: Pack, objects: Objects) -> Body:
    if entry.size > LARGEST:
        raise TooBig(entry.size)
    stored = zlib.decompressobj().decompress(entry.deflated, entry.size + 1)
    if len(stored) != entry.size:
        raise PackDamage("it inflates to another size than it says")
    if entry.base is None:
        kind, content = KINDS[entry.kind], stored
    else:
        kept = recent.get(entry.base)
        kind, former = (kept.kind, kept.body) if kept is not None else _base(entry.base, pack, objects)
        content = apply_delta(former, stored)
    if hash_object(kind, content) != entry.oid:
        raise PackDamage("its content does not match its id")
    return Body(kind, content, 0, 0)


def _base(oid: Oid, pack: Pack, objects: Objects) -> tuple[str, bytes]:
    offset = pack.find(oid)
    if offset is None:
        raise PackDamage(f"the base {oid.hex()} of its delta is missing")
    return pack.read(offset, objects.read)


def good_copy(objects: Objects, oid: Oid, *, besides: str) -> str | None:
    """The path of another copy of the object that reads well; None if there is none."""
    path = objects.loose_path(oid)
    if path != besides and os.path.exists(path):
        try:
            with open(path, "rb") as file:
                inflate_loose(oid, file.read(), LARGEST)
            return path
        except (ValueError, zlib.error, OSError):
            pass
    for pack in objects.packs():
        if pack.path != besides:
            try:
                offset = pack.find(oid)
                if offset is not None and hash_object(*pack.read(offset, objects.read)) == oid:
                    return pack.path
            except (PackDamage, zlib.error, ValueError, OSError):
                continue
    return None
