"""The command undo, and what stands beside it: diff of sessions, restore of a part. Outputs, exit codes, mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gitmem.cli import front


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def gitmem(*argv: str, code: int = 0) -> Result:
    """Run a command, which has to exit so; an error is told with its next step, and never as a traceback."""
    result = CliRunner().invoke(front, argv, catch_exceptions=False)
    assert result.exit_code == code, f"{argv}\n{result.output}"
    if code and not (code == 4 and ("--dry-run" in argv or argv[0] == "merge")):
        assert re.match(r"(created a memory[^\n]*\n)?error: [^\n]+\nhint: ", result.stderr), result.stderr
    return result


def told(*argv: str, code: int = 0) -> Any:
    return json.loads(gitmem(*argv, "--json", code=code).stdout)


@pytest.fixture
def run() -> None:
    """A session that changed one key and made another; somebody else changed the first key too."""
    gitmem("store", "k", '{"a": 1, "b": 1}')
    gitmem("store", "k", '{"a": 2, "b": 1}', "--session", "s1", "--agent", "ann")
    gitmem("store", "made", "1", "--session", "s1", "--agent", "ann")
    gitmem("patch", "k", '{"b": 2}', "--agent", "bob")


@pytest.mark.usefixtures("run")
def test_a_session_is_undone_and_told() -> None:
    """Member by member, and with the commit, which can be undone as well."""
    done = gitmem("undo", "s1")
    revision = told("log", "--limit", "1")[0]["revision"]
    assert done.stdout == (
        "~ default k\n    - /a: 2\n    + /a: 1\n- default made\n    - 1\n"
        f"undone s1: 2 keys changed, {revision[:12]}\n"
    )  # fmt: skip
    assert json.loads(gitmem("retrieve", "k").stdout) == {"a": 1, "b": 2}
    gitmem("undo", revision[:12])
    assert json.loads(gitmem("retrieve", "k").stdout) == {"a": 2, "b": 2}


@pytest.mark.usefixtures("run")
def test_a_dry_run_writes_nothing_and_says_so() -> None:
    """It tells what would change, as the undo itself does."""
    head = told("log", "--limit", "1")[0]["revision"]
    dry = gitmem("undo", "s1", "--dry-run")
    assert "~ default k\n    - /a: 2\n    + /a: 1\n" in dry.stdout
    assert dry.stderr == "hint: 2 keys would change; nothing was written: without --dry-run it is\n"
    assert told("undo", "s1", "--dry-run")["revision"] is None
    assert told("log", "--limit", "1")[0]["revision"] == head


@pytest.mark.usefixtures("run")
def test_a_conflict_is_told_before_anything_is_written() -> None:
    """Exit 4, for a dry run as well; then the caller chooses."""
    gitmem("patch", "k", '{"a": 9}', "--agent", "bob")
    refused = gitmem("undo", "s1", code=4)
    assert "k /a (in default): the run left 2, it is 9 by bob" in refused.stderr
    dry = gitmem("undo", "s1", "--dry-run", code=4)
    assert re.search(r"! default k /a\n +the run left +2\n +it is now +9  \(by bob, .*\)\n +it was +1\n", dry.stdout)
    assert "--on-conflict keep" in dry.stderr
    conflicts = told("undo", "s1", "--dry-run", code=4)["conflicts"]
    assert [(one["pointer"], one["base"], one["ours"], one["theirs"]) for one in conflicts] == [("/a", 2, 9, 1)]
    kept = gitmem("undo", "s1", "--on-conflict", "keep")
    assert kept.stderr == "1 place changed since: left as it is now\n"
    assert json.loads(gitmem("retrieve", "k").stdout) == {"a": 9, "b": 2}


def test_every_place_in_conflict_is_listed_when_it_is_refused() -> None:
    """For people and for programs, in the very answer that says that nothing was written."""
    keys = [f"k{number}" for number in range(5)]
    for agent, session in (("ann", "s1"), ("bob", "s2")):
        for key in keys:
            gitmem("store", key, agent, "--agent", agent, "--session", session)
    said = gitmem("undo", "s1", code=4)
    assert [one for one in said.stdout.splitlines() if one.startswith("! ")] == [f"! default {key}" for key in keys]
    listed = told("undo", "s1", code=4)
    assert listed["revision"] is None
    assert [(one["key"], one["ours"], one["agent"]) for one in listed["conflicts"]] == [
        (key, "bob", "bob") for key in keys
    ]


@pytest.mark.usefixtures("run")
def test_what_stood_before_can_win() -> None:
    """If the caller says so."""
    gitmem("patch", "k", '{"a": 9}', "--agent", "bob")
    done = gitmem("undo", "s1", "--on-conflict", "undo")
    assert done.stderr == "1 place changed since: overruled\n"
    assert json.loads(gitmem("retrieve", "k").stdout) == {"a": 1, "b": 2}


@pytest.mark.usefixtures("run")
def test_what_is_undone_already_is_said_with_how_to_bring_it_back() -> None:
    """Exit 0: it is as the caller wants it."""
    gitmem("undo", "s1")
    revision = told("log", "--limit", "1")[0]["revision"][:12]
    again = gitmem("undo", "s1")
    assert again.stderr == (
        f"hint: nothing was written: s1 is undone already, by {revision}; `gitmem undo {revision}` brings it back\n"
    )
    assert told("undo", "s1")["revision"] is None


@pytest.mark.usefixtures("run")
def test_a_part_that_the_run_never_made_is_not_called_undone() -> None:
    """The options that fit nothing are named, as they were typed."""
    gitmem("undo", "s1", "--keys", "made")
    for options in (["--keys", "zzz/**"], ["--namespace", "nope"], ["--keys", "**", "--namespace", "nope"]):
        told = gitmem("undo", "s1", *options).stderr
        assert "undone already" not in told
        assert "s1 made no version of a key that fits --" in told
        assert all(f"{name} " in told for name in options[::2])
    assert "s1 is undone already" in gitmem("undo", "s1", "--keys", "made").stderr


def test_where_nothing_but_conflicts_is_left_only_they_are_told() -> None:
    """Nothing is said to be as it was before, nor that the run made nothing."""
    gitmem("store", "k", "1"), gitmem("store", "k", "2", "--session", "s1"), gitmem("store", "k", "3")
    refused = gitmem("undo", "s1", "--dry-run", code=4).stderr
    assert (refused.count("1 place changed since"), "as it was before" in refused) == (1, False)
    for options in ([], ["--dry-run"]):
        kept = gitmem("undo", "s1", "--on-conflict", "keep", *options).stderr
        would, end = ("would be ", "") if options else ("", "; nothing was written")
        assert kept == f"1 place changed since: {would}left as it is now{end}\n"


def test_an_open_conflict_is_told_with_its_other_side_and_settled_by_undo() -> None:
    """Whoever wrote the other value loses nothing in silence."""
    gitmem("store", "k", '{"n": 1}'), gitmem("branch", "side"), gitmem("store", "k", '{"n": 2}', "--agent", "ann")
    gitmem("store", "k", '{"n": 3}', "--branch", "side", "--session", "s1"), gitmem("merge", "side", code=4)
    record = told("conflicts")[0]["id"]
    assert f"resolve {record} --take " in gitmem("undo", "s1", code=4).stderr
    dry = gitmem("undo", "s1", "--dry-run", code=4)
    assert f"! default k /n: conflict {record} of a merge is open\n    the run left 3\n" in dry.stdout
    assert re.search(r" the other +2  \(by ann, ", dry.stdout)
    assert f"resolve {record} --take " in dry.stderr
    gitmem("undo", "s1", "--on-conflict", "undo")
    assert (told("retrieve", "k"), told("conflicts")) == ({"n": 2}, [])


@pytest.mark.usefixtures("run")
def test_what_made_no_version_and_what_is_as_it_was_are_told_apart() -> None:
    """Neither is an error."""
    gitmem("store", "session/s2/phase", "x", "--session", "s2", "-n", "coordination")
    assert "s2 made no version of a key that could be taken back" in gitmem("undo", "s2").stderr
    gitmem("store", "k", '{"a": 1, "b": 2}'), gitmem("delete", "made")
    assert gitmem("undo", "s1", "--dry-run").stderr == "hint: every value is already as it was before\n"
    done = gitmem("undo", "s1")
    assert "undone s1: 0 keys changed" in done.stdout
    assert "every value was already as it was before" in done.stderr
    assert "is undone already" in gitmem("undo", "s1").stderr


@pytest.mark.usefixtures("run")
def test_a_part_a_commit_and_a_range_are_undone() -> None:
    """--keys and --namespace narrow it; A..B is everybody's."""
    assert [one["key"] for one in told("undo", "s1", "--keys", "m*", "--dry-run")["changes"]] == ["made"]
    assert told("undo", "s1", "-n", "elsewhere", "--dry-run")["changes"] == []
    assert [one["key"] for one in told("undo", "HEAD", "--dry-run")["changes"]] == ["k"]
    assert len(told("undo", "HEAD~3..", "--dry-run")["changes"]) == 2
    gitmem("undo", "s1", "--keys", "m*", "-m", "away with it")
    assert told("log", "--limit", "1")[0]["message"] == "away with it"


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["undo", "s1"], 3), (["undo", "..HEAD"], 3), (["undo"], 2), (["undo", "HEAD", "--on-conflict", "ask"], 2),
        (["undo", "HEAD", "--keys", "["], 7), (["undo", "HEAD", "-m", "a\nb"], 7), (["revert", "HEAD"], 2),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else str(one),
)  # fmt: skip
def test_mistakes_are_told_with_the_next_step(argv: list[str], code: int) -> None:
    """As everywhere."""
    gitmem("store", "k", "1")
    gitmem(*argv, code=code)


