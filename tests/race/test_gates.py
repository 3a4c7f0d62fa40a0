"""Two reviewers and many gates: whoever is quicker decides, and the other is told.

init: every gate is pending. next: a reviewer approves or rejects a gate, in an order of his own, or is refused.
invariant, in the end: each gate has one decision, made by one of them, which is the one that he was acknowledged and
that the other was told of; nobody else's move is in its history.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gitmem import ConflictError, Memory
from gitmem.recipes import Gate
from tests.race.crowd import TOP, check_sound

GATES = [f"gate-{number}" for number in range(60)]
REVIEWERS = ["ann", "ben", "eve"]


def decide(store: str, name: str) -> None:
    """A reviewer: goes through all gates, and prints for each what became of it."""
    chance = random.Random(name)
    with Memory.open(store, agent=name, create=False) as memory:
        tell("ready")
        sys.stdin.readline()
        for gate_name in chance.sample(GATES, len(GATES)):
            gate, move = Gate(memory, gate_name), chance.choice(["approve", "reject"])
            try:
                made = gate.approve() if move == "approve" else gate.reject(f"says {name}")
            except ConflictError as error:
                tell([gate_name, "refused", error.message])
            else:
                tell([gate_name, made.state, made.entry and made.entry.revision])


def tell(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def start(store: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"from tests.race.test_gates import decide; decide({str(store)!r}, {name!r})"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip


def told(reviewers: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """What each reviewer was told of each gate: all begin at one moment."""
    for one in reviewers:
        assert one.stdout is not None
        assert one.stdout.readline() == '"ready"\n'
    for one in reviewers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    lines = [one.communicate()[0].splitlines() for one in reviewers]
    assert [one.returncode for one in reviewers] == [0] * len(reviewers)
    return [{gate: rest for gate, *rest in map(json.loads, mine)} for mine in lines]


@pytest.mark.parametrize("first", ["pending-approval", None], ids=["pending", "nothing"])
def test_each_gate_has_one_decision(tmp_path: Path, first: str | None) -> None:
    """Of three processes at sixty gates; also where none was requested, so that the first move makes the key."""
    with Memory.open(tmp_path, agent="planner", durability="fast", namespace="coordination") as memory:
        if first is not None:
            for name in GATES:
                memory.store(f"checkpoint/gates/{name}", first)
    answers = dict(zip(REVIEWERS, told([start(tmp_path, name) for name in REVIEWERS]), strict=True))
    with check_sound(tmp_path).bind(namespace="coordination") as memory:
        for name in GATES:
            decision, *before = memory.history(f"checkpoint/gates/{name}")
            assert [(one.agent, one.value) for one in before] == ([] if first is None else [("planner", first)])
            winner = decision.agent
            assert answers[winner][name] == [decision.value["state"], decision.revision]
            for loser in set(REVIEWERS) - {winner}:
                outcome, message = answers[loser][name]
                assert outcome == "refused"
                assert f"it is {decision.value['state']}, by {winner} at " in message
    assert len({one.agent for one in decided(tmp_path)}) > 1, "one did it all: this was no race"


def decided(store: Path) -> list[Any]:
    with Memory.open(store, create=False) as memory:
        return [memory.entry(f"checkpoint/gates/{name}", namespace="coordination") for name in GATES]
