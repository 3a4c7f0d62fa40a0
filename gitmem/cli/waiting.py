"""The commands that wait: wait for keys, and watch what happens to them.

Knows what is typed, pipes and child processes; what there is to wait for, and what an event is, is `gitmem.watch`'s.
Law: `watch` prints the events of a commit in one piece, and tells in the end from where to go on: never from after
something that it has not told.
"""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli.command import Place, Verb, keys_like, verb
from gitmem.cli.failures import INTERRUPTED, Misused
from gitmem.cli.opening import reading
from gitmem.cli.output import (
    COLOURS,
    compact,
    hint,
    line,
    note,
    on_terminal,
    paint,
    short,
    write,
    write_json,
    write_table,
)
from gitmem.cli.recipes import TIMEOUT, tell_value, told_why
from gitmem.entries import ABSENT, Entry, format_time
from gitmem.errors import typed
from gitmem.recipes.ground import countdown

if TYPE_CHECKING:
    from gitmem.watch.events import Event
    from gitmem.watch.stream import Watch

_ATTENTIVE = 1.0  # seconds after which it is looked whether anybody still reads what would be printed


@verb("wait")
@click.argument("keys", metavar="KEY...", nargs=-1, required=True, shell_complete=keys_like)
@click.option("--until", metavar="EXPR", help="Only values that meet a JMESPath condition: state == 'done'.")
@click.option("--any", "first", is_flag=True, help="One of the keys is enough: of those there, the first one named.")
@TIMEOUT
def wait(
    place: Place, as_json: bool, keys: tuple[str, ...], until: str | None, first: bool, timeout: float | None
) -> None:
    """Wait until keys are there.

    All of them at once, or one with --any. Into a pipe the entry as JSON, of several keys an object of entries; on a
    terminal the values, and who wrote them. Exit code 5 when the time is up: the error names the keys that are
    missing, and its hint the revision to watch on from.
    """
    memory = reading(place)
    with told_why(memory, until=until):
        if first:
            found = {"": memory.wait_for_any(keys, until=until, timeout=timeout)}
        else:
            found = memory.wait_for_all(keys, until=until, timeout=timeout)
    entries = list(found.values())
    if not as_json and on_terminal():
        for entry in entries:
            _tell_entry(entry, named=len(keys) > 1)
    elif first or len(keys) == 1:
        write_json(entries[0].to_json())
    else:
        write_json({key: entry.to_json() for key, entry in found.items()})


def _tell_entry(entry: Entry, *, named: bool) -> None:
    if named:
        write(paint(line(entry.key), "cyan"))
    tell_value(entry, False, whole=False)
    write(f"by {line(entry.agent)} at {format_time(entry.time)} ({short(entry.revision)})")


class Watching(Verb):
    """A command that takes another one after `--`, which click would drop."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; what stands after the first `--` is `command`, None where there is no `--`."""
        cut = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:cut])
        ctx.params["command"] = tuple(args[cut + 1 :]) if cut < len(args) else None
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """With the command, of which click knows nothing."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


@click.command("watch", cls=Watching)
@click.argument("pattern", default="**")
@click.option("--since", metavar="REV", help="Begin after this revision, session or time, instead of now.")
@click.option("--once", is_flag=True, help="Tell what has happened up to now, then stop.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop after so long without an event.")
@click.option("--all-namespaces", is_flag=True, help="Watch every namespace.")
@click.pass_context
def watch(
    ctx: click.Context, as_json: bool, pattern: str, since: str | None, once: bool, timeout: float | None,
    all_namespaces: bool, command: tuple[str, ...] | None,
) -> None:  # fmt: skip
    """Watch what happens to keys.

    PATTERN is a glob; every key of the namespace if none is given. Into a pipe a line of JSON for each event, on a
    terminal the columns time, agent, operation, key, value. With a COMMAND it is run for each event, which it gets as
    JSON on its stdin, and as GITMEM_EVENT_NAMESPACE, _KEY, _OPERATION, _REVISION, _AGENT, _SESSION, _TIME and _LAST
    (true at the final event of a commit); if it fails, that is told, and in the end the exit code is 1.

    In the end it says from which revision to go on: whoever does so misses nothing. A commit that was being told when
    Ctrl-C came is told again.
    """
    place = ctx.ensure_object(Place)
    if all_namespaces and place.only is not None:
        raise Misused("--namespace and --all-namespaces say different things")
    runner = None if command is None else Runner(command)
    rows = on_terminal() and not as_json
    tell = runner.tell if runner else _tell_rows(named=all_namespaces) if rows else _tell_lines
    with reading(place).watch(pattern, since=since, all_namespaces=all_namespaces) as stream:
        code = _follow(
            stream,
            stream.so_far() if once else _bunches(stream, timeout, _is_read if runner is None else lambda: True),
            tell,
            resume=_again(place, pattern, all_namespaces=all_namespaces),
        )
    ctx.exit(code or (1 if runner and runner.failures else 0))


def _follow(
    stream: Watch, bunches: Iterator[list[Event]], tell: Callable[[list[Event]], None], *, resume: str
) -> int:
    """Tell everything; the exit code. What was not told whole is told again by whoever goes on."""
    told, code = stream.revision, 0
    try:
        for bunch in bunches:
            tell(bunch)
            told = stream.revision
        told = stream.revision
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        raise  # nobody knows what was read
    except Exception:
        hint(f"{resume}{short(told)}`")
        raise
    hint(f"{resume}{short(told)}`")
    return code


def _bunches(stream: Watch, timeout: float | None, is_read: Callable[[], bool]) -> Iterator[list[Event]]:
    """The commits to come, until none comes for so long."""
    while True:
        left = countdown(timeout)
        while True:
            seconds = left()
            bunch = stream.next_commit(_ATTENTIVE if seconds is None else min(_ATTENTIVE, seconds))
            if bunch:
                yield bunch
                break
            if seconds == 0:
                return
            if not is_read():
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _is_read() -> bool:
    """Whether somebody could still read what is printed, as far as the system tells."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # no file at all
        return True
    return not poll.poll(0)


