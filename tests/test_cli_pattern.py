"""`gitmem pattern`: what is typed, what is printed, and what a person is told to type next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory
from tests.commands import gitmem
from tests.terminal import Terminal

KEY = "pattern/auth/jwt"


@pytest.fixture(autouse=True)
def _as_ann_in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITMEM_AGENT", "ann")


def pattern(*argv: str, **options: Any) -> str:
    """What `gitmem pattern …` prints, if it succeeds."""
    done = gitmem("pattern", *argv, **options)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def value(key: str = KEY) -> Any:
    with Memory.open(create=False) as memory:
        return memory.retrieve(key, namespace="reasoning-bank")


# --- learn


def test_learn_keeps_all_that_is_said(tmp_path: Path) -> None:
    """Lists by repeating an option, code from a file or as it is typed."""
    (tmp_path / "sign.js").write_text("jwt.sign(payload)\n", "utf-8")
    pattern("learn", "auth/oauth", "Use a library")
    printed = pattern(
        "learn", "auth/jwt", "Rotate refresh tokens", "--type", "security", "--lesson", "a=b", "--lesson", "two",
        "--avoid", "localStorage", "--snippet", "sign=@sign.js", "--snippet", "odd=x=y", "--related", "auth/oauth",
    )  # fmt: skip
    assert printed == f"learned {KEY} (version 1)\n"
    assert value() == {
        "pattern_type": "security", "approach": "Rotate refresh tokens", "lessons_learned": ["a=b", "two"],
        "anti_patterns": ["localStorage"], "code_snippets": {"sign": "jwt.sign(payload)\n", "odd": "x=y"},
        "related": ["pattern/auth/oauth"], "sessions_used": [], "successes": 0, "failures": 0,
    }  # fmt: skip


def test_an_approach_may_be_piped_or_lie_in_a_file(tmp_path: Path) -> None:
    """Long ones are; what looks like JSON is text all the same."""
    (tmp_path / "approach.txt").write_text("first\nsecond\n", "utf-8")
    pattern("learn", "auth/jwt", "-", input='{"not": "parsed"}\n')
    assert value()["approach"] == '{"not": "parsed"}'
    assert "approach replaced" in pattern("learn", "auth/jwt", "--file", "approach.txt")
    assert value()["approach"] == "first\nsecond"


def test_learning_more_says_what_changed() -> None:
    """So that nobody believes to have begun a pattern who has replaced one."""
    pattern("learn", "auth/jwt", "Rotate refresh tokens", "--lesson", "one")
    assert pattern("learn", "auth/jwt", "--lesson", "one", "--lesson", "two") == (
        f"updated {KEY} (version 2): 1 new in lessons_learned\n"
    )
    assert pattern("learn", "auth/jwt", "--lesson", "two") == f"unchanged: {KEY} (version 2), nothing new\n"


def test_near_duplicates_are_pointed_out_with_what_to_do() -> None:
    """On stderr: the pattern is learned all the same."""
    pattern("learn", "auth/jwt", "Rotate refresh tokens on every use")
    done = gitmem("pattern", "learn", "auth/rotation", "On each use rotate the refresh token")
    assert done.stdout == "learned pattern/auth/rotation (version 1)\n"
    assert f"{KEY} says 100 % the same: Rotate refresh tokens on every use" in done.stderr
    assert f"`gitmem pattern relate pattern/auth/rotation {KEY}`" in done.stderr
    as_json = json.loads(pattern("learn", "auth/jwt", "--json"))
    assert (as_json["changes"], [one["key"] for one in as_json["similar"]]) == ([], ["pattern/auth/rotation"])


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (("learn", "auth/jwt"), 3, "needs an approach"),
        (("learn", "jwt", "Rotate"), 7, "DOMAIN/NAME"),
        (("learn", "auth/jwt", " "), 7, "says something"),
        (("learn", "auth/jwt", "x", "--snippet", "code"), 2, "NAME=TEXT"),
        (("learn", "auth/jwt", "x", "--snippet", "a=@nowhere"), 2, "nowhere"),
        (("learn", "auth/jwt", "x", "--related", "auth/oauth"), 3, "'pattern/auth/oauth'"),
        (("learn", "auth/jwt", "x", "-n", "team"), 7, "reasoning-bank"),
        (("outcome", "auth/jwt", "success"), 3, "'pattern/auth/jwt'"),
        (("outcome", "auth/jwt"), 2, ". Choose from: success, failure\n"),
        (("outcome", "auth/jwt", "perhaps"), 2, "'success', 'failure'"),
        (("recall",), 2, "QUESTION"),
        (("recall", "x", "--limit", "0"), 2, "--limit"),
        (("relate", "auth/jwt"), 2, "OTHER"),
        (("show", "auth/jwt"), 3, "'pattern/auth/jwt'"),
    ],
    ids=lambda one: " ".join(one)[:30] if isinstance(one, tuple) else "",
)
def test_what_cannot_be_done_is_refused_with_its_exit_code(argv: tuple[str, ...], code: int, told: str) -> None:
    """And nothing is written."""
    pattern("learn", "db/pool", "One pool per process")
    with Memory.open(create=False) as memory:
        before = memory.snapshot
    done = gitmem("pattern", *argv)
    assert (done.exit_code, done.stdout) == (code, "")
    assert told in done.stderr
    with Memory.open(create=False) as memory:
        assert memory.snapshot == before


# --- outcome


def test_an_outcome_says_what_the_counts_come_to() -> None:
    """Under the session that is named, with what was found out."""
    pattern("learn", "auth/jwt", "Rotate")
    assert pattern("outcome", "auth/jwt", "success", "--session", "s1", "--lesson", "Mind the clocks") == (
        f"{KEY}: 1 of 1 succeeded, so at least 21 % do (95 % sure)\n"
    )
    assert pattern("outcome", KEY, "failure") == f"{KEY}: 1 of 2 succeeded, so at least 9 % do (95 % sure)\n"
    assert (value()["success_rate"], value()["sessions_used"]) == (50, ["s1"])
    assert value()["lessons_learned"] == ["Mind the clocks"]
    went = json.loads(pattern("outcome", "auth/jwt", "success", "--json"))["outcomes"]
    assert went == {"successes": 2, "failures": 1, "stated": False, "at_least": 0.2077, "at_most": 0.9385}


# --- recall


@pytest.fixture
def bank() -> None:
    """Three patterns, one of which has proved itself."""
    pattern("learn", "auth/jwt", "Rotate refresh tokens", "--lesson", "Keep them short", "--avoid", "localStorage")
    pattern("learn", "auth/cookies", "Keep the session in an httpOnly cookie")
    pattern("learn", "db/pool", "One connection pool per process")
    for _ in range(3):
        pattern("outcome", "auth/jwt", "success")


@pytest.mark.usefixtures("bank")
def test_recall_prints_what_to_do_and_why() -> None:
    """All of it in a few lines: an agent need not ask again for each."""
    done = gitmem("pattern", "recall", "how", "do", "I", "rotate", "a", "token?")
    day = json.loads(pattern("show", "auth/jwt", "--json"))["time"][:10]
    assert done.stdout.splitlines() == [
        f"1. {KEY}",
        "   Rotate refresh tokens",
        "   - Keep them short",
        "   not: localStorage",
        "   (speaks of rotate, token; 3 of 3 succeeded, so at least 44 % do (95 % sure); "
        f"last learned or tried today ({day}))",
    ]
    assert done.stderr == f"hint: tell how it went: `gitmem pattern outcome {KEY} success`, or failure\n"


def test_a_pattern_that_is_a_book_does_not_fill_the_screen() -> None:
    """Nor what an agent reads: the beginning says whether it is worth reading; programs get all of it."""
    book, lessons = "Rotate tokens, " * 10_000, [f"lesson {number}" for number in range(30)]
    with Memory.open() as memory:
        memory.store(KEY, {"approach": book, "lessons_learned": [book, *lessons]}, namespace="reasoning-bank")
    listed = {("list",): 500, ("recall", "rotate"): 6000, ("learn", "auth/new", "Rotate tokens"): 500}
    for command, most in listed.items():
        done = gitmem("pattern", *command)
        assert "Rotate tokens, Rotate" in done.output
        assert len(done.output) < most
    assert "   - … and 11 more: `gitmem pattern show pattern/auth/jwt`" in gitmem("pattern", "recall", "rotate").stdout
    assert json.loads(pattern("list", "--json"))[0]["value"]["approach"] == book
    assert book in pattern("show", "auth/jwt")


@pytest.mark.usefixtures("bank")
def test_recall_as_json_is_entries_with_reasons() -> None:
    """For programs: the entry as everywhere, the score, the words, and the same reasons."""
    (found,) = json.loads(pattern("recall", "rotate tokens", "--json"))
    assert (found["key"], found["value"], found["words"]) == (KEY, value(), ["rotate", "tokens"])
    assert found["reasons"][1] == "3 of 3 succeeded, so at least 44 % do (95 % sure)"
    assert 0.5 < found["score"] < 2
    assert json.loads(pattern("recall", "zebra", "--json")) == []


@pytest.mark.usefixtures("bank")
def test_who_finds_nothing_is_told_where_there_is_something() -> None:
    """A mistyped domain looks like a bank that knows nothing."""
    done = gitmem("pattern", "recall", "tokens", "--domain", "aut")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "in the domain 'aut'; there are the domains auth, db" in done.stderr
    assert "gitmem pattern learn" in gitmem("pattern", "recall", "zebra").stderr
    assert "there are the domains auth, db" in gitmem("pattern", "list", "aut").stderr


@pytest.mark.usefixtures("bank")
def test_a_session_is_told_what_it_recalled() -> None:
    """Also the active one; with --no-note it is only looked at."""
    pattern("recall", "tokens", "--session", "s1", "--no-note")
    pattern("recall", "tokens")
    with Memory.open(create=False) as memory:
        assert memory.list(namespace="coordination") == []
        memory.activate("s2")
    for session in ("s1", "s2"):
        pattern("recall", "tokens", *(["--session", session] if session == "s1" else []))
        with Memory.open(create=False) as memory:
            assert [*memory.retrieve(f"session/{session}/recalled", namespace="coordination")] == [KEY]


@pytest.mark.usefixtures("bank")
def test_the_namespace_of_the_environment_is_where_agents_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan's agents have it set, and mean the same patterns as everybody."""
    monkeypatch.setenv("GITMEM_NAMESPACE", "coordination")
    assert pattern("list").splitlines()[1].startswith(KEY)
    for argv in ((), ("-n", "reasoning-bank")):
        assert pattern("recall", "tokens", *argv).startswith(f"1. {KEY}")


