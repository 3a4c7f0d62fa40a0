"""The reasoning bank: what is learned is kept, what is told counts, and what is recalled says why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitmem import InvalidKeyError, InvalidValueError, Memory, MissingKeyError
from gitmem.recipes import Patterns
from gitmem.recipes.reasoning import key_of
from gitmem.recipes.reasoning_recall import with_outcome
from tests.conftest import Clock
from tests.foreign import commit_files, run_git

BANK, COORDINATION = "reasoning-bank", "coordination"
KEY = "pattern/auth/jwt"
TELLER = Path(__file__).parent / "race" / "teller.py"
SEED: dict[str, Any] = {
    "pattern_type": "authentication",
    "approach": "JWT with refresh tokens",
    "success_rate": 100,
    "sessions_used": ["session-20251115", "session-20251117"],
    "lessons_learned": ["Use httpOnly cookies for tokens", "Implement token rotation"],
    "code_snippets": {"sign": "jwt.sign(payload, key)"},
}
"""A pattern as agents stored it before there were commands for it."""


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Memory:
    """Bound to the namespace in which agents meet, as a plan's agents are."""
    return Memory.open(tmp_path / "m", durability="fast", agent="ann", namespace=COORDINATION, clock=clock)


@pytest.fixture
def bank(memory: Memory) -> Patterns:
    return Patterns(memory)


def counts(patterns: Patterns, name: str = "auth/jwt") -> tuple[Any, ...]:
    value = patterns.show(name).entry.value
    return value["successes"], value["failures"], value.get("success_rate")


def keys(found: Any) -> list[str]:
    return [one.entry.key for one in found]


# --- learning


def test_a_pattern_lies_in_the_reasoning_bank_with_the_members_that_others_know(memory: Memory) -> None:
    """Whoever knows only `retrieve` reads it; the session that learned it is one that used it."""
    made = Patterns(memory.bind(session="one")).learn(
        "auth/jwt", " JWT with refresh tokens ", lessons=["Rotate them"], anti_patterns=["localStorage"],
        snippets={"a": "b"},
    )  # fmt: skip
    assert memory.retrieve(KEY, namespace=BANK) == made.pattern.entry.value == {
        "pattern_type": "auth", "approach": "JWT with refresh tokens", "lessons_learned": ["Rotate them"],
        "anti_patterns": ["localStorage"], "code_snippets": {"a": "b"}, "related": [], "sessions_used": ["one"],
        "successes": 0, "failures": 0,
    }  # fmt: skip
    assert (made.changes, made.similar) == (None, ())
    assert memory.log(limit=1)[0].message.splitlines()[0] == f"learn {KEY}"


def test_learning_more_replaces_the_approach_and_loses_nothing_else(memory: Memory, bank: Patterns) -> None:
    """Lists are united, snippets joined by name, counts stay; what changed is told in words."""
    memory.store(KEY, {**SEED, "successes": 3, "failures": 1, "owner": "team-a"}, namespace=BANK)
    made = bank.learn(
        "auth/jwt", "Opaque tokens", lessons=["Implement token rotation", "Keep them short"], snippets={"verify": "…"}
    )
    assert made.pattern.entry.value == {
        **SEED, "approach": "Opaque tokens", "successes": 3, "failures": 1, "owner": "team-a",
        "lessons_learned": [*SEED["lessons_learned"], "Keep them short"],
        "code_snippets": {**SEED["code_snippets"], "verify": "…"},
    }  # fmt: skip
    assert made.changes == ("approach replaced", "1 new in lessons_learned", "1 new in code_snippets")


def test_learning_what_is_known_is_no_version(memory: Memory, bank: Patterns) -> None:
    """An agent that says the same each day does not fill the history, and is told that it was nothing new."""
    bank.learn("auth/jwt", "JWT", lessons=["Rotate"])
    before = memory.snapshot
    again = bank.learn(KEY, "JWT", lessons=["Rotate"])
    assert (again.changes, memory.snapshot) == ((), before)


