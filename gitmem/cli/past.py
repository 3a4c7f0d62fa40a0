"""The commands about the past: history, log, diff, blame, restore.

Knows how versions, commits and changes are printed; what they are is decided by `Memory`.
Law: colours say what happened (green came, red went, yellow changed), and everything is readable without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli import values
from gitmem.cli.command import Place, keys_like, verb
from gitmem.cli.failures import Misused
from gitmem.cli.opening import reading, session_named, writing
from gitmem.cli.output import (
    COLOURS,
    SIGNS,
    compact,
    counted,
    hint,
    line,
    on_terminal,
    paint,
    short,
    write,
    write_array,
    write_json,
    write_table,
)
from gitmem.cli.writes import tell_versions
from gitmem.entries import ABSENT, format_time
from gitmem.errors import UnknownRevisionError

if TYPE_CHECKING:
    from gitmem.entries import Change, CommitRecord
    from gitmem.memory import Memory

_RESTORED = {"created": "restored", "modified": "restored"}
_MOST_CHANGES = 30
_LIMIT = click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most so many.")


@verb("history")
@click.argument("key", shell_complete=keys_like)
@_LIMIT
def history(place: Place, as_json: bool, key: str, limit: int | None) -> None:
    """Show the versions of a key, newest first.

    Deletions are versions too. The columns: version, revision, time, agent, session, operation, value.
    """
    versions = reading(place).history(key, limit=limit)
    if as_json:
        write_array(one.to_json() for one in versions)
        return
    rows = [(str(one.version), *_who(one), one.operation, _side(one.value)) for one in versions]
    write_table(rows, [None, "yellow", None, "cyan"])


def _who(one: Any) -> tuple[str, str, str, str]:
    return short(one.revision), format_time(one.time), one.agent, one.session or "-"


def _side(value: Any) -> str:
    return "-" if value is ABSENT else compact(value)


@verb("log")
@click.argument("pattern", required=False)
@click.option("--of", metavar="SESSION", help="Only commits of this session: its name, a part of it, or `last`.")
@click.option("--by", metavar="AGENT", help="Only commits of this agent.")
@click.option("--since", metavar="REV", help="Only what is not in the history of this revision, session or time.")
@_LIMIT
def log(
    place: Place, as_json: bool, pattern: str | None, of: str | None, by: str | None, since: str | None,
    limit: int | None,
) -> None:  # fmt: skip
    """Show the commits, newest first, with the keys that each changed.

    With a glob PATTERN or --namespace: only commits that changed a matching key, and only those changes.
    """
    memory = reading(place)
    session = None if of is None else session_named(memory, of)
    found = memory.iter_log(session=session, agent=by, glob=pattern, since=since, namespace=place.only)
    tell_log(found, as_json, limit)


def tell_log(found: Iterator[CommitRecord], as_json: bool, limit: int | None) -> None:
    """Print commits, at most so many, one after the other."""
    from itertools import islice

    records = islice(found, limit)
    if as_json:
        write_array(record.to_json() for record in records)
        return
    empty = True
    for record in records:
        write(commit_lines(record))
        empty = False
    if empty:
        hint("no commit matches: `gitmem log` shows all of them")


def commit_lines(record: CommitRecord) -> str:
    """One commit, and under it the keys that it changed."""
    revision, time, agent, session = _who(record)
    title = f"{paint(revision, 'yellow')} {time} {paint(line(agent), 'cyan')}"
    title += f" in {line(session)}" if record.session else ""
    subject = record.message.partition("\n")[0]
    lines = [f"{title}  {line(subject)}", *(f"    {_headline(change)}" for change in record.changes[:_MOST_CHANGES])]
    left = len(record.changes) - len(lines) + 1
    return "\n".join([*lines, f"    … and {left} more: --json shows all" if left else ""]).rstrip()


def _headline(change: Change) -> str:
    return paint(f"{SIGNS[change.operation]} {line(change.namespace)} {line(change.key)}", COLOURS[change.operation])


@verb("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", required=False)
@click.argument("pattern", metavar="[PATTERN]", required=False)
def diff(place: Place, as_json: bool, before: str, after: str | None, pattern: str | None) -> None:
    """Show what differs between two revisions, key by key, member by member.

    A and B are revisions: commit ids, tags, sessions, times, HEAD~1. Without B: what differs from A to now. Of two
    arguments the second is B if it names a revision, otherwise it is the PATTERN. All namespaces, unless one is named.
    """
    memory = reading(place)
    refused = None if after is None or pattern is not None else _refused(memory, after)
    if refused is not None:
        after, pattern = None, after
    changes = memory.diff(before, after, pattern, namespace=place.only)
    if as_json:
        write_array(change.to_json() for change in changes)
    for change in [] if as_json else changes:
        write(difference(change))
    if refused is not None and not changes:
        hint(f"{pattern} names no revision and was taken for a pattern: no key that matches differs")
        hint(refused.hint)
    elif not changes:
        hint("no key differs")


def _refused(memory: Memory, text: str) -> UnknownRevisionError | None:
    """Why a text names no revision; None if it does."""
    try:
        memory.revision(text)
    except UnknownRevisionError as error:
        return error
    return None


def difference(change: Change) -> str:
    """One key before and after, member by member."""
    lines = [_headline(change)]
    for pointer, before, after in change.members:
        at = f"{line(pointer)}: " if pointer else ""
        if before is not ABSENT:
            lines.append(paint(f"    - {at}{_cut(compact(before))}", "red"))
        if after is not ABSENT:
            lines.append(paint(f"    + {at}{_cut(compact(after))}", "green"))
    if (change.after is ABSENT and change.operation != "deleted") or (
        change.before is ABSENT and change.operation != "created"
    ):
        lines.append("    (a side that is not shown cannot be read: `gitmem doctor` says why)")
    return "\n".join(lines)


def _cut(text: str) -> str:
    return text if len(text) <= 200 or not on_terminal() else text[:199] + "…"


@verb("blame")
@click.argument("key", shell_complete=keys_like)
def blame(place: Place, as_json: bool, key: str) -> None:
    """Show which version last changed each member of a value.

    The columns: JSON pointer, version, revision, time, agent, session, value.
    """
    from gitmem.pointers import resolve

    memory = reading(place).bind(session=None)  # an account of the past is no read under a session
    found = memory.blame(key)
    if as_json:
        write_json({pointer: one.to_json() for pointer, one in found.items()})
        return
    value = memory.retrieve(key)
    rows = [
        (pointer or "(all)", str(one.version), *_who(one), compact(resolve(value, pointer)))
        for pointer, one in found.items()
    ]
    write_table(rows, ["green", None, "yellow", None, "cyan"])


@verb("restore")
@click.argument("pattern", metavar="KEY|PATTERN")
@click.option("--version", "number", metavar="V", help="The version of KEY to bring back: a number or a revision.")
@click.option("--at", metavar="REV", help="Bring every key that matches PATTERN back as it was at a revision.")
@click.option("--dry-run", is_flag=True, help="With --at: tell what would change; write nothing.")
@click.option("--expect", metavar="V|absent", help="With --version: only if the last version is still this one.")
@click.option("--message", "-m", metavar="TEXT", help="The commit's subject: one line.")
def restore(
    place: Place, as_json: bool, pattern: str, number: str | None, at: str | None, dry_run: bool, expect: str | None,
    message: str | None,
) -> None:  # fmt: skip
    """Bring an earlier state back, as a new version.

    KEY --version V brings back one key; PATTERN --at REV every key that a glob matches, in one commit: those that were
    absent then are deleted.
    """
    if (number is None) == (at is None):
        raise Misused("restore takes either --version or --at", hint=f"`gitmem history {pattern}` shows the versions")
    if at is not None and expect is not None:
        raise Misused("--expect goes with --version")
    if at is None and dry_run:
        raise Misused("--dry-run goes with --at", hint=f"`gitmem history {pattern}` shows the versions")
    memory = reading(place).bind(session=None) if dry_run else writing(place, create=False)
    if at is None:
        made = memory.restore(
            pattern, version=values.version(number or ""), expect=values.expected(expect), message=message
        )
        tell_versions(made, as_json, _RESTORED, nothing="it is already as it was: nothing was written")
    elif dry_run:
        _tell_dry(memory, pattern, at, as_json)
    else:
        made = memory.restore(pattern, at=at, message=message)
        tell_versions(made, as_json, _RESTORED, nothing="" if made else _unchanged(memory, pattern, at))


def _tell_dry(memory: Memory, pattern: str, at: str, as_json: bool) -> None:
    changes = memory.restorable(pattern, at)
    if as_json:
        write_array(change.to_json() for change in changes)
    for change in [] if as_json else changes:
        write(difference(change))
    many = f"{counted(len(changes), 'key')} would change; nothing was written: without --dry-run it is"
    hint(many if changes else _unchanged(memory, pattern, at))


def _unchanged(memory: Memory, pattern: str, at: str) -> str:
    """Why a restore changes nothing."""
    if any(one.search_keys(pattern) for one in (memory, memory.at(at))):
        return "everything is already as it was: nothing was written"
    return f"no key of namespace {memory.namespace} matches {pattern}, neither now nor then: nothing was written"
