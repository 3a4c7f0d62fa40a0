"""Full-text search: every answer against a plain scan of all values, whatever happened since the last one."""

from __future__ import annotations

import itertools
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitmem import InvalidPatternError, InvalidValueError, Memory
from gitmem.finding import SNIPPET, Hit, excerpt
from gitmem.index import text_marks
from gitmem.index.text import TextIndex
from gitmem.index.text_words import question, text_of
from gitmem.keys import REASONING_BANK
from gitmem.vault import Unreadable
from tests.conftest import Clock
from tests.foreign import commit_files, run_git
from tests.plain_scan import scan

KNOWN = {
    "auth/jwt": {"approach": "JWT with refresh tokens", "n": 3.14, "lessons": ["Rotate them", "Café crème"]},
    "auth/session": "refreshing a session needs no TOKENS at all: tokens, refresh",
    "zh/令牌": {"方法": "更新令牌GitHub上"},
    "ko": "토큰을 새로 고침",
    "th": "การใช้โทเค็นใหม่",
    "hi": "हिन्दी में लिखा",
    "user_name": {"email": "ann@example.org", "done": True, "left": None, "path": "src/auth/service.py"},
    "numbers": [1, -2.5, 1e300, 12345678901234567890],
}


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    """A memory with a few values, in one namespace."""
    memory = Memory.open(tmp_path / "memory", agent="ann")
    with memory.transaction() as tx:
        for key, value in KNOWN.items():
            tx.store(key, value)
    return memory


def keys(hits: list[Hit]) -> list[str]:
    return [hit.entry.key for hit in hits]


def found(memory: Any, text: str, **options: Any) -> set[tuple[str, str]]:
    return {(hit.entry.namespace, hit.entry.key) for hit in memory.find(text, limit=1000, **options)}


def marked(hit: Hit) -> list[str]:
    return [hit.snippet[low:high] for low, high in hit.marks]


# --- what can be asked

