"""The memory's lock: one writer at a time, in the order of coming. For fairness and speed; not for correctness.

Knows one lock file; does not know what it protects (the compare-and-swap of `refs` protects itself).
Law: the kernel gives the lock back when its holder dies, whatever killed it: no pids, no ages.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gitmem.errors import ContentionError, StorageError
from gitmem.loose import discard, storage_error

try:
    import fcntl
except ImportError:  # a system without flock
    fcntl = None  # type: ignore[assignment]

TIMEOUT = 60.0
_GC_SECONDS = 12 * 3600.0
_GC_LOCK_SECONDS = 60.0
_held = threading.local()


@contextmanager
def exclusive(path: str, *, timeout: float = TIMEOUT) -> Iterator[None]:
    """Hold the lock of the file at `path`; ContentionError after `timeout` seconds, or if this thread holds it.

    StorageError where the file system has no locks.
    """
    mine: set[str] = _held.__dict__.setdefault("paths", set())
    if path in mine:
        raise ContentionError(
            "a write began inside another write of the same thread",
            hint="a function given to update() must be pure: let it return the new value, and write afterwards",
            path=path,
            age=None,
        )
    release = (_flock if fcntl is not None else _filelock)(path, timeout)
    try:
        mine.add(path)
        yield
    finally:
        mine.discard(path)
        release()


@contextmanager
def exclusive_or_none(path: str) -> Iterator[bool]:
    """Try once: True while the lock is held, False if somebody else has it."""
    try:
        release = (_flock if fcntl is not None else _filelock)(path, 0)
    except ContentionError:
        yield False
        return
    try:
        yield True
    finally:
        release()


@contextmanager
def beside_git_gc(git_dir: str) -> Iterator[bool]:
    """True while no `git gc` is at work here, and none can begin; False if one is.

    Two that pack at once lose objects: one lets a loose object go since a pack has it, while the other lets that pack
    go since the object is loose. Git keeps its own from doing so by `gc.pid`, in this form: the process's id and the
    host's name, believed for twelve hours, for as long as there is such a process.
    """
    import socket

    path, mine = os.path.join(git_dir, "gc.pid"), f"{os.getpid()} {socket.gethostname()}"
    if not _take_gc_pid(path, mine):
        yield False
        return
    try:
        yield True
    finally:
        if _read(path) == mine:
            discard(path)


def _take_gc_pid(path: str, mine: str) -> bool:
    lock = path + ".lock"
    try:
        descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        if _age(lock) > _GC_LOCK_SECONDS:
            discard(lock)  # somebody was killed in the instant for which it is held
        return False
    except OSError as error:
        raise storage_error(error, lock) from error
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(mine)
        if _age(path) < _GC_SECONDS and _is_at_work(_read(path), mine):
            discard(lock)
            return False
        os.replace(lock, path)
    except OSError as error:
        discard(lock)
        raise storage_error(error, lock) from error
    return True


def _is_at_work(said: str, mine: str) -> bool:
    """Whether the process that a gc.pid names is alive, as far as this host can tell."""
    pid, _, host = said.strip().partition(" ")
    if not pid.isdecimal() or host != mine.partition(" ")[2]:
        return pid.isdecimal()
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1000)
    except OSError:
        return ""


def _age(path: str) -> float:
    """Seconds since the file was written; more than any limit if it is not there."""
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return float("inf")


def _flock(path: str, timeout: float) -> Callable[[], None]:
    """A blocking flock: polling locks were measured to be unfair. The wait is a thread's, so that it can end."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _wait(descriptor, path, timeout)
    except OSError as error:
        os.close(descriptor)
        raise _no_locks(error, path) from error
    except BaseException:  # Ctrl-C, raised when the call is over: the lock is had, and nobody would give it back
        os.close(descriptor)
        raise
    return lambda: _unlock(descriptor)


def _unlock(descriptor: int) -> None:
    """Give the lock back, even if a forked child has inherited the descriptor: closing ours alone would not."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: str, timeout: float) -> None:
    """Block in a thread of its own; if the wait ends first, that thread gives the lock back as soon as it gets it."""
    state = threading.Lock()
    outcome: list[str] = ["waiting"]

    def block() -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            got = "held"
        except OSError:
            got = "failed"
        with state:
            abandoned = outcome[0] == "abandoned"
            outcome[0] = got
        if abandoned:
            os.close(descriptor)

    def end(*, keep: bool) -> bool:
        """The wait is over: whether the lock is held and kept. Otherwise nobody has it, now or later."""
        with state:
            now = outcome[0]
            outcome[0] = "abandoned"
        if now == "held" and keep:
            return True
        if now != "waiting":
            os.close(descriptor)
        return False

    if timeout <= 0:
        os.close(descriptor)
        raise _busy(path, timeout)
    try:
        thread = threading.Thread(target=block, name="gitmem-lock", daemon=True)
        thread.start()
        thread.join(timeout)
    except BaseException:
        end(keep=False)
        raise
    if not end(keep=True):
        raise _busy(path, timeout)


def _filelock(path: str, timeout: float) -> Callable[[], None]:
    from filelock import FileLock, SoftFileLock, Timeout

    lock = FileLock(path, timeout=timeout, poll_interval=0.001)
    if type(lock).__name__ == SoftFileLock.__name__:
        raise _no_locks(OSError("only a pid file would be possible"), path)
    try:
        lock.acquire()
    except Timeout:
        raise _busy(path, timeout) from None
    return lock.release


def _busy(path: str, timeout: float) -> ContentionError:
    return ContentionError(
        f"the lock {path} could not be had in {timeout:g} seconds",
        hint="another process is writing or is stopped; try again, or look with `fuser` who holds it",
        path=path,
        age=None,
    )


def _no_locks(error: OSError, path: str) -> StorageError:
    return StorageError(
        f"{path}: this file system has no locks ({error.strerror or error})",
        hint="keep the memory on a local disk and share it with `gitmem sync`",
        path=path,
    )
