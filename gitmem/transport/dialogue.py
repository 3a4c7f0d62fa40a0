"""dulwich's client over our own channels: a local git server, ssh, and git's own port.

Knows how a connection begins; the protocol is dulwich's. Law: every wait is bounded, and what a server's program
said on the side is kept for the error.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import IO

from dulwich.client import TraditionalGitClient
from dulwich.protocol import Protocol

from gitmem.remotes.address import Address, local_path
from gitmem.transport.channel import Channel, Program, Wire
from gitmem.transport.failures import Trouble
from gitmem.transport.launching import remote_shell, serving

_PORT = 9418


class Dialogue(TraditionalGitClient):
    """One remote over a channel of its own for each call."""

    def __init__(self, address: Address, *, timeout: float, limit: int, ssh_command: str) -> None:
        """`limit` bounds what one call may receive; `ssh_command` is git's core.sshCommand, or empty."""
        super().__init__(thin_packs=False, quiet=True)
        self._address = address
        self._timeout = timeout
        self._limit = limit
        self._ssh_command = ssh_command
        self._channel: Channel | None = None
        self._protocol: Protocol | None = None

    @property
    def words(self) -> str:
        """What the program at the other end complained of, in the last call."""
        return self._channel.words.decode("utf-8", "replace") if self._channel is not None else ""

    def hang_up(self) -> None:
        """End what is left of the last call: dulwich leaves it open where a server says nothing at all."""
        if self._protocol is not None:
            self._protocol.close()

    def _connect(
        self, cmd: bytes, path: str | bytes, protocol_version: int | None = None
    ) -> tuple[Protocol, Callable[[], bool], IO[bytes] | None]:
        service = cmd.decode("ascii")
        channel = self._channel = self._open(service)
        protocol = self._protocol = Protocol(channel.read, channel.write, channel.close)
        if self._address.scheme == "git":
            where = self._address.path
            where = where[1:] if where.startswith("/~") else where
            protocol.send_cmd(b"git-" + cmd, where.encode(), b"host=" + self._address.host.encode())
        return protocol, channel.ready, None

    def _open(self, service: str) -> Channel:
        address = self._address
        if address.scheme == "git":
            port = _PORT if address.port is None else address.port
            return Wire(address.host, port, timeout=self._timeout, limit=self._limit)
        if address.scheme == "ssh":
            command, program = remote_shell(address, service, self._ssh_command), "ssh"
        else:
            command, program = serving(service, local_path(address.path)), "git"
        if program == "git" and shutil.which(program) is None:
            raise Trouble(f"the program {program} is not installed")
        return Program(command, timeout=self._timeout, limit=self._limit)
