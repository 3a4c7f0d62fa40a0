"""`gitmem wait` and `gitmem watch` as processes: pipes that break, Ctrl-C, terminals, commands that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from gitmem import Memory
from gitmem.cli.waiting import environment
from tests.terminal import on_terminal

pytestmark = pytest.mark.usefixtures("empty_folder")

GITMEM = [sys.executable, "-m", "gitmem"]
LONG = 60.0


@pytest.fixture(autouse=True)
def _buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open(agent="coder", durability="fast") as memory:
        memory.store("before", 0)
        yield memory


def begin(*argv: str, **options: Any) -> subprocess.Popen[str]:
    """The command, running."""
    return subprocess.Popen(
        [*GITMEM, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def gitmem(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GITMEM, *argv], capture_output=True, text=True, timeout=LONG)


def out_of(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def watching(memory: Memory, *argv: str, **options: Any) -> subprocess.Popen[str]:
    """A watch that began at the memory as it is, whenever it is ready."""
    return begin("watch", "--since", memory.snapshot, *argv, **options)


def test_a_waiter_in_one_process_returns_when_another_stores(memory: Memory) -> None:
    """What all of this is for."""
    waiter = begin("wait", "a", "b", "--timeout", str(LONG))
    assert gitmem("store", "a", "1").returncode == 0
    assert gitmem("store", "b", "2").returncode == 0
    out, told = waiter.communicate(timeout=LONG)
    assert (waiter.returncode, told) == (0, "")
    assert {key: entry["value"] for key, entry in json.loads(out).items()} == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("a/done", "-n", "team"), "hint: there is one in namespace 'default': name it with -n default"),
        (("a/doen",), "hint: did you mean 'a/done'?"),
        (("none", "a/*"), "hint: `gitmem list` shows the keys"),
        (("a/*", "none"), "hint: keys are waited for one by one, and * is only itself: `gitmem watch` takes a glob"),
        (("a/done", "--until", "@ == 'x'"), "hint: 'a/done' is there (version 1, by coder), but --until does not "
         "hold for it"),
    ],
    ids=["elsewhere", "misspelled", "nowhere", "a-glob", "another-value"],
)
def test_whoever_waits_in_vain_is_told_what_was_meant(memory: Memory, argv: tuple[str, ...], told: str) -> None:
    """The key lies elsewhere, is spelled otherwise, or has another value: it would never have come."""
    memory.store("a/done", "y")
    memory.store("b", 1, namespace="team")
    done = gitmem("wait", *argv, "--timeout", "0")
    assert (done.returncode, done.stderr.splitlines()[1]) == (5, told)
    assert done.stderr.splitlines()[2].startswith("hint: wait on with `gitmem wait ")


def test_events_come_as_lines_as_they_happen_a_commit_at_a_time(memory: Memory) -> None:
    """Nothing is held back until a buffer is full."""
    watch = watching(memory, "a/**")
    for number in range(3):
        with memory.transaction() as tx:
            for key in ("a/\u2028\x7f", "a/b", "else"):
                tx.store(key.replace("\x7f", ""), f"{number}\u2028\x7f\n")
        events = [json.loads(out_of(watch).readline()) for _ in range(2)]
        assert [event["key"] for event in events] == ["a/b", "a/\u2028"]
        assert [event["new"]["value"] for event in events] == [f"{number}\u2028\x7f\n"] * 2
        assert [event["last"] for event in events] == [False, True]
        assert {event["revision"] for event in events} == {memory.snapshot}
    watch.send_signal(signal.SIGINT)
    out, told = watch.communicate(timeout=LONG)
    assert (watch.returncode, out) == (130, "")
    words, _, revision = told.removesuffix("`\n").rpartition(" ")
    assert words == "hint: go on with `gitmem watch 'a/**' --since"
    assert revision in {memory.snapshot[:12], memory.revision("HEAD~1")[:12]}  # it may have come while that was told


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="cannot see when another process waits")
def test_an_interrupted_wait_is_130_and_no_traceback(memory: Memory) -> None:
    """Ctrl-C ends any wait."""
    waiter = begin("wait", "before", "never")
    deadline = time.monotonic() + LONG
    while len(os.listdir(f"/proc/{waiter.pid}/task")) == 1:  # then somebody looks out for it
        assert time.monotonic() < deadline
        time.sleep(0.01)
    waiter.send_signal(signal.SIGINT)
    out, told = waiter.communicate(timeout=LONG)
    assert (waiter.returncode, out, told.strip()) == (130, "", "")


@pytest.mark.parametrize("more", [True, False], ids=["at-the-next-event", "while-nothing-happens"])
def test_a_reader_that_leaves_ends_the_watch_without_a_word(memory: Memory, more: bool) -> None:
    """`gitmem watch | head -1`: also where no event comes any more. What to resume from is not told, since nobody
    knows what was read."""
    watch = watching(memory)
    memory.store("a", 1)
    assert json.loads(out_of(watch).readline())["key"] == "a"
    out_of(watch).close()
    if more:
        memory.store("a", 2)
    assert watch.wait(LONG) == 1
    assert watch.stderr is not None
    assert watch.stderr.read() == ""
    watch.stderr.close()


def test_head_ends_the_whole_line(memory: Memory) -> None:
    """In a shell, which waits for both."""
    start = memory.snapshot
    memory.store("a", 1)
    line = f'"{sys.executable}" -m gitmem watch --since {start} | head -1'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=LONG)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["key"] == "a"


def test_it_stops_after_so_long_without_an_event(memory: Memory) -> None:
    """Exit code 0: nothing is wrong. What happened until then was told, and what comes after is for the next."""
    watch = watching(memory, "--timeout", "0.5")
    memory.store("a", 1)
    out, told = watch.communicate(timeout=LONG)
    assert (watch.returncode, len(out.splitlines())) == (0, 1)
    revision = told.removesuffix("`\n").rpartition(" ")[2]
    memory.store("b", 1)
    again = gitmem("watch", "--since", revision, "--once")
    assert [json.loads(line)["key"] for line in again.stdout.splitlines()] == ["b"]


def test_a_history_that_was_rewritten_ends_it(memory: Memory) -> None:
    """With the code for an unknown revision, and still with where it had been."""
    watch = watching(memory)
    base, last = memory.snapshot, memory.store("a", 1).revision
    out_of(watch).readline()
    subprocess.run(["git", "-C", ".gitmem/.git", "update-ref", "refs/heads/main", base], check=True)
    out, told = watch.communicate(timeout=LONG)
    assert (watch.returncode, out) == (3, "")
    assert f"--since {last[:12]}`" in told
    assert "is not in the history of main" in told


# --- commands

TELL = """
import json, os, sys
event = json.load(sys.stdin)
names = ["namespace", "key", "operation", "revision", "agent", "session", "time", "last"]
told = {name: os.environ[f"GITMEM_EVENT_{name.upper()}"] for name in names}
assert all(str(event[name] if event[name] is not None else "").lower() == told[name].lower() for name in told), told
print(json.dumps(told), flush=True)
sys.exit(3 if event["key"] == "bad" else 0)
"""


def test_a_command_runs_for_each_event(memory: Memory) -> None:
    """The event on its stdin, and in the environment; its own options are its own."""
    watch = watching(memory, "[ab]*", "--", sys.executable, "-c", TELL, "--json", "-n", "--")
    with memory.bind(session="monday").transaction() as tx:
        tx.store("a", 1)
        tx.store("b é", 1)
        tx.store("c", 1)
    told = [json.loads(out_of(watch).readline()) for _ in range(2)]
    assert [(one["key"], one["last"], one["session"]) for one in told] == [
        ("a", "false", "monday"),
        ("b é", "true", "monday"),
    ]
    memory.store("bad", 1)
    memory.delete("a")
    told = [json.loads(out_of(watch).readline()) for _ in range(2)]
    assert [(one["key"], one["operation"], one["session"]) for one in told] == [
        ("bad", "created", ""),
        ("a", "deleted", ""),
    ]
    watch.send_signal(signal.SIGINT)
    errors = watch.communicate(timeout=LONG)[1]
    assert watch.returncode == 130
    assert errors.startswith(f"warning: {sys.executable} exited with 3, for bad at ")
    assert "go on with `gitmem watch '[ab]*' --since" in errors


def test_a_command_that_fails_is_told_by_the_exit_code(memory: Memory) -> None:
    """Watching goes on; a script that looks at the code alone learns it."""
    start = memory.snapshot
    memory.store("a", 1)
    memory.store("b", 1)
    failing = gitmem("watch", "--since", start, "--once", "--", "sh", "-c", "kill -9 $$")
    assert failing.returncode == 1
    assert failing.stderr.count("was ended by signal 9") == 2
    fine = gitmem("watch", "--since", start, "--once", "--", "true")  # which does not read its stdin
    assert (fine.returncode, fine.stdout) == (0, "")
    if os.geteuid() == 0 or os.access("/etc/passwd", os.R_OK):
        Path("tool").write_text("#!/no/such/interpreter\n")
        Path("tool").chmod(0o755)
        odd = gitmem("watch", "--since", start, "--once", "--", "./tool")
        assert odd.returncode == 1
        assert odd.stderr.count("could not be started") == 2


def test_an_interrupted_command_is_told_again_by_whoever_goes_on(memory: Memory) -> None:
    """Of a commit's events the first was done and the second was not: both come again."""
    start = memory.snapshot
    with memory.transaction() as tx:
        tx.store("a", 1)
        tx.store("b", 1)
    slow = 'echo $GITMEM_EVENT_KEY; test $GITMEM_EVENT_KEY = a || exec sleep 60'
    watch = watching_from(start, "--", "sh", "-c", slow)
    assert [out_of(watch).readline() for _ in range(2)] == ["a\n", "b\n"]
    os.killpg(watch.pid, signal.SIGINT)  # as a terminal does
    _, told = watch.communicate(timeout=LONG)
    assert watch.returncode == 130
    assert f"--since {start[:12]}`" in told


