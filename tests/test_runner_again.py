"""A run that is ended early, and one that goes on: what is done stays done, everything else is done again."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitmem import ConflictError, InvalidValueError, Memory, UnknownRevisionError
from gitmem.recipes import Gate
from gitmem.recipes.session_names import session_names
from gitmem.workflow.facts import plan_key
from gitmem.workflow.logs import read
from gitmem.workflow.parts import PlannedGate
from gitmem.workflow.runner import Runner, resume
from gitmem.workflow.verify import verify
from tests.processes import linux, marked, word
from tests.runs import SPACE, Run, Watcher, ends, gate_pipe, notes, plan, reason, run, running, status, task


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory", agent="somebody", durability="fast") as memory:
        yield memory


def half(tmp_path: Path):
    """One task that is done at once, one that waits for a word, one after it."""
    note = f"note {tmp_path}/notes"
    return plan(
        task("done", f"{note}; store k/1 1", stores=["k/1"]),
        task("held", f"{note}; hear {tmp_path}/go; store k/2 2", ["k/1"], stores=["k/2"]),
        task("last", f"{note}; store k/3 3", ["k/2"], stores=["k/3"]),
    )


def phase(memory: Memory, session: str) -> str:
    return memory.retrieve(f"session/{session}/phase", namespace=SPACE)


@linux
def test_a_run_that_is_stopped_leaves_nobody_and_says_where_it_was(memory, tmp_path, monkeypatch) -> None:
    """In memory, so that a look from anywhere tells the truth."""
    monkeypatch.setenv("MARKER", f"marker-{tmp_path}")
    with gate_pipe(tmp_path / "go"), running(memory, half(tmp_path), tmp_path) as going:
        going.watcher.until("held", "working")
        going.watcher.until("done", "done")
        going.runner.stop()
        outcome = going.end()
    assert [one for one in marked(f"marker-{tmp_path}") if "agent.py" in one] == []
    assert (outcome.phase, outcome.verdict) == ("interrupted", "interrupted")
    assert ends(outcome) == {"done": "done", "held": "waiting", "last": "waiting"}
    assert phase(memory, outcome.session) == "interrupted"
    assert status(memory, "held") == {"state": "waiting", "attempt": 1, "reason": "interrupted", "exit": -15}
    assert status(memory, "last") == {"state": "blocked", "waiting_for": "k/2"}
    assert verify(memory, outcome.session) == []


def test_a_resumed_run_does_not_do_again_what_is_done(memory, tmp_path) -> None:
    """And what was at work begins anew."""
    with gate_pipe(tmp_path / "go"):
        with running(memory, half(tmp_path), tmp_path) as going:
            going.watcher.until("held", "working")
            going.watcher.until("done", "done")
            going.runner.stop()
            session = going.end().session
        watcher = Watcher()
        with Run(resume(memory, session, on_event=watcher), watcher) as going:
            watcher.until("held", "working")
            assert phase(memory, session) == "running"
            (tmp_path / "go").write_text("go", "utf-8")
            outcome = going.end()
    assert (outcome.session, outcome.verdict, phase(memory, session)) == (session, "done", "done")
    begun = notes(tmp_path / "notes")
    assert (begun.count("done"), begun[-1]) == (1, "last")
    assert watcher.states("done") == ["done"]
    assert outcome.tasks[1].attempt == 2
    assert b"--- attempt 2 ---" in read(memory, session, "held")
    assert verify(memory, session) == []
    again = resume(memory, session).run()
    assert (again.verdict, notes(tmp_path / "notes")) == ("done", begun)


def test_what_failed_or_was_stopped_is_tried_again(memory, tmp_path) -> None:
    """Somebody has mended what was wrong; all retries are there again."""
    failing = "; ".join(f"once {tmp_path}/{number} exit 3" for number in (1, 2, 3))
    bad = task("bad", f"{failing}; store k 1", stores=["k"], retries=1)
    outcome = run(memory, plan(bad, task("after", "", ["k"])), tmp_path)
    assert ends(outcome) == {"bad": "failed", "after": "stopped"}
    outcome = resume(memory, outcome.session).run()
    assert ends(outcome) == {"bad": "done", "after": "done"}
    assert outcome.tasks[0].attempt == 4
    assert verify(memory, outcome.session) == []


def test_gates_keep_their_decisions_and_a_reopened_one_is_waited_for_again(memory, tmp_path) -> None:
    """A person who approved is not asked twice; one who rejected may think again."""
    gates = tuple(PlannedGate(name, f"checkpoint/gates/{name}", (), ("human",)) for name in ("one", "two"))
    both = plan(
        task("a", "", gates=("checkpoint/gates/one",)), task("b", "", gates=("checkpoint/gates/two",)), gates=gates
    )
    person = memory.bind(agent="maria")
    with running(memory, both, tmp_path) as going:
        going.watcher.until("two", "pending")
        Gate(person, "two").reject("no")
        going.watcher.until("b", "stopped")
        Gate(person, "one").approve()
        outcome = going.end()
    assert ends(outcome) == {"a": "done", "b": "stopped"}
    assert resume(memory, outcome.session).run().verdict == "rejected"
    Gate(person, "two").reopen("after all")
    Gate(person, "two").approve()
    outcome = resume(memory, outcome.session).run()
    assert (outcome.verdict, len(memory.history("checkpoint/gates/one", namespace=SPACE))) == ("done", 2)


def test_who_finishes_while_being_told_to_end_has_finished(memory, tmp_path) -> None:
    """Its work is there, and would be done twice."""
    ready, go = tmp_path / "ready", tmp_path / "go"
    polite = plan(task("one", f"polite k 1; word {ready}; hear {go}", stores=["k"]))
    with gate_pipe(go):
        with word(ready):
            going = running(memory, polite, tmp_path)
        going.runner.stop()
        outcome = going.end()
    assert (outcome.phase, ends(outcome)) == ("done", {"one": "done"})


def test_who_is_stopped_twice_does_not_wait_for_the_polite(memory, tmp_path) -> None:
    """The second Ctrl-C kills."""
    ready, go = tmp_path / "ready", tmp_path / "go"
    deaf = plan(task("one", f"deaf; word {ready}; hear {go}"))
    with gate_pipe(go):
        with word(ready):
            going = running(memory, deaf, tmp_path, grace=1000)
        going.runner.stop()
        going.runner.stop()
        outcome = going.end()
    assert (outcome.verdict, outcome.tasks[0].exit) == ("interrupted", -9)


def test_a_ctrl_c_that_nobody_handles_counts_as_stop(memory, tmp_path) -> None:
    """A program that runs plans need not know of signals."""
    held = half(tmp_path)

    def interrupt(progress) -> None:
        if (progress.name, progress.state) == ("held", "working"):
            os.kill(os.getpid(), signal.SIGINT)

    with gate_pipe(tmp_path / "go"):
        outcome = Runner(memory, held, tmp_path, on_event=interrupt).run()
    assert (outcome.verdict, ends(outcome)["held"]) == ("interrupted", "waiting")
    assert status(memory, "held")["reason"] == "interrupted"
    assert verify(memory, outcome.session) == []


def test_who_finishes_at_a_ctrl_c_that_nobody_handles_has_finished(memory, tmp_path) -> None:
    """Wherever it struck, what ended well is recorded before the run ends."""
    ready, go = tmp_path / "ready", tmp_path / "go"
    os.mkfifo(ready)

    def interrupt(progress) -> None:
        if progress.state == "working":
            ready.read_text("utf-8")
            os.kill(os.getpid(), signal.SIGINT)

    polite = plan(task("one", f"polite k 1; word {ready}; hear {go}", stores=["k"]))
    with gate_pipe(go):
        outcome = Runner(memory, polite, tmp_path, on_event=interrupt).run()
    assert (outcome.phase, ends(outcome)) == ("done", {"one": "done"})


def test_a_run_whose_time_is_up_ends(memory, tmp_path) -> None:
    """The time of the whole run; it may be resumed."""
    with gate_pipe(tmp_path / "go"):
        outcome = run(memory, half(tmp_path), tmp_path, timeout=1)
        assert (outcome.phase, outcome.verdict) == ("interrupted", "timed out")
        assert reason(outcome, "held") in ("timed out", "")


def test_a_run_that_is_at_work_is_not_resumed(memory, tmp_path) -> None:
    """Two runners would start everything twice."""
    with gate_pipe(tmp_path / "go"), running(memory, half(tmp_path), tmp_path) as going:
        going.watcher.until("held", "working")
        session = str(going.runner.session)
        with pytest.raises(ConflictError, match="at work"):
            resume(memory, session).run()


def test_a_run_whose_results_a_later_one_took_away_is_not_resumed(memory, tmp_path) -> None:
    """What it calls done is not there any more; the error names the later one."""
    first = run(memory, plan(task("a", "store k 1", stores=["k"]), task("b", "exit 1", ["k"])), tmp_path)
    later = run(memory, plan(task("a", "store k 1", stores=["k"])), tmp_path)
    with pytest.raises(ConflictError, match=later.session):
        resume(memory, first.session).run()


def test_a_plan_that_was_slipped_under_a_run_is_not_carried_out(tmp_path, clock) -> None:
    """Whoever can push could else choose what this machine starts: a commit may say that it is as old as one likes."""
    with Memory.open(tmp_path / "memory", agent="somebody", durability="fast", clock=clock) as memory:
        honest, evil = plan(task("one", "exit 1")), plan(task("one", f"note {tmp_path}/evil"))
        clock.advance(60)
        session = next(iter(session_names(honest.name, memory.clock())))
        clock.advance(-60)
        forger = memory.branch("other").bind(agent="gitmem-run", session=session, namespace=SPACE)
        forger.store(plan_key(session), evil.to_json())
        clock.advance(60)
        assert run(memory, honest, tmp_path).session == session
        memory.merge("other")
        with pytest.raises(ConflictError, match="older plan"):
            resume(memory, session)
    assert notes(tmp_path / "evil") == []


def test_a_later_run_with_other_keys_is_in_nobodys_way(memory, tmp_path) -> None:
    """Two plans may both have a task called `test`."""
    first = run(memory, plan(task("a", f"once {tmp_path}/1 exit 1; store k 1", stores=["k"])), tmp_path)
    run(memory, plan(task("a", "store j 1", stores=["j"])), tmp_path)
    assert resume(memory, first.session).run().verdict == "done"


def test_what_is_no_run_is_not_resumed(memory, tmp_path) -> None:
    """Nor one of which this machine does not know where its agents live; whoever knows may say it."""
    for name in ("session-x", "../x", ""):
        with pytest.raises((UnknownRevisionError, ValueError)):
            resume(memory, name)
    outcome = run(memory, plan(task("a", f"once {tmp_path}/1 exit 1; env")), tmp_path)
    shutil.rmtree(memory.local_folder("runs", outcome.session))
    with pytest.raises(InvalidValueError, match="folder"):
        resume(memory, outcome.session)
    assert resume(memory, outcome.session, tmp_path).run().verdict == "done"


def test_a_resumed_run_goes_by_the_plan_as_it_was(memory, tmp_path) -> None:
    """Whatever became of the plan's key: it is the first commit that counts."""
    outcome = run(memory, plan(task("a", f"once {tmp_path}/1 exit 1; store k 1", stores=["k"])), tmp_path)
    memory.store(f"session/{outcome.session}/plan", {"no": "plan"}, namespace=SPACE)
    runner = resume(memory, outcome.session)
    assert runner.plan.tasks[0].name == "a"
    assert runner.run().verdict == "done"
