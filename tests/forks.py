"""Two branches of one memory, written by two agents, and merged from both sides at once."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from gitmem import Memory
from gitmem.branches import Merge, Record
from tests.conftest import Clock
from tests.foreign import File, commit_files, paths_of, run_git

_UNLUCKY = 30


class Fork(NamedTuple):
    """One memory and two branches of it: `one` is ann's, `two` is bob's."""

    main: Memory
    one: Memory
    two: Memory
    clock: Clock

    @property
    def git_dir(self) -> Path:
        """The bare repository."""
        return self.main.vault.repository.git_dir

    def store(self, key: str, one: Any, two: Any) -> None:
        """Ann stores her value, and bob his ten seconds later."""
        self.one.store(key, one)
        self.clock.advance(10)
        self.two.store(key, two)
        self.clock.advance(10)

    def push(self, side: Memory, files: Mapping[str, bytes | File | None]) -> str:
        """What a stranger with plain git puts on top of a side, now."""
        time = int(self.clock.now.timestamp())
        self.clock.advance(10)
        return commit_files(self.git_dir, files, branch=side.branch_name, time=time)

    def order(self, lower: int) -> None:
        """Write on until one (0) or two (1) has the lower id: a merge is a function of its parents by id."""
        for number in count():
            self.one.store("salt", number)
            if number >= _UNLUCKY:  # the other's id is near an end of all ids
                self.two.store("pepper", number)
            if (self.one.snapshot > self.two.snapshot) == lower:
                return

    def merge(self) -> Merge:
        """Take two into one, then one into two: where a commit is made, both have one head."""
        done = self.merge_one_way()
        if done.revision != done.before:
            assert self.two.merge(self.one.branch_name).revision == done.revision
        assert run_git(self.git_dir, "fsck", "--strict", "--no-dangling") == ""
        return done

    def merge_one_way(self) -> Merge:
        """Take two into one. A dry run tells the same, and the other way round it is the same commit."""
        other = self.two.merge(self.one.branch_name, dry_run=True)
        told = self.one.merge(self.two.branch_name, dry_run=True)
        heads = [bytes.fromhex(one.before) for one in (told, other)]
        if not any(self.main.vault.index.is_ancestor(*pair) for pair in (heads, heads[::-1])):
            assert (told.revision, told.conflicts) == (other.revision, other.conflicts)
        done = self.one.merge(self.two.branch_name)
        assert done == told
        return done

    def paths(self) -> dict[str, str]:
        """The tree of `one`, as git lists it."""
        return paths_of(self.git_dir, "one")

    def conflict(self) -> Record:
        """The only conflict that is open on `one`."""
        (record,) = self.one.conflicts()
        return record


def fork(main: Memory, clock: Clock) -> Fork:
    """Two branches at the head of a memory."""
    main.branch("one"), main.branch("two")
    clock.advance(10)
    return Fork(main, main.bind(agent="ann", branch="one"), main.bind(agent="bob", branch="two"), clock)
