"""The proof from history: an honest run passes, and whatever was done too early is found.

The histories are made by hand with the words in which a run writes them, each with one thing wrong in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitmem import Memory, UnknownRevisionError
from gitmem.workflow.facts import plan_key
from gitmem.workflow.parts import Plan, PlannedGate, Promise, Waits, Want
from gitmem.workflow.record import Record
from gitmem.workflow.states import DONE
from gitmem.workflow.verify import starts, verify
from tests.runs import SPACE, plan, task

KEY = "checkpoint/gates/planning"
UNSEEN = ("second", "it was started although gate planning was decided by maria before k/1 was there")
PLAN = plan(
    task("first", stores=[Promise("k/1", ("a",))]),
    task("second", "", ["k/1", ("given", "ok")], gates=(KEY,), stores=["k/2"]),
    gates=(PlannedGate("planning", KEY, ("k/1",), ("human",)),),
    given=("given",),
)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path, agent="somebody", namespace=SPACE, durability="fast") as memory:
        memory.store("given", {"ok": True})
        yield memory


class History:
    """A run as it should have gone, move by move."""

    def __init__(self, memory: Memory, session: str = "s", plan: Plan = PLAN) -> None:
        self.memory, self.session, self.plan = memory, session, plan
        record = Record.begin(memory, session, plan)
        assert record is not None
        self.record = record

    def start(self, name: str, attempt: int = 1) -> str:
        self.record.working(self.plan.task(name), attempt, [])
        return self.memory.snapshot

    def done(self, name: str) -> str:
        self.record.over(self.plan.task(name), DONE, attempt=1, exit=0)
        return self.memory.snapshot

    def store(self, agent: str, key: str, value: object) -> str:
        return self.memory.bind(agent=agent, session=self.session).store(key, value).revision

    def honest(self, *left_out: str) -> None:
        """Everything in its order, but for the moves that are left out."""
        moves = {
            "start first": lambda: self.start("first"),
            "store k/1": lambda: self.store("first", "k/1", {"a": 1}),
            "done first": lambda: self.done("first"),
            "approve": lambda: self.store("maria", KEY, "approved"),
            "start second": lambda: self.start("second"),
            "store k/2": lambda: self.store("second", "k/2", 2),
            "done second": lambda: self.done("second"),
        }
        for name, move in moves.items():
            if name not in left_out:
                move()

    def problems(self) -> list[tuple[str, str]]:
        return [(one.task, one.problem) for one in verify(self.memory, self.session)]


def test_an_honest_history_is_proved(memory) -> None:
    """And it can be shown on what each start rested."""
    history = History(memory)
    history.honest()
    assert history.problems() == []
    first, second = starts(memory, "s")
    assert (first.task, first.because) == ("first", {})
    assert second.because == {key: memory.entry(key).revision for key in ("k/1", "given", KEY)}


def test_a_start_before_a_key_is_found(memory) -> None:
    """Though the key came a moment later, and all is there in the end."""
    history = History(memory)
    history.store("maria", KEY, "approved")
    start = history.start("second")
    history.honest("approve", "start second")
    assert {one.revision for one in verify(memory, "s")} == {start}
    assert history.problems() == [("second", "it was started although k/1 was not there"), UNSEEN]


def test_every_attempt_is_judged(memory) -> None:
    """A first start that was too early is not made good by a second one."""
    history = History(memory)
    history.start("second")
    history.honest("start second", "store k/2", "done second")
    history.start("second", attempt=2)
    assert len(starts(memory, "s")) == 3
    assert history.problems() == [
        ("second", "it was started although k/1 was not there"),
        ("second", f"it was started although {KEY} was not there"),
    ]


def test_a_key_that_came_with_the_start_itself_came_too_late(memory) -> None:
    """One commit with both says nothing of what was there before."""
    history = History(memory)
    history.store("maria", KEY, "approved")
    with history.record.memory.transaction("both") as tx:
        tx.store("k/1", {"a": 1})
        tx.store("swarm/second/status", {"state": "working", "attempt": 1})
    assert history.problems() == [("second", "it was started although k/1 was not there"), UNSEEN]


def test_the_key_of_an_earlier_run_does_not_count(memory) -> None:
    """A run that had not taken it away would have started on it at once."""
    old = memory.branch("old")
    revision = old.store("k/1", {"a": "old"}).revision
    history = History(memory)
    history.start("first")
    memory.merge("old")
    history.store("maria", KEY, "approved")
    history.start("second")
    assert history.problems() == [
        ("second", f"it was started although k/1 was there only in a version of {revision[:12]}, from before this run"),
        UNSEEN,
    ]


def test_an_approval_of_an_earlier_run_does_not_count(memory) -> None:
    """A person approves what this run shows."""
    old = memory.branch("old")
    old.bind(agent="maria").store(KEY, "approved")
    history = History(memory)
    memory.merge("old")
    history.honest("approve")
    assert [name for name, problem in history.problems() if "from before this run" in problem] == ["second"]


def test_a_gate_that_was_decided_by_one_who_may_not_is_found(memory) -> None:
    """The plan says who decides, the commit who did."""
    history = History(memory)
    history.store("first", KEY, "approved")
    history.honest("approve")
    assert ("second", "it was started although gate planning was decided by first, who may not") in history.problems()


def test_a_gate_that_was_decided_before_what_it_shows_was_there_is_found(memory) -> None:
    """Nobody can have looked at it. A gate that shows something given can be decided at once."""
    history = History(memory)
    history.store("maria", KEY, "approved")
    history.honest("approve")
    assert history.problems() == [UNSEEN]
    history.store("maria", KEY, {"state": "approved"})
    history.start("second", attempt=2)
    assert history.problems() == [UNSEEN]
    at_once = plan(task("one", gates=(KEY,)), given=("given",), gates=(PlannedGate("planning", KEY, ("given",)),))
    history = History(memory, "at-once", at_once)
    history.store("maria", KEY, "approved")
    history.start("one")
    assert history.problems() == []


def test_a_gate_that_was_decided_on_what_an_earlier_run_left_is_found(memory) -> None:
    """A merge brought it in, and the person decided on that: this run's came later."""
    old = memory.branch("old")
    old.store("k/1", {"a": "old"})
    history = History(memory)
    memory.merge("old")
    history.store("maria", KEY, "approved")
    history.honest("approve")
    assert history.problems() == [UNSEEN]


