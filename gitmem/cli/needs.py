"""What a plan takes from outside, told before anybody waits for it: given keys that are absent, missing programs.

Knows a plan, a memory and the PATH; does not know how a run goes on.
Law: it is advice, on stderr: nothing is refused, for a key may still come, and one task may make another's program.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gitmem.cli.output import hint
from gitmem.errors import typed

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.workflow.parts import Plan


def tell_needs(memory: Memory | None, plan: Plan, folder: Path) -> None:
    """A hint for each; `memory` is None where there is none yet, `folder` is where the agents work."""
    for key in _awaited(plan):
        if memory is None or memory.entry(key, None, namespace=plan.namespace) is None:
            branch = "" if memory is None or memory.branch_name == "main" else f" --branch {typed(memory.branch_name)}"
            command = f"gitmem store {typed(key)} VALUE -n {typed(plan.namespace)}{branch}"
            hint(f"{key} has to come from outside: `{command}`")
    for agent, program in _programs(plan):
        if shutil.which(os.path.join(folder.absolute(), program) if "/" in program else program) is None:
            hint(f"there is no program {program!r} yet, which agent {agent} is")


def _awaited(plan: Plan) -> Iterator[str]:
    """The given keys that a task waits for, in the plan's order."""
    wanted = {want.key for task in plan.tasks for want in task.waits.wants}
    return (key for key in plan.given if key in wanted)


def _programs(plan: Plan) -> Iterator[tuple[str, str]]:
    """What is started for the tasks, as (agent, program), each once."""
    for agent in plan.agents:
        tasks = [task for task in plan.tasks if task.agent == agent.name]
        yield from dict.fromkeys((agent.name, agent.command_for(task)[0]) for task in tasks)
