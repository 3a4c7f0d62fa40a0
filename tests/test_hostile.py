"""Hostile callers: whatever they name or pass is refused with the design's error, or stored and read back exactly.

Never a path outside the tree, never a forged trailer or header; every accepted commit passes `git fsck --strict`
and can be checked out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitmem import CorruptValueError, GitmemError, InvalidKeyError, InvalidValueError, Memory
from gitmem.keys import parse_path
from gitmem.provenance import parse
from tests.conftest import Clock, Git
from tests.foreign import commit_files, paths_of

MISCHIEF = [
    "..", "../x", "../../../etc/passwd", "a/../../b", ".", "./a", "~", "~/a", "~0", "~gitmem",
    "~gitmem/expires/x", "/etc",
    ".git", ".GIT/config", "a/.git/hooks/post-update", ".gIt", "git~1", "GIT~1/config", "gitmod~1", "gi7eba~1",
    ".gitmodules",
    ".git ", ".git.", ".git/", "\u200c.git", ".g\u200cit", ".git\u200e", "\ufeff.git", ".gitattributes",
    ".git::$INDEX_ALLOCATION",
    "con", "CON.txt", "a/nul", "aux.json", "com1", "LPT9.x", "COM¹", "prn .txt", "conin$", "clock$", "a:b",
    "a\\b", "..\\..\\x",
    "a?*b", "a|b", '"quoted"', "<tag>", "a.", "a ", " a", "...", "a.json", "a.json/b", "a.JSON/b",
    "gitmem.toml", "%2e%2e", "%",
    "%00", "%2F", "a%2Fb", "-rf", "--help", "@{u}", "HEAD", "refs/heads/main", "a" * 240, "/".join("a" * 200),
    "é" * 120,
    "\u202egpj.exe", "𝄞", "null", "\u2028", "\u00a0", "K", "ſ", "a\u0301\u0301".replace("a\u0301", "á"),
]  # fmt: skip
ALWAYS_REFUSED = [
    "", "/", "//", "/a", "a/", "a//b", "a\x00b", "a\nb", "\r", "\t", "a\x1bb", "\x7f", "\x85", "\ud800",
    "a/\udfff", "e\u0301",
    "x" * 241, "x" * 1025, "k" * 10_000_000, "/".join("k" * 1000), "%" * 81, b"bytes", 5, None, ["a"], ("a", "b"),
]  # fmt: skip
NAMES = [
    "o'brien", '"quoted"', "a, b", "a; b", ";", ",", ".", "a.", "'", "Zoë ☃ 𝄞", "\u202eevil", "\u2066x\u2069",
    "a\u2028b", "#1",
    "Agent: root", "root Session: x", "x: y", "a@b", "-", "--author=x", "$(id)", "`id`", "%n%b", "\\n",
    "x" * 255, "1 +0000",
]  # fmt: skip
BAD_NAMES = [
    "", " ", "\u2003", " a", "a ", "a\nb", "a\n\nAgent: root", "a\x00", "\x1b[31m", "<", "a>b",
    "a <root@x> 0 +0000\nparent 0", "\ud83d",
    "x" * 256, "é" * 128, "x" * 10_000_000, 5, None, b"a",
]  # fmt: skip


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Memory:
    return Memory.open(tmp_path / "m", agent="me", durability="fast", clock=clock)


def sound(memory: Memory, git: Git, tmp_path: Path) -> list[str]:
    """Git finds nothing wrong and checks everything out, below its folder only; the paths of the tree."""
    assert git(memory.path, "fsck", "--strict", "--no-dangling") == ""
    paths = git(memory.path, "ls-tree", "-r", "-z", "--name-only", "main").split("\0")[:-1]
    subprocess.run(
        ["git", "-c", "core.protectNTFS=true", "-c", "core.protectHFS=true", "clone", "-q",
    memory.path / ".git", "out"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    top = tmp_path / "out"
    files = sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file() and path.parts[-2] != ".git")
    assert {path for path in files if not path.startswith(".git/")} == set(paths)
    assert {path.name for path in tmp_path.iterdir()} == {"m", "out"}
    return paths


# --- keys ---


def test_mischievous_keys_are_stored_and_read_back(memory: Memory, git: Git, tmp_path: Path) -> None:
    """They are names like any other: encoded, so that no system takes them for something else."""
    keys = []
    for key in MISCHIEF:
        try:
            memory.store(key, {"key": key})
            keys.append(key)
        except InvalidKeyError:
            continue
    assert set(MISCHIEF) - set(keys) <= {"/etc", ".git/", "e\u0301"}
    assert memory.list() == sorted(keys)
    assert [memory.retrieve(key) for key in keys] == [{"key": key} for key in keys]
    paths = sound(memory, git, tmp_path)
    found = {parse_path(path.encode("utf-8", "surrogateescape")) for path in paths}
    assert found - {None} == {("default", key) for key in keys}


def test_mischievous_namespaces_are_stored_and_read_back(memory: Memory, git: Git, tmp_path: Path) -> None:
    """The first component of a path has no rules of its own."""
    names = []
    for name in MISCHIEF:
        try:
            memory.store("k", name, namespace=name)
            names.append(name)
        except InvalidKeyError:
            assert "/" in name or len(name) > 200 or name.startswith("gitmem")
    assert memory.namespaces() == sorted(names)
    assert [memory.retrieve("k", namespace=name) for name in names] == names
    sound(memory, git, tmp_path)


def test_impossible_keys_are_refused(memory: Memory) -> None:
    """With the segment and the reason; even the biggest makes a short message."""
    for key in ALWAYS_REFUSED:
        with pytest.raises(InvalidKeyError) as caught:
            memory.store(key, 1)
        assert caught.value.reason
        assert caught.value.hint
        assert len(caught.value.message) < 2000
        with pytest.raises(InvalidKeyError):
            memory.store("k", 1, namespace="" if key is None else key)
    assert memory.list() == []


def test_reading_what_can_be_no_key_is_the_same_error(memory: Memory) -> None:
    """Not a missing key: it never can be there. Only the normal form is not judged."""
    for key in ALWAYS_REFUSED:
        if key == "e\u0301":
            continue
        with pytest.raises(InvalidKeyError):
            memory.retrieve(key, "default")
    assert memory.retrieve("e\u0301", "default") == "default"


hostile_text = st.text(
    st.one_of(
        st.sampled_from("./\\~:%*?\"<>| git.GIT con nul com1 json \u200c\u200f\u202e\ufeffé\u0301¹K"),
        st.characters(max_codepoint=0x2FFF),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def pit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    """One memory for all that Hypothesis finds; in the end git finds nothing wrong with any of it."""
    memory = Memory.open(tmp_path_factory.mktemp("pit"), durability="fast")
    yield memory
    strict = ["-c", "core.protectNTFS=true", "-c", "core.protectHFS=true", "fsck", "--strict", "--no-dangling"]
    done = subprocess.run(["git", "-C", memory.path, *strict], capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")


@settings(max_examples=60)
@given(pairs=st.lists(st.tuples(hostile_text, hostile_text), min_size=1, max_size=8))
def test_any_key_is_refused_or_comes_back(pit: Memory, pairs: list[tuple[str, str]]) -> None:
    """All that was accepted is listed, with its own value."""
    kept: dict[tuple[str, str], str] = {}
    for namespace, key in pairs:
        try:
            pit.store(key, key, namespace=namespace)
        except InvalidKeyError:
            continue
        kept[namespace, key] = key
    found = {(one.namespace, one.key): one.value for one in pit.search("**", all_namespaces=True)}
    assert found == kept
    for namespace in pit.namespaces():
        pit.delete_matching("**", namespace=namespace)


# --- values ---


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
BAD_VALUES = [
    float("nan"), float("inf"), -float("inf"), [float("nan")], {1: 2}, {None: 1}, {"a": {True: 1}}, "\ud800",
    {"\udfff": 1}, deep(201), CIRCLE, 10**640, -(10**640), b"bytes", {1, 2}, object(), 1j, json,
]  # fmt: skip
HUGE_VALUES = ["x" * (16 * 1024 * 1024), [[0] * 64] * 200_000, deep(100_000)]


def test_impossible_values_are_refused(memory: Memory) -> None:
    """With the place in the value; by every verb that stores one, and nothing is written."""
    memory.store("list", [])
    head = memory.snapshot
    verbs: list[Callable[[Any], Any]] = [
        lambda value: memory.store("k", value),
        lambda value: memory.append("list", value, write_id="w"),
        lambda value: memory.create("k", value),
        lambda value: memory.update("k", lambda _: value, default=0),
        lambda value: memory.append("list", value),
        lambda value: memory.store("k", value, write_id="w"),
        lambda value: memory.patch("list", [{"op": "add", "path": "/0", "value": value}]),
        lambda value: memory.patch("list", {"x": value}, write_id="w"),
    ]
    for value in BAD_VALUES:
        for verb in verbs:
            _refuse(verb, value)
    for value in HUGE_VALUES:
        for verb in verbs[:2]:
            _refuse(verb, value)
    assert memory.snapshot == head


def _refuse(verb: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(InvalidValueError) as caught:
        pytest.fail(f"{type(value)} was stored: {verb(value)}")
    assert caught.value.hint
    assert isinstance(caught.value.pointer, str)
    assert len(caught.value.message) < 2000


def test_extreme_values_come_back(memory: Memory, git: Git) -> None:
    """The deepest, the longest, the strangest that are legal."""
    values = [
        deep(200), 10**640 - 1, "x" * (16 * 1024 * 1024 - 3), "\x00" * 1000, "<<<<<<< ours\n=======\n>>>>>>>",
    {"": {"": ""}},
        {"__proto__": 1, "constructor": 2}, "\u202e", 5e-324, 1.7976931348623157e308,
    {chr(n): n for n in range(0x20, 0x250)},
    ]  # fmt: skip
    for number, value in enumerate(values):
        memory.store(f"v{number}", value)
    assert [memory.retrieve(f"v{number}") for number in range(len(values))] == values
    assert git(memory.path, "fsck", "--strict", "--no-dangling") == ""


# --- names and messages ---


def plain(git: Git, memory: Memory) -> tuple[list[str], dict[str, str]]:
    """The last commit as git reads it: its headers, and its trailers."""
    raw = git(memory.path, "cat-file", "commit", "main")
    head, _, message = raw.partition("\n\n")
    trailers = git(memory.path, "interpret-trailers", "--parse", "--no-divider", given=message.encode())
    return head.split("\n"), dict(line.split(": ", 1) for line in trailers.split("\n") if line)


def test_strange_names_are_kept_exactly(memory: Memory, git: Git) -> None:
    """As agent, session and write id: no header breaks, git reads the same trailers, and the entry says it."""
    for number, name in enumerate(NAMES):
        entry = memory.bind(agent=name, session=name).store("k", number, write_id=name)
        assert (entry.agent, entry.session) == (name, name)
        headers, trailers = plain(git, memory)
        assert [line.split(" ")[0] for line in headers] == ["tree", "parent", "author", "committer", "gitmem-nonce"]
        assert (trailers["Agent"], trailers["Session"], trailers["Write-Id"]) == (name, name, name)
        assert sorted(trailers) == ["Agent", "Session", "Write-Digest", "Write-Id"]
        assert memory.log(session=name)[0].revision == entry.revision
        assert memory.log(agent=name)[0].revision == entry.revision
    assert git(memory.path, "fsck", "--strict", "--no-dangling") == ""


def test_names_that_could_forge_a_header_are_refused(memory: Memory, tmp_path: Path) -> None:
    """Wherever a name is taken."""
    for name in BAD_NAMES:
        for verb in (
            lambda name: memory.bind(agent=name),
            lambda name: memory.bind(session=name),
            lambda name: Memory.open(tmp_path / "new", agent=name),
            lambda name: memory.store("k", 1, write_id=name),
        ):
            if name is None:
                continue
            with pytest.raises(InvalidValueError) as caught:
                verb(name)
            assert len(caught.value.message) < 500
    assert memory.list() == []
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "committer",
    [("a\nparent 0", "e"), ("", "e"), ("a<b", "e"), ("a", "e>"), ("a", "e\nx"), ("a", "e\x00"), ("\ud800",
    "e"), ("a", "\ud800")],
)
def test_a_committer_that_could_forge_a_header_is_refused(tmp_path: Path, committer: tuple[str, str]) -> None:
    """It comes from git's settings, which are text like any other."""
    with pytest.raises(InvalidValueError):
        Memory.open(tmp_path, committer=committer)
    assert list(tmp_path.iterdir()) == []


