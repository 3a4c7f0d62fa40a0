"""The agents of fixtures/plans: what they read in their prompts, what they count, when their tests fail."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.teams import PLANS, TINY, Team, install, parsed

DYING = "import os, unittest\nclass Dying(unittest.TestCase):\n    def test_it(self): os._exit(3)\n"
NAMES = sorted(path.parent.name for path in PLANS.glob("*/plan.toml"))


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """`agents("source")`: a module of the agents, imported for this test alone."""
    monkeypatch.syspath_prepend(str(PLANS / "agents"))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(PLANS)):
            del sys.modules[name]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small package, for this process and those that it starts."""
    install(tmp_path, "tiny", TINY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "tiny"


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_names_every_key(name: str, agents: Callable[[str], ModuleType]) -> None:
    """An agent knows nothing but its prompt: what the plan says of a task has to stand there too."""
    for task in parsed(name).tasks:
        named = set(agents("brief").keys_in(task.prompt))
        keys = {want.key for want in task.waits.wants} | set(task.writes)
        assert {key for key in keys if "/contributors/" not in key or task.name == "aggregator"} <= named, task.name


def test_the_counts_of_a_small_package(tiny: str, agents: Callable[[str], ModuleType]) -> None:
    """Counted by hand: overloads, a setter, both branches of an `if` and texts that look like code deceive nobody."""
    shapes = {
        "lines": 54,
        "functions": 4,
        "classes": 1,
        "undocumented": ["Shape.draw"],
        "longest": {"name": "Shape.draw", "length": 5},
        "imports": [],
    }
    found = {module.name: module for module in agents("source").read(tiny)}
    assert list(found) == ["tiny", "tiny._inner", "tiny.running", "tiny.shapes"]
    assert found["tiny.shapes"].figures() == agents("recount").figures("tiny", "tiny.shapes") == shapes
    assert [name.name for name in found["tiny.shapes"].names] == ["Shape", "Shape.area", "Shape.draw", "twice", "close"]
    assert found["tiny.running"].imports == ("tiny.shapes",)
    assert found["tiny"].imports == ("tiny.shapes",)
    assert found["tiny.shapes"].needs == ("sys", "typing")
    assert [one["line"] for one in agents("risks").risks(found["tiny.running"])] == [12]


@pytest.mark.parametrize("package", ["click", "dulwich", "asyncio", "email", "unittest"])
def test_two_counts_agree(package: str, agents: Callable[[str], ModuleType]) -> None:
    """A tree and tokens tell the same of thousands of names; the tests that the agents write rest on it."""
    for module in agents("source").read(package):
        assert module.figures() == agents("recount").figures(package, module.name), module.name


def test_a_wrong_figure_is_found(tiny: str, agents: Callable[[str], ModuleType]) -> None:
    """A test that cannot fail proves nothing: one figure that is off by one fails, and it alone."""
    figures = {module.name: module.figures() for module in agents("source").read(tiny)}
    figures["tiny.shapes"]["functions"] += 1
    trial = agents("trials").run({"test_figures.py": agents("trials").figure_tests("tiny", figures)})
    assert trial.failed == ("test_functions",)
    assert len(trial.tests) == 6 * len(figures)
    with pytest.raises(SystemExit, match="1 of 24 tests failed"):
        trial.or_exit()


@pytest.mark.parametrize("text", [DYING, "import unittest, no_such_module\n", ""], ids=["dying", "slip", "empty"])
def test_tests_that_did_not_end_well_have_failed(text: str, agents: Callable[[str], ModuleType]) -> None:
    """A process that dies in a test, a file with a slip in it, one without tests: none is a success."""
    with pytest.raises(SystemExit):
        agents("trials").run({"test_nothing.py": text}).or_exit()


def test_lines_that_do_not_run_are_missing(tmp_path: Path, agents: Callable[[str], ModuleType]) -> None:
    """Coverage is counted: of five lines with code one is not reached."""
    text = "def sign(number):\n    if number < 0:\n        return -1\n    return 1\n\n\nPLUS = sign(2)\n"
    test = (
        "import importlib.util, unittest, coverage_of\n"
        "def setUpModule(): coverage_of.begin([importlib.util.find_spec('signs').origin])\n"
        "def tearDownModule(): coverage_of.end()\n"
        "class Signs(unittest.TestCase):\n"
        "    def test_import(self):\n"
        "        import signs\n"
        "        self.assertEqual(signs.PLUS, 1)\n"
    )
    trial = agents("trials").run({"signs.py": text, "test_signs.py": test}).or_exit()
    assert trial.coverage == {"lines": 5, "ran": 4}
    assert agents("coverage_of").percent(trial.coverage) == 80


def _one_more(done: dict[str, Any]) -> None:
    next(iter(done["modules"].values()))["functions"] += 1


def _needs_nobody(spec: dict[str, Any]) -> None:
    spec["services"][0]["dependencies"] = ["nobody"]


def _without_a_table(built: dict[str, Any]) -> None:
    built["files"]["directory.json"] = "{}"


def _without_a_page(plan: dict[str, Any]) -> None:
    del plan["pages"]["tiny.shapes"]


def _without_a_heading(built: dict[str, Any]) -> None:
    built["pages"]["tiny.shapes"] = built["pages"]["tiny.shapes"].replace("## twice", "twice")


def _with_markup(built: dict[str, Any]) -> None:
    built["pages"]["tiny.shapes"] += "<script>alert(1)</script>"


def _without_modules(architecture: dict[str, Any]) -> None:
    architecture["guides"]["last-steps"] = []


def _without_a_name(guide: str) -> str:
    return "\n".join(guide.splitlines()[:-1])


SPOILED = [
    ("exercise", "integrator", "fanout/spec", _needs_nobody),
    ("exercise", "tester", "services/user/complete", _one_more),
    ("handoff", "test", "handoff/step2/implementation-complete", _without_a_table),
    ("checkpoints", "planning-reviewer", "checkpoint/phase1/plan", _without_a_page),
    ("checkpoints", "code-reviewer", "checkpoint/phase2/implementation", _without_a_heading),
    ("checkpoints", "code-reviewer", "checkpoint/phase2/implementation", _with_markup),
    ("docs-refactor", "review", "swarm/shared/learning-path-architecture", _without_modules),
    ("docs-refactor", "review", "swarm/writer/next-steps", _without_a_name),
]


@pytest.mark.parametrize(("plan", "checker", "key", "spoil"), SPOILED, ids=[one[3].__name__[1:] for one in SPOILED])
def test_who_checks_finds_what_is_wrong(
    plan: str, checker: str, key: str, spoil: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody spoils one value just before it is checked: the agent fails, or says no at the gate."""
    team = Team(tmp_path, monkeypatch)
    team.package("tiny", TINY)
    for task in parsed(plan).tasks:
        if task.name == checker:
            break
        assert team.work(plan, task.name).returncode == 0
    value = team.memory.retrieve(key)
    team.memory.store(key, spoil(value) or value)
    done = team.work(plan, checker)
    gates = team.memory.search("checkpoint/gates/*", where="state == 'rejected'")
    assert done.returncode == 1 or [gate.agent for gate in gates] == [checker], done.stdout
    said = {promise.key for promise in parsed(plan).task(checker).stores} - {"swarm/reviewer/quality-feedback"}
    assert said.isdisjoint(team.memory.list())
