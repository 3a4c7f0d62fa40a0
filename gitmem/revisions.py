"""Naming the past: a text, an entry or a number to a commit, or to a key's token.

Knows the order of resolving: full id, ref, session, time, id prefix; `~N` and `^` go back by first parents.
Law: what is ambiguous is refused with the candidates, never guessed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from gitmem.entries import ABSENT, Entry, format_time, moment
from gitmem.errors import InvalidValueError, UnknownRevisionError, typed
from gitmem.objects import CorruptObjectError, MissingObjectError, Oid, TooBig
from gitmem.place import ROOT_COMMIT
from gitmem.provenance import sessions_like
from gitmem.reader import Reader
from gitmem.refs import is_name
from gitmem.vault import Snapshot, Vault

_FULL, _PREFIX = re.compile(r"[0-9a-f]{40}\Z"), re.compile(r"[0-9a-f]{4,39}\Z")
_BACK = re.compile(r"(.+?)((?:~\d{0,9}|\^)+)\Z", re.DOTALL)
_STEP = re.compile(r"~(\d*)|\^")
_TOLD, _LOOKED_AT = 3, 1000
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def resolve(vault: Vault, head: Snapshot, text: str) -> Oid:
    """The commit that `text` names as seen from `head`; UnknownRevisionError if none or several."""
    if not isinstance(text, str) or not text or (not text.isascii() and _SURROGATE.search(text)):
        raise unknown(text, "a revision is text: an id, a branch or tag, a session, or a time")
    found = _named(vault, head, text)
    if found is None and (back := _BACK.match(text)):
        start = _named(vault, head, back[1])
        found = None if start is None else _ancestor(vault, start, back[2], text)
    if found is None:
        known = "`gitmem log` shows the revisions; a session, a tag or a time will do too"
        raise unknown(text, _sessions_meant(vault, head, text) or known)
    return found


def _sessions_meant(vault: Vault, head: Snapshot, text: str) -> str:
    """The hint for a text that is a part of sessions' names, or a misspelled one; empty if it is none."""
    from difflib import get_close_matches

    back = _BACK.match(text)
    part, steps = (back[1], back[2]) if back else (text, "")
    rows = sorted(vault.indexed(head).sessions(head.oid), key=lambda row: (row.written, row.last), reverse=True)
    names = [row.session for row in rows]
    meant = sessions_like(part, names) or get_close_matches(part, names[:_LOOKED_AT], n=1, cutoff=0.7)
    found = [typed(name) + steps for name in meant]
    more = f" (and {len(found) - _TOLD} more fit)" if len(found) > _TOLD else ""
    return f"did you mean {' or '.join(found[:_TOLD])}?{more}" if found else ""


def resolve_written(vault: Vault, head: Snapshot, text: str) -> Oid:
    """As `resolve`, but a time before the first write is refused: whoever brings that state back means another time."""
    found = resolve(vault, head, text)
    if found == ROOT_COMMIT and parse_time(text) is not None:
        raise _too_early(vault, head, text)
    return found


def _named(vault: Vault, head: Snapshot, text: str) -> Oid | None:
    if _FULL.match(text):
        return _full(vault, text)
    return _ref(vault, head, text) or _session(vault, head, text) or _time(vault, head, text) or _prefix(
        vault, head, text
    )


def _full(vault: Vault, text: str) -> Oid | None:
    oid = bytes.fromhex(text)
    try:
        return vault.objects.commit(oid).oid
    except MissingObjectError:
        return None
    except CorruptObjectError:
        return _peeled(vault, oid)


def _ref(vault: Vault, head: Snapshot, text: str) -> Oid | None:
    if text in ("HEAD", "head"):
        return head.oid
    for pattern in ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/gitmem/remotes/{}"):
        name = pattern.format(text)
        if name.startswith("refs/") and is_name(name):
            oid = vault.repository.refs.read(name)
            if oid is not None:
                return _peeled(vault, oid)
    return None


