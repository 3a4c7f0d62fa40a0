"""The names and addresses of other copies, kept in the repository's own git config, so that plain git knows them.

Knows that config and the refs that follow a remote; does not reach out.
Law: no password is ever written, and everything else in the config stays as it was, byte for byte.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gitmem.errors import RemoteError, StorageError
from gitmem.refs import branch_ref, is_name
from gitmem.remotes.address import BadAddress, has_secret, local_path, parse, shown
from gitmem.remotes.sections import quoted, without_section
from gitmem.repository import Repository

__all__ = ["TRACKING", "Remote", "add", "check_url", "find", "remotes", "remove", "shown", "tracking_ref"]

TRACKING = "refs/gitmem/remotes/"
_SECRET = (
    "leave it out, and let git keep it: `git config --global credential.helper store`; "
    "or give GITMEM_REMOTE_USER and GITMEM_REMOTE_PASSWORD"
)


class Remote(NamedTuple):
    """Another copy: what it is called here, and where it lies."""

    name: str
    url: str


def tracking_ref(name: str, branch: str) -> str:
    """Our ref that follows a remote's branch. UnknownRevisionError for what cannot be a branch."""
    return f"{TRACKING}{name}/{branch_ref(branch).removeprefix('refs/heads/')}"


def remotes(repository: Repository) -> list[Remote]:
    """Every remote that has an address, by name; those that plain git was told of too. StorageError."""
    from dulwich.config import ConfigFile

    path = _config(repository)
    try:
        config = ConfigFile.from_path(str(path))
        found = {}
        for section in config.sections():
            if section[0] == b"remote" and len(section) == 2 and config.has_section(section):
                try:
                    url = config.get(section, b"url")
                except KeyError:
                    continue
                name = section[1].decode("utf-8", "surrogateescape")
                found[name] = Remote(name, url.decode("utf-8", "surrogateescape"))
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} cannot be read: {error}", hint=f"see what `git config -f {path} --list` says", path=str(path)
        ) from None
    return [found[name] for name in sorted(found)]


def find(repository: Repository, name: str | None) -> Remote:
    """The remote of this name; without one `origin`, or the only one. RemoteError if that says nothing."""
    known = {one.name: one for one in remotes(repository)}
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    wanted = "origin" if name is None else name
    if wanted in known:
        return known[wanted]
    raise RemoteError(
        f"there is no remote {wanted!r}" if known or name is not None else "there is no remote",
        hint=f"name one of: {', '.join(known)}" if known else f"add it: `gitmem remote add {wanted or 'origin'} URL`",
        remote=wanted,
        lasting=True,
    )


def add(repository: Repository, name: str, url: str) -> Remote:
    """Write a remote into the repository's config. The same once more is fine; RemoteError for another url."""
    _check_name(name)
    remote = Remote(name, check_url(url, name=name))
    with repository.lock():
        present = {one.name: one.url for one in remotes(repository)}
        if name in present:
            if present[name] == remote.url:
                return remote
            raise RemoteError(
                f"there is a remote {name!r} already: {shown(present[name])}",
                hint=f"take another name, or first `gitmem remote remove {name}`",
                remote=name,
            )
        section = (
            f'[remote "{quoted(name)}"]\n\turl = "{quoted(remote.url)}"\n'
            f'\tfetch = "{quoted(f"+refs/heads/*:{TRACKING}{name}/*")}"\n'
        )

        def appended(content: bytes) -> bytes:
            return content + (b"" if not content or content.endswith(b"\n") else b"\n") + section.encode()

        repository.refs.rewrite("config", appended, locked=repository.locks, durable=repository.durable)
    return remote


def remove(repository: Repository, name: str) -> None:
    """Forget a remote, and the refs that follow it. RemoteError if there is none; objects stay for gc to find."""
    with repository.lock():
        find(repository, name)
        repository.refs.rewrite(
            "config",
            lambda content: without_section(content, "remote", name),
            locked=repository.locks,
            durable=repository.durable,
        )
        for ref, oid in repository.refs.all().items():
            if ref.startswith(f"{TRACKING}{name}/"):
                repository.refs.delete(ref, oid, locked=repository.locks, durable=repository.durable)


def check_url(url: str, *, name: str = "") -> str:
    """The address as it is written down: a local path whole, down to the bare repository of a memory. RemoteError.

    Refused are a password in it, forms that run commands, and what begins with a dash.
    """
    if has_secret(url):
        raise RemoteError(f"a password must not stand in an address: {shown(url)}", hint=_SECRET, remote=name)
    try:
        address = parse(url)
    except BadAddress as error:
        raise RemoteError(f"{shown(url)!r} is no address: {error}", hint=error.hint, remote=name) from None
    if address.scheme == "local" and "://" not in url:
        return local_path(url)
    return url


def _check_name(name: str) -> None:
    if not name or "/" in name or '"' in name or not is_name(name):
        raise RemoteError(
            f"{name!r} cannot be the name of a remote",
            hint="one word will do: origin, upstream, backup",
            remote=name,
        )


def _config(repository: Repository) -> Path:
    return repository.git_dir / "config"