def test_where_there_is_no_memory_none_is_made() -> None:
    """There is nothing to undo."""
    gitmem("undo", "HEAD", code=1)
    assert list(Path.cwd().iterdir()) == []


def test_callers_text_obeys_no_terminal() -> None:
    """Keys and values are shown with escapes."""
    gitmem("store", "k", '"\\u001b[31m"', "--session", "s\u202e")
    gitmem("store", "k", "2")
    shown = gitmem("undo", "s\u202e", "--dry-run", code=4).stdout
    assert "\x1b" not in shown
    assert "\u202e" not in gitmem("undo", "s\u202e", "--on-conflict", "undo").output


def test_a_long_undo_is_cut_for_people_and_whole_for_programs() -> None:
    """A screen is enough; --json has all."""
    gitmem("init")
    for start in range(0, 40, 20):
        for number in range(start, start + 20):
            gitmem("store", f"k{number:02}", "1", "--session", "s1")
    assert len(told("undo", "s1", "--dry-run")["changes"]) == 40
    done = gitmem("undo", "s1").stdout
    assert done.count("- default k") == 30
    revision = told("log", "--limit", "1")[0]["revision"][:12]
    assert f"… and 10 more: `gitmem diff {revision}^ {revision}` shows all\nundone s1: 40 keys changed" in done
    assert len(told("diff", f"{revision}^", revision)) == 40


