"""gitmem run: what it prints, how it ends, and what a person at a terminal can do meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory
from gitmem.cli.progress import Board, Lines, drawing, seconds_text
from gitmem.recipes import Gate
from gitmem.workflow.outcome import Progress
from gitmem.workflow.plan import parse_plan, stages
from tests.commands import gitmem
from tests.house.blueprint import TOP
from tests.terminal import PATIENCE, Terminal

pytestmark = pytest.mark.usefixtures("empty_folder")

ASKED = "planning: [a]pprove, [r]eject or [l]ater: "


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open(".", agent="eve", namespace="coordination", durability="fast") as memory:
        yield memory


def plan(*tasks: str, rest: str = "", name: str = "small") -> str:
    """A plan in a file; each task is `name: what a shell does: more of its table`."""
    text = f'name = "{name}"\n[agents.sh]\ncommand = ["sh", "-c", "{{prompt}}"]\n'
    for task in tasks:
        called, script, *more = task.split(": ")
        text += f"[[task]]\nname = '{called}'\nagent = 'sh'\nprompt = '''{script}'''\n" + "\n".join(more) + "\n"
    Path("plan.toml").write_text(text + rest)
    return "plan.toml"


def stores(key: str, value: str = "1") -> str:
    """What a shell does to store a key; quick, for a start of gitmem takes a while."""
    return f"{sys.executable} -m gitmem store {key} {value} >/dev/null"


TWO = ("first: " + stores("k") + ": stores = ['k']", "second: echo out; echo err >&2: waits_for = ['k']")
GATE = "[[gate]]\nname = 'planning'\nshows = ['k']\ndeciders = ['human']\n"
GATED = ("first: " + stores("k", "shown-value") + ": stores = ['k']", "second: true: gates = ['planning']")


def session_in(text: str) -> str:
    found = re.search(r"session-\d{8}-\d{6}-[\w-]+", text)
    assert found, text
    return found[0]


# --- without a run


def test_a_dry_run_shows_the_order_and_starts_nothing() -> None:
    """It is for a look before anything happens: not even a memory is made."""
    done = gitmem("run", str(TOP / "fixtures" / "plans" / "checkpoints" / "plan.toml"), "--dry-run")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "checkpoints: 5 tasks in 5 stages, namespace coordination",
        "1\tplanner\tplanner\t-\tcheckpoint/phase1/plan",
        "2\tplanning-reviewer\tplanning-reviewer\tcheckpoint/phase1/plan\t-",
        "3\timplementation-team\tcoder\tcheckpoint/phase1/plan, gate planning\tcheckpoint/phase2/implementation",
        "4\tcode-reviewer\tcode-reviewer\tcheckpoint/phase1/plan, checkpoint/phase2/implementation\t-",
        "5\tdevops\tcicd-engineer\tcheckpoint/phase2/implementation, gate implementation\tcheckpoint/gates/deployment",
        "gate planning: shows checkpoint/phase1/plan; planning-reviewer or human decides",
        "gate implementation: shows checkpoint/phase2/implementation; code-reviewer decides",
    ]
    assert not Path(".gitmem").exists()


def test_a_dry_run_as_json_is_the_plan_and_its_stages() -> None:
    """What a program needs to draw or to judge it itself."""
    folder = TOP / "fixtures" / "plans" / "exercise"
    told = json.loads(gitmem("run", str(folder), "--dry-run", "--json").stdout)
    made = parse_plan((folder / "plan.toml").read_text("utf-8"))
    assert told == {"plan": made.to_json(), "stages": stages(made)}


def test_a_plan_is_drawn() -> None:
    """Into a file, or a pull request."""
    assert gitmem("run", plan(*TWO), "--graph", "mermaid").stdout.startswith("flowchart LR\n")
    assert gitmem("run", plan(*TWO), "--graph", "svg").stdout.startswith("<svg ")
    told = json.loads(gitmem("run", plan(*TWO), "--graph", "svg", "--json").stdout)
    assert told["format"] == "svg"
    assert told["graph"].endswith("</svg>\n")


def test_every_problem_of_a_plan_has_its_line_and_nothing_is_started() -> None:
    """Editors jump to `file:line:`."""
    done = gitmem("run", plan("a: true: waits_for = ['kk']", "b: true: stores = ['k']: retry = 1"))
    assert done.exit_code == 7
    assert done.stderr.splitlines() == [
        "plan.toml:8: task 'a' waits for 'kk', which no task stores or changes and `given` does not name; did you mean "
        "'k'?",
        "plan.toml:14: task 'b' has no setting 'retry'; did you mean 'retries'?",
        "error: plan.toml has 2 problems",
        "hint: nothing was started",
    ]
    Path("plan.toml").write_bytes(b"name = '\xff'\n")
    assert gitmem("run", "plan.toml").stderr.startswith("plan.toml:1: it is not UTF-8\n")
    Path("plan.toml").write_bytes(b"")
    assert gitmem("run", "plan.toml").stderr.startswith('plan.toml: a plan needs name: name = "login"\n')
    assert not Path(".gitmem").exists()


def test_what_has_to_come_from_outside_is_told_before_anybody_waits_for_it(memory: Memory) -> None:
    """In the plan's namespace, where nobody stores by accident; and programs that are nowhere, though they may come."""
    text = plan("a: true: waits_for = ['project/x']", "b: true", "c: true")
    written = Path(text).read_text()
    for task, agent in (("b", "lost"), ("c", "made")):
        written = written.replace(f"name = '{task}'\nagent = 'sh'", f"name = '{task}'\nagent = '{agent}'")
    more = "[agents.lost]\ncommand = ['nowhere-at-all']\n[agents.made]\ncommand = ['./made']\n"
    Path(text).write_text("given = ['project/x', 'project/unused']\n" + written + more)
    wanted = "hint: project/x has to come from outside: `gitmem store project/x VALUE -n coordination`"
    lost = "hint: there is no program 'nowhere-at-all' yet, which agent lost is"
    made = "hint: there is no program './made' yet, which agent made is"
    assert gitmem("run", text, "--dry-run").stderr.splitlines() == [wanted, lost, made]
    memory.store("project/x", 1)
    Path("made").write_text("#!/bin/sh\ntrue\n")
    Path("made").chmod(0o755)
    assert gitmem("run", text, "--dry-run").stderr.splitlines() == [lost]
    assert gitmem("run", text).stderr.splitlines()[0] == lost


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        ([], 2, "no plan is named"),
        (["plan.toml", "--dry-run", "--graph", "svg"], 2, "--dry-run and --graph do not go together"),
        (["plan.toml", "--verify", "s"], 2, "too much"),
        (["nowhere.toml"], 1, "No such file"),
        (["--verify", "s"], 3, "there is no run 's'"),
        (["--resume", "s"], 3, "there is no run 's'"),
        (["--logs", "s"], 3, "there is no run 's'"),
        (["--logs", "s", "t"], 3, "no log"),
        (["plan.toml", "--jobs", "0"], 2, "jobs"),
        (["plan.toml", "-n", "team"], 2, "the plan lies in the namespace coordination"),
    ],
)
def test_what_makes_no_sense_is_told(argv: list[str], code: int, told: str, memory: Memory) -> None:
    """With the code that programs go by, and before anything has begun."""
    plan(*TWO)
    done = gitmem("run", *argv)
    assert (done.exit_code, told in done.stderr) == (code, True), done.stderr
    assert memory.list("session/") == []


