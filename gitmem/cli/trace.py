"""`gitmem trace`: who read what on this machine, and what came of it.

Knows how receipts and traces are printed; what they are is decided by `receipts`.
Law: one line a receipt, so that it can be exported, filtered and counted; nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from gitmem.cli import values
from gitmem.cli.command import Place, keys_like, verb
from gitmem.cli.opening import reading, session_named
from gitmem.cli.output import compact, counted, hint, line, paint, short, write, write_json, write_table
from gitmem.cli.past import commit_lines
from gitmem.entries import format_time
from gitmem.errors import InvalidKeyError, MissingKeyError, UnknownRevisionError

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.receipts.reading import Receipt
    from gitmem.receipts.tracing import Reading, Trace


@verb("trace")
@click.argument("what", metavar="[KEY[@VERSION]]", required=False, shell_complete=keys_like)
@click.option("--of", "of", metavar="SESSION", help="Only what was read under this session: its name, a part "
              "of it, or `last`.")  # fmt: skip
@click.option("--by", "by", metavar="AGENT", help="Only what this agent read.")
def trace(place: Place, as_json: bool, what: str | None, of: str | None, by: str | None) -> None:
    """Show who read what on this machine, and what they wrote afterwards.

    KEY@VERSION, the number of a version or a revision: the agents that were given this version of KEY, each with the
    commits that it made later in that session, on any branch. KEY alone, or nothing: who read what when, oldest first,
    all namespaces unless one is named; --json prints JSON lines. The columns: time, agent, session, namespace, key,
    version, revision.

    Reads are noted while `gitmem config audit_reads` is true, under a session, on the machine where they happen, in
    .gitmem/local/reads.jsonl: what retrieve, search, find, wait and watch give, of now or of the past. Not what the
    account of a history shows: history, log, diff, blame, export; nor what update is given.
    """
    memory = reading(place)
    of = None if of is None else session_named(memory, of, is_known=lambda name: _has_read(memory, name))
    found = None if what is None else _traced(memory, what)
    if found is None:
        namespace = place.only if what is None else memory.namespace
        _list(memory, memory.reads(session=of, agent=by, key=what, namespace=namespace), as_json)
        return
    readers = [one for one in found.readers if of in (None, one.session) and by in (None, one.agent)]
    if as_json:
        write_json({**found.to_json(), "readers": [one.to_json() for one in readers]})
    else:
        write(_headline(found))
        for one in readers:
            write(_reading(one))
    if not readers:
        hint(_in_vain(memory))


def _has_read(memory: Memory, session: str) -> bool:
    """Whether something was read under it here: one that only read stands in no commit."""
    return next(memory.reads(session=session), None) is not None


def _traced(memory: Memory, what: str) -> Trace | None:
    """What KEY@VERSION means; None if it is a key alone, which may have an @ of its own."""
    key, at, version = what.rpartition("@")
    if not at:
        return None
    try:
        return memory.trace(key, values.version(version))
    except (UnknownRevisionError, InvalidKeyError):
        try:
            memory.history(what, limit=1)
        except (MissingKeyError, InvalidKeyError):
            pass
        else:
            return None
        raise


def _headline(found: Trace) -> str:
    made = found.version
    author = f"{line(made.agent)}{f' in {line(made.session)}' if made.session else ''}"
    title = paint(f"{line(made.key)} version {made.version}", "yellow")
    return f"{title} ({short(made.revision)}): {made.operation} at {format_time(made.time)} by {author}"


def _reading(one: Reading) -> str:
    wrote = f"wrote {counted(len(one.commits), 'commit')} since" if one.commits else "has written nothing since"
    title = f"{paint(line(one.agent), 'cyan')} in {line(one.session)} read it at {format_time(one.time)}, and {wrote}"
    commits = "\n".join(map(commit_lines, one.commits)).split("\n") if one.commits else []
    return "\n".join([title, *(f"    {each}" for each in commits)])


def _list(memory: Memory, found: Iterable[Receipt], as_json: bool) -> None:
    from itertools import chain

    receipts = iter(found)
    first = next(receipts, None)
    if first is None:
        hint(_in_vain(memory))
        return
    everything = chain([first], receipts)
    if as_json:
        for one in everything:
            write(compact(one.to_json()))
    else:
        write_table(map(_row, everything), [None, "cyan", None, None, None, None, "yellow"])


def _row(one: Receipt) -> list[str]:
    version, revision = ("?", "?") if one.revision is None else (str(one.version), short(one.revision))
    return [format_time(one.time), one.agent, one.session, one.namespace, one.key, version, revision]


def _in_vain(memory: Memory) -> str:
    if memory.settings.get("audit_reads"):
        return "nothing such was read on this machine under a session since reads are noted"
    return "reads are not being noted: `gitmem config audit_reads true`, then read under a session"