# --- what stands beside it


def test_two_sessions_are_compared_by_what_stood_after_each() -> None:
    """`gitmem diff A B [PATTERN]`, with revisions, tags and times too."""
    gitmem("store", "k", "1", "--session", "s1"), gitmem("store", "other", "1", "--session", "s1")
    gitmem("store", "k", "2", "--session", "s2"), gitmem("store", "k", "3"), gitmem("store", "late", "1")
    assert [(one["key"], one["before"], one["after"]) for one in told("diff", "s1", "s2")] == [("k", 1, 2)]
    assert told("diff", "s1", "s2", "other") == []
    assert [one["key"] for one in told("diff", "s1", "HEAD", "*l*")] == ["late"]
    assert [one["key"] for one in told("diff", "s2")] == ["k", "late"]
    assert told("diff", "s1", "2999-01-01") == told("diff", "s1", "HEAD")


def test_a_part_is_brought_back_as_it_was_at_a_revision() -> None:
    """`gitmem restore PATTERN --at REV`: others' work or not."""
    for value in ("1", "2"):
        for key in ("a/1", "a/2", "b/1"):
            gitmem("store", key, value, "--session", f"s{value}")
    gitmem("store", "a/3", "1")
    gitmem("restore", "a/*", "--at", "s1")
    assert {one["key"]: one["value"] for one in told("search", "**")} == {"a/1": 1, "a/2": 1, "b/1": 2}
