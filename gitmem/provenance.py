"""Who wrote, in which session and why: commit messages in, commit messages out.

Knows git's form of trailers. Does not know what a commit changed: keys are never read out of messages.

Law: `parse(compose(subject, trailers))` gives back the subject and the trailers, whatever text a caller
chose, and git's own reading of the message agrees. Hence no caller's text can forge a trailer or a header:
text that could (control characters, angle brackets in names) is refused, the subject is one line, git never
takes the title for trailers, and one trailer of ours always follows it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from gitmem.errors import InvalidValueError
from gitmem.keys import COORDINATION

DEFAULT_AGENT = "unknown"
AGENT = "Agent"
SESSION = "Session"
UNDOES = "Undoes"
UNDO_KEYS = "Undo-Keys"
UNDO_NAMESPACE = "Undo-Namespace"
MAX_NAME_BYTES = 255
MAX_MESSAGE_BYTES = 64 << 10
"""Whoever reads the history reads every message: a commit must not become as big as a value may be."""

LAST = "last"
"""Stands for the session that was written last."""
MOST_SLUG = 60

_GAP = re.compile(r"[^a-z0-9]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BRACKET = re.compile(r"[<>]")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_TRAILER = re.compile(r"([A-Za-z0-9-]+)[ \t]*:(.*)", re.DOTALL)
_SCISSORS = (
    " ------------------------ >8 ------------------------"  # after a comment sign, git reads no further
)
_BLANKS = " \t\r"  # what git takes for a blank; Unicode knows more


class Stamp(NamedTuple):
    """Who writes, and in which session."""

    agent: str
    session: str | None


def check_name(name: object, *, kind: str) -> str:
    """`name` itself, if it can name an agent or a session (`kind`); InvalidValueError otherwise."""
    text = _one_line(name, kind)
    if text != text.strip():
        raise _refusal(kind, text, "it begins or ends with white space")
    if found := _BRACKET.search(text):
        raise _refusal(kind, text, f"it contains {found[0]}")
    if len(text.encode()) > MAX_NAME_BYTES:
        raise _refusal(kind, text, f"it is longer than {MAX_NAME_BYTES} bytes of UTF-8")
    return text


def check_message(text: object) -> str:
    """`text` itself, if it can be a commit's subject: one line, not blank, not endless; else InvalidValueError."""
    subject = _one_line(text, "message")
    if subject.endswith(_SCISSORS):
        raise _refusal("message", subject, "git cuts a message off at this line")
    if len(subject.encode()) > MAX_MESSAGE_BYTES:
        raise _refusal("message", subject, f"it is longer than {MAX_MESSAGE_BYTES} bytes of UTF-8")
    return subject


def compose(subject: str, trailers: Sequence[tuple[str, str]]) -> str:
    """The commit message; the trailers come in the order given, at least one."""
    if not trailers:
        raise _refusal("message", subject, "it needs at least one trailer")
    lines = [f"{_checked_token(token)}: {_checked_value(token, value)}" for token, value in trailers]
    return "\n".join((check_message(subject), "", *lines, ""))


def parse(message: str) -> tuple[str, dict[str, str]]:
    """The text before the trailers, and the trailers: the last paragraph, if each of its lines is one.

    The title is never a trailer. Of one token the last value counts; folded lines are joined by a space.
    """
    lines = message.split("\n")
    while lines and _is_blank(lines[-1]):
        lines.pop()
    start = len(lines)
    while start and not _is_blank(lines[start - 1]):
        start -= 1
    trailers = _trailers(lines[start:])
    text = "\n".join(lines[:start]).rstrip("\r\n")
    return (text, trailers) if trailers and text.strip(_BLANKS + "\n") else (message.rstrip("\r\n"), {})


def agent_of(message: str, author_name: str) -> str:
    """The agent that a commit names, else its author."""
    return parse(message)[1].get(AGENT) or author_name or DEFAULT_AGENT


