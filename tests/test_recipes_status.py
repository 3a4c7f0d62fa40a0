"""How a swarm stands: read from the keys that agents, gates and claims write anyway, and told again when it changes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from gitmem import Memory
from gitmem.recipes import Claims, Gate, Status
from gitmem.recipes.status import Swarm, swarm
from tests.conftest import Clock


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Memory:
    return Memory.open(tmp_path, durability="fast", agent="ann", namespace="coordination", clock=clock)


# --- read


@pytest.mark.parametrize(
    ("value", "state", "waiting_for", "reason"),
    [
        ("working", "working", (), None),
        ({"state": "blocked", "waiting_for": "handoff/step1/x"}, "blocked", ("handoff/step1/x",), None),
        ({"state": "blocked", "waiting_for": ["a", 1, "b"]}, "blocked", ("a", "b"), None),
        ({"state": "failed", "reason": "exit 1"}, "failed", (), "exit 1"),
        ({"state": ["?"], "waiting_for": {"a": 1}, "reason": None}, None, (), None),
        ({"progress": 50}, None, (), None),
        ([1], None, (), None),
        (None, None, (), None),
    ],
)
def test_an_agent_says_its_state_as_it_likes(
    memory: Memory, value: Any, state: Any, waiting_for: Any, reason: Any
) -> None:
    """Text or object; whoever says something else is told of all the same."""
    entry = memory.store("swarm/coder/status", value)
    memory.store("swarm/coder/draft", "no status")
    memory.store("swarm/coder/deeper/status", "no agent's")
    (one,) = swarm(memory).agents
    assert (one.agent, one.state, one.waiting_for, one.reason) == ("coder", state, waiting_for, reason)
    assert one.entry == memory.entry(entry.key)


def test_the_age_of_a_word_is_told(memory: Memory, clock: Clock) -> None:
    """An agent that died goes on saying `working`; a clock that is ahead of ours makes nobody's word negative."""
    memory.store("swarm/coder/status", "working")
    clock.advance(3600)
    memory.store("swarm/tester/status", "working")
    now = swarm(memory)
    assert {one.agent: one.age for one in now.agents} == {"coder": 3600, "tester": 0}
    assert now.time == clock.now
    clock.advance(-60)
    assert {one.agent: one.age for one in swarm(memory).agents} == {"coder": 3540, "tester": 0}


def test_only_gates_that_hold_somebody_back_are_told(memory: Memory) -> None:
    """Pending and rejected, also as plain text; what was approved or completed waits for nobody."""
    Gate(memory, "planning").request(["plan"])
    Gate(memory, "design").reject("no tests")
    memory.store("checkpoint/gates/text", "pending-review")
    memory.store("checkpoint/gates/done", "complete")
    memory.store("checkpoint/phase0/agreed", True)
    memory.store("checkpoint/phase1/plan", {"steps": 3})
    found = {one.name: one.state for one in swarm(memory).gates}
    assert found == {"planning": "pending", "design": "rejected", "text": "pending"}
    Gate(memory, "planning").approve()
    assert [one.name for one in swarm(memory).gates] == ["design", "text"]


def test_claims_are_told_while_they_hold(memory: Memory, clock: Clock) -> None:
    """By whom and until when; an expired one is gone without anybody's doing."""
    claims = Claims(memory)
    claims.take("auth", ttl=60)
    free = claims.take("ui", ttl=None)
    now = swarm(memory)
    assert [(one.task, one.by, one.entry.expires) for one in now.claims] == [
        ("auth", "ann", clock.now + timedelta(seconds=60)),
        ("ui", "ann", None),
    ]
    clock.advance(60)
    assert [one.task for one in swarm(memory).claims] == ["ui"]
    free.release()
    assert swarm(memory).claims == ()


def test_open_conflicts_are_counted(memory: Memory) -> None:
    """What merges left to a person is seen by whoever looks after the swarm, whatever namespace it is in."""
    memory.store("k", 0, namespace="elsewhere")
    other = memory.branch("other")
    memory.store("k", 1, namespace="elsewhere")
    other.store("k", 2, namespace="elsewhere")
    assert swarm(memory).conflicts == 0
    memory.merge("other")
    assert swarm(memory).conflicts == 1
    memory.resolve(memory.conflicts()[0].id)
    assert swarm(memory).conflicts == 0


def test_the_last_writes_are_those_of_all_namespaces_that_changed_a_value(memory: Memory) -> None:
    """Newest first. A renewal says nothing new: beside a busy holder's, nobody else's work would be seen."""
    memory.store("a", 1)
    with memory.bind(agent="bob", session="s-1", namespace="elsewhere").transaction("two") as tx:
        tx.store("b", 1)
        tx.store("c", 1)
    claim = Claims(memory).take("auth", ttl=60)
    for extra in range(10):
        claim.renew(100 + extra)
    first, second, third = swarm(memory).last
    assert (first.message, first.keys) == ("claim coordination claims/auth", (("coordination", "claims/auth"),))
    assert (second.agent, second.session, second.message) == ("bob", "s-1", "two")
    assert second.keys == (("elsewhere", "b"), ("elsewhere", "c"))
    assert third.keys == (("coordination", "a"),)
    assert [one.revision for one in swarm(memory, last=1).last] == [claim.token]
    assert swarm(memory, last=0).last == ()


