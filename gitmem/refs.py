"""Branches: reading them, and moving one by compare-and-swap.

Knows git's files backend (loose refs, packed-refs, `.lock` files); does not know what a commit holds.
Law: `swap` moves a branch from `expected` to `new` or leaves it alone, whoever writes at the same moment: gitmem
with or without its lock, a real `git push`, `git update-ref`, `git pack-refs`; and whatever is killed.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from gitmem.errors import ContentionError, StorageError, UnknownRevisionError
from gitmem.loose import discard, storage_error, sync_path
from gitmem.packs import Oid

WAIT = 10.0
"""Seconds that a foreign lock on a branch is waited for."""

_DRAFT, _FREE = "publish-", "free-"
_SYMBOLIC, _HOPS = b"ref: ", 5
_KEPT_PATHS = 1000
_BAD_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^/|/$|\.$|^\.|/\.|\.lock(/|$)|^@$|^-|[\ud800-\udfff]")


def is_name(name: str) -> bool:
    """Whether git would take this for the name of a ref."""
    return _BAD_NAME.search(name) is None


@lru_cache(64)
def branch_ref(branch: str) -> str:
    """The full name of a branch; UnknownRevisionError for a name that git would refuse."""
    if not isinstance(branch, str) or branch in ("", "HEAD") or not is_name(branch):
        raise UnknownRevisionError(
            f"{branch!r} cannot be the name of a branch", hint="see `git help check-ref-format`", revision=branch
        )
    return f"refs/heads/{branch}"


def _target(content: bytes, path: str) -> str:
    """The name in a symbolic ref; StorageError if it leads out of refs/."""
    name = content[len(_SYMBOLIC) :].decode(errors="replace").strip()
    if not name.startswith("refs/") or not is_name(name):
        raise _damaged(path)
    return name


def _damaged(path: str) -> StorageError:
    return StorageError(
        f"{path} is damaged: it holds no object id", hint="run `gitmem doctor --repair`", path=path
    )


def _same(one: str, other: str) -> bool:
    """Whether two names are links of one file."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


