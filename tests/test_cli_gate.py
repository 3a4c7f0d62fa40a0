"""The commands of a gate, and its review at a terminal: a real process at a real pseudo-terminal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import click
import pytest

from gitmem import Memory
from gitmem.cli.gate import gate
from gitmem.cli.review import APPROVE, Answer, review_one
from gitmem.recipes.gate_review import Review
from tests.commands import gitmem
from tests.foreign import commit_files
from tests.terminal import PATIENCE, Terminal

pytestmark = pytest.mark.usefixtures("empty_folder")

KEY = "checkpoint/gates/planning"
PLAN = "checkpoint/phase1/plan"
ASKED = "[a]pprove, [r]eject or [l]ater: "


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open(".", agent="planner", namespace="coordination", durability="fast") as memory:
        yield memory


# --- the commands


def test_every_command_of_a_gate_speaks_json_and_knows_where_and_who() -> None:
    """Whoever has learnt one command has learnt these options for all."""
    names = gate.list_commands(click.Context(gate))
    assert len(names) == 10
    for name in names:
        known = {option for param in gate.commands[name].params for option in param.opts}
        assert {"--json", "--store", "-n", "--namespace", "--agent", "--session"} <= known


def test_a_gate_goes_from_request_to_complete() -> None:
    """Each command prints what it made; as JSON, the gate and its entry."""
    said = gitmem("gate", "request", "planning", "--shows", PLAN, "--shows", "b").stdout
    assert said.startswith(f"requested {KEY} (")
    made = json.loads(gitmem("gate", "reject", "planning", "--feedback", "no", "--agent", "bob", "--json").stdout)
    assert {name: made[name] for name in ("key", "state", "shows", "feedback", "by")} == {
        "key": KEY, "state": "rejected", "shows": [PLAN, "b"], "feedback": "no", "by": "bob",
    }  # fmt: skip
    assert (made["entry"]["agent"], made["entry"]["namespace"]) == ("bob", "coordination")
    for verb in ("resubmit", "approve", "complete"):
        assert gitmem("gate", verb, "planning").exit_code == 0
    assert json.loads(gitmem("gate", "status", "planning", "--json").stdout)["state"] == "complete"
    with Memory.open(".", create=False) as memory:
        assert [one.message for one in memory.log(glob=KEY)] == [
            f"gate {verb} {KEY}" for verb in ("complete", "approve", "resubmit", "reject", "request")
        ]


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (("approve", "planning"), 4, "cannot be approved: it is rejected, by bob at"),
        (("wait", "planning"), 6, "it is rejected, by bob at .*: no rollback\nhint: .*gate resubmit planning`"),
        (("wait", "other", "--timeout", "0"), 5, "hint: nobody has requested it yet: `gitmem gate request other` does"),
        (("status", "other"), 3, "has not been requested\nhint: `gitmem gate request other`"),
        (("review", "other", "--json"), 3, "has not been requested"),
        (("status", PLAN), 7, "is no gate"),
        (("resubmit", "planning", "--expect", "absent"), 4, "not resubmitted, since it has changed: it is rejected"),
        (("reject", "planning"), 2, "missing option '--feedback'"),
        (("request", "a//b"), 7, "error: "),
        (("review",), 2, "nobody sits at this command\nhint: `gitmem gate review NAME --json` shows"),
        (("review", "planning"), 2, "`gitmem gate approve planning --expect REVISION`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_is_refused_has_its_exit_code(memory: Memory, argv: tuple[str, ...], code: int, told: str) -> None:
    """A program reads the code; a person reads what stands, and the next command."""
    memory.store(PLAN, {"steps": []})
    memory.bind(agent="bob").store(KEY, {"state": "rejected", "feedback": "no rollback"})
    before = memory.snapshot
    result = gitmem("gate", *argv)
    assert result.exit_code == code
    assert result.stdout == ""
    assert re.search(told, result.stderr), result.stderr
    assert memory.snapshot == before


def test_a_decision_that_nobody_had_asked_for_is_told_so(memory: Memory) -> None:
    """Its name was mistyped, perhaps: whoever waits at the gate that was meant waits on."""
    assert gitmem("gate", "request", "planning").stderr == ""
    assert gitmem("gate", "wait", "planning", "--timeout", "0").stderr.splitlines()[1] == (
        "hint: somebody has to decide: `gitmem gate review planning`"
    )
    asked = "hint: nobody had requested this gate; pending: planning\n"
    assert gitmem("gate", "approve", "planing").stderr == asked
    assert gitmem("gate", "reject", "plan", "--feedback", "no").stderr == asked
    assert gitmem("gate", "approve", "planning").stderr == ""
    assert gitmem("gate", "approve", "other").stderr == "hint: nobody had requested this gate; pending: none\n"


def test_a_wait_ends_with_what_it_waited_for(memory: Memory) -> None:
    """Across processes: a plain store in one ends the wait in another."""
    memory.store(KEY, "pending")
    with subprocess.Popen(
        [sys.executable, "-m", "gitmem", "gate", "wait", "planning", "--timeout", str(PATIENCE), "--json"],
        stdout=subprocess.PIPE,
    ) as waiter:
        memory.bind(agent="bob").store(KEY, "approved")
        out, _ = waiter.communicate()
    assert waiter.returncode == 0
    assert (json.loads(out)["value"], json.loads(out)["agent"]) == ("approved", "bob")
    assert gitmem("gate", "wait", "planning").stdout.startswith(f"{KEY}: approved, by bob at ")


def test_the_list_tells_gates_from_other_keys(memory: Memory) -> None:
    """By glob and by state; a person is told what to do where there is none."""
    memory.store(PLAN, {"steps": []})
    memory.store(KEY, "pending-approval")
    memory.store("checkpoint/phase0/architecture-approved", True)
    gitmem("gate", "reject", "release", "--feedback", "line\nbreak", "--agent", "bob")
    rows = [row.split("\t") for row in gitmem("gate", "list").stdout.splitlines()]
    assert [(row[0], row[1], row[2], row[4]) for row in rows] == [
        ("planning", "pending", "planner", "-"), ("release", "rejected", "bob", "line\\nbreak"),
        ("checkpoint/phase0/architecture-approved", "approved", "planner", "-"),
    ]  # fmt: skip
    assert [one["key"] for one in json.loads(gitmem("gate", "list", "--state", "pending", "--json").stdout)] == [KEY]
    assert gitmem("gate", "list", "x/**").stderr == (
        "hint: no gate matches x/**: `gitmem gate request NAME` makes one\n"
    )
    assert json.loads(gitmem("gate", "list", "--json", "-n", "default").stdout) == []


def test_a_namespace_of_the_environment_is_meant(memory: Memory) -> None:
    """The agents of one team meet in theirs; `default` is one too, for who names it."""
    gitmem("gate", "approve", "planning", env={"GITMEM_NAMESPACE": "team"})
    gitmem("gate", "approve", "planning", "-n", "default")
    assert [name for name in memory.namespaces() if memory.list(namespace=name) == [KEY]] == ["default", "team"]


def test_an_answer_of_a_program_is_bound_too(memory: Memory) -> None:
    """`--expect` with the revision that `review --json` printed: what was requested anew is not approved unseen."""
    memory.store(PLAN, ["a"])
    gitmem("gate", "request", "planning", "--shows", PLAN)
    (seen,) = json.loads(gitmem("gate", "review", "--json").stdout)
    assert (seen["shown"][0]["entry"]["value"], seen["since"], seen["decision"]) == (["a"], None, None)
    revision = seen["gate"]["entry"]["revision"]
    gitmem("gate", "request", "planning", "--shows", "another")
    assert gitmem("gate", "approve", "planning", "--expect", revision).exit_code == 4
    revision = json.loads(gitmem("gate", "status", "planning", "--json").stdout)["entry"]["revision"]
    assert gitmem("gate", "approve", "planning", "--expect", revision).exit_code == 0


@pytest.mark.parametrize(
    ("before", "verb", "after"),
    [("pending", "request", "pending"), ("pending", "approve", "approved"), ("pending", "reject", "rejected"),
     ("rejected", "resubmit", "pending"), ("approved", "complete", "complete"), ("approved", "reopen", "pending")],
)  # fmt: skip
def test_every_move_can_be_bound_and_say_why(memory: Memory, before: str, verb: str, after: str) -> None:
    """To the version that was looked at; what it says is read by whoever comes next."""
    stale = memory.store(KEY, before)
    memory.store(KEY, {"state": before})
    argv = ("gate", verb, "planning", "--feedback", "why", "--agent", "bob")
    assert gitmem(*argv, "--expect", stale.revision).exit_code == 4
    assert decided(memory)[0] == before
    assert gitmem(*argv, "--expect", "2").exit_code == 0
    assert decided(memory) == (after, "why", "bob")


# --- the review, at a terminal


terminal = partial(Terminal, columns=200, NO_COLOR="1")


def decided(memory: Memory, key: str = KEY) -> tuple[Any, ...]:
    entry = memory.entry(key)
    value = entry.value if isinstance(entry.value, dict) else {"state": entry.value}
    return value["state"], value.get("feedback"), entry.agent


def request(memory: Memory, *shows: str) -> None:
    memory.store(KEY, {"state": "pending", "shows": list(shows), "feedback": None, "by": memory.agent})


def test_a_person_sees_the_plan_and_approves_it(memory: Memory) -> None:
    """The whole value and whose it is, then the question."""
    memory.bind(agent="bob").store(PLAN, {"steps": ["build", "ship"]})
    memory.store("notes", "first line\nsecond line")
    request(memory, PLAN, "notes", "missing")
    with terminal("gate", "review") as screen:
        shown = screen.until(ASKED)
        assert f"{KEY}: pending, by planner at " in shown
        assert f"{PLAN}: version 1, by bob at " in shown
        assert '{\n  "steps": [\n    "build",\n    "ship"\n  ]\n}\n' in shown
        assert "first line\nsecond line\n" in shown
        assert "missing: it is not there\n" in shown
        assert "since the request" not in shown
        screen.type("a\n")
        said, code = screen.end()
    assert (said.splitlines()[-1].startswith(f"approved {KEY} ("), code) == (True, 0)
    assert decided(memory) == ("approved", None, "ann")


def test_a_person_sees_what_is_new_since_the_last_request(memory: Memory) -> None:
    """Member by member, as `gitmem diff` prints it, under the reason for the last rejection."""
    memory.store(PLAN, {"steps": ["build"], "risk": "high", "same": [1, 2, 3]})
    memory.store("notes", "as ever")
    request(memory, PLAN, "notes")
    gitmem("gate", "reject", "planning", "--feedback", "too risky", "--agent", "bob")
    memory.store(PLAN, {"steps": ["build", "test"], "risk": "low", "same": [1, 2, 3]})
    gitmem("gate", "resubmit", "planning")
    with terminal("gate", "review", "planning") as screen:
        shown = screen.until(ASKED)
        screen.type("l\n")
        assert screen.end() == ("l\n", 0)
    assert "before: rejected, by bob at " in shown
    assert ": too risky\n" in shown
    new = shown.partition("since the request of ")[2]
    assert new.partition("\n")[2] == (
        f'~ coordination {PLAN}\n    - /risk: "high"\n    + /risk: "low"\n    + /steps/1: "test"\n\nplanning: {ASKED}'
    )
    assert decided(memory)[0] == "pending"


def test_what_has_not_changed_is_told_so(memory: Memory) -> None:
    """A second request of the very same plan is to be noticed."""
    memory.store(PLAN, 1)
    memory.store(KEY, "pending-approval")
    request(memory, PLAN)
    with terminal("gate", "review", "planning") as screen:
        assert "):\nnothing has changed\n" in screen.until(ASKED)


def test_a_plain_word_is_reviewed_as_well(memory: Memory) -> None:
    """Whoever only stored `pending-approval` is answered; it names no plan, which is told."""
    memory.store(KEY, "pending-approval")
    with terminal("gate", "review") as screen:
        assert "it shows no keys: `gitmem gate request NAME --shows KEY`" in screen.until(ASKED)
        screen.type("approve\n")
        assert screen.end()[1] == 0
    assert decided(memory) == ("approved", None, "ann")


def test_a_rejection_asks_for_its_reason(memory: Memory) -> None:
    """Without one nothing is rejected; what is no answer is asked again."""
    request(memory)
    with terminal("gate", "review", "planning") as screen:
        for nonsense in ("yes", "approv", "R E J"):
            screen.until(ASKED)
            screen.type(f"{nonsense}\n")
        screen.until(ASKED)
        screen.type("r\n")
        screen.until("what is missing?")
        screen.type(" \n")
        screen.until(ASKED)
        assert decided(memory)[0] == "pending"
        screen.type("Reject\n")
        screen.until("what is missing?")
        screen.type("no rollback\n")
        assert screen.end()[1] == 0
    assert decided(memory) == ("rejected", "no rollback", "ann")


@pytest.mark.parametrize("answer", ["\n", "l\n", "later\n", "\x04"], ids=["enter", "l", "later", "ctrl-d"])
def test_no_decision_leaves_the_gate_as_it_is(memory: Memory, answer: str) -> None:
    """Approving by a stray key would be worse than asking again."""
    request(memory)
    before = memory.snapshot
    with terminal("gate", "review", "planning") as screen:
        screen.until(ASKED)
        screen.type(answer)
        assert screen.end()[1] == 0
    assert memory.snapshot == before


def test_ctrl_c_ends_the_review(memory: Memory) -> None:
    """All of it: the next gate is not asked about."""
    request(memory)
    memory.store("checkpoint/gates/release", "pending")
    with terminal("gate", "review") as screen:
        screen.until(ASKED)
        screen.type("\x03")
        screen.type("\n")  # wakes it where the signal came just before it began to read
        said, code = screen.end()
    assert (ASKED in said, "Traceback" in said, code) == (False, False, 130)


@pytest.mark.parametrize("answer", [APPROVE, Answer("reject", "no")], ids=["approve", "reject"])
@pytest.mark.parametrize("key", [KEY, PLAN, "draft"])
def test_a_run_asks_in_place_with_the_same_piece(
    memory: Memory, capsys: pytest.CaptureFixture[str], answer: Answer, key: str
) -> None:
    """Whoever asks instead of the terminal: either answer is for exactly what was shown, and is asked again."""
    memory.store(PLAN, 1)
    request(memory, PLAN, "draft")
    asked: list[Review] = []

    def ask(seen: Review) -> Answer:
        asked.append(seen)
        if len(asked) == 1:
            memory.store(key, {"state": "pending", "shows": [PLAN, "draft"], "changed": True})
        return answer

    done = review_one(memory.bind(agent="ann", namespace="default"), "planning", namespace="coordination", ask=ask)
    assert [one.gate.state for one in asked] == ["pending", "pending"]
    assert (done.state, done.feedback) == ("rejected" if answer.feedback else "approved", answer.feedback)
    assert decided(memory) == (done.state, done.feedback, "ann")
    assert "so the answer was not taken" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "news"),
    [("value", '"steps": 2'), ("deleted", f"{PLAN}: it is not there"), ("appeared", "here now"),
     ("requested", "):\nnothing has changed")],
)  # fmt: skip
def test_what_changed_while_a_person_looked_is_shown_again(memory: Memory, change: str, news: str) -> None:
    """The answer was for what stood before; the next one is for what stands now."""
    memory.store(PLAN, {"steps": 1})
    request(memory, PLAN, "draft")
    with terminal("gate", "review") as screen:
        screen.until(ASKED)
        if change == "value":
            memory.store(PLAN, {"steps": 2})
        elif change == "deleted":
            memory.delete(PLAN)
        elif change == "appeared":
            memory.store("draft", "here now")
        else:
            request(memory, "draft")
        screen.type("a\n")
        again = screen.until(ASKED)
        assert decided(memory)[0] == "pending"
        assert "so the answer was not taken: it was for what stood before\n" in again
        assert news in again
        screen.type("a\n")
        assert screen.end()[1] == 0
    assert decided(memory)[::2] == ("approved", "ann")


def test_the_slower_of_two_reviewers_is_told_what_stands(memory: Memory) -> None:
    """By whom and why; the exit code says that the answer was not taken, and the next gate is asked all the same."""
    request(memory)
    memory.store("checkpoint/gates/release", "pending")
    with terminal("gate", "review") as screen:
        screen.until(f"planning: {ASKED}")
        gitmem("gate", "reject", "planning", "--feedback", "no rollback", "--agent", "bob")
        screen.type("a\n")
        said = screen.until(f"release: {ASKED}")
        assert "error: gate 'checkpoint/gates/planning' cannot be approved: it is rejected, by bob at " in said
        assert ": no rollback\n" in said
        screen.type("a\n")
        assert screen.end()[1] == 4
    assert decided(memory) == ("rejected", "no rollback", "bob")
    assert decided(memory, "checkpoint/gates/release")[::2] == ("approved", "ann")


def test_a_gate_that_cannot_be_shown_hides_no_other(memory: Memory) -> None:
    """What is wrong with it is told, also by the exit code; the next gate is asked all the same."""
    memory.store("checkpoint/gates/a", {"state": "pending", "shows": ["plan"]})
    request(memory)
    commit_files(memory.vault.repository.git_dir, {"coordination/plan.json": b"{"})
    with terminal("gate", "review") as screen:
        assert "error: the file of key 'plan' in namespace 'coordination' is no value" in screen.until(ASKED)
        screen.type("a\n")
        assert screen.end()[1] == 1
    assert decided(memory)[::2] == ("approved", "ann")


def test_a_gate_that_is_decided_asks_nobody(memory: Memory) -> None:
    """Nor does a review where nothing is pending."""
    memory.store(KEY, "approved")
    with terminal("gate", "review", "planning") as screen:
        said, code = screen.end()
    assert (said.startswith(f"{KEY}: approved, by planner at "), ASKED in said, code) == (True, False, 0)
    with terminal("gate", "review") as screen:
        assert screen.end() == ("hint: no gate is pending: `gitmem gate list` lists all\n", 0)


def test_no_plan_speaks_to_the_terminal(memory: Memory) -> None:
    """A value that clears the screen could show another plan than the one that is approved."""
    evil = "\x1b[2J\u202eevil\x07"
    memory.store("plan", evil)
    memory.store("object", {evil: evil})
    memory.bind(agent="b\u202eob").store(KEY, {"state": "rejected", "feedback": evil, "by": evil})
    request(memory, "plan", "object", "no\u202ekey")
    with terminal("gate", "review") as screen:
        shown = screen.until(ASKED)
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert shown.count("\\u202eevil") >= 4
