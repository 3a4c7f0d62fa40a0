"""A way to a server that breaks: a TCP proxy that cuts a connection after a random number of bytes.

Knows bytes, not protocols. Either direction may reach the limit; the cut is a reset, as a lost network gives.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_RESET = struct.pack("ii", 1, 0)
_PIECE = 1 << 14


class Cutter:
    """A third of the connections is cut while `cuts` is true; `count` says how many were."""

    def __init__(self, port: int, seed: int) -> None:
        self._to = port
        self._dice = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ending, self._end = socket.socketpair()
        self.port: int = self._listener.getsockname()[1]
        self.cuts = True
        self.count = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while self._ending not in select.select([self._listener, self._ending], [], [])[0]:
            near, _ = self._listener.accept()
            limit = int(2 ** self._dice.uniform(0, 16)) if self.cuts and self._dice.random() < 0.33 else None
            self._threads.append(threading.Thread(target=self._serve, args=(near, limit)))
            self._threads[-1].start()

    def _serve(self, near: socket.socket, limit: int | None) -> None:
        try:
            with near, socket.create_connection(("127.0.0.1", self._to)) as far:
                if not self._passed(near, far, limit):
                    self.count += 1
                    for one in (near, far):
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass  # one of the two is gone

    def _passed(self, near: socket.socket, far: socket.socket, limit: int | None) -> bool:
        """Pass bytes on until both sides are at their end (True), or the limit is reached."""
        other = {near: far, far: near}
        reading = {near, far}
        while reading:
            for one in select.select([*reading, self._ending], [], [])[0]:
                if one is self._ending:
                    return True
                piece = one.recv(_PIECE)
                if limit is not None:
                    piece = piece[:limit]
                    limit -= len(piece)
                if piece:
                    other[one].sendall(piece)
                else:
                    reading.discard(one)
                    other[one].shutdown(socket.SHUT_WR)
                if limit == 0:
                    return False
        return True

    def end(self) -> None:
        self._end.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self._listener.close()
        self._ending.close()


@contextmanager
def cutting(port: int, seed: int) -> Iterator[Cutter]:
    """A cutter in front of a port of this machine."""
    cutter = Cutter(port, seed)
    try:
        yield cutter
    finally:
        cutter.end()
