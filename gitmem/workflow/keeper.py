"""The keeper: a process that starts a run's agents and outlives its runner just long enough to end them.

A program of its own (`python -I -S keeper.py GRACE [FD …]`), of the standard library alone, so that it is there in some
20 ms. Orders come on stdin, answers go to stdout, each a line of JSON:

    {"start": ID, "argv": [...], "env": {...}, "cwd": "...", "log": "..."}      {"stop": ID}      {"hurry": true}
    {"started": ID, "pid": N}      {"failed": ID, "reason": "..."}      {"ended": ID, "code": N}   (-N: by signal N)

An agent gets the keeper's environment and `env`, a session (so a process group) of its own, no stdin, and a log. When
its process ends, what is left of its group is ended too, and then its end is told. When stdin closes (also since the
runner was killed), everything is ended: told to (SIGTERM), and killed GRACE seconds later. On Linux that reaches the
processes that left their group as well: orphans become the keeper's children (PR_SET_CHILD_SUBREAPER), and an agent
dies with a keeper that is killed (PR_SET_PDEATHSIG). The FDs are held open for as long as anything lives.
Law: no agent holds any of the keeper's pipes or FDs, and when the keeper has ended, none of its descendants is left.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)
LAST_WORD = 2.0
"""Seconds after a SIGKILL for which the keeper waits for what cannot die, such as a process that waits for a disk."""
NO_NEWS = 0.05
"""Seconds between two looks at processes of whose end no signal tells: those that are not the keeper's children."""

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_DEFAULTS = (*_ENDING, signal.SIGCHLD, signal.SIGPIPE, *([signal.SIGXFSZ] if hasattr(signal, "SIGXFSZ") else []))


class Ward:
    """An agent's process group. `code` is the exit code of its leader once that has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self.deadline: float | None = None  # then it is killed, or given up
        self.killed = False

    def tell(self, number: int) -> None:
        """Send the group a signal; no error if there is nobody."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS: a group of zombies alone refuses
            pass

    def is_there(self) -> bool:
        """Whether anybody of the group is left."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return self.code is None
        return True

    def end(self, grace: float) -> None:
        """Tell the group to end; it has `grace` seconds. A group that was told already keeps its time."""
        if self.deadline is None:
            self.deadline = time.monotonic() + grace
            self.tell(signal.SIGTERM)
            self.tell(signal.SIGCONT)

    def overdue(self, now: float) -> bool:
        """Kill the group if its time is up; whether even that was of no use, and nobody should wait any more."""
        if self.deadline is None or now < self.deadline:
            return False
        if self.killed:
            return self.code is not None
        self.killed, self.deadline = True, now + LAST_WORD
        self.tell(signal.SIGKILL)
        return False


class Keeping:
    """All wards, and the loop that looks after them."""

    def __init__(self, orders: int, answers: int, grace: float) -> None:
        self._orders, self._answers, self._grace = orders, answers, grace
        self._buffer = b""
        self._wards: dict[str, Ward] = {}
        self._open = True
        self._bell, bell = os.pipe()
        for end in (self._bell, bell):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in _ENDING:
            signal.signal(number, self._leave)
        self._prctl = _prctl()
        self._reaps = self._prctl(SET_CHILD_SUBREAPER, 1) == 0

    def run(self) -> None:
        """Look after agents until the orders end; then end all of them."""
        try:
            while self._open:
                self._turn()
        finally:
            self._open = False
            self._end()

    def _leave(self, *_: object) -> None:
        self._open = False

    def _turn(self) -> None:
        """Wait for something to happen, and do what follows."""
        heard = [self._bell, *([self._orders] if self._open else [])]
        ready, _, _ = select.select(heard, [], [], self._patience())
        if self._bell in ready:
            os.read(self._bell, 1 << 12)
        if self._orders in ready:
            self._listen()
        self._reap()
        self._part()

    def _patience(self) -> float | None:
        if any(ward.code is not None for ward in self._wards.values()) or not (self._open or self._reaps):
            return NO_NEWS
        times = [ward.deadline for ward in self._wards.values() if ward.deadline is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None if self._open else NO_NEWS

    # --- orders ---

    def _listen(self) -> None:
        read = os.read(self._orders, 1 << 16)
        self._open = bool(read)
        *lines, self._buffer = (self._buffer + read).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))

    def _obey(self, order: dict[str, Any]) -> None:
        if "start" in order:
            self._start(order)
        elif "stop" in order:
            ward = self._wards.get(order["stop"])
            if ward is not None:
                ward.end(self._grace)
        else:
            self._grace = 0.0
            for ward in self._wards.values():
                if ward.deadline is not None and not ward.killed:
                    ward.deadline = 0.0

    def _start(self, order: dict[str, Any]) -> None:
        name = order["start"]
        reading, writing = os.pipe()  # closed by a good exec; what is said on it is why there was none
        try:
            pid = os.fork()
        except OSError as error:
            os.close(reading)
            os.close(writing)
            self._say(failed=name, reason=f"no process can be made: {error.strerror}")
            return
        if pid == 0:
            _become(order, writing, self._prctl)
        os.close(writing)
        with open(reading, "rb") as file:
            trouble = file.read()
        if trouble:
            os.waitpid(pid, 0)
            self._say(failed=name, reason=trouble.decode(errors="replace"))
        else:
            self._wards[name] = Ward(pid)
            self._say(started=name, pid=pid)

    def _say(self, **words: Any) -> None:
        try:
            os.write(self._answers, json.dumps(words).encode() + b"\n")
        except OSError:  # nobody listens any more
            self._open = False

    # --- ends ---

    def _reap(self) -> bool:
        """Take the ends of all children that have ended; whether there are others."""
        by_pid = {ward.pid: ward for ward in self._wards.values()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            ward = by_pid.get(pid)
            if ward is not None:
                ward.code = os.waitstatus_to_exitcode(status)
                ward.end(self._grace)

    def _part(self) -> None:
        """Kill what does not end in time, and part from the agents of which nothing is left."""
        now = time.monotonic()
        for name, ward in list(self._wards.items()):
            given_up = ward.overdue(now)
            if ward.code is not None and (given_up or not ward.is_there()):
                del self._wards[name]
                self._say(ended=name, code=ward.code)

    def _end(self) -> None:
        """End every agent, and every descendant of theirs that can be found."""
        for ward in self._wards.values():
            ward.end(self._grace)
        self._strays(signal.SIGTERM)
        deadline = time.monotonic() + self._grace
        while (self._reap() and self._reaps) or self._wards:
            now = time.monotonic()
            if now > deadline:
                self._strays(signal.SIGKILL)
            if now > deadline + LAST_WORD:
                return
            self._turn()

    def _strays(self, number: int) -> None:
        """Send a signal to every descendant outside the agents' groups."""
        groups = {ward.pid for ward in self._wards.values()}
        for pid, group in _descendants(os.getpid()):
            if group not in groups:
                try:
                    os.kill(pid, number)
                    os.kill(pid, signal.SIGCONT)
                except (ProcessLookupError, PermissionError):
                    pass


