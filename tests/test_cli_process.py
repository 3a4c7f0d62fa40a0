"""The command line as a process: what it loads, what it does to pipes, terminals and signals.

Nothing here measures time; `tests/bench` does.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.terminal import on_terminal

pytestmark = pytest.mark.usefixtures("empty_folder")

GITMEM = [sys.executable, "-m", "gitmem"]
LIGHT = {
    "gitmem", "gitmem.cli", "gitmem.cli.command", "gitmem.cli.opening", "gitmem.cli.output", "gitmem.cli.retrieve",
    "gitmem.codec", "gitmem.errors", "gitmem.gitobject", "gitmem.keys", "gitmem.layout", "gitmem.locking",
    "gitmem.loose", "gitmem.members", "gitmem.objects", "gitmem.packs", "gitmem.place", "gitmem.policy",
    "gitmem.reader", "gitmem.refs", "gitmem.repository", "gitmem.trees", "gitmem.vault",
}  # fmt: skip


def gitmem(*argv: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*GITMEM, *argv], capture_output=True, **options)


def loaded_by(*argv: str) -> set[str]:
    """The modules that a command imports."""
    told = subprocess.run([sys.executable, "-v", "-m", "gitmem", *argv], capture_output=True, text=True)
    return set(re.findall(r"^import '([\w.]+)' #", told.stderr, re.M))  # -X importtime overlooks import_module


def test_a_retrieve_loads_the_light_reader_alone() -> None:
    """The aim of its start-up is 1.7 times `import click`: whatever is added to this list has to be worth it."""
    gitmem("store", "a", "1")
    loaded = loaded_by("retrieve", "a")
    assert {name for name in loaded if name.split(".")[0] == "gitmem"} == LIGHT
    assert not loaded & {"dataclasses", "difflib", "dulwich", "filelock", "jmespath", "shutil", "sqlite3", "tomllib"}


def test_a_command_loads_its_own_family_alone() -> None:
    """Neither the help nor one command should pay for all the others."""
    families = {"care", "exchange", "past", "reads", "retrieve", "writes"}

    def loaded(*argv: str) -> set[str]:
        return {name.split(".")[2] for name in loaded_by(*argv) if name.startswith("gitmem.cli.")} & families

    assert loaded("--help") == set()
    assert loaded("list") == {"reads"}
    assert loaded("store", "--help") == {"writes"}


def test_a_value_leaves_as_the_bytes_that_are_stored() -> None:
    """Whatever the locale says, what comes out of a pipe is UTF-8 with plain newlines."""
    text = 'é 𝄞 \u2028\x1b[31m "quoted"\r\n'
    assert gitmem("store", "k", "-", "--string", input=text.encode()).returncode == 0
    for setting in ({"LC_ALL": "C"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}):
        done = gitmem("retrieve", "k", env={**os.environ, **setting})
        assert done.stdout == text[:-1].encode() + b"\n", setting
    stored = subprocess.run(["git", "-C", ".gitmem/.git", "show", "main:default/o.json"], capture_output=True)
    assert stored.returncode != 0
    gitmem("store", "o", '{"b": [1, 2.0], "a": "é"}')
    stored = subprocess.run(["git", "-C", ".gitmem/.git", "show", "main:default/o.json"], capture_output=True)
    assert gitmem("retrieve", "o").stdout == stored.stdout


def test_a_value_that_is_not_utf_8_is_refused() -> None:
    """From a pipe as from the command line: nothing is stored that is not what was meant."""
    piped = gitmem("store", "k", "-", input=b"a\xffb")
    assert (piped.returncode, piped.stdout) == (7, b"")
    assert b"byte 1 is not UTF-8" in piped.stderr
    typed = gitmem("store", "k", b"a\xffb")  # type: ignore[arg-type]
    assert typed.returncode == 7
    assert b"surrogate" in typed.stderr


@pytest.mark.parametrize("argv", [["log"], ["log", "--json"], ["search", "**"], ["list"], ["retrieve", "long"]])
def test_a_reader_that_leaves_early_is_no_mistake(argv: list[str]) -> None:
    """`gitmem log | head -1` is how people look."""
    gitmem("store", "long", "x" * 100_000)
    process = subprocess.Popen([*GITMEM, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), told) == (1, b"")


def test_an_interrupt_is_130_and_no_traceback() -> None:
    """As the shell expects it of a program that Ctrl-C stopped."""
    process = subprocess.Popen(
        [*GITMEM, "store", "a", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(b"x" * 1_000_000)  # more than a pipe holds: it returns when the command is reading
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    out, told = process.communicate()
    assert process.returncode == 130
    assert (out, told.strip()) == (b"", b"")
    assert not Path(".gitmem").exists()


def test_a_full_disk_under_stdout_is_told() -> None:
    """A script must not take a truncated answer for a whole one."""
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    gitmem("store", "a", "1")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*GITMEM, "retrieve", "a"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")


def test_a_terminal_has_colours_and_harmless_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way to a real terminal."""
    gitmem("store", "k", "--string", "a\x1b[2Jb")
    assert on_terminal("retrieve", "k") == "a\\u001b[2Jb\n"
    assert "\x1b" not in on_terminal("log")  # the tests' own NO_COLOR
    assert "\x1b[32m+ default k" in on_terminal("log", NO_COLOR="")


def test_a_question_that_nobody_answers_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor --repair` in a script without --yes: the answer is no, and no hang."""
    code = "import click; from gitmem.cli import front; front.callback = lambda: click.confirm('sure?'); front.main()"
    done = subprocess.run([sys.executable, "-c", code, "list"], stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 1
    assert b"error: " in done.stderr
    assert b"Traceback" not in done.stderr