def test_a_known_pattern_takes_a_lesson_without_its_approach_and_a_new_one_does_not(bank: Patterns) -> None:
    """A lesson for a mistyped name would begin a pattern that says nothing."""
    bank.learn("auth/jwt", "JWT")
    assert bank.learn("auth/jwt", lessons=["Rotate"]).pattern.approach == "JWT"
    with pytest.raises(MissingKeyError, match=r"'pattern/auth/jtw' yet.* needs an approach"):
        bank.learn("auth/jtw", lessons=["Rotate"])
    assert keys(bank.list()) == [KEY]


@pytest.mark.parametrize(
    "wrong", [{"lessons": [" "]}, {"approach": ""}, {"anti_patterns": [7]}, {"pattern_type": "\n"}]
)
def test_what_says_nothing_is_no_lesson(memory: Memory, bank: Patterns, wrong: Any) -> None:
    """Refused before anything is written."""
    with pytest.raises(InvalidValueError):
        bank.learn("auth/jwt", **{"approach": "JWT", **wrong})
    assert memory.namespaces() == []


def test_one_lesson_may_come_as_a_text_alone(bank: Patterns) -> None:
    """Its letters are not what was learned."""
    bank.learn("auth/jwt", "JWT", lessons="Rotate")
    bank.outcome("auth/jwt", True, lesson="Keep them short")
    assert bank.show("auth/jwt").members["lessons_learned"] == ["Rotate", "Keep them short"]


def test_patterns_that_say_the_same_are_pointed_out(bank: Patterns) -> None:
    """Before a bank has five patterns of one thing, each with a fifth of its outcomes; the nearest first."""
    bank.learn("auth/jwt", "Sign access tokens with RS256 and rotate refresh tokens on every use")
    bank.learn("db/pool", "One connection pool per process, sized to the database")
    made = bank.learn("auth/tokens", "Rotate the refresh token at each use; sign access tokens with RS256")
    assert [one.key for one in made.similar] == [KEY]
    assert made.similar[0].likeness == 1
    assert bank.learn("db/migrations", "Expand, migrate, contract: never in one deploy").similar == ()


@pytest.mark.parametrize("name", ["", "jwt", "pattern/jwt", "auth//jwt", "auth/", "/auth/jwt"])
def test_a_name_has_a_domain(bank: Patterns, name: str) -> None:
    """A pattern that belongs nowhere would not be found by its domain."""
    with pytest.raises(InvalidKeyError):
        bank.learn(name, "JWT")


def test_a_name_is_as_good_as_its_key() -> None:
    """What was printed can be typed; a domain of several segments too."""
    assert key_of("auth/jwt") == key_of(KEY) == KEY
    assert key_of("auth/web/jwt") == "pattern/auth/web/jwt"


def test_who_leaves_out_the_domain_is_told_what_was_meant(bank: Patterns) -> None:
    """The last segment is what people remember."""
    bank.learn("auth/jwt", "JWT")
    with pytest.raises(InvalidKeyError) as caught:
        bank.outcome("jwt", True)
    assert caught.value.hint == f"did you mean {KEY}?"


def test_patterns_lie_in_one_namespace_alone(memory: Memory) -> None:
    """Elsewhere nothing could be recalled, and no rule would merge what was counted apart."""
    with pytest.raises(InvalidValueError, match="reasoning-bank"):
        Patterns(memory, namespace="team")
    Patterns(memory, namespace=BANK).learn("auth/jwt", "JWT")
    assert memory.namespaces() == [BANK]


# --- relations


