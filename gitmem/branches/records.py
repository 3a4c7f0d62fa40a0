"""What a merge could not settle, as values in the namespace `conflicts`: both sides, who, when, and who won.

Knows the form of a record; does not know how it came to be, nor how it is settled.
Law: a record follows from the merged commits alone (no ours and theirs, no time of merging), so every machine that
merges the same writes the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from gitmem import codec
from gitmem.entries import ABSENT, format_time, moment
from gitmem.errors import CorruptValueError, InvalidValueError
from gitmem.keys import CONFLICTS
from gitmem.objects import Oid
from gitmem.vault import Vault

NAMESPACE = CONFLICTS
_DIGITS = 16
_ALWAYS = 1 << 16  # so large a record may be, however small values have to be


class Author(NamedTuple):
    """The last version of a key on one side: its commit, who wrote it, and when (seconds)."""

    time: int
    revision: Oid
    agent: str


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a conflict: what it says at the place (ABSENT: nothing), and who says so."""

    value: Any
    revision: str
    agent: str
    time: str

    def to_json(self) -> dict[str, Any]:
        """As it lies in the record; an absent value is left out, since null is a value."""
        said = {} if self.value is ABSENT else {"value": self.value}
        return {**said, "revision": self.revision, "agent": self.agent, "time": self.time}


@dataclass(frozen=True, slots=True)
class Record:
    """One conflict: `id` is its key in the namespace `conflicts`.

    `sides` are the winner, which the memory holds now, and the other. `namespace` is None for a file of no key
    (gitmem.toml, or a foreign one, whose path is `key`). `problem`, if any, is the rule that a value from another copy
    breaks: "key", "value" or "contract"; then there is one side. `large` says that the values are named by the blobs
    of the whole key, as `{"blob": id}`. `blobs`, where it was just made: those of the base and of the sides.
    """

    id: str
    namespace: str | None
    key: str
    pointer: str
    base: Any
    sides: tuple[Side, ...]
    problem: str | None = None
    large: bool = False
    blobs: tuple[Oid | None, ...] = field(default=(), compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The value of the record."""
        return {
            "namespace": self.namespace,
            "key": self.key,
            "pointer": self.pointer,
            **({} if self.base is ABSENT else {"base": self.base}),
            "sides": [side.to_json() for side in self.sides],
            **({} if self.problem is None else {"problem": self.problem}),
            **({"large": True} if self.large else {}),
        }

    def in_short(self) -> Record:
        """The same with blobs in the place of values: for what is larger or deeper than a value may be."""
        base, *sides = (None if oid is None else {"blob": oid.hex()} for oid in self.blobs)
        short = [
            one if one.value is ABSENT or blob is None else replace(one, value=blob)
            for one, blob in zip(self.sides, sides, strict=False)
        ]
        return replace(self, base=ABSENT if self.base is ABSENT or base is None else base, sides=(*short,), large=True)


def record_id(
    namespace: str | None, key: str, pointer: str, base: Oid | None, one: Oid | None, other: Oid | None
) -> str:
    """The record's id: it depends on the three blobs and the place, not on which side is called what."""
    lower, higher = sorted((one, other), key=lambda oid: (oid is not None, oid or b""))
    names = [None if oid is None else oid.hex() for oid in (base, lower, higher)]
    return hashlib.sha256(codec.encode([namespace, key, pointer, *names])).hexdigest()[:_DIGITS]


def side(value: Any, author: Author) -> Side:
    """One side of a record."""
    return Side(value, author.revision.hex(), author.agent, format_time(moment(author.time)))


def read_record(id: str, value: Any) -> Record | None:
    """A value of the namespace `conflicts` as a record; None if it is none: anybody can push anything."""
    try:
        sides = tuple(
            Side(one.get("value", ABSENT), str(one["revision"]), str(one["agent"]), str(one["time"]))
            for one in value["sides"]
        )
        namespace, key, pointer = value["namespace"], value["key"], value["pointer"]
        problem = value.get("problem")
        datetime.fromisoformat(sides[0].time)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None
    texts = (isinstance(namespace, str | None), isinstance(problem, str | None), isinstance(key, str))
    if not (all(texts) and isinstance(pointer, str) and (problem is not None or len(sides) == 2)):
        return None
    large = value.get("large") is True
    return Record(id, namespace, key, pointer, value.get("base", ABSENT), sides, problem, large)


def read_blob(vault: Vault, id: str, blob: Oid, limit: int) -> Record | None:
    """A file of the namespace as a record, None if it is none; values are of `limit` bytes at most."""
    try:
        value = vault.value(blob, NAMESPACE, id, b"", limit=max(limit, _ALWAYS))
    except CorruptValueError:
        return None
    return read_record(id, value)


def bodies(records: Mapping[str, Record], limit: int) -> dict[str, bytes]:
    """Each record's canonical bytes, by id; of at most `limit` bytes, as a value is."""
    return {id: _body(record, limit) for id, record in records.items()}


def _body(record: Record, limit: int) -> bytes:
    try:
        return codec.encode(record.to_json(), max_bytes=max(limit, _ALWAYS))
    except InvalidValueError:
        return codec.encode(record.in_short().to_json())
