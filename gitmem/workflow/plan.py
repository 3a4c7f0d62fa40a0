"""A plan: TOML text -> frozen values, or every problem in it at once, each with its line.

Knows what a plan may say; does not know files, processes, nor what is in memory.
Law: what `parse_plan` gives can be run: each task can start once those before it have done what they promise.
"""

from __future__ import annotations

from gitmem.workflow.parts import Agent, Plan, PlannedGate, Promise, Task, Waits, Want

__all__ = ["Agent", "Plan", "PlannedGate", "Promise", "Task", "Waits", "Want"]