def test_relations_go_both_ways_in_one_commit(memory: Memory, bank: Patterns) -> None:
    """From whichever pattern somebody comes; those that `learn` names too."""
    for name in ("auth/jwt", "auth/oauth", "db/pool"):
        bank.learn(name, name)
    before = len(memory.log())
    bank.relate("auth/jwt", "auth/oauth", "db/pool")
    assert len(memory.log()) == before + 1
    assert bank.show("auth/jwt").members["related"] == ["pattern/auth/oauth", "pattern/db/pool"]
    assert bank.show("db/pool").members["related"] == [KEY]
    bank.learn("auth/mtls", "Client certificates", related=["auth/jwt"])
    assert "pattern/auth/mtls" in bank.show("auth/jwt").members["related"]


def test_a_relation_to_nothing_is_refused(memory: Memory, bank: Patterns) -> None:
    """All or nothing: the pattern that would have been related is not written either."""
    bank.learn("auth/jwt", "JWT")
    before = memory.snapshot
    with pytest.raises(MissingKeyError):
        bank.relate("auth/jwt", "auth/oauth")
    with pytest.raises(MissingKeyError):
        bank.learn("auth/mtls", "Client certificates", related=["auth/jwt", "auth/oauth"])
    with pytest.raises(InvalidKeyError, match="itself"):
        bank.relate("auth/jwt", KEY)
    assert memory.snapshot == before


# --- outcomes


def test_each_outcome_counts_and_rewrites_the_rate(memory: Memory, bank: Patterns) -> None:
    """What is sure of nine in ten is 60 %: the figure for people says nothing of how often it was tried."""
    bank.learn("auth/jwt", "JWT")
    for number in range(10):
        made = Patterns(memory.bind(session=f"s{number % 2}")).outcome("auth/jwt", number > 0)
    assert counts(bank) == (9, 1, 90)
    assert made.outcomes.told() == "9 of 10 succeeded, so at least 60 % do (95 % sure)"
    assert made.members["sessions_used"] == ["s0", "s1"]


def test_an_outcome_of_nothing_is_an_error(bank: Patterns) -> None:
    """Success would be reported for something that was not done."""
    with pytest.raises(MissingKeyError):
        bank.outcome("auth/jwt", True)
    assert bank.list() == []


def test_what_was_only_stated_gives_way_to_what_is_counted(memory: Memory, bank: Patterns) -> None:
    """Until somebody counts, a stated rate is as sure as the number of sessions that it is of."""
    memory.store(KEY, SEED, namespace=BANK)
    told = bank.show("auth/jwt").outcomes.told()
    assert told == "said to succeed in 100 % (2 sessions), so at least 34 % do (95 % sure)"
    bank.outcome("auth/jwt", False)
    assert counts(bank) == (0, 1, 0)


ODD = {**SEED, "lessons_learned": "Rotate", "sessions_used": 2}


@pytest.mark.parametrize("value", [json.dumps(SEED), ODD], ids=["text", "odd"])
def test_patterns_of_other_tools_are_read_and_counted(memory: Memory, bank: Patterns, value: Any) -> None:
    """Some stored JSON as text, some one lesson where there is a list: nothing of it is lost by counting."""
    memory.store(KEY, value, namespace=BANK)
    assert bank.recall("refresh tokens")[0].pattern.approach == SEED["approach"]
    bank.outcome("auth/jwt", True, lesson="Keep them short")
    found, lessons = bank.show("auth/jwt").entry.value, ["Rotate"] if value is ODD else SEED["lessons_learned"]
    assert (found["successes"], found["approach"]) == (1, SEED["approach"])
    assert found["lessons_learned"] == [*lessons, "Keep them short"]


UNCOUNTED: list[Any] = [
    7, [1], "just do it", {"successes": "many"}, {"failures": -1}, {"successes": True}, {"successes": 10**400},
    {"successes": 1e308, "failures": 1e308}, {"failures": 0.5}, '{"successes": NaN}', '{"successes": 1e999}',
]  # fmt: skip