def test_a_namespace_is_another_swarm(memory: Memory, clock: Clock) -> None:
    """And whoever names none looks at `coordination`; whoever names `default` means it."""
    for namespace in ("coordination", "team", "default"):
        bound = memory.bind(namespace=namespace, agent=namespace)
        bound.store(f"swarm/{namespace}/status", "working")
        Claims(bound, namespace=namespace).take("auth")
        Gate(bound, "planning", namespace=namespace).request()
    unbound = memory.bind(namespace="default")
    named = {namespace: swarm(unbound, namespace=namespace) for namespace in ("team", "default")}
    for namespace, found in {"coordination": swarm(unbound), **named}.items():
        assert found.namespace == namespace
        assert [one.agent for one in found.agents] == [one.by for one in found.claims] == [namespace]
        assert [one.by for one in found.gates] == [namespace]


def test_a_swarm_is_json_all_through(memory: Memory) -> None:
    """Names and shapes that programs rely on."""
    memory.store("swarm/coder/status", {"state": "blocked", "waiting_for": "plan"})
    Claims(memory).take("auth", ttl=None)
    Gate(memory, "planning").request(["plan"])
    told = json.loads(json.dumps(swarm(memory, last=1).to_json()))
    assert list(told) == ["time", "namespace", "agents", "gates", "claims", "conflicts", "last"]
    assert (told["time"], told["namespace"], told["conflicts"]) == ("2026-02-02T12:00:00Z", "coordination", 0)
    (agent,), (gate,), (claim,), (last,) = told["agents"], told["gates"], told["claims"], told["last"]
    assert agent.pop("entry")["value"] == {"state": "blocked", "waiting_for": "plan"}
    assert agent == {"agent": "coder", "state": "blocked", "waiting_for": ["plan"], "reason": None, "age": 0}
    assert (gate["key"], gate["shows"]) == ("checkpoint/gates/planning", ["plan"])
    assert (claim["task"], claim["by"], claim["entry"]["key"]) == ("auth", "ann", "claims/auth")
    assert last.pop("revision") == memory.snapshot
    assert last == {
        "agent": "ann",
        "session": None,
        "time": "2026-02-02T12:00:00Z",
        "message": "gate request checkpoint/gates/planning",
        "keys": [{"namespace": "coordination", "key": "checkpoint/gates/planning"}],
    }


# --- follow


class Followed:
    """What somebody who follows is told, one after another."""

    def __init__(self, found: Iterator[Swarm]) -> None:
        self._told: Queue[Swarm] = Queue()
        threading.Thread(target=self._follow, args=(found,), daemon=True).start()

    def _follow(self, found: Iterator[Swarm]) -> None:
        for one in found:
            self._told.put(one)

    def next(self) -> Swarm:
        return self._told.get(timeout=30)


def test_each_change_is_told(memory: Memory) -> None:
    """A word, a gate, a claim and its renewal, a key of another namespace: whatever `read` would show."""
    followed = Followed(Status(memory).follow())
    assert followed.next().agents == ()
    memory.store("swarm/coder/status", "working")
    assert [one.state for one in followed.next().agents] == ["working"]
    Gate(memory, "planning").request()
    assert [one.name for one in followed.next().gates] == ["planning"]
    claim = Claims(memory).take("auth", ttl=60)
    first = followed.next().claims[0].entry
    claim.renew(90)
    second = followed.next().claims[0].entry
    assert (second.revision, second.expires - first.expires) == (first.revision, timedelta(seconds=30))
    claim.release()
    assert followed.next().claims == ()
    memory.store("k", 1, namespace="elsewhere")
    assert followed.next().last[0].keys == (("elsewhere", "k"),)


def test_nothing_new_is_not_told_again(memory: Memory) -> None:
    """A commit that changes nothing to be seen wakes, and is kept quiet."""
    followed = Followed(Status(memory).follow(last=0))
    followed.next()
    memory.store("k", 1)
    memory.store("k", 2)
    memory.store("swarm/coder/status", "done")
    assert [one.state for one in followed.next().agents] == ["done"]


def test_an_expiry_is_told_though_nobody_writes(tmp_path: Path) -> None:
    """The claim of a dead agent disappears from the table when it ends."""
    start = datetime(2026, 2, 2, 12, 0, 0, 900_000, tzinfo=UTC)
    asked = iter(range(10**9))
    memory = Memory.open(tmp_path, durability="fast", clock=lambda: start + timedelta(milliseconds=next(asked)))
    Claims(memory).take("auth", ttl=0.001)  # until 12:00:01, some ninety questions later
    followed = Followed(Status(memory).follow())
    assert [one.task for one in followed.next().claims] == ["auth"]
    assert followed.next().claims == ()


def test_an_expiry_that_is_centuries_away_is_no_sleep_that_no_system_knows(memory: Memory) -> None:
    """Whoever follows sleeps for a while, and goes on."""
    Claims(memory).take("auth", ttl=2e11)
    followed = Followed(Status(memory).follow())
    assert [one.task for one in followed.next().claims] == ["auth"]
    memory.store("swarm/coder/status", "done")
    assert [one.state for one in followed.next().agents] == ["done"]


def test_ages_are_told_again_where_that_is_asked(memory: Memory) -> None:
    """For a table in which they are seen to grow."""
    followed = Followed(Status(memory).follow(every=0.001))
    assert followed.next().told() == followed.next().told()
