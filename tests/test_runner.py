"""A run: each task as soon as what it waits for is there, none earlier, and what fails stops only what needs it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitmem import ConflictError, InvalidValueError, Memory, StorageError, UnknownRevisionError
from gitmem.workflow.logs import follow, log_path, read
from gitmem.workflow.parts import Plan, Promise, Waits, Want
from gitmem.workflow.record import Record
from gitmem.workflow.runner import Runner
from gitmem.workflow.verify import verify
from tests.processes import kill, linux, marked, until, word
from tests.runs import SPACE, ends, gate_pipe, notes, plan, reason, run, running, status, task


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory", agent="somebody", durability="fast") as memory:
        yield memory


CHAIN = plan(
    task("first", 'store k/1 {"a": 1}', stores=["k/1"]),
    task("second", 'store k/2 {"a": 2}', ["k/1"], stores=["k/2"]),
    task("third", 'store k/3 {"a": 3}', ["k/2"], stores=["k/3"]),
)


def test_a_chain_runs_to_its_end_and_its_history_proves_it(memory, tmp_path) -> None:
    """Each start is a commit, and each key that it waited for lies before it."""
    outcome = run(memory, CHAIN, tmp_path)
    assert (outcome.phase, outcome.verdict) == ("done", "done")
    assert ends(outcome) == {"first": "done", "second": "done", "third": "done"}
    said = [record.message.splitlines()[0] for record in reversed(memory.log(session=outcome.session))]
    order = [said.index(f"{verb} {name}") for name in ("first", "second", "third") for verb in ("start",)]
    assert order == sorted(order)
    assert said.index(f"store {SPACE} k/1") < said.index("start second")
    assert said.index(f"store {SPACE} k/2") < said.index("start third")
    assert verify(memory, outcome.session) == []


def test_a_run_is_recorded_in_a_session_of_its_own(tmp_path, clock) -> None:
    """Named by its time and its plan; another one in the same second has another name."""
    with Memory.open(tmp_path / "memory", durability="fast", clock=clock) as memory:
        named = plan(task("only", "store k 1", stores=["k"]), name="Ünder way: 2!")
        outcomes = [run(memory, named, tmp_path) for _ in range(2)]
        assert [one.session for one in outcomes] == [
            "session-20260202-120000-under-way-2",
            "session-20260202-120000-under-way-2-2",
        ]
        session = outcomes[1].session
        kept = memory.entry(f"session/{session}/plan", namespace=SPACE)
        assert Plan.from_json(kept.value) == named
        assert (kept.agent, kept.session) == ("gitmem-run", session)
        assert memory.retrieve(f"session/{session}/phase", namespace=SPACE) == "done"
        assert memory.entry("k", namespace=SPACE).session == session
        assert status(memory, "only") == {"state": "done", "attempt": 1, "exit": 0}


def test_a_run_under_a_session_belongs_to_it(memory, tmp_path) -> None:
    """Whoever takes the session back means its run too. A second one has to have another plan, so another name."""
    mine = memory.bind(session="session-1")
    small = plan(task("only", "store k 1", stores=["k"]))
    assert run(mine, small, tmp_path).session == "session-1"
    assert memory.entry("k", namespace=SPACE).session == "session-1"
    assert verify(memory, "session-1") == []
    assert run(mine, small, tmp_path).session != "session-1"
    memory.delete("session/session-1/plan", namespace=SPACE)
    shutil.rmtree(memory.local_folder("runs", "session-1"))
    assert run(mine, small, tmp_path).session != "session-1"


@pytest.mark.parametrize("name", ["../x", ".", "..", "a/b", "x" * 241, "u\u0308"])
def test_a_session_whose_name_is_no_segment_has_no_run(memory, tmp_path, name) -> None:
    """A run has a folder of its session's name; anybody may choose that name."""
    outcome = run(memory.bind(session=name), plan(task("only", "env")), tmp_path)
    assert outcome.session.startswith("session-")
    assert outcome.verdict == "done"


