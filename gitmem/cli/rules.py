"""The commands about what all who share a memory agreed on: rules (how merges settle conflicts), contract.

Knows what is typed and how it is listed; what is agreed on is decided by `settings`.
Law: the numbers of a list are those that `remove` takes; `rules test` writes nothing and merges as a merge would.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from gitmem.cli import values
from gitmem.cli.command import Place, family, keys_like
from gitmem.cli.failures import Misused
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import compact, counted, hint, line, paint, write, write_json, write_table
from gitmem.entries import ABSENT
from gitmem.keys import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from gitmem.merge import Conflict
    from gitmem.policy import Contract, MergeRule

CONFLICT = 4
_MESSAGE = click.option("--message", "-m", metavar="TEXT", help="The commit's subject: one line.")
_TIMES = (0, 1)  # the times of the two sides of a test: theirs is the later one


Agreed: TypeAlias = "MergeRule | Contract"


@family("rules")
def rules() -> None:
    """Say how merges settle conflicts.

    A conflict is a place in a value that two sides changed. Without a rule for it, a person has to settle it. At each
    place the first rule that fits decides; rules lie in gitmem.toml and travel with the memory. Behind them stand those
    of gitmem itself, for the patterns in the namespace reasoning-bank: outcomes are added up, lists united.
    """


@rules.verb("add")
@click.argument("keys")
@click.argument("rule")
@click.option("--at", default="", metavar="POINTER", help="Only this place in the value, as a JSON pointer in which * "
              "is any one segment: /metrics/*. Without it, the whole value.")  # fmt: skip
@click.option("--first", is_flag=True, help="Before the rules that are there, instead of behind them.")
@_MESSAGE
def add_rule(
    place: Place, as_json: bool, keys: str, rule: str, at: str, first: bool, message: str | None
) -> None:
    """Add a rule.

    KEYS is a glob. RULE is latest (whoever wrote later), largest or smallest (numbers, or text), total (a counter: both
    sides' changes are added up) or union (a set: what one side removed stays away). --namespace narrows it to one.
    """
    settings = writing(place).settings
    before = settings.rules
    made = settings.add_rule(keys, rule, at=at, first=first, namespace=place.only, message=message)
    _told_added(made, before, settings.rules, as_json, "rule")


@rules.verb("list")
def list_rules(place: Place, as_json: bool) -> None:
    """List the rules.

    The columns: number, namespace (- for all), keys, place in the value, rule.
    """
    found = reading(place).settings.rules
    _told_list(found, as_json, "there are no rules: `gitmem rules add KEYS RULE` adds one")


@rules.verb("remove")
@click.argument("number", type=int)
@_MESSAGE
def remove_rule(place: Place, as_json: bool, number: int, message: str | None) -> None:
    """Remove a rule by its number.

    `gitmem rules list` shows the numbers; those behind it move up.
    """
    gone = writing(place, create=False).settings.remove_rule(number, message=message)
    _told_removed(gone, number, as_json, "rule")


@rules.verb("test")
@click.argument("key", shell_complete=keys_like)
@click.option("--base", default="absent", metavar="JSON", help="What both sides began with; nothing if left out.")
@click.option("--ours", required=True, metavar="JSON", help="What one side made of it, or `absent`.")
@click.option("--theirs", required=True, metavar="JSON", help="What the other made of it, later, or `absent`.")
@click.pass_context
def try_rules(ctx: click.Context, place: Place, as_json: bool, key: str, base: str, ours: str, theirs: str) -> None:
    """Show what a merge would make of two values of KEY.

    Prints the merged value, in which the base stands at a conflict, and the conflicts; exits with 4 if there is one.
    """
    from gitmem.keys import check_key
    from gitmem.merge import merge

    check_key(key)
    bound = reading(place).settings.policy.rules_for(place.namespace or DEFAULT_NAMESPACE, key)
    value, conflicts = merge(
        _side(base, "--base"), _side(ours, "--ours"), _side(theirs, "--theirs"), bound, _TIMES
    )
    if as_json:
        write_json(_present({"value": value}) | {"conflicts": [_present(one._asdict()) for one in conflicts]})
    else:
        write("absent") if value is ABSENT else write_json(value)
        for one in conflicts:
            write(paint(_conflict(one), "magenta"))
    if conflicts:
        ctx.exit(CONFLICT)


@family("contract")
def contract() -> None:
    """Say what values have to look like.

    A contract binds the keys that match a glob to a JSON Schema. From then on a value that breaks it is not stored, by
    nobody and through no door; one that a merge brings is taken, and `gitmem conflicts` tells it. Contracts lie in
    gitmem.toml and travel with the memory.
    """


@contract.verb("add")
@click.argument("keys")
@click.argument("schema", required=False)
@values.FILE
@_MESSAGE
def add_contract(
    place: Place, as_json: bool, keys: str, schema: str | None, source: Any, message: str | None
) -> None:
    """Add a contract.

    KEYS is a glob. SCHEMA is a JSON Schema (Draft 2020-12, unless it names another), - for stdin, or in a --file. It
    may refer to its own parts alone: nothing is fetched. --namespace narrows it to one. What is stored already stays.
    """
    wanted = values.read(schema, source, name="SCHEMA")
    if not isinstance(wanted, dict | bool):
        example = """gitmem contract add 'handoff/**' '{"required": ["libraries"]}'"""
        raise Misused("SCHEMA is neither an object nor true or false", hint=f"for example: {example}")
    settings = writing(place).settings
    before = settings.contracts
    made = settings.add_contract(keys, wanted, namespace=place.only, message=message)
    _told_added(made, before, settings.contracts, as_json, "contract")
    if not as_json and made not in before:
        hint("`gitmem contract check` lists what breaks it already")


@contract.verb("list")
def list_contracts(place: Place, as_json: bool) -> None:
    """List the contracts.

    The columns: number, namespace (- for all), keys, schema.
    """
    found = reading(place).settings.contracts
    _told_list(found, as_json, "there are no contracts: `gitmem contract add KEYS SCHEMA` adds one")


@contract.verb("remove")
@click.argument("number", type=int)
@_MESSAGE
def remove_contract(place: Place, as_json: bool, number: int, message: str | None) -> None:
    """Remove a contract by its number.

    `gitmem contract list` shows the numbers; those behind it move up.
    """
    gone = writing(place, create=False).settings.remove_contract(number, message=message)
    _told_removed(gone, number, as_json, "contract")


@contract.verb("check")
@click.pass_context
def check_contracts(ctx: click.Context, place: Place, as_json: bool) -> None:
    """List what breaks a contract already.

    Every problem of every such value, of all namespaces unless one is named. Exits with 1 if there is one.
    """
    settings = reading(place).settings
    found = [one for one in settings.broken() if place.only in (None, one.namespace)]
    if as_json:
        write_json([one._asdict() for one in found])
    for one in [] if as_json else found:
        write(f"{paint(line(one.key), 'red')} in {line(one.namespace)}")
        for problem in one.problems:
            write(f"    {line(problem)}")
    if found:
        ctx.exit(1)
    if not as_json:
        bound = settings.contracts
        write(f"every value keeps {counted(len(bound), 'contract')}" if bound else "there are no contracts")


# --- told


def _told_added(made: Agreed, before: Sequence[Agreed], now: Sequence[Agreed], as_json: bool, kind: str) -> None:
    """Print what was added with its number; that it was there already, where it was."""
    number = now.index(made) + 1 if made in now else len(now)
    if as_json:
        write_json(_as_json(made, number))
    elif made in before:
        moved = before.index(made) != number - 1
        write(f"{'moved' if moved else 'there already'}: {kind} {number}: {_as_line(made)}")
    else:
        write(f"added {kind} {number}: {_as_line(made)}")


def _told_removed(gone: Agreed, number: int, as_json: bool, kind: str) -> None:
    write_json(_as_json(gone, number)) if as_json else write(f"removed {kind} {number}: {_as_line(gone)}")


def _told_list(found: Sequence[Agreed], as_json: bool, nothing: str) -> None:
    if as_json:
        write_json([_as_json(one, number) for number, one in enumerate(found, 1)])
        return
    write_table([(str(number), *_row(one)) for number, one in enumerate(found, 1)], ["yellow", None, "cyan"])
    if not found:
        hint(nothing)


def _row(one: Agreed) -> list[str]:
    """Namespace, keys, and what was agreed on for them."""
    keys, namespace, *agreed = one
    return [namespace or "-", str(keys), *(text or "(all)" for text in agreed)]


def _as_line(one: Agreed) -> str:
    namespace, *rest = map(line, _row(one))
    return " ".join(rest) + ("" if one.namespace is None else f" in {namespace}")


def _as_json(one: Agreed, number: int) -> dict[str, Any]:
    row: dict[str, Any] = one._asdict()
    if "schema" in row:
        row["schema"] = json.loads(row["schema"])
    return {"number": number, **row}


def _side(text: str, name: str) -> Any:
    return ABSENT if text == "absent" else values.parse_json(text, name)


def _present(sides: dict[str, Any]) -> dict[str, Any]:
    """A side that is absent is left out, since null is a value."""
    return {name: value for name, value in sides.items() if value is not ABSENT}


def _conflict(one: Conflict) -> str:
    sides = ", ".join(
        f"{name} {'absent' if side is ABSENT else compact(side)}"
        for name, side in (("base", one.base), ("ours", one.ours), ("theirs", one.theirs))
    )
    return f"conflict{f' at {line(one.pointer)}' if one.pointer else ''}: {sides}"
