"""The receipts of this machine, read again.

Knows the lines that `noting` wrote, and the history that says which version each snapshot had.
Law: in the order in which they were noted. A version that was read again at a later snapshot by the process that had
noted it is one receipt. A line that no gitmem wrote whole is left out, and an Unreadable warning counts them.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any, NamedTuple

from gitmem.entries import format_time
from gitmem.errors import StorageError
from gitmem.loose import storage_error
from gitmem.objects import Oid
from gitmem.receipts.noting import FILE, at_once, check_regular
from gitmem.vault import Unreadable

if TYPE_CHECKING:
    from gitmem.index import VersionRow
    from gitmem.vault import Vault

_HALF = re.compile("[\ud800-\udfff]")
_START = b'{"time":'
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """That an agent was told a version of a key, under a session.

    `version` and `revision` are None where the history of that time is gone. `snapshot` is the commit at which it was
    read, `head` where the branch was: another one, if the past was read.
    """

    namespace: str
    key: str
    version: int | None
    revision: str | None
    agent: str
    session: str
    time: datetime
    snapshot: str
    head: str

    def to_json(self) -> dict[str, Any]:
        """As `gitmem trace --json` prints it."""
        return {
            "namespace": self.namespace,
            "key": self.key,
            "version": self.version,
            "revision": self.revision,
            "agent": self.agent,
            "session": self.session,
            "time": format_time(self.time),
            "snapshot": self.snapshot,
        }


class Line(NamedTuple):
    """A line: some keys of a namespace that were read together."""

    time: datetime
    agent: str
    session: str
    snapshot: str
    head: str
    again: str | None
    namespace: str
    keys: list[str]


def receipts(
    vault: Vault, *, session: str | None, agent: str | None, key: str | None, namespace: str | None
) -> Iterator[Receipt]:
    """The receipts, oldest first; None takes any."""
    history = _History(vault)
    wanted = {"session": session, "agent": agent, "namespace": namespace}
    for line in _lines(vault, [text for text in (session, agent, key, namespace) if text is not None]):
        if all(text in (None, getattr(line, name)) for name, text in wanted.items()):
            yield from _told(history, line, line.keys if key is None else [one for one in line.keys if one == key])


def _told(history: _History, line: Line, keys: list[str]) -> Iterator[Receipt]:
    rows = history.versions(line.snapshot, line.namespace, keys)
    before = {} if line.again is None else history.versions(line.again, line.namespace, keys)
    for key in keys:
        row = rows.get(key)
        if row is None or key not in before or before[key].revision != row.revision:
            yield Receipt(
                line.namespace,
                key,
                None if row is None else row.version,
                None if row is None else row.revision.hex(),
                line.agent,
                line.session,
                line.time,
                line.snapshot,
                line.head,
            )


class _History:
    """Which version a key had at a snapshot, kept for a while: lines come in bunches."""

    def __init__(self, vault: Vault) -> None:
        self._index = vault.index
        self._known: dict[tuple[str, str, str], VersionRow | None] = {}

    def versions(self, snapshot: str, namespace: str, keys: list[str]) -> dict[str, VersionRow]:
        """The keys' versions; those that the history does not tell are left out."""
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        asked = [key for key in keys if (snapshot, namespace, key) not in self._known]
        if asked:
            found = self._asked(bytes.fromhex(snapshot), namespace, asked)
            self._known.update({(snapshot, namespace, key): found.get(key) for key in asked})
        rows = ((key, self._known[snapshot, namespace, key]) for key in keys)
        return {key: row for key, row in rows if row is not None}

    def _asked(self, snapshot: Oid, namespace: str, keys: list[str]) -> dict[str, VersionRow]:
        try:
            return self._index.tokens(snapshot, namespace, keys)
        except StorageError:  # this history was rewritten, and the commit is gone
            return {}


# --- lines


def _lines(vault: Vault, words: list[str]) -> Iterator[Line]:
    """The lines that hold all these words somewhere."""
    path = vault.repository.local / FILE
    marks = [quoted(word).encode() for word in words]
    lost = 0
    try:
        with open(path, "rb", opener=at_once) as file:
            check_regular(file.fileno())
            for raw in file:
                if all(mark in raw for mark in marks):
                    line = _parsed(raw)
                    if line is not None:
                        yield line
                    lost += line is None
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(error, str(path)) from error
    if lost:
        lines = "1 line" if lost == 1 else f"{lost} lines"
        warnings.warn(f"{lines} of {path} cannot be read, and were left out", Unreadable, stacklevel=2)


def _parsed(raw: bytes) -> Line | None:
    """A line; where one that was cut off stands before it, the whole one: its beginning can stand in no text."""
    try:
        found = json.loads(raw[max(0, raw.rfind(_START)) :])
        time = _EPOCH + timedelta(microseconds=found["time"])
        head = found.get("head", found["snapshot"])
        again = found.get("again")
        line = Line(
            time, found["agent"], found["session"], found["snapshot"], head, again, found["namespace"], found["keys"]
        )  # fmt: skip
        for oid in (line.snapshot, head, *([] if again is None else [again])):
            if len(bytes.fromhex(oid)) != 20:
                return None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return line if _are_texts([line.agent, line.session, line.namespace]) and _are_texts(line.keys) else None


def _are_texts(found: Iterable[object]) -> bool:
    """Whether it is a list of texts, none with half a character: no key and no name has one, and no output takes it."""
    return isinstance(found, list) and all(isinstance(one, str) and not _HALF.search(one) for one in found)
