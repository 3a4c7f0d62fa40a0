"""An agent at a shared document, in a process of its own: `python contributor.py STORE AGENT ROUNDS [unlocked]`.

Each round is a namespace. The planner opens the document, waits for the four others, and stores the report; they wait
for the document, make one change each, and go on to the next round. Each says on stdout what it was promised.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from gitmem import Memory
from gitmem.entries import Entry
from gitmem.recipes import Shared

KEY, REPORT = "shared/project-state", "shared/project-report"
FRESH: dict[str, Any] = {"api_endpoints": [], "test_coverage": 0, "security_issues": [], "performance_metrics": {}}


def merges_metrics(shared: Shared) -> Entry:
    """Reads the document, and stores all of it with what it was made from."""
    seen = shared.entry()
    seen.value["performance_metrics"]["p95_ms"] = 12
    return shared.merge(seen.value, base=seen)


CHANGES: dict[str, Callable[[Shared], Entry]] = {
    "backend-dev": lambda shared: shared.append("/login", at="/api_endpoints"),
    "tester": lambda shared: shared.patch({"test_coverage": 85}),
    "security-manager": lambda shared: shared.update(
        lambda value: {**value, "security_issues": [*value["security_issues"], "no TLS"]}
    ),
    "perf-analyzer": merges_metrics,
}


def report(value: dict[str, Any]) -> dict[str, Any]:
    """What a reader of the project wants to know."""
    return {"endpoints": len(value["api_endpoints"]), "issues": len(value["security_issues"]),
            "coverage": value["test_coverage"], **value["performance_metrics"]}  # fmt: skip


def plan(shared: Shared) -> Entry:
    """Open the document, and report on it once everybody has been there."""
    shared.open(FRESH)
    return shared.aggregate(REPORT, report, contributors=CHANGES)


def contribute(shared: Shared, agent: str) -> Entry:
    """Make this agent's change as soon as the document is there."""
    shared.wait()
    return CHANGES[agent](shared)


def work(store: str, agent: str, rounds: int, *, lock: bool) -> None:
    with Memory.open(store, agent=agent, lock=lock) as memory:
        for number in range(rounds):
            shared = Shared(memory, KEY, namespace=f"round-{number}")
            entry = plan(shared) if agent == "planner" else contribute(shared, agent)
            os.write(1, json.dumps([number, agent, entry.value]).encode() + b"\n")


if __name__ == "__main__":
    store, agent, rounds, *rest = sys.argv[1:]
    work(store, agent, int(rounds), lock="unlocked" not in rest)
