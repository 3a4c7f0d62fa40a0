"""The commands that read many keys: list, namespaces, search.

Knows what is typed and how it is printed; what is found is decided by `Memory`.
Law: each prints one snapshot.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli.command import Place, verb
from gitmem.cli.failures import Misused
from gitmem.cli.opening import reading
from gitmem.cli.output import compact, hint, line, on_terminal, write, write_array, write_json, write_table
from gitmem.keys import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from gitmem.view import View


@verb("list")
@click.argument("prefix", default="")
def list_keys(place: Place, as_json: bool, prefix: str) -> None:
    """List the keys that begin with PREFIX.

    PREFIX is plain text: swarm/re matches swarm/researcher/status. Without it, every key of the namespace.
    """
    memory = reading(place)
    keys = memory.list(prefix)
    if as_json:
        write_json(keys)
    elif keys:
        write("\n".join(map(line, keys) if on_terminal() else keys))
    if not keys and (next_step := _elsewhere(memory.namespaces(), prefix, place.namespace or DEFAULT_NAMESPACE)):
        hint(next_step)


def _elsewhere(namespaces: list[str], prefix: str, namespace: str) -> str:
    """Where the keys may be that were looked for in an empty place."""
    meant = prefix.strip("/")
    if meant in namespaces:
        return f"{meant} is a namespace: gitmem list -n {meant}"
    if prefix:
        return f"no key of namespace {namespace} begins with {prefix}: `gitmem list` shows all, " \
            "`gitmem search` takes a glob"  # fmt: skip
    if namespaces:
        return f"namespace {namespace} is empty; there are: {', '.join(namespaces[:10])}"
    return "the memory is empty: `gitmem store KEY VALUE` fills it"


@verb("namespaces")
def namespaces(place: Place, as_json: bool) -> None:
    """List the namespaces that hold a key.

    On a terminal with the number of their keys.
    """
    memory = reading(place)
    names = memory.namespaces()
    if as_json:
        write_json(names)
    elif on_terminal():
        write_table([(name, str(len(memory.list(namespace=name)))) for name in names])
    elif names:
        write("\n".join(names))
    if not names:
        hint("the memory is empty: `gitmem store KEY VALUE` fills it")


@verb("search")
@click.argument("pattern")
@click.option("--where", metavar="EXPR", help="Only values that meet a JMESPath condition: success_rate > `90`.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most so many.")
@click.option("--offset", type=click.IntRange(min=0), default=0, metavar="N", help="Leave out so many first.")
@click.option("--keys", is_flag=True, help="Print keys alone.")
@click.option("--all-namespaces", is_flag=True, help="Search every namespace.")
def search(
    place: Place, as_json: bool, pattern: str, where: str | None, limit: int | None, offset: int, keys: bool,
    all_namespaces: bool,
) -> None:  # fmt: skip
    """Find entries by a glob over their keys.

    * and ? stay inside a segment, ** and % cross segments, [ab], [!a], {a,b} are choices, \\ escapes. Case matters, and
    the whole key has to match. Quote the pattern: the shell has globs of its own.
    """
    if all_namespaces and place.only is not None:
        raise Misused("--namespace and --all-namespaces say different things")
    memory, entries = reading(place), []
    if keys and where is None:
        found = _keys(memory, pattern, offset, limit, place.namespace, all_namespaces)
    else:
        entries = memory.search(pattern, where=where, limit=limit, offset=offset, all_namespaces=all_namespaces)
        found = [(entry.namespace, entry.key) for entry in entries]
    if not found and where is None and not offset:
        space = place.namespace or DEFAULT_NAMESPACE
        empty = not all_namespaces and not memory.list(namespace=space)
        hint(_elsewhere(memory.namespaces(), "", space) if empty else
             f"no key matches {pattern}: a glob has to match the whole key, as swarm/** does")  # fmt: skip
    if not keys:
        _write_entries(entries, as_json, all_namespaces)
        return
    if not as_json:
        write_table([pair if all_namespaces else pair[1:] for pair in found])
    elif all_namespaces:
        write_array({"namespace": namespace, "key": key} for namespace, key in found)
    else:
        write_json([key for _, key in found])


def _keys(
    memory: View, pattern: str, offset: int, limit: int | None, namespace: str | None, everywhere: bool
) -> list[tuple[str, str]]:
    names = memory.namespaces() if everywhere else [namespace or DEFAULT_NAMESPACE]
    pairs = ((name, key) for name in names for key in memory.search_keys(pattern, namespace=name))
    return list(islice(pairs, offset, None if limit is None else offset + limit))


def _write_entries(entries: list[Any], as_json: bool, with_namespace: bool) -> None:
    if as_json:
        write_array(entry.to_json() for entry in entries)
        return
    rows = [(entry.namespace, entry.key, compact(entry.value)) for entry in entries]
    write_table([row if with_namespace else row[1:] for row in rows], [None, "cyan"][not with_namespace :])
