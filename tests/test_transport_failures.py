"""What goes wrong on the way: every failure is one line with a next step, in time, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gitmem import RemoteError
from gitmem.transport import Transport
from gitmem.transport.limits import Limits
from tests.copies import Copy
from tests.foreign import run_git
from tests.misbehaving import Behaviour, Wire, false_daemon, http, line, listening, saying, silent
from tests.packs import BLOB, Entry, history, pack
from tests.servers import Server, bare, free_port, git_daemon, web_server

SHORT = 0.5
"""The time-out of these tests, in seconds; LONG is what any of them may take on a busy machine."""
LONG = 30.0

programs = pytest.mark.parametrize("program", ["dulwich", "git"])
CALLS: dict[str, Callable[[Transport, Copy], object]] = {
    "heads": lambda to, ours: to.heads(),
    "fetch": lambda to, ours: to.fetch([b"\x11" * 20]),
    "push": lambda to, ours: to.push("main", None, ours.head),
}
calls = pytest.mark.parametrize("call", CALLS)


def failing(to: Transport, call: str, ours: Copy) -> RemoteError:
    """The error of a call: in time, in one line, with a hint; afterwards nothing lies about."""
    start = time.monotonic()
    with pytest.raises(RemoteError) as caught:
        CALLS[call](to, ours)
    assert time.monotonic() - start < LONG
    error = caught.value
    assert error.remote == "origin"
    assert error.hint
    assert "\n" not in error.message + error.hint
    assert len(error.message) < 700
    assert error.__cause__ is None
    assert ours.sound()
    return error


# --- silence ---


@programs
@calls
@pytest.mark.parametrize("scheme", ["git", "http"])
def test_a_server_that_says_nothing_meets_the_timeout(tmp_path: Path, scheme: str, call: str, program: str) -> None:
    """It has accepted the connection: only a clock ends that."""
    ours = Copy(tmp_path / "ours", program=program)
    with listening(silent) as port:
        error = failing(ours.to(f"{scheme}://127.0.0.1:{port}/x", timeout=SHORT), call, ours)
    assert re.search(r"said nothing for 0.5 seconds|did not answer in time", error.message)


def stalling(top: Path, name: str, say: str = "") -> tuple[Path, Path]:
    """A program that never ends, and the file in which it leaves its process id."""
    program, pid = top / name, top / "pid"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{say}\necho $$ > {pid}\nexec sleep 600\n")
    program.chmod(0o755)
    return program, pid


def is_gone(pid: Path) -> bool:
    """Whether the process has ended, be it that nobody has asked for its exit code yet."""
    said = subprocess.run(["ps", "-o", "stat=", "-p", pid.read_text().strip()], capture_output=True, text=True)
    return said.stdout.strip()[:1] in ("", "Z")


@programs
@calls
def test_an_ssh_that_says_nothing_meets_the_timeout(
    tmp_path: Path, call: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is ended with it, however deaf the other end is."""
    ours = Copy(tmp_path / "ours", program=program)
    stalled, pid = stalling(tmp_path, "stalled-ssh")
    monkeypatch.setenv("GIT_SSH_COMMAND", str(stalled))
    error = failing(ours.to("ssh://host.example.org/x", timeout=SHORT), call, ours)
    assert "said nothing for 0.5 seconds" in error.message
    assert is_gone(pid)