@pytest.mark.parametrize("value", UNCOUNTED, ids=range(len(UNCOUNTED)))
def test_what_counts_nothing_is_no_pattern_to_count(memory: Memory, bank: Patterns, value: Any) -> None:
    """It is left as it is; but reading it harms nobody."""
    memory.store(KEY, value, namespace=BANK)
    before = memory.snapshot
    with pytest.raises(InvalidValueError, match=f"^{KEY}: "):
        bank.outcome("auth/jwt", True)
    assert memory.snapshot == before
    assert bank.show("auth/jwt").to_json()["outcomes"]["successes"] == 0
    assert keys(bank.list()) == [KEY]


@pytest.mark.parametrize("text", ['"\\ud800"', "NaN"], ids=["half", "nan"])
def test_a_text_that_no_json_holds_is_told_by_its_key(memory: Memory, bank: Patterns, text: str) -> None:
    """Whoever relates ten patterns has to know which of them to mend."""
    memory.store(KEY, f'{{"approach": {text}}}', namespace=BANK)
    bank.learn("auth/other", "Sign it")
    for change in (lambda: bank.outcome("auth/jwt", True), lambda: bank.relate("auth/other", "auth/jwt")):
        with pytest.raises(InvalidValueError, match=f"^{KEY}: .*/approach"):
            change()


@pytest.mark.parametrize("sessions", [10**400, 1e308, -3, 2.5, "many"], ids=["huge", "float", "less", "part", "text"])
def test_a_rate_that_nobody_can_have_counted_is_that_of_one_session(
    memory: Memory, bank: Patterns, sessions: Any
) -> None:
    """What is known of a pattern never keeps a question from its answer."""
    memory.store(KEY, {**SEED, "success_rate": 50, "sessions_used": sessions}, namespace=BANK)
    assert bank.show("auth/jwt").outcomes.tried == 1
    assert "said to succeed in 50 % (1 sessions)" in bank.recall("refresh tokens")[0].reasons[1]


def test_a_count_goes_as_far_as_all_programs_count(memory: Memory, bank: Patterns) -> None:
    """One more would be no count any more, and the pattern as if nobody had tried it."""
    memory.store(KEY, {"approach": "JWT", "successes": 1 << 53, "failures": 2.0}, namespace=BANK)
    bank.outcome("auth/jwt", False)
    bank.outcome("auth/jwt", True)
    assert counts(bank) == (1 << 53, 3, 100)


def test_an_outcome_counts_though_the_session_s_note_is_no_value(memory: Memory, bank: Patterns) -> None:
    """The note is there for a question at the end; it never keeps anybody from telling how it went."""
    bank.learn("auth/jwt", "JWT")
    mine = Patterns(memory.bind(session="s1"))
    mine.recall("JWT")
    commit_files(memory.path / ".git", {"coordination/session/s1/recalled.json": b"{"})
    with pytest.warns(UserWarning, match="the outcome is not noted in session s1: .*recalled"):
        mine.outcome("auth/jwt", True)
    assert counts(mine) == (1, 0, 100)


def test_outcomes_of_eight_processes_all_count(tmp_path: Path) -> None:
    """They meet at the same key, some of them at the same instant; their lessons are all there too."""
    crowd, turns = 8, 6
    with Memory.open(tmp_path, durability="fast") as memory:
        bank = Patterns(memory)
        bank.learn("auth/jwt", "JWT")
        tellers = [
            subprocess.Popen(
                [sys.executable, str(TELLER), str(tmp_path), f"teller-{number}", str(turns)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**os.environ, "PYTHONPATH": str(TELLER.parents[2])},
            )
            for number in range(crowd)
        ]  # fmt: skip
        for one in tellers:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in tellers:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        assert [one.communicate(timeout=120)[0] for one in tellers] == ["told\n"] * crowd
        value = bank.show("auth/jwt").entry.value
    half = crowd * turns // 2
    assert (value["successes"], value["failures"], value["success_rate"]) == (half, half, 50)
    assert len(value["lessons_learned"]) == crowd * turns
    assert len(value["sessions_used"]) == crowd


