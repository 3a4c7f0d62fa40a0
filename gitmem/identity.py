"""Who git thinks is at the keyboard: user.name and user.email of git's settings.

Knows git's settings; the doors say which files hold them, since only doors know the home folder.
Law: what cannot be read is nobody's name: a broken setting never stops a write.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from gitmem.errors import StorageError
from gitmem.place import read_config
from gitmem.provenance import MAX_NAME_BYTES

_ILLEGAL = re.compile(r"[\x00-\x1f\x7f-\x9f<>\ud800-\udfff]+")


def git_identity(files: Sequence[Path]) -> tuple[str | None, str | None]:
    """user.name and user.email in these settings, of which a later file wins; None for what none of them says."""
    name = email = None
    for path in files:
        found = _settings(path)
        name = found.get("user.name") or name
        email = found.get("user.email") or email
    return name, email


def legal_name(text: str) -> str:
    """The text as a name that commits can bear: without brackets and control characters; empty if nothing is left."""
    plain = " ".join(_ILLEGAL.sub(" ", text).split()).strip(".,:;\"'")
    return plain.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip()


def _settings(path: Path) -> dict[str, str]:
    """The settings of one file, with what it includes."""
    try:
        settings = read_config(path)
    except StorageError:
        return {}
    if any(name.startswith(("include.", "includeif.")) for name in settings):
        return {**settings, **_with_includes(path)}
    return settings


def _with_includes(path: Path) -> dict[str, str]:
    """user.* as dulwich reads it, which follows includes; its import costs as much as a whole `gitmem store`."""
    from dulwich.config import ConfigFile

    try:
        config = ConfigFile.from_path(str(path))
    except (OSError, ValueError):
        return {}
    found = {}
    for name in ("name", "email"):
        try:
            found[f"user.{name}"] = config.get((b"user",), name.encode()).decode("utf-8", "replace")
        except KeyError:
            continue
    return found
