"""`gitmem config` and the settings behind it: what holds, what it takes, one commit an edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitmem import InvalidValueError, Memory
from gitmem.policy import SETTINGS, Policy
from tests.commands import gitmem


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def memory() -> Any:
    with Memory.open(durability="fast", agent="planner") as opened:
        yield opened


def toml(memory: Memory, git: Any) -> str:
    return str(git(memory.path / ".git", "show", "main:gitmem.toml"))


def test_a_setting_is_one_commit_that_says_what_it_sets(memory: Memory, git: Any) -> None:
    """Who shares the memory finds it in the log, as anything else."""
    assert gitmem("config", "audit_reads", "true", "--agent", "lead").stdout == "audit_reads = true (was false)\n"
    (made, _) = memory.log()
    assert (made.agent, made.message) == ("lead", "config audit_reads true")
    assert memory.settings.policy.audit_reads is True
    assert toml(memory, git) == "format = 1\naudit_reads = true\n"


def test_what_is_so_already_is_no_commit(memory: Memory) -> None:
    """A script that sets it each time does not fill the history."""
    memory.settings.set("audit_reads", True)
    before = memory.snapshot
    assert gitmem("config", "audit_reads", "true").stdout == "audit_reads = true (as before)\n"
    assert gitmem("config", "--unset", "abandoned_after").stdout == "abandoned_after = 86400 (as before)\n"
    assert memory.snapshot == before


def test_unset_brings_back_what_holds_where_nothing_is_said(memory: Memory, git: Any) -> None:
    """And leaves nothing in the file: a later gitmem may have another default."""
    gitmem("config", "abandoned_after", "60.5")
    done = gitmem("config", "abandoned_after", "--unset", "--json", "-m", "back")
    assert json.loads(done.stdout) == {"name": "abandoned_after", "value": 86400, "before": 60.5}
    assert toml(memory, git) == "format = 1\n"
    assert memory.log()[0].message == "back"


def test_all_of_them_are_listed_and_each_can_be_printed(memory: Memory) -> None:
    """Whoever does not know the names sees them, and which ones somebody has set."""
    memory.settings.set("max_value_bytes", 1000)
    rows = [line.split("\t") for line in gitmem("config").stdout.splitlines()]
    assert [row[:3] for row in rows] == [
        ["abandoned_after", "86400", "default"], ["audit_reads", "false", "default"], ["max_value_bytes", "1000", "set"]
    ]  # fmt: skip
    assert json.loads(gitmem("config", "--json").stdout) == memory.settings.values()
    assert gitmem("config", "max_value_bytes").stdout == "1000\n"
    assert set(SETTINGS) <= set(Policy._fields)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("audit_reads", "yes"), ("audit_reads", "1"), ("audit_reads", "null"), ("abandoned_after", "0"),
        ("abandoned_after", "-3"), ("abandoned_after", "true"), ("abandoned_after", "1e300"),
        ("max_value_bytes", "1.0"), ("max_value_bytes", "0"), ("max_value_bytes", "[1]"),
    ],
)  # fmt: skip
def test_what_a_setting_does_not_take_is_refused(memory: Memory, name: str, text: str) -> None:
    """A file that nobody can read any more would stop everybody."""
    before = memory.snapshot
    refused = gitmem("config", name, text)
    assert refused.exit_code == 7
    assert refused.stderr.startswith(f"error: {name} has to be {SETTINGS[name].takes}")
    assert memory.snapshot == before


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("audit-reads", "did you mean audit_reads?"), ("Abandoned_After", "did you mean abandoned_after?"),
        ("merge", "`gitmem rules` edits these"), ("colour", "there are abandoned_after, audit_reads, max_value_bytes"),
        ("format", "there are abandoned_after, audit_reads, max_value_bytes"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_refused_with_the_nearest(memory: Memory, name: str, hint: str) -> None:
    """A misspelt setting that is written settles nothing, silently; format is nobody's to choose."""
    for argv in ((name,), (name, "true"), (name, "--unset")):
        refused = gitmem("config", *argv)
        assert (refused.exit_code, refused.stderr) == (7, f"error: there is no setting {name!r}\nhint: {hint}\n")


def test_a_mistake_makes_no_memory() -> None:
    """Where there is none, setting one makes it; a slip of the keyboard does not."""
    assert gitmem("config").exit_code == 1
    assert gitmem("config", "audit_reads", "maybe").exit_code == 7
    assert gitmem("config", "audit_read", "true").exit_code == 7
    assert not Path(".gitmem").exists()
    assert gitmem("config", "audit_reads", "true").exit_code == 0


@pytest.mark.parametrize("argv", [("--unset",), ("audit_reads", "true", "--unset"), ("audit_reads", "-m", "why")])
def test_options_that_contradict_the_rest_are_usage_errors(memory: Memory, argv: tuple[str, ...]) -> None:
    """What would be silently ignored is refused."""
    assert gitmem("config", *argv).exit_code == 2


def test_what_others_set_meanwhile_stays(memory: Memory) -> None:
    """The edit is decided on fresh data: two machines that set two things lose neither."""
    edited = memory.settings
    memory.bind(agent="other").settings.set("max_value_bytes", 500)
    memory.settings.add_rule("**", "largest")
    edited.set("audit_reads", True)
    policy = memory.settings.policy
    assert (policy.max_value_bytes, policy.audit_reads, len(policy.merge_rules)) == (500, True, 1)


def test_from_python_a_value_is_no_text(memory: Memory) -> None:
    """`"false"` is true for Python; it must not become a setting."""
    with pytest.raises(InvalidValueError, match="audit_reads has to be true or false, not 'false'"):
        memory.settings.set("audit_reads", "false")
    assert memory.settings.set("audit_reads", True) is False
    assert memory.settings.get("audit_reads") is True
