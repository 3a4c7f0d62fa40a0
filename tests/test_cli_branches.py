"""The commands branch, merge, conflicts and resolve, and store --base: outputs, exit codes, mistakes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gitmem import Memory
from gitmem.cli import front
from tests.foreign import commit_files, run_git

pytestmark = pytest.mark.usefixtures("empty_folder")

BARE = ".gitmem/.git"


def gitmem(*argv: str, code: int = 0, **options: Any) -> Result:
    """Run a command, which has to exit so; an error is told with its next step, and never as a traceback."""
    result = CliRunner().invoke(front, argv, catch_exceptions=False, **options)
    assert result.exit_code == code, f"{argv}\n{result.output}"
    if code and code != 4:
        assert re.match(r"(created a memory[^\n]*\n)?error: [^\n]+\nhint: ", result.stderr), result.stderr
    return result


def told(*argv: str, code: int = 0) -> Any:
    return json.loads(gitmem(*argv, "--json", code=code).stdout)


def parted() -> None:
    """A memory whose branches `main` and `side` disagree about one member."""
    gitmem("store", "k", '{"a": 1, "b": 1}', "--agent", "main")
    gitmem("branch", "side")
    gitmem("store", "k", '{"a": 2, "b": 1}', "--agent", "ann")
    with Memory.open(branch="side", agent="bob") as side:
        later = side.vault.clock().timestamp() + 3600
        body = b'{"a": 3, "b": 2}\n'
    commit_files(BARE, {"default/k.json": body, "default/new.json": b"1\n"}, branch="side", time=int(later))


# --- branch


def test_branches_are_listed_made_and_removed() -> None:
    """The one in use is marked; one that is made may begin in the past."""
    first = told("store", "k", "1")["revision"]
    last = told("store", "k", "2")["revision"]
    assert gitmem("branch", "side").stdout == f"branch side is at {last[:12]}\n"
    assert told("branch", "old", first[:10]) == {"name": "old", "revision": first}
    assert told("branch") == [
        {"name": "main", "revision": last}, {"name": "old", "revision": first}, {"name": "side", "revision": last}
    ]  # fmt: skip
    assert gitmem("branch").stdout == f"*\tmain\t{last[:12]}\n \told\t{first[:12]}\n \tside\t{last[:12]}\n"
    assert gitmem("branch", "--branch", "old").stdout.splitlines()[1] == f"*\told\t{first[:12]}"
    assert gitmem("--branch", "old", "branch", "older").stdout == f"branch older is at {first[:12]}\n"
    assert gitmem("branch", "--delete", "old").stdout == f"removed branch old, which was at {first[:12]}\n"
    assert told("branch", "side", "--delete") == {"name": "side", "revision": last}
    assert [one["name"] for one in told("branch")] == ["main", "older"]


def test_every_command_works_on_another_branch() -> None:
    """--branch stands before or after the command's name; each branch has its own values."""
    gitmem("store", "k", "1")
    gitmem("branch", "side")
    gitmem("--branch", "side", "store", "k", "2")
    assert gitmem("retrieve", "k").stdout == "1\n"
    assert gitmem("retrieve", "k", "--branch", "side").stdout == "2\n"
    assert [one["value"] for one in told("history", "k", "--branch", "side")] == [2, 1]
    assert gitmem("retrieve", "k", "--at", "side").stdout == "2\n"
    resolve = ("resolve", "k", "--take", "base")
    for argv in (("retrieve", "k"), ("store", "k", "1"), ("merge", "main"), ("conflicts",), resolve):
        assert "there is no branch 'nope'" in gitmem(*argv, "--branch", "nope", code=3).stderr


