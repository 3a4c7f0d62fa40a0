"""The commands about other copies: remote, clone, sync.

Knows what is typed, the login in the environment, and what is printed; meeting a copy is `Memory.sync`'s.
Law: a password is read from the environment or git's helpers, never from a command line, and never printed.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli.branches import CONFLICT, tell_results
from gitmem.cli.command import Place, family, verb
from gitmem.cli.failures import Misused
from gitmem.cli.opening import MAIN, reading, who, writing
from gitmem.cli.output import counted, hint, line, note, short, write, write_json, write_table

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.sync import Sync

_GIT = click.option("--git", "by_git", is_flag=True, help="Let the git program do the talking, with its own settings "
                    "for proxies, ssh and certificates.")  # fmt: skip
_SECONDS = click.FloatRange(min=0, min_open=True)
_TIMEOUT = click.option("--timeout", type=_SECONDS, default=60.0, show_default=True, metavar="S",
                        help="Seconds without progress after which the other side is given up.")  # fmt: skip


@family("remote")
def remote() -> None:
    """Name other copies of this memory.

    A copy lies in any git repository: on a server by https or ssh, or in a folder.
    """


@remote.verb("add")
@click.argument("name")
@click.argument("url")
def add(place: Place, as_json: bool, name: str, url: str) -> None:
    """Remember another copy.

    URL is https://…, ssh://…, git://…, host:path, or a folder. No password stands in it: git's credential helpers
    know it, or the variables GITMEM_REMOTE_USER and GITMEM_REMOTE_PASSWORD.
    """
    from gitmem.remotes.address import shown

    added = writing(place, signs=False).add_remote(name, url)
    if as_json:
        write_json({"name": added.name, "url": shown(added.url)})
    else:
        write(f"remote {line(added.name)} is {line(shown(added.url))}")
        hint(f"gitmem sync {line(added.name)}")


@remote.verb("list")
def list_remotes(place: Place, as_json: bool) -> None:
    """List the other copies that this memory knows."""
    from gitmem.remotes.address import shown

    found = [(one.name, shown(one.url)) for one in reading(place).remotes()]
    if as_json:
        write_json([{"name": name, "url": url} for name, url in found])
        return
    if found:
        write_table(found)
    else:
        hint("there is none yet: gitmem remote add origin URL")


@remote.verb("remove")
@click.argument("name")
def remove(place: Place, as_json: bool, name: str) -> None:
    """Forget another copy, and where it was last seen."""
    writing(place, create=False, signs=False).remove_remote(name)
    write_json({"name": name}) if as_json else write(f"forgot remote {line(name)}")


@verb("clone")
@click.argument("url")
@click.argument("path", required=False)
@click.option("--durability", type=click.Choice(["sync", "fast"]), default="sync", help="As for `gitmem init`.")
@_GIT
@_TIMEOUT
def clone(
    place: Place, as_json: bool, url: str, path: str | None, durability: str, by_git: bool, timeout: float
) -> None:
    """Make a memory with what another copy holds.

    PATH is the folder that gets it; without it, a folder of the copy's name. The copy becomes the remote `origin`, so
    `gitmem sync` meets it from then on.
    """
    from gitmem.memory import Memory

    if place.store is not None and "store" in place.typed:
        raise Misused("clone makes a new memory: --store is not for it", hint="gitmem clone URL PATH")
    person = who(place)
    made = Memory.clone(
        url,
        path or _folder(url),
        branch=place.branch or MAIN,
        durability=durability,
        timeout=timeout,
        program="git" if by_git else None,
        credentials=login,
        agent=person.agent,
        committer=person.committer,
    )
    if as_json:
        write_json({"path": str(made.path), "revision": made.snapshot})
    else:
        keys = sum(len(made.list(namespace=name)) for name in made.namespaces())
        write(f"cloned {counted(keys, 'key')} into {line(str(made.path))}, at {short(made.snapshot)}")


def _folder(url: str) -> str:
    """The folder that git would choose: the last part of the address."""
    path = re.sub(r"(/\.gitmem|/\.git)*/*$", "", url)
    name = re.split(r"[/:]", path)[-1].removesuffix(".git")
    if not name:
        raise Misused("the address names no folder", hint="gitmem clone URL PATH")
    return name


@verb("sync")
@click.argument("name", required=False)
@click.option("--watch", type=_SECONDS, metavar="S", help="Go on, every S seconds, until "
              "interrupted or refused; a remote that cannot be reached is tried again.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Fetch, remember where the other side is, show what would become "
              "of each key, and move no branch.")  # fmt: skip
@_GIT
@_TIMEOUT
@click.pass_context
def sync(
    ctx: click.Context,
    place: Place,
    as_json: bool,
    name: str | None,
    watch: float | None,
    dry_run: bool,
    by_git: bool,
    timeout: float,
) -> None:
    """Meet another copy: fetch, merge, push.

    Both copies have one head afterwards; if this one is written to meanwhile, it may be ahead until the next sync.
    NAME is a remote; without it `origin`, or the only one. What both sides changed is merged member by member; what no
    rule settles goes to the later writer, both values are kept (`gitmem conflicts`), and the exit code is 4. A branch
    (--branch) that only the other side has is made here; its further branches are looked at: `gitmem merge
    origin/BRANCH` takes one in. Never a force push.
    """
    from gitmem.errors import ContentionError, RemoteError

    memory = _on_branch(place)
    options: dict[str, Any] = {"timeout": timeout, "program": "git" if by_git else None, "credentials": login}
    if watch is None:
        done = memory.sync(name, dry_run=dry_run, **options)
        _tell(done, as_json, dry_run=dry_run)
        if done.conflicts:
            ctx.exit(CONFLICT)
        return
    import warnings
    from time import sleep

    warnings.simplefilter("default", UserWarning)  # the same one once, not each time
    hint(f"this goes on every {watch:g} s, and tells what it moves; Ctrl-C ends it")
    while True:
        try:
            done = memory.sync(name, dry_run=dry_run, **options)
        except (RemoteError, ContentionError) as error:
            if isinstance(error, RemoteError) and error.lasting:
                raise
            note(f"warning: {error.message}; trying again in {watch:g} s")
            for each in error.hint.splitlines():
                hint(each)
        else:
            if done.sent or done.received:
                _tell(done, as_json, dry_run=dry_run)
        sleep(watch)


def _on_branch(place: Place) -> Memory:
    """The memory; on a branch that is not here where that is named, since the other side may have it."""
    from gitmem.errors import UnknownRevisionError

    try:
        return writing(place, create=False, signs=False)
    except UnknownRevisionError:
        wanted, place.branch = place.branch, None
        if wanted is None:
            raise
        return writing(place, create=False, signs=False).bind(branch=wanted)


def login(url: str) -> tuple[str, str] | None:
    """The login for a server that wants one: the environment's, else what git's credential helpers have."""
    from gitmem.transport.credentials import from_git

    password = os.environ.get("GITMEM_REMOTE_PASSWORD")
    if password:
        return os.environ.get("GITMEM_REMOTE_USER") or "git", password
    return from_git(url)


def _tell(done: Sync, as_json: bool, *, dry_run: bool) -> None:
    if as_json:
        write_json(done.to_json())
        return
    verbs = {(True, True): "sent to and received from", (True, False): "sent to", (False, True): "received from"}
    verb = verbs.get((done.sent, done.received))
    what = f"{'would be ' if dry_run else ''}{verb}" if verb else "nothing to do with"
    tell_results(done.keys, f"{what} {line(done.remote)}, at {short(done.revision)}", unchanged="sent")
    if done.conflicts and not dry_run:
        hint(f"{counted(len(done.conflicts), 'conflict')} left to a person: `gitmem conflicts`, then `gitmem resolve`")
