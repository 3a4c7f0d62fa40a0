"""gc under its lock, and its start in the background when a write finds it due.

Knows the gc lock, where the git program is and how a process is begun; what becomes a pack is `packing`'s.
Law: care never makes a write fail or wait. A gc that cannot be started is left alone; one that is at work already
is enough.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from gitmem.errors import ContentionError
from gitmem.locking import beside_git_gc
from gitmem.loose import discard
from gitmem.packing import GcReport, collect, needs_gc, stale_temporaries
from gitmem.repository import Repository

if TYPE_CHECKING:
    import subprocess

EVERY = 64
"""A process looks whether gc is due at its first write and then at each 64th: a look costs some 30 µs."""
TWO_WEEKS = 14 * 24 * 3600.0
PAUSE = 900.0
"""Seconds for which gc does not start by itself after one that packed nothing for want of readable objects."""

_NO = ("false", "no", "off", "0")
_TROUBLE = "gc.trouble"
_PATIENCE = 5.0
_starting = threading.Lock()
_begun = 0  # the process id whose background gc runs: a forked child has none


def gc(repository: Repository, *, full: bool = False, auto: bool = False) -> GcReport:
    """Pack this memory, unless another process is at it: then the report's `trouble` says so.

    `auto` does nothing below the threshold. Readers and writers go on meanwhile. StorageError when the disk refuses.
    """
    git_dir = str(repository.git_dir)
    with repository.maintenance_lock() as free, beside_git_gc(git_dir) as alone:
        if not free or not alone:
            return _nothing(repository, "another process is packing this memory; there is nothing to do")
        if auto and not needs_gc(git_dir):
            return _nothing(repository, "")
        clear_drafts(repository)
        for path in stale_temporaries(git_dir, TWO_WEEKS, time.time()):
            discard(str(path))
        import shutil

        heads = repository.refs.all().values()
        report = collect(
            git_dir, repository.objects, heads, git=shutil.which("git"), full=full, durable=repository.durable
        )
        _remember(repository, report)
    return report


def _nothing(repository: Repository, trouble: str) -> GcReport:
    loose, packs = sum(1 for _ in repository.objects.loose_ids()), len(repository.objects.packs())
    return GcReport(loose, loose, packs, packs, 0, trouble)


def _remember(repository: Repository, report: GcReport) -> None:
    """Leave word for `after_write` if another gc would be as futile as this one."""
    path = os.path.join(repository.local, _TROUBLE)
    futile = not report.packed and (report.trouble or report.damaged) and needs_gc(str(repository.git_dir))
    if not futile:
        discard(path)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(report.trouble or f"{report.damaged} loose objects cannot be read")


# --- what dead writers left ---


class Abandoned(NamedTuple):
    """A draft of a writer that died, and the branch's lock file that it had made of it, if it got so far."""

    draft: str
    lock: str | None


def abandoned(git_dir: str, local: str) -> list[Abandoned]:
    """The drafts whose writers died. Only whoever holds the memory's lock may ask: then no such writer lives."""
    drafts: dict[tuple[int, int], str] = {}
    for name in _names(local):
        if name.startswith("publish-"):
            path = os.path.join(local, name)
            try:
                found = os.stat(path)
            except FileNotFoundError:
                continue
            drafts[found.st_dev, found.st_ino] = path
    locks = dict(_linked(git_dir, drafts)) if drafts else {}
    return [Abandoned(path, locks.get(path)) for path in drafts.values()]


def clear_drafts(repository: Repository) -> int:
    """Remove what dead processes left in `local/`; how many things. Drafts stay while the lock cannot be had."""
    from gitmem.transport.transit import clear_transits

    cleared = clear_transits(str(repository.local))
    if not repository.locks:
        return cleared
    try:
        with repository.lock(timeout=_PATIENCE):
            found = abandoned(str(repository.git_dir), str(repository.local))
            for one in found:
                clear(one)
    except ContentionError:
        return cleared
    return cleared + len(found)


def clear(one: Abandoned) -> None:
    """Remove a dead writer's lock file and draft, in this order: the draft is the proof of whose the lock is."""
    if one.lock is not None:
        discard(one.lock)
    discard(one.draft)


def _linked(git_dir: str, drafts: dict[tuple[int, int], str]) -> Iterator[tuple[str, str]]:
    """The lock files that are links of these drafts: of refs, and of git's own files beside them."""
    beside: list[tuple[str, list[str], list[str]]] = [(git_dir, [], _names(git_dir))]
    for folder, _, files in itertools.chain(beside, os.walk(os.path.join(git_dir, "refs"))):
        for name in files:
            if name.endswith(".lock"):
                path = os.path.join(folder, name)
                try:
                    found = os.stat(path)
                except FileNotFoundError:
                    continue
                if found.st_nlink > 1 and (found.st_dev, found.st_ino) in drafts:
                    yield drafts[found.st_dev, found.st_ino], path


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


# --- by itself ---


def after_write(repository: Repository) -> None:
    """Begin a gc in the background if one is due. Never raises, never blocks; does nothing most of the time."""
    repository.published += 1
    if repository.published % EVERY == 1 and wanted(repository):
        begin(repository)


def wanted(repository: Repository) -> bool:
    """Whether gc should begin by itself now: it is due, not turned off, and would not be futile."""
    if repository.config.get("gitmem.autogc", "true").lower() in _NO or not needs_gc(str(repository.git_dir)):
        return False
    try:
        return time.time() - os.stat(os.path.join(repository.local, _TROUBLE)).st_mtime > PAUSE
    except OSError:
        return True


def begin(repository: Repository) -> bool:
    """Start `gitmem gc --auto` detached from this process, as `git gc --auto` does; False if it was not started.

    One at a time for each process, and none while anybody's gc is at work.
    """
    global _begun
    import subprocess

    if not _is_python(sys.executable) or not _starting.acquire(blocking=False):
        return False
    try:
        if _begun == os.getpid():
            return False
        with repository.maintenance_lock() as free:
            if not free:
                return False
        process = subprocess.Popen(
            [sys.executable, "-m", "gitmem", "--store", str(repository.place.path), "gc", "--auto"],
            cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),  # where this package is found again
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except Exception:  # no memory for another process, no such folder, no right to lock
        return False
    else:
        _leave(process)
        return True
    finally:
        _starting.release()


def _is_python(executable: str | None) -> bool:
    """Whether the interpreter is a program of its own: a program that embeds it would be started once more."""
    return os.path.basename(executable or "").lower().startswith(("python", "pypy"))


def _leave(process: subprocess.Popen[bytes]) -> None:
    """Let a thread take the child's end, so that it leaves no zombie."""
    global _begun

    def wait() -> None:
        global _begun
        process.wait()
        _begun = 0

    try:
        _begun = os.getpid()
        threading.Thread(target=wait, name="gitmem-gc", daemon=True).start()
    except RuntimeError:  # this process is at its end: whoever inherits its children waits for this one
        process.returncode = _begun = 0