def test_an_agent_gets_what_it_needs_to_take_part(memory, tmp_path) -> None:
    """The memory, its own name, the session; the plan's folder; no stdin. What it prints is its log."""
    outcome = run(memory, plan(task("one", "env"), namespace="elsewhere"), tmp_path)
    told, folder, stdin = json.loads(read(memory, outcome.session, "one"))
    assert told == {
        "GITMEM_STORE": str(memory.path),
        "GITMEM_BRANCH": "main",
        "GITMEM_NAMESPACE": "elsewhere",
        "GITMEM_AGENT": "one",
        "GITMEM_SESSION": outcome.session,
        "GITMEM_TASK": "one",
    }
    assert (folder, stdin) == (str(tmp_path), "")


def test_a_run_on_a_branch_stays_on_it(memory, tmp_path) -> None:
    """Its agents write where the run looks, and nobody else sees anything until it is merged."""
    draft = memory.branch("draft")
    assert run(draft, CHAIN, tmp_path).verdict == "done"
    assert draft.list("k/", namespace=SPACE) == ["k/1", "k/2", "k/3"]
    assert memory.list("", namespace=SPACE) == []


def test_no_tasks_at_a_time_are_refused(memory, tmp_path) -> None:
    """It would wait for ever."""
    with pytest.raises(InvalidValueError):
        Runner(memory, CHAIN, tmp_path, jobs=0)


def test_a_log_can_be_followed_while_it_is_written(memory, tmp_path) -> None:
    """From its beginning to its end, and nobody reads a log that was never there."""
    path = tmp_path / "go"
    with gate_pipe(path), running(memory, plan(task("one", f"env; hear {path}; env")), tmp_path) as going:
        going.watcher.until("one", "working")
        session = str(going.runner.session)
        over: list[object] = []
        until(lambda: read(memory, session, "one").endswith(b"\n"))
        pieces = follow(memory, session, "one", ended=lambda: over)
        assert next(pieces).count(b"\n") == 1
        path.write_text("go", "utf-8")
        going.end()
        over.append(True)
        assert b"".join(pieces).count(b"\n") == 1
        for folder in (memory.local_folder("runs"), memory.local_folder()):
            (folder / "one.log").write_text("not a run's", "utf-8")
        for where, name in ((session, "two"), ("no-such", "one"), ("..", "one"), (".", "one"), (session, "../one")):
            with pytest.raises(UnknownRevisionError):
                log_path(memory, where, name)


def test_nothing_of_the_environment_comes_into_memory(memory, tmp_path, monkeypatch, git) -> None:
    """Agents have keys and tokens in theirs; a history is for ever."""
    monkeypatch.setenv("SOME_TOKEN", "s3cr3t-and-more")
    run(memory, plan(task("one", "env; store k 1; exit 3", stores=["k"], retries=1)), tmp_path)
    assert "s3cr3t" not in git(memory.path, "log", "--all", "-p")


def test_a_failed_task_stops_what_needs_it_and_nothing_else(memory, tmp_path) -> None:
    """With the reason, down to the last one who waits in vain."""
    outcome = run(
        memory,
        plan(
            task("bad", "exit 3", stores=["k/bad"]),
            task("needs", "", ["k/bad"], stores=["k/needs"]),
            task("too", "", ["k/needs"]),
            task("good", "store k/good 1", stores=["k/good"]),
            task("after", "", ["k/good"]),
        ),
        tmp_path,
    )
    assert ends(outcome) == {"bad": "failed", "needs": "stopped", "too": "stopped", "good": "done", "after": "done"}
    assert (outcome.phase, outcome.verdict) == ("failed", "failed")
    assert reason(outcome, "bad") == "exit code 3"
    assert "bad failed" in reason(outcome, "needs")
    assert status(memory, "bad") == {"state": "failed", "attempt": 1, "reason": "exit code 3", "exit": 3}
    assert status(memory, "too")["state"] == "stopped"
    assert verify(memory, outcome.session) == []


def test_a_task_that_ends_well_without_what_it_promised_has_failed(memory, tmp_path) -> None:
    """Exit code 0 is what a program says of itself; the key is what others need."""
    outcome = run(
        memory,
        plan(
            task("idle", "", stores=["k/idle"]),
            task("short", 'store k/short {"a": 1}', stores=[Promise("k/short", ("a", "b"))]),
            task("wrong", "store k/wrong 1", stores=[Promise("k/wrong", (), '{"type": "string"}')]),
        ),
        tmp_path,
    )
    assert set(ends(outcome).values()) == {"failed"}
    assert reason(outcome, "idle") == "it ended well, but k/idle was promised and is not there"
    assert reason(outcome, "short") == "it ended well, but k/short lacks b"
    assert "breaks its schema" in reason(outcome, "wrong")


