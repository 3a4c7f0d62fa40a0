"""The doctor: every examination in its order, from the outside in.

Knows the order alone: what blocks a repair is repaired first (locks before files, files before refs, objects before
trees), and what cannot be read is looked at no further.
Law: the examination finishes, whatever is broken; without `repair` it changes nothing.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitmem import place as places
from gitmem.errors import GitmemError, NotAMemoryError
from gitmem.index import audit
from gitmem.maintenance import damage, heads, leftovers, mending, surroundings
from gitmem.maintenance.findings import Chart, Confirm, DoctorReport, never
from gitmem.objects import Oid
from gitmem.place import POLICY_FILE, Place
from gitmem.repository import Repository
from gitmem.vault import Vault

if TYPE_CHECKING:
    from gitmem.memory import Memory


def doctor(
    subject: str | os.PathLike[str] | Place | Memory, *, repair: bool = False, confirm: Confirm = never
) -> DoctorReport:
    """Examine a memory, named by its path or open already, and mend it if `repair`.

    Works on one that is too broken to be opened. What only a person can judge is asked by `confirm`, once for each
    thing; it gets a question and answers yes or no. NotAMemoryError if there is nothing that ever was a memory.
    """
    where = _place(subject)
    if not where.git_dir.is_dir():
        raise NotAMemoryError(
            f"there is no memory at {where.path}",
            hint="create one with `gitmem init`, or name another with --store",
            path=str(where.path),
        )
    chart = Chart(where, repair=repair, confirm=confirm, now=time.time())
    leftovers.examine(chart)
    if surroundings.examine(chart):
        try:
            if damage.examine_packs(chart):
                _inside(chart, Repository(where))
        except (GitmemError, OSError) as error:
            hint = getattr(error, "hint", "") or "look at what was found before this"
            chart.error("unreadable", f"the examination ended here: {error}", hint)
    return chart.report()


def _place(subject: str | os.PathLike[str] | Place | Memory) -> Place:
    if isinstance(subject, Place):
        return subject
    if not isinstance(subject, str | os.PathLike):
        return subject.vault.repository.place
    where = places.place(subject)
    given = Path(subject).absolute()
    if not where.git_dir.is_dir() and (given / "objects").is_dir():  # a bare repository without its HEAD, or refs
        return Place(given, given, given / "gitmem" / "derived", given / "gitmem" / "local")
    return where


def _inside(chart: Chart, repository: Repository) -> None:
    refs = heads.examine(chart, repository)
    damage.examine(chart, repository, refs)
    vault = Vault(repository, clock=lambda: datetime.now(UTC), committer=None)
    memories = {}
    for name, oid in refs.items():
        if name.startswith(heads.BRANCHES):
            branch = name.removeprefix(heads.BRANCHES)
            if branch == "main" or _is_memory(repository, oid):
                mending.examine(chart, vault, branch)
                memories[branch] = repository.head(branch)
    _index(chart, repository, memories)


def _is_memory(repository: Repository, oid: Oid) -> bool:
    """Branches of an ordinary project may lie beside a memory's."""
    try:
        return POLICY_FILE in repository.objects.tree(repository.objects.commit(oid).tree)
    except GitmemError:
        return False


def _index(chart: Chart, repository: Repository, memories: dict[str, Oid]) -> None:
    path = repository.derived / "index.sqlite3"
    if not path.exists():
        return
    if not os.access(path, os.W_OK) or not os.access(repository.derived, os.W_OK):
        chart.note("index-not-checked", f"{path} is not writable, so it was not compared with git", "")
        return

    def rebuild() -> str:
        from gitmem.index import Index

        audit.discard(str(path))
        index = Index(str(path), repository.objects)
        try:
            for head in memories.values():
                index.catch_up(head)
        finally:
            index.close()
        return "deleted it and built it anew"

    try:
        wrong = audit.check(str(path), repository.objects, memories.values())
    except GitmemError as error:
        chart.note("index-not-checked", f"{path} was not compared with git: {error}", "repair the objects first")
        return
    if wrong:
        chart.error("index", f"{path} is wrong: {wrong}", "`gitmem doctor --repair` builds it anew", rebuild)
