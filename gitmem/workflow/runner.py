"""The runner: drives a plan, each task as soon as what it waits for is there.

Knows the loop alone: what may happen is decided by `ready`, what is written by `record`, processes are the keeper's.
Law: a task starts only after a commit that says so, and that commit's parent holds all it waited for; whatever kills
the runner, its agents end, and `resume` goes on from what is in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from gitmem.workflow.outcome import Outcome, Progress

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.workflow.parts import Plan

JOBS = 16
"""The tasks at work at the same time, where neither the caller nor the plan says how many."""
GRACE = 5.0
"""Seconds that an agent has between being told to end and being killed."""


class Runner:
    """One run of a plan. `run()` drives it to its end; `stop()` ends it early, from anywhere."""

    def __init__(
        self,
        memory: Memory,
        plan: Plan,
        folder: str | os.PathLike[str],
        *,
        jobs: int | None = None,
        timeout: float | None = None,
        grace: float = GRACE,
        on_event: Callable[[Progress], None] | None = None,
    ) -> None:
        """`folder` is where the agents work: the plan's. `memory` is bound to nothing that matters: the run signs as
        `gitmem-run` in a session of its own.

        `jobs` tasks at a time (else what the plan says, else 16); `timeout` in seconds for the whole run. `on_event`
        is told in the thread of `run()`, first of every task and gate, then of each change; it has to be quick.
        """
        raise NotImplementedError

    @property
    def session(self) -> str | None:
        """The run's session; None until it has begun. Known by the first call of `on_event`."""
        raise NotImplementedError

    def run(self) -> Outcome:
        """Run to the end. ConflictError, and nothing is started, while another run with a key of this one is at work
        on this machine.

        Returns also if tasks fail, or after `stop()`; StorageError and the like of the memory are raised, after all
        agents have ended. KeyboardInterrupt counts as `stop()`.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """End all agents and the run; a second call kills them at once. For other threads and signal handlers."""
        raise NotImplementedError


def resume(
    memory: Memory,
    session: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    jobs: int | None = None,
    timeout: float | None = None,
    grace: float = GRACE,
    on_event: Callable[[Progress], None] | None = None,
) -> Runner:
    """The runner that goes on with a run: what is done stays done, everything else is tried again.

    UnknownRevisionError if there is no such session. `folder` is needed where this machine has not seen the run.
    """
    raise NotImplementedError
