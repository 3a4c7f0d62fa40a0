"""The keeper: agents are started as they should be, and whatever ends the runner, none of them is left."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from gitmem.workflow.keeping import Ended, Failed, Keeper, Lost, Started
from tests.processes import PATIENCE, end_of, kill, linux, marked, until, word

TOP = Path(__file__).resolve().parents[1]


class Desk:
    """A keeper, and what it answers."""

    def __init__(self, folder: Path, marker: str, grace: float, holds: list[int]) -> None:
        self.folder, self.marker = folder, marker
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self.keeper = Keeper(self._answers.put, grace=grace, mark=marker, holds=holds)

    def start(self, name: str, *argv: str, **env: str) -> None:
        marks = {"MARKER": self.marker, **env}
        self.keeper.start(name, argv, env=marks, cwd=self.folder, log=self.folder / f"{name}.log")

    def sh(self, name: str, script: str, **env: str) -> None:
        self.start(name, "sh", "-c", script, **env)

    def answer(self) -> Any:
        return self._answers.get(timeout=PATIENCE)

    def run(self, *argv: str, **env: str) -> tuple[int, str]:
        """Exit code and output of an agent."""
        self.start("one", *argv, **env)
        assert isinstance(self.answer(), Started)
        ended = self.answer()
        return ended.code, (self.folder / "one.log").read_text("utf-8")

    def started(self) -> int:
        answer = self.answer()
        assert isinstance(answer, Started), answer
        return answer.pid


@contextmanager
def desk(folder: Path, *, grace: float = 30.0, holds: list[int] | None = None) -> Iterator[Desk]:
    made = Desk(folder, f"marker-{folder}", grace, holds or [])
    try:
        yield made
    finally:
        made.keeper.hurry()
        made.keeper.close()


def sleeper(ready: Path) -> str:
    """A program, not yet the shell's copy of itself with its traps, that says it is there and stays."""
    return f"sh -c 'echo > {ready}; exec sleep 1000'"


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o700)
    return path


def test_an_agent_works_where_it_should_with_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folder, the environment of whoever started the run and what the run adds, no stdin, both outputs in the log."""
    monkeypatch.setenv("INHERITED", "yes")
    with desk(tmp_path) as one:
        code, said = one.run("sh", "-c", 'pwd; echo "$INHERITED $ADDED"; cat; echo bad >&2; exit 7', ADDED="a b = 'c'")
    assert (code, said) == (7, f"{tmp_path}\nyes a b = 'c'\nbad\n")


def test_an_exit_code_is_told_and_so_is_a_signal(tmp_path: Path) -> None:
    """What killed an agent is half of the reason why a task failed."""
    with desk(tmp_path) as one:
        assert one.run("true")[0] == 0
        assert one.run("false")[0] == 1
        assert one.run("sh", "-c", "kill -9 $$")[0] == -9


def test_a_program_that_cannot_be_started_is_told_with_its_name(tmp_path: Path) -> None:
    """Otherwise a misspelt command would be an exit code 127."""
    with desk(tmp_path) as one:
        one.start("a", "no-such-program")
        assert one.answer() == Failed("a", "there is no program 'no-such-program' on the PATH")
        one.start("b", "./no-such-script")
        assert one.answer() == Failed("b", "there is no program './no-such-script'")
        one.keeper.start("c", ["true"], env={}, cwd=tmp_path / "gone", log=tmp_path / "c.log")
        assert "gone" in one.answer().reason
        assert one.run("true")[0] == 0


def test_a_prompt_in_any_script_reaches_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the locale of whoever started the run."""
    monkeypatch.setenv("LC_ALL", "en_US.ISO-8859-1")
    with desk(tmp_path) as one:
        assert one.run("printf", "%s", "Prüfe 提案 🐍") == (0, "Prüfe 提案 🐍")


def test_a_program_may_have_a_name_like_a_variable(tmp_path: Path) -> None:
    """`env` takes a word with = for a variable."""
    odd = script(tmp_path / "a=b", 'echo "$1"')
    with desk(tmp_path) as one:
        assert one.run(str(odd), "c=d") == (0, "c=d\n")


