"""When and how loose objects become packs, and many packs few, while others read and write.

Knows the object folder; does not know keys, more of branches than their heads, or the lock between two gcs.
Law: an object's old copy goes only after its new one is on the disk and was read back; nothing younger than
two weeks is ever pruned, and without the git program nothing at all.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from gitmem.errors import StorageError
from gitmem.loose import discard, storage_error
from gitmem.objects import Commit, MissingObjectError, Objects, Oid, TooBig, Tree, parse_commit, parse_tree
from gitmem.packfile import PackWriter
from gitmem.packs import PackDamage
from gitmem.storedpack import StoredPack

__all__ = ["GcReport", "PackWriter", "collect", "needs_gc", "stale_temporaries"]

_LOOSE_LIMIT = 6_700
_PACK_LIMIT = 50
_MERGE_LIMIT = 20
_LARGEST = 64 << 20
_PARSED_COMMITS, _PARSED_TREES = 4_096, 256
_KEPT = (".keep", ".promisor", ".mtimes")
_COMPANIONS = (".idx", ".rev", ".bitmap", ".pack")  # the index first: a pack without one is invisible
_TEMPORARY = ("tmp_obj_", "tmp_pack_", "tmp_idx_", "tmp_rev_", ".tmp-")
_GEOMETRIC_SINCE = (2, 32)

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.windowMemory=64m",
    "pack.deltaCacheSize=32m",
    "pack.threads=1",
    "pack.packSizeLimit=0",
    "repack.writeBitmaps=false",
)
# What the heads reach comes first: --geometric takes every loose object, but finds bad deltas for them.
_INCREMENTAL = (("repack", "-d", "-l", "-q"),)
_GEOMETRIC = (*_INCREMENTAL, ("repack", "-d", "-l", "-q", "--geometric=2"))
_FULL = (
    ("repack", "-A", "-d", "-l", "-q", "--unpack-unreachable=2.weeks.ago"),
    ("prune", "--expire=2.weeks.ago"),
    ("pack-refs", "--all", "--prune"),
)


class GcReport(NamedTuple):
    """What a gc did. The counts are of the whole memory, so others' writes meanwhile show in them."""

    loose_before: int
    loose_after: int
    packs_before: int
    packs_after: int
    damaged: int
    """Loose objects that could not be read and stay as they are (as do those of more than 64 MB)."""
    trouble: str
    """What went wrong and was gone around, for people; or empty."""

    @property
    def packed(self) -> int:
        """How many loose objects became packed."""
        return max(0, self.loose_before - self.loose_after)


def needs_gc(git_dir: str) -> bool:
    """Whether there is work for `collect`: git's own estimate, from two listings. Never blocks."""
    loose = sum(len(name) == 38 for name in _names(os.path.join(git_dir, "objects", "17")))
    return loose * 256 > _LOOSE_LIMIT or _count_packs(git_dir) > _PACK_LIMIT


def stale_temporaries(git_dir: str, older_than_seconds: float, now: float) -> list[Path]:
    """The files of writers that died: half-written objects, packs and indexes, none of them ever visible."""
    root = os.path.join(git_dir, "objects")
    folders = [root, *(os.path.join(root, name) for name in _names(root) if len(name) == 2 or name == "pack")]
    found = []
    for folder in folders:
        for name in _names(folder):
            path = os.path.join(folder, name)
            if name.startswith(_TEMPORARY) and now - _modified(path, now) > older_than_seconds:
                found.append(Path(path))
    return sorted(found)


def collect(
    git_dir: str,
    objects: Objects,
    heads: Iterable[Oid],
    *,
    git: str | None,
    full: bool = False,
    durable: bool = True,
) -> GcReport:
    """Pack the loose objects, and merge packs when they are many. Safe at any moment, beside anybody.

    `git` is the path of the git program, or None: then gitmem's own packer does it, which needs `heads` not to
    be right, only to find good deltas. `full` makes one pack, and with git prunes what has been unreachable
    for two weeks. Where git fails, the own packer steps in and `trouble` says so. `durable` makes git flush
    also what it loosens; packs are flushed in any case. StorageError when the disk refuses.
    """
    loose_before, packs_before = sum(1 for _ in objects.loose_ids()), _count_packs(git_dir)
    trouble, complete = _run_git(git, git_dir, full=full, durable=durable) if git else ("", False)
    damaged = 0
    if not complete:
        damaged = _pack_loose(git_dir, objects, heads)
        trouble = trouble or _merge_packs(git_dir, full=full)
    objects.refresh()
    loose_after = sum(1 for _ in objects.loose_ids())
    return GcReport(loose_before, loose_after, packs_before, _count_packs(git_dir), damaged, trouble)


