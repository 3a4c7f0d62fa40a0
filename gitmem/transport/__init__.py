"""Reaching another copy: its heads, what of it we lack, and publishing there. Over git's own protocols.

Knows one repository of ours and one remote; does not know keys, merges, or which branch follows which.
Law: what arrives is checked whole before anything of it is visible; a push is a compare-and-swap, never forced;
every failure is a RemoteError, and nothing that is raised or written down holds a password.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from typing import Protocol

from gitmem.errors import InvalidValueError, RemoteError
from gitmem.objects import Oid
from gitmem.remotes import Remote
from gitmem.remotes.address import BadAddress, parse
from gitmem.repository import Repository
from gitmem.transport.failures import Trouble, telling
from gitmem.transport.limits import Limits

TIMEOUT = 60.0
"""Seconds without any progress after which the other side is given up."""
LONGEST = 1e6
"""Seconds, the most that may be asked for: what systems wait for has its bounds."""
PROGRAMS = ("dulwich", "git")

Credentials = Callable[[str], tuple[str, str] | None]
"""Asked with a URL once its server wants a login: the user and the password, or None."""


class Transport(Protocol):
    """The way to one remote. Not for several threads at once; each call is one exchange or two."""

    def heads(self) -> dict[str, Oid]:
        """Every branch there and its commit; {} if there is none. One exchange."""

    def fetch(self, wants: Collection[Oid]) -> None:
        """Bring these commits, and all they need, into our repository: checked, and whole or not at all.

        What we have already does not travel. Moves none of our refs.
        """

    def push(self, branch: str, expected: Oid | None, new: Oid) -> bool:
        """Move their branch from `expected` (None: there is none yet) to `new`, with all that `new` needs.

        False, and nothing done, if it is elsewhere by now. `new` must descend from `expected`.
        """


def connect(
    repository: Repository,
    remote: Remote,
    *,
    program: str | None = None,
    timeout: float = TIMEOUT,
    credentials: Credentials | None = None,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> Transport:
    """The way to a remote; nothing travels yet. RemoteError if its address is none, InvalidValueError for `timeout`.

    `program` is dulwich or git (the git program does all the talking, with the settings that people made for it);
    None: what `gitmem.transport` in the repository's config says, else dulwich. `credentials` is asked once a server
    wants a login (`credentials.from_git` asks git's helpers); `limits` bound what may arrive.
    """
    chosen = program or repository.config.get("gitmem.transport", PROGRAMS[0])
    if chosen not in PROGRAMS:
        raise RemoteError(
            f"{chosen!r} is no way to reach {remote.name}: it is dulwich or git",
            hint=f"run `git -C {repository.git_dir} config gitmem.transport git`, or unset it",
            remote=remote.name,
            lasting=True,
        )
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST:
        raise InvalidValueError(
            f"timeout {timeout!r} is no number of seconds",
            hint=f"more than 0, at most {LONGEST:.0f}: so long the other side may say nothing",
            pointer="",
            reason="no number of seconds",
        )
    with telling(remote, "reaching"):
        try:
            address = parse(remote.url)
        except BadAddress as error:
            raise Trouble(str(error), error.hint, lasting=True) from None
    if chosen == "git":
        from gitmem.transport.git_program import GitProgram

        return GitProgram(repository, remote, timeout, credentials, limits)
    if address.scheme == "local" and shutil.which("git") is None:
        from gitmem.transport.neighbour import Neighbour

        return Neighbour(repository, remote, limits)
    from gitmem.transport.dulwich_client import Dulwich

    return Dulwich(repository, remote, timeout, credentials, limits)