def test_a_log_is_continued(tmp_path: Path) -> None:
    """A second attempt does not erase why the first one failed."""
    with desk(tmp_path) as one:
        one.run("echo", "first")
        assert one.run("echo", "second") == (0, "first\nsecond\n")
    assert (tmp_path / "one.log").stat().st_mode & 0o777 == 0o600


@linux
def test_an_agent_holds_nothing_of_the_keeper(tmp_path: Path) -> None:
    """An agent with the pipe in its hands would keep the keeper from seeing that the runner has died."""
    with open(tmp_path / "lock", "wb") as lock, desk(tmp_path, holds=[lock.fileno()]) as one:
        look = "import os; print(sorted(fd for fd in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + fd)))"  # noqa: E501
        assert one.run(sys.executable, "-c", look) == (0, "['0', '1', '2']\n")


@linux
def test_an_agent_ignores_no_signal(tmp_path: Path) -> None:
    """Python ignores SIGPIPE, and a child would inherit it: `yes | head` would never end."""
    with desk(tmp_path) as one:
        _, said = one.run("grep", "Sig[IB]", "/proc/self/status")
    assert [int(line.split()[1], 16) for line in said.splitlines()] == [0, 0]


def test_the_terminals_ctrl_c_reaches_neither_keeper_nor_agents(tmp_path: Path) -> None:
    """They end when the runner says so, which first writes down what was going on."""
    with desk(tmp_path) as one:
        one.sh("one", "sleep 1000")
        pid = one.started()
        assert len({os.getsid(0), os.getsid(one.keeper.pid), os.getsid(pid)}) == 3
        assert os.getpgid(pid) == pid


def test_who_is_stopped_ends(tmp_path: Path) -> None:
    """A polite agent may tidy up, and takes its whole group with it."""
    with desk(tmp_path) as one:
        with word(tmp_path / "ready") as ready:
            one.sh("one", f'trap "echo tidy; exit 3" TERM; {sleeper(ready)} & wait')
        one.started()
        one.keeper.stop("one")
        assert one.answer() == Ended("one", 3)
        assert (tmp_path / "one.log").read_text("utf-8") == "tidy\n"
        assert marked(one.marker) == []


def test_who_does_not_want_to_end_is_killed(tmp_path: Path) -> None:
    """After the grace; and at once if there is a hurry."""
    with desk(tmp_path, grace=0.1) as one:
        with word(tmp_path / "ready") as ready:
            one.sh("one", f'trap "" TERM; echo > {ready}; while true; do sleep 1000; done')
        one.started()
        one.keeper.stop("one")
        assert one.answer() == Ended("one", -9)
    with desk(tmp_path, grace=1000) as one:
        with word(tmp_path / "again") as ready:
            one.sh("one", f'trap "" TERM; echo > {ready}; while true; do sleep 1000; done')
        one.started()
        one.keeper.stop("one")
        one.keeper.hurry()
        assert one.answer() == Ended("one", -9)


@linux
def test_who_stands_still_ends_too(tmp_path: Path) -> None:
    """A stopped process does not hear SIGTERM until it goes on."""
    with desk(tmp_path) as one:
        one.sh("one", "kill -STOP $$; sleep 1000")
        pid = one.started()
        until(lambda: ") T " in Path(f"/proc/{pid}/stat").read_text("utf-8"))
        one.keeper.stop("one")
        assert one.answer() == Ended("one", -15)


def test_an_end_is_told_when_the_whole_group_has_gone(tmp_path: Path) -> None:
    """A second attempt must not run beside what the first one left in the background."""
    with desk(tmp_path) as one:
        one.sh("one", "sleep 1000 & sleep 1000 & exit 4")
        one.started()
        assert one.answer() == Ended("one", 4)
        assert marked(one.marker) == []


@linux
def test_closing_ends_also_those_who_left_their_group(tmp_path: Path) -> None:
    """A daemon that an agent began is nobody's child but the keeper's."""
    with desk(tmp_path) as one:
        with word(tmp_path / "ready") as ready:
            stray = script(tmp_path / "stray", f'trap "echo tidy; exit" TERM; {sleeper(ready)} & wait')
            one.sh("one", f"setsid {stray} & sleep 1000")
        one.started()
        one.keeper.stop("one")
        assert one.answer() == Ended("one", -15)
        assert len(marked(one.marker)) == 2
        one.keeper.close()
        assert marked(one.marker) == []
        assert (tmp_path / "one.log").read_text("utf-8") == "tidy\n"


