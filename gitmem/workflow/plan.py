"""A plan: TOML text -> frozen values, or every problem in it at once, each with its line.

Knows what a plan may say; does not know files, processes, nor what is in memory.
Law: what `parse_plan` gives can be run: each task can start once those before it have done what they promise.
"""

from __future__ import annotations

from gitmem import toml
from gitmem.errors import InvalidPlanError
from gitmem.workflow.forms import plan_in
from gitmem.workflow.order import order
from gitmem.workflow.parts import Agent, Plan, PlannedGate, Promise, Task, Waits, Want
from gitmem.workflow.problems import misfits
from gitmem.workflow.reading import Draft, Problem

__all__ = ["Agent", "Plan", "PlannedGate", "Promise", "Task", "Waits", "Want", "parse_plan", "stages"]

_TOLD = 20  # in an error's message; its field has all
_BRACES = "; a table in braces has to stand on one line, its last entry without a comma"


def parse_plan(text: str) -> Plan:
    """The plan that a text describes; InvalidPlanError with every problem, in the order of its lines."""
    try:
        draft = Draft(text)
    except toml.Malformed as error:
        raise _invalid([_as_problem(error, text)]) from error
    plan = plan_in(draft)
    for misfit in misfits(plan):
        draft.wrong_at(misfit.reason, *misfit.part)
    if draft.problems:
        raise _invalid(sorted(dict.fromkeys(draft.problems), key=lambda one: one.line or 0))
    return plan


def stages(plan: Plan) -> list[list[str]]:
    """The names of the tasks that can start together, one bunch after the other, each in the plan's order.

    A task stands in the first stage in which all that it waits for can be there; a real run does not wait for a stage
    to end.
    """
    return order(plan).stages()


def _as_problem(error: toml.Malformed, text: str) -> Problem:
    """`tomllib`'s words, and what it does not say about the commonest slip."""
    before = "\n".join(text.split("\n")[: error.line or 0][-2:])
    reason = error.reason[:1].lower() + error.reason[1:]
    return Problem(error.line, f"this is no TOML: {reason}{_BRACES if '{' in before and '}' not in before else ''}")


def _invalid(problems: list[Problem]) -> InvalidPlanError:
    told = [problem.told() for problem in problems]
    more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return InvalidPlanError(
        f"the plan has {len(told)} problem{'' if len(told) == 1 else 's'}: {'; '.join(told[:_TOLD])}{more}",
        hint="nothing was started",
        problems=told,
    )
