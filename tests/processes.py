"""Real processes in tests: who of them lives, who has gone, and a word from one that it is ready."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc, and ends what left its group")
PATIENCE = 60.0
"""Seconds after which a test gives up waiting."""


def marked(marker: str) -> list[str]:
    """The command lines of the living processes in whose environment the marker stands."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            here = marker.encode() in (folder / "environ").read_bytes()
            state = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has gone meanwhile, or is somebody else's
            continue
        if here and state not in "ZX" and int(folder.name) != os.getpid():
            found.append(f"{folder.name} {words}")
    return found


@contextmanager
def end_of(pid: int) -> Iterator[None]:
    """On leaving, wait until this process, anybody's child, has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        yield
        assert select.select([descriptor], [], [], PATIENCE)[0], f"{pid} goes on"
    finally:
        os.close(descriptor)


@contextmanager
def word(path: Path) -> Iterator[Path]:
    """A place to which a process says a word (`echo > PLACE`); on leaving, wait for it."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield path
        assert select.select([descriptor], [], [], PATIENCE)[0], f"nobody says anything at {path}"
        assert os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def until(condition: Callable[[], object]) -> None:
    """Look until it is so, where nobody tells when."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def kill(pid: int) -> None:
    """kill -9."""
    os.kill(pid, signal.SIGKILL)
