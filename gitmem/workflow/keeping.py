"""The runner's side of the keeper: orders go to it, its answers come back.

Knows the pipes and the keeper's language; does not know what a task is.
Law: whichever of the two is killed, the agents end: the keeper sees that its runner is gone, and here `close` ends what
a keeper that is gone has left. Where both were killed, whoever comes next can end by its mark what is left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from gitmem.errors import StorageError

MARK = "_GITMEM_KEEPER"
"""In the environment of every agent, and of whatever it starts: the mark of its keeper."""
PROGRAM = Path(__file__).with_name("keeper.py")
_PATIENCE = 10.0
"""Seconds beyond its own time after which a keeper that does not end is killed: it is stuck."""


_LAST_WORD, _AGAIN = 2.0, 0.01
"""Seconds for which the marked are looked for, and between two looks."""


class Started(NamedTuple):
    """An agent's process is there."""

    name: str
    pid: int


class Failed(NamedTuple):
    """An agent's process could not be started."""

    name: str
    reason: str


class Ended(NamedTuple):
    """An agent has ended, and with it its whole group; the code is negative for a signal."""

    name: str
    code: int


class Lost(NamedTuple):
    """The keeper itself has ended unasked."""


Answer: TypeAlias = Started | Failed | Ended | Lost


class Keeper:
    """The keeper of one run. A context manager: at its end every agent ends."""

    def __init__(
        self, answer: Callable[[Answer], object], *, grace: float, mark: str = "", holds: Sequence[int] = ()
    ) -> None:
        """`answer` is called from a thread of its own, one call after the other.

        `grace` seconds lie between telling an agent to end and killing it. `mark` is a word that nobody else has.
        `holds` are file descriptors that the keeper keeps open for as long as it lives.
        """
        self._answer = answer
        self._grace = grace
        self._mark = mark
        self._pids: dict[str, int] = {}
        self._closing = False
        self._process = _start(grace, holds)
        self._listener = threading.Thread(target=self._listen, name="gitmem-keeper", daemon=True)
        self._listener.start()

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The keeper's process."""
        return self._process.pid

    def start(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: str | os.PathLike[str], log: Path
    ) -> None:
        """Start an agent; Started or Failed comes, then Ended. `env` is added to what the keeper inherited."""
        marked = {**env, MARK: self._mark}
        self._order(start=name, argv=list(argv), env=marked, cwd=os.fspath(cwd), log=str(log))

    def stop(self, name: str) -> None:
        """Tell an agent to end, and kill it if it does not; Ended comes. Nothing happens if it has ended."""
        self._order(stop=name)

    def hurry(self) -> None:
        """Whoever was told to end, or will be, is killed at once."""
        self._grace = 0.0
        self._order(hurry=True)

    def close(self) -> None:
        """End every agent and the keeper; returns when they are gone. May be called twice."""
        self._closing = True
        orders = self._process.stdin
        assert orders is not None
        try:
            orders.close()
        except OSError:
            pass
        try:
            self._process.wait(2 * self._grace + _PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        for pid in self._pids.values():
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self._pids.clear()
        if self._process.returncode:  # what left its group has nobody else any more
            end_marked(self._mark)

    def _order(self, **words: Any) -> None:
        orders = self._process.stdin
        assert orders is not None
        try:
            orders.write(json.dumps(words).encode() + b"\n")
            orders.flush()
        except (BrokenPipeError, ValueError):  # it is gone: the listener says so
            pass

    def _listen(self) -> None:
        answers = self._process.stdout
        assert answers is not None
        with answers:
            for line in answers:
                answer = _understood(json.loads(line))
                if isinstance(answer, Started):
                    self._pids[answer.name] = answer.pid
                elif isinstance(answer, Ended):
                    self._pids.pop(answer.name, None)
                self._answer(answer)
        if not self._closing:
            self._answer(Lost())


def end_marked(mark: str) -> None:
    """Kill whoever has this mark, as far as /proc tells; "" is nobody's. For what a keeper that was killed has left."""
    deadline = time.monotonic() + _LAST_WORD
    while mark and time.monotonic() < deadline and (pids := _marked(f"{MARK}={mark}".encode())):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(_AGAIN)


def _marked(variable: bytes) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if variable in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it has ended, or is somebody else's
            pass
    return found


def _start(grace: float, holds: Sequence[int]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", "-X", "utf8", str(PROGRAM), str(grace), *map(str, holds)]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl-C is the runner's
            pass_fds=holds,
        )
    except OSError as error:
        raise StorageError(
            f"the keeper of the agents cannot be started: {error.strerror}",
            hint=f"{sys.executable} has to be a Python that can run {PROGRAM}",
            path=str(PROGRAM),
        ) from error


def _understood(words: dict[str, Any]) -> Answer:
    if "started" in words:
        return Started(words["started"], words["pid"])
    if "failed" in words:
        return Failed(words["failed"], words["reason"])
    return Ended(words["ended"], words["code"])
