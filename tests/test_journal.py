"""The journal: entries that nothing overwrites, what other tools wrote, and pages for people."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitmem import InvalidValueError, Memory, MissingKeyError
from gitmem.keys import check_key
from gitmem.recipes import Journal
from gitmem.recipes.journal import KINDS, NAMESPACE, entry_of
from tests.conftest import Clock

PATIENT = {"author": "human", "content": "Approved by review.", "hitl_reviewed": True, "title": "Three phases",
           "timestamp": "2025-11-17T11:30:00Z", "type": "decision"}  # fmt: skip


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Any:
    with Memory.open(tmp_path / "a", agent="planner", durability="fast", clock=clock) as memory:
        yield memory


@pytest.fixture
def journal(memory: Memory) -> Journal:
    return Journal(memory)


# --- writing


def test_an_entry_says_who_when_and_in_which_session(memory: Memory) -> None:
    """Whoever reads the file in plain git needs nothing else."""
    journal = Journal(memory.bind(session="s1"))
    made = journal.add("The learning path\nwas written twice.", kind="decision", tags=["docs, process", "docs"])
    assert made.key.startswith("journal/2026-02-02/120000-the-learning-path-")
    assert (made.namespace, made.session, made.value) == (NAMESPACE, "s1", {
        "type": "decision", "title": "The learning path", "text": "The learning path\nwas written twice.",
        "tags": ["docs", "process"], "author": "planner", "session": "s1", "time": "2026-02-02T12:00:00Z",
    })  # fmt: skip
    (read,) = journal.entries()
    assert (read.key, read.kind, read.title, read.author, read.session) == (
        made.key, "decision", "The learning path", "planner", "s1",
    )  # fmt: skip
    assert read == journal.entry(made.key)


def test_the_journal_lies_where_it_lies_whatever_the_memory_is_bound_to(memory: Memory) -> None:
    """An agent of a run is bound to the run's namespace; its insight belongs into the journal all the same."""
    Journal(memory.bind(namespace="coordination")).add("one")
    Journal(memory, namespace="diary").add("two")
    assert {name: len(memory.list(namespace=name)) for name in memory.namespaces()} == {NAMESPACE: 1, "diary": 1}


def test_entries_of_one_second_never_overwrite_each_other(journal: Journal, memory: Memory) -> None:
    """Also the very same words, from threads at once: each was acknowledged, so each is there."""
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda text: journal.add(text, title="one title"), ["same"] * 6 + ["a", "b"]))
    assert len({one.key for one in made}) == 8
    assert sorted(one.text for one in journal.entries()) == ["a", "b"] + ["same"] * 6
    assert memory.list(namespace=NAMESPACE) == sorted(one.key for one in made)


def test_entries_that_two_copies_made_in_one_second_are_all_there(tmp_path: Path, clock: Clock, git: Any) -> None:
    """Same agent, same title, other words: after a sync nobody's words have won, and nobody is asked."""
    git(tmp_path, "init", "-q", "--bare", "hub")
    copies = [Memory.open(tmp_path / name, agent="planner", durability="fast", clock=clock) for name in "ab"]
    for copy, text in zip(copies, ["left", "right"], strict=True):
        copy.add_remote("origin", str(tmp_path / "hub"))
        Journal(copy).add(text, title="one title")
        Journal(copy).add("of both")
    for copy in [*copies, copies[0]]:
        copy.sync()
    for copy in copies:
        assert [one.text for one in Journal(copy).entries()] == ["of both", *sorted(["left", "right"], key=_nth(copy))]
        assert copy.conflicts() == []
        copy.close()


def _nth(memory: Memory) -> Any:
    keys = {one.value["text"]: one.key for one in memory.search("**", namespace=NAMESPACE)}
    return keys.__getitem__


@given(st.text(max_size=200))
def test_any_title_makes_a_key(text: str) -> None:
    """In whatever script, however long: what can be said can be written down."""
    from gitmem.recipes.journal import key_of

    key = key_of(datetime(2026, 2, 2, 12, tzinfo=UTC), {"title": text.encode(errors="ignore").decode(), "type": "x"})
    check_key(key)
    assert len(key.encode()) < 240
    assert key.startswith("journal/2026-02-02/120000-")