def test_copies_that_count_apart_lose_nothing_when_they_sync(tmp_path: Path) -> None:
    """Two machines, one server: outcomes are added up, lessons and relations united, and both arrive at one head."""
    run_git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "hub.git")
    first, second = (Memory.open(tmp_path / name, agent=name, durability="fast") for name in ("first", "second"))
    for memory in (first, second):
        memory.add_remote("origin", str(tmp_path / "hub.git"))
    for name in ("auth/jwt", "auth/oauth", "db/pool"):
        Patterns(first).learn(name, name)
    Patterns(first).outcome("auth/jwt", True)
    first.sync()
    second.sync()
    for memory, successes, failures, other in ((first, 2, 1, "auth/oauth"), (second, 3, 2, "db/pool")):
        apart = Patterns(memory.bind(session=f"session-{memory.agent}"))
        for number in range(successes + failures):
            apart.outcome("auth/jwt", number < successes, lesson=f"{memory.agent} {number}")
        apart.relate("auth/jwt", other)
    for memory in (first, second, first):
        assert [one.result for one in memory.sync().keys if one.result == "conflict"] == []
    assert first.snapshot == second.snapshot
    found = Patterns(second).show("auth/jwt")
    assert (found.outcomes.successes, found.outcomes.failures) == (1 + 2 + 3, 1 + 2)
    assert len(found.members["lessons_learned"]) == 3 + 5
    assert sorted(found.members["sessions_used"]) == ["session-first", "session-second"]
    assert sorted(found.members["related"]) == ["pattern/auth/oauth", "pattern/db/pool"]
    Patterns(second).outcome("auth/jwt", True)
    assert counts(Patterns(second)) == (7, 3, 70)


def test_a_run_that_is_undone_takes_its_outcomes_back_and_nobody_else_s(memory: Memory, bank: Patterns) -> None:
    """Counts are told apart by what the run added, not by what stood there."""
    bank.learn("auth/jwt", "JWT")
    bad, good = (Patterns(memory.bind(session=name)) for name in ("bad", "good"))
    good.outcome("auth/jwt", True)
    for lesson in ("wrong", "also wrong"):
        bad.outcome("auth/jwt", True, lesson=lesson)
    good.outcome("auth/jwt", False, lesson="right")
    memory.undo("bad")
    value = bank.show("auth/jwt").entry.value
    assert (value["successes"], value["failures"]) == (1, 1)
    assert (value["lessons_learned"], value["sessions_used"]) == (["right"], ["good"])


# --- recalling


@pytest.fixture
def full(bank: Patterns) -> Patterns:
    """A small bank, in which two say the same."""
    bank.learn("auth/jwt", "Rotate refresh tokens on every use, and sign access tokens with RS256")
    bank.learn("auth/rotation", "On every use rotate the refresh token; sign access tokens with RS256")
    bank.learn("auth/cookies", "Keep the session in an httpOnly cookie, never the refresh token in the page")
    bank.learn("db/pool", "One connection pool per process", lessons=["A token bucket in front of it is no help"])
    bank.learn("ci/cache", "Key the build cache by the lockfile")
    return bank


def test_a_question_is_answered_in_whatever_form_its_words_are(full: Patterns) -> None:
    """What is about it first, what names it in passing last, and nothing that says no word of it."""
    found = keys(full.recall("rotating a refreshed token"))
    assert found[0] in (KEY, "pattern/auth/rotation")
    assert found[-1] == "pattern/db/pool"
    assert "pattern/ci/cache" not in found


def test_what_worked_comes_first_among_what_says_the_same(full: Patterns) -> None:
    """Relevance alone would prefer the shorter text."""
    before = keys(full.recall("rotate refresh tokens"))
    assert {*before[:2]} == {KEY, "pattern/auth/rotation"}
    for _ in range(5):
        full.outcome(before[1], True)
        full.outcome(before[0], False)
    found = {one.entry.key: one.reasons for one in full.recall("rotate refresh tokens")}
    assert next(iter(found)) == before[1]
    assert "5 of 5 succeeded, so at least 57 % do (95 % sure)" in found[before[1]]
    assert "0 of 5 succeeded, so at most 43 % do (95 % sure)" in found[before[0]]


