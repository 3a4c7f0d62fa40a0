"""Gates: the table of states and moves, what counts as a gate, and who is told what stands."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem import (
    ABSENT,
    ConflictError,
    GateRejectedError,
    InvalidKeyError,
    InvalidValueError,
    Memory,
    MissingKeyError,
    StaleError,
    WaitTimeoutError,
)
from gitmem.recipes import Gate
from gitmem.recipes.gate import MOVES, STATES, GateStatus, gates, picture, state_of
from gitmem.recipes.gate_review import review

KEY = "checkpoint/gates/planning"
NAMES = sorted({move for _, move in MOVES})
PLAIN = {
    "pending": "pending", "pending-approval": "pending", "pending-review": "pending", "approved": "approved",
    "rejected": "rejected", "complete": "complete", "true": "approved", "false": "rejected",
}  # fmt: skip


@pytest.fixture
def memory(tmp_path: Path) -> Any:
    with Memory.open(tmp_path, agent="planner", durability="fast") as memory:
        yield memory


def move(gate: Gate, name: str) -> GateStatus:
    """The move of this name, with a feedback where it takes one."""
    return getattr(gate, name)(*(["not yet"] if name in {"reject", "reopen"} else []))


# --- what counts as a gate


@pytest.mark.parametrize(("word", "state"), [*PLAIN.items(), (True, "approved"), (False, "rejected")])
def test_a_plain_word_is_a_gate(word: object, state: str) -> None:
    """Whoever only knows how to store takes part; as the member `state` a word says the same."""
    assert state_of(word) == state_of({"state": word, "more": 1}) == state


@pytest.mark.parametrize(
    "value", [None, 1, 0, 1.0, "", "Approved", "nothing", [], ["approved"], {}, {"status": "approved"},
              {"state": None}, {"state": 1}, {"state": {"state": "approved"}}, {"state": "working"}],
)  # fmt: skip
def test_anything_else_is_no_gate(value: object) -> None:
    """Neither is 1 true, nor what an agent says of itself: a guess would let somebody go on."""
    assert state_of(value) is None


def test_a_bare_name_lies_where_gates_lie(memory: Memory) -> None:
    """And what has a slash is the full key, of the namespace in which agents coordinate unless one is named."""
    Gate(memory, "planning").approve()
    Gate(memory, "checkpoint/phase0/architecture-approved").approve()
    Gate(memory.bind(namespace="team"), "planning").reject("no")
    Gate(memory, "planning", namespace="default").complete()
    assert memory.list(namespace="coordination") == [KEY, "checkpoint/phase0/architecture-approved"]
    assert [memory.retrieve(KEY, namespace=one)["state"] for one in ("team", "default")] == ["rejected", "complete"]
    with pytest.raises(InvalidKeyError):
        Gate(memory, "")


def test_a_gate_says_all_that_was_said_of_it(memory: Memory) -> None:
    """The value is small and plain, so that whoever only retrieves it understands it too."""
    gate = Gate(memory, "planning")
    assert gate.read() == GateStatus(KEY, "nothing")
    assert gate.read().to_json()["entry"] is None
    gate.request(["checkpoint/phase1/plan"])
    made = Gate(memory.bind(agent="reviewer"), "planning").reject({"missing": ["rollback"]})
    assert memory.retrieve(KEY, namespace="coordination") == {
        "state": "rejected", "shows": ["checkpoint/phase1/plan"], "feedback": {"missing": ["rollback"]},
        "by": "reviewer",
    }  # fmt: skip
    assert made == gate.read()
    assert (made.state, made.shows, made.by) == ("rejected", ("checkpoint/phase1/plan",), "reviewer")
    assert made.to_json()["entry"]["agent"] == "reviewer"
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(
    ("value", "shows", "by"),
    [
        ("rejected", (), "planner"),
        ({"state": "rejected", "by": "alice", "shows": ["a", 1, "b"]}, ("a", "b"), "alice"),
        ({"state": "rejected", "by": 7, "shows": "a"}, (), "planner"),
        ({"state": "rejected", "shows": ["/a", "", "b", "c\n"]}, ("b",), "planner"),
    ],
)
def test_who_is_named_else_who_signed(memory: Memory, value: object, shows: tuple[str, ...], by: str) -> None:
    """A reviewer may pass on what somebody else decided; members of a wrong kind are nobody's."""
    memory.store(KEY, value, namespace="coordination")
    status = Gate(memory, "planning").read()
    assert (status.shows, status.by, status.entry and status.entry.agent) == (shows, by, "planner")


