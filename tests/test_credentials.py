"""Logins: asked for when they are wanted, from git's helpers or a function; never written down, never told."""

from __future__ import annotations

import base64
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitmem import RemoteError
from gitmem.transport.credentials import GitLogin, from_git
from tests.copies import Copy
from tests.foreign import run_git
from tests.misbehaving import http, listening
from tests.servers import PASSWORD, USER, Server, closed, requests, web_server

programs = pytest.mark.parametrize("program", ["dulwich", "git"])
WRONG = "Falsch-0815"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with web_server(tmp_path_factory.mktemp("web") / "server") as running:
        yield running


@pytest.fixture
def url(server: Server) -> str:
    """The address of a new repository that wants a login."""
    return closed(server.repository(f"r{len(list(server.root.iterdir()))}.git"))


class Asked:
    """Gives these logins, one after another, and keeps for which addresses."""

    def __init__(self, *logins: tuple[str, str] | None) -> None:
        self._logins = list(logins)
        self.urls: list[str] = []

    def __call__(self, url: str) -> tuple[str, str] | None:
        self.urls.append(url)
        return self._logins.pop(0)


def secret_nowhere(folder: Path, *texts: str) -> None:
    """Neither password is in a text, nor in a file of ours."""
    for secret in (PASSWORD, WRONG, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()):
        for text in texts:
            assert secret not in text
        for path in folder.rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path


@programs
def test_a_login_is_asked_for_once_and_used_for_all(tmp_path: Path, url: str, program: str) -> None:
    """After the server wanted one, for its address; the transport remembers it."""
    ours, theirs = Copy(tmp_path / "ours", program=program), Copy(tmp_path / "theirs", program=program)
    ours.memory.store("k", 1)
    asked = Asked((USER, PASSWORD))
    to = ours.to(url, credentials=asked)
    assert to.heads() == {}
    assert to.push("main", None, ours.head)
    assert to.heads() == {"main": ours.head}
    assert asked.urls == [url]
    theirs.to(url, credentials=Asked((USER, PASSWORD))).fetch([ours.head])
    assert theirs.has(ours.head)
    secret_nowhere(tmp_path)


@programs
def test_nobody_is_asked_where_no_login_is_wanted(tmp_path: Path, server: Server, program: str) -> None:
    """What need not be told is not told."""
    ours = Copy(tmp_path / "ours", program=program)
    asked = Asked((USER, PASSWORD))
    assert ours.to(server.repository(f"{program}-open.git"), credentials=asked).heads() == {}
    assert asked.urls == []


def test_the_branches_cost_one_request(tmp_path: Path, server: Server) -> None:
    """A sync that has nothing to do costs one exchange of refs; where a login is wanted, one more, the first time."""
    ours = Copy(tmp_path / "ours")
    for program in ("dulwich", "git"):
        url = server.repository(f"{program}-count.git")
        assert ours.to(url).push("main", None, ours.head)
        before = answered(server)
        to = ours.to(url, program=program)
        assert to.heads() == {"main": ours.head}
        made = answered(server)[len(before) :]
        assert made == [f"GET /open/{program}-count.git/info/refs?service=git-upload-pack 200"]
        to = ours.to(closed(url), credentials=Asked((USER, PASSWORD)))
        to.heads()
        before = answered(server)
        to.heads()
        assert len(answered(server)) == len(before) + 1