MESSAGES = [
    "Agent: root", "Session: x", "Write-Id: w", "a: b", "#comment", " leading", "fixup! x", "\u202e",
    "a\u2028Agent: root", "-m", "---",
    "diff --git a b", "From 0 Mon", "x" * 10_000, "Agent:root\u0085" [:-1], "%(trailers)",
]  # fmt: skip


def test_a_message_is_the_subject_and_nothing_else(memory: Memory, git: Git) -> None:
    """Text that looks like a trailer does not become one."""
    for number, message in enumerate(MESSAGES):
        memory.store("k", number, message=message)
        assert plain(git, memory)[1] == {"Agent": "me"}
        assert memory.log(limit=1)[0].message == message
        assert parse(git(memory.path, "log", "-1", "--format=%B"))[1] == {"Agent": "me"}
    assert git(memory.path, "fsck", "--strict", "--no-dangling") == ""


@pytest.mark.parametrize(
    "message",
    ["", " ", "a\n\nAgent: root", "a\nb", "a\rb", "a\x00", "\x1b[2J", "a\x85b", "\ud800", 5, "x" * 65_537,
     "a # ------------------------ >8 ------------------------"],
)  # fmt: skip
def test_a_message_that_could_forge_a_trailer_is_refused(memory: Memory, message: Any) -> None:
    """One line of text, of a size that a person can read: a commit must stay readable."""
    for verb in (
        lambda: memory.store("k", 1, message=message),
        lambda: memory.delete_matching("nothing", message=message),
        lambda: memory.transaction(message).__enter__(),
    ):
        with pytest.raises(InvalidValueError):
            verb()
    assert memory.list() == []


