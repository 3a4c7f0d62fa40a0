"""A new memory that begins with what another copy has.

Knows a memory that nobody sees yet; does not know how it comes about, nor what is done if this fails.
Law: an empty remote is as good as a new memory.
"""

from __future__ import annotations

from collections.abc import Callable

from gitmem.errors import RemoteError
from gitmem.place import Place
from gitmem.refs import branch_ref
from gitmem.remotes import Remote, add, tracking_ref
from gitmem.repository import Repository
from gitmem.sync.refusals import check_memory
from gitmem.transport import Transport


def begin(place: Place, remote: Remote, branch: str, connect: Callable[[Repository, Remote], Transport]) -> None:
    """Fill a memory that nobody sees yet with a remote's branch, and remember the remote.

    RemoteError if it has branches, but not this one, or no memory. Its other branches come with the first sync.
    """
    repository = Repository(place)
    add(repository, remote.name, remote.url)
    transport = connect(repository, remote)
    heads = transport.heads()
    theirs = heads.get(branch)
    if theirs is None:
        if not heads:
            return
        raise RemoteError(
            f"{remote.name} has no branch {branch}",
            hint=f"it has: {', '.join(sorted(heads)[:10])}; choose with --branch",
            remote=remote.name,
            lasting=True,
        )
    transport.fetch([theirs])
    check_memory(repository, remote, branch, theirs)
    refs, durable = repository.refs, repository.durable
    refs.swap(branch_ref(branch), refs.read(branch_ref(branch)), theirs, locked=False, durable=durable)
    refs.swap(tracking_ref(remote.name, branch), None, theirs, locked=False, durable=durable)
