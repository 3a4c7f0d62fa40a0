"""A person settles what a merge could not: by the winner, the other side, the base, or a value of their own.

Knows records and the value they speak of; does not know who may settle.
Law: the record goes in the same commit as the value changes, so a conflict is open or settled, never half. What was
written since the merge stays: the choice is merged with it.
"""

from __future__ import annotations

import re
from typing import Any

from gitmem import trees
from gitmem.branches.records import NAMESPACE, Record, read_blob
from gitmem.entries import ABSENT, UNSET
from gitmem.errors import ConflictError, CorruptValueError, InvalidValueError, MissingKeyError
from gitmem.merge import Merged, merge
from gitmem.objects import CorruptObjectError, Oid
from gitmem.patches import PatchFailed, json_patch
from gitmem.reader import Reader
from gitmem.reconcile import Origin, refused
from gitmem.stage import Stage, Step
from gitmem.transaction import check_target
from gitmem.trees import KeyId

CHOICES = ("winner", "other", "base")
_OID = re.compile("[0-9a-f]{40}")


def conflicts(reader: Reader) -> list[Record]:
    """The conflicts that are open, by namespace, key and pointer; what is no record is passed over."""
    limit = reader.vault.policy(reader.snapshot.root).max_value_bytes
    blobs = ((id, reader.blob(NAMESPACE, id)) for id in reader.list(NAMESPACE))
    found = [read_blob(reader.vault, id, blob, limit) for id, blob in blobs if blob is not None]
    return sorted(
        (one for one in found if one is not None), key=lambda one: (one.namespace or "", one.key, one.pointer, one.id)
    )


def resolve(namespace: str, what: str, take: str, value: Any = UNSET) -> Step:
    """Settle the conflict of this id, or every conflict of this key of the namespace.

    `take` is winner, other or base; with `value` that is taken instead. MissingKeyError if there is no such conflict;
    MergeConflictError if what was written since contradicts the choice. InvalidValueError for another word.
    """
    if value is UNSET and take not in CHOICES:
        raise InvalidValueError(
            f"{take!r} is none of {', '.join(CHOICES)}",
            hint="pass what should stand there as value=",
            pointer="",
            reason="unknown choice",
        )

    def step(stage: Stage) -> None:
        found = _meant(stage.reader, namespace, what)
        if not found and value is UNSET and take == CHOICES[0] and what in stage.reader.list(NAMESPACE, what):
            stage.remove("resolve", NAMESPACE, what)  # anybody can push what is no record: this lets it go
            return
        if not found:
            raise MissingKeyError(
                f"there is no open conflict {what!r}, nor one of a key of that name in namespace {namespace!r}",
                hint="`gitmem conflicts` lists those that are open",
                namespace=NAMESPACE,
                key=what,
            )
        for record in found:
            if value is not UNSET:
                _put(stage, record, value)
            elif take != CHOICES[0]:
                _put(stage, record, _wanted(stage.reader, record, take))
            stage.remove("resolve", NAMESPACE, record.id)

    return step


def _meant(reader: Reader, namespace: str, what: str) -> list[Record]:
    records = conflicts(reader)
    return [one for one in records if one.id == what] or [
        one for one in records if one.key == what and one.namespace in (namespace, None)
    ]


def _wanted(reader: Reader, record: Record, take: str) -> Any:
    if record.problem is not None:
        raise _without(record, take, "came alone")
    wanted = record.base if take == "base" else record.sides[1].value
    if record.large and wanted is not ABSENT:
        return _of_blob(reader, record, take, wanted)
    if record.namespace is not None and not record.pointer and _is_file(reader, wanted):
        raise _without(record, take, f"was no value there: `git show {wanted['blob'][:12]}` shows the file")
    return wanted


