"""The commands that write one key, or delete several: init, store, create, patch, append, delete.

Knows what is typed; what is written is decided by `Memory`.
Law: what is printed is what the verb returned; one command is one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from gitmem.cli import values
from gitmem.cli.command import Place, keys_like, verb
from gitmem.cli.failures import Misused
from gitmem.cli.opening import writing
from gitmem.cli.output import hint, line, short, write, write_json
from gitmem.errors import UnknownRevisionError

if TYPE_CHECKING:
    from gitmem.entries import Entry, Version
    from gitmem.memory import Memory

_EXPECT = click.option("--expect", metavar="V|absent", help="Write only if the last version is still this one: a "
                       "number, a revision, or `absent`.")  # fmt: skip
_BASE = click.option("--base", metavar="V|absent", help="Merge with what was written since this version: a number, a "
                     "revision, or `absent`.")  # fmt: skip
_GUARD = click.option("--guard", "guards", metavar="KEY@TOKEN", multiple=True, help="Write only while KEY, of this "
                      "namespace or else of coordination, is still at TOKEN, as a claim is. Repeatable.")  # fmt: skip
_MESSAGE = click.option("--message", "-m", metavar="TEXT", help="The commit's subject: one line.")
_TTL = click.option("--ttl", type=float, metavar="SECONDS", help="The key expires after so many seconds.")
_WRITE_ID = click.option("--write-id", metavar="ID", help="A name for this write: a retry returns the first result.")


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def given(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return given


@verb("init")
@click.argument("path", required=False)
@click.option("--durability", type=click.Choice(["sync", "fast"]), help="sync (the default) survives a power cut, "
              "fast a killed process.")  # fmt: skip
def init(place: Place, as_json: bool, path: str | None, durability: str | None) -> None:
    """Create a memory.

    PATH is the folder that gets a .gitmem, a .gitmem itself, or a bare repository; without it, the project's root.
    Every command that writes does the same where it finds no memory.
    """
    from gitmem import place as places
    from gitmem.errors import StorageError
    from gitmem.memory import Memory

    where = places.place(path) if path is not None else places.locate(place.store)
    existed = places.exists(where)
    memory = Memory.open(where.path, durability=durability)
    kept = "sync" if memory.vault.repository.durable else "fast"
    if durability not in (None, kept):
        raise StorageError(
            f"there is a memory at {memory.path} already, and its durability is {kept}",
            hint=f"change it with `git -C {memory.vault.repository.git_dir} config gitmem.durability {durability}`",
            path=str(memory.path),
        )
    if as_json:
        write_json({"path": str(memory.path), "created": not existed, "durability": kept})
    else:
        write(f"{'there is a memory already at' if existed else 'created a memory at'} {line(str(memory.path))}")


@verb("store")
@click.argument("key", shell_complete=keys_like)
@click.argument("value", required=False)
@_options(values.value_options, _EXPECT, _BASE, _GUARD, _TTL, _MESSAGE, _WRITE_ID)
def store(
    place: Place, as_json: bool, key: str, value: str | None, source: Any, as_text: bool, expect: str | None,
    base: str | None, guards: Sequence[str], ttl: float | None, message: str | None, write_id: str | None,
) -> None:  # fmt: skip
    """Store a value; the last write wins.

    VALUE is JSON; text that is not JSON is a string, unless it begins with {, [ or a double quote. `-` reads stdin
    (of text that is no JSON the last newline is left off), --file a file.

    With --base, the version that VALUE was made from, nothing that others wrote since is lost: both changes are
    merged member by member. Where they contradict each other and no rule settles it, nothing is written (exit 4).
    """
    wanted = values.read(value, source, as_text=as_text)
    memory = writing(place)
    entry = memory.store(
        key,
        wanted,
        ttl=ttl,
        expect=values.expected(expect),
        base=values.expected(base),
        guard=_fences(memory, guards),
        message=message,
        write_id=write_id,
    )
    tell_entry("stored", entry, as_json)


@verb("create")
@click.argument("key", shell_complete=keys_like)
@click.argument("value", required=False)
@_options(values.value_options, _GUARD, _TTL, _MESSAGE, _WRITE_ID)
def create(
    place: Place, as_json: bool, key: str, value: str | None, source: Any, as_text: bool, guards: Sequence[str],
    ttl: float | None, message: str | None, write_id: str | None,
) -> None:  # fmt: skip
    """Store a value only if the key is absent.

    If it is there, nothing is written and the exit code is 4. VALUE is read as `gitmem store` reads it.
    """
    wanted = values.read(value, source, as_text=as_text)
    memory = writing(place)
    entry = memory.create(
        key, wanted, ttl=ttl, guard=_fences(memory, guards), message=message, write_id=write_id
    )
    tell_entry("created", entry, as_json)


@verb("patch")
@click.argument("key", shell_complete=keys_like)
@click.argument("change", metavar="JSON", required=False)
@click.option("--default", metavar="JSON", help="Patch this if there is no such key.")
@_options(values.FILE, _EXPECT, _GUARD, _MESSAGE, _WRITE_ID)
def patch(
    place: Place, as_json: bool, key: str, change: str | None, source: Any, default: str | None, expect: str | None,
    guards: Sequence[str], message: str | None, write_id: str | None,
) -> None:  # fmt: skip
    """Change members of a value.

    JSON is an RFC 7396 merge patch (an object, in which null removes a member) or an RFC 6902 JSON patch (a list of
    operations). `-` reads stdin.
    """
    wanted = values.read(change, source, name="JSON")
    if not isinstance(wanted, dict | list):
        raise Misused("JSON is neither an object (a merge patch) nor a list (a JSON patch)",
                      hint="""for one member: gitmem patch KEY '{"state": "done"}'""")  # fmt: skip
    start = {} if default is None else {"default": values.parse_json(default, "--default")}
    memory = writing(place)
    conditions = {"expect": values.expected(expect), "guard": _fences(memory, guards)}
    entry = memory.patch(key, wanted, message=message, write_id=write_id, **conditions, **start)
    tell_entry("patched", entry, as_json)


@verb("append")
@click.argument("key", shell_complete=keys_like)
@click.argument("item", required=False)
@click.option("--at", default="", metavar="POINTER", help="The list inside the value, as a JSON pointer: /endpoints.")
@_options(values.value_options, _EXPECT, _GUARD, _MESSAGE, _WRITE_ID)
def append(
    place: Place, as_json: bool, key: str, item: str | None, at: str, source: Any, as_text: bool, expect: str | None,
    guards: Sequence[str], message: str | None, write_id: str | None,
) -> None:  # fmt: skip
    """Add one element to a list.

    A missing key becomes a list of that one element. ITEM is read as `gitmem store` reads VALUE.
    """
    element = values.read(item, source, as_text=as_text, name="ITEM")
    memory = writing(place)
    conditions = {"expect": values.expected(expect), "guard": _fences(memory, guards)}
    entry = memory.append(key, element, at=at, message=message, write_id=write_id, **conditions)
    tell_entry("appended to", entry, as_json)


@verb("delete")
@click.argument("keys", metavar="KEY...", shell_complete=keys_like, nargs=-1)
@click.option("--matching", metavar="GLOB", help="Delete every key that matches, instead of named ones.")
@_options(_EXPECT, _GUARD, _MESSAGE)
def delete(
    place: Place, as_json: bool, keys: tuple[str, ...], matching: str | None, expect: str | None,
    guards: Sequence[str], message: str | None,
) -> None:  # fmt: skip
    """Delete keys; their history stays.

    All of them in one commit, or none if one is missing. A glob that matches nothing is no error.
    """
    if bool(keys) == (matching is not None):
        raise Misused("name the keys to delete, or a glob with --matching; not both" if keys else "KEY is missing",
                      hint="a glob: gitmem delete --matching 'swarm/coder/**'")  # fmt: skip
    if expect is not None and len(keys) != 1:
        raise Misused("--expect is for one key", hint="delete the keys one by one")
    memory = writing(place)
    fences = _fences(memory, guards)
    if matching is not None:
        gone = memory.delete_matching(matching, guard=fences, message=message)
    else:
        gone = memory.delete(*keys, expect=values.expected(expect), guard=fences, message=message)
    tell_versions(gone, as_json, {"deleted": "deleted"}, nothing="no key matches: nothing was deleted")


def _fences(memory: Memory, typed: Sequence[str]) -> list[Version]:
    """The versions that --guard names: of keys of the namespace that is written, or else of coordination."""
    return [_fence(memory, text) for text in typed]


def _fence(memory: Memory, text: str) -> Version:
    from gitmem.keys import COORDINATION
    from gitmem.recipes.claim import fence

    key, _, token = text.rpartition("@")
    if not key or not token:
        raise Misused(f"--guard {text!r} is no KEY@TOKEN", hint="`gitmem claim take TASK` prints a claim's token")
    spaces = list(dict.fromkeys((memory.namespace, COORDINATION)))
    for namespace in spaces:
        with suppress(UnknownRevisionError):
            return fence(memory, key, token, namespace=namespace)
    raise UnknownRevisionError(
        f"{token!r} is no token of key {key!r} in namespace {' or '.join(map(repr, spaces))}",
        hint="a token is the revision that wrote the key: `gitmem claim take` prints it, and so does "
        "`gitmem retrieve KEY --entry`; another namespace is named with -n",
        revision=token,
    )


def tell_entry(done: str, entry: Entry, as_json: bool) -> None:
    """Print what a write came to; `done` is the word for it."""
    if as_json:
        write_json(entry.to_json())
        return
    expires = f", expires {entry.to_json()['expires']}" if entry.expires is not None else ""
    write(f"{done} {line(entry.key)} in {line(entry.namespace)}: version {entry.version}, "
          f"{short(entry.revision)}{expires}")  # fmt: skip


def tell_versions(made: list[Version], as_json: bool, words: dict[str, str], *, nothing: str) -> None:
    """Print what one commit did to several keys; `words` by operation, `nothing` where it did nothing."""
    if as_json:
        write_json([one.to_json() for one in made])
        return
    for one in made:
        word = words.get(one.operation, one.operation)
        write(f"{word} {line(one.key)} in {line(one.namespace)}: version {one.version}, {short(one.revision)}")
    if not made:
        hint(nothing)
