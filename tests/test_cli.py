"""The command line: the language-neutral cases, and what only a test in Python can see.

The cases of `fixtures/cli` are what a second implementation would have to print, too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gitmem import errors
from gitmem.cli import FAMILIES, failures, front
from tests.commands import gitmem, looked_on

pytestmark = pytest.mark.usefixtures("empty_folder")

FIXTURES = Path(__file__).parents[1] / "fixtures" / "cli"
COMMANDS = {name: text for family in FAMILIES.values() for name, (_, text) in family.items()}


# --- the language-neutral cases


def matches(found: Any, expected: Any) -> bool:
    """Equality by type, but for texts that begin with ~: they are regular expressions."""
    if isinstance(expected, str) and expected.startswith("~"):
        return isinstance(found, str) and re.search(expected[1:], found) is not None
    if type(found) is not type(expected):
        return False
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(matches(found[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(matches, found, expected))
    return bool(found == expected)


def check(step: dict[str, Any], result: Result) -> None:
    assert result.exit_code == step.get("exit", 0)
    if "stdout" in step:
        assert result.stdout == step["stdout"]
    if "json" in step:
        assert matches(json.loads(result.stdout), step["json"]), result.stdout
    for stream in ("stdout", "stderr"):
        if like := step.get(f"{stream}_like"):
            assert re.search(like, getattr(result, stream))


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.json")), ids=lambda path: path.stem)
def test_the_commands_do_what_the_cases_say(path: Path) -> None:
    """Each file is one story, told in order in an empty folder."""
    for step in json.loads(path.read_text("utf-8"))["steps"]:
        for name, text in step.get("files", {}).items():
            Path(name).write_text(text, encoding="utf-8", newline="\n")
        result = gitmem(*step["argv"], input=step.get("stdin"), env=step.get("env"))
        try:
            check(step, result)
        except AssertionError as error:
            told = f"{step['argv']} -> {result.exit_code}\n{result.stdout}\n{result.stderr}"
            raise AssertionError(f"{error}\n{told}") from None


def test_the_reader_of_the_cases_is_strict() -> None:
    """The cases are worth what this comparison sees."""
    assert matches({"a": [1, "x1"]}, {"a": [1, "~^x"]})
    assert not matches({"a": 1}, {"a": True})
    assert not matches({"a": 1, "b": 2}, {"a": 1})
    assert not matches([1, 2], [1])
    assert not matches("y", "~^x")


# --- the front


def test_the_listing_says_what_the_commands_say() -> None:
    """The listing imports no command, so its words stand apart, and could drift."""
    for name, text in COMMANDS.items():
        command = front.get_command(click.Context(front), name)
        assert command is not None
        assert (command.help or "").split("\n")[0] == text
        assert command.name == name


def test_every_command_speaks_json_and_knows_where_and_who() -> None:
    """Whoever has learnt one command has learnt these options for all."""
    for name in COMMANDS:
        command = front.get_command(click.Context(front), name)
        assert command is not None
        known = {option for param in command.params for option in param.opts}
        assert {"--json", "--store", "-n", "--namespace", "--agent", "--session"} <= known


def test_no_option_of_a_command_is_taken_for_where_or_who() -> None:
    """`log --by` must not be filled by --agent: two options of one parameter's name are one to click."""
    for name in COMMANDS:
        command = front.get_command(click.Context(front), name)
        subcommands = command.commands.values() if isinstance(command, click.Group) else []
        for each in [command, *subcommands]:
            names = [param.name for param in each.params]
            assert sorted(names) == sorted(set(names)), each.name


@pytest.mark.parametrize("word", ["later", "mcp"])
def test_nothing_is_offered_that_is_not_there(word: str) -> None:
    """A stub that does nothing is a success reported for something that was not done."""
    assert gitmem(word).exit_code == 2
    assert word not in COMMANDS


# --- failures


ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GitmemError)]
CODES = {
    "MissingKeyError": 3, "UnknownRevisionError": 3, "ConflictError": 4, "KeyExistsError": 4, "StaleError": 4,
    "MergeConflictError": 4, "WriteIdError": 4, "WaitTimeoutError": 5, "GateRejectedError": 6, "InvalidKeyError": 7,
    "InvalidValueError": 7, "InvalidPatternError": 7, "InvalidPolicyError": 7, "InvalidPlanError": 7,
    "ContractError": 7, "ContentionError": 8,
}  # fmt: skip


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_has_its_exit_code(kind: type[errors.GitmemError], capsys: pytest.CaptureFixture[str]) -> None:
    """The table of the design, kind by kind; what it does not name is a failure, 1."""
    assert failures.report(kind("what", hint="one\ntwo")) == CODES.get(kind.__name__, 1)
    assert capsys.readouterr().err == "error: what\nhint: one\nhint: two\n"