def _of_blob(reader: Reader, record: Record, take: str, named: Any) -> Any:
    """What a record that holds no values names: the whole value of the key, where that is in conflict."""
    name = named.get("blob") if isinstance(named, dict) else None
    if not (isinstance(name, str) and _OID.fullmatch(name)):
        raise _without(record, take, "is not named by its record")
    blob = bytes.fromhex(name)
    if record.pointer or not reader.vault.objects.contains(blob):
        raise _without(record, take, f"was too large for its record: `git show {name[:12]}` shows it")
    return reader.vault.value(blob, record.namespace or "", record.key, reader.snapshot.root)


def _without(record: Record, take: str, why: str) -> InvalidValueError:
    return InvalidValueError(
        f"conflict {record.id} has no {take} to take: key {record.key!r} {why}",
        hint="take the winner to keep what stands there, or give the value that it should have",
        pointer="",
        reason=f"no {take}",
    )


def _is_file(reader: Reader, shown: Any) -> bool:
    """Whether a record shows a file that is no value by its blob: nothing else names what cannot be read."""
    name = shown.get("blob") if isinstance(shown, dict) and len(shown) == 1 else None
    if not (isinstance(name, str) and _OID.fullmatch(name)) or not reader.vault.objects.contains(bytes.fromhex(name)):
        return False
    try:
        reader.vault.value(bytes.fromhex(name), "", "", reader.snapshot.root)
    except (CorruptValueError, CorruptObjectError):
        return True
    return False


def _put(stage: Stage, record: Record, wanted: Any) -> None:
    """Stage the key's value with what is wanted at the place, merged with what was written since."""
    if record.namespace is None:
        raise ConflictError(
            f"{record.key} is no key: it is not settled by taking a side",
            hint="edit it (`gitmem rules`, `gitmem contract`, or git), then resolve with --take winner",
            namespace=NAMESPACE,
            key=record.id,
        )
    check_target(record.namespace, record.key)
    where = (record.namespace, record.key)
    blob, then = _then(stage.reader, record, where)
    patched = _patched(record, then.value, wanted)
    if where not in stage.staged and stage.reader.stored(*where) == blob and stage.present(*where) == bool(blob):
        merged = Merged(patched, ())  # nothing was written since, be it a value or not
    else:
        rules = stage.reader.vault.policy(stage.reader.snapshot.root).rules_for(*where)
        merged = merge(then.value, patched, stage.value(*where), rules)
    if merged.conflicts:
        raise refused(stage, where, then, merged.conflicts)
    if merged.value is not ABSENT:
        stage.put("resolve", *where, merged.value, expires=stage.expires(*where))
    elif stage.present(*where):
        stage.remove("resolve", *where)


def _then(reader: Reader, record: Record, where: KeyId) -> tuple[Oid | None, Origin]:
    """The key's file in the commit that made the record, and its value: ABSENT if it was none."""
    vault = reader.vault
    made = reader.token(NAMESPACE, record.id)
    assert made is not None, "a record that is read has a version"
    tree = vault.objects.commit(made.revision).tree
    blob = trees.lookup(vault.objects, tree, *where)
    try:
        value = ABSENT if blob is None else vault.value(blob, *where, tree)
    except CorruptValueError:
        value = ABSENT
    token = vault.index.token(made.revision, *where)
    return blob, Origin(None if token is None else token.revision, value, None)


def _patched(record: Record, value: Any, wanted: Any) -> Any:
    """The value with what is wanted in the winner's place."""
    if not record.pointer:
        return wanted
    held = record.sides[0].value
    if held is ABSENT and wanted is ABSENT:
        return value
    operation = "add" if held is ABSENT else "remove" if wanted is ABSENT else "replace"
    change = {"op": operation, "path": record.pointer, **({} if wanted is ABSENT else {"value": wanted})}
    try:
        return json_patch(value, [change])
    except PatchFailed as failure:
        raise ConflictError(
            f"conflict {record.id} speaks of {record.pointer} in key {record.key!r}, which is not there: {failure}",
            hint="store the value that the key should have, then resolve with --take winner",
            namespace=record.namespace or "",
            key=record.key,
        ) from None
