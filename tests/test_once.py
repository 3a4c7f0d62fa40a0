"""The same thing done twice, on two copies, in one second, by one name: it was done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitmem import Memory
from tests.conftest import Clock, Git


@pytest.fixture
def copies(tmp_path: Path, clock: Clock) -> list[Memory]:
    """Two copies of one memory that know each other; the same agent, session and clock at both."""
    name = {"agent": "coder", "session": "night", "clock": clock}
    first = Memory.open(tmp_path / "one", durability="fast", **name)
    first.settings.add_rule("count", "total")
    first.store("count", 0)
    first.store("list", [])
    second = Memory.clone(first.path, tmp_path / "two", durability="fast", **name)
    return [first, second]


def test_what_two_copies_do_in_one_second_is_done_twice(copies: list[Memory], git: Git) -> None:
    """Of two equal commits git would keep one, and what the other acknowledged would be lost."""
    for _ in range(3):
        made = [copy.update("count", lambda number: number + 1) for copy in copies]
        assert made[0].revision != made[1].revision
        copies[1].sync()
    assert copies[1].retrieve("count") == 6
    assert git(copies[1].path / ".git", "fsck", "--strict", "--no-dangling") == ""


def test_what_is_told_of_a_commit_knows_nothing_of_its_nonce(copies: list[Memory], git: Git) -> None:
    """It is a header of the commit: no client shows it, no message has it."""
    revision = copies[0].store("count", 5).revision
    folder = copies[0].path / ".git"
    assert "nonce" not in git(folder, "log", "-1", "--format=fuller", revision)
    assert "\ngitmem-nonce " in git(folder, "cat-file", "commit", revision)
