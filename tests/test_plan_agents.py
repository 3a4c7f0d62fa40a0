"""The agents of fixtures/plans: what they read in their prompts, what they count, when their tests fail."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.teams import PLANS, TINY, install, parsed

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


def test_tests_that_cannot_begin_have_failed(agents: Callable[[str], ModuleType]) -> None:
    """A file with a slip in it runs no test; that is no success."""
    for text in ("import unittest, no_such_module\n", "import unittest\n"):
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
