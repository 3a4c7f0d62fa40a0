"""What the bad objects that `storage` found mean: which key or commit needs each, and what can be done.

Knows the histories of the refs; reads them only when something is bad, since that is slow in a big memory.
Law: a damaged file goes only where it can do no more harm gone than there: its bytes are kept aside unless another
copy reads well, because a file in its place keeps git and gitmem from writing or fetching the object anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from gitmem.errors import GitmemError, StorageError
from gitmem.keys import parse_path
from gitmem.loose import discard
from gitmem.maintenance.findings import Chart
from gitmem.maintenance.leftovers import HOUR
from gitmem.maintenance.storage import Copy, Stock, good_copy
from gitmem.objects import TREE_MODE, Objects, Oid
from gitmem.repository import Repository

_GITLINK = 0o160000
_INDEX_HEAD = b"\xfftOc\x00\x00\x00\x02"


def examine(chart: Chart, repository: Repository, heads: Mapping[str, Oid]) -> None:
    """Read all objects; tell what is damaged, missing or malformed, and who needs it."""
    stock = Stock(repository.objects)
    suspects = {copy.oid for copy in stock.damaged} | stock.missing | stock.malformed.keys()
    needed = needs(repository.objects, heads, suspects) if suspects else {}
    for copy in stock.damaged:
        _damaged(chart, repository, copy, needed.get(copy.oid))
    for oid in sorted(stock.missing & needed.keys()):
        message = f"object {oid.hex()} is missing; it is {needed[oid]}"
        chart.error("object-missing", message, _fetch(repository.git_dir))
    for oid, reason in stock.malformed.items():
        if oid in needed:
            chart.warning(
                "object-malformed",
                f"object {oid.hex()} is not as git wants it ({reason}); it is {needed[oid]}",
                "gitmem reads it, but servers that check may refuse it; only a rewritten history would be without it",
            )
    for path, reason in stock.bad_packs.items():
        chart.error("pack-damaged", f"the pack {path} cannot be read: {reason}", _fetch(repository.git_dir))


def _fetch(git_dir: Path) -> str:
    return f"bring it back from another copy: `git -C {git_dir} fetch --refetch URL main`"


def _damaged(chart: Chart, repository: Repository, copy: Copy, need: str | None) -> None:
    message = f"object {copy.oid.hex()} is damaged in {copy.path}: {copy.reason}"
    good = good_copy(repository.objects, copy.oid, besides=copy.path)
    if not copy.loose:
        if good is not None:
            hint = f"nothing is lost, {good} has it too; `gitmem gc --full` makes one new pack"
            chart.warning("object-damaged", message, hint)
        elif need is None:
            chart.warning("object-damaged", f"{message}; nothing needs it", "`gitmem gc --full` leaves it out")
        else:
            chart.error("object-damaged", f"{message}; it is {need}", _fetch(repository.git_dir))
    elif good is not None:
        hint = f"{good} has it too: `gitmem doctor --repair` removes the bad file"
        chart.error("object-damaged", message, hint, partial(_remove, copy, good))
    elif need is None:
        hint = "`gitmem doctor --repair` moves it away, so that the object can be written anew"
        chart.error("object-damaged", f"{message}; nothing needs it", hint, partial(_put_aside, repository, copy))
    else:
        _lost(chart, repository, copy, f"{message}; it is {need}")


def _lost(chart: Chart, repository: Repository, copy: Copy, message: str) -> None:
    """Moving the bad file away does not bring the object back, but lets a fetch do it."""
    hint = _fetch(repository.git_dir)
    if chart.repair:
        try:
            hint = f"{_put_aside(repository, copy)}; {hint}"
        except OSError as error:
            hint = f"it could not be moved away: {error}; {hint}"
    else:
        hint = f"`gitmem doctor --repair` moves the bad file away; then {hint}"
    chart.error("object-damaged", message, hint)


def _remove(copy: Copy, good: str) -> str:
    os.unlink(copy.path)
    return f"removed the bad file; the object is read from {good}"


def _put_aside(repository: Repository, copy: Copy) -> str:
    folder = repository.local / "damaged"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = folder / copy.oid.hex()
    os.replace(copy.path, kept)
    return f"moved the bad file to {kept}"


# --- indexes of packs ---


def examine_packs(chart: Chart) -> bool:
    """Whether each pack has an index that reads: without it all its objects seem lost, the branch's head too."""
    usable = True
    for pack in sorted((chart.where.git_dir / "objects" / "pack").glob("*.pack")):
        index = pack.with_suffix(".idx")
        try:
            content = index.read_bytes()
        except FileNotFoundError:
            young = chart.now - pack.stat().st_mtime < HOUR
            reason = "" if young else "its index is missing"
        else:
            body, checksum = content[:-20], content[-20:]
            sound = content[:8] == _INDEX_HEAD and hashlib.sha1(body, usedforsecurity=False).digest() == checksum
            reason = "" if sound else "its index is damaged"
        if reason:
            message = f"the pack {pack} cannot be used: {reason}"
            hint = f"`gitmem doctor --repair` makes a new one; if that fails, {_fetch(chart.where.git_dir)}"
            usable &= chart.error("pack-damaged", message, hint, partial(_index_anew, str(pack)))
    return usable


