"""A folder of our own in `local/` for what is on its way, in or out; nothing in it is visible to anybody.

Knows the folder and its lock file; does not know what lies in it.
Law: it is gone when its work is over, however that ends; one that a killed process left is known by its lock, which
the kernel has given back, and is cleared away with the drafts of dead writers.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gitmem.locking import exclusive_or_none
from gitmem.loose import discard, storage_error
from gitmem.repository import Repository

PREFIX = "transit-"
_HOUR = 3600.0


@contextmanager
def transit(repository: Repository) -> Iterator[str]:
    """A new empty folder, on the file system of the objects, gone afterwards. StorageError when the disk refuses."""
    local = str(repository.local)
    folder = os.path.join(local, PREFIX + os.urandom(6).hex())
    try:
        os.makedirs(local, mode=0o700, exist_ok=True)
    except OSError as error:
        raise storage_error(error, local) from error
    with exclusive_or_none(folder + ".lock"):  # before the folder: a folder that nobody holds is a dead process's
        try:
            try:
                os.mkdir(folder, 0o700)
            except OSError as error:
                raise storage_error(error, local) from error
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            discard(folder + ".lock")


def abandoned_transits(local: str) -> list[str]:
    """The folders whose processes died."""
    found = []
    for path in _folders(local):
        with exclusive_or_none(path + ".lock") as free:
            if free:
                found.append(path)
    return found


def clear_transits(local: str) -> int:
    """Remove the folders whose processes died; how many."""
    cleared = sum(clear_transit(path) for path in _folders(local))
    for name in _names(local):
        path = os.path.join(local, name)
        if name.startswith(PREFIX) and name.endswith(".lock") and _is_old(path):
            discard(path)
    return cleared


def clear_transit(path: str) -> bool:
    """Remove one such folder; False if its process lives after all."""
    with exclusive_or_none(path + ".lock") as free:
        if free:
            shutil.rmtree(path, ignore_errors=True)
            discard(path + ".lock")
    return free


def _is_old(lock: str) -> bool:
    """Whether it is a lock without a folder, of a process that died between making the one and the other."""
    try:
        return not os.path.exists(lock.removesuffix(".lock")) and time.time() - os.stat(lock).st_mtime > _HOUR
    except FileNotFoundError:
        return False


def _folders(local: str) -> list[str]:
    names = (name for name in _names(local) if name.startswith(PREFIX) and not name.endswith(".lock"))
    return [os.path.join(local, name) for name in names]


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
