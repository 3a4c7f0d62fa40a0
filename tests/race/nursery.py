"""The processes of `copyist`, and what they have said."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.race.crowd import TOP

COPYIST = Path(__file__).with_name("copyist.py")
PATIENCE = 120.0
"""Seconds after which a test gives up waiting."""


class Nursery:
    """Processes on the copies, and what they have said, by name and kind."""

    def __init__(self, **variables: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(COPYIST)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(TOP), **variables},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout.fileno()
        self._buffer = b""
        self._pids: list[int] = []
        self._living: set[int] = set()
        self.said: list[dict[str, Any]] = []

    def begin(self, job: str, store: Path, name: str, **options: Any) -> int:
        """One more process; its pid."""
        order = {"job": job, "store": str(store), "name": name, **options}
        print(json.dumps(order), file=self._orders, flush=True)
        deadline = time.monotonic() + PATIENCE
        while not self._pids:
            self.listen(1)
            assert time.monotonic() < deadline
        self._living.add(self._pids[0])
        return self._pids.pop()

    def listen(self, seconds: float) -> None:
        """Take in what was said, for so long at the most. AssertionError if something broke."""
        if select.select([self._answers], [], [], seconds)[0]:
            self._take(os.read(self._answers, 1 << 16))

    def _take(self, read: bytes) -> None:
        *lines, self._buffer = (self._buffer + read).split(b"\n")
        for line in lines:
            words = json.loads(line)
            if "pid" in words:
                self._pids.append(words["pid"])
            else:
                self.said.append(words)
                assert words["kind"] != "broken", words["why"]

    def count(self, *kinds: str) -> int:
        return sum(one["kind"] in kinds for one in self.said)

    def until(self, number: int, *kinds: str) -> None:
        """Wait until such things were said so often."""
        deadline = time.monotonic() + PATIENCE
        while self.count(*kinds) < number:
            self.listen(1)
            assert time.monotonic() < deadline, [one for one in self.said if one["kind"] == "cut"][-3:]

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self._living.discard(pid)

    def end(self) -> None:
        """Kill whoever lives, and take in the last of what was said."""
        for pid in self._living:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it has ended by itself
                pass
        self._living.clear()
        self._orders.close()
        broken = []
        while read := os.read(self._answers, 1 << 16):
            try:
                self._take(read)
            except AssertionError as error:
                broken.append(error)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        errors = self._process.stderr.read()
        self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()
        assert (broken, errors) == ([], "")


@contextmanager
def nursery(**variables: str) -> Iterator[Nursery]:
    """A nursery that leaves nobody behind; with these variables in its environment."""
    made = Nursery(**variables)
    try:
        yield made
    finally:
        made.end()