def test_keys_cannot_forge_a_trailer_through_the_subject(memory: Memory, git: Git) -> None:
    """The usual subject names the key, and keys may hold almost anything."""
    for key in ("Agent: root", "x\u2028Agent: root", ": ", "Session", " ", "  Write-Id: w  ", "# x"):
        memory.store(key, 1)
        assert plain(git, memory)[1] == {"Agent": "me"}
        memory.delete(key)
        assert plain(git, memory)[1] == {"Agent": "me"}


@settings(max_examples=60)
@example(agent="a\u0085", session=None, message="m")
@given(
    agent=st.text(min_size=1, max_size=20),
    session=st.none() | st.text(min_size=1, max_size=20),
    message=st.none() | st.text(min_size=1, max_size=40),
)
def test_any_name_and_message_is_refused_or_kept(
    pit: Memory, agent: str, session: str | None, message: str | None
) -> None:
    """What git reads of the commit is what was passed."""
    try:
        pit.bind(agent=agent, session=session).append("k", 1, namespace="names", message=message)
    except InvalidValueError:
        return
    record = pit.log(limit=1)[0]
    assert (record.agent, record.session, record.message) == (agent, session, message or "append names k")
    shown = subprocess.run(
        ["git", "-C", pit.path, "log", "-1", "--format=%an%x00%s%x00%(trailers:key=Agent,valueonly)%x00%P"],
        capture_output=True,
        check=True,
        env={"GIT_CONFIG_GLOBAL": "/dev/null", "PATH": "/usr/bin:/bin"},
    ).stdout.decode()
    name, subject, trailer, parents = shown.rstrip("\n").split("\0")
    assert (name, trailer.rstrip("\n"), len(parents)) == (agent, agent, 40)
    assert message is None or subject.strip() == message.strip()


