"""What a run keeps on this machine alone: the folder of its plan, the logs, and locks that say who is alive.

Knows files below the memory's `local/runs/`; does not know what a run does. Law: a lock is held by a process and goes
with it, so nobody has to believe in a pid or a time. The keeper holds the second one, which is free when the last
agent is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from gitmem.errors import UnknownRevisionError
from gitmem.keys import check_key

if TYPE_CHECKING:
    from gitmem.memory import Memory

_RUNS = "runs"
_ABOUT, _RUNNER, _KEEPER, _BEGINNING = "run.json", "runner.lock", "keeper.lock", ".beginning.lock"


class Workplace:
    """The files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def new(cls, memory: Memory, session: str, *, plan_folder: str | os.PathLike[str]) -> Workplace | None:
        """A place for a run that begins; None if this machine has one of that name already."""
        place = cls(memory.local_folder(_RUNS) / session)
        try:
            place.folder.mkdir(mode=0o700)
        except FileExistsError:
            return None
        place.remember(plan_folder)
        return place

    @classmethod
    def of(cls, memory: Memory, session: str) -> Workplace:
        """The place of a run that there is; made anew where this machine has none."""
        return cls(memory.local_folder(_RUNS, _segment(session)))

    def remember(self, plan_folder: str | os.PathLike[str], first: str = "") -> None:
        """Note where the agents work, and the revision of the run's first commit."""
        about = {"folder": os.path.abspath(plan_folder), "first": first}
        (self.folder / _ABOUT).write_text(json.dumps(about), "utf-8")

    @property
    def plan_folder(self) -> str | None:
        """Where the agents work; None if this machine does not know it."""
        return self._noted("folder")

    @property
    def first(self) -> str | None:
        """The revision of the run's first commit, as this machine has seen it; None if it has not."""
        return self._noted("first")

    def _noted(self, what: str) -> str | None:
        try:
            found: str = json.loads((self.folder / _ABOUT).read_text("utf-8"))[what]
        except (FileNotFoundError, ValueError, KeyError):  # killed while it was noted
            return None
        return found or None

    def log(self, task: str) -> Path:
        """Where a task's output goes."""
        return self.folder / f"{_segment(task)}.log"

    def open_log(self, task: str, attempt: int) -> Path:
        """Make a task's log, if it has none yet, and say in it which attempt begins."""
        path = self.log(task)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if attempt > 1:
                os.write(descriptor, f"--- attempt {attempt} ---\n".encode())
        finally:
            os.close(descriptor)
        return path

    def lock_runner(self) -> AbstractContextManager[int | None]:
        """Hold what only one runner at a time holds; gives None if another one does. To be called while `beginning`."""
        return _locked(self.folder / _RUNNER, wait=False)

    @contextmanager
    def lock_keeper(self) -> Iterator[int]:
        """Hold what the keeper goes on holding; gives the descriptor that it is to be given.

        Waits for the agents of a runner that died: their keeper is ending them.
        """
        with _locked(self.folder / _KEEPER, wait=True) as descriptor:
            assert descriptor is not None
            yield descriptor

    @property
    def mark(self) -> str:
        """The mark of the agents that were started last; "" before any were. To be asked by who holds the lock."""
        return (self.folder / _KEEPER).read_text("utf-8")

    def new_mark(self) -> str:
        """A mark for the agents that will be started now."""
        made = token_hex(16)
        (self.folder / _KEEPER).write_text(made, "utf-8")
        return made

    def is_alive(self) -> bool:
        """Whether a runner, or a keeper that ends agents, is at work. To be called while `beginning`."""
        if not self.folder.is_dir():
            return False
        for name in (_RUNNER, _KEEPER):
            with _locked(self.folder / name, wait=False) as free:
                if free is None:
                    return True
        return False

    def discard(self) -> None:
        """Remove a place in which no run has begun."""
        for name in (_ABOUT, _RUNNER, _KEEPER):
            (self.folder / name).unlink(missing_ok=True)
        self.folder.rmdir()


def place_of(memory: Memory, session: str) -> Workplace | None:
    """The place of a run on this machine, if it has one; nothing is made."""
    place = Workplace(memory.local_folder(_RUNS) / _segment(session))
    return place if place.folder.is_dir() else None


@contextmanager
def beginning(memory: Memory) -> Iterator[None]:
    """One run of this memory on this machine begins at a time."""
    with _locked(memory.local_folder(_RUNS) / _BEGINNING, wait=True):
        yield


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[int | None]:
    """A lock file's descriptor, locked; None if it is taken and nobody wants to wait."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


def _segment(name: str) -> str:
    """The name, if it is one segment of a path; UnknownRevisionError otherwise: nothing of ours is called so."""
    if "/" in name or name in (".", "..") or not name:
        raise UnknownRevisionError(
            f"{name!r} names no session and no task of one",
            hint="`gitmem log` shows the sessions",
            revision=name,
        )
    check_key(name, writing=False)
    return name