def test_what_is_no_gate_is_not_overwritten(memory: Memory) -> None:
    """A slip in a gate's name must not cost a plan."""
    memory.store("checkpoint/phase1/plan", {"steps": []}, namespace="coordination")
    gate = Gate(memory, "checkpoint/phase1/plan")
    for name in [*NAMES, "read"]:
        with pytest.raises(InvalidValueError, match="is no gate"):
            move(gate, name)
    assert memory.entry("checkpoint/phase1/plan", namespace="coordination").version == 1


def test_the_gates_are_found_among_other_keys(memory: Memory) -> None:
    """As objects, words and true, at any key of the pattern."""
    here = memory.bind(namespace="coordination")
    here.store("checkpoint/phase1/plan", {"steps": ["approved"]})
    here.store("checkpoint/phase0/architecture-approved", True)
    here.store("checkpoint/gates/implementation", "pending-review")
    here.store("elsewhere/gate", "pending")
    Gate(memory, "planning").request()
    assert [(one.name, one.state) for one in gates(memory)] == [
        ("implementation", "pending"), ("planning", "pending"), ("checkpoint/phase0/architecture-approved", "approved"),
    ]  # fmt: skip
    assert [one.key for one in gates(memory, "**/gate", namespace="coordination")] == ["elsewhere/gate"]
    assert gates(memory, namespace="default") == []


# --- moves


def allowed(state: str, name: str) -> bool:
    """The table once more, in words."""
    undecided, decided = state in {"nothing", "pending"}, state in {"approved", "rejected"}
    return {
        "request": undecided or state == "rejected",
        "resubmit": state == "rejected",
        "approve": undecided,
        "reject": undecided,
        "complete": state in {"nothing", "approved"},
        "reopen": decided,
    }[name]


AFTER = {
    "request": "pending", "resubmit": "pending", "reopen": "pending", "approve": "approved", "reject": "rejected",
    "complete": "complete",
}  # fmt: skip
ACTIONS = st.one_of(
    st.sampled_from(NAMES).map(lambda name: ("move", name)),
    st.sampled_from(sorted(PLAIN)).map(lambda word: ("store", word)),
    st.booleans().map(lambda said: ("store", said)),
    st.just(("delete", None)),
)


@given(actions=st.lists(st.tuples(ACTIONS, st.sampled_from(["ann", "ben"])), max_size=12))
def test_the_table_is_obeyed_whatever_others_store(tmp_path_factory: Any, actions: list[Any]) -> None:
    """Random moves by two agents, mixed with plain stores and deletions, against the table in words."""
    with Memory.open(tmp_path_factory.mktemp("gate"), durability="fast") as memory:
        state, by = "nothing", None
        for (kind, what), agent in actions:
            here = memory.bind(agent=agent, namespace="coordination")
            if kind == "move":
                state, by = _moved(Gate(here, "planning"), what, state, by)
            elif kind == "store":
                by = here.store(KEY, what).agent  # of the first who stored it, if nothing changes
                state = "approved" if what is True else "rejected" if what is False else PLAIN[what]
            elif state != "nothing":
                here.delete(KEY)
                state, by = "nothing", None
            read = Gate(memory, "planning").read()
            assert (read.state, read.by) == (state, by)


def _moved(gate: Gate, name: str, state: str, by: str | None) -> tuple[str, str | None]:
    before = gate.memory.snapshot
    if allowed(state, name):
        made = move(gate, name)
        newest = gate.memory.history(KEY, limit=1)[0]
        assert made.entry is not None
        assert (made.state, made.entry.revision, newest.agent) == (AFTER[name], newest.revision, gate.memory.agent)
        return made.state, gate.memory.agent
    with pytest.raises(ConflictError) as caught:
        move(gate, name)
    assert gate.memory.snapshot == before
    assert (f"it is {state}, by {by} at " if by else "it is not requested") in caught.value.message
    return state, by


def test_every_state_is_reached_and_every_move_said(memory: Memory) -> None:
    """A table with a row that nothing leads to is a slip."""
    assert {state for state, _ in MOVES} | set(MOVES.values()) == set(STATES)
    assert [name for name in NAMES if not callable(getattr(Gate, name, None))] == []
    assert {(state, name) for state in STATES for name in NAMES if allowed(state, name)} == set(MOVES)


