"""The command undo: taking one run back, without what others wrote.

Knows how a plan to undo is told; what is taken back, and what stands against it, is decided by `memory.undo`.
Law: --dry-run tells what would happen and writes nothing; exit 4 says that others wrote at the same places, and that
nothing was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitmem.cli.command import Place, sessions_like, verb
from gitmem.cli.failures import EXIT_CODES
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import compact, counted, hint, line, note, paint, short, write, write_json
from gitmem.cli.past import difference
from gitmem.entries import ABSENT, format_time
from gitmem.errors import ConflictError, typed

if TYPE_CHECKING:
    from gitmem.runs.told import UndoConflict, Undone

_CONFLICT = dict(EXIT_CODES)[ConflictError]
_MOST = 30
_CHOICES = click.Choice(["fail", "keep", "undo"])


@verb("undo")
@click.argument("run", metavar="SESSION|REV|A..B", shell_complete=sessions_like)
@click.option("--keys", metavar="PATTERN", help="Only what the run made of keys that match this glob.")
@click.option("--dry-run", is_flag=True, help="Tell what would change, and where others wrote since; write nothing.")
@click.option("--on-conflict", type=_CHOICES, default="fail", show_default=True, metavar="fail|keep|undo", help="Where "
              "others changed the same place since: write nothing at all, keep what they wrote (it counts as settled "
              "then), or let what stood before the run win.")  # fmt: skip
@click.option("--message", "-m", metavar="TEXT", help="The commit's subject: one line.")
@click.pass_context
def undo(
    ctx: click.Context, place: Place, as_json: bool, run: str, keys: str | None, dry_run: bool, on_conflict: str,
    message: str | None,
) -> None:  # fmt: skip
    """Take back what one run changed, and nothing else.

    It is one new commit, and can be undone as well.

    A run is a SESSION (all its commits), a REV (one commit), or A..B (what B's history has and A's has not). What
    others wrote in between and later stays, also inside the same value. All namespaces, unless one is named.

    \b
    gitmem undo session-20260101-101500-docs --dry-run     what would change?
    gitmem undo session-20260101-101500-docs --keys 'swarm/**'
    gitmem undo HEAD                                       the last commit
    gitmem undo REV                                        REV is an undo: it brings the run back

    What is undone already is not undone again. A session's own keys (session/ID/... in `coordination`), what it set in
    gitmem.toml, and all history stay. Where a merge left a place open between the run and somebody else (`gitmem
    conflicts`), it is told as changed since: --on-conflict undo lets the other's value stand and settles it.
    `gitmem restore PATTERN --at REV` brings back how keys were, others' work or not.
    """
    memory = reading(place) if dry_run else writing(place, create=False)
    try:
        done = memory.undo(
            run, keys=keys, namespace=place.only, on_conflict=on_conflict, dry_run=dry_run, message=message
        )
    except ConflictError as error:
        _list(error, as_json)
        raise
    refused = bool(done.conflicts) and dry_run and on_conflict == "fail"
    if as_json:
        write_json(done.to_json())
    else:
        _tell(run, done, _narrowed(keys, place.only), dry_run=dry_run, on_conflict=on_conflict)
    if refused:
        ctx.exit(_CONFLICT)


def _list(error: ConflictError, as_json: bool) -> None:
    """Every place that keeps the run from being taken back; the error itself is a sentence about the first of them."""
    conflicts: tuple[UndoConflict, ...] = getattr(error, "conflicts", ())
    if as_json:
        write_json({"revision": None, "conflicts": [one.to_json() for one in conflicts]})
    else:
        for one in conflicts:
            write(_conflict(one))


def _tell(run: str, done: Undone, narrowed: str, *, dry_run: bool, on_conflict: str) -> None:
    for change in done.changes if dry_run else done.changes[:_MOST]:
        write(difference(change))
    if not dry_run and len(done.changes) > _MOST:
        revision = short(done.revision or "")
        write(f"… and {len(done.changes) - _MOST} more: `gitmem diff {revision}^ {revision}` shows all")
    for conflict in done.conflicts:
        write(_conflict(conflict))
    changed = counted(len(done.changes), "key")
    if done.revision is not None:
        write(f"undone {line(run)}: {changed} changed, {short(done.revision)}")
        if not done.changes and not done.conflicts:
            hint("every value was already as it was before; the commit says that the run is undone")
    elif not done.versions:
        _nothing_stood(run, done, narrowed)
    elif not done.changes and not done.conflicts:
        hint("every value is already as it was before")
    _say_conflicts(done, dry_run=dry_run, on_conflict=on_conflict)
    if dry_run and done.changes and not (done.conflicts and on_conflict == "fail"):
        hint(f"{changed} would change; nothing was written: without --dry-run it is")


def _narrowed(keys: str | None, namespace: str | None) -> str:
    """The options that narrow an undo, as they can be typed."""
    options = (("--keys", keys), ("--namespace", namespace))
    return " ".join(f"{name} {line(typed(text))}" for name, text in options if text is not None)


def _nothing_stood(run: str, done: Undone, narrowed: str) -> None:
    if done.already:
        by = ", ".join(short(one) for one in done.already[:5])
        hint(f"nothing was written: {run} is undone already, by {by}; `gitmem undo {short(done.already[0])}` "
             "brings it back")  # fmt: skip
    elif narrowed:
        hint(f"nothing was written: {run} made no version of a key that fits {narrowed}; --dry-run without it shows "
             "those that it made")  # fmt: skip
    else:
        hint(f"nothing was written: {run} made no version of a key that could be taken back; `gitmem log` shows it")


def _say_conflicts(done: Undone, *, dry_run: bool, on_conflict: str) -> None:
    if not done.conflicts:
        return
    places = counted(len(done.conflicts), "place")
    opened = next((one for one in done.conflicts if one.record is not None), None)
    if opened is not None and on_conflict != "undo":
        hint(f"settle open conflicts first: `gitmem resolve {opened.record} --take {opened.take}`; --on-conflict undo "
             "does this as well")  # fmt: skip
    if on_conflict == "fail":
        hint(f"{places} changed since, so nothing would be written: --on-conflict keep leaves these as they are, undo")
        hint("lets what stood before the run win; --keys PATTERN takes back a part")
    else:
        would = "would be " if dry_run else ""
        rest = "" if done.changes or dry_run or done.revision else "; nothing was written"
        note(f"{places} changed since: {would}{'left as it is now' if on_conflict == 'keep' else 'overruled'}{rest}")


def _conflict(one: UndoConflict) -> str:
    """A place that the run changed and somebody else since."""
    at = f" {line(one.pointer)}" if one.pointer else ""
    who = f"{line(one.agent)}, {format_time(one.time)}, {short(one.revision)}"
    lines = [paint(f"! {line(one.namespace)} {line(one.key)}{at}", "magenta")]
    if one.record is None:
        ends = (("it is now", one.ours, f"  (by {who})"), ("it was", one.theirs, ""))
    else:
        lines[0] += f": conflict {line(one.record)} of a merge is open"
        ends = (("it is now", one.ours, ""), ("the other", one.theirs, f"  (by {who})"))
    sides = (("the run left", one.base, ""), *ends)
    lines += (
        f"    {words:13}{'absent' if value is ABSENT else compact(value)}{more}" for words, value, more in sides
    )
    return "\n".join(lines)
