"""Logins from git's own credential helpers: asked with `git credential fill`, told afterwards how it went.

Knows the conversation with `git credential`; keeps nothing itself. The environment is the doors' business.
Law: a login passes through pipes only; it stands in no command line, no file of ours and no message.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gitmem.transport.channel import Program
from gitmem.transport.failures import Stall, Trouble
from gitmem.transport.launching import plain_git

TIMEOUT = 30.0
"""Seconds that a credential helper may say nothing."""
OWN_LOGIN = (
    "give a login by a credential helper (`git config --global credential.helper store` keeps them in a file), "
    "or by GITMEM_REMOTE_USER and GITMEM_REMOTE_PASSWORD"
)
_LIMIT = 1 << 16
_PIPE = 4096


class GitLogin(NamedTuple):
    """A login that one of git's helpers gave: it wants to hear whether it was right."""

    user: str
    password: str


def from_git(url: str) -> GitLogin | None:
    """What git's credential helpers have for this URL; None if they have nothing, or there is no git program.

    Asks nobody at the terminal; a program of the person's own (GIT_ASKPASS) may ask.
    """
    said = _converse("fill", f"url={url}\n\n")
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if not found.get("password"):
        return None
    return GitLogin(found.get("username", ""), found["password"])


def settle(url: str, login: tuple[str, str], *, accepted: bool) -> None:
    """Tell the helpers whether a login of theirs was right: they keep it, or forget it. Never fails."""
    if isinstance(login, GitLogin):
        lines = f"url={url}\nusername={login.user}\npassword={login.password}\n\n"
        _converse("approve" if accepted else "reject", lines)


def _converse(action: str, said: str) -> str:
    """git's answer; empty if it has none, or takes too long."""
    if shutil.which("git") is None or "\0" in said:
        return ""
    try:
        with Program(plain_git("credential", action), timeout=TIMEOUT, limit=_LIMIT) as program:
            program.write(said.encode("utf-8", "surrogateescape"))
            code, answer = program.finish()
    except (Stall, Trouble, OSError):
        return ""
    return answer.decode("utf-8", "replace") if code == 0 else ""


@contextmanager
def lent(login: tuple[str, str] | None) -> Iterator[tuple[tuple[int, ...], tuple[str, ...]]]:
    """A login for one run of the git program: the descriptors to give it and the settings that let it read there.

    It passes through a pipe: no command line and no environment holds it.
    """
    if login is None:
        yield (), ()
        return
    lines = f"username={login[0]}\npassword={login[1]}\n".encode("utf-8", "surrogateescape")
    if lines.count(b"\n") != 2 or b"\0" in lines or len(lines) > _PIPE:
        raise Trouble("a login may not hold line breaks, nor be so long", OWN_LOGIN)
    reader, writer = os.pipe()
    try:
        os.write(writer, lines)
        os.close(writer)
        yield (reader,), (f"credential.helper=!f() {{ [ \"$1\" != get ] || cat /dev/fd/{reader}; }}; f",)
    finally:
        os.close(reader)