QUESTIONS = {
    "word": ("refresh", {"auth/jwt", "auth/session"}),
    "all": ("refresh jwt", {"auth/jwt"}),
    "phrase": ('"refresh tokens"', {"auth/jwt"}),
    "open": ('"refresh tokens', {"auth/jwt"}),
    "two": ('"refresh tokens" "rotate them"', {"auth/jwt"}),
    "begin": ("refr*", {"auth/jwt", "auth/session"}),
    "part": ("fresh", set()),
    "begun": ('"needs no tok"*', {"auth/session"}),
    "case": ("CAFÉ", {"auth/jwt"}),
    "plain": ("creme", {"auth/jwt"}),
    "key": ("session auth", {"auth/session"}),
    "both": ("auth rotate", {"auth/jwt"}),
    "name": ("方法", {"zh/令牌"}),
    "zh": ("令牌", {"zh/令牌"}),
    "zh-far": ("更令", set()),
    "zh-begin": ("更新令*", {"zh/令牌"}),
    "mixed": ("github", {"zh/令牌"}),
    "ko": ("토큰", {"ko"}),
    "th": ("โทเค็น", {"th"}),
    "hi": ("हिन्दी", {"hi"}),
    "hi-far": ("हेन्दे", set()),
    "snake": ("name", {"user_name"}),
    "mail": ("ann@example.org", {"user_name"}),
    "path": ("auth/service.py", {"user_name"}),
    "true": ("true", set()),
    "null": ("null", set()),
    "float": ("3.14", {"auth/jwt"}),
    "minus": ("-2.5", {"numbers"}),
    "huge": ("1e+300", {"numbers"}),
    "long": ("12345678901234567890", {"numbers"}),
    "nowhere": ("zebra", set()),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_finds(memory: Memory, name: str) -> None:
    """The whole language: words, phrases, beginnings; in keys, names, texts, numbers; in any script."""
    asked, expected = QUESTIONS[name]
    assert set(keys(memory.find(asked))) == expected


@pytest.mark.parametrize(
    "asked",
    ["refresh OR zebra", "refresh NOT jwt", "NEAR(refresh tokens)", "body:refresh", "-refresh jwt", "^jwt auth",
     "{key}: refresh", "refresh + zebra", "(refresh jwt", "'; drop table words; --", 'a"b"c', "refresh\x00jwt",
     "jwt\udce9", "*jwt", "jwt**", "refresh AND jwt"],
)  # fmt: skip
def test_nothing_else_is_syntax(memory: Memory, asked: str) -> None:
    """FTS5 has operators; who looks for the word OR means the word."""
    assert found(memory, asked) == scan(memory, asked.replace("\udce9", " ").replace("\0", " "))


@pytest.mark.parametrize("text", ["", " ", "!!", '""', '"', "*", "---", "🎉"])
def test_a_question_without_a_word_is_refused(memory: Memory, text: str) -> None:
    """Everything or nothing would both be a surprise."""
    with pytest.raises(InvalidPatternError, match="no word"):
        memory.find(text)


@pytest.mark.parametrize("text", [None, 3, b"x", ["x"]], ids=str)
def test_a_question_is_text(memory: Memory, text: Any) -> None:
    """Not a crash of some regular expression."""
    with pytest.raises(InvalidPatternError, match="is text"):
        memory.find(text)
    with pytest.raises(InvalidPatternError, match="is text"):
        memory.rank(text, namespace=REASONING_BANK)


def test_a_question_of_a_whole_book_is_refused(memory: Memory) -> None:
    """Its time grows with the square of the words: half a minute for a book."""
    assert memory.find(" ".join(["refresh"] * 1000)) != []
    with pytest.raises(InvalidPatternError, match="1,001 words"):
        memory.find(" ".join(["refresh"] * 1001))


@pytest.mark.parametrize("options", [{"limit": -1}, {"offset": -1}, {"limit": "1"}, {"offset": None}], ids=str)
def test_a_number_of_entries_is_asked_for(memory: Memory, options: Any) -> None:
    """As in `search`."""
    with pytest.raises(InvalidValueError):
        memory.find("refresh", **options)


# --- where


def test_every_namespace_is_searched_unless_one_is_named(memory: Memory) -> None:
    """Who looks for words does not know where they are."""
    memory.store("jwt", "elsewhere", namespace="notes")
    assert found(memory, "jwt") == {("default", "auth/jwt"), ("notes", "jwt")}
    assert found(memory, "jwt", namespace="notes") == {("notes", "jwt")}
    assert found(memory, "jwt", namespace="nobody") == set()
    assert found(memory.bind(namespace="notes"), "jwt") == {("default", "auth/jwt"), ("notes", "jwt")}


def test_a_glob_narrows(memory: Memory) -> None:
    """With and without a namespace; a malformed one is refused even where nothing is found."""
    memory.store("auth/other", "refresh", namespace="notes")
    assert found(memory, "refresh", glob="*/jwt") == {("default", "auth/jwt")}
    assert found(memory, "refresh", glob="auth/*", namespace="notes") == {("notes", "auth/other")}
    with pytest.raises(InvalidPatternError):
        memory.find("zebra", glob="[")


def test_pages_are_the_whole_in_one_order(memory: Memory) -> None:
    """Best first, then by namespace and key: equals never swap between two pages."""
    with memory.transaction() as tx:
        for number in range(40):
            tx.store(f"same/{number:02d}", "equal words", namespace=("a", "b")[number % 2])
            tx.store(f"more/{number:02d}", "equal " * (number % 5 + 1))
    whole = memory.find("equal", limit=1000)
    order = [(-hit.score, hit.entry.namespace, hit.entry.key) for hit in whole]
    assert order == sorted(order)
    assert len(order) == 80
    for size in (1, 7, 80):
        pages = [memory.find("equal", limit=size, offset=start) for start in range(0, 80, size)]
        assert [hit for page in pages for hit in page] == whole
    assert memory.find("equal", limit=0) == memory.find("equal", offset=80) == []
    assert memory.find("equal", limit=10**30) == whole


def test_a_word_in_the_key_weighs_more(memory: Memory) -> None:
    """What a thing is called says more than what is said in it."""
    memory.store("a/one", "deployment")
    memory.store("b/deployment", "one")
    assert keys(memory.find("deployment")) == ["b/deployment", "a/one"]


# --- right after whatever happened


def test_deleted_and_overwritten_words_are_gone(memory: Memory) -> None:
    """The index forgets word by word, and counts what is left as if nothing else had ever been there."""
    memory.find("refresh")
    memory.delete("auth/jwt")
    memory.store("auth/session", "now about cookies")
    assert found(memory, "refresh") == set()
    assert found(memory, "cookies") == {("default", "auth/session")}
    memory.restore("auth/jwt", version=1)
    assert found(memory, "refresh") == {("default", "auth/jwt")}


def test_what_has_expired_is_not_found(tmp_path: Path, clock: Clock) -> None:
    """Expiry is judged by the reader's clock: no commit tells of it. The page is filled with what is left."""
    memory = Memory.open(tmp_path / "memory", clock=clock)
    for number in range(5):
        memory.store(f"short/{number}", "lease lease", ttl=10)
        memory.store(f"long/{number}", "a lease among many other words", ttl=100)
    assert len(memory.find("lease")) == 10
    clock.advance(11)
    assert keys(memory.find("lease", limit=3)) == ["long/0", "long/1", "long/2"]
    assert keys(memory.find("lease", limit=3, offset=3)) == ["long/3", "long/4"]
    clock.advance(100)
    assert memory.find("lease") == []


def test_commits_of_other_tools_are_found(memory: Memory) -> None:
    """A person edits a file with plain git, adds one, removes one, and puts down what is no key."""
    memory.find("refresh")
    files = {
        "default/auth/jwt.json": b'"written by hand"',
        "default/new.json": b'{"by": "hand"}',
        "default/ko.json": None,
        "README.md": b"by hand",
    }
    commit_files(memory.vault.repository.git_dir, files)
    assert found(memory, "hand") == {("default", "auth/jwt"), ("default", "new")}
    assert found(memory, "토큰") == found(memory, "refresh jwt") == set()


def test_branches_are_told_apart(memory: Memory) -> None:
    """One file serves all branches: it goes to where it is asked, and back."""
    edits = memory.branch("edits")
    edits.store("auth/jwt", "only on the branch")
    for _ in range(2):
        assert found(memory, "branch") == set()
        assert found(edits, "branch") == {("default", "auth/jwt")}
        assert ("default", "auth/jwt") in found(memory, "refresh")
    memory.merge("edits")
    assert found(memory, "branch") == {("default", "auth/jwt")}


def test_the_past_can_be_searched(memory: Memory) -> None:
    """The same verbs as everywhere, over an old commit."""
    before = memory.snapshot
    memory.delete("auth/jwt")
    assert found(memory, "jwt") == set()
    assert found(memory.at(before), "jwt") == {("default", "auth/jwt")}
    assert found(memory, "jwt") == set()


def test_a_history_that_was_rewritten_is_no_trouble(memory: Memory) -> None:
    """The tree that the index stood at, and the texts to take out of it, are gone for good."""
    start = memory.snapshot
    memory.store("lost", "words that were only here")
    assert found(memory, "only here") == {("default", "lost")}
    git_dir = memory.vault.repository.git_dir
    run_git(git_dir, "update-ref", "refs/heads/main", start)
    run_git(git_dir, "reflog", "expire", "--expire=now", "--all")
    run_git(git_dir, "gc", "--prune=now", "--quiet")
    again = Memory.open(memory.path)
    assert found(again, "only here") == set()
    assert found(again, "refresh") == {("default", "auth/jwt"), ("default", "auth/session")}


WORDS = ["red", "green", "blue", "Grün", "rot-grün", "绿色", "blue green", "7"]
VALUES = st.recursive(
    st.sampled_from(WORDS) | st.integers(0, 9) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS[:6]), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["red", "a/blue", "a/b", "x-1", "绿"])
