"""The commands of a session: start, end, resume, leave, and what there is to know about one.

Knows what is typed, and which session is meant where none is named; how one stands is decided by `recipes.session`, how
it is shown by `session_show` and `session_compare`.
Law: on stdout `start` prints the new session's name and nothing else, so that a script keeps it. Sessions lie in
`coordination`, whatever namespace is named.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import click

from gitmem.cli.command import Place, family, sessions_like
from gitmem.cli.exchange import write_lines
from gitmem.cli.failures import Misused
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import counted, hint, line, nearest, note, write, write_array, write_json, write_table
from gitmem.errors import ConflictError, UnknownRevisionError, typed
from gitmem.keys import COORDINATION
from gitmem.recipes.session import ENDS, RUNNING, Sessions, SessionStatus

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.recipes.session import Report

_LISTED = 20
_NAMED = ", ".join(ENDS)
_Decorator = Callable[[Any], Any]
_ID: _Decorator = click.argument("name", metavar="[ID]", required=False, shell_complete=sessions_like)
_THIS: _Decorator = click.argument("name", metavar="ID", shell_complete=sessions_like)


@family("session")
def session() -> None:
    """Give a stretch of work a name: look at it, compare it, end it.

    While a session is active, all that the command line writes on this machine belongs to it; --session or
    GITMEM_SESSION name another one.

    An ID is a session's name, the beginning of it, words out of it (its topic), or `last`; where it may be left out,
    the session that is named so, or active, is meant. --session of a write takes the name as it is: a new name begins a
    new session. A revision (`gitmem diff`, `restore --at`) or `gitmem undo`, which takes a session back, needs the
    whole name.
    """


@session.verb("start")
@click.argument("topic", metavar="[TOPIC]", nargs=-1)
def start(place: Place, as_json: bool, topic: tuple[str, ...]) -> None:
    """Begin a session, make it the active one, and print its name.

    The name is session-YYYYMMDD-HHMMSS-TOPIC (UTC). If another one was active, it is not ended by this.
    """
    if "session" in place.typed:
        raise Misused("a new session gets a name of its own", hint="`gitmem session resume ID` goes on with one")
    memory = writing(place, signs=False)
    before = memory.active_session
    made = Sessions(memory).start(" ".join(topic) or None)
    memory.activate(made.id)
    _tell(memory, made, made.id, as_json)
    if before is not None:
        note(f"{before} was active until now; `gitmem session end {typed(before)}` ends it")
    _tell_overruled(place, made.id)


@session.verb("end")
@_ID
@click.option("--status", type=click.Choice(ENDS), help=f"How it ended: {_NAMED}. When left out, as its run did, else "
              "done.")  # fmt: skip
@click.option("--clean", is_flag=True, help="Delete the session's own keys, session/ID/…: the history keeps them, and "
              "what it shares with others stays.")  # fmt: skip
def end(place: Place, as_json: bool, name: str | None, status: str | None, clean: bool) -> None:
    """End a session, and show what it did.

    That is stored at session/ID/summary as well. If it was the active one, none is active then. One that has ended
    already is not ended again (exit 4), but --clean still cleans it.
    """
    memory = writing(place, create=False, signs=False)
    sessions = Sessions(memory)
    found = _meant(sessions, memory, name)
    over = clean and status is None and not sessions.one(found).is_open
    _check_at_rest(memory, found)
    try:
        made = sessions.report(found) if over else sessions.end(found, status)
    except ConflictError as error:
        if memory.active_session == found:  # it was ended on another copy, or by somebody else here
            error.hint += "\n`gitmem session leave` lets no session be active here"
        raise
    gone = sessions.clean(found) if clean else []
    if memory.active_session == found:
        memory.activate(None)
    _tell_report(made, as_json)
    if gone:
        note(f"{counted(len(gone), 'key')} of its own deleted; the history keeps them")
    for key in made.summary.recalled.without_outcome:
        hint(f"did it help? `gitmem pattern outcome {typed(key)} success --session {typed(found)}`, or failure")


@session.verb("resume")
@_THIS
def resume(place: Place, as_json: bool, name: str) -> None:
    """Go on with a session.

    It is the active one then. One that had ended is open again, and one that counts as abandoned is running again.
    """
    memory = writing(place, create=False, signs=False)
    sessions = Sessions(memory)
    made = sessions.resume(sessions.named(name))
    memory.activate(made.id)
    _tell(memory, made, f"{made.id} is active", as_json)
    _tell_overruled(place, made.id)


@session.verb("leave")
def leave(place: Place, as_json: bool) -> None:
    """Let no session be active on this machine.

    It is not ended: `session resume ID` goes on with it.
    """
    memory = writing(place, create=False, signs=False)
    active = memory.active_session
    memory.activate(None)
    if as_json:
        write_json({"session": active})
    elif active is None:
        hint("no session was active")
    else:
        write(f"left {line(active)}")


@session.verb("list")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help=f"At most so many; for people {_LISTED} when "
              "left out.")  # fmt: skip
@click.option("--state", metavar="STATE", help=f"Only those that are running, or ended so: {_NAMED}.")
def list_sessions(place: Place, as_json: bool, limit: int | None, state: str | None) -> None:
    """List the sessions, the one that was written last first.

    The columns: name (* for the active one), state, how long ago the last write was, duration, commits, agents. One
    without an end whose last write is older than abandoned_after (`gitmem config`; a day) is abandoned.
    """
    from gitmem.cli.session_show import row

    memory = reading(place)
    active = memory.active_session
    sessions = Sessions(memory)
    found = (one for one in sessions.newest() if state in (None, one.state))
    if as_json:
        write_array(one.to_json() | {"active": one.id == active} for one in islice(found, limit))
        _check_state(sessions, state)
        return
    most = _LISTED if limit is None else limit
    shown = list(islice(found, most))
    now = memory.clock()
    write_table([row(one, now, active=one.id == active) for one in shown], ["cyan", "yellow"])
    known = _check_state(sessions, state)
    if not shown and known:
        hint(f"no session is {state}" if state else "there is no session: `gitmem session start TOPIC` begins one")
    elif next(found, None) is not None:
        hint(f"there are more: `gitmem session list --limit {most * 10}`")


@session.verb("show")
@_ID
@click.option("--all", "whole", is_flag=True, help="Every key that it changed, also if there are many.")
def show(place: Place, as_json: bool, name: str | None, whole: bool) -> None:
    """Show what a session did, and what is open.

    What it changed, who wrote it, what was decided, what waits for somebody. It is counted from its commits, those
    after its end too; what is open is told as of now. The signs before keys: + created, ~ changed, - deleted, = as
    before.
    """
    memory = reading(place)
    sessions = Sessions(memory)
    _tell_report(sessions.report(_meant(sessions, memory, name)), as_json, whole=whole)


@session.verb("log")
@_ID
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most so many.")
def log(place: Place, as_json: bool, name: str | None, limit: int | None) -> None:
    """Show the commits of a session.

    Newest first, with the keys that each changed: as `gitmem log --of ID`, which can narrow it further.
    """
    from gitmem.cli.past import tell_log

    memory = reading(place)
    found = _meant(Sessions(memory), memory, name)
    tell_log(memory.iter_log(session=found, namespace=place.only), as_json, limit)


@session.verb("compare")
@click.argument("a", metavar="A", shell_complete=sessions_like)
@click.argument("b", metavar="B", shell_complete=sessions_like)
@click.argument("pattern", metavar="[PATTERN]", required=False)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if they differ.")
@click.option("--all", "whole", is_flag=True, help="Every difference, also if there are many.")
@click.pass_context
def compare(
    ctx: click.Context, place: Place, as_json: bool, a: str, b: str, pattern: str | None, exit_code: bool, whole: bool
) -> None:
    """Show how two sessions differ.

    In the keys that both wrote, and in those of only one. Of each key what the session left counts, member by member;
    of numbers B - A is told. Keys that differ in nothing but the session's name are one, in which {session} stands for
    it. A and B may be revisions as well, or ranges (REV..REV). Without a glob PATTERN the session's own metadata,
    summary and recalled are left out: they always differ.
    """
    from gitmem.cli.session_compare import told

    memory = reading(place)
    sessions = Sessions(memory)
    found = sessions.compare(_run(sessions, memory, a), _run(sessions, memory, b), pattern, namespace=place.only)
    if as_json:
        write_json(found.to_json())
    else:
        write("\n".join(told(found, sessions, whole=whole)))
    if exit_code and found.differ:
        ctx.exit(1)


@session.verb("export")
@_ID
@click.option("--output", "-o", type=click.File("w", encoding="utf-8", lazy=True), default="-", metavar="FILE",
              help="Write to a file instead of stdout.")  # fmt: skip
def export(place: Place, as_json: bool, name: str | None, output: IO[str]) -> None:
    """Print a session as JSON lines.

    All that was written under it, oldest first. A line is a version, as `gitmem history --json` shows it. `gitmem
    import` takes them back, here or elsewhere: under the same session, by the same agents, at the same times. It is
    JSON with or without --json.
    """
    from gitmem.exchange import export as lines

    memory = reading(place)
    found = _meant(Sessions(memory), memory, name)
    write_lines(lines(memory, session=found, namespace=place.only, history=True), output)


# --- inside


def _check_state(sessions: Sessions, state: str | None) -> bool:
    """Whether a session could be in such a state; a hint names the nearest if not, and none says it of itself."""
    known = (RUNNING, *ENDS)
    if state is None or state in known or any(one.state == state for one in sessions.newest()):
        return True
    hint(f"no session is {line(state)}: {nearest(state, known)}")
    return False


def _meant(sessions: Sessions, memory: Memory, typed_name: str | None) -> str:
    """The session that was named, in whichever way, else the active one."""
    if typed_name is not None:
        return sessions.named(typed_name)
    if memory.session is None:
        raise Misused("no session is named, and none is active", hint="`gitmem session list` shows the sessions")
    return sessions.named(memory.session)


def _run(sessions: Sessions, memory: Memory, text: str) -> str:
    """A session, or whatever else names a run."""
    try:
        return sessions.named(text)
    except UnknownRevisionError as error:
        if ".." not in text:
            try:
                memory.revision(text)
            except UnknownRevisionError:
                raise error from None
        return text


def _check_at_rest(memory: Memory, name: str) -> None:
    """A run that is at work on this machine would go on writing, and say itself how it ended."""
    from gitmem.recipes.session_names import is_segment
    from gitmem.recipes.session_state import own_key
    from gitmem.workflow.workplace import beginning, place_of

    if not is_segment(name):
        return
    with beginning(memory):
        place = place_of(memory, name)
        at_work = place is not None and place.is_alive()
    if at_work:
        raise ConflictError(
            f"the run of {name!r} is at work",
            hint="end the run first (Ctrl-C where it was started), or wait for it: `gitmem status`",
            namespace=COORDINATION,
            key=own_key(name, "phase"),
        )


def _tell(memory: Memory, made: SessionStatus, text: str, as_json: bool) -> None:
    write_json(made.to_json() | {"active": memory.active_session == made.id}) if as_json else write(line(text))


def _tell_overruled(place: Place, name: str) -> None:
    """GITMEM_SESSION, which goes first, may name another one."""
    if place.session not in (None, name) and "session" not in place.typed:
        hint(f"GITMEM_SESSION names {place.session} here, and goes first: `export GITMEM_SESSION={typed(name)}`")


def _tell_report(made: Report, as_json: bool, *, whole: bool = False) -> None:
    from gitmem.cli.session_show import told

    write_json(made.to_json()) if as_json else write("\n".join(told(made, whole=whole)))