def _again(place: Place, pattern: str, *, all_namespaces: bool) -> str:
    words = ["gitmem watch"] + ([] if pattern == "**" else [typed(pattern)])
    if place.store is not None and "store" in place.typed:
        words.append(f"--store {typed(place.store)}")
    if place.branch is not None:
        words.append(f"--branch {typed(place.branch)}")
    if all_namespaces:
        words.append("--all-namespaces")
    elif place.namespace is not None:
        words.append(f"-n {typed(place.namespace)}")
    return f"go on with `{' '.join(words)} --since "


def _tell_lines(bunch: list[Event]) -> None:
    write("\n".join(compact(event.to_json()) for event in bunch))


def _tell_rows(*, named: bool) -> Callable[[list[Event]], None]:
    """Print events for people; `named`: with their namespaces."""

    def tell(bunch: list[Event]) -> None:
        for event in bunch:
            key = f"{event.namespace} {event.key}" if named else event.key
            value = "-" if event.new is None or event.new.value is ABSENT else compact(event.new.value)
            row = (format_time(event.time), event.agent.ljust(12), event.operation.ljust(8), key.ljust(24), value)
            write_table([row], [None, "cyan", COLOURS[event.operation]])

    return tell


class Runner:
    """Runs a command for each event, one after the other, and counts the `failures`."""

    def __init__(self, words: tuple[str, ...]) -> None:
        """Misused if there is no such program."""
        from shutil import which

        if not words:
            raise Misused("there is no command after --", hint="gitmem watch 'swarm/**' -- ./notify.sh")
        if which(words[0]) is None:
            raise Misused(f"there is no program {words[0]!r} to run for each event")
        self.failures = 0
        self._words = words

    def tell(self, bunch: list[Event]) -> None:
        """Run it for each event of a commit."""
        for event in bunch:
            why = self._run(event)
            if why:
                self.failures += 1
                note(f"warning: {self._words[0]} {why}, for {event.key} at {short(event.revision)}")

    def _run(self, event: Event) -> str:
        """Why it failed; nothing if it did not."""
        given = compact(event.to_json()) + "\n"
        try:
            code = subprocess.run(self._words, input=given.encode(), env=environment(event)).returncode
        except OSError as error:
            return f"could not be started ({error.strerror})"
        return "" if code == 0 else f"exited with {code}" if code > 0 else f"was ended by signal {-code}"


def environment(event: Event) -> dict[str, str]:
    """This process's environment and what is known of an event; a session that there is none is empty."""
    facts: dict[str, Any] = {**event.to_json(), "last": "true" if event.last else "false"}
    names = ("namespace", "key", "operation", "revision", "agent", "session", "time", "last")
    told = {name: str(facts[name] or "").replace("\0", "").encode(errors="replace").decode() for name in names}
    return {**os.environ, **{f"GITMEM_EVENT_{name.upper()}": text for name, text in told.items()}}
