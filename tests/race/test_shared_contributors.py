"""Four agents change one document at once, and a fifth waits until all of them have.

init: nobody has opened the document. next: the planner opens it, or one of four agents makes his only change and is a
contributor by the same commit, or the planner has seen all four and reports. invariant, of each round: every change is
in the document and in the report, each once; the report was made from the document as it was when it was stored.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory
from tests.race.contributor import CHANGES, FRESH, KEY, REPORT
from tests.race.crowd import TOP, check_sound, watched

WHOLE = {"api_endpoints": ["/login"], "test_coverage": 85, "security_issues": ["no TLS"],
         "performance_metrics": {"p95_ms": 12}}  # fmt: skip
PATIENCE = 120.0
"""Seconds after which somebody has not been woken: the agents themselves would wait for ever."""
TOLD = {"endpoints": 1, "issues": 1, "coverage": 85, "p95_ms": 12}


def start(store: Path, agent: str, rounds: int, *mode: str) -> subprocess.Popen[str]:
    """An agent in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.race.contributor", str(store), agent, str(rounds), *mode],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=TOP, env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip


def check_round(memory: Memory, number: int) -> None:
    """All of it is there, and the history says that it came about as it should."""
    space = f"round-{number}"
    names = [f"{KEY}/contributors/{agent}" for agent in sorted(CHANGES)]
    assert memory.list(namespace=space) == [REPORT, KEY, *names]
    assert memory.retrieve(KEY, namespace=space) == WHOLE
    versions = memory.history(KEY, namespace=space)
    *changes, opened = versions
    assert (opened.agent, opened.value) == ("planner", FRESH)
    made = {one.agent: one.revision for one in changes}
    assert len(changes) == len(made) == len(CHANGES)
    for agent in CHANGES:
        (contribution,) = memory.history(f"{KEY}/contributors/{agent}", namespace=space)
        assert (contribution.value, contribution.agent, contribution.revision) == ({"by": agent}, agent, made[agent])
    (told,) = memory.history(REPORT, namespace=space)
    assert (told.agent, told.value) == ("planner", TOLD)
    assert memory.at(told.revision).entry(KEY, namespace=space).revision == versions[0].revision


@pytest.mark.parametrize(("rounds", "mode"), [(25, ()), (10, ("unlocked",))], ids=["locked", "unlocked"])
def test_what_four_agents_change_at_once_is_all_in_the_report(
    tmp_path: Path, rounds: int, mode: tuple[str, ...]
) -> None:
    """Round after round, all woken by one commit and so at one moment; also with the compare-and-swap alone."""
    Memory.open(tmp_path, durability="fast").close()
    names = ["planner", *CHANGES]
    with watched(*(start(tmp_path, agent, rounds, *mode) for agent in names)) as agents:
        heard = [agent.communicate(timeout=PATIENCE) for agent in agents]
    assert [errors for _, errors in heard] == [""] * len(names)
    said: list[tuple[int, str, Any]] = [tuple(json.loads(line)) for told, _ in heard for line in told.splitlines()]
    assert sorted(one[:2] for one in said) == sorted((number, agent) for number in range(rounds) for agent in names)
    assert all(value == TOLD for _, agent, value in said if agent == "planner")
    memory = check_sound(tmp_path)
    for number in range(rounds):
        check_round(memory, number)
    memory.close()
