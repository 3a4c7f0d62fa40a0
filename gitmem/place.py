"""Where a memory lies, and the laying of its first stones.

Knows folders and git's files; does not know keys. The environment and the home folder are the doors' business.
Law: creating is all or nothing (built beside, then renamed), and two creators at once end with one memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gitmem.errors import FormatError, NotAMemoryError
from gitmem.loose import storage_error, sync_path
from gitmem.objects import BLOB_MODE, Identity, Objects, Oid, serialize_commit, serialize_tree
from gitmem.policy import ROOT_BYTES

NAME = ".gitmem"
POLICY_FILE = b"gitmem.toml"
ROOT_COMMIT = bytes.fromhex("9b8cd24c8b2886e84b82eafe246c4860097f78cc")
SELF = "gitmem"
"""The name gitmem itself signs with."""
DURABILITIES = ("sync", "fast")

_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogAllRefUpdates = false
[receive]
\tdenyNonFastForwards = true
\tdenyDeletes = true
\tfsckObjects = true
[gc]
\tauto = 0
[gitmem]
\tdurability = {durability}
"""
_SECTION = re.compile(r'\s*\[\s*([^\s"\]]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]\s*(.*)')
_SETTING = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*(.*?))?\s*$")


class Place(NamedTuple):
    """The three folders of a memory: the bare repository, what can be derived from it, what is this machine's."""

    path: Path
    git_dir: Path
    derived: Path
    local: Path


def place(path: str | os.PathLike[str]) -> Place:
    """The memory that `path` names: a folder `.gitmem`, a bare repository, or the `.gitmem` inside any other."""
    given = Path(path).absolute()
    if is_bare(given):
        return Place(given, given, given / "gitmem" / "derived", given / "gitmem" / "local")
    if given.name != NAME:
        given = given / NAME
    return Place(given, given / ".git", given / "derived", given / "local")


def locate(path: str | os.PathLike[str] | None) -> Place:
    """The place that `path` names; for None the nearest memory upwards, else where a new one belongs."""
    if path is not None:
        return place(path)
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise NotAMemoryError(
            "the current folder is gone", hint="go to another one, or name a memory with --store", path="."
        ) from None
    return place(discover(here) or project_root(here))


def is_bare(path: Path) -> bool:
    """Whether `path` is itself a bare repository."""
    try:
        return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()
    except PermissionError as error:
        raise storage_error(error, str(path)) from None


def discover(start: Path) -> Path | None:
    """The nearest memory upwards from `start`; a linked worktree counts as its project's main worktree.

    NotAMemoryError if what was found belongs to another user.
    """
    for folder in (start, *start.parents):
        for candidate in (main_worktree(folder), folder):
            if candidate is not None and _is_there(candidate / NAME):
                return _owned(candidate / NAME)
    return None


def project_root(start: Path) -> Path:
    """Where a new memory belongs: the folder with `.git` (a linked worktree's main one), else `start` itself."""
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return main_worktree(folder) or folder
    return start


def main_worktree(folder: Path) -> Path | None:
    """The main worktree of the project whose linked worktree `folder` is, else None."""
    link = folder / ".git"
    shared = _shared(_linked(link)) if link.is_file() else None
    return shared.parent if shared is not None and shared.name == ".git" else None


def _linked(link: Path) -> Path:
    """The git folder that a file `.git` names: a linked worktree's, a submodule's, a separate one."""
    try:
        return Path(link.parent, link.read_text(encoding="utf-8").removeprefix("gitdir:").strip())
    except (OSError, UnicodeDecodeError):
        return link


def _shared(git_dir: Path) -> Path | None:
    """The git folder that a linked worktree's shares with its project; None if it is no linked worktree's."""
    try:
        return (git_dir / (git_dir / "commondir").read_text(encoding="utf-8").strip()).resolve()
    except (OSError, UnicodeDecodeError):
        return None


def _is_there(path: Path) -> bool:
    try:
        return (path / ".git").is_dir()
    except PermissionError:
        return os.path.isdir(path)  # somebody else's: `_owned` says so; if even that is hidden, we look further up


