"""Where another copy lies: the forms of address that git knows, taken apart and judged.

Knows texts and whether a local folder exists; does not reach out. Law: what `parse` gives is safe to hand to a
program: no part of it begins with a dash, and no transport runs a command of its own.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from gitmem import place as places

SCHEMES = ("file", "git", "http", "https", "ssh")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_COMMAND = re.compile(r"[A-Za-z0-9]+::")
_REMOTE_SHELL = re.compile(r"(?:([^/@:]+)@)?(\[[^\]/]+\]|[^/:@\[\]]+):(.*)", re.DOTALL)
_MIDDLE = re.compile(r"[^/@]*@[^/@:]+:")
_MISTYPED = re.compile(r"(?is)^((?:https?|ssh|git|ftp):/*)[^@]*(?::|%3a).*@")  # a:12/34@h
_TOKEN = re.compile(r"(gh[a-z]_|github_pat_|glpat-)[\w-]{8}")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_HINT = "a folder, or a URL that begins with https://, ssh://, git:// or file://, or host:path for ssh"


class Address(NamedTuple):
    """One place: `scheme` is local, git, http, https or ssh. `user` and `password` are empty if it has none."""

    scheme: str
    host: str
    port: int | None
    path: str
    user: str = ""
    password: str = ""

    def url(self, *, user: bool = False) -> str:
        """The address without its password, and without its user unless asked. For schemes with hosts."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        login = f"{quote(self.user, safe='')}@" if user and self.user else ""
        return f"{self.scheme}://{login}{host}{port}{self.path}"


class BadAddress(ValueError):
    """Not an address that gitmem goes to: a reason and what to do. Neither ever holds a password."""

    def __init__(self, reason: str, hint: str = _HINT) -> None:
        super().__init__(reason)
        self.hint = hint


def parse(url: str) -> Address:
    """The parts of a URL, of host:path, or of a local path. BadAddress."""
    if not url or url.startswith("-"):
        raise BadAddress("an address may not be empty or begin with a dash")
    if _UNFIT.search(url):
        raise BadAddress("an address may not hold control characters")
    scheme = _SCHEME.match(url)
    if scheme is None:
        return _unschemed(url)
    name = scheme[1].lower()
    if name not in SCHEMES:
        raise BadAddress(f"{name}:// is no way to reach another copy")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadAddress("that is not a well-formed URL") from None
    if name == "file":
        if parts.netloc not in ("", "localhost"):
            raise BadAddress("a file:// URL names a folder of this machine: file:///folder")
        return Address("local", "", None, unquote(parts.path))
    host = parts.hostname or ""
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if name in ("git", "ssh"):
        path = unquote(path)
    return _checked(Address(name, host, port, path, user, password))


def _unschemed(url: str) -> Address:
    """host:path as ssh and git read it, or a path: a colon after the first slash belongs to a path."""
    if _COMMAND.match(url):
        raise BadAddress("git's name::address runs a command to reach another copy; gitmem does not")
    shell = _REMOTE_SHELL.fullmatch(url)
    if shell is None:
        return Address("local", "", None, url)
    user, host, path = shell[1] or "", shell[2].strip("[]"), shell[3]
    if not user and _MIDDLE.match(path):
        raise BadAddress("user:password@host:path is no address: ssh asks for passwords itself")
    return _checked(Address("ssh", host, None, path, user))


def _checked(address: Address) -> Address:
    if not address.host:
        raise BadAddress("the URL names no host")
    if any(part.startswith("-") for part in (address.host, address.user, address.path)):
        raise BadAddress("no part of an address may begin with a dash")
    if any(_UNFIT.search(part) for part in (address.host, address.user, address.path)):
        raise BadAddress("an address may not hold control characters")
    if "%" in address.host and ":" not in address.host:
        raise BadAddress("a host's name may not hold a percent sign")
    if not address.path.strip("/"):
        raise BadAddress("the URL names no repository on its host")
    return address


def has_secret(url: str) -> bool:
    """Whether a password or a forge's token stands in the URL, where every log and config would keep it."""
    return shown(url) != url


def shown(url: str) -> str:
    """The address as a person may see it: a password in it becomes ***, as does a forge's token."""
    try:
        parts = urlsplit(url)
        login, at, rest = parts.netloc.rpartition("@")
        _ = parts.port  # checked when it is asked for
    except ValueError:  # a password with a slash in it, say: better to hide too much
        return re.sub(r"(?s)://.*@", "://***@", url)
    user, colon, _ = login.partition(":")
    if at and (colon or _TOKEN.match(user)):
        hidden = f"{user}:***" if colon else "***"
        return url.replace(f"{login}@{rest}", f"{hidden}@{rest}", 1)
    if _MISTYPED.match(url):
        return _MISTYPED.sub(r"\1***@", url)
    return re.sub(r"^([^/@:]+):[^/@]*@([^/@:]+:)", r"\1:***@\2", url)


def local_path(path: str) -> str:
    """The folder that git opens for a local path: a memory is named by its own folder or the one around it."""
    found = places.place(path)
    return str(found.git_dir if places.exists(found) else os.path.abspath(path))
