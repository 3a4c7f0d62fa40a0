"""What surrounds the objects: folders, HEAD, settings, features of git, rights, the file system.

Knows the files of a bare repository and of gitmem's two folders; does not know objects or refs.
Law: a setting is repaired by adding to the file, never by dropping what others wrote there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gitmem import place as places
from gitmem.errors import FormatError, StorageError
from gitmem.index.file import on_network
from gitmem.maintenance.findings import Chart
from gitmem.place import Place

_TRUE = ("true", "yes", "on", "1")
_WANTED = (
    ("error", "core.bare", "true", "git would look for a working tree here"),
    ("warning", "receive.denyNonFastForwards", "true", "a push could rewrite the history"),
    ("warning", "receive.denyDeletes", "true", "a push could delete a branch"),
    ("warning", "receive.fsckObjects", "true", "a push could bring damaged objects"),
    ("warning", "gc.auto", "0", "git would pack and prune by itself while gitmem does too"),
)
_FRESH = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tlogAllRefUpdates = false\n"


def examine(chart: Chart) -> bool:
    """Look at everything around the objects; False if gitmem must not read this repository any further."""
    _folders(chart)
    _head(chart)
    readable = _settings(chart)
    _rights(chart)
    if on_network(str(chart.where.git_dir)):
        chart.warning(
            "network-file-system",
            f"{chart.where.path} lies on a network file system: no locks to rely on, and no index that stays",
            "keep the memory on a local disk of each machine, and push and fetch between them",
        )
    return readable


def _folders(chart: Chart) -> None:
    for name in ("objects", "refs", "refs/heads"):
        folder = chart.where.git_dir / name
        if not folder.is_dir():

            def make(folder: Path = folder) -> str:
                folder.mkdir(parents=True)
                return f"made {folder}"

            chart.error("folder-missing", f"the folder {folder} is missing", "`gitmem doctor --repair` makes it", make)


def _head(chart: Chart) -> None:
    path = chart.where.git_dir / "HEAD"

    def write() -> str:
        replace_file(path, b"ref: refs/heads/main\n")
        return "HEAD names refs/heads/main now"

    try:
        content = path.read_bytes()
    except OSError as error:
        chart.error("head-missing", f"{path}: {error.strerror}", "`gitmem doctor --repair` writes it anew", write)
        return
    if not content.startswith(b"ref: refs/heads/"):
        shown = content[:60].decode("utf-8", "backslashreplace").strip()
        message = f"{path} names no branch: {shown!r}"
        chart.error("head-garbled", message, "`gitmem doctor --repair` writes it anew", write)


# --- settings and features ---


def _settings(chart: Chart) -> bool:
    path = chart.where.git_dir / "config"
    if not _parses(path) and not _anew(chart, path):
        return False
    config = places.read_config(path)
    bare = config.get("core.bare", "true").lower() != "false"
    worktree = places.checked_out(chart.where, "main", bare=bare)
    if worktree is not None:
        message = f"branch main is checked out in the worktree {worktree}: every write is refused"
        chart.error("checked-out", message, f"check out another branch there: `git -C {worktree} switch --detach`")
        if not bare and (chart.where.git_dir / "index").exists():
            return True  # an ordinary repository, with settings of its own
    for severity, name, wanted, reason in _WANTED:
        found = config.get(name.lower())
        if not _same(found, wanted):
            judge = chart.error if severity == "error" else chart.warning
            message = f"{path} has {name} = {found or '(nothing)'}, not {wanted}: {reason}"
            judge("setting", message, _command(path, name, wanted), partial(_add, path, name, wanted))
    durability = config.get("gitmem.durability", "sync")
    if durability not in places.DURABILITIES:
        message = f"{path} has gitmem.durability = {durability}, which is neither sync nor fast"
        hint = _command(path, "gitmem.durability", "sync")
        chart.error("setting", message, hint, partial(_add, path, "gitmem.durability", "sync"))
    try:
        places.check_features(chart.where, config)
    except FormatError as error:
        chart.error("git-feature", error.message, error.hint)
        return False
    return True


def _anew(chart: Chart, path: Path) -> bool:
    """A config that is lost is written anew, unless it spoke of extensions: without it git would misread the rest."""
    message = f"{path} cannot be parsed by git"
    if path.exists() and b"[extensions" in path.read_bytes().lower():
        return chart.error("config-garbled", message, "it names extensions: correct it by hand")
    hint = "`gitmem doctor --repair` writes a new one and keeps the old one beside it"
    return chart.error("config-garbled", message, hint, lambda: _write_anew(path))


def _same(found: str | None, wanted: str) -> bool:
    return found is not None and (found.lower() in _TRUE if wanted == "true" else found == wanted)


def _parses(path: Path) -> bool:
    """Whether git would read this file; git's own grammar is dulwich's to know."""
    from dulwich.config import ConfigFile

    try:
        ConfigFile.from_path(str(path))
    except (ValueError, OSError):
        return False
    return True


def _command(path: Path, name: str, value: str) -> str:
    return f"run `git -C {path.parent} config {name} {value}`"


def _add(path: Path, name: str, value: str) -> str:
    section, _, setting = name.partition(".")
    old = path.read_bytes()
    ending = b"" if old.endswith(b"\n") else b"\n"
    replace_file(path, old + ending + f"[{section}]\n\t{setting} = {value}\n".encode(), seen=old)
    return f"set {name} = {value}"


def _write_anew(path: Path) -> str:
    kept = path.with_name(f"config.damaged-{os.urandom(4).hex()}")
    text = _FRESH + "".join("[{}]\n\t{} = {}\n".format(*name.split("."), value) for _, name, value, _ in _WANTED)
    if path.exists():
        os.link(path, kept)
    replace_file(path, text.encode())
    return f"wrote it anew; the old one is {kept.name}" if kept.exists() else "wrote it anew"


def replace_file(path: Path, content: bytes, *, seen: bytes | None = None) -> None:
    """Put a new file in place of an old one, by way of git's own lock file for it. FileExistsError if that is held.

    `seen` is what the old one held: StorageError, and nothing done, if it holds something else by now.
    """
    lock = path.with_name(path.name + ".lock")
    descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with open(descriptor, "wb") as file:
            if seen is not None and path.read_bytes() != seen:
                raise StorageError(f"{path} changed meanwhile", hint="look again", path=str(path))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        lock.rename(path)
    except BaseException:
        lock.unlink(missing_ok=True)
        raise


# --- rights ---


def _rights(chart: Chart) -> None:
    where = chart.where
    inside = [where.git_dir / name for name in ("", "objects", "refs/heads")]
    for folder in (*inside, where.derived, where.local):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            chart.warning(
                "read-only",
                f"{folder} is not writable for this user: reading works, writing does not",
                "check the folder's owner and mode, and whether its file system is mounted read-only",
            )
    if os.name == "posix" and where.local.is_dir():
        _privacy(chart)
        _owners(chart)


def _privacy(chart: Chart) -> None:
    local = chart.where.local
    mode = stat.S_IMODE(local.stat().st_mode)

    def close() -> str:
        local.chmod(0o700)
        return "others may not enter it any more"

    if mode & 0o077:
        message = f"{local} may be entered by others (mode {mode:04o}): tokens and the read audit lie there"
        chart.warning("local-open", message, f"run `chmod 700 {local}`", close)


def _owners(chart: Chart) -> None:
    """Files of another user than the memory's own are what a sudo leaves behind: writes fail on them one day."""
    if "core.sharedrepository" in places.read_config(chart.where.git_dir / "config"):
        return
    owner = chart.where.git_dir.stat().st_uid
    for path, found in every_file(chart.where):
        if found.st_uid != owner:
            message = f"{path} belongs to user {found.st_uid}, the memory to user {owner}"
            chart.warning("other-owner", message, f"run `sudo chown -R {owner} {chart.where.path}`")


def every_file(where: Place) -> Iterator[tuple[str, os.stat_result]]:
    """Every file and folder of a memory with its status; what vanishes meanwhile is left out."""
    folders = [str(where.git_dir)]
    if where.path != where.git_dir:
        folders += [str(where.derived), str(where.local)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                yield entry.path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
            except FileNotFoundError:
                continue