def test_nobody_s_text_leaves_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A key could otherwise forge a hint, or turn a terminal's colours and direction."""
    failures.report(errors.InvalidKeyError("a\nhint: run rm\x1b[31m\u202e\u2028\r\x85", hint="b\x07"))
    assert capsys.readouterr().err == (
        "error: a\\nhint: run rm\\u001b[31m\\u202e\\u2028\\r\\u0085\nhint: b\\u0007\n"
    )


def test_a_mistake_of_ours_shows_its_traceback() -> None:
    """Swallowing it would leave nothing to report."""
    with pytest.raises(ZeroDivisionError):
        failures.report(ZeroDivisionError())


def test_the_system_s_reason_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that may not be read is no mistake of gitmem's."""
    assert failures.report(PermissionError(13, "Permission denied", "/x\n")) == 1
    told = capsys.readouterr().err
    assert told == "error: /x\\n: Permission denied\nhint: check who owns the file, and its mode\n"


def test_a_warning_of_the_floors_below_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """History that was rewritten is told to the person, not to a log."""
    import warnings

    from gitmem.cli import opening

    gitmem("store", "a", "1")
    monkeypatch.setattr(opening, "reading", lambda _: warnings.warn("rewritten\n!", UserWarning, stacklevel=1))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        told = CliRunner().invoke(front, ["retrieve", "a", "--at", "x"])
    assert told.stderr == "warning: rewritten\\n!\n"


# --- output


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As if a person looked on, with colours."""
    looked_on(monkeypatch)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return monkeypatch


HOSTILE = "a\x1b[31m\tb\nc\u202e"


def test_a_terminal_gets_no_control_characters(terminal: pytest.MonkeyPatch) -> None:
    """An agent's text must not move a person's cursor or hide what it says; lines and tabs may stay."""
    gitmem("store", "k\u202e", "--string", HOSTILE)
    assert gitmem("retrieve", "k\u202e").stdout == "a\\u001b[31m\tb\nc\\u202e\n"
    assert json.loads(gitmem("retrieve", "k\u202e", "--json").stdout) == HOSTILE
    assert "\u202e" not in gitmem("retrieve", "k\u202e", "--json").stdout
    for argv in (["list"], ["search", "**"], ["history", "k\u202e"], ["log"], ["diff", "HEAD~1"], ["blame", "k\u202e"]):
        shown = re.sub(r"\x1b\[\d*m", "", gitmem(*argv).stdout)
        assert "k\\u202e" in shown or argv[0] in ("history", "blame")
        assert not re.search(r"[\x1b\u202e]", shown), argv


def test_a_pipe_gets_the_value_itself() -> None:
    """`$(gitmem retrieve key)` has to be the text that was stored."""
    gitmem("store", "k\u202e", "--string", HOSTILE)
    assert gitmem("retrieve", "k\u202e").stdout == HOSTILE + "\n"
    assert gitmem("list").stdout == "k\u202e\n"


def test_colours_are_for_terminals_alone(terminal: pytest.MonkeyPatch) -> None:
    """NO_COLOR (https://no-color.org) counts when it is not empty."""
    gitmem("store", "k", "1")
    assert "\x1b[32m" in gitmem("log", color=True).stdout
    terminal.setenv("NO_COLOR", "")
    assert "\x1b[32m" in gitmem("log", color=True).stdout
    terminal.setenv("NO_COLOR", "1")
    assert "\x1b" not in gitmem("log", color=True).stdout
    terminal.delenv("NO_COLOR")
    terminal.setenv("TERM", "dumb")
    assert "\x1b" not in gitmem("log", color=True).stdout
    terminal.setenv("TERM", "xterm")
    looked_on(terminal, False)
    assert "\x1b" not in gitmem("log", color=True).stdout


def test_a_terminal_gets_columns_cut_at_its_edge(terminal: pytest.MonkeyPatch) -> None:
    """A long value would wrap and bury the others; a pipe gets all of it."""
    terminal.setenv("NO_COLOR", "1")
    gitmem("store", "short", "x" * 200)
    gitmem("store", "a/much/longer/key", "1")
    first, second = gitmem("search", "**").stdout.splitlines()
    assert first.startswith("a/much/longer/key  1")
    assert second.startswith('short              "xxx')
    assert len(second) == 80
    assert second.endswith("…")
    assert gitmem("namespaces").stdout == "default  2\n"
    looked_on(terminal, False)
    assert gitmem("search", "s*").stdout == 'short\t"' + "x" * 200 + '"\n'


def test_an_array_is_valid_json_however_long() -> None:
    """It is printed element by element: none, one and several have to be JSON."""
    assert json.loads(gitmem("store", "k", "1", "--json").stdout)["version"] == 1
    for count in range(3):
        assert len(json.loads(gitmem("log", "--limit", str(count), "--json").stdout)) == count


# --- who


def committed(git: Any) -> list[str]:
    return str(git(Path(".gitmem/.git"), "log", "-1", "--format=%an|%ae|%cn|%ce", "main")).strip().split("|")


def test_the_agent_is_the_author_and_git_s_identity_the_committer(git: Any, tmp_path: Path) -> None:
    """A person who audits with plain git sees who said it, and who ran it."""
    settings = tmp_path / "gitconfig"
    settings.write_text('[user]\n\tname = "Ada <L>"\n\temail = ada@example.org\n')
    gitmem("store", "a", "1", "--agent", "coder", env={"GIT_CONFIG_GLOBAL": str(settings)})
    assert committed(git) == ["coder", "coder@gitmem", "Ada L", "ada@example.org"]
    gitmem("store", "a", "2", env={"GIT_CONFIG_GLOBAL": str(settings), "GIT_COMMITTER_NAME": "Eve"})
    assert committed(git) == ["Ada L", "Ada L@gitmem", "Eve", "ada@example.org"]


def test_settings_that_are_included_count(git: Any, tmp_path: Path) -> None:
    """Many keep their name in a file beside the main one."""
    (tmp_path / "name").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    (tmp_path / "gitconfig").write_text(f"[include]\n\tpath = {tmp_path / 'name'}\n")
    gitmem("store", "a", "1", env={"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")})
    assert committed(git) == ["Ada", "Ada@gitmem", "Ada", "ada@example.org"]


