"""The session that is active on this machine: doors take it where nobody names another."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gitmem import Memory, from_environment
from gitmem.cli import front


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory.open(tmp_path, agent="coder")


def test_it_is_this_machine_s_alone(memory: Memory, tmp_path: Path) -> None:
    """A clone has none, and what is bound already keeps what it has."""
    assert memory.active_session is None
    memory.activate("session-1")
    assert memory.active_session == "session-1"
    assert memory.session is None
    assert Memory.clone(memory.path, tmp_path / "copy").active_session is None
    memory.activate(None)
    memory.activate(None)
    assert memory.active_session is None


def test_the_doors_write_under_it(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents that somebody starts need not be told; whoever names a session is believed."""
    memory.activate("session-1")
    monkeypatch.setenv("GITMEM_STORE", str(memory.path))
    assert from_environment().session == "session-1"
    for options, wanted in (([], "session-1"), (["--session", "other"], "other")):
        done = CliRunner().invoke(front, ["store", "k", str(wanted), *options])
        assert done.exit_code == 0, done.stderr
        assert memory.entry("k").session == wanted
    monkeypatch.setenv("GITMEM_SESSION", "named")
    assert from_environment().session == "named"
    assert CliRunner().invoke(front, ["store", "k", "x"]).exit_code == 0
    assert memory.entry("k").session == "named"


def test_who_goes_on_in_a_session_that_was_forgotten_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last week's session would get today's work; after a write it is nobody's forgotten one."""
    week = timedelta(days=7)
    path = Memory.open(tmp_path).path

    def at_work(session: str) -> None:
        before = Memory.open(path, agent="ann", durability="fast", clock=lambda: datetime.now(UTC) - week)
        before.bind(session=session).store(session, 1)
        before.activate(session)

    def told(*argv: str) -> str:
        done = CliRunner().invoke(front, argv, catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return done.stderr

    monkeypatch.setenv("GITMEM_STORE", str(path))
    at_work("old")
    assert told("store", "k", "1") == ""  # it was made the active one just now
    at_work("older")
    long_ago = (datetime.now(UTC) - week).timestamp()
    os.utime(path / "local" / "session", (long_ago, long_ago))
    for argv in (("retrieve", "k"), ("store", "k", "2", "--session", "new"), ("session", "list"), ("gc",)):
        assert told(*argv) == ""
    assert told("store", "k", "3") == (
        "hint: nobody wrote under the active session older for 7 d, and what is written now belongs to it: "
        "`gitmem session leave` lets none be active\n"
    )
    assert told("store", "k", "4") == told("session", "leave") == ""


def test_what_is_no_name_is_refused(memory: Memory) -> None:
    """It would be in every commit's trailers from then on."""
    with pytest.raises(ValueError, match="control character"):
        memory.activate("one\ntwo")
    assert memory.active_session is None


@pytest.mark.parametrize("content", [b"<a>", b"one\ntwo\n", b"\x07", b"\xff\xfe", b"x" * 3000, b""], ids=range(6))
def test_a_file_that_names_no_session_is_told_of_and_makes_none(memory: Memory, content: bytes) -> None:
    """Whoever made it, it must not stand in the way of every command, nor of the one that removes it."""
    path = memory.local_folder() / "session"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="names no session"):
        assert memory.active_session is None
    done = CliRunner().invoke(front, ["session", "leave", "--store", str(memory.path)])
    assert done.exit_code == 0, done.stderr
    assert not path.exists()
