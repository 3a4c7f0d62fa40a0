"""The command line: a door. It turns words into verbs, and what the verbs give into text; it decides nothing.

Knows what the commands are called and where each is written; does not know what they do.
Law: calling one command imports that command's module alone, and listing all of them imports none, so that
`gitmem retrieve` starts quickly. Whatever goes wrong leaves by one way: `failures`.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from gitmem.cli.command import SETTINGS, Place, places_options, unknown

FAMILIES = {
    "Write": {
        "init": ("writes:init", "Create a memory."),
        "store": ("writes:store", "Store a value; the last write wins."),
        "create": ("writes:create", "Store a value only if the key is absent."),
        "patch": ("writes:patch", "Change members of a value."),
        "append": ("writes:append", "Add one element to a list."),
        "delete": ("writes:delete", "Delete keys; their history stays."),
    },
    "Read": {
        "retrieve": ("retrieve:retrieve", "Print the value of a key."),
        "list": ("reads:list_keys", "List the keys that begin with PREFIX."),
        "namespaces": ("reads:namespaces", "List the namespaces that hold a key."),
        "search": ("reads:search", "Find entries by a glob over their keys."),
        "find": ("find:find", "Find entries by the words in their keys and values, the best first."),
    },
    "Coordinate": {
        "wait": ("waiting:wait", "Wait until keys are there."),
        "watch": ("waiting:watch", "Watch what happens to keys."),
        "handoff": ("handoff:handoff", "Hand work over, from one agent to the next."),
        "fanout": ("fanout:fanout", "Spread work over several agents, and gather what they made."),
        "shared": ("shared:shared", "Change one document together, and wait until all have."),
        "gate": ("gate:gate", "Let others go on only when somebody has agreed."),
        "claim": ("claim:claim", "Take a task, so that nobody else does."),
        "run": ("run:run", "Start a plan's agents, each as soon as what it needs is there."),
        "status": ("status:status", "Show who works, who is blocked and on what, and what waits for a person."),
    },
    "Sessions": {
        "session": ("session:session", "Give a stretch of work a name: look at it, compare it, end it."),
        "journal": ("journal:journal", "Keep a journal: decisions, insights, blockers, milestones, questions."),
        "pattern": ("pattern:pattern", "Keep what worked, and find it again: lessons that later sessions build on."),
    },
    "The past": {
        "history": ("past:history", "Show the versions of a key, newest first."),
        "log": ("past:log", "Show the commits, newest first, with the keys that each changed."),
        "diff": ("past:diff", "Show what differs between two revisions, key by key, member by member."),
        "blame": ("past:blame", "Show which version last changed each member of a value."),
        "restore": ("past:restore", "Bring an earlier state back, as a new version."),
        "undo": ("undo:undo", "Take back what one run changed, and nothing else."),
        "trace": ("trace:trace", "Show who read what on this machine, and what they wrote afterwards."),
    },
    "Merging": {
        "branch": ("branches:branch", "List the branches, make one, or remove one."),
        "merge": ("branches:merge", "Take a branch, or any revision, into this branch."),
        "conflicts": ("branches:conflicts", "List what merges left to a person."),
        "resolve": ("branches:resolve", "Settle a conflict."),
        "rules": ("rules:rules", "Say how merges settle conflicts."),
        "contract": ("rules:contract", "Say what values have to look like."),
    },
    "Other copies": {
        "remote": ("copies:remote", "Name other copies of this memory."),
        "clone": ("copies:clone", "Make a memory with what another copy holds."),
        "sync": ("copies:sync", "Meet another copy: fetch, merge, push."),
    },
    "Care": {
        "config": ("config:config", "List the settings, print one, or set it."),
        "import": ("exchange:import_source", "Take in a store of claude-flow or ruflo, an export, or a folder."),
        "export": ("exchange:export", "Print entries as JSON lines, oldest first."),
        "gc": ("care:gc", "Delete what has expired, and pack the repository."),
        "doctor": ("care:doctor", "Check the memory, and mend it with --repair."),
    },
}  # family -> command -> (module:attribute, first line of its help)

_WHERE = {name: place for family in FAMILIES.values() for name, (place, _) in family.items()}
_SYNONYMS = {
    "add": "create", "changes": "diff", "checkout": "branch", "del": "delete", "fetch": "sync", "fsck": "doctor",
    "get": "retrieve", "grep": "find", "ls": "list", "pull": "sync", "push": "sync", "put": "store",
    "query": "search", "read": "retrieve", "remove": "delete", "revert": "undo", "rm": "delete", "save": "store",
    "set": "store", "show": "retrieve", "switch": "branch", "versions": "history", "write": "store",
}  # fmt: skip

_EPILOG = """\b
Where and who, also as environment variables: GITMEM_STORE, GITMEM_BRANCH, GITMEM_NAMESPACE, GITMEM_AGENT,
GITMEM_SESSION.
Exit codes: 0 done, 1 failure, 2 usage, 3 no such key or revision, 4 conflict, 5 wait timed out, 6 gate
rejected, 7 invalid key, value, pattern or plan, 8 busy.
Completion: eval "$(_GITMEM_COMPLETE=bash_source gitmem)" in ~/.bashrc; zsh_source and fish_source likewise.
"""


class Front(click.Group):
    """The commands by name; each is imported when it is called."""

    incomplete = 0
    """The exit code of an answer that left something out."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the help."""
        return list(_WHERE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        if cmd_name not in self.commands and cmd_name in _WHERE:
            module, _, attribute = _WHERE[cmd_name].partition(":")
            self.commands[cmd_name] = getattr(import_module(f"gitmem.cli.{module}"), attribute)
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; for an unknown one the error names the nearest."""
        if args[0] in _WHERE or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise unknown(args[0], _WHERE, ctx, _SYNONYMS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The listing by families, from the table alone."""
        for family, commands in FAMILIES.items():
            with formatter.section(family):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])

    def main(self, *arguments: Any, **extra: Any) -> Any:
        """Run one command line and exit: every way out of the program is here."""
        extra = {"prog_name": "gitmem", **extra, "standalone_mode": False}
        self.incomplete = 0
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", UserWarning)
                warnings.showwarning = self._warn  # type: ignore[assignment]
                code = super().main(*arguments, **extra)
        except Exception as error:
            from gitmem.cli.failures import report

            code = report(error)
        sys.exit((code if isinstance(code, int) else 0) or self.incomplete)

    def _warn(self, message: Warning | str, category: type[Warning], *_: Any) -> None:
        """A warning of the floors below as a line on stderr; an answer that left something out is no success."""
        from gitmem.cli.output import note

        if category.__name__ == "Unreadable":
            self.incomplete = 1
        note(f"warning: {message}")


