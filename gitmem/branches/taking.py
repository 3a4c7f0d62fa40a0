"""Taking another history into a branch: the plan carried out, and told key by key from the branch's side.

Knows plans and the write path's loop; does not know how a merge comes about.
Law: what is told is what was published; a plan for a head that has moved is made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitmem.branches.commits import Plan, plan
from gitmem.branches.joining import Outcome
from gitmem.branches.records import NAMESPACE, Record
from gitmem.objects import Oid
from gitmem.upkeep import after_write
from gitmem.vault import Vault
from gitmem.writing import WritePath


@dataclass(frozen=True, slots=True)
class KeyResult:
    """What a merge did to one key here; `unchanged` where only this side had changed it since the two parted."""

    namespace: str
    key: str
    result: str

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {"namespace": self.namespace, "key": self.key, "result": self.result}


@dataclass(frozen=True, slots=True)
class Merge:
    """What taking in another history came to.

    `revision` is the branch's head afterwards, `before` the one it had; `merged` says that a merge commit was made
    (else it was a fast-forward, or there was nothing to do). `keys` are sorted; `conflicts` are what was recorded.
    """

    before: str
    revision: str
    merged: bool
    keys: tuple[KeyResult, ...]
    conflicts: tuple[Record, ...]

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "before": self.before,
            "revision": self.revision,
            "merged": self.merged,
            "keys": [one.to_json() for one in self.keys],
            "conflicts": [{"id": one.id, **one.to_json()} for one in self.conflicts],
        }


def told(plan: Plan) -> Merge:
    """A plan as its branch sees it."""
    keys = sorted((key, _result(one, plan.lower)) for key, one in plan.outcomes.items() if key[0] != NAMESPACE)
    return Merge(
        plan.ours.hex(),
        plan.head.hex(),
        plan.merges,
        tuple(KeyResult(*key, result) for key, result in keys),
        tuple(record for _, record in sorted(plan.records.items())),
    )


def _result(one: Outcome, lower: bool) -> str:
    mine = one.low if lower else one.high
    if one.how != "taken":
        return one.how
    if mine == one.result:
        return "unchanged"
    return "new" if mine is None else "deleted" if one.result is None else "updated"


def take_in(vault: Vault, path: WritePath, theirs: Oid, *, prepared: Plan | None = None) -> Plan:
    """Merge a commit into the path's branch and publish it; `prepared` stands if the branch has not moved.

    Raises what reading `theirs` raises, and ContentionError when the race was lost for a minute.
    """
    repository = vault.repository
    first = prepared or plan(vault, repository.head(path.branch), theirs)

    def attempt() -> Plan | None:
        head = repository.head(path.branch)
        vault.notice(path.branch, vault.snapshot(head))
        made = first if first.ours == head else plan(vault, head, theirs)
        if made.head == head:
            return made
        made.write(vault)
        return made if repository.publish(path.branch, head, made.head) else None

    done = path.until_published(attempt)
    if done.head != done.ours:
        vault.index.catch_up(done.head)
        after_write(repository)
    return done
