"""What another copy lacks, as a pack to send: similar objects as deltas, built on the disk and sent from there.

Knows our objects and which commits the other side has; does not know the way.
Law: with what the other side has, the pack is all that the new commits need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gitmem.objects import Objects, Oid
from gitmem.packfile import PackWriter
from gitmem.storedpack import StoredPack
from gitmem.transport import graph

if TYPE_CHECKING:
    from dulwich.pack import UnpackedObject


class Parcel:
    """A pack of what is new, in a folder that outlives it."""

    def __init__(self, objects: Objects, folder: str, new: Iterable[Oid], known: Iterable[Oid]) -> None:
        """Writes the pack; what `known` names and we lack is passed over. Reads what was never packed: seconds for
        each 50,000 objects.
        """
        commits = graph.ahead(objects, new, list(known))
        with PackWriter(folder, durable=False) as writer:
            for oid, former in graph.objects_of(objects, commits):
                kind, body = graph.body_of(objects, oid)
                writer.add(kind, body, base=former)
            path = writer.finish()
        self.path = str(path) if path is not None else None
        self._pack = StoredPack(self.path) if self.path is not None else None

    def __len__(self) -> int:
        """The number of objects."""
        return len(self._pack) if self._pack is not None else 0

    def records(self) -> Iterator[UnpackedObject]:
        """The objects as dulwich sends them: each as it lies in the pack, so that offsets stay true."""
        from dulwich.objects import Blob
        from dulwich.pack import UnpackedObject

        for oid, stored in self._pack.stored() if self._pack is not None else ():
            record = UnpackedObject(Blob.type_num, sha=oid, decomp_chunks=[])  # its type stands in what is stored
            record.comp_chunks = [stored]
            yield record
