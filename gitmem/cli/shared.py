"""The commands for a document that many agents change at once.

Knows what is typed and printed; changes and contributions are those of `recipes.shared`.
Law: one command is one commit, which holds the change and who contributed it.
"""

from __future__ import annotations

from typing import Any

import click

from gitmem.cli import values
from gitmem.cli.command import Place, family, keys_like
from gitmem.cli.failures import Misused
from gitmem.cli.opening import reading, writing
from gitmem.cli.output import hint, line, short, write, write_json, write_table
from gitmem.cli.recipes import ENTRY, MESSAGE, TIMEOUT, tell_value
from gitmem.cli.writes import tell_entry
from gitmem.codec import equal
from gitmem.entries import format_time
from gitmem.recipes.shared import Shared

_KEY = click.argument("key", shell_complete=keys_like)


@family("shared")
def shared() -> None:
    """Change one document together, and wait until all have.

    Each change also stores KEY/contributors/AGENT. Without --namespace (or GITMEM_NAMESPACE) the document lies in the
    namespace `coordination`.
    """


def _changing(place: Place, key: str) -> Shared:
    return Shared(writing(place, create=False), key, namespace=place.namespace)


def _seeing(place: Place, key: str) -> Shared:
    return Shared(reading(place), key, namespace=place.namespace)


@shared.verb("open")
@_KEY
@click.argument("value", required=False)
@values.value_options
def open_document(place: Place, as_json: bool, key: str, value: str | None, source: Any, as_text: bool) -> None:
    """Begin a document, or leave it as it is.

    VALUE, read as `gitmem store` reads it, is what it begins with if it is not there yet; nobody has contributed to it
    then. What is printed is what is there.
    """
    initial = values.read(value, source, as_text=as_text)
    found = Shared(writing(place), key, namespace=place.namespace).open(initial)
    tell_entry("open:", found, as_json)
    if not equal(found.value, initial):
        hint("it was there already, with another value, and stays as it is")


@shared.verb("patch")
@_KEY
@click.argument("change", metavar="JSON", required=False)
@values.FILE
@MESSAGE
def patch(place: Place, as_json: bool, key: str, change: str | None, source: Any, message: str | None) -> None:
    """Change members of the document.

    JSON is an RFC 7396 merge patch (an object) or an RFC 6902 JSON patch (a list of operations). `-` reads stdin.
    """
    wanted = values.read(change, source, name="JSON")
    if not isinstance(wanted, dict | list):
        raise Misused("JSON is neither an object (a merge patch) nor a list (a JSON patch)",
                      hint="""for one member: gitmem shared patch KEY '{"test_coverage": 85}'""")  # fmt: skip
    tell_entry("patched", _changing(place, key).patch(wanted, message=message), as_json)


@shared.verb("append")
@_KEY
@click.argument("item", required=False)
@click.option("--at", default="", metavar="POINTER", help="The list inside the document, as a JSON pointer: "
              "/api_endpoints. Without it, the document itself is the list.")  # fmt: skip
@values.value_options
@MESSAGE
def append(
    place: Place, as_json: bool, key: str, item: str | None, at: str, source: Any, as_text: bool, message: str | None
) -> None:
    """Add one element to a list in the document.

    ITEM is read as `gitmem store` reads VALUE.
    """
    element = values.read(item, source, as_text=as_text, name="ITEM")
    tell_entry("appended to", _changing(place, key).append(element, at=at, message=message), as_json)


@shared.verb("merge")
@_KEY
@click.argument("value", required=False)
@click.option("--base", required=True, metavar="V|absent", help="The version of the document that VALUE was made from: "
              "a number or a revision.")  # fmt: skip
@values.value_options
@MESSAGE
def merge(
    place: Place, as_json: bool, key: str, value: str | None, base: str, source: Any, as_text: bool,
    message: str | None,
) -> None:  # fmt: skip
    """Store the document as you changed it, merged with what others changed since.

    Where both changed one place and no rule settles it, nothing is written (exit 4).
    """
    wanted = values.read(value, source, as_text=as_text)
    made = _changing(place, key).merge(wanted, values.expected(base), message=message)
    tell_entry("merged into", made, as_json)


@shared.verb("contribute")
@_KEY
@MESSAGE
def contribute(place: Place, as_json: bool, key: str, message: str | None) -> None:
    """Say that you are done, although there was nothing to change."""
    tell_entry("contributed to", _changing(place, key).contribute(message=message), as_json)


@shared.verb("wait")
@_KEY
@click.option("--contributor", "names", multiple=True, metavar="NAME", help="Wait until this agent has contributed. "
              "May be repeated.")  # fmt: skip
@click.option("--member", "places", multiple=True, metavar="POINTER", help="Wait until this place differs from what "
              "the document was opened with, as a JSON pointer: /test_coverage. May be repeated.")  # fmt: skip
@TIMEOUT
@ENTRY
def wait(
    place: Place, as_json: bool, key: str, names: tuple[str, ...], places: tuple[str, ...], timeout: float | None,
    whole: bool,
) -> None:  # fmt: skip
    """Wait until all have contributed, and print the document.

    Without --contributor and --member, until the document is there.
    """
    entry = _seeing(place, key).wait(contributors=names, members=places, timeout=timeout)
    tell_value(entry, as_json, whole=whole)


@shared.verb("status")
@_KEY
def status(place: Place, as_json: bool, key: str) -> None:
    """Tell who has contributed.

    One line about the document, then the columns: agent, time of the first contribution.
    """
    document = _seeing(place, key)
    entry, found = document.entry(), document.contributors()
    if as_json:
        write_json({"document": entry.to_json(), "contributors": {name: one.to_json() for name, one in found.items()}})
        return
    write(f"{line(entry.key)} in {line(entry.namespace)}: version {entry.version}, {short(entry.revision)}, by "
          f"{line(entry.agent)} at {format_time(entry.time)}")  # fmt: skip
    write_table([(name, format_time(one.time)) for name, one in found.items()], ["cyan", "yellow"])
    if not found:
        hint("nobody has contributed yet")