def answered(server: Server) -> list[str]:
    """The requests so far: the log is written in their order, so it is whole once it holds our mark."""
    mark = f"/mark-{os.urandom(4).hex()}"
    port = int(server.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {mark} HTTP/1.0\r\n\r\n".encode())
        while connection.recv(1 << 16):
            pass
    deadline = time.monotonic() + 30
    while not any(mark in line for line in requests(server)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return [line for line in requests(server) if "/mark-" not in line]


@programs
def test_a_login_that_is_wanted_and_not_there_is_told(tmp_path: Path, url: str, program: str) -> None:
    """Without anybody to ask, and where that somebody has none."""
    ours = Copy(tmp_path / "ours", program=program)
    for credentials in (None, Asked(None)):
        with pytest.raises(RemoteError, match="wants a login") as caught:
            ours.to(url, credentials=credentials).heads()
        assert caught.value.lasting
        assert "credential.helper" in caught.value.hint
        assert "GITMEM_REMOTE_PASSWORD" in caught.value.hint


@programs
@pytest.mark.parametrize("call", ["heads", "push"])
def test_a_login_that_is_refused_names_the_user_alone(tmp_path: Path, url: str, program: str, call: str) -> None:
    """The password is nobody's business, right or wrong."""
    ours = Copy(tmp_path / "ours", program=program)
    asked = Asked((USER, WRONG))
    to = ours.to(url, credentials=asked)
    with pytest.raises(RemoteError, match=f"refuses the login of user '{USER}'") as caught:
        to.heads() if call == "heads" else to.push("main", None, ours.head)
    assert caught.value.hint
    assert caught.value.lasting
    assert asked.urls == [url]
    secret_nowhere(tmp_path, caught.value.message, caught.value.hint, repr(caught.value))


@programs
def test_the_user_of_an_address_is_asked_with(tmp_path: Path, url: str, program: str) -> None:
    """So that a helper that knows several gives the right one."""
    ours = Copy(tmp_path / "ours", program=program)
    asked = Asked((USER, PASSWORD))
    with_user = url.replace("://", f"://{USER}@")
    assert ours.to(with_user, credentials=asked).heads() == {}
    assert asked.urls == [with_user]


@programs
def test_a_password_that_somebody_wrote_into_an_address_by_hand_is_used_and_not_told(
    tmp_path: Path, url: str, program: str
) -> None:
    """`remote add` refuses it; a config that has one works, and no message and no process list shows it."""
    ours = Copy(tmp_path / "ours", program=program)
    assert ours.to(url.replace("://", f"://{USER}:{PASSWORD}@")).heads() == {}
    with pytest.raises(RemoteError) as caught:
        ours.to(url.replace("://", f"://{USER}:{WRONG}@")).heads()
    secret_nowhere(tmp_path, caught.value.message, caught.value.hint)
    assert f"{USER}:***@" in caught.value.message


@pytest.mark.parametrize("login", [("a\nb", "Zx9"), ("a", "Zx9\nd"), ("a", "Zx9\0d"), ("a", "Zx9" * 2000)])
def test_a_login_that_would_break_the_conversation_with_git_is_refused(
    tmp_path: Path, url: str, login: tuple[str, str]
) -> None:
    """A line break in a password would be another line of git's protocol."""
    ours = Copy(tmp_path / "ours", program="git")
    with pytest.raises(RemoteError) as caught:
        ours.to(url, credentials=Asked(login)).heads()
    assert "Zx9" not in caught.value.message


@programs
def test_a_password_of_any_characters_arrives(tmp_path: Path, program: str) -> None:
    """Colons, quotes, spaces, umlauts, shell: as they are."""
    password = "pä ss:'\"$(x)`\\%40@/#"
    seen: list[str] = []

    def behave(connection: socket.socket) -> None:
        request = connection.recv(1 << 16).decode()
        found = re.search(r"(?i)authorization: Basic (\S+)", request)
        if found is None:
            connection.sendall(http("401 No", b"", 'WWW-Authenticate: Basic realm="x"'))
            return
        seen.append(base64.b64decode(found[1]).decode())
        connection.sendall(http("403 No", b"never", "Content-Type: text/plain"))

    ours = Copy(tmp_path / "ours", program=program)
    with listening(behave) as port, pytest.raises(RemoteError) as caught:
        ours.to(f"http://127.0.0.1:{port}/x", credentials=Asked(("ann", password))).heads()
    assert seen == [f"ann:{password}"]
    assert password not in caught.value.message
    if program == "dulwich":
        assert "'ann'" in caught.value.message
        assert "never" in caught.value.message


def test_a_login_goes_to_no_other_host(tmp_path: Path) -> None:
    """A redirect may lead anywhere; whoever waits there gets nothing, and is not asked for either."""
    seen: list[str] = []
    ready = threading.Event()

    def elsewhere(connection: socket.socket) -> None:
        seen.append(connection.recv(1 << 16).decode())
        connection.sendall(http("401 No", b"", 'WWW-Authenticate: Basic realm="x"'))
        ready.set()

    def home(connection: socket.socket) -> None:
        request = connection.recv(1 << 16).decode()
        if "uthorization" not in request:
            connection.sendall(http("401 No", b"", 'WWW-Authenticate: Basic realm="x"'))
            return
        path = request.split()[1]
        connection.sendall(http("302 Found", b"", f"Location: http://127.0.0.1:{other}{path}"))

    ours = Copy(tmp_path / "ours")
    asked = Asked((USER, PASSWORD))
    with listening(elsewhere) as other, listening(home) as port:
        with pytest.raises(RemoteError, match="redirects") as caught:
            ours.to(f"http://127.0.0.1:{port}/x", credentials=asked).heads()
        assert ready.wait(10)
    assert len(asked.urls) == 1
    assert not [request for request in seen if "uthorization" in request]
    secret_nowhere(tmp_path, caught.value.message, caught.value.hint)


def test_nobody_is_asked_for_another_host(tmp_path: Path) -> None:
    """The home of the address wants no login itself; whoever gives logins would take the question for its own."""

    def elsewhere(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(http("401 No", b"", 'WWW-Authenticate: Basic realm="x"'))

    def home(connection: socket.socket) -> None:
        path = connection.recv(1 << 16).decode().split()[1]
        connection.sendall(http("302 Found", b"", f"Location: http://127.0.0.1:{other}{path}"))

    ours, asked = Copy(tmp_path / "ours"), Asked((USER, PASSWORD))
    with listening(elsewhere) as other, listening(home) as port, pytest.raises(RemoteError, match="redirects"):
        ours.to(f"http://127.0.0.1:{port}/x", credentials=asked).heads()
    assert asked.urls == []


def test_another_kind_of_login_is_left_to_the_git_program(tmp_path: Path) -> None:
    """Kerberos and its like: dulwich does not know them, git may."""

    def behave(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(http("401 No", b"", "WWW-Authenticate: Negotiate"))

    ours = Copy(tmp_path / "ours")
    with listening(behave) as port, pytest.raises(RemoteError) as caught:
        ours.to(f"http://127.0.0.1:{port}/x").heads()
    assert "gitmem.transport git" in caught.value.hint


# --- git's helpers ---


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A helper that knows the login of USER, and the file in which it keeps what git tells it."""
    told = tmp_path / "outside" / "told"
    told.parent.mkdir()
    script = told.parent / "helper"
    script.write_text(
        f"#!/bin/sh\necho \"$1\" >> {told}\ncat >> {told}\n"
        f"[ \"$1\" != get ] || printf 'username={USER}\\npassword={PASSWORD}\\n'\n"
    )
    script.chmod(0o755)
    run_git(tmp_path, "config", "-f", str(told.parent / "config"), "credential.helper", str(script))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(told.parent / "config"))
    return told


def events(told: Path) -> list[str]:
    return [line for line in told.read_text().splitlines() if line in ("get", "store", "erase")]


def test_gits_helpers_are_asked_with_the_whole_address(helper: Path) -> None:
    """As git itself asks them: protocol, host, and the user where the address names one."""
    assert from_git("http://127.0.0.1:8080/x.git") == GitLogin(USER, PASSWORD)
    assert "host=127.0.0.1:8080" in helper.read_text()
    assert "protocol=http" in helper.read_text()
    from_git("https://ann@example.org/x.git")
    assert "username=ann" in helper.read_text()


@programs
def test_a_helper_hears_that_its_login_was_right(tmp_path: Path, url: str, helper: Path, program: str) -> None:
    """So one that asked a person may keep it. Each is told once, however many exchanges follow."""
    ours = Copy(tmp_path / "ours", program=program)
    to = ours.to(url, credentials=from_git)
    assert to.heads() == {}
    assert to.push("main", None, ours.head)
    assert events(helper) == ["get", "store"]
    secret_nowhere(tmp_path / "ours")


@programs
def test_a_helper_hears_that_its_login_was_wrong(
    tmp_path: Path, url: str, helper: Path, program: str
) -> None:
    """So it forgets it, and asks a person anew the next time."""
    script = helper.parent / "helper"
    script.write_text(script.read_text().replace(PASSWORD, WRONG))
    ours = Copy(tmp_path / "ours", program=program)
    with pytest.raises(RemoteError, match="refuses the login") as caught:
        ours.to(url, credentials=from_git).heads()
    assert events(helper) == ["get", "erase"]
    secret_nowhere(tmp_path / "ours", caught.value.message, caught.value.hint)


@pytest.mark.parametrize(
    "script", ["exit 1", "echo nonsense", "echo username=ann", "kill -9 $$", "echo quit=1", "yes"], ids=lambda s: s
)
def test_a_helper_that_has_nothing_to_say_is_no_login(helper: Path, script: str) -> None:
    """Broken, without a password, or endless."""
    (helper.parent / "helper").write_text(f"#!/bin/sh\n{script}\n")
    assert from_git("http://h/x") is None


def test_a_helper_that_never_answers_is_given_up(helper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that opens a window where nobody sits, say."""
    monkeypatch.setattr("gitmem.transport.credentials.TIMEOUT", 0.3)
    (helper.parent / "helper").write_text("#!/bin/sh\nexec sleep 600\n")
    start = time.monotonic()
    assert from_git("http://h/x") is None
    assert time.monotonic() - start < 30


def test_without_helpers_or_without_git_there_is_no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody is asked at the terminal."""
    assert from_git("http://h/x") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert from_git("http://h/x") is None
