"""Real git servers on loopback: a web server with git's own http backend, sshd, and git daemon.

Each runs as a child of the test, on a port of its own, and is gone with it; where its program is not installed, the
test is skipped and says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.foreign import run_git

USER, PASSWORD = "keeper", "s3cret-Wort"
READY = 20.0
SBIN = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


class Server(NamedTuple):
    """A running server: where its repositories lie, and the beginning of their addresses."""

    root: Path
    url: str
    log: Path
    settings: dict[str, str]
    """Variables that its clients need."""

    def repository(self, name: str = "team.git") -> str:
        """A new empty bare repository there; its address."""
        bare(self.root / name)
        return f"{self.url}/{name}"


def bare(path: Path) -> Path:
    """A new empty bare repository that takes pushes over http."""
    run_git(path.parent, "init", "-q", "--bare", "-b", "main", str(path))
    run_git(path, "config", "http.receivepack", "true")
    return path


def needed(program: str) -> str:
    """The path of a program; the test is skipped where there is none."""
    found = shutil.which(program, path=SBIN)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The server, from when it takes connections until the end, with all that it began."""
    with log.open("ab") as said:
        nobodys = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**nobodys, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull},
            start_new_session=True,
        )
    try:
        _wait(process, port, log)
        yield process
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args} ended: {log.read_text(errors='replace')}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"{process.args} took no connection: {log.read_text(errors='replace')}")


# --- http ---

_LIGHTTPD = """
server.modules = ("mod_setenv", "mod_alias", "mod_auth", "mod_authn_file", "mod_cgi", "mod_accesslog")
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{root}"
server.errorlog = "{top}/error.log"
server.upload-dirs = ("{top}")
accesslog.filename = "|/bin/cat >> {top}/access.log"
accesslog.format = "%m %U?%q %s"
accesslog.escaping = "default"
alias.url = ("/open" => "{backend}", "/closed" => "{backend}")
cgi.assign = ("" => "")
setenv.set-environment = ("GIT_PROJECT_ROOT" => "{root}", "GIT_HTTP_EXPORT_ALL" => "1", "PATH" => "{path}",
    "GIT_CONFIG_NOSYSTEM" => "1", "GIT_CONFIG_GLOBAL" => "/dev/null")
auth.backend = "plain"
auth.backend.plain.userfile = "{top}/users"
auth.require = ("/closed" => ("method" => "basic", "realm" => "git", "require" => "valid-user"))
"""


@contextmanager
def web_server(top: Path) -> Iterator[Server]:
    """lighttpd and git's http backend: /open for everybody, /closed for USER with PASSWORD. One log of requests."""
    program = needed("lighttpd")
    backend = Path(run_git("/", "--exec-path").strip(), "git-http-backend")
    if not backend.exists():
        pytest.skip("git-http-backend is not installed")
    root, port = top / "repositories", free_port()
    root.mkdir(parents=True)
    (top / "users").write_text(f"{USER}:{PASSWORD}\n")
    path = os.environ["PATH"]
    text = _LIGHTTPD.format(port=port, root=root, top=top, backend=backend, path=path)
    (top / "lighttpd.conf").write_text(text)
    log = top / "access.log"
    with running([program, "-D", "-f", str(top / "lighttpd.conf")], port, top / "said.log"):
        yield Server(root, f"http://127.0.0.1:{port}/open", log, {})


def requests(server: Server) -> list[str]:
    """The requests that a web server has answered so far: method, path and status."""
    return server.log.read_text().splitlines() if server.log.exists() else []


def closed(url: str) -> str:
    """The address of the same repository of a web server, where a login is wanted."""
    return url.replace("/open/", "/closed/")


# --- ssh ---

_SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {top}/host
PidFile none
AuthorizedKeysFile {top}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
LogLevel ERROR
SetEnv PATH={path} GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
"""


@contextmanager
def ssh_server(top: Path) -> Iterator[Server]:
    """sshd as the current user, on loopback, with keys of its own; clients need its `settings`."""
    program, keygen = needed("sshd"), needed("ssh-keygen")
    needed("ssh")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    root, port = top / "repositories", free_port()
    root.mkdir(parents=True)
    for name in ("host", "client"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(top / name)], check=True)
    shutil.copy(top / "client.pub", top / "authorized")
    (top / "sshd.conf").write_text(_SSHD.format(port=port, top=top, path=os.environ["PATH"]))
    key = (top / "host.pub").read_text().split()
    (top / "known").write_text(f"[127.0.0.1]:{port} {key[0]} {key[1]}\n")
    settings = f"IdentityFile {top}/client\nIdentitiesOnly yes\nUserKnownHostsFile {top}/known\n"
    (top / "ssh.conf").write_text(f"{settings}Host loopback\n    HostName 127.0.0.1\n    Port {port}\n")
    log = top / "sshd.log"
    with running([program, "-D", "-e", "-f", str(top / "sshd.conf")], port, log):
        variables = {"GIT_SSH_COMMAND": f"ssh -F {top}/ssh.conf"}
        yield Server(root, f"ssh://127.0.0.1:{port}{root}", log, variables)


# --- git's own port ---


@contextmanager
def git_daemon(top: Path) -> Iterator[Server]:
    """`git daemon` that takes pushes, from anybody on loopback."""
    root, port = top / "repositories", free_port()
    root.mkdir(parents=True)
    command = ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--export-all", "--enable=receive-pack"]
    log = top / "daemon.log"
    with running([*command, "--reuseaddr", f"--base-path={root}", str(root)], port, log):
        yield Server(root, f"git://127.0.0.1:{port}", log, {})


@contextmanager
def local_folder(top: Path) -> Iterator[Server]:
    """No server at all: bare repositories in a folder."""
    (top / "repositories").mkdir(parents=True)
    yield Server(top / "repositories", str(top / "repositories"), top / "none.log", {})


SERVERS = {"local": local_folder, "http": web_server, "ssh": ssh_server, "git": git_daemon}