@pytest.mark.parametrize(
    ("state", "name", "told", "hint"),
    [
        ("nothing", "resubmit", "cannot be resubmitted: it is not requested", "`gitmem gate request planning`"),
        ("pending", "complete", "cannot be completed: it is pending, by ann at", "`gitmem gate approve planning`"),
        ("approved", "reject", "cannot be rejected: it is approved, by ann at",
         "`gitmem gate reopen planning --feedback TEXT`"),
        ("rejected", "approve", "cannot be approved: it is rejected, by ann at", "`gitmem gate resubmit planning`"),
        ("complete", "request", "cannot be requested: it is complete, by ann at", "`gitmem delete " + KEY),
    ],
)  # fmt: skip
def test_an_illegal_move_is_told_what_stands(memory: Memory, state: str, name: str, told: str, hint: str) -> None:
    """Which state, by whom, since when; and what would be legal, as it is typed."""
    gate = Gate(memory, "planning")
    if state != "nothing":
        gate.memory.bind(agent="ann").store(KEY, state)
    with pytest.raises(ConflictError, match=told) as caught:
        move(gate, name)
    assert hint in caught.value.hint
    assert (caught.value.namespace, caught.value.key) == ("coordination", KEY)


def test_a_hint_names_the_namespace_and_quotes_the_name(memory: Memory) -> None:
    """A command that is copied must mean the same gate, of the same branch."""
    with pytest.raises(ConflictError) as caught:
        Gate(memory, "phase 1", namespace="team").resubmit()
    assert "`gitmem gate request 'phase 1' -n team`" in caught.value.hint
    with pytest.raises(ConflictError) as caught:
        Gate(memory.branch("trial"), "planning").resubmit()
    assert "`gitmem gate request planning --branch trial`" in caught.value.hint


def test_a_feedback_is_told_to_who_comes_later(memory: Memory) -> None:
    """With the decision, whatever JSON it is."""
    Gate(memory, "planning").reject(["no rollback"])
    with pytest.raises(ConflictError, match=r'at [0-9TZ:-]+: \["no rollback"\]$'):
        Gate(memory, "planning").approve()


def test_what_was_requested_is_kept_until_something_else_is(memory: Memory) -> None:
    """A decision and a second submission need not name the keys again; a feedback stands until the next move."""
    gate = Gate(memory, "planning")
    gate.request(["a", "b"])
    assert gate.reject("no").shows == ("a", "b")
    assert (gate.resubmit().shows, gate.read().feedback) == (("a", "b"), None)
    assert gate.request("c").shows == ("c",)
    assert gate.request([]).shows == ()
    with pytest.raises(InvalidKeyError):
        gate.request(["a//b"])


def test_asking_twice_alike_is_one_request(memory: Memory) -> None:
    """A retry leaves no trace."""
    gate = Gate(memory, "planning")
    assert gate.request(["a"]).entry == gate.request(["a"]).entry


# --- together


class Late(Memory):
    """Somebody else moves between its look and its write."""

    def store(self, key: str, value: Any, **options: Any) -> Any:
        """As ever, but too late."""
        with Memory.open(self.path, agent="bob", create=False, namespace="coordination") as others:
            others.store(KEY, {"state": "rejected", "feedback": "no rollback", "by": "bob"})
        return super().store(key, value, **options)


@pytest.mark.parametrize("first", [None, "pending-approval", {"state": "pending", "shows": [], "by": "planner"}])
def test_the_second_of_two_reviewers_is_told_who_was_quicker(tmp_path: Path, first: Any) -> None:
    """Also where both found nothing there, or a plain word."""
    with Late.open(tmp_path, agent="ann", durability="fast") as memory:
        if first is not None:
            Memory.store(memory, KEY, first, namespace="coordination")
        with pytest.raises(StaleError, match=r"was not approved.*it is rejected, by bob at .*: no rollback") as caught:
            Gate(memory, "planning").approve()
        assert caught.value.current.agent == "bob"
        assert memory.entry(KEY, namespace="coordination").agent == "bob"


def test_the_table_is_obeyed_also_where_a_later_version_is_expected(tmp_path: Path) -> None:
    """Its number can be named before it is there; it may be a decision, which no other one follows."""
    with Late.open(tmp_path, agent="ann", durability="fast") as memory:
        Memory.store(memory, KEY, "pending", namespace="coordination")
        with pytest.raises(StaleError, match="it is rejected, by bob"):
            Gate(memory, "planning").approve(expect=2)
        assert memory.entry(KEY, namespace="coordination").agent == "bob"


