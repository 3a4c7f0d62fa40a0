"""Plans: what is read from TOML, and what is told of one that cannot be run; the cases are `fixtures/plans-cases`."""

from __future__ import annotations

import json
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from gitmem.errors import InvalidPlanError
from gitmem.workflow.forms import _AGENT, _GATE, _PLAN, _PROMISE, _TASK, _WANT
from gitmem.workflow.order import Order
from gitmem.workflow.parts import HUMAN, RUNNER, Agent, Plan, PlannedGate, Promise, Task, Waits, Want, gate_key
from gitmem.workflow.plan import parse_plan, stages
from gitmem.workflow.problems import misfits
from gitmem.workflow.reading import _MEANT, near
from tests.house.blueprint import TOP
from tests.plans import plans, to_toml

CASES = TOP / "fixtures" / "plans-cases"


def cases(name: str) -> Any:
    rows = json.loads((CASES / name).read_text("utf-8"))
    return pytest.mark.parametrize("case", rows, ids=[row["why"].replace(" ", "-") for row in rows])


def text_of(case: dict[str, Any]) -> str:
    return "".join(f"{line}\n" for line in case["plan"])


@cases("problems.json")
def test_every_problem_is_told_with_its_line(case: dict[str, Any]) -> None:
    """Whoever mends one and runs into the next has been told too little."""
    with pytest.raises(InvalidPlanError) as caught:
        parse_plan(text_of(case))
    told = caught.value.problems
    wanted = [f"line {row['line']}: {row['reason']}" if row["line"] else row["reason"] for row in case["problems"]]
    assert len(told) == len(wanted), told
    assert [one[: len(beginning)] for one, beginning in zip(told, wanted, strict=True)] == wanted
    assert all(one in str(caught.value) for one in told)


@cases("plans.json")
def test_a_plan_is_what_its_text_says(case: dict[str, Any]) -> None:
    """In each of the ways in which TOML lets one write it."""
    plan = parse_plan(text_of(case))
    assert plan.to_json() == case["value"]
    assert stages(plan) == case["stages"]
    assert Plan.from_json(case["value"]) == plan


def test_the_plans_on_real_input_can_be_run() -> None:
    """They are what a newcomer copies."""
    found = sorted((TOP / "fixtures" / "plans").glob("*/plan.toml"))
    assert found
    for path in found:
        assert stages(parse_plan(path.read_text("utf-8"))), path


def test_the_error_of_many_problems_stays_a_line_that_can_be_read() -> None:
    """Its field has them all."""
    text = 'name = "p"\n' + "".join(f"wrong{at} = 1\n" for at in range(50))
    with pytest.raises(InvalidPlanError, match=r"has 51 problems.*; and 31 more") as caught:
        parse_plan(text)
    assert len(caught.value.problems) == 51


@given(plans())
def test_a_plan_that_is_written_is_the_plan_that_is_read(plan: Plan) -> None:
    """Nothing is lost on the way through TOML, or through the JSON that a run keeps in memory."""
    assert parse_plan(to_toml(plan)) == plan
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@given(plans())
def test_a_plan_without_problems_has_every_task_in_a_stage(plan: Plan) -> None:
    """Exactly one, and behind those who bring what it needs."""
    assert not list(misfits(plan))
    found = stages(plan)
    assert sorted(name for stage in found for name in stage) == sorted(task.name for task in plan.tasks)
    assert not Order(plan).circles()


@given(plans(), st.data())
def test_a_task_that_waits_in_a_circle_is_in_no_stage_and_the_circle_is_named(plan: Plan, data: Any) -> None:
    """An added wait makes a circle or it does not; in the first case a misfit tells it, and goes round."""
    task = data.draw(st.sampled_from(plan.tasks))
    keys = [key for other in plan.tasks for key in other.writes if key not in plan.given]
    if task.waits.how == "any" or not keys:
        return
    wants = {want.key: want for want in (*task.waits.wants, Want(data.draw(st.sampled_from(keys))))}
    harder = task._replace(waits=Waits("all", tuple(wants.values())))
    changed = plan._replace(tasks=tuple(harder if one is task else one for one in plan.tasks))
    late = {one.name for one in changed.tasks} - {name for stage in stages(changed) for name in stage}
    circles = Order(changed).circles()
    assert bool(circles) == bool(late)
    assert len(list(misfits(changed))) == len(circles)
    for circle in circles:
        assert {wait.task for wait in circle} <= late
        assert [wait.origin for wait in circle] == [*(wait.task for wait in circle[1:]), circle[0].task]


def test_words_of_a_command_are_filled_in_once_and_no_shell_reads_them() -> None:
    """A prompt may hold braces, quotes and semicolons: it stays one word, as it is."""
    agent = Agent("coder", ("run", "-p{prompt}", "{task}-{agent}", "{{prompt}}", "{{{task}}}", "$HOME"))
    task = Task("build", "coder", 'say "{task}"; rm {{ *\n')
    words = ["run", '-psay "{task}"; rm {{ *\n', "build-coder", "{prompt}", "{build}", "$HOME"]
    assert agent.command_for(task) == words


