"""The memory's lock: had by one at a time, given back by the kernel, whatever killed its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gitmem import locking
from gitmem.errors import ContentionError
from gitmem.locking import exclusive, exclusive_or_none
from tests.together import together

HOLDER = """
import sys
from gitmem.locking import exclusive
with exclusive(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


@contextmanager
def holder(path: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock; it lets go when its input ends."""
    command = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


both = pytest.mark.parametrize("take", [locking._flock, locking._filelock], ids=["flock", "filelock"])


@both
def test_one_at_a_time(take: Callable[[str, float], Callable[[], None]], path: str) -> None:
    """Whichever kind the system has; the other is told the path."""
    release = take(path, 1)
    with pytest.raises(ContentionError) as caught:
        take(path, 0.01)
    assert caught.value.path == path
    assert path in caught.value.message
    assert caught.value.hint
    release()
    take(path, 1)()


def test_threads_take_turns(path: str) -> None:
    """A counter that is read and written under the lock loses nothing."""
    count = [0]

    def work(_: int) -> None:
        for _ in range(50):
            with exclusive(path):
                seen = count[0]
                os.stat(path)
                count[0] = seen + 1

    together(work, range(6))
    assert count == [300]


def test_another_process_is_waited_for(path: str) -> None:
    """Blocking, not polling; and the wait has an end."""
    with holder(path) as other:
        with pytest.raises(ContentionError), exclusive(path, timeout=0.01):
            pass
        with exclusive_or_none(path) as had:
            assert not had
        assert other.stdin is not None
        other.stdin.close()
        with exclusive(path, timeout=30):
            pass
    with exclusive(path, timeout=30):  # the wait that ended above may get the lock for the instant of giving it back
        pass
    with exclusive_or_none(f"{path}-free") as had:
        assert had


def test_a_killed_holder_gives_it_back(path: str) -> None:
    """The kernel does that: no pid, no age, no file to remove."""
    with holder(path) as other:
        os.kill(other.pid, signal.SIGKILL)
        with exclusive(path, timeout=30):
            pass


def test_a_wait_that_ended_does_not_get_the_lock_later(path: str) -> None:
    """The thread that waited gives it back as soon as it gets it."""
    with holder(path) as other:
        with pytest.raises(ContentionError), exclusive(path, timeout=0.01):
            pass
        assert other.stdin is not None
        other.stdin.close()
        other.wait()
    with exclusive(path, timeout=30):
        pass


def test_a_wait_that_was_interrupted_does_not_get_the_lock_later(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in an interactive session that lives on must not stop every other writer."""

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    with holder(path), monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt), exclusive(path):
            pass
    with exclusive(path, timeout=30):
        pass


def test_a_forked_child_does_not_keep_the_lock(path: str) -> None:
    """It inherits the open file: letting go must unlock it, not only close one of its two names."""
    read, write = os.pipe()
    with ExitStack() as held:
        held.enter_context(exclusive(path))
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    try:
        with exclusive(path, timeout=5):
            pass
    finally:
        os.close(write)
        os.close(read)
        os.waitpid(child, 0)


def test_a_write_inside_a_write_is_told_so(path: str) -> None:
    """Instead of waiting for itself for a minute."""
    with exclusive(path):
        with pytest.raises(ContentionError) as caught, exclusive(path):
            pass
        assert "update()" in caught.value.hint
    with exclusive(path, timeout=0):
        pass


def test_an_error_inside_gives_the_lock_back(path: str) -> None:
    """Whatever happened."""
    with pytest.raises(ZeroDivisionError), exclusive(path):
        raise ZeroDivisionError
    with exclusive(path, timeout=0):
        pass


def test_no_file_stays_open(path: str) -> None:
    """Neither after a turn nor after a wait in vain."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with exclusive(path), exclusive_or_none(path) as had:
            assert not had
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_interrupt_while_the_lock_is_taken_gives_it_back(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python raises KeyboardInterrupt when the system call is over: by then the lock is had."""
    import fcntl

    real = fcntl.flock

    def interrupted(descriptor: int, operation: int) -> None:
        real(descriptor, operation)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught, exclusive(path):
            pass
    with exclusive(path, timeout=5):
        assert caught  # whose frames still hold what was open