def _index_anew(path: str) -> str:
    from dulwich.object_format import SHA1
    from dulwich.pack import PackData

    draft = os.path.join(os.path.dirname(path), f"tmp_idx_{os.urandom(6).hex()}")
    try:
        with PackData(path, SHA1) as pack:
            pack.check()
            pack.create_index(draft, version=2)
        os.replace(draft, path.removesuffix(".pack") + ".idx")
    except Exception as error:  # dulwich raises many kinds here, AssertionError among them
        raise StorageError(f"the pack itself is damaged: {error}", hint="", path=path) from error
    finally:
        discard(draft)
    return "made a new index for it"


# --- who needs what ---


def needs(objects: Objects, heads: Mapping[str, Oid], suspects: set[Oid]) -> dict[Oid, str]:
    """What each of these objects is, in words, as far as a ref reaches it. Walks history until all are found."""
    found: dict[Oid, str] = {}
    for oid, words in _reached(objects, heads):
        if oid in suspects and oid not in found:
            found[oid] = words()
            if len(found) == len(suspects):
                break
    return found


class _Words:
    """How an object is called; put into words only when somebody asks."""

    def __init__(self, kind: str, path: bytes, commit: Oid, ref: str) -> None:
        self._kind, self._path, self._commit, self._ref = kind, path, commit, ref

    def __call__(self) -> str:
        when = f"as of commit {self._commit.hex()[:12]} of {self._ref}"
        if self._kind == "commit":
            return f"a commit of {self._ref}"
        key = parse_path(self._path) if self._kind == "blob" else None
        if key is not None:
            return f"the value of key {key[1]!r} in namespace {key[0]!r} {when}"
        return f"the {self._kind} at {self._path.decode('utf-8', 'backslashreplace') or 'the root'} {when}"


def _reached(objects: Objects, heads: Mapping[str, Oid]) -> Iterator[tuple[Oid, _Words]]:
    """Every object that a ref reaches, newest commits first; what cannot be read ends its line."""
    seen: set[Oid] = set()
    for ref, head in heads.items():
        pending = [head]
        while pending:
            oid = pending.pop()
            if oid in seen:
                continue
            seen.add(oid)
            yield oid, _Words("commit", b"", oid, ref)
            try:
                commit = objects.commit(oid)
            except GitmemError:
                continue
            pending += reversed(commit.parents)
            for child, kind, path in _below(objects, commit.tree, seen):
                yield child, _Words(kind, path, oid, ref)


def _below(objects: Objects, root: Oid, seen: set[Oid]) -> Iterator[tuple[Oid, str, bytes]]:
    """The trees and blobs of a tree that were not seen yet. Of blobs no memory is kept: they come again."""
    pending = [(root, b"")]
    while pending:
        oid, path = pending.pop()
        if oid in seen:
            continue
        seen.add(oid)
        yield oid, "tree", path
        try:
            tree = objects.tree(oid)
        except GitmemError:
            continue
        for name, (mode, child) in tree.items():
            below = path + b"/" + name if path else name
            if mode == TREE_MODE:
                pending.append((child, below))
            elif mode != _GITLINK:
                yield child, "blob", below
