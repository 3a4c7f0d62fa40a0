"""What went wrong on the way to another copy, told in one line with a next step.

Knows the many kinds of exception that dulwich, urllib3 and the system raise; this is the one place that does.
Law: `telling` lets out RemoteErrors and errors of our own disk, nothing else, and none of them holds a password.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from gitmem.errors import GitmemError, RemoteError
from gitmem.remotes import Remote
from gitmem.remotes.address import shown

_SAY = "see what `git ls-remote URL` says from here"
_CUT = ("the connection was cut", "try again; nothing was changed here")
_MOST_WORDS = 300
_BOILERPLATE = re.compile(r"^(fatal: )?(Could not read from remote|the remote end hung up)", re.IGNORECASE)
_LASTING = re.compile(r"permission denied \(|publickey|host key verification failed", re.IGNORECASE)
_SECRET = re.compile(r"(://[^\s/@:]*):[^\s/@]*@")
_PROGRESS = re.compile(r"\d+% \(\d+/\d+\)|: \d+, done|^(remote: )?Total \d+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

_WORDS = (
    (r"host key verification failed", "connect once by `ssh HOST` to see and accept its key"),
    (r"permission denied \(|publickey", "`ssh HOST` must work without a question: add your key with `ssh-add`"),
    (r"could not resolve|name or service not known|name resolution|getaddrinfo|nodename nor servname",
     "check the host's name, and the network"),
    (r"not installed|exec: .*not found", "install it, or put it where programs are looked for"),
    (r"connection refused|(unable|failed|could not) (to )?connect", "check the port, and that the server runs"),
    (r"dubious ownership", "if you trust that folder: `git config --global --add safe.directory FOLDER`"),
    (r"not (appear to be )?a git repository|repository (\S+ )?not found|no such (file|project)"
     r"|does not exist|not exported",
     "check the address; an empty repository is made there by `git init --bare`"),
    (r"certificate|ssl|tls", "check the server's certificate; git's http.sslCAInfo names your own authority's"),
    (r"proxy", "check git's http.proxy and the variable https_proxy"),
    (r"index-pack|fsck|inflate|unpack",
     "nothing of it was taken; have that copy examined by `git fsck --strict` there"),
    (r"timed out|timeout", "try again; a longer time can be given"),
)  # fmt: skip


class Trouble(Exception):
    """A failure whose reason is known: one line, the next step, and whether waiting alone will never mend it."""

    def __init__(self, reason: str, hint: str = "", *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.hint = hint
        self.lasting = lasting or _LASTING.search(reason) is not None


class Stall(Trouble):
    """The other side said nothing for too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"it said nothing for {seconds:g} seconds", "try again; if it is only slow, allow it more time"
        )


@contextmanager
def telling(remote: Remote, what: str) -> Iterator[None]:
    """Whatever goes wrong inside, while `what` is done, comes out as a RemoteError, or is our own disk's fault."""
    try:
        yield
    except GitmemError:
        raise
    except Exception as error:
        reason, hint = explained(error)
        raise RemoteError(
            f"{what} {remote.name} ({shown(remote.url)}) failed: {one_line(reason)}",
            hint=hint,
            remote=remote.name,
            lasting=isinstance(error, Trouble) and error.lasting,
        ) from None


def one_line(words: str) -> str:
    """A text of somebody else's, fit for a message: one line, no control characters, not too long."""
    plain = _SECRET.sub(r"\1:***@", " ".join(_CONTROL.sub(" ", words).split()))
    return plain if len(plain) <= _MOST_WORDS else plain[: _MOST_WORDS - 1] + "…"


def explained(error: BaseException) -> tuple[str, str]:
    """The reason and the next step for any exception."""
    if isinstance(error, Trouble):
        return str(error), error.hint or advice(str(error))
    name = type(error).__name__
    if isinstance(error, socket.gaierror):
        return "its host was not found", advice("could not resolve")
    if isinstance(error, TimeoutError) or name.endswith("TimeoutError"):
        return "it did not answer in time", advice("timed out")
    if isinstance(error, OSError):
        return (error.strerror or str(error) or name).lower(), advice(str(error))
    if name in ("NewConnectionError", "NameResolutionError", "MaxRetryError", "SSLError", "ProxyError"):
        return _inner(error)
    if name in ("HangupException", "ProtocolError", "IncompleteRead"):
        return _CUT
    if name == "NotGitRepository":
        return "there is no git repository", advice("not a git repository")
    if name in ("GitProtocolError", "SendPackError", "InvalidWants"):
        words = str(error)
        if "does not match length prefix" in words:
            return _CUT
        return words or "it broke the protocol", advice(words)
    return f"its answer makes no sense ({name}: {error})", f"is that address a git repository's? {_SAY}"


def _inner(error: BaseException) -> tuple[str, str]:
    """urllib3 wraps the system's error; the innermost is what a person understands."""
    inner = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    words = str(inner) or str(error)
    if isinstance(inner, OSError) and not isinstance(inner, socket.gaierror) and inner.strerror:
        words = inner.strerror
    if isinstance(inner, socket.gaierror) or type(error).__name__ == "NameResolutionError":
        return "its host was not found", advice("could not resolve")
    return words[:1].lower() + words[1:], advice(f"{type(error).__name__} {words}")


def last_words(said: str) -> str:
    """What a program complained of: its errors where it marks them, else its last lines."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", said) if not _PROGRESS.search(line)]
    marked = [line for line in lines if re.match(r"(fatal|error|remote|ERROR|ssh|kex_\w+): ?\S", line)]
    chosen = [line for line in marked or lines[-3:] if line and not _BOILERPLATE.search(line)]
    return one_line("; ".join(dict.fromkeys(re.sub(r"^(fatal|error|ERROR): ", "", line) for line in chosen[:4])))


def advice(words: str) -> str:
    """The next step for what a server or a program said; never empty."""
    for pattern, hint in _WORDS:
        if re.search(pattern, words, re.IGNORECASE):
            return hint
    return _SAY
