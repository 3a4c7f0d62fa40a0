"""What the verbs give: an entry (a value and where it was read), a version, a change.

Knows values alone; does not know where they come from.
Law: frozen, and nothing in them is shared with a cache: changing a value that was read changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gitmem.members import ABSENT

if TYPE_CHECKING:
    from gitmem.members import MemberChange

__all__ = [
    "ABSENT",
    "UNSET",
    "Change",
    "CommitRecord",
    "Entry",
    "MemberConflict",
    "Version",
    "format_time",
    "moment",
    "operation_of",
]


_FIRST, _LAST = -62_135_596_800, 253_402_300_799


class Unset:
    """Stands for an argument that was not given, where None is a value."""

    def __repr__(self) -> str:
        return "<not given>"


UNSET: Any = Unset()


@dataclass(frozen=True, slots=True, init=False)
class Entry:
    """A value and where it was read.

    `revision` is the key's token: the id (40 hex digits) of the commit that is its last version; `version` counts
    them; `snapshot` is the commit it was read at. `agent`, `session` and `time` are those of the last version;
    `expires` is None where the key never does.
    """

    value: Any
    namespace: str
    key: str
    version: int
    revision: str
    snapshot: str
    agent: str
    session: str | None
    time: datetime
    expires: datetime | None

    def __init__(
        self,
        value: Any,
        namespace: str,
        key: str,
        version: int,
        revision: str,
        snapshot: str,
        agent: str,
        session: str | None,
        time: datetime,
        expires: datetime | None,
    ) -> None:
        _value(self, value)  # the slots themselves: the generated way costs a search of a hundred twice as much
        _namespace(self, namespace)
        _key(self, key)
        _version(self, version)
        _revision(self, revision)
        _snapshot(self, snapshot)
        _agent(self, agent)
        _session(self, session)
        _time(self, time)
        _expires(self, expires)

    def to_json(self) -> dict[str, Any]:
        """The entry as the command line prints it."""
        return {
            "namespace": self.namespace,
            "key": self.key,
            "value": None if self.value is ABSENT else self.value,
            "version": self.version,
            "revision": self.revision,
            "snapshot": self.snapshot,
            "agent": self.agent,
            "session": self.session,
            "time": format_time(self.time),
            "expires": None if self.expires is None else format_time(self.expires),
        }


_value, _namespace, _key, _version, _revision, _snapshot, _agent, _session, _time, _expires = (
    getattr(Entry, slot).__set__ for slot in Entry.__slots__
)


@dataclass(frozen=True, slots=True, init=False)
class Version(Entry):
    """An entry as one commit made it; `operation` is created, modified or deleted (then `value` is ABSENT)."""

    operation: str

    def __init__(self, *entry: Any, operation: str) -> None:
        Entry.__init__(self, *entry)
        object.__setattr__(self, "operation", operation)

    def to_json(self) -> dict[str, Any]:
        """The version as the command line prints it: an entry and its operation."""
        return {**Entry.to_json(self), "operation": self.operation}


@dataclass(frozen=True, slots=True)
class Change:
    """One key before and after: values, or ABSENT. `operation` is created, modified or deleted."""

    namespace: str
    key: str
    operation: str
    before: Any
    after: Any

    @property
    def members(self) -> list[MemberChange]:
        """What differs inside the value; the whole of it where a side is absent."""
        from gitmem.members import changes

        return changes(self.before, self.after)

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it; a side that is absent is left out, since null is a value."""
        return {
            "namespace": self.namespace,
            "key": self.key,
            "operation": self.operation,
            **_sides(self.before, self.after),
            "members": [{"pointer": one.pointer, **_sides(one.before, one.after)} for one in self.members],
        }


@dataclass(frozen=True, slots=True)
class MemberConflict:
    """One place that a write and somebody else changed since `base`: the three values, and who wrote theirs.

    ABSENT stands for a side on which there is nothing. `pointer` counts in the value as it would be merged.
    `revision`, `agent`, `session` and `time` are those of the version that last changed the place.
    """

    pointer: str
    base: Any
    ours: Any
    theirs: Any
    revision: str
    agent: str
    session: str | None
    time: datetime

    def to_json(self) -> dict[str, Any]:
        """As programs read it; a side that is absent is left out, since null is a value."""
        sides = (("base", self.base), ("ours", self.ours), ("theirs", self.theirs))
        return {
            "pointer": self.pointer,
            **{name: value for name, value in sides if value is not ABSENT},
            "revision": self.revision,
            "agent": self.agent,
            "session": self.session,
            "time": format_time(self.time),
        }


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """One commit of the log and the keys it changed (against its first parent)."""

    revision: str
    parents: tuple[str, ...]
    agent: str
    session: str | None
    time: datetime
    message: str
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """As `gitmem log --json` prints it."""
        return {
            "revision": self.revision,
            "parents": list(self.parents),
            "agent": self.agent,
            "session": self.session,
            "time": format_time(self.time),
            "message": self.message,
            "changes": [change.to_json() for change in self.changes],
        }


def _sides(before: Any, after: Any) -> dict[str, Any]:
    return {
        name: value for name, value in (("before", before), ("after", after)) if value is not ABSENT
    }


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC, to the second: commits know no fractions."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def moment(seconds: int) -> datetime:
    """The time of a commit. Git takes any number: what lies beyond the years 1 to 9999 is their edge."""
    return datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), UTC)


def operation_of(before: Any, after: Any) -> str:
    """The name of what happened between two states; either may be None or ABSENT for no value."""
    if before is None or before is ABSENT:
        return "created"
    return "deleted" if after is None or after is ABSENT else "modified"
