"""Conflicts that one side has settled, while the other has them open under another id.

Two copies that merge the same two histories apart from each other record the same conflicts. Where one of them had
changed another member of the value before, its record speaks of other blobs, so it has another id. The base of the
two copies, merged from the same two histories, tells which records are the same.
Law: a record is left out only where what the other side chose is what stands there now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gitmem import pointers
from gitmem.branches.records import NAMESPACE, Record
from gitmem.codec import equal
from gitmem.entries import ABSENT
from gitmem.objects import Oid
from gitmem.trees import KeyId


class Held(NamedTuple):
    """A record's blob in the base, on the lower and the higher side, and in the merged tree."""

    base: Oid | None
    low: Oid | None
    high: Oid | None
    result: Oid | None


Read = Callable[[str, Oid], Record | None]
"""A record's id and blob -> the record."""
Stands = Callable[[KeyId, int], Any]
"""A key's value on the lower side (0), on the higher (1), or as merged (2); ABSENT if there is none."""


def settled_elsewhere(records: Mapping[str, Held], read: Read, stands: Stands) -> list[str]:
    """The ids of the records that came with one side and that the other side has settled."""
    gone = {id: one.base for id, one in records.items() if one.base is not None and one.result is None}
    came = {id: one.result for id, one in records.items() if one.base is None and one.result is not None}
    if not gone or not came:
        return []
    known = {id: record for id, blob in came.items() if (record := read(id, blob)) is not None}
    found: set[str] = set()
    for id, blob in gone.items():
        was = read(id, blob)
        if was is None or was.namespace is None:
            continue
        again = [record for record in known.values() if _speaks_of(record) == _speaks_of(was)]
        for side in (0, 1):
            if records[id][1 + side] is None and not any(records[one.id][1 + side] for one in again):
                chosen = _at(stands((was.namespace, was.key), side), was.pointer)
                now = _at(stands((was.namespace, was.key), 2), was.pointer)
                found.update(one.id for one in again if equal(chosen, now))
    return sorted(found)


def of_records(outcomes: Mapping[KeyId, tuple[Any, ...]]) -> dict[str, Held]:
    """What became of each record, from what became of each key."""
    return {key: Held(*one[:4]) for (namespace, key), one in outcomes.items() if namespace == NAMESPACE}


def _speaks_of(record: Record) -> tuple[Any, ...]:
    """What a conflict is about: the place, and who says what; not what stands beside it, nor who won."""
    said = sorted(repr((one.value is ABSENT, one.value)) for one in record.sides)
    return record.namespace, record.key, record.pointer, record.problem, repr(record.base), said


def _at(value: Any, pointer: str) -> Any:
    try:
        return ABSENT if value is ABSENT else pointers.resolve(value, pointer)
    except LookupError:
        return ABSENT
