"""Every merge of a history checked against the design's text, read with plain git: no code of gitmem decides here.

For each merge commit whose parents have one merge base: whose it is, what it is dated, and what each key holds. A key
that one side changed is that side's; one that both changed is what `judge` says, and where the two cannot both be
right, the later writer's, with a record under `conflicts`. Slow, and meant to be read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.foreign import run_git
from tests.reference import Node, Reference

Blob = str | None


class Facts(NamedTuple):
    """A commit as git shows it."""

    oid: str
    parents: tuple[str, ...]
    author: str
    authored: int
    committer: str
    committed: int
    message: str


class Clash(NamedTuple):
    """A key that both sides changed: its blobs and the winner's; `judge` says whether the result is right."""

    key: str
    base: Blob
    low: Blob
    high: Blob
    winner: Blob
    result: Blob
    pointers: frozenset[str]
    """Where in the value the merge's tree holds records for exactly these three blobs."""


class History:
    """All commits below one head, oldest first, and what their trees hold at keys' paths."""

    def __init__(self, folder: Path, head: str) -> None:
        self.folder = folder
        form = "%H%x00%P%x00%an%x00%at%x00%cn <%ce>%x00%ct%x00%B%x00%x01"
        text = run_git(folder, "log", "--topo-order", "--reverse", f"--format={form}", head)
        self.commits = [_facts(record) for record in text.split("\0\1\n")[:-1]]
        self.place = {one.oid: place for place, one in enumerate(self.commits)}
        self.trees = [self._files(one.oid) for one in self.commits]
        nodes = [
            Node(tuple(self.place[parent] for parent in one.parents), files)
            for one, files in zip(self.commits, self.trees, strict=True)
        ]
        self.reference = Reference(nodes)
        for place in range(len(nodes)):  # from below: the reference recurs
            self.reference.ancestors(place)
        self._known: dict[str, int] = {}

    def _files(self, oid: str) -> dict[str, str]:
        """Each key's path without its buckets, and its blob."""
        found = {}
        for line in run_git(self.folder, "ls-tree", "-r", "-z", oid).split("\0")[:-1]:
            facts, path = line.split("\t", 1)
            flat = "/".join(part for part in path.split("/") if not (len(part) == 2 and part[0] == "~"))
            found[flat] = facts.split()[2]
        return found

    def value(self, blob: Blob) -> Any:
        """A blob's JSON; None stands for an absent one, so ask for blobs that are there."""
        assert blob is not None
        return json.loads(run_git(self.folder, "cat-file", "blob", blob))

    def merges(self) -> list[int]:
        return [place for place, one in enumerate(self.commits) if len(one.parents) > 1]

    def base(self, place: int) -> int | None:
        """The merge base of a merge's parents; None if there are several."""
        found = run_git(self.folder, "merge-base", "--all", *self.commits[place].parents).split()
        return self.place[found[0]] if len(found) == 1 else None

    def author(self, parent: int, path: str) -> tuple[int, str]:
        """Who wins by the key's last version on one side: its author time, then its id."""
        for place in range(self._known.get(path, 0), parent + 1):  # from below, as above
            self.reference.is_version(place, path)
        self._known[path] = max(parent + 1, self._known.get(path, 0))
        token = self.reference.token(parent, path)
        assert token is not None
        return self.commits[token].authored, self.commits[token].oid

    def check(self, judge: Callable[[History, Clash], bool], prefix: str) -> int:
        """AssertionError at the first merge that is not as it should be; how many could be judged.

        Keys are those below the prefix.
        """
        judged = 0
        for place in self.merges():
            self._check_form(self.commits[place])
            base = self.base(place)
            if base is not None:
                self._check_keys(place, base, judge, prefix)
                judged += 1
        return judged

    def _check_form(self, merge: Facts) -> None:
        """A merge made without a person is a pure function of its two parents."""
        low, high = merge.parents
        assert low < high
        dates = [self.commits[self.place[parent]].committed for parent in merge.parents]
        assert (merge.author, merge.committer) == ("gitmem", "gitmem <gitmem@gitmem>")
        assert merge.authored == merge.committed == max(dates)
        assert merge.message == f"merge {low} {high}\n\nMerge-Algorithm: 1\n"

    def _check_keys(self, place: int, base: int, judge: Callable[[History, Clash], bool], prefix: str) -> None:
        low, high = (self.place[parent] for parent in self.commits[place].parents)
        states = [self.trees[one] for one in (base, low, high, place)]
        for path in sorted({path for state in states for path in state if path.startswith(prefix)}):
            before, one, other, result = (state.get(path) for state in states)
            if one == before:
                assert result == other, (path, self.commits[place].oid)
            elif other == before or (one == other and one is None):
                assert result == one, (path, self.commits[place].oid)
            else:
                wins = one if self.author(low, path) > self.author(high, path) else other
                clash = Clash(path, before, one, other, wins, result, self.recorded(place, path, before, one, other))
                assert judge(self, clash), (clash, self.commits[place].oid)

    def recorded(self, place: int, path: str, base: Blob, low: Blob, high: Blob) -> frozenset[str]:
        namespace, key = path.removesuffix(".json").split("/", 1)
        blobs = sorted((low, high), key=lambda blob: (blob is not None, blob))
        found = set()
        for name, blob in self.trees[place].items():
            if name.startswith("conflicts/"):
                record = self.value(blob)
                id = _id(namespace, key, record["pointer"], base, *blobs)
                if name == f"conflicts/{id}.json":
                    assert (record["namespace"], record["key"]) == (namespace, key)
                    found.add(record["pointer"])
        return frozenset(found)


def _id(*parts: Blob) -> str:
    """sha256 over canonical JSON: in the form of a file's value."""
    text = json.dumps(list(parts), ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2) + "\n"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _facts(record: str) -> Facts:
    oid, parents, author, authored, committer, committed, message, _ = (record + "\0").split("\0", 7)
    return Facts(oid, tuple(parents.split()), author, int(authored), committer, int(committed), message)