@pytest.mark.parametrize(("argv", "code", "said"), [
    (("branch", "a..b"), 3, "cannot be the name of a branch"),
    (("branch", "HEAD"), 3, "cannot be the name of a branch"),
    (("branch", "main/x"), 4, "beside branch main"),
    (("branch", "main", "main~1"), 4, "there is a branch main already"),
    (("branch", "x", "no-such"), 3, "there is no revision"),
    (("branch", "--delete"), 2, "--delete takes the name of one branch"),
    (("branch", "--delete", "main"), 4, "not removed"),
    (("branch", "--delete", "x"), 3, "there is no branch"),
    (("branch", "--delete", "main", "main"), 2, "--delete takes"),
    (("merge",), 2, "BRANCH"),
    (("merge", "no-such"), 3, "there is no revision"),
    (("merge", "main", "main"), 2, "extra argument"),
    (("resolve", "k"), 2, "--take"),
    (("resolve", "k", "--take", "base"), 3, "there is no open conflict 'k'"),
    (("resolve", "0123456789abcdef", "--take", "winner"), 3, "there is no open conflict"),
    (("resolve", "k", "--take", '{"a'), 7, "not a legal value"),
    (("store", "k", "2", "--base"), 2, "requires an argument"),
    (("store", "k", "2", "--base", "9"), 3, "version 9 of k"),
    (("store", "k", "2", "--base", "no-such"), 3, "there is no revision"),
    (("store", "k", "2", "--base", ""), 3, "there is no revision"),
])  # fmt: skip
def test_mistakes_are_told_with_the_next_step(argv: tuple[str, ...], code: int, said: str) -> None:
    """And change nothing."""
    gitmem("store", "k", "0")
    gitmem("store", "k", "1")
    before = run_git(BARE, "for-each-ref")
    result = gitmem(*argv, code=code) if code != 4 else CliRunner().invoke(front, argv)
    assert result.exit_code == code
    assert said in result.stderr
    assert "hint: " in result.stderr
    assert run_git(BARE, "for-each-ref") == before


@pytest.mark.parametrize("argv", [("branch",), ("merge", "x"), ("conflicts",), ("resolve", "k", "--take", "base")])
def test_without_a_memory_there_is_nothing_to_merge(argv: tuple[str, ...], tmp_path: Path) -> None:
    """None of these makes one."""
    assert "there is no memory" in gitmem(*argv, code=1).stderr
    assert not (tmp_path / ".gitmem").exists()


# --- merge


def test_a_merge_tells_each_key_and_asks_a_person_for_the_rest() -> None:
    """Exit code 4 when something was recorded, with the next command to type; a dry run says the same."""
    parted()
    before = run_git(BARE, "for-each-ref")
    dry = gitmem("merge", "side", "--dry-run", code=4)
    shown = r"conflict\tdefault\tk\nnew\tdefault\tnew\nwould be merged to \w{12}: 1 in conflict, 1 new\n"
    assert re.fullmatch(shown, dry.stdout)
    assert dry.stderr == ""
    assert run_git(BARE, "for-each-ref") == before
    dry_told = told("merge", "side", "--dry-run", code=4)
    done = gitmem("merge", "side", code=4)
    assert done.stdout == dry.stdout.replace("would be ", "")
    assert done.stderr == "hint: 1 conflict left to a person: `gitmem conflicts`, then `gitmem resolve`\n"
    assert dry_told["revision"] == run_git(BARE, "rev-parse", "main").strip()
    assert gitmem("merge", "side").stdout == "already up to date\n"
    assert told("merge", "main", "--branch", "side")["merged"] is False


def test_a_merge_as_json_is_whole() -> None:
    """Before, after, each key's result, each record as `conflicts --json` has it."""
    parted()
    before = run_git(BARE, "rev-parse", "main").strip()
    done = told("merge", "side", code=4)
    assert done.keys() == {"before", "revision", "merged", "keys", "conflicts"}
    assert (done["before"], done["merged"]) == (before, True)
    assert done["keys"] == [
        {"namespace": "default", "key": "k", "result": "conflict"},
        {"namespace": "default", "key": "new", "result": "new"},
    ]  # fmt: skip
    assert done["conflicts"] == told("conflicts")
    (one,) = done["conflicts"]
    assert one.keys() == {"id", "namespace", "key", "pointer", "base", "sides"}
    assert [side["value"] for side in one["sides"]] == [3, 2]
    assert gitmem("retrieve", "k", "--json").stdout == '{\n  "a": 3,\n  "b": 2\n}\n'


def test_a_fast_forward_says_so() -> None:
    """And exits with 0."""
    gitmem("store", "k", "1")
    gitmem("branch", "side")
    gitmem("store", "l", "1", "--branch", "side")
    head = run_git(BARE, "rev-parse", "side").strip()
    done = f"new\tdefault\tl\nfast-forwarded to {head[:12]}: 1 new\n"
    assert gitmem("merge", "side", "--dry-run").stdout == done.replace("fast-", "would be fast-")
    assert gitmem("merge", "side").stdout == done


