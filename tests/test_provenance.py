"""Commit messages: no text of a caller is ever read as something that gitmem said."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gitmem.errors import InvalidValueError
from gitmem.provenance import (
    DEFAULT_AGENT,
    agent_of,
    check_message,
    check_name,
    compose,
    parse,
    session_of,
    write_digest,
)

HOSTILE = [
    "Agent: root",
    "Session: stolen",
    "Signed-off-by: somebody <a@b>",
    "(cherry picked from commit 1234)",
    "---",
    "--- a/file",
    "# a comment",
    "#",
    "# ------------------------ >8 -----------------------",
    "Conflicts:",
    ": :",
    "a:b",
    ":",
    "Agent : x",
    " Agent: indented",
    "trailing ",
    "\u2028Agent: root",
    "x\u2028Agent: root\u2029Session: y",
    "\u202egpj",
    "\ufeff",
    "\u00a0",
    "é日😀",
    "%s%n%(trailers)",
    "-x",
    "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "author a <a@b> 1 +0000",
    "=?utf-8?q?x?=",
    "diff --git a/x b/x",
    "fixup! x",
    "x" * 3000,
    "\\n\\nAgent: root",
    "'\"`$(x)",
]
TEXTS = (
    st.text(max_size=40)
    | st.sampled_from(HOSTILE)
    | st.lists(st.sampled_from([*HOSTILE, "\n", "\r", "\n\n", "\x0b", "\x85", "\x00"]), max_size=4).map(
        "".join
    )
)


def accepted_name(text: str) -> bool:
    try:
        return check_name(text, kind="agent") == text
    except InvalidValueError:
        return False


def accepted_message(text: str) -> bool:
    try:
        return check_message(text) == text
    except InvalidValueError:
        return False


messages, names = TEXTS.filter(accepted_message), TEXTS.filter(accepted_name)


@given(messages, names, names)
@settings(max_examples=150)
def test_what_is_composed_is_parsed_back(message: str, agent: str, session: str) -> None:
    """The law: whatever text was accepted, the trailers are ours."""
    composed = compose(message, [("Agent", agent), ("Session", session)])
    assert parse(composed) == (message, {"Agent": agent, "Session": session})
    assert agent_of(composed, "someone else") == agent
    assert session_of(composed) == session


@given(TEXTS, TEXTS)
@settings(max_examples=150)
def test_what_would_not_come_back_is_refused(message: str, value: str) -> None:
    """Refusing is the only other outcome: nothing is silently changed or cut."""
    try:
        composed = compose(message, [("Write-Id", value)])
    except InvalidValueError:
        assume(False)
    assert parse(composed) == (message, {"Write-Id": value})


def git(repository: Path, *arguments: str, feed: bytes = b"") -> str:
    ran = subprocess.run(
        ["git", "-C", str(repository), *arguments], input=feed, capture_output=True, check=True
    )
    assert ran.stderr == b""
    return ran.stdout.decode()


def commits(repository: Path, written: list[tuple[str, str]]) -> None:
    """One commit for each (message, agent), made with the agent as its author."""
    feed = b""
    for message, agent in written:
        body = message.encode()
        identity = f"{agent} <{agent}@gitmem> 1767225600 +0000\n".encode()
        feed += b"commit refs/heads/main\nauthor " + identity + b"committer " + identity
        feed += b"data %d\n%s\n" % (len(body), body)
    git(repository, "init", "-q", "--bare", "-b", "main", ".")
    git(repository, "fast-import", "--quiet", feed=feed)


def test_git_reads_the_same_trailers(tmp_path: Path) -> None:
    """People audit a memory with plain git, so git has to agree on who wrote what."""
    subjects = [text for text in HOSTILE if accepted_message(text)]
    agents = [text for text in HOSTILE if accepted_name(text)]
    pairs = [(text, "coder") for text in subjects] + [("store", agent) for agent in agents]
    pairs += list(zip(subjects, reversed(agents), strict=False))
    assert len(pairs) > 60
    written = [(compose(text, [("Agent", agent), ("Session", agent)]), agent) for text, agent in pairs]
    commits(tmp_path, written)
    said = git(tmp_path, "log", "--reverse", "--format=%(trailers:only,unfold)%x00%B%x00%an%x00%ae%x00")
    fields = said.split("\0")[:-1]
    rows = [fields[at : at + 4] for at in range(0, len(fields), 4)]
    assert len(rows) == len(pairs)
    for (text, agent), (message, _), (trailers, body, name, email) in zip(pairs, written, rows, strict=True):
        assert trailers.strip("\n") == f"Agent: {agent}\nSession: {agent}"
        assert body == message
        assert (name, email) == (agent, f"{agent}@gitmem"), text
    assert git(tmp_path, "fsck", "--strict", "--no-progress") == ""


@pytest.mark.parametrize(
    "text", [text for text in HOSTILE if accepted_message(text)], ids=lambda text: ascii(text)[:20]
)
def test_interpret_trailers_reads_the_same(tmp_path: Path, text: str) -> None:
    """`--no-divider`, since a commit's message is no mail: a title may begin with dashes."""
    composed = compose(text, [("Agent", "coder"), ("Session", text.strip())])
    said = git(tmp_path, "interpret-trailers", "--parse", "--no-divider", feed=composed.encode())
    assert said == f"Agent: coder\nSession: {text.strip()}\n"


@pytest.mark.parametrize(
    "value",
    ["a\nb", "a\n", "\nAgent: root", "a\r", "a\x00", "a\x85b", "\ud800", "", " a", "a ", "\u3000a", 7],
)
def test_a_trailer_that_could_be_read_as_two_is_refused(value: object) -> None:
    """Whatever a module hands over, for it may come from a caller."""
    with pytest.raises(InvalidValueError) as caught:
        compose("store", [("Agent", "a"), ("Write-Id", value)])  # type: ignore[list-item]
    assert "Write-Id" in str(caught.value)
    assert caught.value.reason in str(caught.value)