@pytest.mark.parametrize(
    ("title", "slug"),
    [("Docs drift!", "docs-drift"), ("日本語 の題", "日本語-の題"), ("हिन्दी में", "हिन्दी-में"), ("Grüße/..", "grüße"),
     ("❤️ !?", "insight"), ("a" * 60, "a" * 40), ("words " * 20, "-".join(["words"] * 6))],
    ids=["ascii", "cjk", "marks", "slash", "nothing", "long", "words"],
)  # fmt: skip
def test_a_key_reads_like_its_title(journal: Journal, title: str, slug: str) -> None:
    """A person finds it in a listing of files; a word is not cut in the middle where there is a better place."""
    assert journal.add("text", title=title).key.rpartition("-")[0] == f"journal/2026-02-02/120000-{slug}"


@pytest.mark.parametrize(
    ("text", "title"),
    [("# A heading #1\n\nmore", "A heading #1"), ("\n\n  spaced   out \n", "spaced out"), ("x" * 81, "x" * 79 + "…"),
     ("\x1b[31mred", "[31mred"), ("###", "insight")],
    ids=["heading", "spaces", "long", "escape", "signs"],
)  # fmt: skip
def test_without_a_title_the_first_line_is_it(journal: Journal, text: str, title: str) -> None:
    """Whoever is in a hurry writes one sentence; the text stays as it was written."""
    made = journal.add(text)
    assert (made.value["title"], made.value["text"]) == (title, text.strip())


@pytest.mark.parametrize(
    ("given", "pointer"),
    [({"text": " \n"}, "/text"), ({"kind": "idea"}, "/type"), ({"title": " "}, "/title"), ({"title": "a\nb"}, "/title"),
     ({"title": "a\x1b"}, "/title"), ({"title": "a\u2028b"}, "/title")],
    ids=["text", "type", "blank", "lines", "escape", "separator"],
)  # fmt: skip
def test_what_is_no_entry_is_refused(journal: Journal, memory: Memory, given: dict[str, Any], pointer: str) -> None:
    """With the place, and nothing is written."""
    before = memory.snapshot
    with pytest.raises(InvalidValueError) as refused:
        journal.add(**{"text": "words", **given})
    assert (refused.value.pointer, bool(refused.value.hint)) == (pointer, True)
    assert memory.snapshot == before


# --- what others wrote


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("journal:2025-11-17-11:30:00", PATIENT, ("2025-11-17 11:30:00", "decision", "Three phases",
                                                  "Approved by review.", "human", {"hitl_reviewed": True})),
        ("journal:2025-11-17-11:30:00", "Two lines\nof text", ("2025-11-17 11:30:00", None, "Two lines",
                                                               "Two lines\nof text", "planner", {})),
        ("journal/2025-11-17/integration-insights", "plain", ("2025-11-17 00:00:00", None, "plain", "plain", "planner",
                                                              {})),
        ("journal/2026-02-02/integration-insights", {"x": 1}, ("2026-02-02 12:00:00", None, "integration insights", "",
                                                               "planner", {"x": 1})),
        ("journal/2025-11-17/113000-note", ["a"], ("2025-11-17 11:30:00", None, '["a"]', '["a"]', "planner", {})),
        ("journal/2025-11-17/999999-note", "a", ("2025-11-17 00:00:00", None, "a", "a", "planner", {})),
        ("journal/2025-13-17", {"timestamp": 1763379000000}, ("2025-11-17 11:30:00", None, "2025 13 17", "", "planner",
                                                              {})),
        ("journal/note", {"time": 1763379000, "kind": "Lesson", "message": "m", "agent": "a"},
         ("2025-11-17 11:30:00", "Lesson", "m", "m", "a", {})),
        ("journal/note", {"time": "2025-11-17T12:30:00+01:00", "title": ["no text"], "tags": 3},
         ("2025-11-17 11:30:00", None, "note", "", "planner", {})),
        ("journal/note", '{"content": "in a text", "timestamp": "soon"}',
         ("2026-02-02 12:00:00", None, "in a text", "in a text", "planner", {})),
        ("journal/note", "{not JSON", ("2026-02-02 12:00:00", None, "{not JSON", "{not JSON", "planner", {})),
    ],
    ids=["object", "text", "named", "today", "timed", "no-time", "millis", "seconds", "offset", "inside", "brace"],
)  # fmt: skip
def test_older_entries_are_read_too(memory: Memory, key: str, value: Any, read: tuple[Any, ...]) -> None:
    """Whatever an older tool called it; what nobody knows is kept, and never breaks the reading of the others."""
    memory.store(key, value, namespace=NAMESPACE)
    (one,) = Journal(memory).entries()
    told = (f"{one.time:%Y-%m-%d %H:%M:%S}", one.kind, one.title, one.text, one.author, dict(one.more))
    assert told == read
    assert one.to_json()["entry"]["value"] == value