SPACES = st.sampled_from(["default", "notes", REASONING_BANK])
STEPS = st.one_of(
    st.tuples(st.just("store"), SPACES, KEYS, VALUES),
    st.tuples(st.just("store"), SPACES, KEYS, VALUES),
    st.tuples(st.just("lease"), SPACES, KEYS, st.sampled_from([1, 5])),
    st.tuples(st.just("delete"), SPACES, st.sampled_from(["**", "a/*", "red"]), st.none()),
    st.tuples(st.just("foreign"), SPACES, KEYS, VALUES),
    st.tuples(st.just("broken"), SPACES, KEYS, st.none()),
    st.tuples(st.just("branch"), st.sampled_from(["main", "one"]), st.none(), st.none()),
    st.tuples(st.just("merge"), st.none(), st.none(), st.none()),
    st.tuples(st.just("time"), st.none(), st.none(), st.sampled_from([1, 3])),
    st.tuples(st.just("reopen"), st.none(), st.none(), st.none()),
)
ASKED = st.sampled_from(
    ["red", "gre*", "grun", '"blue green"', '"green blue"', "绿", "绿色", "色", "7", "b", "red blue", "1", "a*", "true"]
)


@settings(max_examples=60)
@given(steps=st.lists(st.tuples(STEPS, ASKED), min_size=1, max_size=14))
@pytest.mark.filterwarnings("ignore::gitmem.vault.Unreadable")
def test_every_answer_is_that_of_a_plain_scan(steps: list[Any]) -> None:
    """After any history, on any branch: what is found, and how well, is as if the index had just been built."""
    clock = Clock(datetime(2026, 2, 2, 12, tzinfo=UTC))
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory.open(folder, clock=clock)
        memory.branch("one")
        for (verb, space, key, given), asked in steps:
            memory = _done(memory, clock, verb, space, key, given)
            hits = memory.find(asked, limit=1000)
            assert {(hit.entry.namespace, hit.entry.key) for hit in hits} == scan(memory, asked)
            assert all(hit.entry == memory.entry(hit.entry.key, namespace=hit.entry.namespace) for hit in hits)
            fresh = Memory.open(folder, clock=clock, branch=memory.branch_name)
            fresh.vault.text = TextIndex(None, fresh.vault.objects)
            assert fresh.find(asked, limit=1000) == hits
            ranked = memory.rank("blue green red", namespace=REASONING_BANK)
            assert fresh.rank("blue green red", namespace=REASONING_BANK) == ranked
            fresh.close()
        memory.close()


