"""Recipes as commands: what only a test in Python can see. What they print is told in `fixtures/cli`."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import click
import pytest

from gitmem import Memory
from gitmem.cli import FAMILIES, front
from gitmem.recipes import FanOut
from tests.commands import gitmem, looked_on

pytestmark = pytest.mark.usefixtures("empty_folder")

STEP = "handoff/step1/research-complete"
WORKERS = tuple(f"fanout/workers/{name}-service-complete" for name in ("user", "product", "order"))
STATE = "shared/project-state"
FRESH = '{"api_endpoints": [], "test_coverage": 0, "security_issues": [], "performance_metrics": {}}'

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open(agent="tester", namespace="coordination", durability="fast") as memory:
        yield memory


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `gitmem …` as a process; whoever still runs in the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*argv: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "gitmem", *argv]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True))
        return processes[-1]

    yield begin
    for process in processes:
        with process:
            process.kill()


def test_who_waits_in_another_process_goes_on_when_it_is_there(memory: Memory, start: Start) -> None:
    """Drafts in between are not printed; nothing is before it is complete."""
    waiting = start("handoff", "receive", STEP, "--requires", "libraries")
    memory.store(STEP, {"recommended_approach": "JWT"})
    memory.patch(STEP, {"libraries": []})
    assert waiting.communicate(timeout=60)[0] == '{\n  "libraries": [],\n  "recommended_approach": "JWT"\n}\n'
    assert waiting.returncode == 0


def test_results_are_printed_one_by_one_as_they_come(memory: Memory, start: Start) -> None:
    """Each worker begins when the line about the one before has been read: nothing is kept back in a pipe."""
    gathering = start("fanout", "gather", "--as-completed", "--json", *WORKERS)
    assert gathering.stdout is not None
    for key in reversed(WORKERS):
        FanOut(memory).complete(key, {"lines": "a\nb"})
        told = json.loads(gathering.stdout.readline())
        assert (told["key"], told["value"], told["agent"]) == (key, {"lines": "a\nb"}, "tester")
    assert gathering.communicate(timeout=60) == ("", "")
    assert gathering.returncode == 0


def test_a_person_is_told_how_far_the_workers_are(memory: Memory, start: Start) -> None:
    """On the terminal, while stdout may lead into a file; into a log goes nothing of it."""
    mine, theirs = pty.openpty()
    watched = start("fanout", "gather", *WORKERS, stderr=theirs)
    os.close(theirs)
    quiet = start("fanout", "gather", *WORKERS)
    with open(mine, encoding="utf-8") as terminal:
        user, *rest = WORKERS
        assert terminal.readline() == f"0 of 3 done, waiting for {', '.join(WORKERS)}\n"
        FanOut(memory).complete(user, 1)
        assert terminal.readline() == f"1 of 3 done, waiting for {', '.join(rest)}\n"
        with memory.transaction() as tx:
            for key in rest:
                tx.store(key, 1)
        assert terminal.readline() == "3 of 3 done\n"
        assert watched.wait(timeout=60) == 0
    said, errors = quiet.communicate(timeout=60)
    assert (json.loads(said), errors) == (dict.fromkeys(WORKERS, 1), "")


def test_a_failure_ends_a_gather_in_another_process(memory: Memory, start: Start) -> None:
    """With the reason on stderr, nothing on stdout, and exit code 1, whatever is still missing."""
    gathering = start("fanout", "gather", *WORKERS)
    FanOut(memory).fail(WORKERS[1], "no database")
    said, errors = gathering.communicate(timeout=60)
    assert (gathering.returncode, said) == (1, "")
    assert errors.startswith(f"error: '{WORKERS[1]}' has failed, says tester: no database\nhint: ")


def test_a_document_is_waited_for_by_contributors_and_members(memory: Memory, start: Start) -> None:
    """Both kinds in one snapshot; the contributors are the agents of the command line or of the environment."""
    assert gitmem("shared", "open", STATE, FRESH).exit_code == 0
    waiting = start("shared", "wait", STATE, "--contributor", "backend-dev", "--contributor", "auditor", "--member",
                    "/test_coverage", "--json")  # fmt: skip
    gitmem("shared", "append", STATE, "/login", "--at", "/api_endpoints", "--agent", "backend-dev")
    memory.patch(STATE, {"test_coverage": 85})
    gitmem("shared", "contribute", STATE, env={"GITMEM_AGENT": "auditor"})
    said = json.loads(waiting.communicate(timeout=60)[0])
    assert (said["api_endpoints"], said["test_coverage"]) == (["/login"], 85)


def test_a_document_that_is_there_or_is_not_is_told(memory: Memory) -> None:
    """Opened once more with something else it has not changed; whoever changes it too early learns how to begin it."""
    early = gitmem("shared", "append", STATE, "/login", "--at", "/api_endpoints")
    assert early.exit_code == 3
    assert early.stderr.splitlines()[-1] == f"hint: `gitmem shared open {STATE} VALUE` begins it"
    assert gitmem("shared", "open", STATE, FRESH).stderr == ""
    assert gitmem("shared", "open", STATE, FRESH).stderr == ""
    again = gitmem("shared", "open", STATE, "{}")
    assert again.stderr == "hint: it was there already, with another value, and stays as it is\n"
    assert memory.entry(STATE).version == 1


def test_a_result_that_lies_elsewhere_is_told_to_who_waits_in_vain(memory: Memory) -> None:
    """Stored by hand, and so in the namespace `default`, in which no step is looked for."""
    memory.bind(namespace="default").store("handoff/step1/done", 1)
    memory.store("handoff/step2/done", 1)
    told = {
        step: gitmem("handoff", "receive", f"handoff/{step}/done", "--timeout", "0").stderr.splitlines()[1]
        for step in ("step1", "step3")
    }
    assert told == {
        "step1": "hint: there is one in namespace 'default': name it with -n default",
        "step3": "hint: did you mean 'handoff/step2/done'?",
    }
    assert gitmem("handoff", "receive", "handoff/step1/done", "-n", "default", "--timeout", "0").stdout == "1\n"


def test_an_interrupted_wait_says_nothing(memory: Memory, start: Start) -> None:
    """Ctrl-C while it waits: exit code 130, no traceback."""
    mine, theirs = pty.openpty()
    waiting = start("fanout", "gather", *WORKERS, stderr=theirs)
    os.close(theirs)
    with open(mine, encoding="utf-8") as terminal:
        terminal.readline()  # it has looked once, and waits
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(timeout=60) == 130
    assert waiting.communicate(timeout=60)[0] == ""


@pytest.mark.parametrize("family", ["handoff", "fanout", "shared"])
def test_every_command_of_a_recipe_speaks_json_and_knows_where_and_who(family: str) -> None:
    """Whoever has learnt one command has learnt these options for all."""
    commands = front.get_command(click.Context(front), family).commands  # type: ignore[union-attr]
    for name, command in commands.items():
        known = {option for param in command.params for option in param.opts}
        assert {"--json", "--store", "-n", "--namespace", "--agent", "--session"} <= known, name
    (told,) = [text for all_of in FAMILIES.values() for name, (_, text) in all_of.items() if name == family]
    assert gitmem(family, "--help").stdout.splitlines()[2].strip() == told


@pytest.mark.parametrize(
    ("options", "environment", "namespace"),
    [
        ((), {}, "coordination"),
        ((), {"GITMEM_NAMESPACE": "team"}, "team"),
        (("-n", "default"), {"GITMEM_NAMESPACE": "team"}, "default"),
    ],
)
def test_agents_meet_where_they_are_told_or_in_coordination(
    options: tuple[str, ...], environment: dict[str, str], namespace: str
) -> None:
    """Those who wait look where those who complete have written, by the same rule."""
    for argv in (
        ("handoff", "complete", STEP, "1"), ("handoff", "receive", STEP), ("fanout", "publish", "spec", "1"),
        ("fanout", "complete", WORKERS[0], "1"), ("fanout", "gather", WORKERS[0]), ("shared", "open", STATE, FRESH),
        ("shared", "patch", STATE, "{}"), ("shared", "wait", STATE),
    ):  # fmt: skip
        assert gitmem(*argv, *options, "--agent", "a", env=environment).exit_code == 0, argv
    assert gitmem("namespaces").stdout == f"{namespace}\n"


def test_nobody_s_text_leaves_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, a value, a reason and an agent's name are somebody's text."""
    key, hostile = "a\u202e", "x\u202e\x1b[31m"
    gitmem("handoff", "complete", key, hostile, "--agent", key)
    gitmem("fanout", "fail", "b", hostile, "--agent", key)
    gitmem("shared", "open", "doc\u202e", json.dumps({hostile: 1}), "--agent", key)
    gitmem("shared", "contribute", "doc\u202e", "--agent", key)
    looked_on(monkeypatch)
    monkeypatch.setenv("COLUMNS", "200")
    for argv in (
        ("handoff", "receive", key), ("handoff", "receive", key, "--requires", key, "--timeout", "0"),
        ("handoff", "status", "**"), ("fanout", "gather", "b"), ("fanout", "gather", "--as-completed", key),
        ("fanout", "progress", key), ("shared", "wait", "doc\u202e"), ("shared", "status", "doc\u202e"),
        ("shared", "wait", "doc\u202e", "--contributor", hostile, "--timeout", "0"),
    ):  # fmt: skip
        result = gitmem(*argv)
        assert "u202e" in result.output, argv
        assert not {"\x1b", "\u202e"} & set(result.output), argv
