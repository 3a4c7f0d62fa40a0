"""Git objects, read and written: loose and packed, with caches by object id.

Knows blobs, trees and commits as values; does not know keys, branches or locks.
Law: an object's id is the hash of its content, so a cache by id can never be stale; what a writer's `add`
returned is readable once `finish` returned, and on the disk too if it was asked to be durable.
"""

from __future__ import annotations

import os
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from gitmem.errors import StorageError
from gitmem.gitobject import (
    BLOB_MODE,
    EMPTY_TREE,
    TREE_MODE,
    Commit,
    Identity,
    Tree,
    hash_object,
    parse_commit,
    parse_tree,
    serialize_commit,
    serialize_tree,
)
from gitmem.loose import STORED, alternates, inflate_loose, keeps, storage_error, sync_path, write_loose
from gitmem.packs import Oid, Pack, PackDamage, TooBig

__all__ = [
    "BLOB_MODE", "EMPTY_TREE", "TREE_MODE", "Commit", "CorruptObjectError", "Identity", "LooseWriter",
    "MissingObjectError", "Objects", "Oid", "Pack", "TooBig", "Tree", "Writer",
    "hash_object", "parse_commit", "parse_tree", "serialize_commit", "serialize_tree",
]

_OBJECT_LIMIT = 1 << 28
_CACHED_OBJECTS, _CACHED_ENTRIES = 20_000, 400_000


class MissingObjectError(StorageError):
    """An object that something points to is in neither a loose file nor a pack; field: `oid` (hex)."""


class CorruptObjectError(StorageError):
    """An object does not read as what its id says; field: `oid` (hex)."""


class Writer(Protocol):
    """Where new objects go: loose files for a few, one pack for many (`packing.PackWriter`)."""

    def add(self, kind: str, body: bytes, *, base: Oid | None = None) -> Oid:
        """Take an object; `base` names a similar one, for a delta. Its id."""

    def finish(self) -> object:
        """Make all that was added readable, and durable if the writer is."""


