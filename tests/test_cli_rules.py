"""Families of commands, rules and contract among them; what they print is told in `fixtures/cli/rules.json`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from gitmem import Memory
from gitmem.cli.command import Family
from gitmem.cli.rules import contract, rules
from tests.commands import gitmem, looked_on
from tests.house.blueprint import TOP

pytestmark = pytest.mark.usefixtures("empty_folder")

SCHEMA = '{"type": "object"}'


# --- families


@pytest.mark.parametrize("family", [rules, contract], ids=lambda family: family.name)
def test_every_command_of_a_family_speaks_json_and_knows_where_and_who(family: Family) -> None:
    """Whoever has learnt one command has learnt these options for all."""
    for name in family.list_commands(click.Context(family)):
        known = {option for param in family.commands[name].params for option in param.opts}
        assert {"--json", "--store", "-n", "--namespace", "--agent", "--session"} <= known


@pytest.mark.parametrize(
    "argv",
    [
        ("--store", "p", "-n", "team", "--agent", "planner", "--session", "s-1", "rules", "add", "a", "latest"),
        ("rules", "--store", "p", "-n", "team", "--agent", "planner", "--session", "s-1", "add", "a", "latest"),
        ("rules", "add", "--store", "p", "-n", "team", "a", "--agent", "planner", "latest", "--session", "s-1"),
        ("--store", "q", "rules", "--store", "p", "-n", "team", "--agent", "x", "add", "a", "latest", "--agent",
         "planner", "--session", "s-1"),
    ],
)  # fmt: skip
def test_where_and_who_may_stand_anywhere(argv: tuple[str, ...]) -> None:
    """Before the family, behind it, behind the command; what stands later wins."""
    assert gitmem(*argv).exit_code == 0
    with Memory.open("p", create=False) as memory:
        (made, _) = memory.log()
        assert (made.agent, made.session, made.message) == ("planner", "s-1", "rules add a latest in team")
    assert not Path("q").exists()


@pytest.mark.parametrize("argv", [("rules", "--json", "list"), ("rules", "list", "--json")])
def test_json_may_stand_before_or_after(argv: tuple[str, ...]) -> None:
    """And is not remembered for the next command line of the same process."""
    gitmem("rules", "add", "a", "latest")
    assert json.loads(gitmem(*argv).stdout)[0]["keys"] == "a"
    assert gitmem("rules", "list").stdout == "1\t-\ta\t(all)\tlatest\n"


def test_a_namespace_of_the_environment_narrows_no_rule() -> None:
    """An agent's own namespace is where its keys lie; a rule for all is meant for all."""
    place = {"GITMEM_NAMESPACE": "team"}
    gitmem("rules", "add", "a", "latest", env=place)
    gitmem("contract", "add", "a", SCHEMA, env=place)
    gitmem("store", "a", "{}", "-n", "other")
    with Memory.open(create=False) as memory:
        policy = memory.vault.policy(memory.vault.head("main").root)
    assert policy.merge_rules[0].namespace is policy.contracts[0].namespace is None
    assert gitmem("contract", "check", env=place).stdout == "every value keeps 1 contract\n"


def test_rules_are_tried_in_the_namespace_of_the_environment() -> None:
    """There the key lies that they are tried for."""
    gitmem("rules", "add", "a", "latest", "-n", "team")
    argv = ("rules", "test", "a", "--ours", "1", "--theirs", "2")
    assert gitmem(*argv).exit_code == 4
    assert gitmem(*argv, env={"GITMEM_NAMESPACE": "team"}).stdout == "2\n"


def test_the_help_of_a_family_lists_its_commands_in_order() -> None:
    """As they are used: add, list, remove, try."""
    told = gitmem("rules", "--help").stdout
    places = [told.index(f"\n  {name} ") for name in ("add", "list", "remove", "test")]
    assert places == sorted(places)
    assert told.index("Commands:") < told.index("Options:") < told.index("Where and who:")
    assert "gitmem rules add [OPTIONS] KEYS RULE" in gitmem("rules", "add", "--help").stdout


def test_a_family_is_imported_when_it_is_called() -> None:
    """Listing all commands imports none; one family's module brings all its commands."""
    program = (
        "import sys; from click.testing import CliRunner; from gitmem.cli import front;"
        "CliRunner().invoke(front, ['--help']); assert 'gitmem.cli.rules' not in sys.modules;"
        "CliRunner().invoke(front, ['rules', '--help']); assert 'gitmem.cli.rules' in sys.modules;"
        "assert not {'gitmem.settings', 'jsonschema', 'gitmem.memory'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=TOP)


# --- what is printed


def test_nobody_s_text_leaves_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A glob, a schema, a key and a value are somebody's text."""
    hostile = "a\u202e\x1b"
    gitmem("store", hostile.replace("\x1b", ""), '{"x": "\\u202e\\u001b"}')
    gitmem("rules", "add", hostile, "latest")
    gitmem("contract", "add", "**", json.dumps({"properties": {"x": {"const": hostile}}}))
    looked_on(monkeypatch)
    monkeypatch.setenv("COLUMNS", "200")
    tried = ("rules", "test", "k", "--ours", '{"\u202e": 1}', "--theirs", '{"\u202e": 2}')
    check = ("contract", "check")
    for argv in (("rules", "list"), ("contract", "list"), check, (*check, "--json"), tried):
        told = gitmem(*argv).stdout
        assert "u202e" in told
        assert not {"\x1b", "\u202e"} & set(told), argv


def test_an_edit_is_refused_where_gitmem_toml_is_broken(git: Any) -> None:
    """With the line, and exit 7: as every command there."""
    gitmem("store", "k", "1")
    body = b'format = 1\n[[merge]]\nkeys = "a"\nrul = "x"\n'
    stream = b"commit refs/heads/main\ncommitter s <s@s> 1800000000 +0000\ndata 1\nx\nfrom refs/heads/main^0\n"
    stream += b"M 100644 inline gitmem.toml\ndata %d\n%s\n" % (len(body), body)
    git(".gitmem/.git", "fast-import", "--quiet", given=stream)
    for argv in (("rules", "list"), ("rules", "add", "a", "latest"), ("contract", "check"), ("retrieve", "k")):
        result = gitmem(*argv)
        assert result.exit_code == 7
        assert result.stderr.startswith("error: gitmem.toml, line 4: [[merge]] has no setting 'rul'")
    assert gitmem("doctor").exit_code == 1
    assert gitmem("doctor", "--repair").exit_code == 0
    assert gitmem("rules", "list").exit_code == 0