@linux
def test_a_stray_that_does_not_want_to_end_is_killed(tmp_path: Path) -> None:
    """What left its group and ignores SIGTERM, and begins new processes while it is hunted."""
    with desk(tmp_path, grace=0.1) as one:
        with word(tmp_path / "ready") as ready:
            hydra = f'trap "" TERM; echo > {ready}; for _ in $(seq 300); do sleep 0.01; setsid sleep 1000 & done; wait'
            one.sh("one", f"setsid {script(tmp_path / 'hydra', hydra)} & sleep 1000")
        one.started()
        one.keeper.close()
        assert marked(one.marker) == []


def test_closing_twice_is_as_good(tmp_path: Path) -> None:
    """Who ends a run early has closed it before the `with` does."""
    with desk(tmp_path) as one:
        one.keeper.close()
        one.keeper.close()
        one.start("one", "true")
        one.keeper.stop("one")


RUNNER = """
import sys
from pathlib import Path
from queue import SimpleQueue
from gitmem.workflow.keeping import Keeper
folder, marker, ready = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
answers = SimpleQueue()
keeper = Keeper(answers.put, grace=0.2)
for name, script in {
    "plain": f"echo > {ready}-1; sleep 1000",
    "deaf": f"trap '' TERM; echo > {ready}-2; while true; do sleep 1000; done",
    "daemon": f"setsid sh -c 'trap : TERM; echo > {ready}-3; sleep 1000; sleep 1000' & sleep 1000",
}.items():
    keeper.start(name, ["sh", "-c", script], env={"MARKER": marker}, cwd=folder, log=folder / "log")
    answers.get()
print(keeper.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def runner(folder: Path, marker: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that has started three agents, and its keeper's pid."""
    ready = folder / "ready"
    with word(folder / "ready-1"), word(folder / "ready-2"), word(folder / "ready-3"):
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(folder), marker, str(ready)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(TOP)},
        )
    assert process.stdout is not None
    with process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@linux
def test_kill_9_of_the_runner_ends_every_agent(tmp_path: Path) -> None:
    """The polite, the deaf and the one that left its group: nobody has to clear up after a crash."""
    marker = f"marker-{tmp_path}"
    with runner(tmp_path, marker) as (process, keeper):
        assert len(marked(marker)) >= 3
        with end_of(keeper):
            kill(process.pid)
    assert marked(marker) == []


@linux
def test_kill_9_of_the_keeper_ends_its_agents(tmp_path: Path) -> None:
    """The runner is told, and ends the groups that it knows of, and whoever has left them."""
    with desk(tmp_path) as one:
        with word(tmp_path / "ready") as ready:
            one.sh("one", f"setsid {sleeper(ready)} & sleep 1000")
            one.started()
        one.sh("two", 'trap "" TERM; sleep 1000 & wait')
        one.started()
        kill(one.keeper.pid)
        assert one.answer() == Lost()
        one.keeper.close()
        until(lambda: marked(one.marker) == [])


@linux
def test_sigterm_to_the_keeper_ends_its_agents_first(tmp_path: Path) -> None:
    """Who shuts a machine down tells everybody to end."""
    with desk(tmp_path) as one:
        one.sh("one", "sleep 1000")
        pid = one.started()
        with end_of(one.keeper.pid), end_of(pid):
            os.kill(one.keeper.pid, 15)
        assert one.answer() == Ended("one", -15)
        assert one.answer() == Lost()


@linux
def test_what_the_keeper_holds_is_free_when_the_last_agent_has_gone(tmp_path: Path) -> None:
    """So a second runner can wait for what the first one left."""
    with open(tmp_path / "lock", "wb") as ours, open(tmp_path / "lock", "wb") as theirs:
        fcntl.flock(ours, fcntl.LOCK_EX)
        with desk(tmp_path, holds=[ours.fileno()]) as one:
            one.sh("one", "sleep 1000")
            one.started()
            ours.close()
            with pytest.raises(BlockingIOError):
                fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            one.keeper.close()
            fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert marked(one.marker) == []