def _become(order: dict[str, Any], writing: int, prctl: Callable[[int, int], int]) -> None:
    """In a new process: become the agent. Never returns."""
    try:
        os.setsid()
        prctl(SET_PDEATHSIG, signal.SIGKILL)
        for one in _DEFAULTS:
            signal.signal(one, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, to in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(number, to)
        os.chdir(order["cwd"])
        words = order["argv"]
        _check_program(words[0])
        if "=" in words[0]:  # env would take it for a variable
            words = ["/bin/sh", "-c", 'exec "$@"', "sh", *words]
        variables = [f"{name}={value}" for name, value in order["env"].items()]
        os.execv("/usr/bin/env", ["env", *variables, *words])  # adds to an environment that nobody here has to read
    except BaseException as error:
        os.write(writing, str(error).encode(errors="replace"))
    finally:
        os.kill(os.getpid(), signal.SIGKILL)  # what the keeper does at its end is not to be done here


def _check_program(name: str) -> None:
    places = [name] if "/" in name else [os.path.join(folder, name) for folder in os.get_exec_path()]
    if not any(os.access(place, os.X_OK) and not os.path.isdir(place) for place in places):
        raise FileNotFoundError(f"there is no program {name!r}" + ("" if "/" in name else " on the PATH"))


def _descendants(ancestor: int) -> Iterator[tuple[int, int]]:
    """(pid, process group) of every process that descends from one, as far as /proc tells."""
    children: dict[int, list[tuple[int, int]]] = {}
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                words = file.read().rpartition(b")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        parent, group = int(words[1]), int(words[2])
        children.setdefault(parent, []).append((pid, group))
    found = [ancestor]
    for one in found:
        for pid, group in children.get(one, []):
            found.append(pid)
            yield pid, group


def _prctl() -> Callable[[int, int], int]:
    """prctl(2) where the system has it; else what always fails."""
    try:
        import ctypes

        call = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return lambda option, value: -1
    return lambda option, value: int(call(option, value, 0, 0, 0))


def main(grace: str, *held: str) -> None:
    """Keep, with the pipes on stdin and stdout out of the agents' reach."""
    orders, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    for number in map(int, held):
        os.set_inheritable(number, False)
    Keeping(orders, answers, float(grace)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
