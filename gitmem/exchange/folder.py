"""A folder of JSON files: `a/b.json` becomes the key `a/b`, the file's time the entry's.

Knows names and files; follows no symbolic link.
Law: every file below the folder is an entry or is listed with the reason why not; a hidden folder is one line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitmem import codec
from gitmem.errors import InvalidValueError
from gitmem.exchange.records import Heading, Refused, Unfit, shown, value_body, wrong
from gitmem.keys import SUFFIX
from gitmem.provenance import Stamp

FORM = "folder"
_LARGEST = 64 << 20


class Folder:
    """A folder of JSON files, all for one namespace, signed by who imports them."""

    form = FORM
    ordered = False

    def __init__(self, path: Path, *, namespace: str, stamp: Stamp) -> None:
        if (path / "HEAD").is_file() and (path / "objects").is_dir():
            raise wrong(path, "is a git repository", "a folder of JSON files; `gitmem export` there gives a file")
        self._path = path
        self._namespace = namespace
        self._stamp = stamp

    def headings(self) -> Iterator[Heading | Refused]:
        """The files, by name."""
        waiting = self._listed("")
        while waiting:
            found = waiting.pop()
            if isinstance(found, str):
                waiting += self._listed(found)
            else:
                yield found

    def body(self, place: Any, *, limit: int) -> bytes:
        """The value in a file."""
        path = self._path / place
        largest = max(_LARGEST, 4 * limit)
        try:
            if path.stat().st_size > largest:
                raise Unfit(f"it has more than {largest} bytes")
            text = path.read_bytes()
            return value_body(codec.decode(text, max_bytes=len(text)), limit=limit)
        except OSError as error:
            raise Unfit(f"it cannot be read: {error.strerror}") from None
        except InvalidValueError as error:
            raise Unfit(f"it is no value: {error.reason}") from None

    def where(self, place: Any) -> str:
        """The file's path below the folder."""
        return shown(place)

    def close(self) -> None:
        """Nothing stays open."""

    def _listed(self, prefix: str) -> list[Heading | Refused | str]:
        """What lies directly in a folder, last first; of a folder to look into, what the names in it begin with."""
        try:
            with os.scandir(self._path / prefix) as found:
                entries = sorted(found, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            return [Refused(shown(prefix) or ".", f"the folder cannot be read: {error.strerror}")]
        return [self._met(prefix + entry.name, entry) for entry in entries]

    def _met(self, name: str, entry: os.DirEntry[str]) -> Heading | Refused | str:
        if entry.is_symlink():
            return Refused(shown(name), "skipped: a symbolic link")
        if entry.is_dir(follow_symlinks=False):
            return Refused(shown(name) + "/", "skipped: a hidden folder") if entry.name[0] == "." else name + "/"
        if not entry.name.endswith(SUFFIX) or not entry.is_file(follow_symlinks=False):
            return Refused(shown(name), f"skipped: no {SUFFIX} file")
        return self._heading(name, entry)

    def _heading(self, name: str, entry: os.DirEntry[str]) -> Heading | Refused:
        try:
            moment = max(0.0, entry.stat(follow_symlinks=False).st_mtime)
        except OSError as error:
            return Refused(shown(name), f"it cannot be read: {error.strerror}")
        key = name.removesuffix(SUFFIX).replace(os.sep, "/")
        return Heading(name, self._namespace, key, int(moment), moment, self._stamp)