@pytest.mark.parametrize("word", ["pending", "rejected"])
def test_a_gate_that_was_not_approved_is_found(memory, word) -> None:
    """A gate that is there is not yet open."""
    history = History(memory)
    history.start("first")
    history.store("first", "k/1", {"a": 1})
    history.store("maria", KEY, word)
    history.honest("start first", "store k/1", "approve")
    assert history.problems() == [("second", "it was started although gate planning was not approved")]


def test_a_condition_that_did_not_hold_is_found(memory) -> None:
    """It had held before, and holds again: at the start it did not."""
    history = History(memory)
    history.honest("start second", "store k/2", "done second")
    history.store("somebody", "given", {"ok": False})
    history.start("second")
    history.store("somebody", "given", {"ok": True})
    assert history.problems() == [("second", "it was started although given was not as it is waited for")]


def test_of_any_one_is_enough_and_none_is_found(memory) -> None:
    """`any` of two."""
    any_of = plan(task("one", "", Waits("any", (Want("a"), Want("b")))), given=("a", "b"))
    history = History(memory, "none", any_of)
    history.start("one")
    assert {problem for _, problem in history.problems()} == {
        "it was started although a was not there",
        "it was started although b was not there",
    }
    memory.store("b", 1)
    history = History(memory, "enough", any_of)
    history.start("one")
    assert history.problems() == []


def test_what_a_task_wrote_before_it_was_started_is_found(memory) -> None:
    """An agent that was begun behind the record's back betrays itself as soon as it writes."""
    history = History(memory)
    history.store("second", "scratch", 1)
    history.honest()
    assert history.problems() == [("second", "it wrote before it was started")]


def test_a_task_that_is_called_done_without_what_it_promised_is_found(memory) -> None:
    """Its key missing, lacking a member, or older than the task."""
    history = History(memory)
    history.honest("store k/2")
    assert history.problems() == [("second", "it was called done although k/2 was promised and is not there")]
    history = History(memory, "lacking")
    history.start("first")
    history.store("first", "k/1", {"b": 1})
    history.done("first")
    assert history.problems() == [("first", "it was called done although k/1 lacks a")]
    history = History(memory, "older")
    history.store("somebody", "k/1", {"a": 1})
    history.start("first")
    history.done("first")
    assert "older than the task" in history.problems()[0][1]


def test_a_task_that_is_called_done_and_was_never_started_is_found(memory) -> None:
    """There is nothing that could have made it so."""
    history = History(memory)
    history.honest("start first")
    assert history.problems() == [
        ("first", "it wrote before it was started"),
        ("first", "it was called done, and had not been started"),
    ]


def test_a_start_beside_the_run_is_found(memory) -> None:
    """A commit with the run's names that does not come after its first commit: a branch, merged in later."""
    beside = memory.branch("beside")
    history = History(memory)
    other = beside.bind(agent="gitmem-run", session="s")
    other.store("swarm/first/status", {"state": "working", "attempt": 1})
    memory.merge("beside")
    assert ("first", "it was started outside this run: not after its first commit") in history.problems()


def test_a_plan_that_was_changed_afterwards_is_found_and_does_not_help(memory) -> None:
    """What waits for nothing is never early: judged is the plan as it was."""
    history = History(memory)
    history.start("second")
    easier = PLAN._replace(tasks=tuple(one._replace(waits=Waits(), gates=()) for one in PLAN.tasks))
    memory.store(plan_key("s"), easier.to_json())
    assert history.problems() == [
        ("", "the plan was modified by somebody after the run began"),
        ("second", "it was started although k/1 was not there"),
        ("second", f"it was started although {KEY} was not there"),
    ]
    memory.delete(plan_key("s"))
    assert history.problems()[0] == ("", "the plan was deleted by somebody after the run began")


def test_what_others_say_of_a_task_proves_nothing(memory) -> None:
    """The status key is everybody's: only the run's own commits count, for and against it."""
    history = History(memory)
    history.honest("start second", "store k/2", "done second")
    history.store("second", "swarm/second/status", {"state": "working"})
    memory.bind(agent="gitmem-run", session="another").store("swarm/second/status", {"state": "working", "attempt": 9})
    history.store("second", "k/2", 2)
    history.done("second")
    assert ("second", "it was called done, and had not been started") in history.problems()


def test_two_runs_in_one_history_are_judged_apart(memory) -> None:
    """The second one's first commit took away what the first one's tasks had stored; that is no fault of the first."""
    for session in ("one", "two"):
        History(memory, session).honest()
    assert verify(memory, "one") == verify(memory, "two") == []


def test_a_session_that_is_no_run_is_an_error(memory) -> None:
    """An empty list would be a proof."""
    memory.bind(session="talk").store("k", 1)
    for session in ("talk", "nobody"):
        with pytest.raises(UnknownRevisionError):
            verify(memory, session)