def test_what_somebody_else_stored_before_the_task_began_keeps_no_promise(memory, tmp_path) -> None:
    """Only a version made since then can be the task's."""
    go = tmp_path / "go"
    first = task("first", f"hear {go}; store k/1 1", stores=["k/1"])
    held = plan(first, task("idle", "", ["k/1"], stores=["k/2"]))
    with gate_pipe(go), running(memory, held, tmp_path) as going:
        going.watcher.until("first", "working")
        memory.store("k/2", "not theirs", namespace=SPACE)
        go.write_text("go", "utf-8")
        assert "was not stored" in reason(going.end(), "idle")


def test_a_task_is_tried_again_as_often_as_the_plan_says(memory, tmp_path) -> None:
    """Also if the second attempt stores the very value that the first one stored: no new version is needed then."""
    trying = f"store k 1; once {tmp_path}/one exit 3; once {tmp_path}/two exit 4"
    outcome = run(memory, plan(task("one", trying, stores=["k"], retries=2)), tmp_path)
    assert (outcome.verdict, outcome.tasks[0].attempt) == ("done", 3)
    told = [one.value for one in reversed(memory.history("swarm/one/status", namespace=SPACE))]
    assert [(one["state"], one.get("attempt"), one.get("reason")) for one in told] == [
        ("ready", None, None),
        ("working", 1, None),
        ("waiting", 1, "exit code 3 (try 1 of 3)"),
        ("working", 2, None),
        ("waiting", 2, "exit code 4 (try 2 of 3)"),
        ("working", 3, None),
        ("done", 3, None),
    ]
    assert read(memory, outcome.session, "one") == b"--- attempt 2 ---\n--- attempt 3 ---\n"
    assert verify(memory, outcome.session) == []
    again = run(memory, plan(task("one", "exit 5", retries=1)), tmp_path)
    assert (again.tasks[0].state, again.tasks[0].attempt, again.tasks[0].reason) == ("failed", 2, "exit code 5")


def test_a_task_that_takes_too_long_is_ended(memory, tmp_path) -> None:
    """Politely first; and a second attempt has its time anew."""
    go = tmp_path / "go"
    with gate_pipe(go):
        slow = task("slow", f"once {tmp_path}/one hear {go}; store k 1", stores=["k"], timeout=1.5, retries=1)
        outcome = run(memory, plan(slow), tmp_path)
        assert (outcome.verdict, outcome.tasks[0].attempt) == ("done", 2)
        deaf = task("deaf", f"deaf; hear {go}", timeout=0.5)
        outcome = run(memory, plan(deaf, task("needs", "", ["k"]), given=("k",)), tmp_path, grace=0.1)
    assert ends(outcome) == {"deaf": "failed", "needs": "done"}
    assert (outcome.verdict, reason(outcome, "deaf")) == ("timed out", "timed out after 0.5 s")


def test_a_log_that_cannot_be_written_fails_its_task_and_nothing_else(memory, tmp_path) -> None:
    """A folder that was made read-only, or in which somebody put something else."""
    spoil = f"{tmp_path}/spoil"
    blocking = plan(task("one", f"store k 1; hear {spoil}", stores=["k"]), task("two", "", ["k"]), task("three"))
    with gate_pipe(Path(spoil)), running(memory, blocking, tmp_path) as going:
        going.watcher.until("one", "working")
        (memory.local_folder("runs", str(going.runner.session)) / "two.log").mkdir()
        going.watcher.until("two", "failed")
        Path(spoil).write_text("go", "utf-8")
        outcome = going.end()
    assert ends(outcome) == {"one": "done", "two": "failed", "three": "done"}
    assert reason(outcome, "two") == "it cannot be started: its log cannot be written: Is a directory"
    assert verify(memory, outcome.session) == []


