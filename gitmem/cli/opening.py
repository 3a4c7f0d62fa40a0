"""Opening the memory that a command speaks of, for a command that reads or for one that writes.

Knows the environment and git's identity; does not know what is read or written.
Law: a command that reads creates nothing; a command that writes creates a memory where there is none, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gitmem.keys import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from datetime import timedelta

    from gitmem.cli.command import Place
    from gitmem.memory import Memory
    from gitmem.reader import Reader


MAIN = "main"


class Person(NamedTuple):
    """Who sits at this command line: the agent's name, and the committer's name and email."""

    agent: str
    committer: tuple[str, str] | None


def reading(place: Place) -> Memory:
    """The memory, to read from. NotAMemoryError if there is none."""
    from gitmem.memory import Memory

    branch = place.branch or MAIN
    memory = Memory.open(place.store, namespace=place.namespace or DEFAULT_NAMESPACE, branch=branch, create=False)
    session = place.session or memory.active_session
    if session is None:
        return memory
    audited = memory.vault.policy(memory.vault.recent(branch).root).audit_reads
    return memory.bind(session=session, agent=_agent(place) if audited else None)


def glance(place: Place) -> Reader:
    """What lies in the memory now: for a retrieve, which must not wait for the import of the verbs that write."""
    from datetime import UTC, datetime

    from gitmem.place import locate
    from gitmem.reader import Reader
    from gitmem.repository import Repository
    from gitmem.vault import Vault

    vault = Vault(Repository(locate(place.store)), clock=lambda: datetime.now(UTC), committer=None)
    reader = Reader(vault, vault.head(place.branch or MAIN), now=vault.clock)
    if vault.policy(reader.snapshot.root).audit_reads:
        _audit(reader, place)
    return reader


def session_named(memory: Memory, text: str, *, is_known: Callable[[str], bool] = lambda _: False) -> str:
    """The session that a person means, named in whichever way `gitmem session` takes it.

    `is_known` tells of sessions that no commit may name: those by their whole name. UnknownRevisionError if it fits
    none, or several.
    """
    from gitmem.recipes.session import Sessions

    return text if is_known(text) else Sessions(memory).named(text)


def _audit(reader: Reader, place: Place) -> None:
    """Let what is read under a session be noted."""
    from gitmem.provenance import check_name
    from gitmem.receipts.noting import recorder

    session = place.session or reader.vault.repository.active_session()
    if session is not None:
        agent, session = check_name(_agent(place), kind="agent"), check_name(session, kind="session")
        branch = place.branch or MAIN
        reader.witness = recorder(reader.vault, reader.snapshot.oid, agent, session, branch=branch)


def writing(place: Place, *, create: bool = True, signs: bool = True) -> Memory:
    """The memory, to write to; created, with a word on stderr, where there is none, unless `create` is false.

    `signs` is false for a command of which nothing will belong to the active session.
    """
    from gitmem import place as places
    from gitmem.cli.output import note
    from gitmem.memory import Memory

    where = places.locate(place.store)
    missing = not places.exists(where)
    person = who(place)
    memory = Memory.open(
        where.path,
        agent=person.agent,
        namespace=place.namespace or DEFAULT_NAMESPACE,
        branch=place.branch or MAIN,
        committer=person.committer,
        create=create,
    )
    if missing:
        note(f"created a memory at {memory.path}")
    bound = memory.bind(session=place.session or memory.active_session)
    if signs and place.session is None and bound.session is not None:
        _tell_forgotten(bound, bound.session)
    return bound


def _tell_forgotten(memory: Memory, session: str) -> None:
    """A word on stderr if nobody wrote under the active session for so long that it counts as abandoned.

    The history is asked only if it became active that long ago: a store has no time for it.
    """
    from contextlib import suppress
    from datetime import timedelta

    from gitmem.errors import GitmemError

    with suppress(GitmemError):  # a damaged gitmem.toml, or no such branch: the command says so, or mends it
        now, late = memory.clock(), timedelta(seconds=memory.policy.abandoned_after)
        since = memory.active_since
        if since is None or now - since <= late:
            return
        last = next(memory.iter_log(session=session), None)
        if last is not None and now - last.time > late:
            _say_forgotten(session, now - last.time)


def _say_forgotten(session: str, since: timedelta) -> None:
    from gitmem.cli.output import hint, line
    from gitmem.cli.session_show import lasting

    ago = lasting(int(since.total_seconds()), units=1)
    hint(f"nobody wrote under the active session {line(session)} for {ago}, and what is written now belongs to it: "
         "`gitmem session leave` lets none be active")  # fmt: skip


def who(place: Place) -> Person:
    """The agent: --agent, else git's user.name, else the login. The committer: git's identity, if there is one."""
    from gitmem.identity import git_identity, legal_name

    name, email = os.environ.get("GIT_COMMITTER_NAME"), os.environ.get("GIT_COMMITTER_EMAIL")
    known_name, known_email = (None, None) if name and email and place.agent else git_identity(_git_settings())
    name, email = legal_name(name or known_name or ""), legal_name(email or known_email or "")
    committer = (name or email.partition("@")[0], email or f"{name}@gitmem") if name or email else None
    return Person(place.agent or legal_name(known_name or "") or legal_name(_login()) or "unknown", committer)


def _agent(place: Place) -> str:
    return place.agent or who(place).agent


def _git_settings() -> list[Path]:
    """The files in which git looks for its settings, the most general first."""
    from gitmem.place import project_root

    environment = os.environ
    files = []
    if system := environment.get("GIT_CONFIG_SYSTEM"):
        files.append(Path(system))
    elif not environment.get("GIT_CONFIG_NOSYSTEM"):
        files.append(Path("/etc/gitconfig"))
    if (user := environment.get("GIT_CONFIG_GLOBAL")) is not None:
        files.append(Path(user))
    else:
        home = Path(os.path.expanduser("~"))
        files += [Path(environment.get("XDG_CONFIG_HOME") or home / ".config", "git", "config"), home / ".gitconfig"]
    return [*files, project_root(Path.cwd()) / ".git" / "config"]


def _login() -> str:
    from getpass import getuser

    try:
        return getuser()
    except (OSError, KeyError, ImportError):
        return ""
