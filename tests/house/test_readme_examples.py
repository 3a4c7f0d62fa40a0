"""Every example of the README works as it stands there, one after another in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.blueprint import TOP

TEXT = (TOP / "README.md").read_text("utf-8")
SHELL = re.findall(r"(?<!-->\n)^```sh\n(.*?)^```$", TEXT, re.M | re.S)
PYTHON = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project under git, as a newcomer has one, with `gitmem` on the path."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    tools = tmp_path / ".tools"
    tools.mkdir()
    (tools / "gitmem").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gitmem "$@"\n')
    (tools / "gitmem").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_shell_examples_run(project: Path) -> None:
    """Each line, one after another; all of them succeed and what a comment says is printed, is printed."""
    assert SHELL
    for block in SHELL:
        done = subprocess.run(["sh", "-eu", "-c", block], cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        printed = "".join(done.stdout.split())
        assert all("".join(said.split()) in printed for said in re.findall(r"# ([{\[].*)", block))
    assert len(re.findall(r"# [{\[]", "".join(SHELL))) >= 2


def test_the_python_examples_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks are one program; its last state is what the text says."""
    names: dict[str, object] = {}
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), names)
    assert capsys.readouterr().out == "{'state': 'done'} by backend-dev\n"
    memory = names["memory"]
    assert memory.retrieve("plan") == {"phase": 3}  # type: ignore[attr-defined]


def test_the_tour_shows_what_it_says(project: Path) -> None:
    """The README's first command, without the installing: import, search, history, diff and log on real input."""
    done = subprocess.run(["sh", str(TOP / "fixtures" / "tour.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for verb in ("import", "search", "history", "diff", "log"):
        assert f"$ gitmem {verb}" in done.stdout
    assert "JWT with refresh tokens" in done.stdout