# --- a run


def test_a_run_is_told_line_by_line_and_can_be_looked_into_later(memory: Memory) -> None:
    """Its session is the first thing that is told, since all else is found by it."""
    done = gitmem("run", plan(*TWO))
    assert done.exit_code == 0, done.output
    session = session_in(done.stdout)
    lines = [re.sub(r"[\d.]+ s", "T", line) for line in done.stdout.splitlines()]
    assert lines[:3] == [f"run {session}", "    T  second: waits for k", "    T  first: working (sh)"]
    assert sorted(lines[3:-1]) == [
        "    T  first: done after T", "    T  second: done after T", "    T  second: working (sh)",
    ]  # fmt: skip
    assert lines[-1] == f"small is done: 2 tasks ({session})"
    assert gitmem("run", "--logs", session, "second").stdout == "out\nerr\n"
    listed = dict(line.split("\t") for line in gitmem("run", "--logs", session).stdout.splitlines())
    assert Path(listed["second"]).read_text() == "out\nerr\n"
    assert json.loads(gitmem("run", "--logs", session, "second", "--json").stdout)["log"] == "out\nerr\n"
    assert json.loads(gitmem("run", "--logs", session, "--json").stdout) == listed
    assert "was committed before it started" in gitmem("run", "--verify", session).stdout
    assert gitmem("run", "--verify", "last").stdout.startswith(session)
    assert json.loads(gitmem("run", "--verify", session, "--json").stdout) == []


