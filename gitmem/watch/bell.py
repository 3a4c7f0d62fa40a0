"""A bell that rings when something may have moved in a git directory.

Knows files; does not know what a ref is worth.
Law: there is one bell for each git directory in a process, however many listen. It may ring for nothing; it is never
relied on for anything but speed, since whoever listens also looks by himself every `patience` seconds: on a network
file system, where the writes of other machines make no sound, and where the system has no watches left.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from gitmem.index.file import on_network

HEARING = 1.0
"""Seconds after which a listener looks by himself although file events work."""
DEAF = 0.05
"""The same where they do not: half a hundredth of one core."""
EXPECTING = 0.004
"""The same between the taking of a lock and the move that follows."""
LATE = 0.6
"""Seconds for which that move is expected. watchdog tells of one in some hundreds half a second late, and of all that
comes after it: it takes a file that was moved away for one that was moved out, and waits for its other half."""

_bells: dict[tuple[str, bool], Bell] = {}
_lock = threading.Lock()


class Bell:
    """Rings for every change of a branch or of packed-refs below `git_dir`. `bell()` gives the shared one."""

    def __init__(self, git_dir: str, *, events: bool) -> None:
        """`events=False` never asks the system for file events."""
        self._git_dir = git_dir
        self._events = events and not on_network(git_dir)
        self._listeners: list[Callable[[], None]] = []
        self._observer: Any = None
        self._expected: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def patience(self) -> float:
        """The seconds after which a listener should look by himself."""
        if self._observer is None:
            return DEAF
        now = time.monotonic()
        return EXPECTING if any(until > now for until in tuple(self._expected.values())) else HEARING

    def listen(self, ring: Callable[[], None]) -> None:
        """Call `ring` from another thread whenever something moved; it has to be quick."""
        with self._lock:
            self._listeners.append(ring)
            if self._events and self._observer is None:
                self._observer = _observe(self._git_dir, self._heard)

    def leave(self, ring: Callable[[], None]) -> None:
        """No more calls; the last one to leave stops the watch."""
        with self._lock:
            self._listeners.remove(ring)
            observer = None if self._listeners else self._observer
            if observer is not None:
                self._observer = None
        if observer is not None:
            observer.stop()
            observer.join()

    def _heard(self, path: str, created: bool) -> None:
        """A file moved: one that is named like a lock of git's is followed by the file itself, or goes."""
        name = path.removesuffix(".lock")
        if path == name or not created:
            self._expected.pop(name, None)
        else:
            self._expected[name] = time.monotonic() + LATE
        if path == name or created:
            for ring in tuple(self._listeners):
                ring()


def bell(git_dir: str, *, events: bool = True) -> Bell:
    """The bell of a git directory, shared by all of this process."""
    name = (os.path.realpath(git_dir), events)
    with _lock:
        if name not in _bells:
            _bells[name] = Bell(git_dir, events=events)
        return _bells[name]


def _observe(git_dir: str, heard: Callable[[str, bool], None]) -> Any:
    """A running observer of watchdog; None where the system gives no file events (or has none left)."""
    from watchdog.events import (
        FileCreatedEvent,
        FileDeletedEvent,
        FileModifiedEvent,
        FileMovedEvent,
        FileSystemEvent,
        FileSystemEventHandler,
    )
    from watchdog.observers import Observer

    class Ringing(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            heard(os.fsdecode(event.dest_path or event.src_path), isinstance(event, FileCreatedEvent))

    kinds: list[type[FileSystemEvent]] = [FileCreatedEvent, FileDeletedEvent, FileModifiedEvent, FileMovedEvent]
    observer = None
    try:
        observer = Observer()
        observer.daemon = True
        observer.schedule(Ringing(), os.path.join(git_dir, "refs", "heads"), recursive=True, event_filter=kinds)
        observer.schedule(Ringing(), git_dir, event_filter=kinds)
        observer.start()
    except (OSError, RuntimeError):
        if observer is not None:
            observer.stop()  # a part of it may be running
        return None
    return observer


def _forget() -> None:
    """In a child process no thread of the parent's goes on."""
    global _lock
    _lock = threading.Lock()
    _bells.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
