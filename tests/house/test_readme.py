"""The README: its two commands can be found by a program, and no command of the command line is missing."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest

from tests.house.blueprint import TOP

README = TOP / "README.md"


def commands(group: click.Group, names: tuple[str, ...] = ()) -> list[tuple[str, click.Command]]:
    """Every command below a group with its full name, families of subcommands included."""
    context = click.Context(group)
    found: list[tuple[str, click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        found.append((" ".join([*names, name]), command))
        if isinstance(command, click.Group):
            found += commands(command, (*names, name))
    return found


@pytest.fixture(scope="module")
def all_commands() -> list[tuple[str, click.Command]]:
    import gitmem.cli

    doors = [value for value in vars(gitmem.cli).values() if isinstance(value, click.Group)]
    assert doors, "gitmem.cli holds no click group"
    found = commands(doors[0])
    assert len(found) > 10
    return found


def test_every_command_says_what_it_does(all_commands) -> None:
    """`--help` is what a person reads first, and what an agent is given."""
    assert [name for name, command in all_commands if not (command.help or "").strip()] == []


def test_every_option_says_what_it_does(all_commands) -> None:
    """The same for options; arguments are explained by the command's own text."""
    silent = [
        f"{name} {option.opts[-1]}"
        for name, command in all_commands
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


def test_every_command_stands_in_the_readme(all_commands) -> None:
    """What the README does not name is not found."""
    text = README.read_text("utf-8")
    names = [name for name, command in all_commands if not command.hidden]
    assert [name for name in names if not re.search(rf"(gitmem |`){re.escape(name)}\b", text)] == []


@pytest.mark.parametrize("name", ["main", "test"])
def test_the_readme_marks_its_two_commands(name: str) -> None:
    """.ci/run runs the very text that a newcomer types: the sh block after `<!-- command: NAME -->`."""
    script = TOP / ".ci" / "readme_command.py"
    done = subprocess.run([sys.executable, str(script), name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
