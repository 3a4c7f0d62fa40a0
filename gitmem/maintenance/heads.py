"""Refs: garbled ones, those that point to nothing, and where a branch must have been.

Knows git's loose and packed refs and what the index remembers of them; whether all objects are sound is `storage`'s.
Law: a garbled branch goes back by itself only to where it is known to have been; whatever may give up a version, or
guesses, is asked first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from gitmem.errors import GitmemError, StorageError
from gitmem.index import audit
from gitmem.maintenance.findings import Chart, Remedy
from gitmem.maintenance.surroundings import replace_file
from gitmem.objects import TREE_MODE, Commit, Objects, Oid
from gitmem.packs import PackDamage
from gitmem.repository import Repository

BRANCHES = "refs/heads/"
MAIN = BRANCHES + "main"
_PACKED = re.compile(rb"(#.*|\^[0-9a-f]{40}|[0-9a-f]{40} refs/\S+)")
_ID = re.compile(rb"\s*([0-9a-f]{40})\s*")
_GITLINK = 0o160000
_STEPS = 10_000


def examine(chart: Chart, repository: Repository) -> dict[str, Oid]:
    """Look at every ref; those that point to something, by full name."""
    _packed_refs(chart)
    good: dict[str, Oid] = {}
    names = _names(repository)
    for name in sorted(names):
        if _Ref(chart, repository, name).sound():
            good |= _read(repository, name)
    if MAIN not in names:
        _Ref(chart, repository, MAIN).absent(others=bool(good))
        good |= _read(repository, MAIN)
    return good


def _read(repository: Repository, name: str) -> dict[str, Oid]:
    try:
        oid = repository.refs.read(name)
    except StorageError:
        return {}
    return {} if oid is None else {name: oid}


def _packed_refs(chart: Chart) -> None:
    path = chart.where.git_dir / "packed-refs"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    lines = content.splitlines(keepends=True)
    good = [line for line in lines if _PACKED.fullmatch(line.removesuffix(b"\n"))]
    if len(good) == len(lines):
        return

    def drop() -> str:
        kept = path.with_name(f"packed-refs.damaged-{os.urandom(4).hex()}")
        os.link(path, kept)
        replace_file(path, b"".join(good), seen=content)
        return f"dropped them; the old file is {kept.name}"

    message = f"{path} has {len(lines) - len(good)} lines that are no refs"
    chart.error("packed-refs-garbled", message, "`gitmem doctor --repair` drops them and keeps the old file", drop)


def _names(repository: Repository) -> set[str]:
    """The full names of all refs, whatever they hold."""
    names: set[str] = set()
    top = str(repository.git_dir)
    for folder, _, files in os.walk(os.path.join(top, "refs")):
        relative = os.path.relpath(folder, top).replace(os.sep, "/")
        names.update(f"{relative}/{file}" for file in files if not file.endswith(".lock"))
    try:
        packed = (repository.git_dir / "packed-refs").read_bytes()
    except FileNotFoundError:
        return names
    lines = (line for line in packed.splitlines() if _PACKED.fullmatch(line) and line[40:41] == b" ")
    return names.union(line[41:].decode(errors="replace") for line in lines)


class _Proposal(NamedTuple):
    """Where a branch could go back to; `sure` if it is known to have been just there."""

    oid: Oid
    sure: bool
    why: str


class _Ref:
    """One ref that is looked at."""

    def __init__(self, chart: Chart, repository: Repository, name: str) -> None:
        self._chart = chart
        self._repository = repository
        self._objects = repository.objects
        self._name = name
        self._path = repository.git_dir / name
        self._branch = name.removeprefix(BRANCHES) if name.startswith(BRANCHES) else None
        self._complete: set[Oid] = set()

    def sound(self) -> bool:
        """Whether the ref can be used now, after a repair perhaps."""
        content = self._content()
        if content is not None and not content.startswith(b"ref: "):
            written = _ID.fullmatch(content)
            if written is None:
                return self._garbled(content)
            if len(content) != 41:
                oid = bytes.fromhex(written[1].decode())
                return self._garbled(content, _Proposal(oid, True, "the id that it holds"))
        found = _read(self._repository, self._name).get(self._name)
        if found is None:
            return False  # a symbolic ref to nothing, or one of packed-refs that was told already
        return self._points(found, content)

    def _content(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def _garbled(self, content: bytes, proposal: _Proposal | None = None) -> bool:
        shown = content[:60].decode("utf-8", "backslashreplace")
        message = f"{self._path} holds no object id: {shown!r}"
        return self._put_right("ref-garbled", message, content, proposal)

    def _points(self, oid: Oid, content: bytes | None) -> bool:
        try:
            kind, _ = self._objects.read(oid)
        except StorageError as error:
            message = f"{self._name} points to {oid.hex()}, which cannot be read: {error}"
            return self._put_right("ref-dangling", message, content, None, certain=False)
        if self._branch is not None and kind != "commit":
            message = f"{self._name} points to {oid.hex()}, which is a {kind} and no commit"
            return self._put_right("ref-dangling", message, content, None, certain=False)
        return True

    def absent(self, *, others: bool) -> None:
        """There is no such branch at all."""
        message = f"there is no branch main in {self._chart.where.path}"
        if others:
            self._chart.warning("no-branch", message, "name another branch, or run `gitmem init` to begin one")
        else:
            self._put_right("no-branch", message, None, None, certain=False)

    def _put_right(
        self, code: str, message: str, content: bytes | None, proposal: _Proposal | None, *, certain: bool = True
    ) -> bool:
        if proposal is None:
            if self._branch is None:
                return self._chart.error(
                    code,
                    message,
                    f"remove it: `git -C {self._repository.git_dir} update-ref -d {self._name}`",
                    lambda: self._remove(content),
                    f"{message}. Remove it? No branch depends on it",
                )
            proposal = next(self._proposals(), None)
        if proposal is None:
            hint = "bring its objects back from another copy, or begin anew in another place: `gitmem init PATH`"
            return self._chart.error(code, message, hint)
        ask = "" if certain and proposal.sure else f"{message}. Set it to {proposal.oid.hex()}, {proposal.why}?"
        hint = f"`gitmem doctor --repair` sets it to {proposal.oid.hex()}, {proposal.why}{', after asking' * bool(ask)}"
        return self._chart.error(code, message, hint, self._setting(proposal.oid, content), ask)

    def _setting(self, oid: Oid, content: bytes | None) -> Remedy:
        def put() -> str:
            with self._repository.lock():
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._path, oid.hex().encode() + b"\n", seen=content)
            return f"set it to {oid.hex()}"

        return put

    def _remove(self, content: bytes | None) -> str:
        if content is None:
            raise StorageError("it is in packed-refs", hint="use git", path=self._name)
        self._path.unlink()
        return "removed it"

    # --- where it must have been ---

    def _proposals(self) -> Iterator[_Proposal]:
        assert self._branch is not None
        line = audit.line(str(self._repository.derived / "index.sqlite3"), self._branch)
        for steps, oid in enumerate(line):
            if steps > _STEPS:
                break
            if self._intact(oid):
                yield _Proposal(oid, not steps, self._describe(oid, "where the index last saw it", steps))
        if self._name == MAIN:
            for oid in self._newest():
                if self._intact(oid):
                    yield _Proposal(oid, False, self._describe(oid, "the newest commit that is stored", 0))

    def _describe(self, oid: Oid, what: str, steps: int) -> str:
        commit = self._objects.commit(oid)
        before = f", {steps} commits before" if steps else ""
        subject = commit.message.partition("\n")[0][:60]
        return f"{what}{before} ({subject!r} by {commit.author.name})"

    def _intact(self, oid: Oid) -> bool:
        """Whether the commit and everything in its tree can be read."""
        try:
            pending = [self._objects.commit(oid).tree]
            while pending:
                tree = pending.pop()
                if tree in self._complete:
                    continue
                for mode, child in self._objects.tree(tree).values():
                    if mode == TREE_MODE:
                        pending.append(child)
                    elif mode != _GITLINK and child not in self._complete:
                        self._objects.read(child)
                        self._complete.add(child)
                self._complete.add(tree)
        except GitmemError:
            return False
        return True

    def _newest(self) -> Iterator[Oid]:
        """The stored commits that are nobody's parent, newest first, then their parents. Reads every object: slow."""
        commits = {commit.oid: commit for commit in _stored_commits(self._objects)}
        inner = {parent for commit in commits.values() for parent in commit.parents}
        row = sorted(commits.keys() - inner, key=lambda oid: commits[oid].committer.time, reverse=True)
        while row:
            yield from row
            above = [parent for oid in row for parent in commits[oid].parents]
            for oid in row:
                del commits[oid]
            row = [oid for oid in dict.fromkeys(above) if oid in commits]


def _stored_commits(objects: Objects) -> Iterator[Commit]:
    stored = set(objects.loose_ids())
    for pack in objects.packs():
        try:
            stored.update(pack.ids())
        except (PackDamage, OSError):
            continue
    for oid in stored:
        try:
            if objects.read(oid)[0] == "commit":
                yield objects.commit(oid)
        except GitmemError:
            continue