# --- conflicts and resolve


def test_conflicts_are_shown_with_both_sides() -> None:
    """Who says what, and what it was; one namespace alone if it was typed."""
    assert told("store", "x", "1")["version"] == 1
    assert gitmem("conflicts").stdout == ""
    assert gitmem("conflicts").stderr == "hint: there are no open conflicts\n"
    assert told("conflicts") == []
    Path(".gitmem").rename("old")
    parted()
    gitmem("merge", "side", code=4)
    shown = gitmem("conflicts")
    assert re.fullmatch(
        r"[0-9a-f]{16}  k /a in default\n  winner  3  \(by hand, \S+Z, \w{12}\)\n"
        r"  other   2  \(by ann, \S+Z, \w{12}\)\n  base    1\n", shown.stdout,
    )  # fmt: skip
    assert shown.stderr == "hint: gitmem resolve ID --take winner|other|base|VALUE\n"
    assert gitmem("conflicts", "-n", "default").stdout == shown.stdout
    assert gitmem("conflicts", "-n", "other").stdout == ""
    assert gitmem("conflicts", env={"GITMEM_NAMESPACE": "other"}).stdout == shown.stdout


@pytest.mark.parametrize(("take", "expected"), [
    ("winner", 3), ("other", 2), ("base", 1), ("7", 7), ('{"x": null}', {"x": None}), ("words", "words"),
    ('"winner"', "winner"), ("-1", -1),
])  # fmt: skip
def test_a_conflict_is_settled_by_one_word_or_a_value(take: str, expected: Any) -> None:
    """A value is read as `store` reads it; the word itself as a value stands in quotes."""
    parted()
    gitmem("merge", "side", code=4)
    (record,) = told("conflicts")
    shown = gitmem("resolve", record["id"], "--take", take, "-m", "as agreed", "--agent", "judge").stdout
    assert f"settled {record['id']} in conflicts: version 2, " in shown
    assert ("modified k in default: version 5, " in shown) == (take != "winner")
    assert told("retrieve", "k") == {"a": expected, "b": 2}
    assert gitmem("log").stdout.splitlines()[0].endswith("judge  as agreed")
    gitmem("resolve", record["id"], "--take", take, code=3)


@pytest.mark.parametrize(("take", "hint"), [
    ("othr", "did you mean other?"), ("Winner", "did you mean winner?"), ("absent", "other the other side"),
    ("theirs", "winner is what the merge put there"),
])  # fmt: skip
def test_a_slip_in_a_side_is_not_stored_as_text(take: str, hint: str) -> None:
    """In quotes it is a text like any other."""
    parted()
    gitmem("merge", "side", code=4)
    assert hint in gitmem("resolve", "k", "--take", take, code=2).stderr
    assert len(told("conflicts")) == 1
    gitmem("resolve", "k", "--take", f'"{take}"')
    assert told("retrieve", "k")["a"] == take


def test_a_branch_that_another_copy_has_is_taken_by_the_commands_in_the_hint() -> None:
    """The hint names the memory, the remote and the branch; typed as they stand, they help."""
    gitmem("store", "k", "1")
    gitmem("clone", ".gitmem", "there")
    gitmem("branch", "by-hand")
    commit_files(BARE, {"default/l.json": b"2\n"}, branch="by-hand")
    result = gitmem("merge", "by-hand", "--store", "there", code=3)
    (commands,) = re.findall("if origin has it: `gitmem ([^`]+)`, then `gitmem ([^`]+)`", result.stderr)
    for command in commands:
        gitmem(*shlex.split(command))
    assert told("retrieve", "l", "--store", "there") == 2


def test_a_key_settles_all_its_conflicts_in_its_namespace() -> None:
    """Found by -n, like any key."""
    parted()
    gitmem("merge", "side", code=4)
    gitmem("resolve", "k", "--take", "other", "-n", "elsewhere", code=3)
    made = told("resolve", "k", "--take", "other")
    assert [(one["namespace"], one["operation"]) for one in made] == [("conflicts", "deleted"), ("default", "modified")]
    assert told("conflicts") == []