def test_each_says_in_words_why_it_was_chosen(memory: Memory, full: Patterns, clock: Clock) -> None:
    """Whoever follows advice wants to know what it stands on."""
    full.outcome("auth/jwt", True)
    clock.advance(3 * 86_400)
    found = {one.entry.key: one.reasons for one in full.recall("How do I rotate refresh tokens?")}
    assert found[KEY] == (
        "speaks of rotate, refresh, tokens",
        "1 of 1 succeeded, so at least 21 % do (95 % sure)",
        "last learned or tried 3 days ago (2026-02-02)",
    )
    assert found["pattern/db/pool"][:2] == ("speaks of tokens", "not tried yet")
    assert all("preferred" not in reason for reasons in found.values() for reason in reasons)
    found = {one.entry.key: one.reasons for one in full.recall("refresh token")}
    assert [*found][1] == "pattern/auth/cookies"
    assert found["pattern/auth/cookies"][-1] == (
        f"preferred to pattern/auth/rotation, which says nearly the same as {KEY}"
    )


def test_a_domain_is_asked_alone(full: Patterns) -> None:
    """Named as anybody would name it; one that merely begins like it is another."""
    full.learn("authority/tokens", "Tokens of authority")
    for domain in ("auth", "auth/", "pattern/auth", "pattern/auth/"):
        assert {key.split("/")[1] for key in keys(full.recall("tokens", domain=domain))} == {"auth"}
    assert full.recall("tokens", domain="nowhere") == []
    assert full.recall("tokens", domain="*") == []
    assert keys(full.list("db")) == ["pattern/db/pool"]
    assert full.domains() == ["auth", "authority", "ci", "db"]