def watching_from(revision: str, *argv: str) -> subprocess.Popen[str]:
    return begin("watch", "--since", revision, *argv, start_new_session=True)


def test_an_event_fits_into_an_environment(memory: Memory) -> None:
    """Whatever a stranger wrote into a commit: no NUL, nothing that cannot be encoded, nothing inherited."""
    start = memory.snapshot
    memory.store("a", 1)
    with memory.watch(since=start) as watch:
        event = next(watch)
    odd = type(event)(**{name: getattr(event, name) for name in type(event).__slots__} | {"agent": "a\0\udc80\ud800"})
    os.environ["GITMEM_EVENT_SESSION"] = "outer"
    try:
        told = environment(odd)
    finally:
        del os.environ["GITMEM_EVENT_SESSION"]
    assert (told["GITMEM_EVENT_AGENT"], told["GITMEM_EVENT_SESSION"]) == ("a??", "")
    subprocess.run(["true"], env=told, check=True)


# --- terminals


def test_a_person_sees_values_and_who_wrote_them(memory: Memory) -> None:
    """As `retrieve` prints them, and nobody's text is obeyed; --json is for programs here too."""
    entry = memory.store("a", "two\nlines\x1b[31m")
    memory.store("b", {"x": 1})
    by = f"by coder at {entry.to_json()['time']} ({entry.revision[:12]})\n"
    assert on_terminal("wait", "a") == "two\nlines\\u001b[31m\n" + by
    assert on_terminal("wait", "a", "b").startswith("a\ntwo\nlines\\u001b[31m\n" + by + 'b\n{\n  "x": 1\n}\nby coder')
    assert json.loads(on_terminal("wait", "b", "--json"))["value"] == {"x": 1}


def test_a_person_sees_rows(memory: Memory) -> None:
    """Time, agent, operation, key, value on one line, cut at the edge; with --json the lines that a pipe gets."""
    start = memory.snapshot
    memory.store("a", "x" * 200)
    memory.store("b\u202ec", 1, namespace="team")
    memory.delete("a")
    rows = [line for line in on_terminal("watch", "--since", start, "--once").split("\n") if "hint:" not in line]
    first, second = (row for row in rows if row)
    assert first.split()[1:4] == ["coder", "created", "a"]
    assert (len(first), first[-1]) == (100, "…")
    assert second.split()[1:] == ["coder", "deleted", "a", "-"]
    everywhere = on_terminal("watch", "--since", start, "--once", "--all-namespaces")
    assert "created   team b\\u202ec" in everywhere
    lines = on_terminal("watch", "--since", start, "--once", "--json").splitlines()
    assert json.loads(lines[0])["new"]["value"] == "x" * 200