def session_of(message: str) -> str | None:
    """The session that a commit names."""
    return parse(message)[1].get(SESSION) or None


def session_folder(session: str) -> str:
    """The beginning of the keys that are a session's own: its account of itself, in the namespace `coordination`."""
    return f"session/{session}/"


def is_own(namespace: str, key: str, session: str | None) -> bool:
    """Whether a key is a session's own; none is where no session is named."""
    return session is not None and namespace == COORDINATION and key.startswith(session_folder(session))


def slug(text: str) -> str:
    """The Latin letters and digits of a text in lower case, joined by hyphens; no more than 60 of them."""
    import unicodedata

    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return _GAP.sub("-", plain).strip("-")[:MOST_SLUG].strip("-")


def sessions_like(text: str, sessions: Collection[str]) -> list[str]:
    """The sessions, of all (that written last first), which a person may mean by a text.

    By a whole name that one alone, and by `last` the first; else by the beginning of a name, or by whole words out of
    it, also as a topic is typed, with spaces.
    """
    if text in sessions:
        return [text]
    if text == LAST:
        return list(sessions)[:1]
    for part in dict.fromkeys((text, slug(text))):
        found = [name for name in sessions if part and (name.startswith(part) or f"-{part}-" in f"-{name}-")]
        if found:
            return found
    return []


def write_digest(verb: str, namespace: str, key: str, request: object) -> str:
    """What a write id stands for: sha256 (hex) of the canonical JSON of [verb, namespace, key, request].

    Printed by json itself, not by `codec`: around a value of the greatest depth lies one container more.
    """
    import hashlib
    import json

    try:
        text = json.dumps(
            [verb, namespace, key, request], ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2
        )
        return hashlib.sha256(text.encode() + b"\n").hexdigest()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValueError(
            f"the request is not JSON: {error}", hint=_hint("value"), pointer="", reason=str(error)
        ) from error


def _trailers(block: Sequence[str]) -> dict[str, str]:
    """The trailers of a paragraph; none at all if one of its lines is something else."""
    trailers: dict[str, str] = {}
    last = None
    for line in block:
        if line[0] in _BLANKS and last is not None:
            trailers[last] = f"{trailers[last]} {line.strip(_BLANKS)}".strip(_BLANKS)
        elif found := _TRAILER.fullmatch(line):
            last = found[1]
            trailers[last] = found[2].strip(_BLANKS)
        else:
            return {}
    return trailers


def _is_blank(line: str) -> bool:
    return not line.strip(_BLANKS)


def _checked_token(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise _refusal("trailer", token, "its name is not letters, digits and hyphens")
    return token


def _checked_value(token: str, value: object) -> str:
    text = _one_line(value, f"{token} trailer")
    if text != text.strip():
        raise _refusal(f"{token} trailer", text, "it begins or ends with white space")
    return text


def _one_line(text: object, kind: str) -> str:
    if not isinstance(text, str):
        raise _refusal(kind, "", f"it is {type(text).__name__}, not text")
    if not text.strip():
        raise _refusal(kind, text, "it is empty")
    if found := _CONTROL.search(text):
        raise _refusal(kind, text, f"it contains the control character U+{ord(found[0]):04X}")
    if found := _SURROGATE.search(text):
        raise _refusal(kind, text, f"it contains half a surrogate pair, U+{ord(found[0]):04X}")
    return text


def _refusal(kind: str, text: str, reason: str) -> InvalidValueError:
    shown = repr(text) if len(text) <= 60 else f"{text[:60]!r}…"
    return InvalidValueError(f"invalid {kind} {shown}: {reason}", hint=_hint(kind), pointer="", reason=reason)


def _hint(kind: str) -> str:
    if kind == "value":
        return "pass what JSON can say: text, numbers, true, false, null, lists, and objects with text for names"
    if kind in {"agent", "session"}:
        return f"a name is one line of at most {MAX_NAME_BYTES} bytes without < and >, such as backend-dev"
    return "it has to be one line of text, without control characters"
