"""Three values of one key that meet twice, apart from each other: what one side settled stays settled."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import pytest

from gitmem import Memory
from tests.conftest import Clock

ORDERS = list(permutations("abc"))


def line(memory: Memory, clock: Clock, name: str, order: tuple[str, ...]) -> Memory:
    """A branch that takes in these three, one after the other, and writes something of its own between."""
    made = memory.branch(name, memory.branches()[order[0]])
    for other in order[1:]:
        clock.advance(1)
        made.store(f"{name}/{other}", 1)
        made.merge(other)
    return made


@pytest.mark.parametrize("take", ["value", "winner"])
def test_what_was_settled_is_not_recorded_again_by_a_crossing_merge(tmp_path: Path, clock: Clock, take: str) -> None:
    """Whichever order the merged base is folded in: it may never have held the record that was settled."""
    met = 0
    for number, (one, other) in enumerate(product(ORDERS, ORDERS)):
        memory = Memory.open(tmp_path / str(number), durability="fast", clock=clock)
        start = memory.store("k", "at first").snapshot
        for name in "abc":
            clock.advance(10)
            memory.branch(name, start).store("k", name)
        here, there = line(memory, clock, "here", one), line(memory, clock, "there", other)
        settled = {record.id for record in here.conflicts()}
        met += bool(settled & {record.id for record in there.conflicts()})
        for record in here.conflicts():
            here.resolve(record.id)
        if take == "value":
            here.store("k", "settled")
        assert there.merge("here").revision == here.merge("there").revision
        assert settled & {record.id for record in there.conflicts()} == set()
        if take == "value":
            assert (there.retrieve("k"), there.conflicts()) == ("settled", [])
        memory.close()
    assert met > 10