# --- show, list, relate


@pytest.mark.usefixtures("bank")
def test_show_prints_all_of_a_pattern() -> None:
    """And how to see what it was before."""
    pattern("learn", "auth/jwt", "--snippet", "sign=one\ntwo", "--related", "db/pool")
    done = gitmem("pattern", "show", "auth/jwt")
    when = json.loads(pattern("show", "auth/jwt", "--json"))["time"]
    assert done.stdout == f"""\
{KEY}
Rotate refresh tokens

auth; 3 of 3 succeeded, so at least 44 % do (95 % sure); version 5, by ann at {when}

Lessons:
- Keep them short

Not to be done:
- localStorage

Related:
- pattern/db/pool

sign:
one
two
"""
    assert f"gitmem history {KEY} -n reasoning-bank" in done.stderr


@pytest.mark.usefixtures("bank")
def test_list_has_a_line_for_each() -> None:
    """What is sure of three in three is 44 %; of what nobody tried, nothing."""
    assert pattern("list") == (
        "pattern/auth/cookies\t0/0\t-\tKeep the session in an httpOnly cookie\n"
        f"{KEY}\t3/3\t44 %\tRotate refresh tokens\n"
        "pattern/db/pool\t0/0\t-\tOne connection pool per process\n"
    )
    assert [one["key"] for one in json.loads(pattern("list", "auth", "--json"))] == ["pattern/auth/cookies", KEY]


@pytest.mark.usefixtures("bank")
def test_relate_tells_what_a_pattern_is_related_to_now() -> None:
    """Both ways: the other knows it, too."""
    assert pattern("relate", "auth/jwt", "db/pool", "auth/cookies") == (
        f"{KEY} is related to 2 patterns: pattern/db/pool, pattern/auth/cookies\n"
    )
    assert value("pattern/db/pool")["related"] == [KEY]
    assert json.loads(pattern("relate", "auth/jwt", "db/pool", "--json"))["version"] == 5


def test_nobody_s_text_reaches_a_terminal_raw() -> None:
    """A pattern comes from other machines too: it can neither colour the screen nor turn the direction of writing."""
    evil = "\x1b[31m\u202eRotate tokens\x1b]0;title\x07"
    pattern("learn", "auth/jwt", f"{evil}\nagain", "--lesson", evil, "--avoid", evil, "--snippet", f"a={evil}")
    for command in (("show", "auth/jwt"), ("list",), ("recall", "rotate")):
        with Terminal("pattern", *command, NO_COLOR="1") as person:
            shown, code = person.end()
        assert ("Rotate tokens" in shown, code) == (True, 0)
        assert not {"\x1b", "\u202e", "\x07"} & {*shown}, command
