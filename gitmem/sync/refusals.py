"""What is not taken from the other side: what is no memory, and a branch that lost what it once held.

Knows one repository and the names of things; does not know when it is asked.
Law: what a branch there held is kept here before anybody is told that it is gone there, and each choice that is told
is a command that works as it stands.
"""

from __future__ import annotations

from collections.abc import Collection

from gitmem.errors import FormatError, InvalidPolicyError, RemoteError, UnknownRevisionError, typed
from gitmem.objects import Oid, TooBig
from gitmem.place import POLICY_FILE
from gitmem.policy import GOOD_ONE, MAX_BYTES, PATH, parse_policy
from gitmem.remotes import Remote, shown
from gitmem.repository import Repository


def point(repository: Repository, ref: str, expected: Oid | None, new: Oid | None) -> None:
    """Move or remove (None) a ref of ours under the memory's lock, unless another process was quicker.

    Under the lock, what a killed sync left in the way is known for dead.
    """
    with repository.lock():
        options = {"locked": repository.locks, "durable": repository.durable}
        if new is not None:
            repository.refs.swap(ref, expected, new, **options)
        elif expected is not None:
            repository.refs.delete(ref, expected, **options)


def check_memory(repository: Repository, remote: Remote, branch: str, head: Oid) -> None:
    """RemoteError unless the commit holds a memory that this gitmem can read: nothing of another is taken."""
    unfit = reason_against(repository, head)
    if unfit is None:
        return
    reason, hint = unfit
    address = shown(remote.url)
    if hint is None:
        hint = f"check the address {typed(address)} and the branch {typed(branch)}"
    else:
        there = f"`git clone -b {typed(branch)} {typed(address)} there`, mend {PATH}, commit and push"
        hint = f"{hint}\nit has to be corrected there: {there}".lstrip()
    raise RemoteError(f"nothing is taken from {remote.name}: {reason}", hint=hint, remote=remote.name, lasting=True)


def reason_against(repository: Repository, head: Oid) -> tuple[str, str | None] | None:
    """Why the commit is no memory for us, and what is to be mended in its gitmem.toml, if there is one."""
    found = repository.objects.tree(repository.objects.commit(head).tree).get(POLICY_FILE)
    if found is None:
        return f"it holds no memory: {PATH} is missing", None
    try:
        parse_policy(repository.objects.blob(found[1], limit=MAX_BYTES))
    except TooBig:
        return f"its {PATH} is larger than {MAX_BYTES} bytes", "it has to become smaller"
    except (FormatError, InvalidPolicyError) as error:
        return error.message, error.hint.removesuffix(GOOD_ONE).rstrip()
    return None


def rewritten(repository: Repository, remote: Remote, branch: str, known: Oid, theirs: Oid) -> RemoteError:
    """Their history no longer holds what it held: nothing of it is taken."""
    kept = _rescued(repository, remote, branch, known)
    back = _push(repository, remote, branch, kept, "--force ")
    return RemoteError(
        f"the history of {branch} at {remote.name} was rewritten: it was at {known.hex()[:12]}, and what is there "
        f"now ({theirs.hex()[:12]}) does not come after it; what it held is kept as {kept}",
        hint=f"if that was a mistake, put it back there: `{back}`\n"
        f"if it is meant, `gitmem remote remove {typed(remote.name)}`, add it again and sync: both histories are\n"
        "merged, and what was taken out there comes back from here",
        remote=remote.name,
        lasting=True,
    )


def gone(repository: Repository, remote: Remote, branch: str, known: Oid) -> RemoteError:
    """They have removed the branch, which a push would make again."""
    kept = _rescued(repository, remote, branch, known)
    here = f", `gitmem branch --delete {typed(branch)}` removes it here too" if branch != "main" else ""
    return RemoteError(
        f"branch {branch} is gone at {remote.name}, where other branches are: it was at {known.hex()[:12]}, "
        f"which is kept as {kept}",
        hint=f"if that was a mistake, put it back there: `{_push(repository, remote, branch, kept, '')}`\n"
        f"if it is meant, nothing has to be done{here}\n"
        f"to send ours as a new branch, `gitmem remote remove {typed(remote.name)}`, add it again and sync",
        remote=remote.name,
        lasting=True,
    )


def nowhere(remote: Remote, branch: str, heads: Collection[str]) -> UnknownRevisionError:
    """Neither side has the branch."""
    has = f"{remote.name} has: {', '.join(sorted(heads)[:10])}" if heads else f"{remote.name} has no branch yet"
    return UnknownRevisionError(
        f"there is no branch {branch!r}, neither here nor at {remote.name}",
        hint=f"`gitmem branch {typed(branch)}` makes it here; {has}",
        revision=branch,
    )


def _rescued(repository: Repository, remote: Remote, branch: str, known: Oid) -> str:
    name = f"refs/gitmem/rescue/{remote.name}-{branch}-{known.hex()[:12]}"
    point(repository, name, None, known)
    return name


def _push(repository: Repository, remote: Remote, branch: str, kept: str, force: str) -> str:
    """The command by which a person puts a branch back there."""
    where = typed(str(repository.git_dir))
    return f"git -C {where} push {force}{typed(remote.name)} {typed(f'{kept}:refs/heads/{branch}')}"
