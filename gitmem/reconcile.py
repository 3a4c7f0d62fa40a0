"""A write with `base=`: what the caller changed since the base, merged with what others changed since.

Knows the three sides of one key, its rules and its expiries; the merging of values is `merge`'s.
Law: as every step, it decides from its arguments and the stage alone. A conflict that no rule settles writes nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from gitmem import pointers, trees
from gitmem.codec import encode, equal
from gitmem.contracts import problems
from gitmem.entries import ABSENT, Entry, MemberConflict, Version, format_time, moment
from gitmem.errors import CorruptValueError, MergeConflictError, UnknownRevisionError, typed
from gitmem.objects import Oid
from gitmem.reader import Reader
from gitmem.revisions import ambiguous, check_same_key, resolve, unknown
from gitmem.stage import Stage, Step
from gitmem.steps import Expiry
from gitmem.trees import KeyId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitmem.merge import Conflict
    from gitmem.policy import Contract

_SHOWN = 3
_BRIEF = 60
_SHORT = 12


class Origin(NamedTuple):
    """A key as it was at the base: its token there (None if it had none), value and expiry."""

    revision: Oid | None
    value: Any
    expires: datetime | None


def store(where: KeyId, value: Any, base: Any, expires: Expiry) -> Step:
    """Store `value`, merged with what happened to the key since `base`: MergeConflictError where no rule settles.

    So is a merged value that breaks a contract which both sides keep.
    """
    from gitmem.merge import Conflict, merge  # a memory that never merges does not import it

    def step(stage: Stage) -> None:
        reader = stage.reader
        origin = origin_of(reader, *where, base)
        theirs = stage.value(*where)
        ours_expires = expires(stage.now)
        if theirs is ABSENT and origin.expires is not None:
            if ours_expires != origin.expires or not equal(value, origin.value):
                stage.put("store", *where, value, expires=ours_expires)  # let go by others, and renewed by us
            return
        policy = reader.vault.policy(reader.snapshot.root)
        times = ((stage.now, 1), (_written(reader, where), 0))
        merged = merge(origin.value, value, theirs, policy.rules_for(*where), times)
        if merged.conflicts:
            raise refused(stage, where, origin, merged.conflicts)
        if broken_together(policy.contracts_for(*where), merged.value, (value, theirs)):
            raise refused(stage, where, origin, (Conflict("", origin.value, value, theirs),))
        if merged.value is ABSENT:
            stage.remove("store", *where)
            return
        their_expires = stage.expires(*where) if theirs is not ABSENT else origin.expires
        stage.put("store", *where, merged.value, expires=later(origin.expires, ours_expires, their_expires))

    return step


def broken_together(contracts: Sequence[Contract], merged: Any, sides: Sequence[Any]) -> bool:
    """Whether the merged value breaks a contract that each side keeps; that one broke another is no excuse."""
    if merged is ABSENT or any(equal(merged, one) for one in sides):
        return False

    def kept(contract: Contract) -> bool:
        return not any(one is not ABSENT and problems([contract], one) for one in sides)

    return any(problems([one], merged) and kept(one) for one in contracts)


def origin_of(reader: Reader, namespace: str, key: str, base: Any) -> Origin:
    """What `base=` names: an Entry, a Version, a revision, an integer version, or ABSENT.

    The value is read from the history, not from the entry: who changed it in place would otherwise merge with
    himself. UnknownRevisionError if it names nothing, or several.
    """
    if base is ABSENT:
        return Origin(None, ABSENT, None)
    vault = reader.vault
    index = vault.indexed(reader.snapshot)
    if isinstance(base, int) and not isinstance(base, bool):
        rows = index.by_number(reader.snapshot.oid, namespace, key, base)
        if len(rows) > 1:
            raise ambiguous(f"version {base} of {key}", [row.revision for row in rows])
        if not rows:
            shown = f"`gitmem history {typed(key)} -n {typed(namespace)}` shows the versions"
            raise unknown(f"version {base} of {key}", shown)
        there, row = rows[0].revision, rows[0]
    else:
        there = _commit_of(reader, namespace, key, base)
        index.catch_up(there)
        found = index.token(there, namespace, key)
        if found is None:
            return Origin(None, ABSENT, None)
        row = found
    if row.blob is None:
        return Origin(row.revision, ABSENT, None)
    past = vault.past(there)
    expiry = None if past.expires is None else trees.lookup(vault.objects, past.expires, namespace, key)
    value = vault.value(row.blob, namespace, key, reader.snapshot.root)
    return Origin(row.revision, value, None if expiry is None else vault.instant(expiry, namespace, key))


def _commit_of(reader: Reader, namespace: str, key: str, base: Any) -> Oid:
    """The commit at which the base was read; of a version, which may be an old one, the commit that made it."""
    if not isinstance(base, Entry):
        return resolve(reader.vault, reader.snapshot, base)
    check_same_key(base, namespace, key, "base=")
    where = base.revision if isinstance(base, Version) else base.snapshot
    oid = bytes.fromhex(where)
    if not reader.vault.objects.contains(oid):
        raise UnknownRevisionError(
            f"the base of key {key!r} was read at {where[:12]}, which is not in this memory",
            hint="read the key here again; `gitmem sync` brings what another copy has",
            revision=where,
        )
    return oid


def later(base: datetime | None, ours: datetime | None, theirs: datetime | None) -> datetime | None:
    """The expiry that three sides come to: a change of one side holds; of two the later one, and never is last."""
    if ours == base:
        return theirs
    if theirs == base:
        return ours
    return None if ours is None or theirs is None else max(ours, theirs)


def _written(reader: Reader, where: KeyId) -> datetime:
    """The author time of the key's last version; the beginning of time if it has none."""
    row = reader.token(*where)
    return moment(0 if row is None else reader.vault.index.facts(row.revision).time)