def _done(memory: Memory, clock: Clock, verb: str, space: Any, key: Any, given: Any) -> Memory:
    """One step of a history; the memory to go on with."""
    path = f"{space}/{key}.json"
    clock.advance(0.5)
    if verb in ("foreign", "broken"):
        body = b"{" if verb == "broken" else json.dumps(given, ensure_ascii=False).encode()
        git_dir, time = memory.vault.repository.git_dir, int(clock.now.timestamp())
        commit_files(git_dir, {path: body}, branch=memory.branch_name, time=time)
    elif verb == "store":
        memory.store(key, given, namespace=space)
    elif verb == "lease":
        memory.store(key, "red lease", ttl=given, namespace=space)
    elif verb == "delete":
        memory.delete_matching(key, namespace=space)
    elif verb == "branch":
        return memory.bind(branch=space)
    elif verb == "merge":
        memory.merge("one" if memory.branch_name == "main" else "main")
    elif verb == "time":
        clock.advance(given)
    elif verb == "reopen":
        memory.close()
    return memory


# --- files that are no values


def test_a_file_that_is_no_value_is_left_out_and_named(memory: Memory) -> None:
    """As in `search`: one broken file hides no other, and nobody takes the answer for the whole one."""
    commit_files(memory.vault.repository.git_dir, {"default/auth/jwt.json": b"{refresh"})
    for _ in range(2):
        with pytest.warns(Unreadable, match="auth/jwt") as told:
            assert keys(memory.find("refresh")) == ["auth/session"]
        assert len(told) == 1
    assert memory.find("refresh", glob="*/session") != []  # no warning: it was not asked about
    assert memory.find("refresh", namespace="notes") == []
    memory.store("auth/jwt", "mended, to refresh")
    assert set(keys(memory.find("refresh"))) == {"auth/jwt", "auth/session"}


def test_what_has_expired_is_not_warned_of(tmp_path: Path, clock: Clock) -> None:
    """It is absent, broken or not."""
    memory = Memory.open(tmp_path / "memory", clock=clock)
    memory.store("lock", 1, ttl=10)
    time = int(clock.now.timestamp())
    commit_files(memory.vault.repository.git_dir, {"default/lock.json": b"{"}, time=time)
    with pytest.warns(Unreadable):
        memory.find("lock")
    clock.advance(20)
    assert memory.find("lock") == []


def test_the_limit_for_values_counts_here_too(memory: Memory) -> None:
    """A value that gitmem.toml forbids today is none; once it is allowed again, it is found."""
    memory.store("big", "elephant " * 200)
    assert keys(memory.find("elephant")) == ["big"]
    memory.settings.set("max_value_bytes", 1000)
    with pytest.warns(Unreadable, match="larger than 1000 bytes"):
        assert memory.find("elephant") == []
    derived = memory.vault.repository.derived
    memory.close()
    (derived / "text.sqlite3").unlink()
    with pytest.warns(Unreadable, match="larger than 1000 bytes"):
        assert memory.find("elephant") == []
    memory.settings.set("max_value_bytes", 10_000)
    assert keys(memory.find("elephant")) == ["big"]