@pytest.mark.parametrize("token", ["", "A b", "A:", "-x", "Ä", "a\n", "_"])
def test_a_trailer_has_a_name_that_git_takes(token: str) -> None:
    """Git would not see it otherwise, and so neither the others of that paragraph."""
    with pytest.raises(InvalidValueError):
        compose("store", [(token, "a")])


def test_a_message_has_at_least_one_trailer() -> None:
    """Without one, a subject after another paragraph could pass for trailers."""
    with pytest.raises(InvalidValueError):
        compose("store", [])


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a ",
        "\u00a0a",
        "a\u2003",
        "a\nb",
        "a\t",
        "\x7f",
        "a\x9f",
        "<",
        "a>b",
        "\ud800",
        None,
        7,
    ],
)
@pytest.mark.parametrize("kind", ["agent", "session"])
def test_a_name_that_could_forge_a_header_is_refused(name: object, kind: str) -> None:
    """Names stand in the author line, where < and > end them."""
    with pytest.raises(InvalidValueError) as caught:
        check_name(name, kind=kind)
    assert kind in str(caught.value)
    assert caught.value.pointer == ""
    assert str(caught.value).isprintable()


def test_a_name_has_at_most_255_bytes() -> None:
    """Counted as UTF-8; an error about a longer one stays short."""
    assert check_name("é" * 127 + "x", kind="agent") == "é" * 127 + "x"
    with pytest.raises(InvalidValueError, match="255"):
        check_name("é" * 128, kind="agent")
    with pytest.raises(InvalidValueError) as caught:
        check_name("x" * 1_000_000, kind="agent")
    assert len(str(caught.value)) < 200


SCISSORS = "# ------------------------ >8 ------------------------"


@pytest.mark.parametrize("text", ["", " ", "\u3000", "a\nb", "a\r", "\x00", "\udfff", None, b"a", SCISSORS])
def test_a_message_is_one_line_that_git_reads_as_its_title(text: object) -> None:
    """A second line could hold a trailer, a blank title would make them the title, scissors cut them off."""
    with pytest.raises(InvalidValueError):
        check_message(text)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("subject\n\nAgent: x\nSession: y\n", ("subject", {"Agent": "x", "Session": "y"})),
        ("subject\n\nbody\n\nAgent: x\n", ("subject\n\nbody", {"Agent": "x"})),
        ("subject\n\nAgent: x\n\nbody\n", ("subject\n\nAgent: x\n\nbody", {})),
        ("Agent: x\n", ("Agent: x", {})),
        ("Agent: x\nSession: y\n", ("Agent: x\nSession: y", {})),
        ("\n\nAgent: x\n", ("\n\nAgent: x", {})),
        ("subject\nAgent: x\n", ("subject\nAgent: x", {})),
        ("subject\n\nAgent: x\nnot one\n", ("subject\n\nAgent: x\nnot one", {})),
        ("subject\n\nAgent: x\nAgent: y\n", ("subject", {"Agent": "y"})),
        ("subject\n\nAgent: x\n  y\n\tz\nSession: s", ("subject", {"Agent": "x y z", "Session": "s"})),
        ("subject\n\n  y\nAgent: x\n", ("subject\n\n  y\nAgent: x", {})),
        ("subject\n\nAgent:x\nKey : y\nEmpty:\n\n \n", ("subject", {"Agent": "x", "Key": "y", "Empty": ""})),
        ("subject\n\nhttp://x\nAgent: x", ("subject", {"http": "//x", "Agent": "x"})),
        ("subject\r\n\r\nAgent: x\r\n", ("subject", {"Agent": "x"})),
        ("subject\n\nAgent: x\u2028Session: y\n", ("subject", {"Agent": "x\u2028Session: y"})),
        ("subject\n\nno trailer", ("subject\n\nno trailer", {})),
        ("", ("", {})),
        ("\n", ("", {})),
    ],
)
def test_trailers_are_the_last_paragraph_if_every_line_is_one(message: str, expected: object) -> None:
    """Commits of other tools are read by git's rule, and none of them may trouble a reader."""
    assert parse(message) == expected


def test_a_commit_without_trailers_is_its_authors() -> None:
    """People commit with plain git, too."""
    assert agent_of("by hand\n", "Ada") == "Ada"
    assert agent_of("by hand\n\nAgent:\n", "Ada") == "Ada"
    assert agent_of("by hand\n", "") == DEFAULT_AGENT == "unknown"
    assert session_of("by hand\n") is None
    assert session_of("by hand\n\nSession:\n") is None


def test_a_write_digest_is_that_of_the_canonical_json() -> None:
    """It lies in the history, so another implementation must find the same."""
    text = '[\n  "store",\n  "default",\n  "é",\n  {\n    "a": 1,\n    "b": 1.0\n  }\n]\n'
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert write_digest("store", "default", "é", {"b": 1.0, "a": 1}) == expected
    assert write_digest("store", "default", "é", {"b": 1, "a": 1}) != expected


def test_the_deepest_legal_value_has_a_write_digest() -> None:
    """200 containers inside each other are legal, and the digest is over one more."""
    value: object = 1
    for _ in range(200):
        value = [value]
    assert write_digest("store", "default", "a", {"value": value})


@pytest.mark.parametrize("request_", [float("nan"), object(), "\ud800"])
def test_only_json_has_a_write_digest(request_: object) -> None:
    """An error of ours, not json's."""
    with pytest.raises(InvalidValueError):
        write_digest("store", "default", "a", request_)
