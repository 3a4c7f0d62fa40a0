"""What one commit did to the keys that somebody watches.

Knows a step of the way and a glob; does not know who asks, or when.
Law: the events of a step are the difference of its two trees, sorted by namespace and key, the final one marked;
a key whose path alone changed gives none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gitmem import trees
from gitmem.codec import MAX_VALUE_BYTES
from gitmem.entries import ABSENT, Entry, format_time, moment, operation_of
from gitmem.errors import CorruptValueError, GitmemError, StorageError
from gitmem.globs import compile_glob
from gitmem.reader import Reader

if TYPE_CHECKING:
    from gitmem.objects import Oid
    from gitmem.reader import Witness
    from gitmem.trees import KeyId
    from gitmem.vault import Snapshot, Vault
    from gitmem.watch.way import Step

_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """One key, changed by one commit.

    `operation` is created, modified or deleted; `revision` the commit, by whom, in which session and when; `old` and
    `new` the entries before and after it, None where there is none (their value is ABSENT where the file is no
    value). `last` marks the final event of its commit: whoever stops there resumes at `revision`.
    """

    namespace: str
    key: str
    operation: str
    revision: str
    agent: str
    session: str | None
    time: datetime
    old: Entry | None
    new: Entry | None
    last: bool

    def to_json(self) -> dict[str, Any]:
        """The event as `gitmem watch` prints it, on one line."""
        return {
            "namespace": self.namespace,
            "key": self.key,
            "operation": self.operation,
            "revision": self.revision,
            "agent": self.agent,
            "session": self.session,
            "time": format_time(self.time),
            "old": None if self.old is None else self.old.to_json(),
            "new": None if self.new is None else self.new.to_json(),
            "last": self.last,
        }


class Interest:
    """A namespace (None: every one) and a glob over keys."""

    def __init__(self, namespace: str | None, pattern: str) -> None:
        """InvalidPatternError for a malformed glob."""
        self.namespace = namespace
        self.glob = compile_glob(pattern)

    def takes(self, namespace: str, key: str) -> bool:
        """Whether a key is of interest."""
        return self.namespace in (None, namespace) and self.glob.matches(key)


def events(vault: Vault, step: Step, interest: Interest) -> list[Event]:
    """The events of one step that are of interest; the index knows the step's commit already."""
    roots = (vault.objects.commit(oid).tree for oid in (step.parent, step.commit))
    differences = trees.changed(vault.objects, *roots, namespace=interest.namespace, under=interest.glob.prefix)
    wanted = sorted((key, sides) for key, sides in differences.items() if interest.takes(*key))
    return list(_told(vault, step, wanted)) if wanted else []


def note(vault: Vault, step: Step, found: list[Event], witness: Callable[[Snapshot], Witness | None]) -> None:
    """Tell a witness of the new entries; of none where the commit's gitmem.toml says nothing that can be read."""
    there = vault.past(step.commit)
    try:
        teller = witness(there)
    except GitmemError:
        teller = None
    if teller is None:
        return
    for one in found:
        blob = trees.lookup(vault.objects, there.root, one.namespace, one.key)
        if one.new is not None and blob is not None:
            teller.told_all([(one.namespace, one.key, blob, one.new.revision)])


def _told(vault: Vault, step: Step, wanted: list[tuple[KeyId, trees.Difference]]) -> Iterator[Event]:
    facts = vault.index.facts(step.commit)
    before, after = (Reader(vault, vault.past(oid), now=lambda: _EARLIEST) for oid in (step.parent, step.commit))
    for (namespace, key), (old, new) in wanted:
        yield Event(
            namespace,
            key,
            operation_of(old, new),
            step.commit.hex(),
            facts.agent,
            facts.session,
            moment(facts.time),
            None if old is None else _entry(before, namespace, key),
            None if new is None else _entry(after, namespace, key),
            last=(namespace, key) == wanted[-1][0],
        )


def _entry(reader: Reader, namespace: str, key: str) -> Entry | None:
    """An entry whether or not its file is a value, whatever gitmem.toml says there: neither ends a stream."""
    about, blob = reader.about(namespace, key), reader.blob(namespace, key)
    if about is None or blob is None:
        return None
    root = reader.snapshot.root
    try:
        return about(reader.vault.value(blob, namespace, key, root, limit=_limit(reader.vault, root)))
    except (CorruptValueError, StorageError):
        return about(ABSENT)


def _limit(vault: Vault, root: Oid) -> int:
    """How large a value may be there; as everywhere, if gitmem.toml says nothing that can be read."""
    try:
        return vault.policy(root).max_value_bytes
    except GitmemError:
        return MAX_VALUE_BYTES