def test_a_decision_holds_for_what_was_looked_at(memory: Memory) -> None:
    """Of the gate, and of what it shows; a key that was not there must still be missing."""
    here, gate = memory.bind(namespace="coordination"), Gate(memory, "planning")
    plan = here.store("plan", {"steps": 1})
    seen = gate.request(["plan", "draft"])
    guard = [plan, ("draft", ABSENT)]
    gate.request(["plan"])
    with pytest.raises(StaleError, match="was not approved, since it has changed: it is pending, by planner"):
        gate.approve(expect=seen.entry, guard=guard)
    now = gate.request(["plan", "draft"]).entry
    here.store("draft", 1)
    with pytest.raises(StaleError, match="key 'draft'"):
        gate.approve(expect=now, guard=guard)
    here.delete("draft")
    here.store("plan", {"steps": 2})
    with pytest.raises(StaleError, match="key 'plan'"):
        gate.reject("no", expect=now, guard=guard)
    here.store("plan", {"steps": 1})
    with pytest.raises(StaleError, match="key 'plan'"):
        gate.approve(expect=now, guard=guard)
    assert gate.approve(expect=now, guard=[here.entry("plan")]).state == "approved"


def test_a_gate_that_is_gone_meanwhile_is_told_so(memory: Memory) -> None:
    """A run that begins anew deletes it."""
    gate = Gate(memory, "planning")
    seen = gate.request()
    gate.memory.delete(KEY)
    with pytest.raises(StaleError, match="it is gone"):
        gate.approve(expect=seen.entry)


def test_a_gate_that_expires_is_nothing_again(tmp_path: Path, clock: Any) -> None:
    """An approval for an hour holds for an hour; who moves then finds nothing, and says so."""
    with Memory.open(tmp_path, durability="fast", clock=clock, namespace="coordination") as memory:
        memory.store(KEY, "approved", ttl=60)
        clock.advance(61)
        assert Gate(memory, "planning").read().state == "nothing"
        assert Gate(memory, "planning").request().state == "pending"


# --- waiting


@pytest.mark.parametrize("word", ["approved", "complete", "true", True, {"state": "approved"}])
def test_a_waiter_goes_on_when_somebody_only_stores(memory: Memory, word: object) -> None:
    """An agent that knows no gates opens one all the same; what is pending, or no gate at all, opens none."""
    gate = Gate(memory, "planning")
    with ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(gate.wait_until_approved, timeout=60)
        for value in ("pending", 1, "nearly approved", "pending-review", word):
            assert not waiter.done()
            gate.memory.bind(agent="bob").store(KEY, value)
        assert (waiter.result().value, waiter.result().agent) == (word, "bob")


@pytest.mark.parametrize(
    ("value", "feedback", "by"),
    [("rejected", None, "bob"), (False, None, "bob"), ("false", None, "bob"),
     ({"state": "rejected", "feedback": ["no rollback"], "by": "alice"}, ["no rollback"], "alice")],
)  # fmt: skip
def test_a_waiter_is_told_of_the_rejection(memory: Memory, value: object, feedback: object, by: str) -> None:
    """What is missing and who says so; a plain word says no more than that."""
    gate = Gate(memory, "planning")
    gate.request()
    with ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(gate.wait_until_approved, timeout=60)
        gate.memory.bind(agent="bob").store(KEY, value)
        with pytest.raises(GateRejectedError, match=f"gate '{KEY}' is closed: it is rejected, by {by}") as caught:
            waiter.result()
    assert (caught.value.gate, caught.value.feedback, caught.value.by) == (KEY, feedback, by)
    assert "`gitmem gate resubmit planning`" in caught.value.hint


@pytest.mark.parametrize("stored", [None, "pending", {"state": "pending"}, 5])
def test_who_waits_in_vain_is_told_who_has_to_act(memory: Memory, stored: object) -> None:
    """Waiting longer does not help where nobody decides."""
    gate = Gate(memory, "planning")
    if stored is not None:
        gate.memory.store(KEY, stored)
    with pytest.raises(WaitTimeoutError) as caught:
        gate.wait_until_approved(timeout=0)
    assert caught.value.missing == [KEY]
    assert caught.value.hint == "somebody has to decide: `gitmem gate review planning`"


def test_a_gate_that_is_open_lets_through_at_once(memory: Memory) -> None:
    """The decision may have come before the question; a rejection that was mended counts no more."""
    gate = Gate(memory, "planning")
    gate.reject("no")
    gate.resubmit()
    approved = gate.approve().entry
    assert gate.wait_until_approved(timeout=0) == approved
    gate.complete()
    assert gate.wait_until_approved(timeout=0).value["state"] == "complete"