@calls
def test_a_local_server_that_says_nothing_meets_the_timeout(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder on a disk that hangs."""
    ours = Copy(tmp_path / "ours")
    _, pid = stalling(tmp_path / "bin", "git")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    to = ours.to(str(tmp_path), timeout=SHORT)
    start = time.monotonic()
    with pytest.raises(RemoteError, match=r"said nothing for 0\.5 seconds"):
        CALLS[call](to, ours)
    assert time.monotonic() - start < LONG
    assert is_gone(pid)
    assert ours.leftovers() == []


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("ssh", ["-o", "BatchMode=yes", "-p", "22", "ann@host.example.org"]),
        ("'{top}/my ssh' -F \"$HOME/x\"", ["-F", "{home}/x", "-p", "22", "ann@host.example.org"]),
    ],
)
def test_ssh_may_not_ask_where_nobody_sits(
    tmp_path: Path, command: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing hangs on a question in a service. Another program than ssh is called as its person calls it."""
    for name in ("ssh", "my ssh"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nfor one; do printf "%s\\n" "$one"; done > {tmp_path}/asked\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if command != "ssh":
        monkeypatch.setenv("GIT_SSH_COMMAND", command.format(top=tmp_path))
    ours = Copy(tmp_path / "ours")
    with pytest.raises(RemoteError, match="cut"):
        ours.to("ssh://ann@host.example.org:22/~/it's").heads()
    said = (tmp_path / "asked").read_text().splitlines()
    home = os.environ["HOME"]
    assert said == [*(one.format(home=home) for one in asked), "git-upload-pack '~/it'\\''s'"]


# --- a wire that is cut ---


@pytest.fixture(scope="module", params=["http", "git"])
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    start = {"http": web_server, "git": git_daemon}[request.param]
    with start(tmp_path_factory.mktemp(request.param) / "server") as server:
        yield server


def filled(real: Server, tmp_path: Path) -> tuple[Copy, str]:
    """A repository there with a history of some 100 KB; the copy that it came from, and its address."""
    name = f"r{len(list(real.root.iterdir()))}.git"
    theirs = Copy(tmp_path / "theirs")
    theirs.memory.store("large", os.urandom(50_000).hex())
    theirs.memory.store("small", 1)
    bare(real.root / name)
    run_git(real.root / name, "fetch", "-q", str(theirs.git_dir), "main:main")
    return theirs, f"{real.url}/{name}"


def through(url: str, port: int) -> str:
    """The same address, over another port."""
    return url.replace(f":{urlsplit(url).port}/", f":{port}/")


@programs
@pytest.mark.parametrize("then", ["cut", "reset", "stall"])
@pytest.mark.parametrize("after", [0, 40, 900, 30_000])
def test_a_fetch_over_a_wire_that_fails_takes_nothing(
    real: Server, tmp_path: Path, after: int, then: str, program: str
) -> None:
    """Wherever it fails; the next fetch, over a good wire, takes all."""
    theirs, url = filled(real, tmp_path)
    ours = Copy(tmp_path / "ours", program=program)
    before = ours.count()
    port = urlsplit(url).port
    assert port is not None
    with listening(Wire(port, down=after, then=then)) as broken:
        to = ours.to(through(url, broken), timeout=SHORT)
        with pytest.raises(RemoteError) as caught:
            to.fetch([theirs.head])
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert ours.count() == before
    assert ours.sound()
    ours.to(url).fetch([theirs.head])
    assert ours.has(theirs.head)


@programs
@pytest.mark.parametrize("then", ["cut", "stall"])
@pytest.mark.parametrize(("up", "down"), [(0, 1 << 60), (250, 1 << 60), (20_000, 1 << 60), (1 << 60, 100)])
def test_a_push_over_a_wire_that_fails_is_whole_or_not_at_all(
    real: Server, tmp_path: Path, up: int, down: int, then: str, program: str
) -> None:
    """Whichever of the two it was, the next push, with what is seen there then, ends well."""
    theirs, url = filled(real, tmp_path)
    ours = Copy(tmp_path / "ours", program=program)
    ours.to(url).fetch([theirs.head])
    ours.repository.refs.swap("refs/heads/main", ours.head, theirs.head, locked=False, durable=False)
    ours.memory.store("mine", os.urandom(50_000).hex())
    port = urlsplit(url).port
    assert port is not None
    with listening(Wire(port, up=up, down=down, then=then)) as broken:
        to = ours.to(through(url, broken), timeout=SHORT)
        try:
            taken = to.push("main", theirs.head, ours.head)
        except RemoteError as error:
            taken = not error.hint
    assert not taken
    root = real.root / url.rsplit("/", 1)[1]
    assert run_git(root, "rev-parse", "main").strip() in (theirs.head.hex(), ours.head.hex())
    to = ours.to(url)
    deadline = time.monotonic() + LONG  # the server may still hold its lock for the push that was cut
    while not to.push("main", to.heads()["main"], ours.head):
        assert time.monotonic() < deadline
    assert run_git(root, "rev-parse", "main").strip() == ours.head.hex()
    assert run_git(root, "fsck", "--strict", "--no-dangling", "--no-progress") == ""
    assert ours.sound()


def test_a_push_whose_answer_is_lost_was_made_all_the_same(tmp_path: Path) -> None:
    """Nobody knows then; the next look at the branches does."""
    with git_daemon(tmp_path / "server") as real:
        ours = Copy(tmp_path / "ours")
        ours.memory.store("k", 1)
        url = real.repository()
        port = urlsplit(url).port
        assert port is not None
        with listening(Wire(port, down=len(_greeting(port)))) as broken, pytest.raises(RemoteError, match="cut"):
            ours.to(through(url, broken)).push("main", None, ours.head)
        deadline = time.monotonic() + LONG
        while ours.to(url).heads() != {"main": ours.head}:
            assert time.monotonic() < deadline
        assert ours.to(url).push("main", None, ours.head) is True


def _greeting(port: int) -> bytes:
    """What a server of an empty repository says first to somebody who wants to push."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(line(b"git-receive-pack /team.git\0host=x\0"))
        said = b""
        while not said.endswith(b"0000"):
            said += connection.recv(1 << 16)
        return said


# --- nobody, or somebody else ---


@programs
@pytest.mark.parametrize("scheme", ["git", "http", "https", "ssh"])
def test_a_port_where_nobody_listens_is_told(
    tmp_path: Path, scheme: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and with what to look at."""
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -F /dev/null")
    ours = Copy(tmp_path / "ours", program=program)
    error = failing(ours.to(f"{scheme}://127.0.0.1:{free_port()}/x"), "heads", ours)
    assert re.search("refused|connect", error.message, re.IGNORECASE)
    assert "port" in error.hint


@programs
@pytest.mark.parametrize("scheme", ["git", "http", "ssh"])
def test_a_host_that_is_not_found_is_told(
    tmp_path: Path, scheme: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name under .invalid never is (RFC 6761)."""
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -F /dev/null")
    ours = Copy(tmp_path / "ours", program=program)
    error = failing(ours.to(f"{scheme}://nobody.invalid/x"), "heads", ours)
    assert "name" in error.hint


def test_a_host_whose_key_is_not_known_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ssh may not ask here; a person has to see that key once."""
    say = "echo 'Host key verification failed.' >&2; exit 255"
    stalled, _ = stalling(tmp_path, "strict-ssh", say)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(stalled))
    ours = Copy(tmp_path / "ours")
    assert "ssh" in failing(ours.to("ssh://host.example.org/x"), "heads", ours).hint


@programs
def test_a_program_that_is_not_installed_is_named(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ssh, or the git program where somebody prefers it."""
    ours = Copy(tmp_path / "ours", program=program)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(RemoteError, match="not installed") as caught:
        ours.to("ssh://host.example.org/x").heads()
    assert "install" in caught.value.hint


ANSWERS = [
    (http("500 Internal Server Error", b"oops"), "500"),
    (http("503 Busy", b"", "Retry-After: 1"), "503"),
    (http("404 Not Found", b"<html>"), "404|not found"),
    (http("403 Forbidden", b"you may not", "Content-Type: text/plain"), "403"),
    (http("200 OK", b"<html>welcome</html>", "Content-Type: text/html"), "smart|valid|no list"),
    (http("200 OK", b"", "Content-Type: application/x-git-upload-pack-advertisement"), ""),
    (http("200 OK", b"garbage", "Content-Type: application/x-git-upload-pack-advertisement"), ""),
    (http("200 OK", b"001e# service=git-upload-pack\n", "Content-Type: application/x-git-upload-pack-advertisement"),
     ""),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort", ""),
    (b"HTTP/1.1 what\r\n\r\n", ""),
    (b"SSH-2.0-OpenSSH_9.2p1\r\n", ""),
    (b"", ""),
]  # fmt: skip


@programs
@pytest.mark.parametrize(("answer", "says"), ANSWERS)
def test_a_web_servers_other_answers_are_told(tmp_path: Path, answer: bytes, says: str, program: str) -> None:
    """Errors with their number and words; pages where a repository should be; nonsense."""
    ours = Copy(tmp_path / "ours", program=program)
    with listening(saying(answer)) as port:
        error = failing(ours.to(f"http://127.0.0.1:{port}/x", timeout=5), "heads", ours)
    assert re.search(says, error.message)
    if b"you may not" in answer and program == "dulwich":
        assert "you may not" in error.message


def test_a_repository_that_is_served_as_files_is_refused_by_dulwich(tmp_path: Path) -> None:
    """Without a git server there is neither a push nor a compare-and-swap."""
    ours = Copy(tmp_path / "ours")
    files = http("200 OK", b"11" * 20 + b"\trefs/heads/main\n", "Content-Type: text/plain")
    with listening(saying(files)) as port:
        assert "smart protocol" in failing(ours.to(f"http://127.0.0.1:{port}/x"), "heads", ours).message


def test_what_a_server_says_is_fit_for_a_terminal(tmp_path: Path) -> None:
    """No control characters, no password that it repeats, and not too much of it."""
    ours = Copy(tmp_path / "ours")
    said = b"\x1b[2Jsee http://ann:Geheim@h/x \x07\xff" + b"and so on " * 200
    with listening(saying(http("403 Forbidden", said, "Content-Type: text/plain"))) as port:
        message = failing(ours.to(f"http://127.0.0.1:{port}/x"), "heads", ours).message
    assert "http://ann:***@h/x" in message
    assert message.isprintable()
    assert "Geheim" not in message


GREETING = line(b"11" * 20 + b" refs/heads/main\0ofs-delta\n") + b"0000"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=80), st.binary(max_size=40).map(lambda more: GREETING[:30] + more)))
@example(line(b"ERR access denied"))
@example(line(b"11" * 20 + b" refs/heads/main\0ofs-delta\n"))
@example(line(b"zz" * 20 + b" refs/heads/main\0ofs-delta\n") + b"0000")
@example(line(b"11" * 32 + b" refs/heads/main\0object-format=sha256\n") + b"0000")
@example(line(b"11" * 20 + b"\n") + b"0000")
@example(line(b"\xff") + b"0000")
@example(b"fffffffff")
@example(b"0003")
@example(b"000")
def test_no_answer_is_another_kind_of_error(copy: Copy, answer: bytes) -> None:
    """Whatever a server says: branches that it has, or a RemoteError."""
    with listening(saying(answer)) as port:
        try:
            heads = copy.to(f"git://127.0.0.1:{port}/x", timeout=5).heads()
        except RemoteError as error:
            heads, told = {}, error.hint and error.message
            assert "\n" not in told
        assert all(len(oid) == 20 for oid in heads.values())


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "ours")


def test_branches_of_a_name_that_git_refuses_are_passed_over(copy: Copy) -> None:
    """Our refs are made of those names: one that leads elsewhere must not even be seen."""
    oid = b"11" * 20
    names = [b"good", b"../../../x", b"a..b", b".x", b"x.lock", b"\xff", b"a b", b"x/", b"-x", b"a\\b"]
    greeting = line(oid + b" HEAD\0ofs-delta\n")
    greeting += b"".join(line(oid + b" refs/heads/" + name + b"\n") for name in names)
    with listening(false_daemon("", b"", greeting=greeting)) as port:
        assert copy.to(f"git://127.0.0.1:{port}/x").heads() == {"good": bytes.fromhex("11" * 20)}


def test_endless_branches_are_refused(copy: Copy) -> None:
    """A greeting may not fill the memory."""

    def endless(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(line(b"11" * 20 + b" HEAD\0ofs-delta\n"))
        while True:
            connection.sendall(line(b"11" * 20 + b" refs/heads/main\n") * 10_000)

    with listening(endless) as port, pytest.raises(RemoteError, match="more than is allowed"):
        copy.to(f"git://127.0.0.1:{port}/x").heads()


# --- redirects ---


def test_a_redirect_is_followed_for_questions_alone(tmp_path: Path) -> None:
    """To the repository's new place, with what is pushed too, since that begins with a question."""
    ours = Copy(tmp_path / "ours")
    ours.memory.store("k", 1)
    with web_server(tmp_path / "server") as server:
        url = server.repository()
        with listening(_redirecting(url)) as port:
            to = ours.to(f"http://127.0.0.1:{port}/old")
            assert to.push("main", None, ours.head)
            assert to.heads() == {"main": ours.head}


def _redirecting(url: str) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        request = connection.recv(1 << 16).decode()
        path = request.split()[1].removeprefix("/old")
        assert request.startswith("GET ")
        connection.sendall(http("301 Moved", b"", f"Location: {url}{path}"))

    return behave


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ssh://h/x", "http://127.0.0.1:{port}/x/info/refs?service=git-upload-pack"]
)
def test_a_redirect_elsewhere_is_refused(copy: Copy, target: str) -> None:
    """Out of the web, or in a circle."""
    ports: list[int] = []

    def behave(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(http("302 Found", b"", f"Location: {target.format(port=ports[0])}"))

    with listening(behave) as port:
        ports.append(port)
        assert "redirect" in failing(copy.to(f"http://127.0.0.1:{port}/x"), "heads", copy).message


# --- what arrives is not what it should be ---


@programs
@pytest.mark.parametrize("lack", ["an object", "a byte", "everything", "sense"])
def test_a_server_that_sends_a_bad_pack_is_refused_whole(tmp_path: Path, lack: str, program: str) -> None:
    """Over a real connection, with either program; the copy stays as it was."""
    entries, tip = history()
    sent = {
        "an object": pack([entry for entry in entries if entry.kind != BLOB]),
        "a byte": pack([*entries[:2], Entry(BLOB, entries[2].body + b"!"), *entries[3:]]),
        "everything": b"",
        "sense": pack([*entries, Entry(2, b"not a tree")]),
    }[lack]
    ours = Copy(tmp_path / "ours", program=program)
    before = ours.count()
    with listening(false_daemon(tip.hex(), sent)) as port:
        to = ours.to(f"git://127.0.0.1:{port}/x", timeout=5)
        assert to.heads() == {"main": tip}
        with pytest.raises(RemoteError) as caught:
            to.fetch([tip])
    assert caught.value.hint
    assert ours.count() == before
    assert ours.sound()


@programs
def test_a_pack_larger_than_is_allowed_is_refused(tmp_path: Path, program: str) -> None:
    """While it arrives, not after it has filled the disk."""
    theirs, ours = Copy(tmp_path / "theirs"), Copy(tmp_path / "ours", program=program)
    theirs.memory.store("large", os.urandom(300_000).hex())
    before = ours.count()
    with pytest.raises(RemoteError) as caught:
        ours.to(str(theirs.git_dir), limits=Limits(all=100_000)).fetch([theirs.head])
    assert "allowed" in caught.value.message + caught.value.hint
    assert ours.count() == before
    assert ours.sound()
    ours.to(str(theirs.git_dir), limits=Limits(all=400_000)).fetch([theirs.head])
    assert ours.has(theirs.head)


@programs
def test_a_sound_pack_of_the_same_server_is_taken(tmp_path: Path, program: str) -> None:
    """It was the pack that was refused above, not the server."""
    entries, tip = history()
    ours = Copy(tmp_path / "ours", program=program)
    with listening(false_daemon(tip.hex(), pack(entries))) as port:
        ours.to(f"git://127.0.0.1:{port}/x", timeout=5).fetch([tip])
    assert ours.has(tip)
    assert ours.sound()


# --- a process that is killed ---

FETCHING = """
import sys
from pathlib import Path
from tests.copies import Copy
Copy(Path(sys.argv[1]), program=sys.argv[3]).to(sys.argv[2], timeout=600).fetch([bytes.fromhex(sys.argv[4])])
"""


@programs
def test_a_fetch_that_is_killed_is_in_nobodys_way(tmp_path: Path, program: str) -> None:
    """What it had begun is known as a dead process's by its lock, and goes with the next gc; a living one's stays."""
    with git_daemon(tmp_path / "server") as real:
        theirs, url = filled(real, tmp_path)
        ours = Copy(tmp_path / "ours", program=program)
        port = urlsplit(url).port
        assert port is not None
        with listening(Wire(port, down=2000, then="stall")) as slow:
            arguments = [str(tmp_path / "ours"), through(url, slow), program, theirs.head.hex()]
            top = str(Path(__file__).resolve().parents[1])
            child = subprocess.Popen([sys.executable, "-c", FETCHING, *arguments], cwd=top)
            deadline = time.monotonic() + LONG
            while not list(ours.repository.local.glob("transit-*/*")):
                assert time.monotonic() < deadline
                assert child.poll() is None
                time.sleep(0.01)
            ours.memory.gc()
            assert list(ours.repository.local.glob("transit-*/*"))
            child.kill()
            child.wait()
        assert list(ours.repository.local.glob("transit-*"))
        ours.to(url).fetch([theirs.head])
        assert ours.has(theirs.head)
        ours.memory.gc()
        assert not list(ours.repository.local.glob("transit-*"))
        assert ours.sound()
