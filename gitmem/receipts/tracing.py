"""Where a version went: who was told it, and what they wrote afterwards.

Knows receipts and commits; does not know whether what was written has anything to do with what was read.
Law: "afterwards" is told by the history, not by clocks: what was not yet in the branch when the version was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitmem import history
from gitmem.entries import CommitRecord, Version, format_time
from gitmem.errors import StorageError
from gitmem.receipts.reading import Receipt, receipts

if TYPE_CHECKING:
    from gitmem.objects import Oid
    from gitmem.vault import Vault

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


def trace(vault: Vault, version: Version) -> Trace:
    """Who was told this version on this machine, and what each wrote afterwards in that session, on any branch."""
    first: dict[tuple[str, str], Receipt] = {}
    for one in receipts(vault, session=None, agent=None, key=version.key, namespace=version.namespace):
        if one.revision == version.revision:
            first.setdefault((one.agent, one.session), one)
    found = (Reading(one.agent, one.session, one.time, tuple(_since(vault, one))) for one in first.values())
    return Trace(version, tuple(found))


def _since(vault: Vault, receipt: Receipt) -> list[CommitRecord]:
    """What the agent of a receipt wrote in its session since then, oldest first."""
    found: dict[str, CommitRecord] = {}
    for head in _heads(vault):
        for record in _records(vault, head, receipt):
            found.setdefault(record.revision, record)
    oldest_first = list(found.values())[::-1]
    oldest_first.sort(key=lambda one: one.time)
    return oldest_first


def _heads(vault: Vault) -> list[Oid]:
    return sorted({oid for name, oid in vault.repository.refs.all().items() if name.startswith(_BRANCHES)})


def _records(vault: Vault, head: Oid, receipt: Receipt) -> Iterator[CommitRecord]:
    reader = history.reader_at(vault, head)
    since = bytes.fromhex(receipt.head)
    wanted = {"session": receipt.session, "agent": receipt.agent}
    try:
        yield from history.commits(reader, **wanted, since=since, namespace=None, pattern=None)
    except StorageError:
        pass