def _peeled(vault: Vault, oid: Oid) -> Oid | None:
    """The commit itself, or the one behind an annotated tag; None if there is something else."""
    try:
        kind, body = vault.objects.read(oid, limit=1 << 24)
        while kind == "tag":
            oid = bytes.fromhex(body[7:47].decode("ascii"))
            kind, body = vault.objects.read(oid, limit=1 << 24)
    except TooBig:
        return None
    return vault.objects.commit(oid).oid if kind == "commit" else None


def _session(vault: Vault, head: Snapshot, text: str) -> Oid | None:
    return vault.indexed(head).session_head(head.oid, text)


def is_session(vault: Vault, head: Snapshot, text: str) -> bool:
    """Whether a text names a session and nothing that comes before sessions: neither a full id nor a ref."""
    if not text or _SURROGATE.search(text) or _FULL.match(text) or _ref(vault, head, text) is not None:
        return False
    return _session(vault, head, text) is not None


def parse_time(text: str) -> datetime | None:
    """ISO 8601 to an aware datetime, UTC where it names no zone; None if it is no time. Needs a full date."""
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _time(vault: Vault, head: Snapshot, text: str) -> Oid | None:
    time = parse_time(text)
    if time is None:
        return None
    found = vault.indexed(head).at_time(head.oid, int(time.timestamp()))
    if found is None:
        raise _too_early(vault, head, text)
    return found


def _too_early(vault: Vault, head: Snapshot, text: str) -> UnknownRevisionError:
    begins = vault.indexed(head).begins(head.oid)
    when = "nothing was written yet" if begins is None else f"its first commit is of {format_time(moment(begins))}"
    return unknown(text, f"the history begins later: {when}")


def _prefix(vault: Vault, head: Snapshot, text: str) -> Oid | None:
    if not _PREFIX.match(text):
        return None
    found = vault.indexed(head).with_prefix(head.oid, text)
    if len(found) > 1:
        raise ambiguous(text, found)
    return found[0] if found else None


def _ancestor(vault: Vault, start: Oid, steps: str, text: str) -> Oid:
    count = sum(1 if step[1] is None or step[1] == "" else int(step[1]) for step in _STEP.finditer(steps))
    for _ in range(count):
        parents = vault.objects.commit(start).parents
        if not parents:
            raise unknown(text, "the history does not go back that far")
        start = parents[0]
    return start


def expected_token(reader: Reader, namespace: str, key: str, expect: Any) -> str | None:
    """What `expect=` means for a key: the revision of the token that must still be its last, or None for absent.

    Takes an Entry, a Version, a revision, an integer version, or ABSENT. UnknownRevisionError if it names nothing.
    """
    if expect is ABSENT:
        return None
    if isinstance(expect, Entry):
        check_same_key(expect, namespace, key, "expect=")
        return expect.revision
    index = reader.vault.indexed(reader.snapshot)
    if isinstance(expect, int) and not isinstance(expect, bool):
        rows = index.by_number(reader.snapshot.oid, namespace, key, expect)
        if len(rows) > 1:
            raise ambiguous(str(expect), [row.revision for row in rows])
        return rows[0].revision.hex() if rows else f"version {expect}"
    oid = resolve(reader.vault, reader.snapshot, expect)
    index.catch_up(oid)
    row = index.token(oid, namespace, key)
    return None if row is None else row.revision.hex()


def check_same_key(entry: Entry, namespace: str, key: str, argument: str) -> None:
    """InvalidValueError unless the entry that was passed as `argument` is one of this key."""
    if (entry.namespace, entry.key) != (namespace, key):
        raise InvalidValueError(
            f"the entry that {argument} names for key {key!r} is one of key {entry.key!r} in {entry.namespace!r}",
            hint=f"{argument} is about the key that is written; guard= tests other keys",
            pointer="",
            reason="an entry of another key",
        )


def ambiguous(text: str, found: list[Oid]) -> UnknownRevisionError:
    """The error for a name that fits several commits, which it lists."""
    names = ", ".join(oid.hex()[:12] for oid in found[:10])
    return UnknownRevisionError(
        f"{text!r} is ambiguous: it names {names}", hint="give more digits, or a full id", revision=text
    )


def unknown(text: Any, hint: str) -> UnknownRevisionError:
    """The error for a name that fits nothing."""
    return UnknownRevisionError(f"there is no revision {text!r}", hint=hint, revision=str(text))