@pytest.mark.parametrize(
    "value",
    [{"time": 10**400}, {"time": -(10**400)}, {"time": 1e308}, '{"time": NaN}', '{"time": Infinity}',
     {"timestamp": "0001-01-01T00:00:00+23:59"}],
    ids=["huge", "negative", "float", "nan", "infinite", "before"],
)  # fmt: skip
def test_a_time_that_no_clock_shows_is_none(memory: Memory, value: Any) -> None:
    """One such entry would keep everybody from reading all the others; its key still tells when it was."""
    memory.store("journal:2025-11-17-11:30:00", value, namespace=NAMESPACE)
    (one,) = Journal(memory).entries()
    assert one.to_json()["time"] == "2025-11-17T11:30:00Z"


def test_the_tags_of_older_entries_may_be_one_text(memory: Memory) -> None:
    """With commas; each counts once."""
    memory.store("journal/a", {"labels": "docs, process,,docs"}, namespace=NAMESPACE)
    assert Journal(memory).entries()[0].tags == ("docs", "process")


def test_other_keys_are_no_entries(memory: Memory, journal: Journal) -> None:
    """The namespace is open to all; a plan that somebody keeps there is not read as a diary."""
    memory.store("journals/2026-02-02/x", "no", namespace=NAMESPACE)
    memory.store("notes/x", "no", namespace=NAMESPACE)
    assert journal.entries() == []
    with pytest.raises(InvalidValueError, match="no entry of the journal"):
        journal.entry("notes/x")
    with pytest.raises(MissingKeyError):
        journal.entry("journal/x")
    assert entry_of(memory.entry("notes/x", namespace=NAMESPACE)) is None


# --- choosing


@pytest.fixture
def filled(memory: Memory, clock: Clock) -> Journal:
    """Five entries: an old one, two on 2 February, one each on the next two days."""
    memory.store("journal:2025-11-17-11:30:00", PATIENT, namespace=NAMESPACE)
    Journal(memory.bind(session="s1")).add("Refresh tokens rotate", kind="insight", tags=["Auth", "tokens"])
    clock.advance(3600)
    Journal(memory.bind(agent="coder")).add("No access to the database", kind="blocker")
    clock.advance(24 * 3600)
    Journal(memory.bind(agent="coder", session="s1")).add("Straße gesperrt", kind="question", tags=["auth"])
    clock.advance(24 * 3600)
    Journal(memory).add("Done", kind="milestone", title="Phase one")
    return Journal(memory)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "01234"), ({"day": "2026-02-02"}, "12"), ({"day": date(2026, 2, 3)}, "3"), ({"day": "2025-11-17"}, "0"),
        ({"day": "today"}, "4"), ({"day": "yesterday"}, "3"), ({"since": "2026-02-03"}, "34"),
        ({"day": datetime(2026, 2, 2, 23, 30, tzinfo=timezone(timedelta(hours=-5)))}, "3"),
        ({"until": "2026-02-02"}, "012"), ({"since": "2026-02-02T13:00:00Z", "until": "2026-02-02T13:00:00"}, "2"),
        ({"since": "2026-02-02T13:00:01"}, "34"), ({"until": datetime(2026, 2, 2, 12)}, "01"),
        ({"since": "yesterday", "until": date(2026, 2, 3)}, "3"), ({"kind": "Decision"}, "0"),
        ({"tag": "AUTH"}, "13"), ({"author": "coder"}, "23"), ({"author": "human"}, "0"), ({"session": "s1"}, "13"),
        ({"text": "ROTATE refresh"}, "1"), ({"text": "STRASSE"}, "3"), ({"text": "coder data"}, "2"),
        ({"text": "refresh database"}, ""), ({"text": "phase"}, "04"), ({"text": " "}, "01234"),
        ({"session": "s1", "author": "coder", "kind": "question", "tag": "auth", "day": "2026-02-03"}, "3"),
    ],
    ids=lambda value: " ".join(value) + "".join(f" {one}"[:11] for one in value.values())
    if isinstance(value, dict) else "",
)  # fmt: skip
def test_entries_are_chosen_by_all_that_is_named(filled: Journal, asked: dict[str, Any], found: str) -> None:
    """Oldest first; a day that is named as the end counts whole."""
    every = {one.key: str(at) for at, one in enumerate(filled.entries())}
    assert "".join(every[one.key] for one in filled.entries(**asked)) == found