def test_a_run_as_json_is_its_outcome() -> None:
    """And nothing else on stdout."""
    done = gitmem("run", plan("only: true"), "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["verdict"], told["phase"]) == (0, "done", "done")
    assert [(task["name"], task["state"], task["exit"]) for task in told["tasks"]] == [("only", "done", 0)]


def test_a_failure_is_told_with_what_helps_and_the_run_goes_on_where_it_ended() -> None:
    """What is done is not done again."""
    again = "first: echo x >> ran; test $(wc -l < ran) = 1"
    done = gitmem("run", plan(again, "second: test -e mended && " + stores("k") + ": stores = ['k']",
                              "third: true: waits_for = ['k']", "fourth: echo oops; exit 3: retries = 1"))  # fmt: skip
    session = session_in(done.stdout)
    assert done.exit_code == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"small failed ({session}): second failed: exit code 1; fourth failed: exit code 3")
    assert "to be tried again: exit code 3 (try 1 of 2)" in done.stdout
    assert "third: stopped: k cannot come any more: second failed" in done.stdout
    assert done.stderr.splitlines()[-2:] == [
        f"hint: `gitmem run --logs {session} second` shows what it printed",
        f"hint: `gitmem run --resume {session}` goes on; what is done stays done",
    ]
    Path("mended").touch()
    more = gitmem("run", "--resume", session)
    assert more.exit_code == 1
    assert "first: working" not in more.stdout
    assert "third: done" in more.stdout
    assert Path("ran").read_text() == "x\n"


def test_a_run_goes_on_with_its_own_plan_and_takes_no_other() -> None:
    """Somebody mends the plan and resumes: the run would do the old one again, as if nothing had been mended."""
    text = plan("only: exit 3")
    session = session_in(gitmem("run", text).stdout)
    assert gitmem("run", text, "--resume", session).exit_code == 1
    assert gitmem("run", ".", "--resume", session).exit_code == 1
    done = gitmem("run", plan("only: exit 0"), "--resume", session)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[:2] == [
        f"error: plan.toml is not what {session} began with, and a run goes on with its own plan",
        f"hint: `gitmem run plan.toml` begins anew; `gitmem run --resume {session}` goes on",
    ]
    assert "nowhere.toml: No such file" in gitmem("run", "nowhere.toml", "--resume", session).stderr


def test_a_log_of_no_task_names_the_tasks() -> None:
    """Its name was mistyped, rather than its machine mistaken."""
    session = session_in(gitmem("run", plan("only: true")).stdout)
    told = {name: gitmem("run", "--logs", session, name).stderr.splitlines()[1] for name in ("onyl", "other")}
    assert told == {
        "onyl": f"hint: {session} has no task 'onyl'; did you mean 'only'?",
        "other": f"hint: {session} has no task 'other': it has only",
    }


