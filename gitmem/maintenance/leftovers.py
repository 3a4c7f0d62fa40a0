"""What died and left its things lying about: lock files, drafts, half-written objects, half-built memories.

Knows whose each is by name and inode; does not read what is in it.
Law: the lock file of a dead gitmem is removed once the memory's own lock proves its death. One of another program
is never removed without a yes, since nothing proves anything about it but its age.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from functools import partial

from gitmem.errors import ContentionError, StorageError
from gitmem.locking import exclusive
from gitmem.maintenance.findings import Chart, aged
from gitmem.packing import stale_temporaries
from gitmem.transport.transit import abandoned_transits, clear_transit
from gitmem.upkeep import Abandoned, abandoned, clear

HOUR = 3600.0
"""Half-written files younger than this may belong to a writer that is at work."""
GRACE = 10.0
"""A foreign lock younger than this is somebody at work: writers wait so long for it."""

_PATIENCE = 10.0
_UNFINISHED = re.compile(r"\.new-[0-9a-f]{12}")


def examine(chart: Chart) -> None:
    """Look for locks first of our dead, then of others; then for files that nobody will finish."""
    _dead_writers(chart)
    for path in sorted(_lock_files(str(chart.where.git_dir))):
        _foreign_lock(chart, path)
    for path in _half_written(chart):
        age = aged(chart.now - _modified(path, chart.now))
        message = f"{path} was half written by a process that died, {age} ago"
        chart.note("half-written", message, "`gitmem doctor --repair` removes it", partial(_removed, path))


def _dead_writers(chart: Chart) -> None:
    """Drafts made under the memory's lock, seen while we hold it: their writers are dead. And what was on its way
    to or from another copy, under a lock of its own that nobody holds.
    """
    if not chart.where.local.is_dir() or not os.access(chart.where.local, os.W_OK):
        return
    for path in abandoned_transits(str(chart.where.local)):
        message = f"{path} is what a gitmem that was killed was fetching or sending"
        hint = "`gitmem gc` removes it, as does `gitmem doctor --repair`"
        chart.note("dead-transit", message, hint, partial(_removed_transit, path))
    try:
        with exclusive(str(chart.where.local / "lock"), timeout=_PATIENCE):
            for one in abandoned(str(chart.where.git_dir), str(chart.where.local)):
                _dead_writer(chart, one)
    except (ContentionError, StorageError) as error:
        chart.warning("lock-busy", f"drafts of dead writers were not looked for: {error}", error.hint)


def _dead_writer(chart: Chart, one: Abandoned) -> None:
    def remove() -> str:
        clear(one)
        return "removed it"

    if one.lock is not None:
        message = f"{one.lock} is the lock of a gitmem that was killed"
        chart.warning("dead-lock", message, "the next write removes it, as does `gitmem doctor --repair`", remove)
    else:
        message = f"{one.draft} is the draft of a gitmem that was killed"
        chart.note("dead-draft", message, "`gitmem gc` removes it, as does `gitmem doctor --repair`", remove)


def _removed_transit(path: str) -> str:
    return "removed it" if clear_transit(path) else "it is at work after all"


def _lock_files(git_dir: str) -> Iterator[str]:
    """Git's lock files: not our own, and not in the folders of loose objects, where there are none."""
    for folder, folders, files in os.walk(git_dir):
        if folder == git_dir:
            folders[:] = [name for name in folders if name != "gitmem"]
        folders[:] = [name for name in folders if not re.fullmatch("[0-9a-f]{2}", name)]
        yield from (os.path.join(folder, name) for name in files if name.endswith(".lock"))


def _foreign_lock(chart: Chart, path: str) -> None:
    try:
        seen = os.stat(path)
    except FileNotFoundError:
        return
    age = chart.now - seen.st_mtime
    message = f"{path} is another program's lock, {aged(age)} old"
    hint = "if no git command is running there, `gitmem doctor --repair` removes it after asking"

    def remove() -> str:
        now = os.stat(path)
        if (now.st_ino, now.st_mtime_ns) != (seen.st_ino, seen.st_mtime_ns):
            raise StorageError("somebody made it anew meanwhile", hint="look again", path=path)
        os.unlink(path)
        return "removed it"

    question = f"{message}. Remove it? Only if no git command is running there"
    if age < GRACE:
        chart.note("lock", message, "somebody is at work; look again in a while")
    elif f"{os.sep}refs{os.sep}" in path:
        chart.error("foreign-lock", f"{message}: its branch cannot be written", hint, remove, question)
    else:
        chart.warning("foreign-lock", message, hint, remove, question)


def _half_written(chart: Chart) -> Iterator[str]:
    where = chart.where
    yield from map(str, stale_temporaries(str(where.git_dir), HOUR, chart.now))
    drafts = where.local.glob("free-*") if where.local.is_dir() else iter(())
    beside = (
        path
        for path in where.path.parent.glob(f"{where.path.name}.new-*")
        if _UNFINISHED.fullmatch(path.name.removeprefix(where.path.name))
    )
    for path in (*drafts, *beside):
        if chart.now - _modified(str(path), chart.now) > HOUR:
            yield str(path)


def _removed(path: str) -> str:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
    return "removed it"


def _modified(path: str, now: float) -> float:
    try:
        return os.lstat(path).st_mtime
    except FileNotFoundError:
        return now
