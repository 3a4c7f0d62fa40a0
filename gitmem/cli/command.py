"""What every command has in common: where and who, --json, numbers that are no options; and families of commands.

Knows click; does not know what a memory is.
Law: --store, --branch, --namespace, --agent and --session mean the same before and after a command's name, and the one
that stands later wins; --json may stand before or after a subcommand's. A token that looks like a negative number is
never an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from gitmem.cli.failures import Misused

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

_NEGATIVE = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_MARK = "\0"  # no argument of a program contains it, so a marked token is surely ours


class Place:
    """What --store, --branch, --namespace, --agent and --session say; None where nobody said anything."""

    def __init__(self) -> None:
        self.store: str | None = None
        self.branch: str | None = None
        self.namespace: str | None = None
        self.agent: str | None = None
        self.session: str | None = None
        self.typed: set[str] = set()
        self.as_json = False

    @property
    def only(self) -> str | None:
        """The namespace that was typed: for commands over all namespaces, which the environment must not narrow."""
        return self.namespace if "namespace" in self.typed else None


_PLACES = (
    ("store", "PATH", "The memory: a .gitmem, a bare repository, or the folder with .gitmem in it."),
    ("branch", "NAME", "The branch; `main` when none is named."),
    ("namespace", "NAME", "The namespace; when none is named, `coordination` where agents meet, else `default`."),
    ("agent", "NAME", "Who writes; git's user.name or the login when none is named."),
    ("session", "ID", "The session that a write belongs to; the active one when none is named."),
)


def places_options(*, environment: bool = False) -> list[click.Parameter]:
    """The options that say where and who; those before a command's name also look at the environment."""
    return [
        click.Option(
            [f"--{name}", *(["-n"] if name == "namespace" else [])],
            metavar=metavar,
            help=text,
            expose_value=False,
            callback=_remember,
            envvar=f"GITMEM_{name.upper()}" if environment else None,
        )
        for name, metavar, text in _PLACES
    ]


def _remember(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    name, place = option.name or "", ctx.ensure_object(Place)
    if ctx.get_parameter_source(name) is not ParameterSource.ENVIRONMENT:
        if not value:
            raise click.BadParameter("it is empty: was a variable of the shell not set?", ctx, option)
        place.typed.add(name)
    setattr(place, name, value)


def _json_option(*, exposed: bool) -> click.Option:
    """--json, which a subcommand has also where it was said before its name."""

    def asked(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        place = ctx.ensure_object(Place)
        place.as_json = place.as_json or value
        return place.as_json

    return click.Option(["--json", "as_json"], is_flag=True, expose_value=exposed, callback=asked, help="Print JSON.")


_EVERYWHERE = places_options()
_APART = {option.name for option in _EVERYWHERE}
_JSON = _json_option(exposed=True)
_JSON_BEFORE = _json_option(exposed=False)


class Verb(click.Command):
    """A command with the options of every command, which its help lists apart."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        """As `click.Command`."""
        attributes["params"] = [*(attributes.get("params") or []), _JSON, *_EVERYWHERE]
        attributes["context_settings"] = SETTINGS
        super().__init__(*arguments, **attributes)

    def make_parser(self, ctx: click.Context) -> Any:
        """click's parser, to which negative numbers look like any other word."""
        parser: Any = super().make_parser(ctx)
        parse = parser.parse_args

        def with_numbers(args: list[str]) -> tuple[dict[str, Any], list[str], list[click.Parameter]]:
            marked = [_MARK + token if _NEGATIVE.fullmatch(token) else token for token in args]
            try:
                options, rest, order = parse(args=marked)
            except click.UsageError as error:
                error.ctx = error.ctx or ctx  # click leaves it out where an option's value is missing
                raise
            return {name: _unmarked(value) for name, value in options.items()}, _unmarked(rest), order

        parser.parse_args = with_numbers
        return parser

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then those of every command."""
        _write_options(self, ctx, formatter)


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    for title, wanted in (("Options", False), ("Where and who", True)):
        options = [one for one in command.get_params(ctx) if isinstance(one, click.Option)]
        shown = [one.get_help_record(ctx) for one in options if (one.name in _APART) is wanted]
        with formatter.section(title):
            formatter.write_dl([record for record in shown if record is not None])


def _unmarked(value: Any) -> Any:
    if isinstance(value, str):
        return value.removeprefix(_MARK)
    if isinstance(value, list | tuple):
        return type(value)(_unmarked(one) for one in value)
    return value


def verb(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function the command of this name; its first argument is a `Place`, then `as_json` and its own."""

    def made(function: Callable[..., Any]) -> click.Command:
        return click.command(name, cls=Verb)(click.pass_obj(function))

    return made


class Family(click.Group):
    """Commands that share their first word: each is a `Verb`, and its common options may stand before its name."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        """As `click.Group`."""
        attributes["params"] = [_JSON_BEFORE, *_EVERYWHERE]
        attributes["context_settings"] = SETTINGS
        super().__init__(*arguments, **attributes)

    def verb(self, name: str) -> Callable[[Callable[..., Any]], click.Command]:
        """As the function `verb`, for a command of this family."""

        def made(function: Callable[..., Any]) -> click.Command:
            command = verb(name)(function)
            self.add_command(command)
            return command

        return made

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were written."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; for an unknown one the error names the nearest."""
        if args[0] in self.commands or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise unknown(args[0], self.commands, ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands first: they are what this help is read for."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)


def family(name: str) -> Callable[[Callable[[], None]], Family]:
    """Make a function the family of this name: its docstring is the help, and `.verb("add")` gives it a command."""

    def made(function: Callable[[], None]) -> Family:
        command: Family = click.group(name, cls=Family)(function)
        return command

    return made


def unknown(word: str, names: Iterable[str], ctx: click.Context, synonyms: Mapping[str, str] | None = None) -> Misused:
    """The error for a command that is not there, with the nearest that is."""
    from difflib import get_close_matches

    from gitmem.cli.failures import Misused

    near = (synonyms or {}).get(word.lower()) or next(iter(get_close_matches(word, names, n=1)), None)
    path = ctx.command_path
    hint = f"did you mean `{path} {near}`?" if near else f"`{path} --help` lists the commands"
    within = f"{path} {word}".partition(" ")[2]
    return Misused(f"there is no command {within!r}", hint=hint, ctx=ctx)


def keys_like(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """For a shell's completion: the keys that begin like this; none if there is no memory here."""
    from gitmem.cli.opening import reading
    from gitmem.errors import GitmemError

    try:
        return reading(ctx.ensure_object(Place)).list(incomplete)[:1000]
    except GitmemError:
        return []


def sessions_like(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The same for sessions, the one that was written last first."""
    from gitmem.cli.opening import reading
    from gitmem.errors import GitmemError

    try:
        facts = reading(ctx.ensure_object(Place)).sessions()
    except GitmemError:
        return []
    return [one.session for one in facts if one.session.startswith(incomplete)][:1000]
