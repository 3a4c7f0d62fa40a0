"""Two ends of a conversation with a program or a socket, in which no wait is longer than agreed.

Knows file descriptors and processes; does not know git's protocol. POSIX only, as `poll` on pipes is.
Law: a call returns, or raises Stall after so many seconds in which nothing at all came or went; what a program
says on the side is read all the time, so that it never blocks on it, and only its end is kept.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from gitmem.transport.failures import Stall, Trouble

_CHUNK = 1 << 16
_AHEAD = 1 << 20
_WORDS = 4096
_GRACE = 2.0


class Channel:
    """Reads and writes over two descriptors (of one socket they may be one). One thread."""

    def __init__(self, reader: int, writer: int, *, timeout: float, limit: int, side: int = -1) -> None:
        """`limit` bounds the bytes that are read in all; `side` is where a program complains, or -1."""
        self._reader, self._writer, self._side = reader, writer, side
        self._timeout = timeout
        self._left = limit
        self._buffer, self._unsent = bytearray(), bytearray()
        self._ended = self._deaf = self._given_up = self._closed = False
        self.words = b""
        for descriptor in {reader, writer} | ({side} - {-1}):
            os.set_blocking(descriptor, False)

    def read(self, size: int) -> bytes:
        """So many bytes; fewer only at the end. Stall, Trouble beyond the limit."""
        self.flush()
        while len(self._buffer) < size and not self._ended:
            self._wait(writing=False)
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def write(self, chunk: bytes) -> int:
        """Write it, at the latest before the next read. Stall."""
        self._unsent += chunk
        if len(self._unsent) >= _CHUNK:
            self.flush()
        return len(chunk)

    def flush(self) -> None:
        """Send what was written; once the other side listens no more, nothing: its last words say why. Stall."""
        view = memoryview(bytes(self._unsent))
        self._unsent.clear()
        while view and not self._deaf:
            if self._wait(writing=True):
                try:
                    view = view[os.write(self._writer, view[:_CHUNK]) :]
                except BlockingIOError:
                    continue
                except (BrokenPipeError, ConnectionResetError):
                    self._deaf = True

    def ready(self) -> bool:
        """Whether a read would give something at once."""
        self.flush()
        return bool(self._buffer) or self._ended or _readable(self._reader, 0)

    def _wait(self, *, writing: bool) -> bool:
        """Let time pass until something moves; whether it is now our turn to write."""
        poll = select.poll()
        if not self._ended and (not writing or len(self._buffer) < _AHEAD):
            poll.register(self._reader, select.POLLIN)
        if self._side >= 0:
            poll.register(self._side, select.POLLIN)
        if writing:  # last: a socket is one descriptor, and its second registration replaces the first
            both = select.POLLIN if self._writer == self._reader and not self._ended else 0
            poll.register(self._writer, select.POLLOUT | both)
        events = poll.poll(self._timeout * 1000)
        if not events:
            self._given_up = True
            raise Stall(self._timeout)
        ours = False
        for descriptor, event in events:
            if descriptor == self._writer and writing and event & ~select.POLLIN:
                ours = True
            if descriptor == self._reader and event & ~select.POLLOUT:
                self._fill()
            elif descriptor == self._side:
                self._listen()
        return ours

    def _fill(self) -> None:
        try:
            chunk = os.read(self._reader, _CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            chunk = b""
        self._ended = not chunk
        self._buffer += chunk
        self._left -= len(chunk)
        if self._left < 0:
            self._given_up = True
            raise Trouble("it sends more than is allowed", "a larger limit can be given where that is meant")

    def _listen(self) -> None:
        try:
            chunk = os.read(self._side, _CHUNK)
        except BlockingIOError:
            return
        self.words = (self.words + chunk)[-_WORDS:]
        if not chunk:
            self._side = -1

    def close(self) -> None:
        """Say what is left to say, and give the descriptors back."""
        self._closed = True
        if not self._given_up:
            self._timeout = min(self._timeout, _GRACE)
            try:
                self.flush()
            except (Trouble, OSError):
                pass  # nobody waits for it any more

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Wire(Channel):
    """A TCP connection. OSError if it does not come about."""

    def __init__(self, host: str, port: int, *, timeout: float, limit: int) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(self._socket.fileno(), self._socket.fileno(), timeout=timeout, limit=limit)

    def close(self) -> None:
        """Hang up."""
        if not self._closed:
            super().close()
            self._socket.close()


class Program(Channel):
    """A program and its three ends. Where nobody sits at a terminal, it gets none: it cannot ask and hang."""

    def __init__(self, command: Sequence[str], *, timeout: float, limit: int, given: tuple[int, ...] = ()) -> None:
        """`given` are further descriptors that it inherits. Trouble if there is no such program."""
        self._alone = not os.isatty(0)
        try:
            self._process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=self._alone,
                pass_fds=given,
            )
        except FileNotFoundError:
            raise Trouble(f"the program {command[0]} is not installed") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._ends = (self._process.stdin, self._process.stdout, self._process.stderr)
        reader, writer, side = (self._ends[number].fileno() for number in (1, 0, 2))
        super().__init__(reader, writer, timeout=timeout, limit=limit, side=side)

    def finish(self) -> tuple[int, bytes]:
        """Nothing more will be said to it: read all it says, until its end. Its exit code and its output."""
        self.flush()
        self._ends[0].close()
        parts = []
        while part := self.read(_CHUNK):
            parts.append(part)
        while self._side >= 0:
            self._wait(writing=False)
        try:
            return self._process.wait(self._timeout), b"".join(parts)
        except subprocess.TimeoutExpired:
            raise Stall(self._timeout) from None

    def close(self) -> None:
        """Hear its last words, and close its ends; one that does not end by that is ended, children and all."""
        if self._closed:
            return
        super().close()
        if self._ended:
            self._hear_out()
        for end in self._ends:
            end.close()
        try:
            self._process.wait(0 if self._given_up else _GRACE)
        except subprocess.TimeoutExpired:
            self._end()

    def _hear_out(self) -> None:
        """It has closed its output: what it complains of comes now, or never."""
        while self._side >= 0 and _readable(self._side, _GRACE):
            self._listen()

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):  # git ends its own children when it is asked to end
            try:
                if self._alone:
                    os.killpg(self._process.pid, number)
                else:
                    self._process.send_signal(number)
                self._process.wait(_GRACE)
                return
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                self._process.wait()
                return


def _readable(descriptor: int, seconds: float) -> bool:
    """Whether something can be read within so many seconds. Not by `select`, which knows few descriptors."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