def test_a_choice_against_a_later_write_exits_with_4() -> None:
    """And says what stands there, and what to do."""
    parted()
    gitmem("merge", "side", code=4)
    gitmem("patch", "k", '{"a": 9}', "--agent", "late")
    result = gitmem("resolve", "k", "--take", "other", code=4)
    assert re.match(r"error: .* /a was 3, is 9 by late at \S+, and would be 2\nhint: ", result.stderr)
    assert result.stdout == ""
    assert len(told("conflicts")) == 1
    (keep,) = re.findall("keep what was written since: `gitmem ([^`]+)`", result.stderr)
    gitmem(*shlex.split(keep))
    assert told("retrieve", "k") == {"a": 9, "b": 2}


def test_gitmem_toml_and_other_files_are_settled_by_editing_them() -> None:
    """They are no keys: the winner is acknowledged, nothing else can be taken."""
    gitmem("store", "k", "1")
    gitmem("branch", "side")
    for branch, size in (("main", 1000), ("side", 2000)):
        text = f"format = 1\nmax_value_bytes = {size}\n".encode()
        commit_files(BARE, {"gitmem.toml": text, "README.md": branch.encode()}, branch=branch)
    gitmem("merge", "side", code=4)
    assert {(one["namespace"], one["key"]) for one in told("conflicts")} == {(None, "gitmem.toml"), (None, "README.md")}
    assert " in -\n" in gitmem("conflicts").stdout
    for key in ("gitmem.toml", "README.md"):
        assert "then resolve with --take winner" in gitmem("resolve", key, "--take", "base", code=4).stderr
        assert gitmem("resolve", key, "--take", "winner").stdout.startswith("settled ")
    assert told("conflicts") == []


def test_what_breaks_a_rule_is_shown_with_the_rule() -> None:
    """It came alone: there is no other side to take."""
    gitmem("store", "k", "1")
    gitmem("branch", "side")
    commit_files(BARE, {"default/bad.json": b"{"}, branch="side")
    gitmem("merge", "side", code=4)
    shown = gitmem("conflicts").stdout
    assert "\n  came in and is no value  (by hand, " in shown
    assert "no other to take" in gitmem("resolve", "bad", "--take", "other", code=7).stderr
    gitmem("resolve", "bad", "--take", "1")
    assert told("retrieve", "bad") == 1


def test_callers_text_is_shown_escaped() -> None:
    """A name from another copy rules no terminal."""
    gitmem("store", "k", "1")
    gitmem("branch", "side")
    commit_files(BARE, {"default/a\u202eb.json": b"{", "README\u202e.md": b"1"}, branch="side")
    commit_files(BARE, {"README\u202e.md": b"2"})
    for argv in (("merge", "side", "--dry-run"), ("merge", "side"), ("conflicts",)):
        result = CliRunner().invoke(front, argv, catch_exceptions=False)
        assert "\u202e" not in result.output


# --- store --base


def test_store_with_a_base_merges() -> None:
    """By number, revision, or `absent`; nothing that others wrote is lost."""
    base = told("store", "k", '{"a": 1, "b": 1}')
    gitmem("store", "k", '{"a": 2, "b": 1}')
    for name in ("1", base["revision"], base["revision"][:38]):
        merged = told("store", "k", '{"a": 1, "b": 5}', "--base", name)
        assert merged["value"] == {"a": 2, "b": 5}
    gitmem("store", "l", '{"x": 1}')
    assert told("store", "l", '{"y": 1}', "--base", "absent")["value"] == {"x": 1, "y": 1}
    assert told("store", "new", "1", "--base", "absent", "--ttl", "60")["expires"] is not None


def test_a_conflict_of_store_says_who_and_what_next() -> None:
    """Exit code 4, nothing written; the command in the hint then succeeds."""
    gitmem("store", "k", '{"a": 1, "b": 1}')
    gitmem("store", "k", '{"a": 2, "b": 1}', "--agent", "painter")
    gitmem("store", "k", '{"a": 2, "b": 2}', "--agent", "last")
    result = gitmem("store", "k", '{"a": 3, "b": 1}', "--base", "1", code=4)
    assert result.stdout == ""
    assert "/a was 1, is 2 by painter at " in result.stderr
    assert "and would be 3" in result.stderr
    (base,) = re.findall(r"--base (\w{12,40})\b", result.stderr)
    assert "hint: read what is there now: `gitmem retrieve k -n default --entry`" in result.stderr
    assert told("retrieve", "k") == {"a": 2, "b": 2}
    assert told("store", "k", '{"a": 3, "b": 2}', "--base", base)["value"] == {"a": 3, "b": 2}
