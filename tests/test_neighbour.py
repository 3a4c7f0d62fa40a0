"""Another copy on this machine, without a git program; and how the way to a remote is chosen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitmem import RemoteError
from gitmem.transport.neighbour import Neighbour
from tests.copies import Copy
from tests.foreign import run_git


@contextmanager
def without_git() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        yield


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Copy, Copy, str]:
    """Two memories, and the address of the second."""
    return Copy(tmp_path / "ours"), Copy(tmp_path / "theirs"), str(tmp_path / "theirs")


def test_two_memories_fetch_and_push_without_git(pair: tuple[Copy, Copy, str]) -> None:
    """As over any server: what is missing travels, a push is a compare-and-swap, both stay sound."""
    ours, theirs, url = pair
    theirs.memory.store("theirs", {"a": ["x"] * 100})
    with without_git():
        to = ours.to(url)
        assert isinstance(to, Neighbour)
        assert to.heads() == {"main": theirs.head}
        to.fetch([theirs.head])
        to.fetch([theirs.head])
        assert ours.repository.publish("main", ours.head, theirs.head)
        expected = theirs.head
        ours.memory.store("ours", 1)
        assert to.push("side", None, expected) is True
        assert to.push("main", None, ours.head) is False
        assert to.push("main", expected, ours.head) is True
        assert to.push("main", expected, ours.head) is True
        theirs.memory.store("theirs", 2)
        ours.memory.store("ours", 2)
        assert to.push("main", expected, ours.head) is False
        with pytest.raises(RemoteError, match="does not descend"):
            to.push("main", ours.head, expected)
        assert theirs.memory.retrieve("ours") == 1
    assert ours.sound()
    assert theirs.sound()


def test_a_fetch_without_git_brings_only_what_is_missing(pair: tuple[Copy, Copy, str]) -> None:
    """One commit, its trees and its blob."""
    ours, theirs, url = pair
    for number in range(20):
        theirs.memory.store(f"k/{number}", os.urandom(100).hex())
    with without_git():
        ours.to(url).fetch([theirs.head])
    ours.follow(theirs.head)
    before = ours.count()
    theirs.memory.store("k/3", "new")
    with without_git():
        ours.to(url).fetch([theirs.head])
    assert ours.count() == before + 5
    assert ours.sound()


def test_a_neighbour_that_is_damaged_or_none_is_the_remotes_fault(pair: tuple[Copy, Copy, str], tmp_path: Path) -> None:
    """Not ours: the error names the remote."""
    ours, theirs, url = pair
    theirs.memory.store("k", {"some": "value"})
    for path in (theirs.git_dir / "objects").glob("??/*"):
        path.chmod(0o644)
        path.write_bytes(b"garbage")
    with without_git():
        with pytest.raises(RemoteError) as caught:
            ours.to(url).fetch([theirs.head])
        assert caught.value.hint
        with pytest.raises(RemoteError, match="no memory") as caught:
            ours.to(str(tmp_path / "none")).heads()
        assert caught.value.hint
        (theirs.git_dir / "shallow").write_text("")
        with pytest.raises(RemoteError, match="shallow"):
            ours.to(url).heads()
    assert ours.sound()


def test_a_branch_that_is_checked_out_there_is_not_pushed_to(pair: tuple[Copy, Copy, str], tmp_path: Path) -> None:
    """Its worktree would silently differ from it; with git or without."""
    ours, theirs, url = pair
    run_git(theirs.git_dir, "worktree", "add", "-q", str(tmp_path / "tree"), "main")
    before = theirs.head
    ours.memory.store("k", 1)
    with without_git(), pytest.raises(RemoteError, match="checked out"):
        ours.to(url).push("main", before, ours.head)
    with pytest.raises(RemoteError, match="checked out") as caught:
        ours.to(url).push("main", before, ours.head)
    assert caught.value.hint
    assert theirs.head == before


# --- which way ---


def test_the_config_chooses_the_program(tmp_path: Path) -> None:
    """Unless the caller does; what is neither is refused with the command that helps."""
    Copy(tmp_path / "ours")
    git_dir = tmp_path / "ours" / ".gitmem" / ".git"
    ways = {}
    for setting in ("dulwich", "git", "carrier-pigeon"):
        run_git(git_dir, "config", "gitmem.transport", setting)
        ours = Copy(tmp_path / "ours")
        try:
            ways[setting] = type(ours.to("/x", program=None)).__name__
        except RemoteError as error:
            ways[setting] = error.hint.split("`")[1]
        assert type(ours.to("/x", program="dulwich")).__name__ == "Dulwich"
    assert ways == {
        "dulwich": "Dulwich",
        "git": "GitProgram",
        "carrier-pigeon": f"git -C {git_dir} config gitmem.transport git",
    }


@pytest.mark.parametrize("program", ["dulwich", "git"])
def test_an_address_in_the_config_that_is_none_is_an_error(tmp_path: Path, program: str) -> None:
    """Somebody wrote it by hand: nothing is run with it."""
    ours = Copy(tmp_path / "ours", program=program)
    for url in ("ext::touch x", "-x", "ftp://ann:Geheim@h/x", "ssh://-oProxyCommand=touch/x"):
        with pytest.raises(RemoteError) as caught:
            ours.to(url)
        assert caught.value.hint
        assert "Geheim" not in caught.value.message


@pytest.mark.parametrize("program", ["dulwich", "git"])
def test_a_persons_rewriting_of_addresses_is_followed(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git's url.….insteadOf, in the person's settings; where it leads to a command, nothing is run."""
    theirs = Copy(tmp_path / "theirs")
    ours = Copy(tmp_path / "ours", program=program)
    settings = tmp_path / "config"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    run_git(tmp_path, "config", "-f", str(settings), f"url.{theirs.git_dir}.insteadOf", "https://team.example.org/m")
    assert ours.to("https://team.example.org/m").heads() == {"main": theirs.head}
    marker, own = tmp_path / "ran", tmp_path / "bin" / "git-remote-own"
    own.parent.mkdir()
    own.write_text(f"#!/bin/sh\ntouch {marker}\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{own.parent}:{os.environ['PATH']}")
    for command in (f"ext::touch {marker} ", "own::", "own://h/"):
        run_git(tmp_path, "config", "-f", str(settings), f"url.{command}.insteadOf", "https://evil.example.org/")
        with pytest.raises(RemoteError):
            ours.to("https://evil.example.org/x").heads()
        assert not marker.exists()
        settings.unlink()