def test_an_object_that_is_lost_is_found_again_when_it_is_back(memory: Memory) -> None:
    """`git fetch` brings a lost object back without any commit: the tree is the same, the words are not."""
    memory.store("frail", "porcelain")
    blob = run_git(memory.vault.repository.git_dir, "rev-parse", "main:default/frail.json").strip()
    path = memory.vault.repository.git_dir / "objects" / blob[:2] / blob[2:]
    body = path.read_bytes()
    path.unlink()
    memory = Memory.open(memory.path)
    for _ in range(2):
        with pytest.warns(Unreadable, match=blob):
            assert memory.find("porcelain") == []
    path.write_bytes(body)
    assert keys(Memory.open(memory.path).find("porcelain")) == ["frail"]


def test_a_text_that_can_no_longer_be_taken_out_is_no_trouble(memory: Memory) -> None:
    """FTS5 forgets a text only when it is told it again; without it, everything is built anew."""
    memory.store("frail", "porcelain cup")
    assert keys(memory.find("porcelain")) == ["frail"]
    blob = run_git(memory.vault.repository.git_dir, "rev-parse", "main:default/frail.json").strip()
    (memory.vault.repository.git_dir / "objects" / blob[:2] / blob[2:]).unlink()
    again, fresh = Memory.open(memory.path), Memory.open(memory.path)
    again.store("frail", "tin cup")
    fresh.vault.text = TextIndex(None, fresh.vault.objects)
    assert again.find("refresh") == fresh.find("refresh")
    assert keys(again.find("cup")) == ["frail"]
    assert again.find("porcelain") == []


# --- what is shown


def test_marks_are_where_the_words_are(memory: Memory) -> None:
    """In the text as in the key, by characters, whatever the script."""
    hits = {hit.entry.key: hit for hit in memory.find("refr* tokens")}
    assert marked(hits["auth/jwt"]) == ["refresh", "tokens"]
    assert marked(hits["auth/session"]) == ["refreshing", "TOKENS", "tokens", "refresh"]
    (hit,) = memory.find("令牌")
    assert marked(hit) == ["令牌"]
    assert [hit.entry.key[low:high] for low, high in hit.key_marks] == ["令牌"]
    (hit,) = memory.find('"refresh tokens"')
    assert hit.snippet == "approach: JWT with refresh tokens · lessons: Rotate them · Café crème · n: 3.14"
    assert marked(hit) == ["refresh tokens"]


def test_marks_survive_strange_characters(memory: Memory) -> None:
    """Control characters, the very signs that marks are made with, and widths that nobody sees."""
    memory.store("a\u200bkey/needle", "x\x02\x03y\u200b \x00 the\n\n\tneedle\u2028\x1b[31m 😀needle é")
    (hit,) = memory.find("needle")
    assert marked(hit) == ["needle", "needle"]
    assert [hit.entry.key[low:high] for low, high in hit.key_marks] == ["needle"]
    assert hit.snippet == "x y the needle [31m 😀needle é"


def test_a_snippet_shows_where_most_words_are(memory: Memory) -> None:
    """One line, not too long, cut between words; dots say what is left out."""
    memory.store("long", {"a": "needle " + "hay " * 200 + "needle in a needle stack " + "straw " * 200})
    (hit,) = memory.find("needle")
    assert marked(hit) == ["needle", "needle"]
    assert hit.snippet.startswith("…hay")
    assert hit.snippet.endswith("straw…")
    assert len(hit.snippet) <= SNIPPET + 2


def test_a_hit_in_the_key_alone_shows_how_the_value_begins(memory: Memory) -> None:
    """Something to recognise it by."""
    memory.store("only/here", "some words")
    (hit,) = memory.find("only here")
    assert (hit.snippet, hit.marks) == ("some words", ())
    memory.store("only/here", None)
    (hit,) = memory.find("only here")
    assert (hit.snippet, hit.marks) == ("", ())


def test_a_mark_longer_than_a_snippet_ends_with_it() -> None:
    """A phrase of half a page: what is marked is what is shown of it, without the dots."""
    text = "x " * 100 + "long " * 100
    shown, ((low, high),) = excerpt(text, ((200, 700),))
    assert shown[low:high] == shown[low:].removesuffix("…")
    assert text[200:].startswith(shown[low:high])


