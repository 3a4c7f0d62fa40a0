"""What every command has in common: where and who, --json, numbers that are no options.

Knows click; does not know what a memory is.
Law: --store, --branch, --namespace, --agent and --session mean the same before and after a command's name, and the one
that stands later wins. A token that looks like a negative number is never an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

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

    @property
    def only(self) -> str | None:
        """The namespace that was typed: for commands over all namespaces, which the environment must not narrow."""
        return self.namespace if "namespace" in self.typed else None


_PLACES = (
    ("store", "PATH", "The memory: a .gitmem, a bare repository, or the folder with .gitmem in it."),
    ("branch", "NAME", "The branch; `main` when none is named."),
    ("namespace", "NAME", "The namespace; `default` when none is named."),
    ("agent", "NAME", "Who writes; git's user.name or the login when none is named."),
    ("session", "ID", "The session that a write belongs to."),
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


_EVERYWHERE = places_options()
_JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print JSON.")


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
            options, rest, order = parse(args=marked)
            return {name: _unmarked(value) for name, value in options.items()}, _unmarked(rest), order

        parser.parse_args = with_numbers
        return parser

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then those of every command."""
        apart = {option.name for option in _EVERYWHERE}
        for title, wanted in (("Options", False), ("Where and who", True)):
            options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
            shown = [one.get_help_record(ctx) for one in options if (one.name in apart) is wanted]
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


def keys_like(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """For a shell's completion: the keys that begin like this; none if there is no memory here."""
    from gitmem.cli.opening import reading
    from gitmem.errors import GitmemError

    try:
        return reading(ctx.ensure_object(Place)).list(incomplete)[:1000]
    except GitmemError:
        return []
