"""What a run tells while it goes on, and how it ended: frozen values.

Knows nothing of processes or of memory. Law: an outcome follows from the states of its tasks; whether it is good is
one word, and a door translates that into its exit code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitmem.workflow.states import DONE, FAILED, STOPPED, WAITING

RUNNING = "running"
INTERRUPTED = "interrupted"
PHASES = (RUNNING, DONE, FAILED, INTERRUPTED)
"""What stands at session/<id>/phase: how far a run is, or how it ended."""

REJECTED = "rejected"
TIMED_OUT = "timed out"
VERDICTS = (DONE, FAILED, REJECTED, TIMED_OUT, INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a task or a gate (`kind`) stands now.

    `state` is one of `states.STATES`; of a gate: waiting (not asked yet), pending, approved, rejected, complete.
    `waiting_for` are the keys and gates that a waiting task still misses; empty for one that may start and for which
    no place is free. `attempt` counts from 1 (0: never started), `exit` is the last attempt's exit code (a signal's
    number negative), `by` who decided a gate. `reason` is for people.
    """

    kind: str
    name: str
    state: str
    agent: str = ""
    attempt: int = 0
    waiting_for: tuple[str, ...] = ()
    reason: str = ""
    exit: int | None = None
    by: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "agent": self.agent,
            "attempt": self.attempt,
            "waiting_for": list(self.waiting_for),
            "reason": self.reason,
            "exit": self.exit,
            "by": self.by,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `tasks` and `gates` stand in the plan's order, `phase` is one of `PHASES`.

    `verdict` is one of `VERDICTS`: done if every task is; interrupted if somebody ended the run; rejected if tasks
    were stopped by a gate and none failed; timed out if all that failed took too long; else failed.
    """

    session: str
    phase: str
    verdict: str
    tasks: tuple[Progress, ...]
    gates: tuple[Progress, ...]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {
            "session": self.session,
            "phase": self.phase,
            "verdict": self.verdict,
            "tasks": [task.to_json() for task in self.tasks],
            "gates": [gate.to_json() for gate in self.gates],
        }


__all__ = ["PHASES", "STOPPED", "VERDICTS", "WAITING", "Outcome", "Progress"]