@click.group(
    name="gitmem",
    cls=Front,
    params=places_options(environment=True),
    context_settings=SETTINGS,
    epilog=_EPILOG,
    help="Shared memory for teams of AI agents, kept in git: a namespace and a key name a JSON value, every store is "
    "a commit.\n\nBegin with `gitmem store KEY VALUE` and `gitmem retrieve KEY`; `gitmem COMMAND --help` tells more.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, help="Print the version and exit.",
              callback=lambda ctx, _, asked: _print_version(ctx) if asked else None)  # fmt: skip
@click.pass_context
def front(ctx: click.Context) -> None:
    """The group itself does nothing: the options before a command's name are kept for the command."""
    ctx.ensure_object(Place)


def _print_version(ctx: click.Context) -> None:
    click.echo(f"gitmem {sys.modules['gitmem'].__version__}")
    ctx.exit()


def main() -> None:
    """The program `gitmem`."""
    for stream in (sys.stdout, sys.stderr):
        if not stream.isatty() and isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    try:
        front.main()
    except SystemExit as leaving:
        if "gitmem.memory" not in sys.modules:
            _leave(leaving.code)
        raise


def _leave(code: object) -> None:
    """Leave at once: taking every module apart takes a sixth of a `retrieve`, and the light reader has nothing open."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1
    os._exit(code if isinstance(code, int) else 0)