# --- what other tools leave ---


CORRUPT = [b"", b"{", b"NaN", b'{"a":1,"a":2}', b"[1e999]", b"\xff", b'"\\ud800"', b"[" * 201 + b"]" * 201, b"1 2"]


def test_a_corrupt_value_harms_its_own_key_alone(memory: Memory) -> None:
    """Reading it is an error that names it; all other keys, the log, its history and the next store go on."""
    memory.store("good", 1)
    for number, body in enumerate(CORRUPT):
        key = f"bad{number}"
        memory.store(key, "before")
        commit_files(memory.path, {f"default/{key}.json": body})
        with pytest.raises(CorruptValueError) as caught:
            memory.retrieve(key)
        assert (caught.value.key, caught.value.namespace) == (key, "default")
        assert caught.value.hint
        assert memory.retrieve("good") == 1
        assert key in memory.list()
        assert [one.operation for one in memory.history(key)] == ["modified", "created"]
        assert memory.log(limit=1)[0].changes[0].key == key
        if number % 2:
            assert memory.store(key, "after").version == 3
        else:
            assert memory.restore(key, version=1)[0].version == 3
        assert [one.version for one in memory.history(key)] == [3, 2, 1]
        assert memory.delete(key)[0].version == 4


def test_foreign_json_is_read_as_it_is(memory: Memory, git: Git) -> None:
    """Valid, if not canonical; storing the equal value makes it canonical."""
    commit_files(memory.path, {"default/k.json": b' {"b":1.50,\r\n"a":[]} ', "default/e.json": b'"\\u00e9"'})
    assert memory.retrieve("k") == {"b": 1.5, "a": []}
    assert memory.retrieve("e") == "é"
    assert memory.entry("k").agent == "hand"
    memory.store("k", {"a": [], "b": 1.5})
    assert git(memory.path, "show", "main:default/k.json") == '{\n  "a": [],\n  "b": 1.5\n}\n'


