"""`gitmem find` as a person types it; what is found is tested with `finding`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitmem import Memory
from tests.commands import gitmem
from tests.foreign import commit_files
from tests.terminal import Terminal


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Memory:
    """Where every command of a test is typed: three entries in three namespaces."""
    monkeypatch.chdir(tmp_path)
    memory = Memory.open(agent="ann")
    memory.store("swarm/coder/auth", {"approach": "JWT with refresh tokens", "libraries": ["pyjwt"]})
    memory.store("notes/refresh", "tokens are refreshed every [15] minutes", namespace="coordination")
    memory.store("plan", "no such words", namespace="captains-log")
    return memory


def test_into_a_pipe_marks_are_brackets() -> None:
    """Columns with tabs, for cut and grep: namespace, key, text."""
    assert gitmem("find", "refresh", "tokens").stdout.splitlines() == [
        "coordination\tnotes/[refresh]\t[tokens] are refreshed every [15] minutes",
        "default\tswarm/coder/auth\tapproach: JWT with [refresh] [tokens] · libraries: pyjwt",
    ]


def test_on_a_terminal_marks_are_bold() -> None:
    """And nobody's text is obeyed by the terminal, not even in the middle of a mark."""
    gitmem("store", "evil", '"\\u202e refresh\\u001b[31m"')
    with Terminal("find", "refresh") as terminal:
        said, code = terminal.end()
    assert code == 0
    assert "JWT with \x1b[1mrefresh\x1b[0m tokens" in said
    assert "\x1b[31m" not in said
    assert "\\u202e \x1b[1mrefresh\x1b[0m [31m" in said
    with Terminal("find", "refresh", NO_COLOR="1") as terminal:
        assert "JWT with [refresh] tokens" in terminal.end()[0]


def test_words_and_phrases_get_past_the_shell() -> None:
    """Several words are all wanted; a phrase has double quotes of its own; the beginning of a word has a star."""

    def keys(*words: str) -> list[str]:
        return [hit["key"] for hit in json.loads(gitmem("find", *words, "--json").stdout)]

    assert keys("refresh tokens") == keys("refresh", "tokens") == ["notes/refresh", "swarm/coder/auth"]
    assert keys('"refresh tokens"') == keys('"refresh', 'tokens"') == ["swarm/coder/auth"]
    assert keys("pyj*") == ["swarm/coder/auth"]
    assert keys("15") == ["notes/refresh"]
    assert keys("-15") == ["notes/refresh"]


def test_json_is_the_entry_and_what_is_shown() -> None:
    """Programs get the value, and where in the snippet the words are."""
    (hit,) = json.loads(gitmem("find", "jwt", "--json").stdout)
    assert hit["value"] == {"approach": "JWT with refresh tokens", "libraries": ["pyjwt"]}
    assert (hit["namespace"], hit["key"], hit["version"], hit["agent"]) == ("default", "swarm/coder/auth", 1, "ann")
    assert hit["snippet"][slice(*hit["marks"][0])] == "JWT"
    assert hit["score"] > 0
    assert gitmem("find", "zebra", "--json").stdout == "[]\n"


def test_every_namespace_unless_one_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says where to write; it must not hide what is elsewhere."""
    monkeypatch.setenv("GITMEM_NAMESPACE", "captains-log")
    assert gitmem("find", "tokens").stdout.count("\n") == 2
    assert gitmem("find", "tokens", "-n", "coordination").stdout.startswith("coordination\t")
    assert gitmem("find", "tokens", "--glob", "swarm/**").stdout.startswith("default\t")


def test_more_than_the_limit_is_said_to_be_there(memory: Memory) -> None:
    """Twenty are shown; a hint tells how to see the rest, and nothing where there is no rest."""
    with memory.transaction() as tx:
        for number in range(25):
            tx.store(f"many/{number:02d}", "walrus")
    first, rest = gitmem("find", "walrus"), gitmem("find", "walrus", "--offset", "20")
    assert (first.stdout.count("\n"), rest.stdout.count("\n")) == (20, 5)
    assert first.stderr == "hint: there are more: --offset 20 goes on, --limit shows more at once\n"
    assert rest.stderr == gitmem("find", "walrus", "--limit", "25").stderr == ""
    assert len(json.loads(gitmem("find", "walrus", "--json", "--limit", "3").stdout)) == 3


def test_in_vain_says_why() -> None:
    """A word that is nowhere, a place that is too narrow, or words that never meet."""
    assert gitmem("find", "refresh", "tokns").stderr == (
        "hint: no key and no value holds tokns; tok* would find something\n"
    )
    assert gitmem("find", "zebra").stderr == "hint: no key and no value holds zebra\n"
    assert "without --glob and --namespace" in gitmem("find", "plan", "-n", "default").stderr
    assert "nowhere all of them" in gitmem("find", "plan", "jwt").stderr
    assert gitmem("find", "zebra").exit_code == 0


REFUSED = {
    "no word": (["!!"], 7),
    "nothing": ([], 2),
    "less": (["x", "--limit", "-1"], 2),
    "glob": (["x", "--glob", "["], 7),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(name: str) -> None:
    """With the exit codes of all commands, and a next step."""
    argv, code = REFUSED[name]
    result = gitmem("find", *argv)
    assert result.exit_code == code
    assert result.stderr.startswith("error: ")
    assert "hint: " in result.stderr


def test_a_file_that_is_no_value_makes_the_answer_incomplete(memory: Memory) -> None:
    """A warning names it, and the exit code says that something was left out."""
    commit_files(memory.vault.repository.git_dir, {"default/broken.json": b"{refresh"})
    result = gitmem("find", "refresh")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 2)
    assert "'broken'" in result.stderr


def test_where_there_is_no_memory_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads."""
    (tmp_path / "empty").mkdir()
    result = gitmem("find", "x", "--store", str(tmp_path / "empty"))
    assert result.exit_code == 1
    assert list((tmp_path / "empty").iterdir()) == []


def test_grep_is_told_its_name_here() -> None:
    """Who comes from a shell types that."""
    assert "`gitmem find`" in gitmem("grep", "x").stderr
