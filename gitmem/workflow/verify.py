"""Proof from history: no task of a run began before what it waits for was there.

Knows git's history alone; trusts no clock, no log and no phase.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitmem.memory import Memory


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a run's history that must not be: a task, the commit (40 hex digits, or ""), and what is wrong."""

    task: str
    revision: str
    problem: str

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {"task": self.task, "revision": self.revision, "problem": self.problem}


def verify(memory: Memory, session: str) -> list[Finding]:
    """What is wrong in a run's history; [] proves it. UnknownRevisionError if there is no such session."""
    raise NotImplementedError
