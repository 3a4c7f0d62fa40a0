"""Two memories, each the other's remote, that sync at the same moment: no server stands between them.

init: a memory and its clone, whose clocks are hours apart. next: both write, to keys of their own and to the same
ones; then both sync at once, in processes of their own. invariant: after that one round they have one head, with
both sides' writes.
"""

from __future__ import annotations

import fcntl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory
from tests.foreign import run_git
from tests.race.crowd import check_index
from tests.race.nursery import Nursery, nursery
from tests.slow_merges import Clash, History

OFF = {"left": 0, "right": 9 * 3600}
ROUNDS = 8


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Memory]:
    """Both, each with the other as its `origin`."""
    folders = {name: tmp_path / name for name in OFF}
    memories = {}
    for name, off in OFF.items():

        def clock(off: int = off) -> datetime:
            return datetime.now(UTC) + timedelta(seconds=off)

        memories[name] = Memory.open(folders[name], agent=name, durability="fast", clock=clock)
        run_git(memories[name].path, "config", "gitmem.autogc", "false")
    memories["left"].add_remote("origin", str(folders["right"]))
    memories["right"].add_remote("origin", str(folders["left"]))
    memories["left"].settings.add_rule("count", "total")
    memories["left"].sync()
    return memories


def write(memory: Memory, turn: int) -> list[str]:
    """A few writes; their revisions."""
    name = memory.agent
    made = [
        memory.store(f"own/{name}/{turn}", turn),
        memory.store("fight", f"{name}/{turn}"),
        memory.append("list", f"{name}/{turn}"),
        memory.update("count", lambda count: count + 1, default=0),
    ]
    return [one.revision for one in made]


def meet(crowd: Nursery, pair: dict[str, Memory], line: Path) -> list[dict[str, Any]]:
    """Both sync at once; what they said."""
    crowd.said.clear()
    with line.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, memory in pair.items():
            crowd.begin("together", memory.path, name, off=OFF[name], line=str(line))
        crowd.until(2, "ready")
    crowd.until(2, "met", "overtaken")
    return [one for one in crowd.said if one["kind"] != "ready"]


def judge(history: History, clash: Clash) -> bool:
    low, high, result = (history.value(blob) for blob in (clash.low, clash.high, clash.result))
    match clash.key:
        case "default/fight.json":
            return clash.result == clash.winner and clash.pointers == {""}
        case "default/count.json":
            base = 0 if clash.base is None else history.value(clash.base)
            return bool(result == low + high - base)
        case "default/list.json":
            return sorted(result) == sorted({*low, *high})
    return False


@pytest.mark.parametrize("git", [True, False], ids=["git", "no git"])
def test_two_that_pull_from_each_other_at_once_have_one_head(
    pair: dict[str, Memory], tmp_path: Path, git: bool
) -> None:
    """After every round, whoever was quicker in it; with git's own programs between them, and without git."""
    revisions = []
    (tmp_path / "nothing").mkdir()
    with nursery(**({} if git else {"PATH": str(tmp_path / "nothing")})) as crowd:
        for turn in range(ROUNDS):
            for memory in pair.values():
                revisions += write(memory, turn)
            said = meet(crowd, pair, tmp_path / "line")
            assert [one for one in said if one["kind"] != "met"] == []
            heads = {memory.snapshot for memory in pair.values()}
            assert len(heads) == 1, said
    left, right = pair.values()
    ancestors = set(run_git(left.path, "rev-list", "main").split())
    assert [one for one in revisions if one not in ancestors] == []
    assert left.retrieve("count") == 2 * ROUNDS
    assert len(left.retrieve("list")) == 2 * ROUNDS
    assert left.retrieve("fight") == f"right/{ROUNDS - 1}"
    for memory in (left, right):
        assert memory.search("**") == left.search("**")
        assert run_git(memory.path, "fsck", "--strict", "--no-dangling") == ""
        check_index(memory, linear=False)
        assert History(memory.path, memory.snapshot).check(judge, "default/") == ROUNDS
        memory.close()