def test_the_project_s_own_settings_win(git: Any, tmp_path: Path) -> None:
    """As for git itself."""
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "config", "user.name", "Ada at work")
    gitmem("store", "a", "1", env={"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")})
    assert committed(git)[2:] == ["Ada at work", "ada@example.org"]


def test_without_git_s_name_the_login_is_the_agent(git: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where even that is no name, `unknown`."""
    monkeypatch.setattr("getpass.getuser", lambda: "ada\n")
    gitmem("store", "a", "1")
    assert committed(git) == ["ada", "ada@gitmem", "ada", "ada@gitmem"]
    monkeypatch.setattr("getpass.getuser", lambda: "<>")
    gitmem("store", "a", "2")
    assert committed(git)[0] == "unknown"


def test_broken_settings_stop_nobody(git: Any, tmp_path: Path) -> None:
    """Whoever cannot run git any more can still store."""
    (tmp_path / "gitconfig").write_bytes(b"[include]\n\tpath\n[user\n\xff name")
    result = gitmem("store", "a", "1", "--agent", "coder", env={"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")})
    assert result.exit_code == 0
    assert committed(git)[0] == "coder"


# --- where


def test_a_writing_command_creates_a_memory_at_the_project_s_root(git: Any, tmp_path: Path) -> None:
    """Not in whatever subfolder it was called: the next agent is called in another one."""
    git(tmp_path, "init", "-q")
    (tmp_path / "src" / "deep").mkdir(parents=True)
    result = gitmem("store", "a", "1", "--store", str(tmp_path))
    assert result.stderr == f"created a memory at {tmp_path / '.gitmem'}\n"


@pytest.mark.parametrize("command", [["store", "a", "1"], ["init"]])
def test_a_subfolder_belongs_to_its_project(
    command: list[str], git: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`init` without a path and every write agree on the place."""
    git(tmp_path, "init", "-q")
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    assert gitmem(*command).exit_code == 0
    assert (tmp_path / ".gitmem" / ".git").is_dir()
    assert gitmem("list").exit_code == 0


def test_a_reading_command_creates_nothing(tmp_path: Path) -> None:
    """Looking must leave no trace."""
    for argv in (["list"], ["retrieve", "a"], ["search", "**"], ["log"], ["history", "a"], ["namespaces"], ["gc"]):
        assert gitmem(*argv).exit_code == 1
    assert not list(tmp_path.iterdir())


def test_a_shell_completes_keys() -> None:
    """Keys are long; nobody should type them."""
    from click.shell_completion import ShellComplete

    gitmem("store", "swarm/a", "1", "-n", "x")
    gitmem("store", "swarm/b", "1")
    shell = ShellComplete(front, {}, "gitmem", "_GITMEM_COMPLETE")
    assert [one.value for one in shell.get_completions(["-n", "x", "retrieve"], "sw")] == ["swarm/a"]
    assert [one.value for one in shell.get_completions(["retrieve"], "sw")] == ["swarm/b"]
    assert "namespaces" in [one.value for one in shell.get_completions([], "na")]
    gitmem("store", "c", "1", "--session", "docs")
    for words in (["undo"], ["session", "show"], ["session", "compare", "docs"]):
        assert [one.value for one in shell.get_completions(words, "do")] == ["docs"]
