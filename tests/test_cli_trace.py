"""`gitmem trace`, and what the commands note: under whose name, and at what price."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory
from tests.commands import gitmem
from tests.house.test_startup import HEAVY, loaded_by

READER = ("--agent", "reader", "--session", "s-1")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def memory() -> Any:
    """Where reads are noted, `plan` has a good version and a bad one."""
    with Memory.open(durability="fast", agent="writer") as opened:
        opened.settings.set("audit_reads", True)
        opened.store("plan", "good")
        opened.store("plan", "bad")
        yield opened


def told(memory: Memory) -> list[tuple[str, str, str, int | None]]:
    return [(one.agent, one.session, one.key, one.version) for one in memory.reads()]


# --- what the commands note


@pytest.mark.parametrize(
    "argv",
    [
        ("retrieve", "plan"), ("retrieve", "plan", "--entry"), ("retrieve", "plan", "--at", "HEAD"), ("search", "pl*"),
        ("find", "bad"), ("wait", "plan"), ("watch", "plan", "--since", "HEAD~1", "--once"),
    ],
)  # fmt: skip
def test_what_a_command_prints_under_a_session_is_noted(memory: Memory, argv: tuple[str, ...]) -> None:
    """An agent that lives in a shell is audited like one in Python."""
    assert gitmem(*argv, *READER).exit_code == 0
    assert told(memory) == [("reader", "s-1", "plan", 2)]


@pytest.mark.parametrize("argv", [("history", "plan"), ("log",), ("blame", "plan"), ("list",), ("trace", "plan@1")])
def test_who_looks_at_the_account_is_not_noted(memory: Memory, argv: tuple[str, ...]) -> None:
    """An auditor is no reader."""
    assert gitmem(*argv, *READER).exit_code == 0
    assert told(memory) == []


def test_a_reader_without_a_session_is_not_noted(memory: Memory) -> None:
    """Reads are those of a run; a person who looks something up is in none."""
    assert gitmem("retrieve", "plan", "--agent", "reader").stdout == "bad\n"
    assert told(memory) == []


def test_the_session_may_be_the_active_one_and_the_agent_gits_user(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a write would be signed: whoever names nobody is not nobody."""
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    memory.activate("s-active")
    gitmem("retrieve", "plan")
    gitmem("retrieve", "plan", "--entry")
    monkeypatch.setenv("GITMEM_SESSION", "s-named")
    monkeypatch.setenv("GITMEM_AGENT", "bob")
    gitmem("retrieve", "plan")
    assert told(memory) == [
        ("Ada", "s-active", "plan", 2), ("Ada", "s-active", "plan", 2), ("bob", "s-named", "plan", 2)
    ]  # fmt: skip


def test_a_record_that_cannot_be_written_is_a_warning(memory: Memory) -> None:
    """The value is printed, and the exit code is that of a success: nothing is missing from the answer."""
    (memory.path / "local" / "reads.jsonl").mkdir()
    done = gitmem("retrieve", "plan", *READER)
    assert (done.exit_code, done.stdout) == (0, "bad\n")
    assert done.stderr.startswith("warning: what is read is not being noted: ")


def test_a_noted_retrieve_loads_nothing_heavy(memory: Memory) -> None:
    """Only gitmem.toml, which says more now than its first line, takes a parser."""
    loaded = loaded_by("-m", "gitmem", "--store", str(memory.path), *READER, "retrieve", "plan")
    assert loaded & HEAVY <= {"tomllib"}
    assert told(memory) == [("reader", "s-1", "plan", 2)]


def test_find_notes_what_it_shows(memory: Memory) -> None:
    """It looks for one more, to say that there are more; nobody was told that one."""
    for number in range(3):
        memory.store(f"note/{number}", "refresh tokens")
    hits = json.loads(gitmem("find", "refresh", "--limit", "2", "--json", *READER).stdout)
    assert [key for _, _, key, _ in told(memory)] == [hit["key"] for hit in hits]
    assert len(hits) == 2


# --- what it prints


def test_a_version_is_traced_to_its_readers_and_what_they_wrote(memory: Memory) -> None:
    """The question after a bad value: who believed it, and what came of that."""
    gitmem("retrieve", "plan", *READER)
    gitmem("store", "code", '{"from": "the plan"}', *READER)
    gitmem("retrieve", "plan", "--agent", "idle", "--session", "s-1")
    gitmem("retrieve", "plan", "--at", "HEAD~2", "--agent", "lucky", "--session", "s-1")
    shown = gitmem("trace", "plan@2").stdout.splitlines()
    wanted = [
        r"plan version 2 \(\w{12}\): modified at \S+ by writer",
        r"reader in s-1 read it at \S+, and wrote 1 commit since",
        r"    \w{12} \S+ reader in s-1  store default code",
        r"        \+ default code",
        r"idle in s-1 read it at \S+, and has written nothing since",
    ]
    assert re.fullmatch("\n".join(wanted), "\n".join(shown))
    found = json.loads(gitmem("trace", "plan@HEAD", "--json").stdout)
    assert found["version"]["value"] == "bad"
    assert [(one["agent"], len(one["commits"])) for one in found["readers"]] == [("reader", 1), ("idle", 0)]
    assert [one["agent"] for one in json.loads(gitmem("trace", "plan@1", "--json").stdout)["readers"]] == ["lucky"]


