"""What is loaded when: told by the modules that are there, never by time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house.blueprint import TOP

HEAVY = {
    "asyncio", "concurrent", "dulwich", "email", "filelock", "http", "jmespath", "logging", "sqlite3", "ssl",
    "tomli_w", "tomllib", "unittest", "urllib3", "xml",
}  # fmt: skip


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, *arguments], cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def loaded_by(*arguments: str) -> set[str]:
    """The top names of all modules that a fresh interpreter imports while it runs this."""
    report = python("-X", "importtime", *arguments).stderr
    lines = [line for line in report.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().split(".")[0] for line in lines}


def test_importing_gitmem_loads_nothing_else() -> None:
    """A program that only wants an error class should not pay for git, nor for json."""
    code = "import sys; before = set(sys.modules); import gitmem; print(*sorted(set(sys.modules) - before))"
    assert set(python("-c", code).stdout.split()) <= {"__future__", "gitmem"}


def test_a_retrieve_loads_no_heavy_library(tmp_path: Path) -> None:
    """An agent's prompt calls `gitmem retrieve` again and again, a process each time."""
    store = ["-m", "gitmem", "--store", str(tmp_path / "project")]
    python(*store, "store", "swarm/status", '{"state": "working"}')
    loaded = loaded_by(*store, "retrieve", "swarm/status")
    assert {"gitmem", "click"} <= loaded
    assert not loaded & HEAVY


def test_the_reader_of_loaded_modules_sees_them() -> None:
    """The test above is worth what this reader sees."""
    assert {"sqlite3", "tomllib"} <= loaded_by("-c", "import sqlite3, tomllib")
