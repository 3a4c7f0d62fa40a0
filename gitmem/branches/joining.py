"""Two trees and their base become one tree: key by key, then inside the values.

Knows blobs, expiries, rules, contracts and gitmem.toml; does not know branches, nor which side is ours.
Law: the result follows from the three sides alone. The lower and the higher side differ only in which of them is
edited; swapping them gives the same tree, as far as foreign tools left no directory in another shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from gitmem import trees
from gitmem.branches import foreign, records
from gitmem.branches.deciding import decide
from gitmem.branches.draft import Draft
from gitmem.branches.policies import Settings, merge_policies, policy_of
from gitmem.branches.records import Author, Record, record_id
from gitmem.branches.settled import of_records, settled_elsewhere
from gitmem.branches.verdicts import Verdicts
from gitmem.codec import encode
from gitmem.editing import edit
from gitmem.entries import ABSENT, format_time
from gitmem.errors import CorruptValueError, InvalidValueError
from gitmem.merge import Conflict
from gitmem.objects import Oid, hash_object
from gitmem.policy import PATH, Policy
from gitmem.reconcile import broken_together, later
from gitmem.trees import KeyId
from gitmem.vault import Vault

_UNREADABLE = object()


class Side(NamedTuple):
    """A root tree, and the commits whose history is its past: one, or those that a merged base was folded from."""

    root: Oid
    heads: tuple[Oid, ...]


class Outcome(NamedTuple):
    """A key's blob on three sides and in the result; `how` is taken, merged or conflict."""

    base: Oid | None
    low: Oid | None
    high: Oid | None
    result: Oid | None
    how: str


class Joined(NamedTuple):
    """The merged root, what became of each key that a side changed, and what could not be settled."""

    root: Oid
    outcomes: dict[KeyId, Outcome]
    records: dict[str, Record]


def join(vault: Vault, draft: Draft, base: Side | None, low: Side, high: Side) -> Joined:
    """Merge two sides; new objects go to the draft, which has to be readable meanwhile."""
    return _Join(vault, draft, base, low, high).run()


