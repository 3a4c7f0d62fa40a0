"""What a run did to each key: the value before its first version, and after its last.

Knows blobs; reads values where somebody asks for them.
Law: one effect a key, whatever happened in between; what others wrote in between is part of what stood before or after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gitmem.entries import ABSENT, operation_of
from gitmem.history import wanted
from gitmem.index.runs import Made
from gitmem.objects import Oid
from gitmem.runs.naming import Run
from gitmem.runs.versions import Past, Versions
from gitmem.trees import KeyId
from gitmem.vault import Snapshot, Vault


@dataclass(frozen=True, slots=True)
class Effect:
    """A key that a run made versions of: how many, by whom, from which revision to which.

    `operation` is created, modified, deleted or unchanged (what came was gone again). `session` is that of the last of
    the versions.
    """

    namespace: str
    key: str
    operation: str
    versions: int
    agents: tuple[str, ...]
    session: str | None
    first: str
    last: str
    blobs: tuple[Oid | None, Oid | None] = field(repr=False)
    read: Versions = field(repr=False, compare=False)

    @property
    def before(self) -> Any:
        """The value before the run, read now; ABSENT if there was none, or it cannot be read."""
        return self.read.shown(self.blobs[0], self.namespace, self.key)

    @property
    def after(self) -> Any:
        """The value that the run left, read now; ABSENT if there was none, or it cannot be read."""
        return self.read.shown(self.blobs[1], self.namespace, self.key)

    def to_json(self) -> dict[str, Any]:
        """As programs read it; a side that is absent is left out, since null is a value."""
        sides = (("before", self.before), ("after", self.after))
        return {
            "namespace": self.namespace,
            "key": self.key,
            "operation": self.operation,
            **{name: value for name, value in sides if value is not ABSENT},
            "versions": self.versions,
            "agents": list(self.agents),
            "session": self.session,
            "first": self.first,
            "last": self.last,
        }


def effects(vault: Vault, head: Snapshot, run: Run, *, namespace: str | None, pattern: str | None) -> list[Effect]:
    """The keys that a run made versions of, sorted. InvalidPatternError for a malformed glob."""
    versions = Versions(vault, head.root)
    found: dict[KeyId, list[tuple[Made, Past]]] = {}
    for one, past in versions.made([run.span], wanted(namespace, pattern)):
        found.setdefault((one.namespace, one.key), []).append((one, past))
    return list(_told(found, versions))


def _told(found: dict[KeyId, list[tuple[Made, Past]]], versions: Versions) -> Iterator[Effect]:
    for (namespace, key), made in sorted(found.items()):
        (first, past), (last, _) = made[0], made[-1]
        same = past.blob == last.blob
        yield Effect(
            namespace,
            key,
            "unchanged" if same else operation_of(past.blob, last.blob),
            len(made),
            tuple(sorted({one.commit.agent for one, _ in made})),
            last.commit.session,
            first.commit.revision.hex(),
            last.commit.revision.hex(),
            (past.blob, last.blob),
            versions,
        )


__all__ = ["Effect", "effects"]
