"""Which form a source has, told by its content, and the reader for it.

Knows the first bytes of each form; a name's ending tells nothing.
Law: what is not recognised is refused with what would have been.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gitmem.errors import InvalidValueError
from gitmem.exchange import claude_flow, folder, lines, ruflo
from gitmem.exchange.jsonfile import parse_object
from gitmem.exchange.records import Source, Unfit, wrong
from gitmem.loose import storage_error
from gitmem.provenance import Stamp

FORMS = (claude_flow.FORM, ruflo.FORM, lines.FORM, folder.FORM)
_EXPECTED = (
    "a claude-flow 2.x SQLite store, a ruflo-memory-export/v1 file, gitmem's own export (JSON lines) or a folder"
    " of JSON files; --form names one"
)
_HEAD, _LINE = 1 << 16, 32 << 20
_SPACE = b" \t\r\n\xef\xbb\xbf"


def open_source(path: Path, form: str | None, *, namespace: str, stamp: Stamp, now: float) -> Source:
    """The source at `path`, of this form or of the one that its content shows. InvalidValueError if of none.

    `namespace` is for entries that name none; `stamp` signs the files of a folder; `now` is for entries without a
    time. StorageError if the file cannot be read.
    """
    if form is not None and form not in FORMS:
        raise InvalidValueError(
            f"form {form!r} is unknown", hint=f"choose one of {', '.join(FORMS)}", pointer="", reason="unknown form"
        )
    readers: dict[str, Callable[[], Source]] = {
        claude_flow.FORM: lambda: claude_flow.ClaudeFlowStore(path, now=now),
        ruflo.FORM: lambda: ruflo.RufloExport(path, namespace=namespace, now=now),
        lines.FORM: lambda: lines.GitmemExport(path, namespace=namespace, now=now),
        folder.FORM: lambda: folder.Folder(path, namespace=namespace, stamp=stamp),
    }
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise wrong(path, "is neither a regular file nor a folder", "one that can be read twice: save a pipe to a file")
    try:
        chosen = form or recognise(path)
        if path.is_dir() != (chosen == folder.FORM):
            raise wrong(path, f"is {'a' if path.is_dir() else 'no'} folder", f"{chosen!r} to be read: {_EXPECTED}")
        return readers[chosen]()
    except FileNotFoundError:
        raise wrong(path, "does not exist", _EXPECTED) from None
    except OSError as error:
        raise storage_error(error, str(path)) from error


def recognise(path: Path) -> str:
    """The form of what lies at `path`; InvalidValueError if it is none that can be imported."""
    if path.is_dir():
        return folder.FORM
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if head.startswith(claude_flow.MAGIC):
            return claude_flow.FORM
        text = head.lstrip(_SPACE)
        if not text:
            raise wrong(path, "is empty", _EXPECTED)
        if not text.startswith(b"{"):
            raise wrong(path, "is of no known form", _EXPECTED)
        file.seek(len(head) - len(text))
        line = file.readline(_LINE)
    if len(line) < _LINE and _is_entry(line):
        return lines.FORM
    if ruflo.SCHEMA.rpartition("/")[0].encode() in head or b'"entries"' in head:
        return ruflo.FORM
    raise wrong(path, "is of no known form", _EXPECTED)


def _is_entry(line: bytes) -> bool:
    try:
        entry = parse_object(line)
    except Unfit:
        return False
    return "key" in entry and ("value" in entry or "operation" in entry)
