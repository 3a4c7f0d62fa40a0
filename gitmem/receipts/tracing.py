"""Where a version went: who was told it, and what they wrote afterwards.

Knows receipts and commits; does not know whether what was written has anything to do with what was read.
Law: "afterwards" is told by the history, not by clocks: what was not yet in the branch when the version was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitmem import history
from gitmem.entries import CommitRecord, Version, format_time
from gitmem.errors import StorageError
from gitmem.receipts.reading import Receipt, receipts

if TYPE_CHECKING:
    from gitmem.objects import Oid
    from gitmem.reader import Reader

_BRANCHES = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Reading:
    """An agent that was told the version under a session: when first, and what it wrote there since, oldest first."""

    agent: str
    session: str
    time: datetime
    commits: tuple[CommitRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """As `gitmem trace KEY@VERSION --json` prints it."""
        return {
            "agent": self.agent,
            "session": self.session,
            "time": format_time(self.time),
            "commits": [one.to_json() for one in self.commits],
        }


@dataclass(frozen=True, slots=True)
class Trace:
    """A version and those who were told it, in the order in which they first were."""

    version: Version
    readers: tuple[Reading, ...]

    def to_json(self) -> dict[str, Any]:
        """As `gitmem trace KEY@VERSION --json` prints it."""
        return {"version": self.version.to_json(), "readers": [one.to_json() for one in self.readers]}


def trace(reader: Reader, version: Version) -> Trace:
    """Who was told this version on this machine, and what each wrote afterwards in that session, on any branch."""
    first: dict[tuple[str, str], Receipt] = {}
    for one in receipts(reader.vault, session=None, agent=None, key=version.key, namespace=version.namespace):
        if one.revision == version.revision:
            first.setdefault((one.agent, one.session), one)
    found = (Reading(one.agent, one.session, one.time, tuple(_since(reader, one))) for one in first.values())
    return Trace(version, tuple(found))


def _since(reader: Reader, receipt: Receipt) -> list[CommitRecord]:
    """What the agent of a receipt wrote in its session since then, oldest first."""
    refs = reader.vault.repository.refs.all()
    heads = sorted({oid for name, oid in refs.items() if name.startswith(_BRANCHES)})
    written = dict.fromkeys(oid for head in heads for oid in _written(reader, head, receipt))
    oldest_first = [history.record(reader, oid) for oid in written][::-1]
    oldest_first.sort(key=lambda one: one.time)
    return oldest_first


def _written(reader: Reader, head: Oid, receipt: Receipt) -> list[Oid]:
    """The same up to one head, newest first; nothing where the history of that time is gone."""
    index, since = reader.vault.index, bytes.fromhex(receipt.head)
    try:
        return list(index.log(head, session=receipt.session, agent=receipt.agent, since=since))
    except StorageError:
        return []