@pytest.mark.parametrize("seconds", [1e10, 1e300])
def test_more_time_than_any_system_can_sleep_is_as_good_as_no_end(memory, tmp_path, seconds) -> None:
    """For a task, for the run, and for a key that will expire in some other age."""
    memory.store("given", 1, namespace=SPACE, ttl=2e11)
    patient = plan(task("one", "", ["given"], timeout=seconds), given=("given",))
    assert run(memory, patient, tmp_path, timeout=seconds).verdict == "done"


def test_a_program_that_is_not_there_is_a_failure_with_its_name(memory, tmp_path) -> None:
    """Not a traceback of ours, nor an exit code that one has to look up."""
    missing = plan(task("one"))
    missing = missing._replace(agents=(missing.agents[0]._replace(command=("no-such-program",)),))
    outcome = run(memory, missing, tmp_path)
    assert reason(outcome, "one") == "it cannot be started: there is no program 'no-such-program' on the PATH"


def test_no_more_tasks_work_than_were_allowed(memory, tmp_path) -> None:
    """And no fewer, while there is something to do."""
    many = plan(*(task(f"t{number}") for number in range(8)), parallel=3)
    for jobs, most in ((None, 3), (2, 2)):
        at_work: set[str] = set()
        counts = []

        def count(progress, at_work=at_work, counts=counts) -> None:
            (at_work.add if progress.state == "working" else at_work.discard)(progress.name)
            counts.append(len(at_work))

        run(memory, many, tmp_path, jobs=jobs, on_event=count)
        assert max(counts) == most


def test_a_second_run_starts_nothing_early_although_the_first_ones_results_were_there(memory, tmp_path) -> None:
    """It takes them away first; the history keeps them."""
    first = run(memory, CHAIN, tmp_path)
    go = tmp_path / "go"
    slow = CHAIN.tasks[0]._replace(prompt=f"hear {go}; {CHAIN.tasks[0].prompt}")
    held = CHAIN._replace(tasks=(slow, *CHAIN.tasks[1:]))
    with gate_pipe(go), running(memory, held, tmp_path) as going:
        going.watcher.until("first", "working")
        assert [memory.retrieve(f"k/{one}", None, namespace=SPACE) for one in (1, 2, 3)] == [None] * 3
        assert status(memory, "second") == {"state": "blocked", "waiting_for": "k/1"}
        go.write_text("go", "utf-8")
        second = going.end()
    assert going.watcher.states("second") == ["waiting", "working", "done"]
    assert [verify(memory, one.session) for one in (first, second)] == [[], []]


def test_what_a_merge_brings_in_from_before_the_run_does_not_count(memory, tmp_path) -> None:
    """It arrives late, but it is an earlier run's: only what comes after the run's first commit is fresh."""
    old = memory.branch("old").bind(namespace=SPACE)
    old.store("k/1", "stale")
    go = tmp_path / "go"
    held = plan(task("first", f"hear {go}; store k/1 1", stores=["k/1"]), task("second", f"note {tmp_path}/n", ["k/1"]))
    with gate_pipe(go), running(memory, held, tmp_path) as going:
        going.watcher.until("first", "working")
        memory.merge("old")
        assert memory.retrieve("k/1", namespace=SPACE) == "stale"
        memory.store("swarm/somebody/status", "a change to look at", namespace=SPACE)
        go.write_text("go", "utf-8")
        outcome = going.end()
    assert ends(outcome) == {"first": "done", "second": "done"}
    assert verify(memory, outcome.session) == []


def test_what_is_given_counts_whenever_it_was_stored(memory, tmp_path) -> None:
    """And may come while the run goes on: it waits for somebody outside."""
    memory.store("given/1", 1, namespace=SPACE)
    with running(
        memory, plan(task("one", "", ["given/1"]), task("two", "", ["given/2"]), given=("given/1", "given/2")), tmp_path
    ) as going:
        going.watcher.until("one", "done")
        assert going.watcher.states("two") == ["waiting"]
        memory.store("given/2", 2, namespace=SPACE)
        assert ends(going.end()) == {"one": "done", "two": "done"}


