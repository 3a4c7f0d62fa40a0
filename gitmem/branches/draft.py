"""Objects of a plan: made, readable, and written nowhere until somebody decides to.

Knows bodies by id; does not know what they are for.
Law: while a draft is open its objects can be read like any other; afterwards, if it was not written, nothing of it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gitmem.gitobject import hash_object
from gitmem.objects import Objects, Oid, Writer


class Draft:
    """A writer into memory. One thread."""

    def __init__(self) -> None:
        self._made: dict[Oid, tuple[str, bytes]] = {}

    def __len__(self) -> int:
        """The number of objects."""
        return len(self._made)

    def add(self, kind: str, body: bytes, *, base: Oid | None = None) -> Oid:
        """Keep an object; `base` is of no use here."""
        oid = hash_object(kind, body)
        self._made[oid] = (kind, body)
        return oid

    def finish(self) -> None:
        """Nothing: `write` is what makes a draft last."""

    def read(self, oid: Oid) -> tuple[str, bytes] | None:
        """An object of the draft, or None."""
        return self._made.get(oid)

    def write(self, writer: Writer) -> None:
        """Add every object to a writer, in the order in which they were made."""
        for kind, body in self._made.values():
            writer.add(kind, body)

    @contextmanager
    def readable(self, objects: Objects) -> Iterator[None]:
        """Let every reader of `objects` see the draft meanwhile."""
        objects.pending.append(self.read)
        try:
            yield
        finally:
            objects.pending.remove(self.read)