def test_a_log_is_shown_whole_and_in_pieces() -> None:
    """However long it is, and wherever a piece ends: in the middle of a character, say."""
    session = session_in(gitmem("run", plan("""only: python3 -c 'print("a" + "\u00e9" * 70000)'""")).stdout)
    assert gitmem("run", "--logs", session, "only").stdout == f"a{'é' * 70_000}\n"
    assert json.loads(gitmem("run", "--logs", session, "only", "--json").stdout)["log"] == f"a{'é' * 70_000}\n"


def test_a_plan_that_was_changed_is_said_of_the_run_itself(memory: Memory) -> None:
    """It belongs to no task."""
    session = session_in(gitmem("run", plan("only: true")).stdout)
    changed = memory.store(f"session/{session}/plan", {})
    told = f"the run itself: the plan was modified by {changed.agent} after the run began ({changed.revision[:12]})\n"
    assert gitmem("run", "--verify", session).stdout == told


def test_a_run_that_proves_nothing_is_told(memory: Memory) -> None:
    """Somebody began before what he waits for was there: the history says so, and so does the exit code."""
    session = session_in(gitmem("run", plan(*TWO)).stdout)
    forged = memory.bind(agent="gitmem-run", session=session)
    forged.delete("k")
    early = forged.store("swarm/second/status", {"state": "working", "attempt": 2})
    done = gitmem("run", "--verify", session)
    assert done.exit_code == 1
    assert re.search(rf"^second: .*k.* \({early.revision[:12]}\)$", done.stdout, re.M), done.stdout
    told = json.loads(gitmem("run", "--verify", session, "--json").stdout)
    assert {(one["task"], one["revision"]) for one in told} == {("second", early.revision)}


def test_a_rejected_gate_has_a_code_of_its_own() -> None:
    """Whoever automates this tells a refusal from a failure."""
    rejecting = f"check: {sys.executable} -m gitmem gate reject planning --feedback no >/dev/null: waits_for = ['k']"
    done = gitmem("run", plan(*GATED, rejecting, rest=GATE.replace("human", "check")))
    assert done.exit_code == 6, done.output
    assert "small was stopped at a gate" in done.stdout
    assert "second stopped: gate planning was rejected by check: no" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("hint: `gitmem gate resubmit planning`, then `gitmem run --resume ")


def test_a_run_that_takes_too_long_has_a_code_of_its_own() -> None:
    """For the whole run, or for a task."""
    for more, timed in (("", ["--timeout", "0.3"]), (": timeout = 0.3", [])):
        done = gitmem("run", plan("only: sleep 600" + more), *timed)
        assert (done.exit_code, "timed out" in done.stdout) == (5, True), done.output


def test_a_pending_gate_is_told_with_how_a_person_decides() -> None:
    """In the plan's namespace; one that only a task decides is nobody else's business."""
    text = plan(*GATED, rest=GATE)
    Path(text).write_text(Path(text).read_text().replace("[agents", 'namespace = "team"\n[agents', 1))
    with following("run", text) as lines:
        told = next(line for line in lines if "pending" in line)
        assert told.endswith("gate planning: pending: gitmem gate review planning -n team\n")
        assert gitmem("gate", "approve", "planning", "-n", "team", "--agent", "eve").exit_code == 0
        assert "gate planning: approved by eve" in "".join(lines)


