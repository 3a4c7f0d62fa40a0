"""The gates of a run: asked when there is something to decide on, decided by those who may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitmem import Memory
from gitmem.recipes import Gate
from gitmem.workflow.parts import PlannedGate
from gitmem.workflow.record import Record
from gitmem.workflow.verify import verify
from tests.runs import SPACE, ends, gate_pipe, plan, reason, run, running, task

KEY = "checkpoint/gates/planning"
PLANNING = PlannedGate("planning", KEY, ("checkpoint/plan",), ("human",))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory", agent="somebody", durability="fast") as memory:
        yield memory


def guarded(gate: PlannedGate = PLANNING, first: str = 'store checkpoint/plan "do it"'):
    """A planner, a gate, and whoever waits for it."""
    return plan(
        task("planner", first, stores=["checkpoint/plan"]),
        task("builder", "", ["checkpoint/plan"], gates=(KEY,)),
        gates=(gate,),
    )


def gate(memory: Memory, agent: str = "maria") -> Gate:
    return Gate(memory.bind(agent=agent), "planning")


def test_a_gate_is_asked_once_what_it_shows_is_there(memory, tmp_path) -> None:
    """Not before: there would be nothing to look at."""
    go = tmp_path / "go"
    held = guarded(first=f'hear {go}; store checkpoint/plan "do it"')
    with gate_pipe(go), running(memory, held, tmp_path) as going:
        going.watcher.until("planner", "working")
        assert going.watcher.until("planning", "waiting").waiting_for == ("checkpoint/plan",)
        assert gate(memory).read().state == "nothing"
        go.write_text("go", "utf-8")
        going.watcher.until("planning", "pending")
        asked = gate(memory).read()
        assert (asked.shows, asked.entry.agent) == (("checkpoint/plan",), "gitmem-run")
        assert going.watcher.states("builder") == ["waiting"]
        gate(memory).approve()
        outcome = going.end()
    assert outcome.verdict == "done"
    assert (outcome.gates[0].state, outcome.gates[0].by) == ("approved", "maria")
    assert going.watcher.states("planning") == ["waiting", "pending", "approved"]
    assert verify(memory, outcome.session) == []


def test_a_rejected_gate_stops_who_waits_for_it_with_the_feedback(memory, tmp_path) -> None:
    """And the run ends as rejected, not as failed."""
    with running(memory, guarded(), tmp_path) as going:
        going.watcher.until("planning", "pending")
        gate(memory).reject("too dear")
        outcome = going.end()
    assert ends(outcome) == {"planner": "done", "builder": "stopped"}
    assert reason(outcome, "builder") == "gate planning was rejected by maria: too dear"
    assert (outcome.phase, outcome.verdict) == ("failed", "rejected")
    assert (outcome.gates[0].reason, outcome.gates[0].by) == ("too dear", "maria")


def test_an_approval_that_is_taken_back_at_the_last_moment_lets_nobody_through(memory, tmp_path, monkeypatch) -> None:
    """The start is bound to the very decision that was seen."""
    real = Record.working

    def late(self, task, attempt, because) -> None:
        because = list(because)
        if task.name == "builder":
            memory.bind(agent="maria").store(KEY, "rejected", namespace=SPACE)
        real(self, task, attempt, because)

    monkeypatch.setattr(Record, "working", late)
    with running(memory, guarded(), tmp_path) as going:
        going.watcher.until("planning", "pending")
        gate(memory).approve()
        outcome = going.end()
    assert (outcome.verdict, ends(outcome)["builder"]) == ("rejected", "stopped")


def test_who_only_stores_takes_part(memory, tmp_path) -> None:
    """`gitmem store checkpoint/gates/planning approved` is what an agent without gates writes."""
    with running(memory, guarded(), tmp_path) as going:
        going.watcher.until("planning", "pending")
        memory.store(KEY, "approved", namespace=SPACE)
        assert going.end().verdict == "done"


def test_a_gate_that_an_agent_has_asked_itself_is_not_asked_again(memory, tmp_path) -> None:
    """It may have said more than the run could."""
    asking = f'store {KEY} "pending-approval"; store checkpoint/plan "do it"'
    with running(memory, guarded(first=asking), tmp_path) as going:
        going.watcher.until("planner", "done")
        assert memory.retrieve(KEY, namespace=SPACE) == "pending-approval"
        gate(memory).approve()
        assert going.end().verdict == "done"


@pytest.mark.parametrize("move", ["approve", "complete", "reject"])
def test_a_decision_of_one_who_may_not_decide_does_not_stand(memory, tmp_path, move) -> None:
    """The planner may not approve its own plan, nor reject it for a person; it is told so, and a person may decide."""
    word = {"approve": "approved", "complete": "complete", "reject": "rejected"}[move]
    with running(memory, guarded(), tmp_path) as going:
        going.watcher.until("planning", "pending")
        memory.bind(agent="planner").store(KEY, word, namespace=SPACE)
        again = memory.wait_for(KEY, until="state == 'pending'", timeout=60, namespace=SPACE)
        assert again.agent == "gitmem-run"
        assert move == "complete" or again.value["feedback"] == "planner may not decide this gate, only human"
        assert going.watcher.states("builder") == ["waiting"]
        gate(memory).approve()
        outcome = going.end()
    assert outcome.verdict == "done"
    assert verify(memory, outcome.session) == []


@pytest.mark.parametrize("word", ["approved", "complete", "rejected"])
def test_a_decision_on_what_was_not_there_yet_is_taken_back_and_asked_again(memory, tmp_path, word) -> None:
    """Whoever decides before the plan is there has not seen it. He is told so, and asked once he can look at it."""
    go = tmp_path / "go"
    held = guarded(first=f'hear {go}; store checkpoint/plan "do it"')
    said = "maria decided before checkpoint/plan was there: once it is, decide again"
    with gate_pipe(go), running(memory, held, tmp_path) as going:
        going.watcher.until("planner", "working")
        early = memory.bind(agent="maria").store(KEY, word, namespace=SPACE)
        memory.wait_until(lambda view: view.entry(KEY, None) != early, timeout=60, namespace=SPACE)
        if word != "complete":
            assert memory.retrieve(KEY, namespace=SPACE)["feedback"] == said
        go.write_text("go", "utf-8")
        going.watcher.until("planning", "pending")
        asked = gate(memory).read()
        assert (asked.shows, asked.feedback) == (("checkpoint/plan",), None if word == "complete" else said)
        assert going.watcher.states("planning") == ["waiting", "pending"]
        assert going.watcher.states("builder") == ["waiting"]
        gate(memory).approve()
        outcome = going.end()
    assert (outcome.verdict, verify(memory, outcome.session)) == ("done", [])


def test_a_decision_that_one_commit_makes_together_with_what_it_is_about_stands(memory, tmp_path) -> None:
    """What was there then was seen: another copy may bring both at once."""
    memory.store("given/plan", "do it", namespace=SPACE)
    shown = PLANNING._replace(shows=("given/plan",))
    both = plan(task("builder", "", ["given/plan"], gates=(KEY,)), gates=(shown,), given=("given/plan",))
    with running(memory, both, tmp_path) as going:
        going.watcher.until("planning", "pending")
        with memory.bind(namespace=SPACE, agent="maria").transaction("both") as tx:
            tx.store("given/plan", "do it well")
            tx.store(KEY, "approved")
        assert going.end().verdict == "done"


def test_a_gate_that_is_taken_back_shows_again_what_it_has_to(memory, tmp_path) -> None:
    """A bare word at its key shows nothing: a person would be asked to decide on nothing."""
    with running(memory, guarded(), tmp_path) as going:
        going.watcher.until("planning", "pending")
        memory.bind(agent="planner").store(KEY, "approved", namespace=SPACE)
        shown = "state == 'pending' && feedback && shows == ['checkpoint/plan']"
        again = memory.wait_for(KEY, until=shown, timeout=60, namespace=SPACE)
        assert again.value["feedback"] == "planner may not decide this gate, only human"
        gate(memory).approve(expect=again)
        assert going.end().verdict == "done"


def test_an_agent_may_decide_where_the_plan_says_so(memory, tmp_path) -> None:
    """A reviewer among the tasks."""
    by_reviewer = PLANNING._replace(deciders=("reviewer",))
    reviewed = guarded(by_reviewer)
    reviewer = task("reviewer", f'store {KEY} {{"state":"approved"}}', ["checkpoint/plan"])
    reviewed = reviewed._replace(tasks=(*reviewed.tasks, reviewer))
    outcome = run(memory, reviewed, tmp_path)
    assert outcome.verdict == "done"
    assert (outcome.gates[0].by, verify(memory, outcome.session)) == ("reviewer", [])


def test_the_approval_of_an_earlier_run_lets_nobody_through(memory, tmp_path) -> None:
    """Each run is approved anew."""
    for _ in range(2):
        with running(memory, guarded(), tmp_path) as going:
            going.watcher.until("planning", "pending")
            assert going.watcher.states("builder") == ["waiting"]
            gate(memory).approve()
            assert going.end().verdict == "done"


def test_an_approval_that_a_merge_brings_in_from_before_the_run_is_none(memory, tmp_path) -> None:
    """It is taken away, and the gate asked."""
    memory.branch("old").bind(agent="maria", namespace=SPACE).store(KEY, "approved")
    go = tmp_path / "go"
    held = guarded(first=f'hear {go}; store checkpoint/plan "do it"')
    with gate_pipe(go), running(memory, held, tmp_path) as going:
        going.watcher.until("planner", "working")
        memory.merge("old")
        go.write_text("go", "utf-8")
        going.watcher.until("planning", "pending")
        assert going.watcher.states("builder") == ["waiting"]
        gate(memory).approve()
        outcome = going.end()
    assert (outcome.verdict, verify(memory, outcome.session)) == ("done", [])


def test_what_is_no_gate_at_a_gates_key_lets_nobody_through_and_breaks_nothing(memory, tmp_path) -> None:
    """Whoever wrote it may mend it."""
    with running(memory, guarded(first=f'store {KEY} [1]; store checkpoint/plan "do it"'), tmp_path) as going:
        going.watcher.until("planner", "done")
        memory.bind(agent="maria").store(KEY, "approved", namespace=SPACE)
        assert going.end().verdict == "done"
