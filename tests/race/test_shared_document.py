"""One document that many change at once: each reads it, changes it, and stores it with what it was made from.

init: an empty list, a count of 0, a title. next: somebody stores the document with one more element and the count
raised. invariant, in the end: every element is there once, each writer's own in its order, the count is their number,
and the title is what it was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory
from tests.race.crowd import check_sound, results, start
from tests.race.test_cli_crowd import run
from tests.together import together

BEGINNING = {"title": "project state", "elements": [], "count": 0}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with Memory.open(tmp_path, durability="fast") as memory:
        memory.settings.add_rule("document", "total", at="/count")
        memory.store("document", BEGINNING)
    return tmp_path


def check_document(store: Path, names: list[str], each: int) -> None:
    memory = check_sound(store)
    document: dict[str, Any] = memory.retrieve("document")
    elements = document["elements"]
    for name in names:
        assert [one for one in elements if one.startswith(f"{name}/")] == [f"{name}/{turn}" for turn in range(each)]
    assert (len(elements), document["count"]) == (each * len(names), each * len(names))
    assert document["title"] == BEGINNING["title"]
    assert memory.conflicts() == []
    assert memory.entry("document").version == 1 + each * len(names)


def test_four_hundred_elements_of_eight_processes_are_all_there(store: Path) -> None:
    """8 × 50, none of which ever waits, asks again, or is refused."""
    names = [f"w{number}" for number in range(8)]
    lines = results([start(store, "shares", name, 50) for name in names])
    assert sorted(lines) == sorted(f"{name}/{turn}" for name in names for turn in range(50))
    check_document(store, names, 50)


def test_the_compare_and_swap_alone_keeps_a_shared_document(store: Path) -> None:
    """Without the memory's lock: a lost race merges with what the winner wrote."""
    names = [f"w{number}" for number in range(6)]
    results([start(store, "shares", name, 15, lock=False) for name in names])
    check_document(store, names, 15)


def test_the_command_line_shares_a_document(store: Path) -> None:
    """4 × 4 by `retrieve --entry` and `store --base`, which takes a revision as well as a number."""
    names = [f"a{number}" for number in range(4)]
    said: list[tuple[int, bytes]] = []

    def call(name: str) -> None:
        for turn in range(4):
            entry = json.loads(run(store, "retrieve", "document", "--entry", "--json").stdout)
            value, base = entry["value"], entry["version" if turn % 2 else "revision"]
            value["elements"].append(f"{name}/{turn}")
            value["count"] += 1
            given = json.dumps(value).encode()
            done = run(store, "--agent", name, "store", "document", "-", "--base", str(base), given=given)
            said.append((done.returncode, done.stderr))

    together(call, names)
    assert said == [(0, b"")] * 16
    check_document(store, names, 4)
