"""Fetch and push by the git program: for people whose proxies, keys or agents only it knows how to use.

Knows git's commands and what they print; does not read what lies in a pack.
Law: as with dulwich: a fetch lands in quarantine and is checked again here, a push is a compare-and-swap
(`--force-with-lease` names the expected commit, and only a descendant of it is pushed). Nobody's hooks of ours run.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gitmem.loose import storage_error
from gitmem.objects import Oid
from gitmem.refs import branch_ref
from gitmem.remotes import Remote
from gitmem.remotes.address import local_path, parse
from gitmem.repository import Repository
from gitmem.transport import graph
from gitmem.transport.answers import branches, overtaken, refused
from gitmem.transport.channel import Program
from gitmem.transport.credentials import OWN_LOGIN, lent, settle
from gitmem.transport.failures import Trouble, advice, last_words, telling
from gitmem.transport.launching import git
from gitmem.transport.limits import Limits
from gitmem.transport.quarantine import admit
from gitmem.transport.transit import transit

if TYPE_CHECKING:
    from gitmem.transport import Credentials

_OUTPUT = 64 << 20
_NO_LOGIN = re.compile(r"could not read (Username|Password)|Authentication failed|returned error: 401", re.IGNORECASE)
_UNADVERTISED = re.compile(r"unadvertised object|not our ref|no such remote ref", re.IGNORECASE)
_SPEAKS = re.compile(r"packet: .*< ")
_TRACED = "GIT_TRACE_PACKET=1; export GIT_TRACE_PACKET"
"""git takes any web page, and half an answer, for the list of a repository that is served as files, an empty one:
only its trace tells whether a git server has spoken.
"""
_RESULT = re.compile(r"([ +*=!-])\t[^\t]*:(\S+)\t(?:\[[^\]]*\])?([^\n]*)")
_FETCH = (
    "fetch", "--progress", "--no-write-fetch-head", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance",
    "--no-show-forced-updates", "--refmap=",
)  # fmt: skip
_PUSH = ("push", "--porcelain", "--progress", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")


class _Said(NamedTuple):
    code: int
    output: str
    words: str


class GitProgram:
    """See `gitmem.transport.Transport`."""

    def __init__(
        self, repository: Repository, remote: Remote, timeout: float, credentials: Credentials | None, limits: Limits
    ) -> None:
        self._repository = repository
        self._remote = remote
        self._timeout = timeout
        self._credentials = credentials
        self._limits = limits
        address = parse(remote.url)
        self._web = address.scheme in ("http", "https")
        self._url = remote.url
        if address.scheme == "local":
            self._url = local_path(address.path)
        elif address.password:
            self._url = address.url(user=True)
        self._accepted = False
        self._login = (address.user, address.password) if address.password else None

    def heads(self) -> dict[str, Oid]:
        """Every branch there and its commit; {} if there is none. One exchange."""
        with telling(self._remote, "reading the branches of"):
            said = self._look()
            self._check(said)
            if not said.output and self._web and not _SPEAKS.search(self._look(exports=_TRACED).words):
                raise Trouble("its answer is no list of branches", "try again; is that address a git repository's?")
            lines = (line.partition("\t") for line in said.output.splitlines())
            return branches((name.encode("utf-8", "surrogateescape"), oid.encode()) for oid, _, name in lines)

    def _look(self, *, exports: str = "") -> _Said:
        return self._run(
            "ls-remote", "--heads", "--", self._url, exports=exports, settings=("protocol.version=0",)
        )

    def fetch(self, wants: Collection[Oid]) -> None:
        """Bring these commits and all they need; what is here already does not travel."""
        objects = self._repository.objects
        missing = [oid for oid in dict.fromkeys(wants) if not objects.contains(oid)]
        if not missing:
            return
        with telling(self._remote, "fetching from"), transit(self._repository) as folder:
            exports = self._quarantine(folder)
            said = self._run(*_FETCH, "--", self._url, *(oid.hex() for oid in missing), exports=exports)
            if said.code and _UNADVERTISED.search(said.words):  # their branch has moved on since we looked
                tips = {tip for tip in self.heads().values() if not objects.contains(tip)}
                said = self._run(*_FETCH, "--", self._url, *(oid.hex() for oid in tips), exports=exports)
            arrived = Path(folder, "objects", "pack")
            if said.code and any(path.stat().st_size >= self._limits.all for path in arrived.iterdir()):
                raise Trouble("it sends more than is allowed", "a larger limit can be given where that is meant")
            self._check(said)
            packs = sorted(map(str, arrived.glob("*.pack")))
            admit(self._repository, packs, missing, self._limits)

    def push(self, branch: str, expected: Oid | None, new: Oid) -> bool:
        """Move their branch from `expected` to `new`; False if it is elsewhere by now. Never a force push."""
        ref = branch_ref(branch)
        with telling(self._remote, "pushing to"):
            graph.check_descends(self._repository.objects, new, expected)
            lease = f"--force-with-lease={ref}:{expected.hex() if expected is not None else ''}"
            said = self._run(*_PUSH, lease, "--", self._url, f"{new.hex()}:{ref}")
            for flag, name, reason in _RESULT.findall(said.output):
                if name == ref:
                    reason = reason.strip().removeprefix("(").removesuffix(")")
                    if flag != "!":
                        return True
                    if overtaken(reason):
                        return False
                    raise refused(branch, reason, _remote_words(said.words))
            self._check(said)
            raise Trouble("git did not say what became of the push", "sync again: that finds out")

    def _quarantine(self, folder: str) -> str:
        """Have git write what arrives into `folder`; it sees our objects as another folder's. Shell text."""
        objects = os.path.join(folder, "objects")
        try:
            os.makedirs(os.path.join(objects, "pack"))
            os.mkdir(os.path.join(objects, "info"))
            with open(os.path.join(objects, "info", "alternates"), "w", encoding="utf-8") as file:
                file.write(os.path.join(os.path.abspath(self._repository.git_dir), "objects") + "\n")
        except OSError as error:
            raise storage_error(error, folder) from error
        blocks = (self._limits.all >> 9) + 1  # of 512 bytes, as POSIX has it
        return f"GIT_OBJECT_DIRECTORY={shlex.quote(objects)}; export GIT_OBJECT_DIRECTORY; ulimit -f {blocks} || :"

    def _run(self, *arguments: str, exports: str = "", settings: Sequence[str] = ()) -> _Said:
        """The command; a login is asked for where it is refused without one, and lent to git."""
        said = self._once(arguments, exports, settings)
        if not (self._web and said.code and _NO_LOGIN.search(said.words)):
            self._settle(accepted=not said.code)
            return said
        if self._login is None and self._credentials is not None:
            self._login = self._credentials(self._url)
            if self._login is not None:
                said = self._once(arguments, exports, settings)
        if said.code and _NO_LOGIN.search(said.words):
            if self._login is None:
                raise Trouble("it wants a login", OWN_LOGIN, lasting=True)
            settle(self._url, self._login, accepted=False)
            raise Trouble(f"it refuses the login of user {self._login[0]!r}", OWN_LOGIN, lasting=True)
        self._settle(accepted=not said.code)
        return said

    def _settle(self, *, accepted: bool) -> None:
        """Once a command has gone well with the login, it is right."""
        if self._login is not None and accepted and not self._accepted:
            self._accepted = True
            settle(self._url, self._login, accepted=True)

    def _once(self, arguments: Sequence[str], exports: str, settings: Sequence[str]) -> _Said:
        git_dir = str(self._repository.git_dir)
        silent = f"{exports}; GIT_ASKPASS=; export GIT_ASKPASS" if exports else "GIT_ASKPASS=; export GIT_ASKPASS"
        with lent(self._login) as (given, helper):
            command = git(git_dir, *arguments, exports=silent, settings=(*settings, "credential.helper=", *helper))
            with Program(command, timeout=self._timeout, limit=_OUTPUT, given=given) as program:
                code, output = program.finish()
                words = program.words.decode("utf-8", "replace")
        return _Said(code, output.decode("utf-8", "surrogateescape"), words)

    def _check(self, said: _Said) -> None:
        if said.code:
            if said.code == 127:
                raise Trouble("the program git is not installed")
            words = last_words(said.words) or f"git ended with {said.code}"
            shallow = "shallow" in words.lower()
            raise Trouble(words, "run `git fetch --unshallow` there" if shallow else advice(words))


def _remote_words(words: str) -> str:
    """What the server's hooks said."""
    lines = re.findall(r"^remote: ?(.*)$", words.replace("\r", "\n"), re.MULTILINE)
    return last_words("\n".join(lines))
