"""`gitmem status`: into a pipe, as JSON, on a terminal, and live."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitmem import Memory
from gitmem.cli import status
from gitmem.recipes import Claims, Gate
from tests.commands import gitmem, looked_on
from tests.conftest import Clock
from tests.house.blueprint import TOP


@pytest.fixture
def memory(empty_folder: Path) -> Memory:
    return Memory.open(empty_folder, durability="fast", agent="ann", namespace="coordination")


def swarm_of(memory: Memory) -> None:
    memory.bind(agent="coder").store("swarm/coder/status", {"state": "blocked", "waiting_for": "plan"})
    memory.bind(agent="tester").store("swarm/tester/status", {"state": "failed", "reason": "exit 1"})
    memory.bind(agent="odd").store("swarm/odd/status", {"progress": 50})
    Gate(memory, "planning").request(["plan", "spec"])
    Gate(memory, "design").reject("no tests")
    Claims(memory).take("auth", ttl=None)


def test_in_a_pipe_each_line_says_what_it_is_about(memory: Memory) -> None:
    """For grep and cut: the part, then tabs; ages are for people, and vary."""
    swarm_of(memory)
    rows = [line.split("\t") for line in gitmem("status", "--last", "1").stdout.splitlines()]
    for row in rows[:-1]:
        row[{"agent": 3, "gate": 3, "claim": 3, "written": 1}[row[0]]] = "AGE"
    assert rows == [
        ["agent", "coder", "blocked", "AGE", "waits for plan"],
        ["agent", "odd", "-", "AGE", '{"progress": 50}'],
        ["agent", "tester", "failed", "AGE", "exit 1"],
        ["gate", "design", "rejected", "AGE", "by ann; no tests"],
        ["gate", "planning", "pending", "AGE", "by ann; shows plan, spec"],
        ["claim", "auth", "ann", "AGE", "until it is released"],
        ["written", "AGE", "ann", memory.snapshot[:12], "coordination claims/auth"],
        ["conflicts", "0"],
    ]


def test_json_is_what_the_recipe_gives(memory: Memory) -> None:
    """In the namespace that is named, or that the environment names; else in coordination."""
    swarm_of(memory)
    memory.store("swarm/lead/status", "working", namespace="team")
    told = json.loads(gitmem("status", "--json").stdout)
    assert [one["agent"] for one in told["agents"]] == ["coder", "odd", "tester"]
    assert (told["conflicts"], len(told["last"]), told["namespace"]) == (0, 5, "coordination")
    for found in (
        gitmem("status", "--json", "-n", "team"),
        gitmem("status", "--json", env={"GITMEM_NAMESPACE": "team"}),
    ):
        assert [one["agent"] for one in json.loads(found.stdout)["agents"]] == ["lead"]
    assert json.loads(gitmem("status", "--json", "-n", "default").stdout)["namespace"] == "default"


def test_an_empty_swarm_says_where_it_looked(memory: Memory) -> None:
    """Nothing to see is not an error, but a namespace may have been forgotten."""
    done = gitmem("status", "-n", "team")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "conflicts\t0")
    assert done.stderr == "hint: no agent has stored swarm/AGENT/status in team\n"


def test_where_there_is_no_memory_none_is_made(empty_folder: Path) -> None:
    """Looking creates nothing."""
    assert gitmem("status").exit_code == 1
    assert list(empty_folder.iterdir()) == []


def test_on_a_terminal_it_has_titles_and_no_raw_text(
    memory: Memory, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent's word must not move the cursor of whoever looks at it."""
    old = Memory.open(memory.path, agent="old", clock=clock, namespace="coordination")
    old.store("swarm/old/status", "\x1b[2Jgone\u202e")
    Claims(memory).take("auth", ttl=3000)
    looked_on(monkeypatch)
    monkeypatch.setenv("COLUMNS", "60")
    lines = gitmem("status").stdout.splitlines()
    assert lines[:2] == ["agents", f"  old  \\u001b[2Jgone\\u202e  {lines[1].split()[-3]} d  -"]
    assert [line for line in lines if line and line[0] != " "] == ["agents", "claims", "last written", "no conflicts"]
    assert lines[4].startswith("  auth  ann  ")
    assert lines[4].endswith(" left") or lines[4].endswith("…")
    assert all(len(line) <= 60 for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (86_400, "1 d"), (10**7, "115 d")]
)
def test_an_age_has_one_unit(seconds: int, text: str) -> None:
    """Read at a glance: nobody needs the seconds of yesterday."""
    assert status._age(seconds) == text


# --- live


@contextmanager
def watching(*argv: str, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "gitmem", "status", "--watch", *argv],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TOP), "TERM": "xterm"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupted(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C ends it, quietly."""
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr is not None
    assert process.stderr.read().strip() == b""


def test_each_change_is_one_line_of_json_in_a_pipe(memory: Memory) -> None:
    """Written at once, not when a buffer is full; what some take for the end of a line is escaped."""
    with watching("--json", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["agents"] == []
        for state in ("working", "a\u2028b\u0085c"):
            memory.store("swarm/coder/status", state)
            (text,) = process.stdout.readline().decode().splitlines()
            (agent,) = json.loads(text)["agents"]
            assert agent["state"] == state
        interrupted(process)


def test_each_change_is_one_block_in_a_pipe(memory: Memory) -> None:
    """The last line of a block is an empty one."""
    with watching("--last", "0", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert list(iter(process.stdout.readline, b"\n")) == [b"conflicts\t0\n"]
        memory.store("swarm/coder/status", "working")
        assert [line.split(b"\t")[0] for line in iter(process.stdout.readline, b"\n")] == [b"agent", b"conflicts"]
        interrupted(process)


def test_who_reads_no_more_ends_it(memory: Memory) -> None:
    """`gitmem status --watch | head -3`: no process is left behind, and no traceback."""
    with watching("--json", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        memory.store("swarm/coder/status", "working")
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert process.stderr.read().strip() == b""


def test_on_a_terminal_it_is_drawn_anew_in_place(memory: Memory) -> None:
    """The cursor goes back up to draw, and is given back at the end."""
    mine, theirs = pty.openpty()
    memory.store("swarm/coder/status", "working")
    with watching(stdout=theirs) as process:
        os.close(theirs)
        seen = until(mine, b"working")
        memory.store("swarm/coder/status", "finished")
        assert b"\x1b[1A" in until(mine, b"finished")
        assert b"\x1b[?25l" in seen
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert b"\x1b[?25h" in until(mine, b"\x1b[?25h")
    os.close(mine)


def until(terminal: int, wanted: bytes) -> bytes:
    """What a terminal shows, up to what is waited for. OSError if it ends before."""
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 4096)
    return seen