def test_human_is_whoever_is_no_part_of_the_plan() -> None:
    """Neither a task, nor a program of the plan, nor the run itself may approve in a person's name."""
    gate = PlannedGate("g", gate_key("g"), (), (HUMAN, "t"))
    plan = Plan("p", agents=(Agent("a", ("run",)),), tasks=(Task("t", "a"), Task("u", "a")), gates=(gate,))
    assert [plan.may_decide(gate, name) for name in ("eve", "t", "u", "a", RUNNER, HUMAN)] == [
        True, True, False, False, False, True,
    ]  # fmt: skip
    assert plan.may_decide(gate._replace(deciders=()), "u")
    assert not plan.may_decide(gate._replace(deciders=("eve",)), "adam")


def test_what_is_not_there_is_said() -> None:
    """A gate may be nobody's of the plan; a task or an agent that is asked for by name has to be there."""
    plan = parse_plan('name = "p"\n[agents.a]\ncommand = ["run"]\n[[task]]\nname = "t"\nagent = "a"\n')
    assert (plan.agent("a").command, plan.task("t").waits, plan.gate("g")) == (("run",), Waits(), None)
    for ask in (plan.agent, plan.task):
        with pytest.raises(KeyError, match="nobody"):
            ask("nobody")
    assert gate_key("g") == "checkpoint/gates/g"
    assert gate_key("own/g") == "own/g"


@pytest.mark.parametrize("until", ["(" * 5000, "!" * 5000 + "a", f"[{'9' * 5000}]", f"`{'[' * 99_999}`"], ids="(![`")
def test_a_condition_that_no_parser_can_bear_is_a_problem_among_the_others(until: str) -> None:
    """Not a traceback of the parser's."""
    with pytest.raises(InvalidPlanError) as caught:
        parse_plan(to_toml(Plan("p", given=("k",), agents=(Agent("a", ("run",)),), tasks=(_waiting(until),))))
    assert [one[:15] for one in caught.value.problems] == ["line 24: until:"]


def _waiting(until: str) -> Task:
    return Task("t", "a", waits=Waits("all", (Want("k", until),)))


def test_many_parts_are_read_and_many_mistakes_are_told_in_time() -> None:
    """What is known is not looked for in a list, and of those that might be meant a few are compared."""
    keys = [f"made/here/{at}" for at in range(5000)]
    tasks = [Task(f"t{at}", "a", stores=(Promise(key),)) for at, key in enumerate(keys)]
    last = Task("last", "a", waits=Waits("all", tuple(map(Want, keys))))
    found = list(misfits(Plan("p", agents=(Agent("a", ("run",)),), tasks=(*tasks, last))))
    assert found == []
    lost = tuple(Want(f"made/there/{at}") for at in range(100))
    many = Plan("p", agents=(Agent("a", ("run",)),), tasks=(*tasks, last._replace(waits=Waits("all", lost))))
    assert len(list(misfits(many))) == len(lost)
    read = parse_plan(to_toml(Plan("p", given=tuple(keys), tasks=(Task("t", "a"),), agents=many.agents)))
    assert len(read.given) == len(keys)
    compared = iter(keys)
    assert near("made/here/10001", compared) != ""
    assert next(compared) == "made/here/200"


def test_every_word_of_another_tool_leads_to_a_setting_that_there_is() -> None:
    """A hint that names what is not there is worse than none."""
    known = {name for form in (_PLAN, _AGENT, _TASK, _GATE, _WANT, _PROMISE) for name in form.settings}
    assert set(_MEANT.values()) <= known


def judged(text: str) -> list[str]:
    """The problems of a text; [] if it is a plan."""
    try:
        parse_plan(text)
    except InvalidPlanError as error:
        return error.problems
    return []


@given(st.lists(st.sampled_from(to_toml(Plan("p", tasks=(Task("t", "a", stores=(Promise("k"),)),))).split("\n"))))
def test_lines_in_any_order_are_a_plan_or_problems(lines: list[str]) -> None:
    """However mixed up the text is, what comes out is one of the two."""
    judged("\n".join(lines))


VALUES = st.recursive(
    st.sampled_from(["", "a", "a/b", 1, -1, 0.5, True, "{x}", "\0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["key", "until", "requires", "schema", "all", "any", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


SETTINGS = st.dictionaries(st.sampled_from(sorted({*_TASK.settings, *_GATE.settings, *_PLAN.settings})), VALUES)


@given(SETTINGS, SETTINGS, SETTINGS)
def test_a_setting_of_any_kind_is_a_plan_or_problems(
    plan: dict[str, Any], task: dict[str, Any], gate: dict[str, Any]
) -> None:
    """A number where a list belongs, a table in a table: told, never a traceback."""
    document = {"task": [task, {"name": "t", "agent": "a"}], "gate": [gate, {"name": "g"}], **plan}
    told = judged(tomli_w.dumps(document))
    assert all(problem.startswith(("line ", "a plan needs")) for problem in told)