def test_a_day_is_found_beside_keys_that_name_none(memory: Memory, filled: Journal) -> None:
    """Their day is that of their time."""
    memory.store("journal/note", {"time": "2026-02-02T23:59:59Z", "text": "late"}, namespace=NAMESPACE)
    assert [one.text for one in filled.entries(day="2026-02-02")][-1] == "late"
    assert [one.text for one in filled.entries(day="2026-02-03")] == ["Straße gesperrt"]


@pytest.mark.parametrize("asked", [{"day": "2026-2-3"}, {"day": "2026-02-30"}, {"since": "soon"}, {"until": "12:00"}])
def test_what_is_no_time_is_refused(journal: Journal, asked: dict[str, str]) -> None:
    """A mistyped day must not look like an empty one."""
    with pytest.raises(InvalidValueError) as refused:
        journal.entries(**asked)
    assert refused.value.pointer == f"/{next(iter(asked))}"
    assert "2026-02-28" in refused.value.hint


# --- pages


def test_a_day_is_a_page(filled: Journal) -> None:
    """To be read, or put into a report."""
    assert filled.markdown(day="2026-02-02") == (
        "# Journal of 2026-02-02\n"
        "\n## 2026-02-02T12:00:00Z insight: Refresh tokens rotate\n\n*planner, s1, #Auth, #tokens*\n"
        "\n## 2026-02-02T13:00:00Z blocker: No access to the database\n\n*coder*\n"
    )
    assert filled.markdown().startswith("# Journal of 2026-02-04\n\n## 2026-02-04T13:00:00Z milestone: Phase one\n")
    assert filled.markdown(day="2025-11-17").endswith("\n*human*\n\nApproved by review.\n\n- hitl_reviewed: true\n")
    assert filled.markdown(day="2024-02-29") == "# Journal of 2024-02-29\n"


def test_a_session_is_a_page(filled: Journal) -> None:
    """Over all its days; of a session and a day, what is of both."""
    page = filled.markdown(session="s1")
    assert [line for line in page.splitlines() if line.startswith("#")] == [
        "# Journal of s1",
        "## 2026-02-02T12:00:00Z insight: Refresh tokens rotate",
        "## 2026-02-03T13:00:00Z question: Straße gesperrt",
    ]
    assert filled.markdown(day="2026-02-03", session="s1").startswith("# Journal of 2026-02-03, s1\n\n## 2026-02-03")


@pytest.mark.parametrize(
    ("text", "body"),
    [("# Why\n\nlong\n\ntext", "long\n\ntext"), ("Why", ""), ("x" * 90 + "\nmore", "x" * 90 + "\nmore"),
     ("  indented\nmore", "more")],
    ids=["heading", "title", "cut", "spaces"],
)  # fmt: skip
def test_a_title_is_not_told_twice(journal: Journal, text: str, body: str) -> None:
    """But a title that had to be cut is told whole."""
    journal.add(text)
    assert journal.markdown().partition("*planner*\n")[2].strip() == body


def test_every_type_can_be_written(journal: Journal) -> None:
    """The five of them, and each is found by its own."""
    for kind in KINDS:
        journal.add("text", kind=kind)
    assert [len(journal.entries(kind=kind)) for kind in KINDS] == [1] * 5
