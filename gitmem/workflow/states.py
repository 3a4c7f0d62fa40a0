"""The states of a task in a run.

Knows their names. Law: a task waits, then works, then is done or failed; or it is stopped, since what it depends on
failed or was rejected. Only the last three are for good: a task that failed and is to be tried again waits or works.
"""

from __future__ import annotations

WAITING = "waiting"
WORKING = "working"
DONE = "done"
FAILED = "failed"
STOPPED = "stopped"

STATES = (WAITING, WORKING, DONE, FAILED, STOPPED)
ENDED = frozenset({DONE, FAILED, STOPPED})
"""From these no task moves on."""