def test_a_limit_is_kept_and_a_wrong_one_refused(full: Patterns) -> None:
    """The beginning of a longer answer."""
    assert keys(full.recall("tokens", limit=2)) == keys(full.recall("tokens"))[:2]
    assert full.recall("tokens", limit=0) == []
    for wrong in (-1, True, 2.0, "5"):
        with pytest.raises(InvalidValueError):
            full.recall("tokens", limit=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("question", ["", " ", "???", "zebra", "🦓", "what is it"])
def test_a_question_that_nothing_speaks_of_has_no_answer(full: Patterns, question: str) -> None:
    """Better none than five that have nothing to do with it."""
    assert [one.entry.key for one in full.recall(question) if one.words == ()] == []


def test_other_keys_of_the_namespace_are_no_answers(memory: Memory, full: Patterns) -> None:
    """They may lie there, and even answer better; they are not patterns."""
    for number in range(60):
        memory.store(f"notes/tokens-{number}", "tokens tokens tokens", namespace=BANK)
    assert keys(full.recall("tokens"))
    assert all(key.startswith("pattern/") for key in keys(full.recall("tokens")))


def test_a_pattern_that_is_gone_is_not_recalled(memory: Memory, full: Patterns, clock: Clock) -> None:
    """Deleted, or expired a second ago."""
    memory.delete("pattern/auth/rotation", namespace=BANK)
    memory.store("pattern/auth/short", {"approach": "tokens for an hour"}, ttl=3600, namespace=BANK)
    assert "pattern/auth/short" in keys(full.recall("tokens"))
    clock.advance(3601)
    assert not {"pattern/auth/rotation", "pattern/auth/short"} & {*keys(full.recall("tokens"))}


# --- the session's note


def noted(memory: Memory, session: str = "s1") -> Any:
    return memory.retrieve(f"session/{session}/recalled", None, namespace=COORDINATION)


def test_what_a_session_recalled_is_noted_in_it_until_its_outcome_is_told(memory: Memory, full: Patterns) -> None:
    """The end of the session asks for what is still open; the first question stays."""
    mine = Patterns(memory.bind(session="s1"))
    first = mine.recall("rotate refresh tokens", limit=1)[0].entry
    note = {"question": "rotate refresh tokens", "version": 1, "time": "2026-02-02T12:00:00Z", "outcome": None}
    assert noted(memory) == {first.key: note}
    found = mine.recall("tokens", limit=4)
    assert {*noted(memory)} == {*keys(found)} > {first.key}
    assert noted(memory)[first.key] == note
    before = len(memory.log())
    mine.outcome(first.key, False)
    assert noted(memory)[first.key] == {**note, "outcome": "failure"}
    assert len(memory.log()) == before + 1


def test_a_recall_that_tells_nothing_new_writes_nothing(memory: Memory, full: Patterns) -> None:
    """Agents ask again and again; without a session, or where nobody wants it, there is no note at all."""
    mine = Patterns(memory.bind(session="s1"))
    mine.recall("tokens", note=False)
    full.recall("tokens")
    assert noted(memory) is None
    mine.recall("tokens")
    before = memory.snapshot
    mine.recall("tokens")
    assert memory.snapshot == before


def test_an_outcome_of_what_was_never_recalled_is_not_noted(memory: Memory, full: Patterns) -> None:
    """It counts, and the session has used the pattern; but it was not an answer."""
    mine = Patterns(memory.bind(session="s1"))
    mine.outcome("auth/jwt", True)
    assert noted(memory) is None
    mine.recall("connection pool", limit=1)
    mine.outcome("auth/jwt", True)
    assert [*noted(memory)] == ["pattern/db/pool"]


def test_a_note_that_is_gone_meanwhile_is_not_begun_by_an_outcome() -> None:
    """Somebody may clean the session's keys between the look at its note and the commit."""
    told = with_outcome(KEY, "success")
    assert (told({}), told({"pattern/db/pool": {"outcome": None}})) == ({}, {"pattern/db/pool": {"outcome": None}})
    assert told({KEY: {"version": 1, "outcome": None}}) == {KEY: {"version": 1, "outcome": "success"}}


def test_an_answer_that_cannot_be_noted_is_an_answer(
    memory: Memory, full: Patterns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key of a session so long that it is none stands for a disk that is full: the answer comes, with a warning."""
    mine = Patterns(memory.bind(session="s" * 250))
    with pytest.warns(UserWarning, match="not noted in session"):
        assert mine.recall("tokens")


@pytest.mark.parametrize("way", ["plain", "branch"])
def test_a_branch_has_a_bank_of_its_own(memory: Memory, full: Patterns, way: str) -> None:
    """What is tried out on a branch is recalled there, and elsewhere once it is merged."""
    other = memory.branch("try") if way == "branch" else memory
    Patterns(other).learn("auth/paseto", "PASETO tokens")
    assert ("pattern/auth/paseto" in keys(full.recall("paseto"))) is (way == "plain")
    memory.merge("try") if way == "branch" else None
    assert "pattern/auth/paseto" in keys(full.recall("paseto"))


def test_how_a_pattern_evolved_is_its_history(memory: Memory, bank: Patterns) -> None:
    """Each lesson with who found it out, and when; an earlier approach can be brought back."""
    bank.learn("auth/jwt", "JWT")
    Patterns(memory.bind(agent="bob")).learn("auth/jwt", "Opaque tokens")
    bank.outcome("auth/jwt", True)
    history = memory.history(KEY, namespace=BANK)
    told: Callable[[Any], tuple[str, str]] = lambda one: (one.agent, one.value["approach"])  # noqa: E731
    assert [told(one) for one in history] == [("ann", "Opaque tokens"), ("bob", "Opaque tokens"), ("ann", "JWT")]
    assert memory.blame(KEY, namespace=BANK)["/approach"].agent == "bob"
