"""Somebody who runs the plans of fixtures/plans from the command line, and packages made up to be analysed.

Knows the commands and where things lie; knows nothing of what the plans promise.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitmem import Memory
from gitmem.workflow.plan import Plan, parse_plan

TOP = Path(__file__).parent.parent
PLANS = TOP / "fixtures" / "plans"
APPROVED = "checkpoint/phase0/architecture-approved"
"""The gate of the docs refactor."""

TINY = {
    "__init__.py": '"""A package for tests."""\n\nfrom tiny.shapes import Shape\n\n__all__ = ["Shape"]\n',
    "_inner.py": 'def seen():\n    """Lies in a private module."""\n    return 1\n',
    "shapes.py": '''\
"""Shapes, and traps for whoever counts."""

import sys
from typing import overload

TEXT = """
def not_a_function():
    pass
"""


class Shape:
    """A shape."""

    @property
    def area(self):
        """How big it is."""
        return self._area()

    @area.setter
    def area(self, value):
        self.wanted = value

    def _area(self):
        def inside():
            return 0

        return inside()

    def draw(
        self,
        colour=":",
    ):
        return colour  # a comment is no docstring


@overload
def twice(value: int) -> int: ...
@overload
def twice(value: str) -> str: ...
def twice(value):
    """The same two times."""
    return value * 2


if sys.platform == "win32":

    async def close():
        """Closes it."""

else:

    async def close():
        pass
''',
    "running.py": '''\
"""Runs things."""

import subprocess

from . import shapes
from .shapes import twice


def run(words):
    """Runs words."""
    # subprocess.run(["a comment starts nothing"])
    return subprocess.run([*words, shapes.TEXT, twice("a")])
''',
}
BARE = {"__init__.py": "_hidden = 1\n"}


class Team:
    """Somebody who runs plans in one memory, from the command line."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tools, self.packages = folder / "tools", folder / "packages"
        for name, words in (("python3", ""), ("gitmem", "-m gitmem ")):
            _write(tools / name, f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n').chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", f"{TOP}:{self.packages}")
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        monkeypatch.setenv("GITMEM_STORE", str(folder / ".gitmem"))
        monkeypatch.syspath_prepend(str(self.packages))
        self.memory = Memory.open(folder, agent="observer", namespace="coordination", durability="fast")

    def package(self, name: str, files: dict[str, str]) -> None:
        """Install a package that is to be analysed from now on."""
        install(self.packages, name, files)
        self.memory.store("project/package", name)

    def run(self, plan: str, beside: Callable[[], None] = lambda: None, code: int = 0) -> str:
        """Run a plan to its end, doing something `beside` it; what it says on stderr and stdout together."""
        with self.running(plan) as process:
            beside()
            output, _ = process.communicate(timeout=120)
        assert process.returncode == code, output
        return output

    @contextmanager
    def running(self, plan: str) -> Iterator[subprocess.Popen[str]]:
        """A run that ends with the block at the latest."""
        words = [sys.executable, "-m", "gitmem", "run", str(PLANS / plan / "plan.toml")]
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                yield process
            finally:
                process.terminate()

    def work(self, plan: str, name: str) -> subprocess.CompletedProcess[str]:
        """One task's agent at work, without a run around it."""
        task = parsed(plan).task(name)
        names = {"GITMEM_AGENT": name, "GITMEM_TASK": name, "GITMEM_NAMESPACE": "coordination"}
        words = parsed(plan).agent(task.agent).command_for(task)
        environment = {**os.environ, **names}
        return subprocess.run(words, cwd=PLANS / plan, env=environment, capture_output=True, text=True)

    def session(self) -> str:
        """The session of the last run."""
        phases = self.memory.search("session/*/phase")
        return max(phases, key=lambda entry: (entry.time, entry.key)).key.split("/")[1]

    def states(self, plan: str) -> dict[str, str]:
        """The state of each task of a plan."""
        return {task.name: self.memory.retrieve(f"swarm/{task.name}/status")["state"] for task in parsed(plan).tasks}

    def written(self) -> dict[str, set[str]]:
        """Agent -> the keys that it wrote in the last run."""
        found: dict[str, set[str]] = {}
        for commit in self.memory.log(session=self.session(), namespace="coordination"):
            found.setdefault(commit.agent, set()).update(change.key for change in commit.changes)
        return found

    def approve_plainly(self) -> None:
        """As somebody who only knows `store` approves the docs refactor."""
        self.memory.wait_for(APPROVED, until="state == 'pending'", timeout=60)
        gitmem("store", APPROVED, "true", "-n", "coordination", "--agent", "anna")

    def decide(self, *words: str) -> None:
        """As a person decides about the docs refactor."""
        self.memory.wait_for(APPROVED, until="state == 'pending'", timeout=60)
        gitmem("gate", words[0], APPROVED, *words[1:], "--agent", "anna")


def gitmem(*words: str) -> str:
    """What the command line prints, if it succeeds."""
    done = subprocess.run([sys.executable, "-m", "gitmem", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def parsed(name: str) -> Plan:
    """A plan of fixtures/plans."""
    return parse_plan((PLANS / name / "plan.toml").read_text("utf-8"))


def install(folder: Path, name: str, files: dict[str, str]) -> None:
    """Put a package into a folder; who is to find it needs the folder on his path."""
    for file, text in files.items():
        _write(folder / name / file, text)
    importlib.invalidate_caches()


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path
