"""What agents printed: one log for each task of a run, on this machine alone.

Knows where logs lie; does not know what is in them. Law: reading never disturbs a run, and logs never reach memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gitmem.errors import UnknownRevisionError, typed
from gitmem.workflow.workplace import place_of

if TYPE_CHECKING:
    from gitmem.memory import Memory

_PIECE = 1 << 16
_PATIENCE = 0.1
"""Seconds between two looks at a log that is being written."""


def log_path(memory: Memory, session: str, task: str) -> Path:
    """The log of a task; UnknownRevisionError if this machine has none: the task was never started here."""
    place = place_of(memory, session)
    path = None if place is None else place.log(task)
    if path is None or not path.is_file():
        raise UnknownRevisionError(
            f"on this machine there is no log of task {task!r} in {session!r}",
            hint=f"logs stay where a run was; `gitmem log --of {typed(session)}` tells what it wrote",
            revision=session,
        )
    return path


def read(memory: Memory, session: str, task: str) -> bytes:
    """All that a task has printed so far, errors among it, of all attempts."""
    return log_path(memory, session, task).read_bytes()


def follow(memory: Memory, session: str, task: str, *, ended: Callable[[], object]) -> Iterator[bytes]:
    """What a task has printed, and what it prints, in pieces, until `ended()` is true and all is read."""
    with log_path(memory, session, task).open("rb") as file:
        while True:
            over = ended()  # asked before reading: what was printed until then is read
            while piece := file.read(_PIECE):
                yield piece
            if over:
                return
            time.sleep(_PATIENCE)