class Refs:
    """The refs of one bare repository. No answer is cached: reading one costs microseconds."""

    def __init__(self, git_dir: Path, local: Path) -> None:
        """`local` is on the same file system: a branch's lock file is made there and linked."""
        self._git_dir = str(git_dir)
        self._local = str(local)
        self._paths: dict[str, str] = {}

    def read(self, name: str, *, hops: int = _HOPS) -> Oid | None:
        """The object a full ref name points to: loose, else packed, else None. StorageError if it is garbled."""
        path = self._paths.get(name) or self._path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return self._packed().get(name)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            raise storage_error(error, path) from error
        try:
            content = os.read(descriptor, 256)
        except IsADirectoryError:
            return self._packed().get(name)
        finally:
            os.close(descriptor)
        if len(content) == 41:
            try:
                return bytes.fromhex(content[:40].decode())
            except ValueError:
                pass
        if content.startswith(_SYMBOLIC) and hops:
            return self.read(_target(content, path), hops=hops - 1)
        raise _damaged(path)

    def _path(self, name: str) -> str:
        if len(self._paths) >= _KEPT_PATHS:
            self._paths.clear()
        path = self._paths[name] = f"{self._git_dir}/{name}"
        return path

    def all(self) -> dict[str, Oid]:
        """Every ref by its full name."""
        found = self._packed()
        top = os.path.join(self._git_dir, "refs")
        for folder, _, files in os.walk(top):
            for file in files:
                name = os.path.relpath(os.path.join(folder, file), self._git_dir).replace(os.sep, "/")
                if not name.endswith(".lock"):
                    oid = self.read(name)
                    if oid is not None:
                        found[name] = oid
        return found

    def _packed(self) -> dict[str, Oid]:
        found: dict[str, Oid] = {}
        try:
            with open(os.path.join(self._git_dir, "packed-refs"), encoding="utf-8", errors="replace") as file:
                for line in file:
                    name, oid = line[41:].rstrip("\n"), line[:40]
                    if line[40:41] == " " and name.startswith("refs/"):
                        found[name] = bytes.fromhex(oid)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            raise StorageError(
                f"packed-refs of {self._git_dir} cannot be read: {error}",
                hint="run `git fsck` there",
                path=self._git_dir,
            ) from error
        return found

    def swap(
        self, name: str, expected: Oid | None, new: Oid, *, locked: bool, durable: bool, wait: float = WAIT
    ) -> bool:
        """Point `name` at `new` if it still points at `expected`; False if it does not. Waits for foreign locks.

        `locked`: the caller holds the memory's lock, so a lock file that one of our drafts made is a dead
        writer's. ContentionError after `wait` seconds; StorageError when the disk refuses.
        """
        name = self._followed(name)
        path = os.path.join(self._git_dir, name)
        lock = path + ".lock"
        draft = os.path.join(self._local, (_DRAFT if locked else _FREE) + os.urandom(8).hex())
        try:
            copied = False
            try:
                self._write_draft(draft, new.hex().encode() + b"\n", durable)
                copied = self._take(draft, lock, locked, wait)
                if self.read(name) != expected:
                    return False
                try:
                    os.rename(lock, path)
                except IsADirectoryError:  # left empty by branches that are gone: git would remove it, too
                    self._remove_empty(path)
                    os.rename(lock, path)
                copied = False
            finally:  # Ctrl-C comes between any two calls: what we did is read from the disk
                if copied or _same(draft, lock):
                    discard(lock)
                discard(draft)
            if durable:
                sync_path(os.path.dirname(path))
        except OSError as error:
            raise storage_error(error, path) from error
        return True

    @staticmethod
    def _remove_empty(path: str) -> None:
        for folder, _, _ in os.walk(path, topdown=False):
            os.rmdir(folder)

    def delete(self, name: str, expected: Oid, *, locked: bool, durable: bool, wait: float = WAIT) -> bool:
        """Remove a ref, loose and packed, if it still points at `expected`; False if it does not. Else as `swap`."""
        path = os.path.join(self._git_dir, name)
        with self._holding(path, locked=locked, wait=wait):
            if self.read(name) != expected:
                return False
            self._unpack(name, locked, durable, wait)  # first: else the old value would show through
            discard(path)
        self._settle(os.path.dirname(path), durable)
        return True

    @contextmanager
    def _holding(self, path: str, *, locked: bool, wait: float) -> Iterator[str]:
        """Hold git's lock of a file that is not replaced by the lock itself; gives the draft that was linked to it."""
        lock = path + ".lock"
        draft = os.path.join(self._local, (_DRAFT if locked else _FREE) + os.urandom(8).hex())
        copied = False
        try:
            try:
                self._write_draft(draft, b"\n", False)
                copied = self._take(draft, lock, locked, wait)
                yield draft
            finally:  # as in `swap`
                if copied or _same(draft, lock):
                    discard(lock)
                discard(draft)
        except OSError as error:
            raise storage_error(error, path) from error

    @staticmethod
    def _settle(folder: str, durable: bool) -> None:
        if durable:
            try:
                sync_path(folder)
            except OSError as error:
                raise storage_error(error, folder) from error

    def _unpack(self, name: str, locked: bool, durable: bool, wait: float) -> None:
        """Take a ref out of packed-refs, under git's lock of that file."""

        def without(content: bytes) -> bytes:
            kept, peeled = [], False  # a line ^… belongs to the ref above it
            for line in content.splitlines(keepends=True):
                peeled = line[41:].rstrip(b"\n") == name.encode() or (peeled and line.startswith(b"^"))
                if not peeled:
                    kept.append(line)
            return b"".join(kept)

        if name in self._packed():
            self.rewrite("packed-refs", without, locked=locked, durable=durable, wait=wait)

    def rewrite(
        self, name: str, edit: Callable[[bytes], bytes], *, locked: bool, durable: bool, wait: float = WAIT
    ) -> None:
        """Give one of git's own files (config, packed-refs) the content that `edit` makes of it, under git's lock
        of that file. What `edit` raises leaves the file as it was. Otherwise as `swap`.
        """
        path = os.path.join(self._git_dir, name)
        with self._holding(path, locked=locked, wait=wait) as draft:
            new = draft + "-new"
            try:
                with open(path, "rb") as old, open(new, "wb") as file:
                    os.chmod(new, os.fstat(old.fileno()).st_mode & 0o7777)
                    file.write(edit(old.read()))
                    file.flush()
                    if durable:
                        os.fsync(file.fileno())
                os.rename(new, path)
            finally:
                discard(new)
        self._settle(self._git_dir, durable)

    def _followed(self, name: str) -> str:
        """The ref that a symbolic one points to in the end: that is the one to move."""
        for _ in range(_HOPS):
            path = os.path.join(self._git_dir, name)
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except OSError:
                return name
            try:
                content = os.read(descriptor, 256)
            except OSError:
                return name
            finally:
                os.close(descriptor)
            if not content.startswith(_SYMBOLIC):
                return name
            name = _target(content, path)
        return name

    def _write_draft(self, draft: str, content: bytes, durable: bool) -> None:
        for attempt in (1, 2):
            try:
                descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                break
            except FileNotFoundError:
                if attempt == 2:
                    raise
                os.makedirs(self._local, mode=0o700, exist_ok=True)
        try:
            os.write(descriptor, content)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _take(self, draft: str, lock: str, locked: bool, wait: float) -> bool:
        """Make git's lock file by linking the finished draft: it appears whole, and its inode says whose it is.

        True where it had to be a copy.
        """
        deadline = time.monotonic() + wait
        pause = 0.0005
        while True:
            try:
                os.link(draft, lock)
                return False
            except FileExistsError:
                if locked and self._is_dead(lock):
                    discard(lock)
                    continue
            except FileNotFoundError:
                if not os.path.exists(draft):
                    raise  # somebody cleans `local/`; nothing is published
                os.makedirs(os.path.dirname(lock), exist_ok=True)
                continue
            except OSError:
                if self._copy(draft, lock):
                    return True
            if time.monotonic() > deadline:
                raise self._busy(lock)
            time.sleep(pause)
            pause = min(pause * 2, 0.02)

    @staticmethod
    def _copy(draft: str, lock: str) -> bool:
        """Where a file system has no hard links: create the lock file as git does."""
        try:
            descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        try:
            with open(draft, "rb") as file, open(descriptor, "wb") as copy:
                copy.write(file.read())
                copy.flush()
                os.fsync(copy.fileno())
        except BaseException:
            discard(lock)
            raise
        return True

    def _is_dead(self, lock: str) -> bool:
        """Whether a writer that held the memory's lock made this: we hold it now, so that writer is dead.

        A dead writer's lock file and its draft are two links of one inode. (Two links of one inode also stay
        where a writer died after its rename, but then the lock file's name is gone.)
        """
        try:
            found = os.stat(lock)
        except FileNotFoundError:
            return True
        if found.st_nlink < 2:
            return False
        for name in os.listdir(self._local):
            if name.startswith(_DRAFT):
                path = os.path.join(self._local, name)
                try:
                    draft = os.stat(path)
                except FileNotFoundError:
                    continue
                if (draft.st_ino, draft.st_dev) == (found.st_ino, found.st_dev):
                    discard(lock)
                    discard(path)
                    return True
        return False

    def _busy(self, lock: str) -> ContentionError:
        try:
            age: float | None = time.time() - os.stat(lock).st_mtime
        except OSError:
            age = None
        old = f", {age:.0f} seconds old" if age is not None else ""
        return ContentionError(
            f"another program's lock stands in the way: {lock}{old}",
            hint="if no git command is running there, `gitmem doctor --repair` removes it after asking",
            path=lock,
            age=age,
        )

    def drafts(self) -> list[str]:
        """The files that dead or living writers left in `local/`: for `doctor`."""
        try:
            names = os.listdir(self._local)
        except FileNotFoundError:
            return []
        return [os.path.join(self._local, name) for name in names if name.startswith((_DRAFT, _FREE))]