class following:
    """A run in a process of its own, its lines as they come."""

    def __init__(self, *argv: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gitmem", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Iterator[str]:
        assert self.process.stdout
        return iter(self.process.stdout)

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_the_run_ends_its_agents(sent: signal.Signals) -> None:
    """And leaves a session to go on from. The agent's number is told through a pipe: then it is at work."""
    os.mkfifo("told")
    run = following("run", plan("only: echo $$ > told; exec sleep 600", "after: true: waits_for = ['swarm/x']",
                                rest="[[task]]\nname = 'x'\nagent = 'sh'\nchanges = ['swarm/x']\n"))  # fmt: skip
    with run as lines:
        agent = int(Path("told").read_text())
        run.process.send_signal(sent)
        last = list(lines)[-1]
        assert run.process.wait(PATIENCE) == 130
    assert last.startswith("small was interrupted (session-")
    with pytest.raises(ProcessLookupError):
        os.kill(agent, 0)
    assert json.loads(
        gitmem("retrieve", f"session/{session_in(last)}/phase", "-n", "coordination", "--json").stdout
    ) == ("interrupted")


def test_a_run_whose_reader_has_gone_ends_its_agents() -> None:
    """`gitmem run … | head -1` must leave nothing behind."""
    os.mkfifo("told")
    os.mkfifo("go")
    go = os.open("go", os.O_RDWR)  # which waits for nobody
    run = following("run", plan("only: echo $$ > told; sleep 600", "other: read word < go"))
    with run as lines:
        assert next(lines).startswith("run ")
        agent = int(Path("told").read_text())
        assert run.process.stdout
        run.process.stdout.close()
        run.process.stdout = None
        os.write(go, b"on\n")
        assert run.process.wait(PATIENCE) == 1
    os.close(go)
    with pytest.raises(ProcessLookupError):
        os.kill(agent, 0)


# --- at a terminal


def plain(text: str) -> str:
    """Without what moves the cursor and paints."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_shows_a_table_that_stays_as_it_was_last() -> None:
    """Task, agent, state, waiting for, time."""
    with Terminal("run", plan(*TWO)) as terminal:
        said, code = terminal.end()
    *_, head, first, second, counts, last, tip = plain(said).rstrip("\n").split("\n")
    assert code == 0
    assert tip.startswith("hint: `gitmem run --verify session-")
    assert head[head.rindex("TASK") :].split() == ["TASK", "AGENT", "STATE", "TIME", "WAITING", "FOR"]
    assert re.fullmatch(r"first +sh +done +[\d.]+ s *", first)
    assert re.fullmatch(r"second +sh +done +[\d.]+ s *", second)
    assert re.fullmatch(r"[\d.]+ s: 2 done", counts.strip())
    assert last.startswith("small is done: 2 tasks (session-")
    assert re.search(r"second +sh +waiting +k", plain(said))


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_that_should_stay_plain_gets_lines(variables: dict[str, str]) -> None:
    """Nothing is drawn over, nothing is painted."""
    with Terminal("run", plan("only: true"), **variables) as terminal:
        said, code = terminal.end()
    assert (code, "\x1b" in said) == (0, False)
    assert "only: done after" in said


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}], ids=["table", "lines"])
def test_a_gate_is_asked_in_place_while_other_tasks_go_on(memory: Memory, variables: dict[str, str]) -> None:
    """The question shows what there is to decide on; the answer is signed by the person."""
    other = "other: " + stores("late") + ": gates = ['free']: stores = ['late']"
    free = "[[gate]]\nname = 'free'\n"
    with Terminal("run", plan(*GATED, other, rest=GATE + free.replace("free'", "free'\ndeciders = ['eve']")),
                  **variables) as terminal:  # fmt: skip
        asked = plain(terminal.until(ASKED))
        assert "shown-value" in asked
        assert "free: [a]pprove" not in asked, "ann may not decide there"
        Gate(memory, "free").approve()
        memory.wait_for("swarm/other/status", until="state == 'done'", timeout=PATIENCE)
        terminal.type("r\nnot yet\n")
        said, code = terminal.end()
    assert code == 6
    assert "rejected checkpoint/gates/planning" in plain(said)
    assert "second stopped: gate planning was rejected by ann: not yet" in plain(said)
    entry = memory.entry("checkpoint/gates/planning")
    assert (entry.agent, entry.value["feedback"]) == ("ann", "not yet")


def test_an_answer_in_place_lets_the_run_go_on(memory: Memory) -> None:
    """And the table comes back."""
    with Terminal("run", plan(*GATED, rest=GATE)) as terminal:
        terminal.until(ASKED)
        terminal.type("a\n")
        said, code = terminal.end()
    assert code == 0
    assert "small is done" in plain(said)
    assert re.search(r"gate planning +approved +by ann", plain(said))


def test_how_to_kill_agents_that_do_not_end_stays_above_the_table() -> None:
    """Printed below, it was drawn over a moment later, and the titles stood there twice."""
    with Terminal("run", plan("only: trap '' TERM INT; touch busy; sleep 600 & wait; sleep 600")) as terminal:
        terminal.until("working")
        while not Path("busy").exists():
            time.sleep(0.01)
        terminal.type("\x03")
        terminal.until("ending the agents; once more kills them")
        assert "\x1b[1A" not in terminal.until("TASK"), "the cursor goes up again"
        terminal.type("\x03")
        assert terminal.end()[1] == 130


def test_a_question_that_somebody_else_answers_is_taken_back(memory: Memory) -> None:
    """Nobody at the terminal has to press a key for the run to end."""
    with Terminal("run", plan(*GATED, rest=GATE)) as terminal:
        terminal.until(ASKED)
        Gate(memory, "planning").approve()
        said, code = terminal.end()
    assert code == 0
    assert "it is answered, or the run has ended" in said


def test_later_leaves_the_gate_open_and_says_how_to_come_back(memory: Memory) -> None:
    """It is not asked again until it is asked anew."""
    with Terminal("run", plan(*GATED, rest=GATE)) as terminal:
        terminal.until(ASKED)
        terminal.type("l\n")
        terminal.until("gitmem gate review planning")
        gate = Gate(memory, "planning")
        gate.reopen("look again") if gate.read().state != "pending" else gate.approve()
        said, code = terminal.end()
    assert code == 0
    assert ASKED not in plain(said)


def test_ctrl_c_at_a_question_ends_the_run(memory: Memory) -> None:
    """As anywhere else."""
    with Terminal("run", plan(*GATED, rest=GATE)) as terminal:
        terminal.until(ASKED)
        terminal.type("\x03")
        said, code = terminal.end()
    assert code == 130
    assert "small was interrupted" in plain(said)


# --- what is told


def board(*rows: Progress) -> Board:
    made = Board()
    for row in rows:
        made.take(row)
    return made


def test_a_table_that_does_not_fit_leaves_out_what_is_over() -> None:
    """Of 200 tasks a person wants to see those at work, and what waits for him."""
    rows = [Progress("task", f"t{at}", "done") for at in range(100)]
    rows += [Progress("task", "busy", "working", attempt=1), Progress("task", "next", "waiting", waiting_for=("k",))]
    made = board(*rows, Progress("gate", "g", "pending"))
    for height in (5, 10, 24):
        lines = drawing(made, {}, height)
        assert len(lines) == height - 1
        assert any(line.startswith("busy") for line in lines)
    assert [line.split("\t")[0] for line in drawing(made, {}, 6)[1:-1]] == ["busy", "next", "gate g"]
    assert drawing(made, {}, 6)[-1].endswith("100 done, 1 working, 1 waiting; 100 rows not shown")
    assert len(drawing(made, {}, 1000)) == 105


def test_what_is_told_while_the_terminal_is_somebody_elses_is_told_afterwards(capsys: Any) -> None:
    """A line in the middle of a question would be taken for part of it."""
    lines = Lines({})
    with lines.aside():
        lines.told(Progress("task", "t", "working", "sh", 1))
        assert capsys.readouterr().out == ""
        time.sleep(0.2)
    assert re.fullmatch(r" +0\.[01] s  t: working \(sh\)\n", capsys.readouterr().out), "when it was told"


def test_nobodys_text_reaches_a_terminal_raw(capsys: Any) -> None:
    """A reason is what an agent made of it."""
    Lines({}).told(Progress("task", "t", "failed", reason="\x1b[2J\n\u202e"))
    assert capsys.readouterr().out.endswith("t: failed: \\u001b[2J\\n\\u202e\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (75.2, "75 s"), (599, "599 s"), (720, "12 min")]
)
def test_times_are_as_exact_as_they_are_read(seconds: float, text: str) -> None:
    """Nobody wants the tenths of an hour."""
    assert seconds_text(seconds) == text