@given(
    text=st.text("ab  é绿", max_size=600),
    places=st.lists(st.tuples(st.integers(0, 600), st.integers(1, 9)), max_size=20),
)
def test_an_excerpt_keeps_its_marks(text: str, places: list[tuple[int, int]]) -> None:
    """Whatever is cut: marks say the same words as before, and at least one is shown if there was one."""
    marks = sorted({(low, low + size) for low, size in places if low + size <= len(text)})
    marks = [one for at, one in enumerate(marks) if all(one[0] >= other[1] for other in marks[:at])]
    shown, inside = excerpt(text, tuple(marks))
    assert len(shown) <= SNIPPET + 2
    assert shown.strip("…") in text
    assert bool(inside) == bool(marks)
    begin = text.index(shown.strip("…")) if not marks else None
    assert begin in (None, 0)
    told = [text[low:high] for low, high in marks]
    kept = [shown[low:high] for low, high in inside]
    assert any(told[at : at + len(kept)] == kept for at in range(len(told) + 1)) or (
        kept[:-1] == next(iter(_runs(told, kept)), None)
    )


def _runs(told: list[str], kept: list[str]) -> list[list[str]]:
    """The stretches of marks of which the last may have been cut at the edge."""
    size = len(kept)
    return [
        told[at : at + size - 1]
        for at in range(len(told) - size + 1)
        if told[at : at + size - 1] == kept[:-1] and told[at + size - 1].startswith(kept[-1])
    ]


@given(text=st.lists(st.sampled_from(["ab", "abc", "b", "绿色绿", "x" * 70, ""]), max_size=150).map(" ".join))
@pytest.mark.parametrize("asked", ["abc", '"abc b"', "绿色", "zebra"])
def test_a_long_text_is_marked_page_by_page(asked: str, text: str) -> None:
    """Highlighting is quadratic in the marks: minutes for a megabyte. A page more or less marks no other words."""
    term = question(asked).some
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(text_marks, "_PIECE", 60)
        patched.setattr(text_marks, "_OVERLAP", 15)
        ((_, paged),) = text_marks.marks(term, [("", text)])
    ((_, whole),) = text_marks.marks(term, [("", text)])
    assert bool(paged) == bool(whole)
    assert set(paged) <= set(whole)
    assert all(" ".join(text[low:high].split()) in asked for low, high in paged)