class Objects:
    """The objects of one repository. Threads may share it; other processes may write and pack beside it."""

    def __init__(self, git_dir: str) -> None:
        """`git_dir` is the bare repository's folder; its `objects/` and the alternates named there are read."""
        self.git_dir = git_dir
        self._folder = os.path.join(git_dir, "objects")
        self._folders: list[str] | None = None
        self._packs: dict[str, Pack] = {}
        self._trees: dict[Oid, Tree] = {}
        self._bodies: dict[Oid, bytes] = {}
        self._weight = 0
        self.sizes: dict[tuple[Oid, str], int] = {}
        self._commits: dict[Oid, Commit] = {}
        self._blobs: dict[Oid, bytes] = {}
        self.lock = threading.Lock()  # of the caches, for moments; ask for it each time: a forked child has another
        _all.add(self)
        self.flushed: set[Oid] = set()
        self.flushed_folders: set[str] = set()
        self.pending: list[Callable[[Oid], tuple[str, bytes] | None]] = []

    # --- reading ---

    def read(self, oid: Oid, *, limit: int | None = None) -> tuple[str, bytes]:
        """Kind and body, not cached. MissingObjectError, CorruptObjectError; TooBig beyond `limit` bytes."""
        for attempt in (1, 2, 3):
            try:
                found = self._read_loose(oid, limit) or self._read_packed(oid, limit) or self._read_pending(oid)
            except FileNotFoundError:
                found = None
            except (PackDamage, zlib.error, ValueError) as error:
                raise self._corrupt(oid, str(error)) from error
            except OSError as error:
                raise StorageError(
                    f"object {oid.hex()} cannot be read: {error.strerror}", path=self.git_dir
                ) from error
            if found is not None:
                return found
            if attempt < 3:
                self.refresh()
        raise MissingObjectError(
            f"object {oid.hex()} is missing from {self.git_dir}",
            hint="run `gitmem doctor`; `git fetch` from another copy brings a lost object back",
            oid=oid.hex(),
        )

    def blob(self, oid: Oid, *, limit: int | None = None) -> bytes:
        """A blob's body, cached: for what is read again and again, not for values (they have their own cache)."""
        body = self._blobs.get(oid)
        if body is None:
            body = self.read_blob(oid, limit=limit)
            with self.lock:
                _bound(self._blobs)
                self._blobs[oid] = body
        return body

    def read_blob(self, oid: Oid, *, limit: int | None = None) -> bytes:
        """A blob's body, not cached. TooBig beyond `limit` bytes; CorruptObjectError if it is no blob."""
        kind, body = self.read(oid, limit=limit)
        if kind != "blob":
            raise self._corrupt(oid, f"a {kind} where a blob should be")
        return body

    def tree(self, oid: Oid) -> Tree:
        """A tree's entries, cached: never change them."""
        tree = self._trees.get(oid)
        if tree is None:
            if oid == EMPTY_TREE:
                return {}
            kind, body = self.read(oid, limit=_OBJECT_LIMIT)
            try:
                if kind != "tree":
                    raise ValueError(f"a {kind} where a tree should be")
                tree = parse_tree(body)
            except ValueError as error:
                raise self._corrupt(oid, str(error)) from None
            self.keep_tree(oid, tree, body)
        return tree

    def commit(self, oid: Oid) -> Commit:
        """A commit, cached."""
        commit = self._commits.get(oid)
        if commit is None:
            kind, body = self.read(oid, limit=_OBJECT_LIMIT)
            try:
                if kind != "commit":
                    raise ValueError(f"a {kind} where a commit should be")
                commit = parse_commit(oid, body)
            except ValueError as error:
                raise self._corrupt(oid, str(error)) from None
            self.keep_commit(commit)
        return commit

    def contains(self, oid: Oid) -> bool:
        """Whether the object is here, loose or packed; looks again at the packs before it says no."""
        for _ in range(2):
            if any(os.path.exists(self.loose_path(oid, folder)) for folder in self.folders()):
                return True
            if self._find_packed(oid) is not None:
                return True
            self.refresh()
        return False

    def folders(self) -> list[str]:
        """The object folders: our own, then the alternates."""
        if self._folders is None:
            self._folders = [self._folder, *alternates(self._folder)]
        return self._folders

    def packs(self) -> list[Pack]:
        """The packs as last listed."""
        if not self._packs:
            self.refresh()
        return list(self._packs.values())

    def refresh(self) -> None:
        """List the packs again; a pack seen before keeps its mapping."""
        listed: dict[str, Pack] = {}
        for folder in self.folders():
            place = os.path.join(folder, "pack")
            try:
                names = os.listdir(place)
            except FileNotFoundError:
                continue
            present = set(names)
            for name in names:
                if name.endswith(".pack") and name[:-4] + "idx" in present:
                    path = os.path.join(place, name)
                    listed[path] = self._packs.get(path) or Pack(path)
        self._packs = listed

    def loose_ids(self) -> Iterator[Oid]:
        """The ids of the loose objects of our own folder."""
        for number in range(256):
            name = f"{number:02x}"
            try:
                files = os.listdir(os.path.join(self._folder, name))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for file in files:
                if len(file) == 38:
                    try:
                        yield bytes.fromhex(name + file)
                    except ValueError:
                        continue

    def loose_path(self, oid: Oid, folder: str | None = None) -> str:
        """Where the object lies when it is loose."""
        name = oid.hex()
        return f"{folder or self._folder}/{name[:2]}/{name[2:]}"

    def _read_loose(self, oid: Oid, limit: int | None) -> tuple[str, bytes] | None:
        for folder in self.folders():
            try:
                descriptor = os.open(self.loose_path(oid, folder), os.O_RDONLY)
            except FileNotFoundError:
                continue
            with open(descriptor, "rb") as file:
                packed = file.read()
            try:
                return inflate_loose(oid, packed, limit)
            except (zlib.error, ValueError):
                found = self._read_packed(oid, limit)  # a power cut spoils what was written last: the other copy
                if found is None:
                    raise
                return found
        return None

    def _find_packed(self, oid: Oid) -> tuple[Pack, int] | None:
        for _ in range(3):
            try:
                found = ((pack, pack.find(oid)) for pack in self.packs())
                return next(((pack, offset) for pack, offset in found if offset is not None), None)
            except FileNotFoundError:  # a gc took a pack away before it was opened: its objects lie in another now
                self.refresh()
        return None

    def _read_packed(self, oid: Oid, limit: int | None) -> tuple[str, bytes] | None:
        found = self._find_packed(oid)
        if found is None:
            return None
        pack, offset = found
        kind, body = pack.read(offset, self.read, limit=limit)
        if hash_object(kind, body) != oid:
            raise PackDamage(f"{pack.path} holds another content under this id")
        return kind, body

    def _read_pending(self, oid: Oid) -> tuple[str, bytes] | None:
        """Objects that a writer in this process holds and has not finished."""
        return next((found for read in tuple(self.pending) if (found := read(oid)) is not None), None)

    def _corrupt(self, oid: Oid, reason: str) -> CorruptObjectError:
        return CorruptObjectError(
            f"object {oid.hex()} is damaged: {reason}",
            hint="run `gitmem doctor`; `git fetch` from another copy can bring it back",
            oid=oid.hex(),
        )

    # --- caches ---

    def keep_tree(self, oid: Oid, tree: Tree, body: bytes) -> None:
        """Remember a tree that was just read or made, in git's order, and the bytes it is in."""
        with self.lock:
            self._weight += len(tree) + 1
            if self._weight > _CACHED_ENTRIES:
                self.sizes.clear()
                for old in list(self._trees)[: len(self._trees) // 2]:
                    self._weight -= len(self._trees.pop(old)) + 1
                    self._bodies.pop(old, None)
            self._trees[oid] = tree
            self._bodies[oid] = body

    def tree_body(self, oid: Oid) -> bytes | None:
        """The bytes of a tree that is in the cache."""
        return self._bodies.get(oid)

    def keep_commit(self, commit: Commit) -> None:
        """Remember a commit that was just made."""
        with self.lock:
            _bound(self._commits)
            self._commits[commit.oid] = commit

    # --- writing ---

    def writer(self, *, durable: bool) -> LooseWriter:
        """A writer of loose objects."""
        return LooseWriter(self, durable=durable)

    def write(self, kind: str, body: bytes) -> Oid:
        """Write one loose object, without a flush. StorageError when the disk refuses."""
        return self.writer(durable=False).add(kind, body)

    def freshen(self, oid: Oid) -> list[str]:
        """The files that hold the object, made young so that no gc prunes them from under us; [] if absent."""
        path = self.loose_path(oid)
        try:
            os.utime(path)
        except FileNotFoundError:
            pass
        except PermissionError:
            return []
        else:
            return [path]
        found = self._find_packed(oid)
        if found is None:
            return []
        pack = found[0].path
        try:
            os.utime(pack)
        except OSError:
            self.refresh()
            return []
        return [pack, pack[:-4] + "idx"]


class LooseWriter:
    """Writes each object as a loose file. One thread, one commit.

    A large one found present is freshened instead. A small one is written again: that makes it as young, and looking
    for it in the packs would cost more. But a durable writer never puts a file that is not flushed in the place of a
    sound one: a power cut could then take what others were told is safe.
    """

    def __init__(self, objects: Objects, *, durable: bool) -> None:
        """`durable`: `finish` returns when all is on the disk, what was found present included."""
        self._objects = objects
        self._durable = durable
        self._paths: dict[str, Oid] = {}
        self._added: list[Oid] = []

    def add(self, kind: str, body: bytes, *, base: Oid | None = None) -> Oid:
        """Write an object; `base` is of no use to a loose file. StorageError when the disk refuses."""
        objects = self._objects
        oid = hash_object(kind, body)
        try:
            path = objects.loose_path(oid)
            paths = objects.freshen(oid) if self._durable or len(body) > STORED else []
            if not paths or (paths == [path] and not keeps(path, oid)):
                if write_loose(path, kind, body):
                    objects.flushed_folders.discard(os.path.dirname(path))
                self._paths[path] = oid
            elif self._durable and oid not in objects.flushed:
                self._paths.update(dict.fromkeys(paths, oid))
        except OSError as error:
            raise storage_error(error, objects.git_dir) from error
        self._added.append(oid)
        return oid

    def finish(self) -> None:
        """If durable: files first, then their folders, are on the disk when this returns."""
        if not self._durable:
            return
        try:
            paths = [path for path, oid in self._paths.items() for path in self._sync(path, oid)]
            folders = {os.path.dirname(path) for path in paths}
            for folder in folders:
                sync_path(folder)
            if not folders <= self._objects.flushed_folders:
                sync_path(os.path.join(self._objects.git_dir, "objects"))
                self._objects.flushed_folders |= folders
        except OSError as error:
            raise storage_error(error, self._objects.git_dir) from error
        flushed = self._objects.flushed
        if len(flushed) > 100_000:
            flushed.clear()
        flushed.update(self._added)

    def _sync(self, path: str, oid: Oid) -> list[str]:
        """Flush a file; if a gc has moved its object into a pack meanwhile, that pack. The files that were flushed."""
        try:
            sync_path(path)
            return [path]
        except FileNotFoundError:
            self._objects.refresh()
            paths = self._objects.freshen(oid)
            for other in paths:
                sync_path(other)
            if not paths:
                raise
            return paths


def _bound(cache: dict[Oid, Any]) -> None:
    """Drop the older half of a cache that is full."""
    if len(cache) >= _CACHED_OBJECTS:
        for old in list(cache)[: _CACHED_OBJECTS // 2]:
            del cache[old]


def _renew_locks() -> None:
    """In a forked child: the thread that held a lock was left behind, and would never give it back."""
    for objects in _all:
        objects.lock = threading.Lock()


_all: weakref.WeakSet[Objects] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
