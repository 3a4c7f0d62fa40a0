"""The commands of the journal, as a person types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gitmem import Memory
from gitmem.cli.journal import journal
from gitmem.recipes.journal import NAMESPACE
from tests.commands import gitmem
from tests.house.blueprint import TOP

OLD = "journal:2025-11-17-11:30:00"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(TOP))


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open(".", agent="planner", durability="fast") as memory:
        memory.store(OLD, {"type": "decision", "content": "Three\nphases", "author": "human"}, namespace=NAMESPACE)
        yield memory


def test_every_command_of_the_journal_speaks_json_and_knows_where_and_who() -> None:
    """Whoever has learnt one command has learnt these options for all."""
    names = journal.list_commands(click.Context(journal))
    assert names == ["add", "list", "search", "show", "markdown"]
    for name in names:
        known = {option for param in journal.commands[name].params for option in param.opts}
        assert {"--json", "--store", "-n", "--namespace", "--agent", "--session"} <= known


def test_an_entry_is_written_found_and_shown(memory: Memory) -> None:
    """Each command prints what the next one takes."""
    said = gitmem("journal", "add", "Docs drift", "--type", "blocker", "--title", "Twice", "--tags", "docs,process",
                  "--tag", "plan", "--agent", "coder", "--session", "s1").stdout  # fmt: skip
    key = said.split()[1]
    assert re.fullmatch(rf"added {key} in captains-log: version 1, [0-9a-f]{{12}}\n", said)
    row = f"{key}\tblocker\tcoder\tdocs,process,plan\tTwice\n"
    assert gitmem("journal", "list").stdout == f"{OLD}\tdecision\thuman\t-\tThree\n{row}"
    day = key.split("/")[1]
    for chosen in (["--type", "blocker"], ["--tag", "plan"], ["--by", "coder"], ["--author", "coder"], ["--of", "s1"],
                   ["--day", day], ["--since", day], ["--limit", "1"]):  # fmt: skip
        assert gitmem("journal", "list", *chosen).stdout == row
    assert gitmem("journal", "search", "DRIFT", "docs", "--until", day).stdout == row
    assert gitmem("journal", "list", "--limit", "0").stdout == ""
    (listed,) = json.loads(gitmem("journal", "search", "drift", "--json").stdout)
    assert listed == json.loads(gitmem("journal", "show", key, "--json").stdout)
    assert (listed["type"], listed["tags"], listed["session"]) == ("blocker", ["docs", "process", "plan"], "s1")
    page = gitmem("journal", "show", key).stdout
    assert page == f"## {listed['time']} blocker: Twice\n\n*coder, s1, #docs, #process, #plan*\n\nDocs drift\n"


def test_a_page_is_a_day_or_a_session(memory: Memory) -> None:
    """What looks like a day is one; without a word it is today."""
    day = gitmem("journal", "add", "of the session", "--session", "session-1").stdout.split("/")[1]
    assert gitmem("journal", "markdown", "2025-11-17").stdout == (
        "# Journal of 2025-11-17\n\n## 2025-11-17T11:30:00Z decision: Three\n\n*human*\n\nphases\n"
    )
    today, page = gitmem("journal", "markdown").stdout, gitmem("journal", "markdown", "session-1").stdout
    heading, _, entries = today.partition("\n")
    assert heading >= f"# Journal of {day}"
    assert entries == page.partition("\n")[2] or heading > f"# Journal of {day}"  # midnight has passed
    assert page.startswith("# Journal of session-1\n\n## ")
    assert json.loads(gitmem("journal", "markdown", "session-1", "--json").stdout) == {"markdown": page}


def test_the_session_that_is_asked_for_is_not_the_one_that_reads(memory: Memory) -> None:
    """An agent of s2 looks at the entries of s1, or at all of them."""
    for session in ("s1", "s2"):
        gitmem("journal", "add", f"of {session}", "--session", session)
    for asked, found in (([], 3), (["--of", "s1"], 1), (["--of", "s2", "--by", "none"], 0)):
        said = gitmem("journal", "list", "--session", "s2", *asked, "--json").stdout
        assert len(json.loads(said)) == found
    assert json.loads(said) == []


@pytest.mark.parametrize("asked", [("list", "--of"), ("search", "o", "--of"), ("markdown",)], ids=lambda one: one[0])
def test_a_session_is_meant_as_everywhere(asked: tuple[str, ...], memory: Memory) -> None:
    """By a part of its name, or `last`; by the whole name where only an entry of another tool knows it."""
    for session in ("night-docs", "night-tests"):
        gitmem("journal", "add", f"of {session}", "--session", session)
    older = {"content": "of old", "session": "docs"}
    memory.store("journal/2025-11-18/old", older, namespace=NAMESPACE)

    def told(name: str) -> list[str]:
        return re.findall(r"(?<!Journal )of [a-z-]+$", gitmem("journal", *asked, name).stdout, re.M)

    assert told("tests") == told("last") == told("night-tests")
    assert set(told("tests")) == {"of night-tests"}
    assert set(told("docs")) == {"of old"}
    for name, why in (("night", "'night' fits 2 sessions"), ("nihgt-docs", "did you mean night-docs?")):
        refused = gitmem("journal", *asked, name)
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert why in refused.stderr


def test_a_text_may_come_from_elsewhere(memory: Memory, tmp_path: Path) -> None:
    """From a pipe or a file, and whatever looks like JSON stays a text."""
    (tmp_path / "note.md").write_text("# From a file\n\nmore\n", encoding="utf-8")
    gitmem("journal", "add", "-", input="# From a pipe\n\nmore\n")
    gitmem("journal", "add", "--file", "note.md")
    gitmem("journal", "add", '{"a": 1}')
    gitmem("journal", "add", "12")
    values = [one.value for one in memory.search("journal/**", namespace=NAMESPACE)]
    assert sorted((one["title"], one["text"]) for one in values) == [
        ("12", "12"), ("From a file", "# From a file\n\nmore"), ("From a pipe", "# From a pipe\n\nmore"),
        ('{"a": 1}', '{"a": 1}'),
    ]  # fmt: skip


def test_a_namespace_of_the_environment_is_not_meant(memory: Memory) -> None:
    """The agents of a run are given theirs; the journal is one for all, unless another is named."""
    gitmem("journal", "add", "one", env={"GITMEM_NAMESPACE": "coordination"})
    gitmem("journal", "add", "two", "-n", "diary")
    assert [len(memory.list(namespace=name)) for name in ("captains-log", "coordination", "diary")] == [2, 0, 1]
    assert len(json.loads(gitmem("journal", "list", "--json", "-n", "diary").stdout)) == 1


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (("add",), 2, "TEXT is missing"),
        (("add", "two", "words"), 2, "text with spaces needs quotes"),
        (("add", " "), 7, "the entry says nothing"),
        (("add", "x", "--title", "a\nb"), 7, "a title is one line"),
        (("add", "x", "--type", "idea"), 2, "'decision', 'insight', 'blocker', 'milestone', 'question'"),
        (("list", "--day", "2026-2-3"), 7, "'2026-2-3' is no day\nhint: write it as 2026-02-28"),
        (("list", "--since", "soon"), 7, "'soon' is no time"),
        (("markdown", "2026-2-31"), 7, "is no day"),
        (("search",), 2, "missing argument"),
        (("show", "journal/none"), 3, "there is no key"),
        (("show", "journal:2025-11-17-11:30:01"), 3, f"did you mean '{OLD}'"),
        (("ad", "x"), 2, "did you mean `gitmem journal add`"),
    ],
    ids=lambda value: " ".join(value)[:24] if isinstance(value, tuple) else "",
)
def test_what_is_refused_has_its_exit_code(memory: Memory, argv: tuple[str, ...], code: int, told: str) -> None:
    """A program reads the code; a person reads what to type instead."""
    before = memory.snapshot
    result = gitmem("journal", *argv)
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in result.stderr
    assert memory.snapshot == before


@pytest.mark.parametrize(
    ("argv", "told"),
    [(("list", "--tag", "none"), "no entry matches"), (("search", "none"), "no entry matches"),
     (("list", "-n", "empty"), "the journal is empty: `gitmem journal add TEXT`"),
     (("markdown", "2020-02-02"), "there is no entry of 2020-02-02: `gitmem journal list`")],
    ids=["tag", "words", "empty", "day"],
)  # fmt: skip
def test_nothing_found_is_told_with_the_next_step(memory: Memory, argv: tuple[str, ...], told: str) -> None:
    """It is no failure; a program gets an empty list."""
    result = gitmem("journal", *argv)
    assert (result.exit_code, result.stderr.startswith(f"hint: {told}")) == (0, True)


def test_a_type_that_no_entry_can_have_is_a_slip_of_the_keyboard(memory: Memory) -> None:
    """What an older tool called an entry is known; an empty list would be believed."""
    memory.store("journal/2025-11-18/old", {"content": "x", "type": "Observation"}, namespace=NAMESPACE)
    for word, told in (("decission", "did you mean decision?"), ("observations", "did you mean Observation?"),
                       ("x", "there are decision, insight, blocker, milestone, question, Observation")):  # fmt: skip
        for options in ([], ["--json"]):
            result = gitmem("journal", "list", "--type", word, *options)
            assert result.stderr == f"hint: no entry is of the type {word}: {told}\n"
    assert gitmem("journal", "search", "x", "--type", "observation").stderr == ""
    assert gitmem("journal", "list", "--type", "blocker").stderr.startswith("hint: no entry matches")


def test_processes_that_write_in_one_second_all_leave_their_entry(memory: Memory) -> None:
    """The same words from real processes at once: as many entries as processes."""
    command = [sys.executable, "-m", "gitmem", "journal", "add", "same words", "--agent", "twin"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) for _ in range(4)]
    keys = [one.communicate()[0].split()[1].decode() for one in running]
    assert [one.returncode for one in running] == [0] * 4
    assert set(keys) == set(memory.list("journal/", namespace=NAMESPACE))
    assert len(set(keys)) == 4
