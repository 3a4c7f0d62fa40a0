"""The commands clone and sync as a person types them; what they do is tested with `sync`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gitmem.cli import front
from tests.foreign import commit_files, run_git

HUB = Path("hub.git")


@pytest.fixture(autouse=True)
def _a_memory_and_its_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run_git(tmp_path, "init", "-q", "--bare", "-b", "main", str(tmp_path / HUB))
    gitmem("store", "x", "1")
    gitmem("remote", "add", "origin", str(HUB))
    gitmem("sync")


def gitmem(*argv: str, code: int = 0, **options: Any) -> Result:
    """Run a command, which has to exit so."""
    result = CliRunner().invoke(front, argv, catch_exceptions=False, **options)
    assert result.exit_code == code, f"{argv}\n{result.output}"
    return result


def told(*argv: str) -> Any:
    return json.loads(gitmem(*argv, "--json").stdout)


def push(branch: str, **files: bytes | None) -> str:
    """What a person pushes there by plain git."""
    run_git(HUB, "update-ref", f"refs/heads/{branch}", "main")
    paths = {f"default/{key}.json" if body else "gitmem.toml": body for key, body in files.items()}
    return commit_files(HUB, paths, branch=branch)


def test_what_somebody_pushed_as_a_branch_is_merged_after_a_sync() -> None:
    """As the readme says."""
    push("edits", y=b"2\n")
    assert gitmem("sync").stderr == ""
    gitmem("merge", "origin/edits")
    assert gitmem("retrieve", "y").stdout == "2\n"


def test_a_branch_there_that_is_no_memory_is_a_warning() -> None:
    """One line on stderr, and the sync is a success."""
    push("pages", none=None)
    said = gitmem("sync").stderr
    assert said.startswith("warning: branch pages of origin is not looked at: ")
    assert said.count("\n") == 1


def test_a_branch_is_named_that_only_the_remote_has() -> None:
    """It is made here; one that nobody has is told, and not made; one of ours is met even without a `main`."""
    head = push("edits", y=b"2\n")
    assert told("sync", "--branch", "edits")["revision"] == head
    assert gitmem("retrieve", "y", "--branch", "edits").stdout == "2\n"
    said = gitmem("sync", "--branch", "nope", code=3).stderr
    assert "neither here nor at origin" in said
    assert "hint: `gitmem branch nope` makes it here" in said
    run_git(".gitmem/.git", "update-ref", "-d", "refs/heads/main")
    assert told("sync", "--branch", "edits")["revision"] == head


def watched(monkeypatch: pytest.MonkeyPatch, *between: Callable[[], object], code: int = 130) -> Result:
    """A watch with something done in each of its pauses; Ctrl-C comes in the last."""
    left, sleep = iter(between), time.sleep

    def pause(seconds: float) -> None:
        if seconds != 5:
            return sleep(seconds)
        done = next(left, None)
        if done is None:
            raise KeyboardInterrupt
        done()

    monkeypatch.setattr(time, "sleep", pause)
    return gitmem("sync", "--watch", "5", code=code)


def test_a_watch_goes_on_while_the_remote_is_away_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason and its hint, each time; a warning that stays the same is said once."""
    push("pages", none=None)
    away = Path("away")
    done = watched(monkeypatch, lambda: HUB.rename(away), lambda: away.rename(HUB), lambda: None)
    assert "trying again in 5 s\nhint: check the address" in done.stderr
    assert done.stderr.count("branch pages of origin") == 1


def test_a_watch_ends_where_waiting_mends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person has to choose: the error and its hints, and exit code 1."""
    run_git(HUB, "update-ref", "refs/heads/kept", "main")
    done = watched(monkeypatch, lambda: run_git(HUB, "update-ref", "-d", "refs/heads/main"), code=1)
    assert "error: branch main is gone at origin" in done.stderr
    assert "hint: if that was a mistake" in done.stderr
    assert "trying again" not in done.stderr
