"""The door through which a pack of somebody else's comes into our repository: checked, then visible, whole.

Knows one folder of packs that have arrived; does not know over which way.
Law: nothing of a pack is visible before all of it is sound and everything it points to is there or here; then its
pack and its index are renamed into place, in this order, and are on the disk before anything may rest on them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from gitmem.errors import StorageError
from gitmem.loose import storage_error, sync_path
from gitmem.objects import EMPTY_TREE, Objects, Oid
from gitmem.packfile import write_index
from gitmem.repository import Repository
from gitmem.soundness import Judge
from gitmem.transport.arrivals import Arrival
from gitmem.transport.failures import Trouble
from gitmem.transport.limits import Limits

_HINT = "nothing of it was taken; have that copy examined by `git fsck --full` there, it may be a shallow clone"


def admit(repository: Repository, packs: Sequence[str], wants: Collection[Oid], limits: Limits) -> int:
    """Check the packs at these paths and take them in; how many objects came. Trouble if anything is wrong.

    Afterwards `wants`, and all they need, are here.
    """
    judge = Judge()
    arrivals = [Arrival(path, judge, limits) for path in packs]
    _check_connected(repository.objects, arrivals, wants)
    for arrival in arrivals:
        if arrival.entries:
            _publish(repository, arrival)
    repository.objects.refresh()
    return sum(len(arrival.entries) for arrival in arrivals)


def _check_connected(objects: Objects, arrivals: Sequence[Arrival], wants: Collection[Oid]) -> None:
    """What we have already has all that it needs: so one step beyond what arrived is enough."""
    kinds = {oid: kind for arrival in arrivals for oid, kind in arrival.kinds.items()}
    for want in wants:
        _check_one(objects, kinds, want, "commit", "it was to send")
    for arrival in arrivals:
        for kind, needed in arrival.needs.items():
            for oid in needed:
                if kinds.get(oid) != kind:
                    _check_one(objects, kinds, oid, kind, "something of it needs")


def _check_one(objects: Objects, kinds: dict[Oid, str], oid: Oid, kind: str, why: str) -> None:
    found = kinds.get(oid) or _kind_here(objects, oid, kind)
    if not found:
        raise Trouble(f"{why} the {kind or 'object'} {oid.hex()}, which did not come and is not here", _HINT)
    if kind and found != kind:
        raise Trouble(f"{why} a {kind}, but {oid.hex()} is a {found}", _HINT)


def _kind_here(objects: Objects, oid: Oid, kind: str) -> str:
    """The kind of an object of ours, empty if it is not here. A blob is only looked for: values are read one by one,
    and one that turns out to be something else spoils no other.
    """
    if kind == "tree" and oid == EMPTY_TREE:
        return kind
    if not objects.contains(oid):
        return ""
    if kind == "blob":
        return kind
    try:
        if kind == "tree":
            objects.tree(oid)
            return kind
        return objects.read(oid)[0]
    except StorageError as error:
        words = f"our own copy of the {kind} {oid.hex()} cannot be read: {error}"
        raise Trouble(words, "run `gitmem doctor`") from None


def _publish(repository: Repository, arrival: Arrival) -> None:
    folder = os.path.join(repository.git_dir, "objects", "pack")
    index = arrival.path.removesuffix(".pack") + ".new-idx"
    target = os.path.join(folder, f"pack-{arrival.checksum.hex()}")
    try:
        os.makedirs(folder, exist_ok=True)
        with open(index, "wb") as file:
            write_index(file, arrival.entries, arrival.checksum)
        for path in (arrival.path, index):
            os.chmod(path, 0o444)
            if repository.durable:
                sync_path(path)
        os.rename(arrival.path, target + ".pack")
        os.rename(index, target + ".idx")  # last: a pack without an index is invisible
        if repository.durable:
            sync_path(folder)
    except OSError as error:
        raise storage_error(error, folder) from error