def test_a_condition_and_any_of_several_let_a_task_start(memory, tmp_path) -> None:
    """`until` is asked of each new version; of `any` one is enough, and only that one is the reason."""
    given = ("a", "b", "c")
    waits = Waits("any", (Want("a", "state == 'good'"), Want("b", None)))
    with running(
        memory, plan(task("any", "", waits), task("count", "", [("c", "version > `1`")]), given=given), tmp_path
    ) as going:
        going.watcher.until("any", "waiting")
        memory.store("a", {"state": "bad"}, namespace=SPACE)
        memory.store("c", {"version": 1}, namespace=SPACE)
        memory.store("c", {"version": 2}, namespace=SPACE)
        going.watcher.until("count", "done")
        assert going.watcher.states("any") == ["waiting"]
        memory.store("a", {"state": "good"}, namespace=SPACE)
        outcome = going.end()
    assert outcome.verdict == "done"
    assert verify(memory, outcome.session) == []


def test_a_key_that_changes_at_the_last_moment_holds_the_task_back(memory, tmp_path, monkeypatch) -> None:
    """The start is bound to what was seen: between the look and the commit the condition may have ceased to hold."""
    real, calls = Record.working, []

    def late(self, task, attempt, because) -> None:
        because = list(because)
        calls.append(task.name)
        if len(calls) == 1:
            memory.store("a", {"ok": False}, namespace=SPACE)
        real(self, task, attempt, because)

    monkeypatch.setattr(Record, "working", late)
    memory.store("a", {"ok": True}, namespace=SPACE)
    with running(memory, plan(task("one", f"note {tmp_path}/n", [("a", "ok")]), given=("a",)), tmp_path) as going:
        going.watcher.until("one", "waiting", 2)
        assert notes(tmp_path / "n") == []
        memory.store("a", {"ok": True, "again": True}, namespace=SPACE)
        outcome = going.end()
    assert (calls, notes(tmp_path / "n")) == (["one", "one"], ["one"])
    assert verify(memory, outcome.session) == []


def test_what_expires_holds_a_task_back_again(tmp_path, clock) -> None:
    """An expired key is absent to everybody, to a run too."""
    go = tmp_path / "go"
    with Memory.open(tmp_path / "memory", durability="fast", clock=clock) as memory:
        memory.store("lease", 1, ttl=10, namespace=SPACE)
        held = plan(task("first", f"hear {go}"), task("second", "", ["lease"]), given=("lease",), parallel=1)
        with gate_pipe(go), running(memory, held, tmp_path) as going:
            going.watcher.until("first", "working")
            clock.advance(11)
            go.write_text("go", "utf-8")
            assert going.watcher.until("second", "waiting", 2).waiting_for == ("lease",)
            memory.store("lease", 2, namespace=SPACE)
            assert going.end().verdict == "done"


def test_what_expires_at_the_last_moment_holds_a_task_back(tmp_path, clock, monkeypatch) -> None:
    """An expiry that came without a new value, and passes without a commit: nothing tells of it but the refusal."""
    real, calls = Record.working, []

    def late(self, task, attempt, because) -> None:
        calls.append(task.name)
        if len(calls) == 1:
            clock.advance(11)
        real(self, task, attempt, because)

    monkeypatch.setattr(Record, "working", late)
    waiting = plan(task("one", "", ["lease", "go"]), given=("lease", "go"))
    with Memory.open(tmp_path / "memory", durability="fast", clock=clock) as memory:
        memory.store("lease", 1, namespace=SPACE)
        with running(memory, waiting, tmp_path) as going:
            going.watcher.until("one", "waiting")
            memory.store("lease", 1, ttl=10, namespace=SPACE)
            memory.store("go", 1, namespace=SPACE)
            assert going.watcher.until("one", "waiting", 3).waiting_for == ("lease",)
            memory.store("lease", 2, namespace=SPACE)
            assert going.end().verdict == "done"


def test_what_expires_stops_who_can_never_have_it_again(memory, tmp_path) -> None:
    """Nobody tells of an expiry: the run wakes by itself, and ends instead of waiting for ever."""
    go = tmp_path / "go"
    tasks = (task("one", f"hear {go}", stores=["k"]), task("two", "", ["k", "never"]))
    with gate_pipe(go), running(memory, plan(*tasks, given=("never",)), tmp_path) as going:
        going.watcher.until("one", "working")
        memory.store("k", 1, ttl=3, namespace=SPACE)
        go.write_text("go", "utf-8")
        assert ends(going.end())["two"] == "stopped"