def test_a_past_policy_that_was_broken_does_not_hide_the_past(memory: Memory) -> None:
    """Somebody breaks gitmem.toml and mends it: log, history, blame and diff go on."""
    memory.store("k", 1)
    good = memory.snapshot
    commit_files(memory.path, {"gitmem.toml": b"format = ", "default/k.json": b"2\n"})
    commit_files(memory.path, {"gitmem.toml": b"format = 1\n", "default/k.json": b"3\n"})
    assert memory.retrieve("k") == 3
    assert [one.value for one in memory.history("k")] == [3, 2, 1]
    assert [len(one.changes) for one in memory.log()][:3] == [1, 1, 1]
    assert memory.blame("k")[""].version == 3
    assert memory.diff(good)[0].after == 3
    assert memory.restore("k", version=2)[0].value == 2


FOREIGN = {
    "README.md": b"# hello\n", "top.json": b"1\n", "default/notes.txt": b"x", "default/.hidden.json": b"1\n",
    "default/con.json": b"1\n", "default/%41.json": b"1\n", "default/a.json/b.json": b"1\n", "~gitmem/other": b"1",
    "default/e\u0301.md": b"x", "default/~9/misplaced.json": b"1\n", "gitmem.d/x": b"1", "default/x.json.txt": b"1",
}  # fmt: skip


def test_foreign_files_are_invisible_and_kept(memory: Memory, git: Git) -> None:
    """Across stores, a directory that becomes wide, and one that becomes empty."""
    commit_files(memory.path, FOREIGN)
    assert memory.list() == []
    with memory.transaction() as tx:
        for number in range(200):
            tx.store(f"k{number}", number)
    assert len(memory.list()) == 200
    memory.delete_matching("**")
    assert memory.list() == []
    kept = {path: git(memory.path, "show", f"main:{path}").encode() for path in FOREIGN}
    assert kept == FOREIGN