def _owned(path: Path) -> Path:
    if hasattr(os, "geteuid") and path.stat().st_uid != os.geteuid():
        raise NotAMemoryError(
            f"{path} belongs to another user",
            hint="name it with --store if you trust it",
            path=str(path),
        )
    return path


def exists(where: Place) -> bool:
    """Whether there is a repository at this place."""
    return is_bare(where.git_dir)


def is_empty(where: Place) -> bool:
    """Whether there is a repository without any branch at this place: as `git init --bare` leaves it."""
    git_dir = where.git_dir
    if (git_dir / "refs/heads/main").exists() or (git_dir / "packed-refs").exists():
        return False
    return exists(where) and not any(path.is_file() for path in (git_dir / "refs/heads").rglob("*"))


def create(where: Place, *, durability: str = "sync", fill: Callable[[Place], None] | None = None) -> bool:
    """Lay a memory at this place; False if one is there already (the other creator's is as good).

    A bare repository without a branch `main` is taken in as it is. `fill` brings what it begins with, before anybody
    can see it: if that raises, there is no memory. StorageError when the disk refuses.
    """
    try:
        if exists(where):
            made = _adopt(where, durability)
        else:
            _exclude(where.path)
            made = _build(where, durability, fill)
        for folder in (where.derived, where.local):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise storage_error(error, str(where.path)) from error
    return made


def discard_empty(where: Place) -> None:
    """Remove the folder around a memory that did not come about, if there is nothing in it."""
    try:
        where.path.parent.rmdir()
    except OSError:
        pass  # somebody's folder, with something in it


def _build(where: Place, durability: str, fill: Callable[[Place], None] | None) -> bool:
    where.path.parent.mkdir(parents=True, exist_ok=True)
    draft = where.path.parent / f"{where.path.name}.new-{os.urandom(6).hex()}"
    git_dir = draft / where.git_dir.relative_to(where.path)
    try:
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
            (git_dir / folder).mkdir(parents=True)
        (git_dir / "HEAD").write_text("ref: refs/heads/main\n")
        (git_dir / "config").write_text(_CONFIG.format(durability=durability))
        for own in (where.derived, where.local):
            (draft / own.relative_to(where.path)).mkdir(parents=True, mode=0o700)
        _first_commit(git_dir)
        sync_path(str(git_dir / "refs" / "heads" / "main"))
        if fill is not None:
            fill(Place(draft, git_dir, *(draft / own.relative_to(where.path) for own in (where.derived, where.local))))
        try:
            os.rename(draft, where.path)
        except OSError:
            if not exists(where):
                raise
            return False
        sync_path(str(where.path.parent))
        return True
    finally:
        import shutil  # costs a cold `retrieve` too much

        shutil.rmtree(draft, ignore_errors=True)


def _first_commit(git_dir: Path) -> Oid:
    """The constant root commit, so that any two memories have a merge base."""
    writer = Objects(str(git_dir)).writer(durable=True)
    blob = writer.add("blob", ROOT_BYTES)
    tree = writer.add("tree", serialize_tree({POLICY_FILE: (BLOB_MODE, blob)}))
    who = Identity(SELF, f"{SELF}@gitmem", 1767225600, 0)
    commit = writer.add("commit", serialize_commit(tree, (), who, who, "gitmem format 1\n"))
    writer.finish()
    main = git_dir / "refs" / "heads" / "main"
    main.parent.mkdir(parents=True, exist_ok=True)
    draft = git_dir / f"gitmem-{os.urandom(6).hex()}"
    draft.write_text(commit.hex() + "\n")
    try:
        os.link(draft, main)  # whole at once, and only if there is none
    except PermissionError:
        with main.open("x") as file:  # a file system without hard links
            file.write(commit.hex() + "\n")
    finally:
        draft.unlink()
    return commit


def _adopt(where: Place, durability: str) -> bool:
    """A bare repository of somebody else's making becomes a memory if it has no branch `main` yet."""
    if (where.git_dir / "refs/heads/main").exists() or _packed(where.git_dir, "refs/heads/main\n"):
        return False
    try:
        _first_commit(where.git_dir)
    except FileExistsError:
        return False
    with (where.git_dir / "config").open("a", encoding="utf-8") as file:
        file.write(_CONFIG.format(durability=durability).split("[receive]")[1].join(["[receive]", ""]))
    return True