def test_a_phrase_between_two_pages_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages overlap."""
    monkeypatch.setattr(text_marks, "_PIECE", 60)
    monkeypatch.setattr(text_marks, "_OVERLAP", 15)
    for filler in ("ab ", "绿"):
        for lead in range(60):
            before = filler * lead + " "
            ((_, found),) = text_marks.marks('"abc b"', [("", f"{before}abc b {filler * 30}")])
            assert found == ((len(before), len(before) + 5),)


def test_a_book_is_found_by_its_last_word(memory: Memory) -> None:
    """And by a word that it has half a million times."""
    memory.store("book", "word " * 500_000 + "epilogue")
    assert marked(*memory.find("epilogue")) == ["epilogue"]
    (hit,) = memory.find("word epilogue")
    assert set(marked(hit)) == {"word"}
    assert len(hit.snippet) <= SNIPPET + 2


def test_a_hit_as_json_is_an_entry_and_what_is_shown(memory: Memory) -> None:
    """Programs read it: the members are a promise."""
    (hit,) = memory.find("rotate")
    told = json.loads(json.dumps(hit.to_json()))
    entry = memory.entry("auth/jwt").to_json()
    assert {name: told[name] for name in entry} == entry
    assert told.keys() - entry.keys() == {"snippet", "marks", "key_marks", "score"}
    assert [told["snippet"][low:high] for low, high in told["marks"]] == ["Rotate"]


@given(value=VALUES)
def test_a_value_s_text_is_one_line_without_what_is_no_word(value: Any) -> None:
    """It is what a person sees of it."""
    text = text_of(value)
    assert text == " ".join(text.split())
    assert text.isprintable()
    assert text == text_of(json.loads(json.dumps(value)))


# --- questions


@pytest.fixture
def bank(tmp_path: Path) -> Memory:
    """Patterns, as later sessions ask for them."""
    memory = Memory.open(tmp_path / "bank", namespace=REASONING_BANK)
    patterns = {
        "pattern/auth/jwt": ("JWT with refreshing tokens", ["Rotate each token"], {}),
        "pattern/auth/oauth": ("Leave signing in to others", ["Ask for few scopes"], {"py": "token = fetch()"}),
        "pattern/db/migrate": ("Migrate in small steps", ["Tokens of the old schema stay"], {}),
        "pattern/cache/令牌": ("刷新令牌的办法", [], {}),
    }
    with memory.transaction() as tx:
        for key, (approach, lessons, snippets) in patterns.items():
            value = {"approach": approach, "lessons_learned": lessons, "code_snippets": snippets, "success_rate": 90}
            tx.store(key, value)
    return memory


def ranked(memory: Memory, question: str, **options: Any) -> list[str]:
    return [one.entry.key.removeprefix("pattern/") for one in memory.rank(question, **options)]


def test_a_question_is_answered_by_any_of_its_words(bank: Memory) -> None:
    """By their stems; what stands in the approach weighs more than what stands in a snippet."""
    assert ranked(bank, "How do I refresh a token?") == ["auth/jwt", "db/migrate", "auth/oauth"]
    assert ranked(bank, "migrations") == ["db/migrate"]
    assert ranked(bank, "如何刷新令牌") == ["cache/令牌"]
    assert ranked(bank, "zebra") == ranked(bank, "?!") == ranked(bank, "") == []


def test_the_words_that_hit_are_named_as_they_were_asked(bank: Memory) -> None:
    """So that a person sees why."""
    first = bank.rank("Refreshed TOKENS, token and zebras")[0]
    assert first.entry == bank.entry("pattern/auth/jwt")
    assert first.words == ("Refreshed", "TOKENS", "token")
    assert first.to_json()["words"] == ["Refreshed", "TOKENS", "token"]
    assert [one.words for one in bank.rank("refreshed schema token")] == [
        ("refreshed", "token"), ("schema", "token"), ("token",),
    ]  # fmt: skip


def test_a_question_is_narrowed_by_a_glob_and_a_limit(bank: Memory) -> None:
    """A domain is a glob."""
    assert ranked(bank, "token", glob="pattern/db/*") == ["db/migrate"]
    assert ranked(bank, "token", limit=1) == ["auth/jwt"]
    assert ranked(bank, "token", limit=0) == []


def test_values_that_are_no_patterns_are_ranked_too(bank: Memory) -> None:
    """The namespace is anybody's to write; members of odd kinds are texts like others."""
    for number, value in enumerate(["zebra", ["zebra"], {"approach": {"deep": "zebra"}}, {"zebra": None}, 5, None]):
        bank.store(f"odd/{number}", value)
    assert set(ranked(bank, "zebras")) == {"odd/0", "odd/1", "odd/2", "odd/3"}


def test_only_the_reasoning_bank_is_kept_by_stems(bank: Memory) -> None:
    """An empty answer would say that nothing was learned."""
    with pytest.raises(InvalidValueError, match="default"):
        bank.rank("token", namespace="default")
    assert found(bank, "refreshing") == {(REASONING_BANK, "pattern/auth/jwt")}
    assert found(bank, "refresh") == set()


def test_ranking_follows_what_happens(bank: Memory) -> None:
    """Both kinds of words are kept in one step."""
    ranked(bank, "token")
    bank.delete("pattern/auth/jwt")
    bank.store("pattern/auth/oauth", {"approach": "nothing of the kind"})
    assert ranked(bank, "token") == ["db/migrate"]


def test_a_very_long_question_is_asked_by_its_first_words(bank: Memory) -> None:
    """An agent may ask with its whole prompt."""
    words = [f"word{number}" for number in range(99)]
    assert ranked(bank, " ".join([*words, "migrate", *words * 1000])) == ["db/migrate"]
    assert ranked(bank, " ".join([*words, "one", "migrate"])) == []


def test_ties_are_in_the_order_of_keys(bank: Memory) -> None:
    """On every copy the same, whichever was stored first."""
    for name in itertools.chain(reversed("abcdef"), "g"):
        bank.store(f"pattern/tie/{name}", {"approach": "walrus"})
        assert f"tie/{name}" in ranked(bank, "walrus")
    assert ranked(bank, "walrus", limit=3) == ["tie/a", "tie/b", "tie/c"]
    assert ranked(bank, "walrus") == [f"tie/{name}" for name in "abcdefg"]