# --- what a reviewer sees


def test_a_review_shows_values_and_what_is_new_in_them(memory: Memory) -> None:
    """Since the request before this one; a key that is not there is told, too."""
    gate = Gate(memory, "planning")
    here = gate.memory
    here.store("plan", {"steps": ["a"], "risk": "low"})
    here.store("same", 1)
    first = gate.request(["plan", "same", "draft", "gone", "plan"])
    here.store("gone", 1)
    here.bind(agent="bob").store("plan", {"steps": ["a"], "risk": "high"})
    seen = review(gate)
    assert (version(seen.gate), seen.since, seen.decision) == (version(first), None, None)
    assert [(one.key, one.entry and one.entry.value, one.change) for one in seen.shown] == [
        ("plan", {"steps": ["a"], "risk": "high"}, None), ("same", 1, None), ("draft", None, None), ("gone", 1, None),
    ]  # fmt: skip
    rejected = gate.reject("too risky")
    here.store("plan", {"steps": ["a", "b"], "risk": "low"})
    here.delete("gone")
    here.store("draft", "text")
    again = gate.resubmit()
    seen = review(gate)
    assert [version(one) for one in (seen.gate, seen.since, seen.decision)] == [
        version(one) for one in (again, first, rejected)
    ]
    found = {one.key: one.change and [tuple(member) for member in one.change.members] for one in seen.shown}
    assert found == {"plan": [("/steps/1", ABSENT, "b")], "same": None, "draft": [("", ABSENT, "text")], "gone": None}
    assert json.loads(json.dumps(seen.to_json()))["shown"][0]["change"]["members"][0]["after"] == "b"


def version(one: GateStatus | None) -> tuple[str, str]:
    """Which version of the gate this is; the snapshot that it was read in is another matter."""
    assert one is not None
    assert one.entry is not None
    return one.state, one.entry.revision


def test_a_review_counts_from_the_request_before(memory: Memory) -> None:
    """Also where nobody decided in between, where an outsider asked, and where a run deleted the gate."""
    gate = Gate(memory, "planning")
    first = gate.memory.store(KEY, "pending-approval")
    gate.request(["plan"])
    assert version(review(gate).since) == ("pending", first.revision)
    second = gate.request(["plan", "more"])
    gate.approve()
    gate.memory.delete(KEY)
    gate.request(["plan"])
    assert version(review(gate).since) == version(second)
    assert [one.state for one in [review(gate).decision] if one] == ["approved"]


def test_a_gate_that_nobody_requested_is_not_reviewed(memory: Memory) -> None:
    """There is nothing to show; a slip in its name is told."""
    with pytest.raises(MissingKeyError, match="has not been requested") as caught:
        review(Gate(memory, "planing"))
    assert "`gitmem gate list`" in caught.value.hint


def test_a_decision_on_a_review_holds_for_all_that_was_shown(memory: Memory) -> None:
    """A plan that changed between the look and the answer is looked at again."""
    gate = Gate(memory, "planning")
    gate.memory.store("plan", 1)
    gate.request(["plan", "draft"])
    changes = [lambda: gate.memory.store("plan", 2), lambda: gate.memory.store("draft", 2), lambda: gate.request([])]
    for change in changes:
        seen = review(gate)
        change()
        with pytest.raises(StaleError):
            gate.approve(expect=seen.expect, guard=seen.guard)
    seen = review(gate)
    assert gate.approve(expect=seen.expect, guard=seen.guard).state == "approved"


# --- the picture


def test_the_picture_draws_every_move_once() -> None:
    """It is made from the table; whoever reads it reads the table."""
    first, *arrows = picture().splitlines()
    drawn = [
        ("nothing" if before == "[*]" else before, move, after)
        for before, after, moves in (
            (before, *rest.split(": ")) for before, rest in (one.strip().split(" --> ") for one in arrows)
        )
        for move in moves.split(", ")
    ]
    assert first == "stateDiagram-v2"
    assert sorted(drawn) == sorted((before, move, after) for (before, move), after in MOVES.items())

def test_the_readme_shows_this_picture() -> None:
    """A table that changes and a picture that does not would teach moves that are refused."""
    readme = Path(__file__).parents[1].joinpath("README.md").read_text("utf-8")
    assert f"```mermaid\n{picture()}\n```" in readme
