"""The command line in a crowd: every store that exits with 0 is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from gitmem import Memory
from tests.race.crowd import TOP, check_sound
from tests.together import together


def run(store: Path, *arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """`gitmem …` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "gitmem", *arguments],
        input=given,
        capture_output=True,
        cwd=store,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )


def test_eight_callers_of_the_command_line_lose_nothing(tmp_path: Path) -> None:
    """8 × 20 stores to keys of their own, and as many elements appended to one list; none fails, none is lost."""
    Memory.open(tmp_path, durability="fast").close()
    said: list[tuple[int, bytes]] = []

    def call(number: int) -> None:
        for turn in range(20):
            if turn % 4 == 3:
                done = run(tmp_path, "--agent", f"a{number}", "append", "list", f'"{number}/{turn}"')
            else:
                done = run(tmp_path, "--agent", f"a{number}", "store", f"own/{number}/{turn}", str(turn))
            said.append((done.returncode, done.stderr))

    together(call, range(8))
    assert [one for one in said if one != (0, b"")] == []
    assert len(said) == 160
    memory = check_sound(tmp_path)
    turns = [(number, turn) for number in range(8) for turn in range(20)]
    own = {f"own/{number}/{turn}": turn for number, turn in turns if turn % 4 != 3}
    assert {one.key: one.value for one in memory.search("own/**")} == own
    assert all(one.agent == f"a{one.key.split('/')[1]}" for one in memory.search("own/**"))
    assert sorted(memory.retrieve("list")) == sorted(f"{number}/{turn}" for number, turn in turns if turn % 4 == 3)


def test_two_first_callers_at_once_make_one_memory(tmp_path: Path) -> None:
    """A command that writes and finds no memory makes one: both find the same."""
    assert together(lambda key: run(tmp_path, "store", key, "1").returncode, ["a", "b", "c"]) == [0, 0, 0]
    listed = run(tmp_path, "list", "--json")
    assert json.loads(listed.stdout) == ["a", "b", "c"]