# --- with the git program ---


def _run_git(git: str, git_dir: str, *, full: bool, durable: bool) -> tuple[str, bool]:
    """What went wrong, and whether nothing is left to do."""
    settings = [*_SETTINGS, "core.fsync=all"] if durable else list(_SETTINGS)
    try:
        geometric = _git_version(git) >= _GEOMETRIC_SINCE
        commands = _FULL if full else _GEOMETRIC if geometric else _INCREMENTAL
        for command in commands:
            _git(git, f"--git-dir={git_dir}", *(part for one in settings for part in ("-c", one)), *command)
    except OSError as error:
        return f"git could not pack this memory: {error}", False
    return "", full or geometric


def _git_version(git: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", _git(git, "version"))[:2])


def _git(git: str, *arguments: str) -> str:
    """Run git without any of the caller's surroundings: their GIT_… variables would lead it elsewhere."""
    import subprocess

    done = subprocess.run(
        [git, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={"LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull},
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise OSError(said[-1] if said else f"it ended with {done.returncode}")
    return done.stdout


# --- without it ---


def _pack_loose(git_dir: str, objects: Objects, heads: Iterable[Oid]) -> int:
    """Pack every loose object, reachable or not; returns how many could not be read."""
    with PackWriter(git_dir, durable=True) as writer:
        packer = _LoosePacker(objects, writer)
        packer.pack_all(heads)
        path = writer.finish()
    if path is None:
        return packer.damaged
    try:
        pack = _confirm(str(path))
    except PackDamage as error:
        raise StorageError(
            f"a new pack does not read back: {error}",
            hint="nothing was lost; check the disk, then run `gitmem gc` again",
            path=str(path),
        ) from error
    except FileNotFoundError:
        return packer.damaged  # somebody repacked it already, and the loose copies are theirs to remove
    _remove_loose(objects, str(path), pack.ids())
    return packer.damaged


class _LoosePacker:
    """Feeds loose objects to a writer, history oldest first: so each tree is a delta of its former state."""

    def __init__(self, objects: Objects, writer: PackWriter) -> None:
        self._objects = objects
        self._wanted = set(objects.loose_ids())
        self._writer = writer
        self._commits: OrderedDict[Oid, Commit | None] = OrderedDict()
        self._trees: OrderedDict[Oid, Tree] = OrderedDict()
        self.damaged = 0

    def pack_all(self, heads: Iterable[Oid]) -> None:
        """What the heads reach through loose commits, then other commits' history, then what is left."""
        for head in heads:
            self._pack_history(head)
        for oid in list(self._wanted):
            self._pack_history(oid)
        for oid in list(self._wanted):
            self._pack_tree(oid, None)

    def _pack_history(self, head: Oid) -> None:
        """Parents before children, without recursion: a history is longer than the stack."""
        path, opened = [head], set[Oid]()
        while path:
            oid = path[-1]
            commit = self._commit(oid) if oid in self._wanted else None
            if commit is None:
                path.pop()
            elif oid in opened:
                self._pack_commit(commit)
                path.pop()
            else:
                opened.add(oid)
                path += [parent for parent in reversed(commit.parents) if parent in self._wanted]

    def _pack_commit(self, commit: Commit) -> None:
        former = self._commit(commit.parents[0]) if commit.parents else None
        self._pack_tree(commit.tree, former.tree if former else None)
        self._pack_tree(commit.oid, None)

    def _pack_tree(self, root: Oid, former_root: Oid | None) -> None:
        """Pack an object and the loose ones below it, each as a delta of what was at its path before."""
        pending = [(root, former_root)]
        while pending:
            oid, former = pending.pop()
            found = self._read(oid) if oid in self._wanted else None
            if found is None:
                continue
            self._writer.add(*found, base=former)
            self._wanted.discard(oid)
            if found[0] == "tree":
                pending += self._below(self._parsed(oid, found[1]), former)

    def _below(self, tree: Tree, former: Oid | None) -> Iterator[tuple[Oid, Oid | None]]:
        changed = [(name, child) for name, (_, child) in tree.items() if child in self._wanted]
        before = self._tree(former) if changed and former is not None else {}
        return ((child, before[name][1] if name in before else None) for name, child in changed)

    def _commit(self, oid: Oid) -> Commit | None:
        """A commit, or None if it is something else or cannot be read."""
        if oid not in self._commits:
            found = self._read(oid)
            try:
                self._commits[oid] = parse_commit(oid, found[1]) if found and found[0] == "commit" else None
            except ValueError:
                self._commits[oid] = None
            if len(self._commits) > _PARSED_COMMITS:
                self._commits.popitem(last=False)
        return self._commits[oid]

    def _tree(self, oid: Oid) -> Tree:
        """A tree's entries; none if it cannot be read."""
        if oid not in self._trees:
            found = self._read(oid)
            return self._parsed(oid, found[1]) if found and found[0] == "tree" else {}
        return self._trees[oid]

    def _parsed(self, oid: Oid, body: bytes) -> Tree:
        try:
            self._trees[oid] = parse_tree(body)
        except ValueError:
            self._trees[oid] = {}
        if len(self._trees) > _PARSED_TREES:
            self._trees.popitem(last=False)
        return self._trees[oid]

    def _read(self, oid: Oid) -> tuple[str, bytes] | None:
        """An object; one that cannot be read is left where it is."""
        try:
            return self._objects.read(oid, limit=_LARGEST)
        except MissingObjectError:
            pass  # another gc was quicker, or it was never here: `doctor` tells
        except (StorageError, TooBig):
            self.damaged += oid in self._wanted
        self._wanted.discard(oid)
        return None


def _merge_packs(git_dir: str, *, full: bool) -> str:
    """Merge packs into one, as they are stored: all (`full`), or the small ones if they are many.

    Returns what went wrong; then all packs stay.
    """
    chosen = _mergeable(git_dir)
    if not full:
        chosen = _small(chosen) if len(chosen) > _MERGE_LIMIT else []
    if len(chosen) < 2:
        return ""
    try:
        with PackWriter(git_dir, durable=True) as writer:
            for path, _ in chosen:
                for entry in StoredPack(path).entries():
                    writer.copy(entry)
            merged = str(writer.finish())
        _confirm(merged)
    except (PackDamage, FileNotFoundError) as error:
        return f"the packs were not merged; `gitmem doctor` tells more: {error}"
    discard(os.path.join(git_dir, "objects", "pack", "multi-pack-index"))  # it names packs that go now
    for path, _ in chosen:
        if path != merged:
            for ending in _COMPANIONS:
                discard(path[: -len(".pack")] + ending)
    return ""


def _mergeable(git_dir: str) -> list[tuple[str, int]]:
    """The packs that nobody reserved, with their sizes, smallest first."""
    folder = os.path.join(git_dir, "objects", "pack")
    names = set(_names(folder))
    found = []
    for name in names:
        stem = name.removesuffix(".pack")
        if stem != name and stem + ".idx" in names and not any(stem + ending in names for ending in _KEPT):
            path = os.path.join(folder, name)
            found.append((path, os.path.getsize(path)))
    return sorted(found, key=lambda pack: pack[1])


def _small(packs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those to merge so that each remaining pack has at least twice the size of all smaller ones together.

    This is `git repack --geometric=2` by size: an object is copied about log(objects) times in its life.
    """
    total = cut = 0
    for place, (_, size) in enumerate(packs, start=1):
        if size < 2 * total:
            cut = place
        total += size
    return packs[:cut]


def _confirm(path: str) -> StoredPack:
    """Read a new pack back; one that is damaged is removed again. PackDamage."""
    pack = StoredPack(path)
    try:
        pack.check()
    except PackDamage:
        discard(path[: -len(".pack")] + ".idx")
        discard(path)
        raise
    return pack


def _remove_loose(objects: Objects, pack: str, ids: Iterable[Oid]) -> None:
    """Remove the loose copies of what a pack holds, as long as nobody repacks that very pack."""
    first = -1
    for oid in ids:
        if oid[0] != first:
            first = oid[0]
            if not os.path.exists(pack):
                return
        try:
            discard(objects.loose_path(oid))
        except OSError as error:
            raise storage_error(error, objects.git_dir) from error


# --- the folder ---


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _count_packs(git_dir: str) -> int:
    """The packs that a gc may touch, as git counts them."""
    names = _names(os.path.join(git_dir, "objects", "pack"))
    return sum(name.endswith(".pack") for name in names) - sum(name.endswith(".keep") for name in names)


def _modified(path: str, now: float) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return now