def test_a_wide_directory_that_was_half_narrowed_is_read_and_mended(memory: Memory) -> None:
    """Another tool moved some files out of their buckets: every key is there, can be stored, and can be deleted."""
    with memory.transaction() as tx:
        for number in range(200):
            tx.store(f"k{number}", number)
    head = memory.snapshot
    wide = {path: path.rsplit("/", 1)[1] for path in paths_of(memory.path) if "/~" in path}
    moved = sorted(wide)[:30]
    for path in moved:
        commit_files(memory.path, {path: None, f"default/{wide[path]}": b"%d\n" % int(wide[path][1:-5])})
    assert memory.diff(head) == []
    assert len(memory.list()) == 200
    first, second = (wide[path].removesuffix(".json") for path in moved[:2])
    assert memory.store(first, "new").version == 2
    memory.delete(second)
    assert memory.retrieve(first) == "new"
    assert memory.retrieve(second, None) is None
    assert len(memory.list()) == 199
    assert {path for path in paths_of(memory.path) if "/~" in path} == set(wide) - {moved[1]}


def test_a_link_at_a_keys_path_is_never_followed(memory: Memory, git: Git, tmp_path: Path) -> None:
    """A symbolic link is a foreign file: the key is absent, and cannot be written through it."""
    (tmp_path / "secret.json").write_text('"secret"')
    target = git(memory.path, "hash-object", "-w", "--stdin", given=str(tmp_path / "secret.json").encode()).strip()
    folder = git(memory.path, "mktree", given=f"120000 blob {target}\tk.json\n".encode()).strip()
    policy = git(memory.path, "rev-parse", "main:gitmem.toml").strip()
    listing = f"040000 tree {folder}\tdefault\n100644 blob {policy}\tgitmem.toml\n"
    tree = git(memory.path, "mktree", given=listing.encode()).strip()
    commit = git(memory.path, "commit-tree", tree, "-p", "main", "-m", "link").strip()
    git(memory.path, "update-ref", "refs/heads/main", commit)
    assert memory.retrieve("k", None) is None
    assert memory.list() == []
    with pytest.raises(GitmemError) as caught:
        memory.store("k", 1)
    assert caught.value.hint
    memory.store("other", 1)
    assert (tmp_path / "secret.json").read_text() == '"secret"'


# --- the command line ---


def typed(folder: Path, *arguments: str | bytes, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`gitmem …` as a shell would start it."""
    top = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(top)}
    command = [sys.executable, "-m", "gitmem", *arguments]
    return subprocess.run(command, input=given, capture_output=True, cwd=folder, env=environment)


REFUSED_ON_THE_COMMAND_LINE: list[tuple[list[str | bytes], bytes]] = [
    (["store", "k", '{"a":1,"a":2}'], b""),
    (["store", "k", "[NaN]"], b""),
    (["store", "k", "[1e999]"], b""),
    (["store", "k", "-"], b'{"a":1,"a":2}'),
    (["store", "k", "-"], b"\xff"),
    (["store", "k", "--string", "-"], b"\xff"),
    (["store", "k", '"\\ud800"'], b""),
    (["store", "a\x1b[31mb\nerror: x", "1"], b""),
    (["store", b"\xff", "1"], b""),
    (["store", "k", "1", "--message", "x\n\nAgent: root"], b""),
    (["--agent", "x\ny", "store", "k", "1"], b""),
    (["--agent", "x <root@x>", "store", "k", "1"], b""),
    (["--session", "\x1b[2J", "store", "k", "1"], b""),
    (["-n", "../x", "store", "k", "1"], b""),
    (["store", "k", "1", "--ttl", "nan"], b""),
]


def test_the_command_line_refuses_what_python_refuses(tmp_path: Path) -> None:
    """Exit code 7, one line of error without raw control characters, a hint; and nothing is written."""
    memory = Memory.open(tmp_path, durability="fast")
    for arguments, text in REFUSED_ON_THE_COMMAND_LINE:
        done = typed(tmp_path, *arguments, given=text)
        assert (done.returncode, done.stdout) == (7, b""), (arguments, done)
        error, *hints = done.stderr.decode().splitlines()
        assert error.startswith("error: ")
        assert hints
        assert all(hint.startswith("hint: ") for hint in hints)
        assert all(character.isprintable() for character in "".join([error, *hints])), done.stderr
    assert memory.namespaces() == []
    assert {path.name for path in tmp_path.iterdir()} == {".gitmem"}