def test_the_memory_says_for_what_a_task_waits_now(memory, tmp_path) -> None:
    """Who looks from outside sees the key that is still missing, not the one that was missing first."""
    waiting = plan(task("one", "", ["a", "b", "c"]), given=("a", "b", "c"))
    with running(memory, waiting, tmp_path) as going:
        going.watcher.until("one", "waiting")
        for key, following in (("a", "b"), ("b", "c")):
            assert status(memory, "one") == {"state": "blocked", "waiting_for": key}
            memory.store(key, 1, namespace=SPACE)
            met = f"waiting_for == '{following}'"
            memory.wait_for("swarm/one/status", until=met, timeout=60, namespace=SPACE)
        memory.store("c", 1, namespace=SPACE)
        going.end()


def test_everything_is_told_once_at_the_beginning(memory, tmp_path) -> None:
    """Whoever draws a table has all its rows before the first one changes."""
    told = []
    runner = Runner(memory, CHAIN, tmp_path, on_event=lambda one: told.append((runner.session, one)))
    outcome = runner.run()
    assert [(one.name, one.state, one.waiting_for) for _, one in told[:3]] == [
        ("first", "waiting", ()),
        ("second", "waiting", ("k/1",)),
        ("third", "waiting", ("k/2",)),
    ]
    assert {session for session, _ in told} == {outcome.session}
    assert json.loads(json.dumps(outcome.to_json()))["tasks"][0] == outcome.tasks[0].to_json()


def test_a_plan_without_tasks_is_done(memory, tmp_path) -> None:
    """Nothing to wait for is no reason to wait."""
    assert run(memory, plan(), tmp_path).verdict == "done"


def test_a_run_that_writes_what_another_one_is_writing_is_refused(memory, tmp_path) -> None:
    """It would take the other one's results away; a plan with keys of its own may run beside it."""
    go = tmp_path / "go"
    with gate_pipe(go), running(memory, plan(task("one", f"hear {go}", stores=["k"])), tmp_path) as going:
        going.watcher.until("one", "working")
        for rival in (plan(task("two", "store k 1", stores=["k"])), plan(task("one", ""))):
            with pytest.raises(ConflictError, match=re.escape(str(going.runner.session))):
                run(memory, rival, tmp_path)
        assert run(memory, plan(task("two", "store j 1", stores=["j"])), tmp_path).verdict == "done"
        assert run(memory, plan(task("one", "store k 1", stores=["k"]), namespace="other"), tmp_path).verdict == "done"
        going.runner.stop()
        going.end()
    assert run(memory, plan(task("one", "store k 1", stores=["k"])), tmp_path).verdict == "done"


@linux
def test_an_error_of_the_memory_ends_the_agents_first(memory, tmp_path, monkeypatch) -> None:
    """Nobody works for a run that is no more."""
    monkeypatch.setenv("MARKER", f"marker-{tmp_path}")
    ready, go = tmp_path / "ready", tmp_path / "go"

    def full(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    two = plan(task("one", f"word {ready}; hear {go}"), task("two", "", ["k"]), given=("k",))
    with gate_pipe(go), word(ready):
        going = running(memory, two, tmp_path)
    monkeypatch.setattr(Record, "working", full)
    memory.store("k", 1, namespace=SPACE)
    with pytest.raises(StorageError, match="full"):
        going.end()
    assert [one for one in marked(f"marker-{tmp_path}") if "agent.py" in one] == []


@linux
def test_a_keeper_that_was_killed_ends_the_run_with_an_error(memory, tmp_path) -> None:
    """What it kept has ended with it; the run can be resumed."""
    go = tmp_path / "go"
    with gate_pipe(go), running(memory, plan(task("one", f"hear {go}")), tmp_path) as going:
        going.watcher.until("one", "working")
        (keeper,) = [
            int(folder.name)
            for folder in Path("/proc").glob("[0-9]*")
            if b"keeper.py" in _words(folder) and _parent(folder) == os.getpid()
        ]
        kill(keeper)
        with pytest.raises(StorageError, match="keeper"):
            going.end()


def _words(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


def _parent(folder: Path) -> int:
    return int((folder / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
