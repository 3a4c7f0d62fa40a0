"""Merges at the edges: values as large and as deep as they may be, histories that cross a thousand times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory
from gitmem.branches import plan
from gitmem.errors import InvalidValueError
from gitmem.objects import Identity, serialize_commit
from tests.foreign import commit_files, run_git

LARGE = 9 << 20


def nested(depth: int, inside: Any) -> Any:
    for _ in range(depth):
        inside = [inside]
    return inside


SIDES = {
    "large": ("b" * LARGE, "c" * LARGE, "d" * LARGE),
    "deep": ("flat", nested(199, "two"), nested(199, True)),
}


@pytest.mark.parametrize("what", SIDES)
def test_a_conflict_that_fits_in_no_record_is_told_by_its_blobs(tmp_path: Path, what: str) -> None:
    """A record holds three values, three levels deeper: one large conflict must not stop a team for good."""
    base, ours, theirs = SIDES[what]
    memory = Memory.open(tmp_path, agent="a", durability="fast")
    memory.store("x", {"v": base} if what == "large" else base)
    side = memory.branch("side").bind(agent="b")
    memory.store("x", {"v": ours} if what == "large" else ours)
    side.store("x", {"v": theirs} if what == "large" else theirs)
    merged = memory.merge("side")
    assert merged.keys[0].result == "conflict"
    (record,) = memory.conflicts()
    assert record.large
    assert set(record.sides[1].value) == {"blob"}
    loser = memory.at(record.sides[1].revision).retrieve("x")
    if what == "large":
        with pytest.raises(InvalidValueError, match="too large"):
            memory.resolve("x", "other")
        memory.resolve("x", value="short")
        assert memory.retrieve("x") == {"v": "short"}
    else:
        memory.resolve("x", "other")
        assert memory.retrieve("x") == loser
    assert memory.conflicts() == []
    run_git(memory.vault.repository.git_dir, "fsck", "--strict", "--no-dangling")


def test_a_bad_value_that_fits_in_no_record_is_taken_all_the_same(tmp_path: Path) -> None:
    """The fast-forward's record holds it once, and that is too deep already."""
    memory = Memory.open(tmp_path, agent="a")
    memory.settings.add_contract("x", {"type": "object"})
    side = memory.branch("side")
    body = ("[" * 199 + "1" + "]" * 199).encode()
    commit_files(memory.vault.repository.git_dir, {"default/x.json": body}, branch="side")
    memory.merge("side")
    (record,) = memory.conflicts()
    assert (record.problem, record.large) == ("contract", True)
    assert side.retrieve("x") == nested(199, 1)


def test_histories_that_cross_a_thousand_times_merge(tmp_path: Path) -> None:
    """Each crossing has two bases, which have two bases: nothing of that lies on Python's stack."""
    memory = Memory.open(tmp_path, agent="a", durability="fast")
    memory.store("x", 0)
    vault = memory.vault
    writer = vault.objects.writer(durable=False)
    tree = vault.head("main").root
    who = Identity("a", "a@gitmem", 1_767_225_600, 0)
    one = two = bytes.fromhex(memory.snapshot)
    for turn in range(1_100):
        parents = ((one, two), (two, one)) if turn else ((one,), (two,))
        one, two = (
            writer.add("commit", serialize_commit(tree, parents[side], who, who, f"{turn} {side}\n"))
            for side in (0, 1)
        )
    writer.finish()
    made = plan(vault, one, two)
    assert made.merges
    assert not made.records


def test_what_is_no_record_can_be_let_go(tmp_path: Path) -> None:
    """Anybody can push a file into the namespace, and no verb but resolve writes there."""
    memory = Memory.open(tmp_path)
    commit_files(memory.vault.repository.git_dir, {"conflicts/nonsense.json": b"[]\n"})
    assert memory.conflicts() == []
    memory.resolve("nonsense")
    assert memory.list(namespace="conflicts") == []
