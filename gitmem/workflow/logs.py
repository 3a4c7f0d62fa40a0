"""What agents printed: one log for each task of a run, on this machine alone.

Knows where logs lie; does not know what is in them. Law: reading never disturbs a run, and logs never reach memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitmem.memory import Memory


def log_path(memory: Memory, session: str, task: str) -> Path:
    """The log of a task; UnknownRevisionError if this machine has no such log."""
    raise NotImplementedError


def read(memory: Memory, session: str, task: str) -> bytes:
    """All that a task has printed so far, errors among it, of all attempts."""
    raise NotImplementedError


def follow(memory: Memory, session: str, task: str, *, ended: Callable[[], object]) -> Iterator[bytes]:
    """What a task has printed, and what it prints, in pieces, until `ended()` is true and all is read."""
    raise NotImplementedError