def _exclude(path: Path) -> None:
    """Inside a git project, tell that project to leave the memory alone."""
    project = path.parent
    for folder in (project, *project.parents):
        git = folder / ".git"
        if git.is_file():
            git = _shared(_linked(git)) or _linked(git)
        if git.is_dir():
            exclude = git / "info" / "exclude"
            line = "/" + re.sub(r"([\\*?\[])", r"\\\1", path.relative_to(folder).as_posix()) + "/"
            old = exclude.read_text(encoding="utf-8") if exclude.exists() else ""
            if line not in old.splitlines():
                exclude.parent.mkdir(exist_ok=True)
                exclude.write_text(old + ("\n" if old and not old.endswith("\n") else "") + line + "\n")
            return


def read_config(path: Path) -> dict[str, str]:
    """The settings of a git config file: `section.name` or `section.sub.name` -> value; the last one wins.

    Enough for what git writes itself; includes are not followed. An import of dulwich's reader costs a cold
    `retrieve` more than the rest of it.
    """
    settings: dict[str, str] = {}
    section = ""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return settings
    except OSError as error:
        raise storage_error(error, str(path)) from error
    for line in text.replace("\\\n", "").splitlines():
        head = _SECTION.match(line)
        if head:
            section = head[1].lower() + (f".{head[2]}" if head[2] is not None else "")
            line = head[3]
        if line.lstrip()[:1] in ("#", ";", ""):
            continue
        found = _SETTING.match(line)
        if found:
            value = "true" if found[2] is None else found[2]
            if not value.startswith('"'):
                value = re.split(r"\s*[#;]", value, maxsplit=1)[0]
            settings[f"{section}.{found[1].lower()}"] = value.strip('"')
    return settings


def check_features(where: Place, config: dict[str, str]) -> None:
    """Refuse what would make history incomplete or unreadable; FormatError names the command that helps."""
    git_dir = where.git_dir
    if (git_dir / "shallow").exists():
        raise _refused(where, "is a shallow clone", f"run `git -C {git_dir} fetch --unshallow`")
    replaced = git_dir / "refs" / "replace"
    if (replaced.is_dir() and any(replaced.iterdir())) or _packed(git_dir, "refs/replace/"):
        raise _refused(
            where, "has refs/replace, which change history", f"run `git -C {git_dir} replace -d OBJECT` for each"
        )
    for name, value in config.items():
        if name.startswith("extensions.") and (name, value) != ("extensions.objectformat", "sha1"):
            raise _refused(
                where,
                f"uses git's {name} = {value}",
                f"clone it into a plain repository: `git clone --bare {git_dir} NEW`",
            )
    if config.get("core.repositoryformatversion", "0") not in ("0", "1"):
        raise _refused(where, "has an unknown repository format", "use a newer gitmem")


def _packed(git_dir: Path, prefix: str) -> bool:
    """Whether packed-refs has a ref whose name begins so."""
    try:
        text = (git_dir / "packed-refs").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return f" {prefix}" in text


def checked_out(where: Place, branch: str, *, bare: bool) -> str | None:
    """The worktree that has this branch checked out, if any: writing there would pull it from under its files.

    `bare` is what the repository's own config says: if it is not, and there is git's index of what is checked out,
    the folder around it is a worktree too.
    """
    head = f"ref: refs/heads/{branch}"
    own = where.git_dir / "HEAD"
    if not bare and (where.git_dir / "index").exists() and own.exists() and own.read_text().strip() == head:
        return str(where.git_dir.parent)
    worktrees = f"{where.git_dir}/worktrees"
    if not os.path.isdir(worktrees):
        return None
    for folder in Path(worktrees).iterdir():
        try:
            if (folder / "HEAD").read_text().strip() == head:
                return (folder / "gitdir").read_text().strip().removesuffix("/.git")
        except OSError:
            continue
    return None


def _refused(where: Place, what: str, hint: str) -> FormatError:
    return FormatError(f"{where.path} {what}", hint=hint, path=str(where.path))
