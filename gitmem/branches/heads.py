"""The branches of a memory: listing, making and removing them.

Knows refs; does not know what a branch holds.
Law: a branch is made and removed by compare-and-swap, as it is moved.
"""

from __future__ import annotations

from gitmem.errors import ConflictError
from gitmem.objects import Oid
from gitmem.refs import branch_ref
from gitmem.repository import Repository

_HEADS = "refs/heads/"
MAIN = "main"


def listing(repository: Repository) -> dict[str, Oid]:
    """Every branch and its head, by name."""
    refs = repository.refs.all()
    return {name[len(_HEADS) :]: refs[name] for name in sorted(refs) if name.startswith(_HEADS)}


def create(repository: Repository, name: str, at: Oid) -> None:
    """A new branch at this commit; ConflictError if there is one of this name at another."""
    ref = branch_ref(name)
    with repository.lock():
        _check_beside(repository, name)
        if repository.refs.swap(ref, None, at, locked=repository.locks, durable=repository.durable):
            return
    there = repository.head(name)
    if there != at:
        raise ConflictError(
            f"there is a branch {name} already, at {there.hex()[:12]}",
            hint=f"take another name; `gitmem merge --branch {name} …` moves it on",
            namespace="",
            key="",
        )


def _check_beside(repository: Repository, name: str) -> None:
    """ConflictError if a branch is named like a folder of this one, or the other way round: git has room for one."""
    for one in listing(repository):
        if one.startswith(f"{name}/") or name.startswith(f"{one}/"):
            raise ConflictError(
                f"there cannot be a branch {name} beside branch {one}",
                hint="take another name: to git one is a file where the other is a folder",
                namespace="",
                key="",
            )


def remove(repository: Repository, name: str) -> Oid:
    """Remove a branch, not `main`; where it was. UnknownRevisionError if there is none, StorageError in a worktree."""
    if name == MAIN:
        raise ConflictError(
            "the branch main is the memory itself: it is not removed",
            hint="another branch is removed by its name; `gitmem delete` deletes keys",
            namespace="",
            key="",
        )
    repository.check_writable(name)
    with repository.lock():
        head = repository.head(name)
        if not repository.refs.delete(branch_ref(name), head, locked=repository.locks, durable=repository.durable):
            raise ConflictError(f"branch {name} has just moved", hint="try again", namespace="", key="")
    return head