@pytest.mark.parametrize("program", ["dulwich", "git"])
def test_variables_that_would_lead_git_elsewhere_do_not(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a git hook, say, GIT_DIR names another repository."""
    theirs, ours = Copy(tmp_path / "theirs"), Copy(tmp_path / "ours", program=program)
    theirs.memory.store("k", 1)
    run_git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "other" / ".git" / "objects"))
    monkeypatch.setenv("GIT_NAMESPACE", "elsewhere")
    monkeypatch.setenv("GIT_PROTOCOL", "version=2")
    to = ours.to(str(theirs.git_dir))
    head = to.heads()["main"]
    to.fetch([head])
    assert to.push("side", None, ours.head) is True
    for name in ("GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_PROTOCOL"):
        monkeypatch.delenv(name)
    assert ours.has(head)
    assert to.heads()["side"] == ours.head
    assert not list((tmp_path / "other" / ".git" / "objects" / "pack").iterdir())


@pytest.mark.parametrize("program", ["dulwich", "git"])
def test_no_hook_of_ours_runs(tmp_path: Path, program: str) -> None:
    """A memory that was unpacked from somewhere must run nothing by being synced."""
    theirs, ours = Copy(tmp_path / "theirs"), Copy(tmp_path / "ours", program=program)
    theirs.memory.store("k", 1)
    (ours.git_dir / "hooks").mkdir(exist_ok=True)
    for name in ("pre-push", "reference-transaction", "post-merge", "push-to-checkout"):
        path = ours.git_dir / "hooks" / name
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        path.chmod(0o755)
    to = ours.to(str(theirs.git_dir))
    to.fetch([theirs.head])
    assert to.push("side", None, ours.head) is True
    assert not (tmp_path / "ran").exists()


def test_nothing_heavy_is_loaded_to_name_a_remote() -> None:
    """`gitmem remote list` is no reason to load an HTTP client."""
    script = "import sys, gitmem.remotes, gitmem.transport; print({'urllib3', 'dulwich'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