def refused(stage: Stage, where: KeyId, origin: Origin, conflicts: tuple[Conflict, ...]) -> MergeConflictError:
    namespace, key = where
    found = [_signed(stage.reader, where, origin, conflict) for conflict in conflicts]
    places = "; ".join(_told(one) for one in found[:_SHOWN]) + ("; …" if len(found) > _SHOWN else "")
    number = "a conflict" if len(found) == 1 else f"{len(found)} conflicts"
    current = stage.reader.entry(namespace, key)
    there = "absent" if current is None else _short_revision(current.revision)
    return MergeConflictError(
        f"storing key {key!r} in namespace {namespace!r} meets {number} with what was written since its base: {places}",
        hint=f"read what is there now: `gitmem retrieve {typed(key)} -n {typed(namespace)} --entry`\n"
        f"and store what holds for both with `--base {there}`; `gitmem rules add` settles such conflicts by themselves",
        namespace=namespace,
        key=key,
        conflicts=found,
        current=current,
    )


def _short_revision(revision: str) -> str:
    """A revision as it can be typed: digits alone would be an integer version on the command line."""
    return revision if revision[:_SHORT].isdigit() else revision[:_SHORT]


def _told(one: MemberConflict) -> str:
    who = f"{one.agent} at {format_time(one.time)}"
    was, theirs, ours = (_brief(value) for value in (one.base, one.theirs, one.ours))
    return f"{one.pointer or 'the value'} was {was}, is {theirs} by {who}, and would be {ours}"


def _brief(value: Any) -> str:
    """A value for a sentence."""
    if value is ABSENT:
        return "absent"
    text = " ".join(encode(value).decode().split())
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1] + "…"


def _signed(reader: Reader, where: KeyId, origin: Origin, conflict: Conflict) -> MemberConflict:
    """A conflict with the version that last changed its place: who is to be asked."""
    index = reader.vault.index
    newest = _last_change(reader, where, origin, conflict.pointer)
    facts = index.facts(newest)
    return MemberConflict(
        *conflict, revision=newest.hex(), agent=facts.agent, session=facts.session, time=moment(facts.time)
    )


def _last_change(reader: Reader, where: KeyId, origin: Origin, pointer: str) -> Oid:
    """The version that made the place what it is, as `blame` would say: not a merge that only took it over."""
    row = reader.token(*where)
    if row is None:  # the base is another branch's, and the key never was in this one
        raise unknown(f"of {where[1]} in this branch", "store it without base=: nobody here has ever written the key")
    newest = row.revision
    now = _at(_readable(reader, row.blob, where), pointer)
    while True:
        parents = reader.vault.index.parent_tokens(row.revision, *where)
        same = next((one for one in parents if equal(_at(_readable(reader, one.blob, where), pointer), now)), None)
        if same is None:
            return row.revision
        if same.revision == origin.revision:
            return newest  # nobody since the base: the place is another by now, in a list that has shifted
        row = same


def _readable(reader: Reader, blob: Oid | None, where: KeyId) -> Any:
    """A version's value; ABSENT for a deletion, and where another tool left what is no value."""
    try:
        return ABSENT if blob is None else reader.vault.value(blob, *where, reader.snapshot.root)
    except CorruptValueError:
        return ABSENT


def _at(value: Any, pointer: str) -> Any:
    try:
        return pointers.resolve(value, pointer)
    except LookupError:
        return ABSENT
