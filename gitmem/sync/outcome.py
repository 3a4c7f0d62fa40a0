"""What meeting a remote came to, counted while the rounds go on and told at the end.

Knows results of merges; does not know how they came about. Law: of several results of one key the weightiest is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gitmem.branches import KeyResult, Merge, Record
from gitmem.trees import KeyId

_RANK = {result: place for place, result in enumerate(("unchanged", "updated", "deleted", "new", "merged", "conflict"))}


@dataclass(frozen=True, slots=True)
class Sync:
    """What meeting a remote came to.

    `before` and `revision` are this branch's head before and after, `before` is empty for a branch that was not here;
    `sent` says that commits went there, `received` that commits came. `keys` are sorted, with their result here: new,
    updated, deleted, merged, conflict, or unchanged (this side alone had changed it, and sent it). `conflicts` are
    what was recorded.
    """

    remote: str
    branch: str
    before: str
    revision: str
    sent: bool
    received: bool
    keys: tuple[KeyResult, ...]
    conflicts: tuple[Record, ...]

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "remote": self.remote,
            "branch": self.branch,
            "before": self.before,
            "revision": self.revision,
            "sent": self.sent,
            "received": self.received,
            "keys": [one.to_json() for one in self.keys],
            "conflicts": [{"id": one.id, **one.to_json()} for one in self.conflicts],
        }


@dataclass
class Tally:
    """What the rounds of one sync came to together."""

    keys: dict[KeyId, str] = field(default_factory=dict)
    conflicts: dict[str, Record] = field(default_factory=dict)
    sent: bool = False
    received: bool = False

    def count(self, merge: Merge) -> None:
        """Add what one merge did."""
        for one in merge.keys:
            key = (one.namespace, one.key)
            self.keys[key] = max(one.result, self.keys.get(key, one.result), key=_RANK.__getitem__)
        self.conflicts.update((one.id, one) for one in merge.conflicts)

    def came(self, keys: Iterable[KeyId]) -> None:
        """Add what a branch that was not here came with."""
        self.keys.update(dict.fromkeys(keys, "new"))

    def told(self, remote: str, branch: str, before: str, revision: str) -> Sync:
        """All of it, sorted."""
        keys = tuple(KeyResult(*key, result) for key, result in sorted(self.keys.items()))
        records = tuple(record for _, record in sorted(self.conflicts.items()))
        return Sync(remote, branch, before, revision, self.sent, self.received, keys, records)