def test_readers_can_be_chosen_by_session_and_agent(memory: Memory) -> None:
    """And --of is not the session under which it is asked."""
    for agent, session in (("a", "s-1"), ("b", "s-1"), ("a", "s-2")):
        gitmem("retrieve", "plan", "--agent", agent, "--session", session)
    asked = gitmem("trace", "plan@2", "--of", "s-1", "--by", "a", "--json", "--session", "s-9")
    assert [(one["agent"], one["session"]) for one in json.loads(asked.stdout)["readers"]] == [("a", "s-1")]
    assert len(gitmem("trace", "--of", "s-1").stdout.splitlines()) == 2
    assert len(gitmem("trace", "--by", "a", "--session", "s-9").stdout.splitlines()) == 2


def test_the_session_may_be_one_that_only_read(memory: Memory) -> None:
    """No commit names it. One that wrote is found as everywhere; one that nobody knows is no empty answer."""
    gitmem("retrieve", "plan", "--agent", "a", "--session", "docs")
    gitmem("retrieve", "plan", "--agent", "b", "--session", "night-docs")
    gitmem("store", "k", "1", "--session", "night-docs")
    for name, agent in (("docs", "a"), ("night", "b"), ("last", "b")):
        assert gitmem("trace", "--of", name).stdout.split("\t")[1] == agent
    for what in ([], ["plan"], ["plan@2"]):
        refused = gitmem("trace", *what, "--of", "dosc")
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert refused.stderr.startswith("error: no commit names a session 'dosc'\nhint: ")


def test_all_receipts_are_lines_for_people_and_for_programs(memory: Memory) -> None:
    """An export is one command and a file."""
    memory.store("other", 1, namespace="team")
    gitmem("search", "**", "--all-namespaces", *READER)
    rows = [line.split("\t") for line in gitmem("trace").stdout.splitlines()]
    assert [row[1:6] for row in rows] == [
        ["reader", "s-1", "default", "plan", "2"], ["reader", "s-1", "team", "other", "1"]
    ]  # fmt: skip
    lines = [json.loads(line) for line in gitmem("trace", "--json").stdout.splitlines()]
    assert [one["revision"][:12] for one in lines] == [row[6] for row in rows]
    assert [set(one) for one in lines] == [
        {"namespace", "key", "version", "revision", "agent", "session", "time", "snapshot"}
    ] * 2
    assert [row[4] for row in (line.split("\t") for line in gitmem("trace", "-n", "team").stdout.splitlines())] == [
        "other"
    ]


def test_a_key_alone_lists_its_readers_of_any_version(memory: Memory) -> None:
    """Also one with an @ of its own, if no version of a shorter key is meant."""
    memory.store("ada@example", 1)
    gitmem("retrieve", "ada@example", *READER)
    gitmem("retrieve", "plan", *READER)
    assert gitmem("trace", "plan").stdout.split("\t")[4:6] == ["plan", "2"]
    assert gitmem("trace", "ada@example").stdout.split("\t")[4:6] == ["ada@example", "1"]
    assert json.loads(gitmem("trace", "ada@example@1", "--json").stdout)["version"]["key"] == "ada@example"


@pytest.mark.parametrize(
    ("what", "code"), [("plan@9", 3), ("plan@nope", 3), ("nope@1", 3), ("plan@", 3), ("@1", 7), ("/@1", 7)]
)
def test_what_there_is_not_is_no_empty_answer(memory: Memory, what: str, code: int) -> None:
    """That nobody read it would be a lie."""
    refused = gitmem("trace", what)
    assert refused.exit_code == code
    assert re.match("error: .*\nhint: ", refused.stderr)


def test_who_finds_nothing_is_told_why(memory: Memory) -> None:
    """Reads that nobody asked to note were not noted: the silence says nothing about the readers."""
    assert "nothing such was read on this machine" in gitmem("trace", "plan@2").stderr
    memory.settings.unset("audit_reads")
    for argv in (("trace",), ("trace", "plan"), ("trace", "plan@2")):
        done = gitmem(*argv)
        assert done.exit_code == 0
        assert done.stderr.startswith("hint: reads are not being noted: `gitmem config audit_reads true`")