class _Join:
    def __init__(self, vault: Vault, draft: Draft, base: Side | None, low: Side, high: Side) -> None:
        self._vault, self._draft = vault, draft
        self._base, self._low, self._high = base, low, high
        self._objects = vault.objects
        self._roots = (None if base is None else base.root, low.root, high.root)
        self._areas = tuple(None if root is None else trees.expires_root(self._objects, root) for root in self._roots)
        self._verdicts = Verdicts(vault, low.heads, high.heads)
        self._limit = max(policy_of(vault, root).max_value_bytes for root in (low.root, high.root))
        self._outcomes: dict[KeyId, Outcome] = {}
        self._records: dict[str, Record] = {}
        self._policy: Policy

    def run(self) -> Joined:
        newer = self._verdicts.newer_head()
        settings = merge_policies(self._vault, self._draft, self._roots, high_wins=newer == 1)
        self._policy = settings.policy
        for conflict in settings.conflicts:
            self._record_file(PATH, conflict.pointer, settings.blobs, conflict[1:], newer)
        root = self._assembled(*self._keys(), settings, newer)
        return Joined(root, self._outcomes, self._records)

    def _assembled(
        self, values: dict[KeyId, Oid | None], expiries: dict[KeyId, Oid | None], settings: Settings, newer: int
    ) -> Oid:
        """The lower side's tree, changed to the merged one: files that go, keys, files that come, records."""
        files = foreign.merge_files(self._objects, *self._roots, high_wins=newer == 1)
        for path, *sides in files.conflicts:
            self._record_foreign(path, sides, newer)
        gone = {path: None for path, file in files.edits.items() if file is None}
        root = self._with_files(self._low.root, gone)
        root = self._cleared(root, [key for key, blob in values.items() if blob and not self._outcomes[key].low])
        root = edit(self._objects, self._draft, root, values, expiries)
        come = {path: file for path, file in files.edits.items() if file is not None}
        root = self._with_files(root, come if settings.result == settings.blobs[1] else come | settings.edit)
        if self._records:
            root = self._cleared(root, [(records.NAMESPACE, id) for id in self._records])
            written = records.bodies(self._records, self._policy.max_value_bytes).items()
            kept = {(records.NAMESPACE, id): self._draft.add("blob", body) for id, body in written}
            root = edit(self._objects, self._draft, root, kept)
        return root

    def _with_files(self, root: Oid, edits: Mapping[foreign.Path, foreign.File | None]) -> Oid:
        """The tree with these foreign files; those for which there is no place are told."""
        if not edits:
            return root
        root, left = foreign.edit_files(self._objects, self._draft, root, edits)
        for path in left:
            self._record_foreign(path, (foreign.at(self._objects, self._roots[0], path), None, edits[path]), 0)
        return root

    def _cleared(self, root: Oid, keys: list[KeyId]) -> Oid:
        """The tree without the foreign files that stand where one of these keys has to."""
        found = foreign.in_the_way(self._objects, root, keys)
        for path, file in found.items():
            self._record_foreign(path, (foreign.at(self._objects, self._roots[0], path), file, None), 1)
        return foreign.edit_files(self._objects, self._draft, root, dict.fromkeys(found))[0] if found else root

    # --- keys ---

    def _keys(self) -> tuple[dict[KeyId, Oid | None], dict[KeyId, Oid | None]]:
        """The blobs and the expiries that the lower side's tree has to get."""
        base, low, high = self._roots
        mine = trees.changed(self._objects, base, low)
        theirs = trees.changed(self._objects, base, high)
        lives = [trees.changed(self._objects, self._areas[0], area) for area in self._areas[1:]]
        contested = [
            key
            for key, (_, after) in theirs.items()
            if key in mine and (mine[key][1] != after or self._adds_up(key))
        ]
        self._verdicts.read(contested)
        for key in contested:
            self._outcomes[key] = self._contested(key, (mine[key][0], mine[key][1], theirs[key][1]))
        for key, (before, after) in mine.items():
            if key not in self._outcomes:
                self._outcomes[key] = Outcome(before, after, theirs.get(key, (before, before))[1], after, "taken")
        for key, (before, after) in theirs.items():
            if key not in self._outcomes:
                self._outcomes[key] = Outcome(before, before, after, after, "taken")
        expiries = self._expiries({*lives[0], *lives[1]}.union(self._with_expiry(self._outcomes)))
        self._leave_settled()
        values = {key: one.result for key, one in self._outcomes.items() if one.result != one.low}
        self._judge(one for one in self._outcomes if one[0] != records.NAMESPACE)
        return values, expiries

    def _leave_settled(self) -> None:
        """Take out the records that the other side has settled, under this id or another, or is past."""
        for id, held in of_records(self._outcomes).items():
            came = held.result is not None and (held.low is None) != (held.high is None)
            if came and self._is_over(id, held.result, int(held.high is None)):
                key = (records.NAMESPACE, id)
                self._outcomes[key] = self._outcomes[key]._replace(result=None)

        def stands(key: KeyId, which: int) -> Any:
            if which == 2 and key in self._outcomes:
                blob = self._outcomes[key].result
            else:
                blob = trees.lookup(self._objects, self._roots[1 + which % 2] or self._low.root, *key)
            return self._value(blob, key)

        def read(id: str, blob: Oid) -> Record | None:
            return records.read_blob(self._vault, id, blob, self._limit)

        for id in settled_elsewhere(of_records(self._outcomes), read, stands):
            one = self._outcomes[records.NAMESPACE, id]
            self._outcomes[records.NAMESPACE, id] = one._replace(result=None)

    def _is_over(self, id: str, blob: Oid | None, other: int) -> bool:
        """Whether the other side deleted this record, or knows all that was written of its key here, and more."""
        if self._verdicts.let_go((records.NAMESPACE, id), other):
            return True
        record = None if blob is None else records.read_blob(self._vault, id, blob, self._limit)
        if record is None or record.namespace is None or record.problem is not None:
            return False
        return self._knowing((record.namespace, record.key)) == other

    def _knowing(self, key: KeyId) -> int | None:
        """After a criss-cross, the side beside which the other has nothing but what merges made of the same versions.

        The merged base may have come about in another order than either side: it alone cannot tell who is ahead.
        """
        if self._base is None or len(self._base.heads) == 1:
            return None
        return self._verdicts.knowing(key)

    def _adds_up(self, key: KeyId) -> bool:
        """Whether the same change of both sides counts twice."""
        return any(rule.rule == "total" for rule in self._policy.rules_for(*key))

    def _contested(self, key: KeyId, blobs: tuple[Oid | None, Oid | None, Oid | None]) -> Outcome:
        """A key that both sides changed."""
        base, low, high = blobs
        if key[0] == records.NAMESPACE:  # made by merges alone: never merged, never in conflict
            settled = base is not None and (low is None or high is None)
            result = None if settled else max((low, high), key=lambda blob: blob or b"")
            return Outcome(base, low, high, result, "taken")
        if (knowing := self._knowing(key)) is not None:
            return Outcome(base, low, high, blobs[1 + knowing], "taken")
        if (low is None or high is None) and self._life(0, key) is not None:
            return Outcome(base, low, high, high if low is None else low, "taken")  # the change wins
        authors = self._verdicts.of(key)
        winner = int(authors[1][:2] > authors[0][:2])
        sides = [self._value(blob, key) for blob in blobs]
        if _UNREADABLE in sides:
            return self._by_blob(key, blobs, sides, winner)
        times = (authors[0][:2], authors[1][:2])
        value, conflicts = decide((sides[0], sides[1], sides[2]), self._policy.rules_for(*key), times, winner)
        if value is ABSENT:
            result = None
        elif (body := self._acceptable(key, value, sides[1:])) is not None:
            oid = hash_object("blob", body)
            result = oid if oid in (low, high) else self._draft.add("blob", body)  # a merged base is in no pack
        else:
            result, conflicts = blobs[1 + winner], [Conflict("", *sides)]
        for conflict in conflicts:
            self._record(key, conflict.pointer, blobs, conflict[1:], winner)
        return Outcome(base, low, high, result, "conflict" if conflicts else "merged")

    def _acceptable(self, key: KeyId, value: Any, sides: list[Any]) -> bytes | None:
        """The merged value's bytes; None if it is too big, or breaks a contract that both sides keep."""
        try:
            body = encode(value, max_bytes=self._policy.max_value_bytes)
        except InvalidValueError:
            return None
        return None if broken_together(self._policy.contracts_for(*key), value, sides) else body

    def _by_blob(
        self, key: KeyId, blobs: tuple[Oid | None, Oid | None, Oid | None], sides: list[Any], winner: int
    ) -> Outcome:
        """A key whose file is no value on some side: a value wins over none."""
        if blobs[1] == blobs[2]:
            return Outcome(*blobs, blobs[1], "taken")
        if (sides[1] is _UNREADABLE) != (sides[2] is _UNREADABLE):
            winner = int(sides[1] is _UNREADABLE)
        shown = [
            {"blob": blob.hex()} if one is _UNREADABLE and blob is not None else one
            for one, blob in zip(sides, blobs, strict=True)
        ]
        self._record(key, "", blobs, shown, winner)
        return Outcome(*blobs, blobs[1 + winner], "conflict")

    def _value(self, blob: Oid | None, key: KeyId) -> Any:
        if blob is None:
            return ABSENT
        try:
            return self._vault.value(blob, *key, self._low.root, limit=self._limit)
        except CorruptValueError:
            return _UNREADABLE

    # --- expiries ---

    def _life(self, which: int, key: KeyId) -> datetime | None:
        """When the key expires on one side: 0 the base, 1 the lower, 2 the higher."""
        area = self._areas[which]
        oid = None if area is None else trees.lookup(self._objects, area, *key)
        return None if oid is None else self._vault.instant(oid, *key)

    def _with_expiry(self, outcomes: Iterable[KeyId]) -> list[KeyId]:
        """The changed keys that expire on some side."""
        if self._areas == (None, None, None):
            return []
        return [key for key in outcomes if any(self._life(which, key) is not None for which in range(3))]

    def _expiries(self, keys: set[KeyId]) -> dict[KeyId, Oid | None]:
        """The expiries that the lower side's tree has to get; keys that are renewed against a deletion come back."""
        edits: dict[KeyId, Oid | None] = {}
        for key in keys:
            base, low, high = (self._life(which, key) for which in range(3))
            outcome = self._outcomes.get(key)
            if outcome is None:
                before = trees.lookup(self._objects, self._low.root, *key)
                outcome = Outcome(before, before, before, before, "taken")
            if base is not None:
                outcome = self._renewed(key, outcome, base, low, high)
            if outcome.result is None:
                final = None
            elif outcome.low is None or outcome.high is None:
                final = high if outcome.low is None else low
            elif outcome.base is None:
                final = None if low is None or high is None else max(low, high)
            else:
                final = later(base, low, high)
            if final != low:
                text = None if final is None else b'"%s"\n' % format_time(final).encode()
                edits[key] = None if text is None else self._draft.add("blob", text)
        return edits

    def _renewed(
        self, key: KeyId, outcome: Outcome, base: datetime, low: datetime | None, high: datetime | None
    ) -> Outcome:
        """One side let the key go, the other only renewed it: it stays."""
        gone = [outcome.low is None, outcome.high is None]
        if outcome.result is None and gone.count(True) == 1:
            kept = 1 if gone[0] else 0
            if (low, high)[kept] != base:
                outcome = outcome._replace(result=(outcome.low, outcome.high)[kept])
                self._outcomes[key] = outcome
        return outcome

    # --- what is told ---

    def _judge(self, keys: Iterable[KeyId]) -> None:
        """Record the values that came in and are not what this memory takes: all that moving forward to the merge
        would look at, from either side, or that would add a commit to it.
        """
        limit = self._policy.max_value_bytes
        for key in keys:
            one = self._outcomes[key]
            if one.result is None:
                continue
            writer = None if one.low == one.high else {one.low: 0, one.high: 1}.get(one.result)
            record = self._verdicts.of_value(key, one.result, writer, limit, self._policy)
            if record is not None:
                self._records[record.id] = record

    def _record(
        self, key: KeyId, pointer: str, blobs: Iterable[Oid | None], sides: Iterable[Any], winner: int
    ) -> None:
        self._tell(*key, pointer, blobs, sides, self._verdicts.of(key), winner)

    def _record_foreign(self, path: foreign.Path, files: Sequence[foreign.File | None], winner: int) -> None:
        """A file that is no key, by its blob on the three sides."""
        blobs = [None if one is None else one[1] for one in files]
        shown = [ABSENT if one is None else {"blob": one.hex()} for one in blobs]
        self._record_file(b"/".join(path).decode("utf-8", "replace"), "", blobs, shown, winner)

    def _record_file(
        self, path: str, pointer: str, blobs: Iterable[Oid | None], sides: Iterable[Any], winner: int
    ) -> None:
        self._tell(None, path, pointer, blobs, sides, self._verdicts.heads, winner)

    def _tell(
        self,
        namespace: str | None,
        key: str,
        pointer: str,
        blobs: Iterable[Oid | None],
        sides: Iterable[Any],
        authors: tuple[Author, Author],
        winner: int,
    ) -> None:
        base, *both = blobs
        value, *values = sides
        told = [records.side(one, author) for one, author in zip(values, authors, strict=True)]
        id = record_id(namespace, key, pointer, base, *both)
        order = (winner, 1 - winner)
        self._records[id] = Record(
            id,
            namespace,
            key,
            pointer,
            value,
            tuple(told[which] for which in order),
            blobs=(base, *(both[which] for which in order)),
        )
