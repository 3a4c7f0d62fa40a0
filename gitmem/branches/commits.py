"""Merging commits: what a branch comes to when another history is taken in, decided before anything is written.

Knows merge bases, fast-forwards and the commit that a merge is; does not know who asked for it, nor remotes.
Law: a merge is a pure function of its two parents, whoever makes it: parents sorted by id, signed by gitmem, dated
by the later of them. So two memories that take each other in have one head.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gitmem import trees
from gitmem.branches.draft import Draft
from gitmem.branches.joining import Outcome, Side, join
from gitmem.branches.records import NAMESPACE, Record, bodies
from gitmem.branches.verdicts import Verdicts
from gitmem.editing import edit
from gitmem.objects import Commit, Identity, Oid, Writer, serialize_commit
from gitmem.packing import PackWriter
from gitmem.place import SELF
from gitmem.provenance import compose
from gitmem.trees import KeyId
from gitmem.vault import Vault
from gitmem.writing import PACK_FROM

ALGORITHM = ("Merge-Algorithm", "1")


@dataclass(frozen=True)
class Plan:
    """What taking `theirs` into `ours` comes to: the branch's next commit, and what is new for it.

    `head` is ours (nothing to do), theirs (fast-forward), or a commit of the draft. `outcomes` are those of every key
    that a side changed since their base; `lower` says that ours is the lower side.
    """

    ours: Oid
    theirs: Oid
    head: Oid
    draft: Draft
    outcomes: dict[KeyId, Outcome] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    lower: bool = True

    @property
    def merges(self) -> bool:
        """Whether a commit has to be made."""
        return len(self.draft) > 0

    def write(self, vault: Vault) -> None:
        """Write the objects of the plan, as durably as the memory is; the branch is not moved."""
        if not self.merges:
            return
        durable = vault.repository.durable
        if len(self.outcomes) < PACK_FROM:
            writer: Writer = vault.objects.writer(durable=durable)
        else:
            writer = PackWriter(str(vault.repository.git_dir), durable=durable)
        try:
            self.draft.write(writer)
            writer.finish()
        finally:
            if isinstance(writer, PackWriter):
                writer.abort()


def plan(vault: Vault, ours: Oid, theirs: Oid) -> Plan:
    """What becomes of `ours` when `theirs` is taken in. What `vault.snapshot` raises if theirs is no memory's."""
    vault.snapshot(theirs)
    index = vault.index
    for head in (ours, theirs):
        index.catch_up(head)
    draft = Draft()
    if ours == theirs or index.is_ancestor(theirs, ours):
        return Plan(ours, theirs, ours, draft, _outcomes(vault, theirs, ours))
    with draft.readable(vault.objects):
        if index.is_ancestor(ours, theirs):
            return _forward(vault, draft, ours, theirs)
        low, high = sorted((ours, theirs))
        scratch = Draft()  # what merged bases are made of is not kept
        with scratch.readable(vault.objects):
            bases = index.merge_bases(low, high)
            side = _Bases(vault, scratch).fold(bases) if bases else None
            joined = join(vault, draft, side, _side(vault, low), _side(vault, high))
        commit = _commit(vault, draft, joined.root, low, high)
    return Plan(ours, theirs, commit.oid, draft, joined.outcomes, joined.records, ours == low)


def _forward(vault: Vault, draft: Draft, ours: Oid, theirs: Oid) -> Plan:
    """Theirs comes after ours: it is the next head, with a commit on top if values came that need a person."""
    after = vault.objects.commit(theirs)
    outcomes = {key: one._replace(low=one.high, high=one.low) for key, one in _outcomes(vault, ours, theirs).items()}
    policy = vault.policy(after.tree)
    verdicts = Verdicts(vault, [ours], [theirs])
    found = [
        verdicts.of_value(key, one.result, 1, policy.max_value_bytes, policy)
        for key, one in sorted(outcomes.items())
        if one.result is not None and key[0] != NAMESPACE
    ]
    records = {record.id: record for record in found if record is not None}
    if not records:
        return Plan(ours, theirs, theirs, draft, outcomes)
    written = bodies(records, policy.max_value_bytes).items()
    values = {(NAMESPACE, id): draft.add("blob", body) for id, body in written}
    root = edit(vault.objects, draft, after.tree, values)
    message = compose(f"record what needs a person in {theirs.hex()}", [ALGORITHM])
    head = _signed(vault, draft, root, (theirs,), after.committer.time, message)
    return Plan(ours, theirs, head.oid, draft, outcomes, records)


def _outcomes(vault: Vault, before: Oid, after: Oid) -> dict[KeyId, Outcome]:
    """What one line of history did: its end is the lower side and the result."""
    roots = (vault.objects.commit(oid).tree for oid in (before, after))
    return {
        key: Outcome(old, new, old, new, "taken") for key, (old, new) in trees.changed(vault.objects, *roots).items()
    }


def _side(vault: Vault, head: Oid) -> Side:
    return Side(vault.objects.commit(head).tree, (head,))


class _Bases:
    """Several merge bases become one, by the same procedure, as git's recursive strategy does."""

    def __init__(self, vault: Vault, draft: Draft) -> None:
        self._vault, self._draft = vault, draft
        self._known: dict[tuple[Oid, ...], Side] = {}

    def fold(self, bases: list[Oid]) -> Side:
        """One side for these commits, folded in the order of their ids; however deep merges cross each other."""
        waiting = [tuple(bases)]
        while waiting:
            names = waiting[-1]
            if names in self._known:
                waiting.pop()
                continue
            below = [tuple(self._bases_of(names[:count], names[count])) for count in range(1, len(names))]
            missing = [one for one in below if one and one not in self._known]
            if missing:
                waiting += missing
            else:
                self._known[names] = self._folded(names, [self._known.get(one) for one in below])
        return self._known[tuple(bases)]

    def _folded(self, names: tuple[Oid, ...], below: list[Side | None]) -> Side:
        """These commits as one side; `below` are the bases of each merge on the way."""
        merged = _side(self._vault, names[0])
        for oid, base in zip(names[1:], below, strict=True):
            joined = join(self._vault, self._draft, base, merged, _side(self._vault, oid))
            merged = Side(joined.root, (*merged.heads, oid))
        return merged

    def _bases_of(self, heads: tuple[Oid, ...], oid: Oid) -> list[Oid]:
        """The best common ancestors of a merged base and one more commit."""
        index = self._vault.index
        found = sorted({base for head in heads for base in index.merge_bases(head, oid)})
        return [
            one for one in found if not any(other != one and index.is_ancestor(one, other) for other in found)
        ]


def _commit(vault: Vault, draft: Draft, root: Oid, low: Oid, high: Oid) -> Commit:
    time = max(vault.objects.commit(parent).committer.time for parent in (low, high))
    message = compose(f"merge {low.hex()} {high.hex()}", [ALGORITHM])
    return _signed(vault, draft, root, (low, high), time, message)


def _signed(
    vault: Vault, draft: Draft, root: Oid, parents: tuple[Oid, ...], time: int, message: str
) -> Commit:
    who = Identity(SELF, f"{SELF}@gitmem", time, 0)
    oid = draft.add("commit", serialize_commit(root, parents, who, who, message))
    return Commit(oid, root, parents, who, who, message)


__all__ = ["Plan", "plan"]
