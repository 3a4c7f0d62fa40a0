"""Servers that do not do as they should: silent ones, liars, and a wire that is cut between us and a real server."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

Behaviour = Callable[[socket.socket], None]


@contextmanager
def listening(behave: Behaviour) -> Iterator[int]:
    """A server on loopback that treats each connection so, in a thread of its own; its port."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.05)
    ended = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def treat(connection: socket.socket) -> None:
        try:
            behave(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def accept() -> None:
        while not ended.is_set():
            try:
                connection = server.accept()[0]
            except TimeoutError:
                continue
            except OSError:
                return
            connection.setblocking(True)
            connections.append(connection)
            threads.append(threading.Thread(target=treat, args=(connection,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server.getsockname()[1]
    finally:
        ended.set()
        acceptor.join(10)
        server.close()
        for connection in connections:
            _hang_up(connection)
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def silent(connection: socket.socket) -> None:
    """Takes everything and says nothing, until the other side goes."""
    while connection.recv(1 << 16):
        pass


def saying(answer: bytes) -> Behaviour:
    """Reads the beginning of a request, says this, and hangs up."""

    def behave(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        silent(connection)

    return behave


class Wire(NamedTuple):
    """A wire to a real server: after so many bytes in one direction it is cut, reset, or says nothing more."""

    port: int
    down: int = 1 << 60
    up: int = 1 << 60
    then: str = "cut"

    def __call__(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            back = threading.Thread(target=self._pump, args=(server, connection, self.down), daemon=True)
            back.start()
            if self._pump(connection, server, self.up) is False:
                silent(connection)
                _hang_up(server)
            back.join(30)

    def _pump(self, source: socket.socket, target: socket.socket, left: int) -> bool:
        """Whether all arrived, until the source's end; the first byte beyond `left` does not."""
        while left >= 0:
            try:
                chunk = source.recv(1 << 16)
                if not chunk:
                    target.shutdown(socket.SHUT_WR)
                    return True
                target.sendall(chunk[:left])
            except OSError:
                return True
            left = left - len(chunk) if len(chunk) <= left else -1
        for one in (source, target) if self.then != "stall" else ():
            if self.then == "reset":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            _hang_up(one)
        return False


def line(text: bytes) -> bytes:
    """A pkt-line of git's protocol."""
    return b"%04x" % (len(text) + 4) + text


def false_daemon(head: str, pack: bytes, *, greeting: bytes = b"") -> Behaviour:
    """Speaks as `git daemon` does, for one branch `main`; whoever fetches it gets these bytes for a pack."""

    def behave(connection: socket.socket) -> None:
        _request(connection)
        first = f"{head} refs/heads/main\0ofs-delta no-progress agent=false\n".encode()
        connection.sendall((greeting or line(first)) + b"0000")
        said = b""
        while not said.endswith(b"done\n"):
            chunk = connection.recv(1 << 16)
            said += chunk
            if not chunk or said == b"0000":
                return
        connection.sendall(line(b"NAK\n") + pack)
        connection.shutdown(socket.SHUT_WR)
        silent(connection)

    return behave


def _request(connection: socket.socket) -> bytes:
    size = int(connection.recv(4, socket.MSG_WAITALL), 16)
    return connection.recv(size - 4, socket.MSG_WAITALL)


def http(status: str, body: bytes, *headers: str) -> bytes:
    """An answer over HTTP."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
