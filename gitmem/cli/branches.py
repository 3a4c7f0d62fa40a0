"""The commands about branches and what their merges left open: branch, merge, conflicts, resolve.

Knows what is typed and what is printed; a merge is `Memory.merge`'s.
Law: a merge that recorded conflicts exits with 4, as a write that met one does: somebody has to look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli import values
from gitmem.cli.command import Place, verb
from gitmem.cli.failures import Misused
from gitmem.cli.opening import MAIN, reading, writing
from gitmem.cli.output import compact, counted, hint, line, short, write, write_json, write_table
from gitmem.cli.writes import tell_versions
from gitmem.entries import ABSENT
from gitmem.errors import MergeConflictError, UnknownRevisionError

if TYPE_CHECKING:
    from gitmem.branches import KeyResult, Merge, Record, Side
    from gitmem.memory import Memory

CONFLICT = 4
_TAKES = ("winner", "other", "base")
_NO_TAKES = {"ours", "theirs", "mine", "yours", "now", "absent"}  # words of git, and of this program's own output
_PROBLEMS = {
    "key": "came in under a name that is no key",
    "value": "came in and is no value",
    "contract": "came in and breaks a contract",
}


@verb("branch")
@click.argument("name", required=False)
@click.argument("at", required=False)
@click.option("--delete", is_flag=True, help="Remove the branch; what no other one holds goes with a later gc.")
def branch(place: Place, as_json: bool, name: str | None, at: str | None, delete: bool) -> None:
    """List the branches, make one, or remove one.

    Without NAME the branches are listed. A new one begins AT a revision, else at the head of the branch in use. Every
    command works on another branch with --branch.
    """
    if delete:
        if name is None or at is not None:
            raise Misused("--delete takes the name of one branch", hint="gitmem branch --delete NAME")
        was = writing(place, create=False, signs=False).delete_branch(name)
        write_json({"name": name, "revision": was}) if as_json else write(
            f"removed branch {line(name)}, which was at {short(was)}"
        )
    elif name is None:
        memory = reading(place)
        found = memory.branches()
        if as_json:
            write_json([{"name": one, "revision": head} for one, head in found.items()])
        else:
            used = place.branch or MAIN
            write_table([("*" if one == used else " ", one, short(head)) for one, head in found.items()])
    else:
        made = writing(place, signs=False).branch(name, at)
        head = made.snapshot
        write_json({"name": name, "revision": head}) if as_json else write(f"branch {line(name)} is at {short(head)}")


@verb("merge")
@click.argument("revision", metavar="BRANCH")
@click.option("--dry-run", is_flag=True, help="Show what would become of each key, and write nothing.")
@click.pass_context
def merge(ctx: click.Context, place: Place, as_json: bool, revision: str, dry_run: bool) -> None:
    """Take a branch, or any revision, into this branch.

    Keys that one side changed are taken; values that both changed are merged member by member, as the rules of
    gitmem.toml say. What remains in conflict goes to the later writer and is kept in the namespace `conflicts`:
    `gitmem conflicts` lists it, the exit code is 4.
    """
    memory = writing(place, create=False)
    try:
        done = memory.merge(revision, dry_run=dry_run)
    except UnknownRevisionError as error:
        raise _no_branch(error, revision, place, memory) from None
    if as_json:
        write_json(done.to_json())
    else:
        tell_merge(done, dry_run=dry_run)
    if done.conflicts:
        ctx.exit(CONFLICT)


def _no_branch(error: UnknownRevisionError, name: str, place: Place, memory: Memory) -> UnknownRevisionError:
    """The same error, where a branch was looked for: another copy may have it."""
    hints = [f"`gitmem branch` lists the branches; {error.hint}"]
    for remote in memory.remotes():
        branch = name.removeprefix(f"{remote.name}/")
        where = "" if place.store is None else f" --store {quote(place.store)}"
        take = f"gitmem merge {quote(f'{remote.name}/{branch}')}{where}"
        hints.append(f"if {remote.name} has it: `gitmem sync {quote(remote.name)}{where}`, then `{take}`")
    return UnknownRevisionError(error.message, hint="\n".join(hints), revision=error.revision)


def tell_merge(done: Merge, *, dry_run: bool) -> None:
    """Print what a merge did, key by key, or would do."""
    if done.before == done.revision:
        write("already up to date")
        return
    word = f"{'would be ' if dry_run else ''}{'merged' if done.merged else 'fast-forwarded'}"
    tell_results(done.keys, f"{word} to {short(done.revision)}")
    if done.conflicts and not dry_run:
        hint(f"{counted(len(done.conflicts), 'conflict')} left to a person: `gitmem conflicts`, then `gitmem resolve`")


def tell_results(keys: Iterable[KeyResult], heading: str, *, unchanged: str = "unchanged") -> None:
    """Print a line for each key that became something else here, and how many of each kind there were."""
    rows = [(one.result, one.namespace, one.key) for one in keys]
    write_table([row for row in rows if row[0] != "unchanged"])
    counts = Counter(result for result, _, _ in rows)
    words = {"unchanged": unchanged, "conflict": "in conflict"}
    said = ", ".join(f"{counts[one]} {words.get(one, one)}" for one in sorted(counts))
    write(f"{heading}{': ' + said if said else ''}")


@verb("conflicts")
def conflicts(place: Place, as_json: bool) -> None:
    """List what merges left to a person.

    For each its id, the key and the place in the value, then the winner, which the merge put there, the other side, and
    the base that both began with: whose value, by whom and when. `gitmem resolve` settles it.
    """
    found = [one for one in reading(place).conflicts() if place.only in (None, one.namespace)]
    if as_json:
        write_json([{"id": one.id, **one.to_json()} for one in found])
        return
    for one in found:
        where = f"{line(one.key)}{' ' + line(one.pointer) if one.pointer else ''} in {line(one.namespace or '-')}"
        write(f"{one.id}  {where}")
        if one.problem is not None:
            problem = _PROBLEMS.get(one.problem, f"came in and breaks a rule ({line(one.problem)})")
            said = "" if one.sides[0].value is ABSENT else f": {compact(one.sides[0].value)}"
            write(f"  {problem}{said}  ({_author(one.sides[0])})")
            continue
        write(f"  winner  {_said(one.sides[0])}")
        write(f"  other   {_said(one.sides[1])}")
        write(f"  base    {'absent' if one.base is ABSENT else compact(one.base)}")
    if found:
        hint("gitmem resolve ID --take winner|other|base|VALUE")
    else:
        hint("there are no open conflicts")


def _said(side: Side) -> str:
    value = "absent" if side.value is ABSENT else compact(side.value)
    return f"{value}  ({_author(side)})"


def _author(side: Side) -> str:
    return f"by {line(side.agent)}, {line(side.time)}, {short(side.revision)}"


@verb("resolve")
@click.argument("what", metavar="ID|KEY", shell_complete=lambda ctx, _, text: _open_ids(ctx, text))
@click.option("--take", required=True, metavar="winner|other|base|VALUE", help="What stands there from now on; a VALUE "
              "is read as `gitmem store` reads one.")  # fmt: skip
@click.option("--message", "-m", metavar="TEXT", help="The commit's subject: one line.")
def resolve(place: Place, as_json: bool, what: str, take: str, message: str | None) -> None:
    """Settle a conflict.

    By its id, or all conflicts of a key. The choice is for the place in conflict; what was written since stays. The
    record is deleted in the same commit, and the conflict does not come back.
    """
    memory = writing(place, create=False)
    choice = {"take": take} if take in _TAKES else {"value": _typed(take)}
    try:
        done = memory.resolve(what, message=message, **choice)
    except MergeConflictError as error:
        space = f" -n {quote(place.namespace)}" if place.namespace else ""
        error.hint = f"to keep what was written since: `gitmem resolve {quote(what)} --take winner{space}`;\n" \
                     "to change it, store the value first, then settle the conflict so"  # fmt: skip
        raise
    tell_versions(done, as_json, {"deleted": "settled"}, nothing="nothing changed")


def _typed(take: str) -> Any:
    """The VALUE of --take; a slip of the keyboard in one of its words, or git's word for it, is not stored as text."""
    from difflib import get_close_matches

    wanted = values.parse(take)
    near = get_close_matches(take, _TAKES, n=1, cutoff=0.75) if wanted == take else []
    if near or take in _NO_TAKES:
        meant = f"did you mean {near[0]}?" if near else "winner is what the merge put there, other the other side;"
        raise Misused(f"--take {take} names no side", hint=f"{meant} a text of that name is '{compact(take)}'")
    return wanted


def _open_ids(ctx: click.Context, text: str) -> list[Any]:
    """For a shell's completion: the ids of open conflicts."""
    from gitmem.errors import GitmemError

    try:
        found: list[Record] = reading(ctx.ensure_object(Place)).conflicts()
    except GitmemError:
        return []
    return [one.id for one in found if one.id.startswith(text)]
