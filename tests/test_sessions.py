"""Sessions: how they begin, end and go on, and what is told of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gitmem import ConflictError, InvalidValueError, Memory, StaleError, UnknownRevisionError
from gitmem.provenance import slug
from gitmem.recipes import Claims, Gate, Journal, Sessions
from gitmem.recipes.session_names import is_segment, session_names
from tests.conftest import Clock

SPACE = "coordination"
DAY = 86_400


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[Memory]:
    with Memory.open(tmp_path, agent="ann", namespace=SPACE, durability="fast", clock=clock) as opened:
        yield opened


@pytest.fixture
def sessions(memory: Memory) -> Sessions:
    return Sessions(memory)


def own(memory: Memory, session: str, name: str) -> Any:
    return memory.retrieve(f"session/{session}/{name}", None, namespace=SPACE)


def commit_file(git, memory: Memory, path: str, content: bytes, message: str = "by hand") -> None:
    """What somebody does to a memory with plain git."""
    folder, index = memory.path / ".git", {"GIT_INDEX_FILE": str(memory.path / "index")}
    blob = git(folder, "hash-object", "-w", "--stdin", given=content).strip()
    git(folder, "read-tree", "main", **index)
    git(folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", **index)
    tree = git(folder, "write-tree", **index).strip()
    commit = git(folder, "commit-tree", tree, "-p", "main", "-m", message).strip()
    git(folder, "update-ref", "refs/heads/main", commit)


# --- names


@pytest.mark.parametrize(
    ("topic", "wanted"),
    [
        ("docs-refactor-tutor", "docs-refactor-tutor"),
        ("Docs refactor: tutor!", "docs-refactor-tutor"),
        ("  Über uns & Straße ", "uber-uns-strasse"),
        ("../../etc/passwd", "etc-passwd"),
        ("日本語", ""),
        ("", ""),
        ("x" * 200, "x" * 60),
        ("a" * 59 + " b", "a" * 59),
    ],
)
def test_a_topic_becomes_what_a_shell_takes_as_it_is(topic: str, wanted: str) -> None:
    """Names are typed, and are segments of keys and of paths."""
    assert slug(topic) == wanted
    assert slug(wanted) == wanted


def test_a_name_tells_the_time_in_utc_and_the_topic(clock: Clock) -> None:
    """And there is always another one."""
    names = session_names("docs", clock())
    assert [next(names) for _ in range(3)] == [f"session-20260202-120000-docs{end}" for end in ("", "-2", "-3")]
    assert next(session_names(None, clock())) == "session-20260202-120000"
    assert next(session_names("日本語", clock())) == "session-20260202-120000"


@pytest.mark.parametrize("name", ["../x", ".", "..", "a/b", "", "x" * 241, "u\u0308"], ids=ascii)
def test_a_name_that_is_no_segment_is_known(name: str) -> None:
    """Anybody may choose a session's name, and folders are called by it."""
    assert not is_segment(name)
    assert is_segment("session-20260202-120000-docs")


# --- a session's life


def test_a_session_begins_with_what_it_says_of_itself(memory: Memory, sessions: Sessions) -> None:
    """Under its own name, so that it is a session from its first commit on."""
    made = sessions.start("Docs: refactor")
    assert made.id == "session-20260202-120000-docs-refactor"
    assert own(memory, made.id, "metadata") == {
        "topic": "Docs: refactor", "start": "2026-02-02T12:00:00Z", "end": None, "status": "running",
    }  # fmt: skip
    assert own(memory, made.id, "phase") == "running"
    assert memory.entry(f"session/{made.id}/metadata").session == made.id
    assert (made.state, made.topic, made.agents, made.is_open) == ("running", "Docs: refactor", {"ann": 1}, True)
    assert memory.active_session is None


def test_two_of_one_second_have_two_names(memory: Memory, sessions: Sessions) -> None:
    """Also if the first one has ended, and left nothing but its history; and if a commit alone names it."""
    first, second = sessions.start("x"), sessions.start("x")
    sessions.end(first.id)
    sessions.clean(first.id)
    memory.bind(session=f"{first.id}-3").store("k", 1)
    third = sessions.start("x")
    assert [second.id, third.id] == [f"{first.id}-2", f"{first.id}-4"]


def test_many_who_begin_at_once_have_as_many_names(memory: Memory, sessions: Sessions) -> None:
    """The commit decides, not who looked first."""
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(sessions.start("x").id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 8
    assert all(own(memory, name, "metadata")["status"] == "running" for name in names)


@pytest.mark.parametrize("topic", ["", "one\ntwo", "\x1b[31m"], ids=ascii)
def test_a_topic_is_one_line(sessions: Sessions, topic: str) -> None:
    """It is shown to people."""
    with pytest.raises(InvalidValueError):
        sessions.start(topic)
    assert list(sessions.newest()) == []


def test_an_end_stores_what_the_session_did(memory: Memory, sessions: Sessions, clock: Clock) -> None:
    """Counted from the commits; its own keys are not among what it changed."""
    memory.store("old", 1)
    memory.store("gone", 1)
    made = sessions.start("x")
    coder, tester = (memory.bind(session=made.id, agent=name) for name in ("coder", "tester"))
    coder.store("new", 1)
    coder.store("old", 2)
    tester.store("old", 3)
    tester.delete("gone")
    coder.store("here and gone", 1)
    coder.delete("here and gone")
    coder.store(f"session/{made.id}/artifacts-created", ["a.py"])
    memory.store("of nobody", 1)
    clock.advance(90)
    report = sessions.end(made.id)
    summary = own(memory, made.id, "summary")
    assert summary == report.summary.to_json()
    assert summary == {
        "session": made.id, "topic": "x", "status": "done",
        "start": "2026-02-02T12:00:00Z", "end": "2026-02-02T12:01:30Z", "duration": 90,
        "agents": {
            "coder": {"commits": 5, "keys": 3},
            "tester": {"commits": 2, "keys": 2},
            "ann": {"commits": 1, "keys": 0},
        },
        "keys": {"created": 1, "changed": 1, "deleted": 1},
        "gates": [], "conflicts": {"made": [], "settled": []}, "settings": [],
        "patterns": {"learned": [], "recalled": [], "without_outcome": []}, "journal": [], "artifacts": ["a.py"],
    }  # fmt: skip
    assert own(memory, made.id, "metadata") == {
        "topic": "x", "start": "2026-02-02T12:00:00Z", "end": "2026-02-02T12:01:30Z", "status": "done",
    }  # fmt: skip
    assert own(memory, made.id, "phase") == "done"
    assert [(one.key, one.operation) for one in report.changes] == [
        ("gone", "deleted"), ("here and gone", "unchanged"), ("new", "created"), ("old", "modified"),
    ]  # fmt: skip


def test_nobody_ends_what_has_ended(memory: Memory, sessions: Sessions) -> None:
    """Who came second is told who was first, also once the session's keys are gone; nothing is written."""
    made = sessions.start("x")
    sessions.end(made.id, "failed")
    head = memory.snapshot
    with pytest.raises(ConflictError, match="ended already, failed at 2026-02-02T12:00:00Z, by ann"):
        sessions.end(made.id)
    assert memory.snapshot == head
    sessions.clean(made.id)
    with pytest.raises(ConflictError, match="ended already"):
        sessions.end(made.id)


def test_of_two_who_end_it_at_once_one_is_told(memory: Memory, sessions: Sessions, monkeypatch) -> None:
    """What stands at its end is decided by one of them alone."""
    made = sessions.start("x")
    report = Sessions.__init__.__globals__["report"]

    def slowly(*arguments: Any, **rest: Any) -> Any:
        monkeypatch.setitem(Sessions.__init__.__globals__, "report", report)
        sessions.end(made.id, "failed")
        return report(*arguments, **rest)

    monkeypatch.setitem(Sessions.__init__.__globals__, "report", slowly)
    with pytest.raises(StaleError):
        sessions.end(made.id)
    assert own(memory, made.id, "metadata")["status"] == "failed"


def test_an_end_is_one_of_the_words(sessions: Sessions) -> None:
    """They are what lists are asked for."""
    made = sessions.start("x")
    with pytest.raises(InvalidValueError):
        sessions.end(made.id, "well")
    assert sessions.one(made.id).is_open


def test_a_session_goes_on(memory: Memory, sessions: Sessions, clock: Clock) -> None:
    """It is open again, and its next end counts all of it."""
    made = sessions.start("x")
    sessions.end(made.id)
    clock.advance(60)
    assert sessions.resume(made.id).state == "running"
    metadata = own(memory, made.id, "metadata")
    assert (metadata["end"], metadata["status"], metadata["resumed"]) == (None, "running", "2026-02-02T12:01:00Z")
    assert own(memory, made.id, "phase") == "running"
    head = memory.snapshot
    clock.advance(1)
    assert sessions.resume(made.id).state == "running"
    assert memory.snapshot == head
    clock.advance(-1)
    memory.bind(session=made.id).store("k", 1)
    assert sessions.end(made.id).summary.keys["created"] == 1
    assert sessions.one(made.id).duration == 60


def test_a_session_that_nobody_ended_is_abandoned_after_a_while(
    memory: Memory, sessions: Sessions, clock: Clock
) -> None:
    """Its last write counts, not its start; who resumes it, or ends it, writes."""
    made = sessions.start("x")
    clock.advance(DAY - 1)
    memory.bind(session=made.id).store("k", 1)
    clock.advance(DAY)
    assert sessions.one(made.id).state == "running"
    clock.advance(1)
    assert (sessions.one(made.id).state, sessions.one(made.id).is_open) == ("abandoned", True)
    assert sessions.resume(made.id).state == "running"
    clock.advance(DAY + 1)
    assert sessions.end(made.id).status.state == "done"
    assert sessions.one(made.id).state == "done"


def test_when_a_session_counts_as_abandoned_is_agreed_on(memory: Memory, sessions: Sessions, clock: Clock) -> None:
    """In gitmem.toml, by those who share the memory."""
    made = sessions.start("x")
    memory.settings.set("abandoned_after", 10)
    clock.advance(11)
    assert sessions.one(made.id).state == "abandoned"


def test_what_is_cleaned_is_told_from_the_history(memory: Memory, sessions: Sessions, clock: Clock) -> None:
    """Its own keys go, what it shares with others stays, and so does what there is to say of it."""
    made, other = sessions.start("Topic One"), sessions.start("other")
    mine = memory.bind(session=made.id)
    mine.store("shared", 1)
    mine.store(f"session/{made.id}/artifacts-created", ["a.py"])
    with pytest.raises(ConflictError, match="has not ended"):
        sessions.clean(made.id)
    clock.advance(5)
    sessions.end(made.id, "interrupted")
    before = sessions.report(made.id).to_json()
    assert len(sessions.clean(made.id)) == 4
    assert memory.list("session/") == [f"session/{other.id}/metadata", f"session/{other.id}/phase"]
    assert memory.retrieve("shared") == 1
    after = sessions.report(made.id).to_json()
    moving = ("commits", "agents", "last", "summary")
    assert {k: v for k, v in after.items() if k not in moving} == {k: v for k, v in before.items() if k not in moving}
    assert after["summary"]["artifacts"] == ["a.py"]
    assert sessions.clean(made.id) == []


def test_a_session_that_nobody_began_is_one_too(memory: Memory, sessions: Sessions, clock: Clock) -> None:
    """GITMEM_SESSION may say anything; it is listed, shown, and can be ended."""
    memory.bind(session="ci 42", agent="bot").store("k", 1)
    clock.advance(30)
    memory.bind(session="ci 42").store("k", 2)
    found = sessions.one("ci 42")
    assert (found.state, found.topic, found.duration, found.agents) == ("running", None, 30, {"ann": 1, "bot": 1})
    assert sessions.end("ci 42").summary.keys == {"created": 1, "changed": 0, "deleted": 0}
    assert own(memory, "ci 42", "metadata") == {
        "topic": None, "start": "2026-02-02T12:00:00Z", "end": "2026-02-02T12:00:30Z", "status": "done",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "state", "usual"),
    [("done", "done", "done"), ("failed", "failed", "failed"), ("running", "running", "interrupted")],
)
def test_a_run_says_itself_how_it_ended(
    memory: Memory, sessions: Sessions, clock: Clock, phase: str, state: str, usual: str
) -> None:
    """It has a plan and a phase, and nobody began or ended it; one that was killed still says that it runs."""
    run = memory.bind(session="session-r", agent="gitmem-run")
    run.store("session/session-r/plan", {"name": "docs"})
    clock.advance(10)
    run.store("session/session-r/phase", phase)
    clock.advance(10)
    found = sessions.one("session-r")
    assert (found.state, found.topic, found.duration) == (state, "docs", 10)
    ended = sessions.end("session-r").status
    assert (ended.state, ended.duration) == (usual, 10 if found.end else 20)


@pytest.mark.parametrize("said", [None, "text", [], {"status": 3, "start": "never", "topic": {}}, {"end": "soon"}])
def test_what_others_wrote_of_a_session_breaks_nothing(memory: Memory, sessions: Sessions, said: Any) -> None:
    """The keys are open to everybody; what the commits say holds."""
    mine = memory.bind(session="s")
    mine.store("session/s/metadata", said)
    mine.store("session/s/recalled", said)
    mine.store("session/s/plan", said)
    assert (sessions.one("s").state, sessions.report("s").summary.recalled.keys[:0]) == ("running", ())
    assert sessions.end("s").status.state in ("done", "interrupted")
    assert sessions.one("s").state in ("done", "interrupted")


def test_a_session_ends_whatever_lies_where_it_says_so(memory: Memory, sessions: Sessions, git) -> None:
    """What is no value is overwritten, by one of two who end it at once; and it was none while it ran."""
    made = sessions.start("x")
    commit_file(git, memory, f"{SPACE}/session/{made.id}/metadata.json", b"{")
    assert sessions.one(made.id).state == "running"
    assert sessions.end(made.id, "failed").status.state == "failed"
    assert own(memory, made.id, "metadata")["status"] == "failed"
    with pytest.raises(ConflictError):
        sessions.end(made.id)


def test_half_a_character_in_the_journal_does_not_hold_up_the_end(memory: Memory, sessions: Sessions) -> None:
    """The summary lists titles, and it has to be a value itself."""
    mine = memory.bind(session="s")
    mine.store("journal/note", '{"title": "\\ud800"}', namespace="captains-log")
    assert [one.title for one in sessions.end("s").summary.journal] == ['{"title": "\\ud800"}']


def test_a_beginning_that_no_clock_shows_is_none(memory: Memory, sessions: Sessions, clock: Clock) -> None:
    """In UTC it is before the year 1; one such value would break the list of all sessions."""
    memory.bind(session="s").store("session/s/metadata", {"start": "0001-01-01T00:00:00+23:59"})
    assert [one.to_json()["start"] for one in sessions.newest()] == ["2026-02-02T12:00:00Z"]
    assert sessions.end("s").status.start == clock()


# --- finding them


def test_the_session_that_was_written_last_comes_first(memory: Memory, sessions: Sessions, clock: Clock) -> None:
    """Whenever it began: it is what somebody is at."""
    names = []
    for topic in "abc":
        names.append(sessions.start(topic).id)
        clock.advance(10)
    memory.bind(session=names[0]).store("k", 1)
    assert [one.id for one in sessions.newest()] == [names[0], names[2], names[1]]
    assert sessions.named("last") == names[0]


def test_a_session_is_found_by_part_of_its_name(sessions: Sessions, clock: Clock) -> None:
    """By its beginning, or whole words of it; never by chance."""
    first = sessions.start("docs refactor").id
    clock.advance(3600)
    second = sessions.start("docs review").id
    assert sessions.named(first) == first
    assert sessions.named("refactor") == sessions.named("docs-refactor") == first
    assert sessions.named("docs refactor") == sessions.named("Docs: Refactor!") == first
    assert sessions.named("session-20260202-13") == sessions.named("130000") == second
    for vague in ("docs", "session", "session-2026"):
        with pytest.raises(UnknownRevisionError, match="fits 2 sessions") as error:
            sessions.named(vague)
        assert first in error.value.hint
    for wrong in ("doc", "efactor", "", "nope"):
        with pytest.raises(UnknownRevisionError, match="no commit names"):
            sessions.named(wrong)
    with pytest.raises(UnknownRevisionError) as error:
        sessions.named(first.replace("refactor", "refaktor"))
    assert error.value.hint == f"did you mean {first}?"


def test_who_names_a_part_where_the_whole_is_needed_is_told_the_whole(
    memory: Memory, sessions: Sessions, clock: Clock
) -> None:
    """A revision is never guessed; but what is meant is known."""
    first = sessions.start("v1 prices").id
    clock.advance(60)
    second = sessions.start("v2").id

    def hint(ask: Any, *names: str, **options: Any) -> str:
        with pytest.raises(UnknownRevisionError) as error:
            ask(*names, **options)
        return error.value.hint

    meant = f"did you mean {second}?"
    for text in ("v2", "last", second[:-1], second.replace("session", "sesion")):
        assert hint(memory.revision, text) == hint(memory.diff, first, text) == meant
        assert second in hint(memory.undo, text)
    assert hint(memory.restore, "**", at="v1 prices") == f"did you mean {first}?"
    assert hint(memory.revision, "v2~1") == f"did you mean {second}~1?"
    assert hint(memory.undo, "v1..HEAD") == f"did you mean {first}?"
    assert hint(memory.revision, "session") == f"did you mean {second} or {first}?"
    assert "`gitmem log`" in hint(memory.revision, "v3")
    for topic in "ab":
        sessions.start(topic)
    assert hint(memory.revision, "session").endswith("? (and 1 more fit)")


# --- what it did, and what is open


def test_who_decided_at_a_gate_is_told(memory: Memory, sessions: Sessions, clock: Clock) -> None:
    """Also if it was somebody outside of the session, and the gate is complete since; as of the session's end."""
    made = sessions.start("x")
    coder, boss = memory.bind(session=made.id, agent="coder"), memory.bind(agent="boss")
    for name in ("approved", "complete", "last", "waiting", "refused"):
        Gate(coder, name).request()
    clock.advance(5)
    Gate(boss, "approved").approve()
    Gate(boss, "complete").approve()
    Gate(boss, "refused").reject("no tests")
    clock.advance(5)
    Gate(coder, "complete").complete()
    coder.store("checkpoint/phase1/plan", {"state": "a plan is no gate"})
    Gate(boss, "not of this session").approve()
    Gate(boss, "last").reject("in the last moment")
    at_its_end = sessions.end(made.id)
    Gate(boss, "waiting").approve()
    report = sessions.report(made.id)
    assert at_its_end.summary.gates == report.summary.gates
    assert [(one.gate, one.state, one.by, one.time[-3:]) for one in report.summary.gates] == [
        ("approved", "approved", "boss", "05Z"), ("complete", "complete", "boss", "05Z"),
        ("last", "rejected", "boss", "10Z"), ("refused", "rejected", "boss", "05Z"),
        ("waiting", "pending", "coder", "00Z"),
    ]  # fmt: skip
    assert [(one.kind, one.key) for one in report.open] == [
        ("gate", "checkpoint/gates/last"), ("gate", "checkpoint/gates/refused"),
    ]  # fmt: skip


def test_a_run_s_gates_are_told_wherever_they_lie(memory: Memory, sessions: Sessions) -> None:
    """Its plan names them."""
    run = memory.bind(session="r", agent="gitmem-run")
    run.store("session/r/plan", {"gates": [{"key": "ok/to/ship"}, "x", {"key": 3}]})
    run.store("ok/to/ship", "pending")
    memory.store("ok/to/ship", "approved")
    assert [(one.gate, one.state, one.by) for one in sessions.report("r").summary.gates] == [
        ("ok/to/ship", "approved", "ann")
    ]


def test_the_journal_and_the_patterns_of_a_session_are_told(memory: Memory, sessions: Sessions) -> None:
    """In the order of time; a pattern that was recalled waits for somebody to tell whether it helped."""
    memory.store("pattern/old/one", {"approach": "a"}, namespace="reasoning-bank")
    made = sessions.start("x")
    mine = memory.bind(session=made.id)
    for kind, text in (("decision", "use JWT"), ("question", "why?"), ("insight", "so")):
        Journal(mine).add(text, kind=kind)
    mine.store("pattern/new/one", {"approach": "b"}, namespace="reasoning-bank")
    mine.store("pattern/old/one", {"approach": "c"}, namespace="reasoning-bank")
    told, silent = "pattern/old/one", "pattern/old/two"
    mine.store(f"session/{made.id}/recalled", {told: {"outcome": "success"}, silent: {"outcome": None}})
    report = sessions.report(made.id)
    assert report.summary.to_json()["patterns"] == {
        "learned": ["pattern/new/one"], "recalled": [told, silent], "without_outcome": [silent],
    }  # fmt: skip
    assert {(one.kind, one.title) for one in report.summary.journal} == {
        ("decision", "use JWT"), ("question", "why?"), ("insight", "so"),
    }  # fmt: skip
    assert [(one.kind, one.says if one.kind == "question" else one.key) for one in report.open] == [
        ("pattern", silent), ("question", "why?"),
    ]  # fmt: skip


def test_nothing_of_a_session_that_was_taken_back_is_open(memory: Memory, sessions: Sessions) -> None:
    """Its questions are gone, and whether its patterns helped nobody can say. What it did is told all the same."""
    made = sessions.start("x")
    mine = memory.bind(session=made.id)
    Journal(mine).add("why?", kind="question")
    mine.store(f"session/{made.id}/recalled", {"pattern/a/b": {"outcome": None}})
    sessions.end(made.id)
    assert [one.kind for one in sessions.report(made.id).open] == ["pattern", "question"]
    memory.undo(made.id)
    report = sessions.report(made.id)
    assert (report.open, len(report.summary.journal)) == ((), 1)
    assert report.status.undone_by == memory.snapshot


def test_what_agents_left_is_open_until_somebody_else_takes_it(memory: Memory, sessions: Sessions) -> None:
    """States that are not done, and claims that hold."""
    made = sessions.start("x")
    coder = memory.bind(session=made.id, agent="coder")
    coder.store("swarm/coder/status", {"state": "blocked", "waiting_for": "k"})
    coder.store("swarm/tester/status", "done")
    coder.store("swarm/writer/status", {"state": "working"})
    Claims(coder).take("auth")
    Claims(coder).take("ui").release()
    memory.store("swarm/writer/status", {"state": "working"}, message="another session")
    memory.bind(session="later").store("swarm/writer/status", {"state": "idle"})
    found = sessions.report(made.id).open
    assert [(one.kind, one.key, one.says[:20]) for one in found] == [
        ("agent", "swarm/coder/status", "blocked: waits for k"), ("claim", "claims/auth", "task 'auth' in names"),
    ]  # fmt: skip
    coder.store("swarm/coder/status", {"state": "stuck", "waiting_for": ["k", "l"], "reason": "no\nkey"})
    assert sessions.report(made.id).open[0].says == "stuck: waits for k, l; no\nkey"


def test_conflicts_that_came_or_went_while_it_ran_are_told(memory: Memory, sessions: Sessions) -> None:
    """Merges make them, in nobody's session; those before and after do not count. Open are those of its own keys."""

    def collide(key: str) -> str:
        memory.store(key, 0)
        there = memory.branch(f"b-{key}")
        memory.store(key, 1)
        there.store(key, 2)
        known = {one.id for one in memory.conflicts()}
        memory.merge(f"b-{key}")
        return next(one.id for one in memory.conflicts() if one.id not in known)

    before = [collide(key) for key in ("early", "mended")]
    made = sessions.start("x")
    mine = memory.bind(session=made.id)
    during = [collide(key) for key in ("during", "both", "mine")]
    mine.store("mine", 3)
    for id in (before[1], during[1]):
        mine.resolve(id)
    sessions.end(made.id)
    collide("late")
    report = sessions.report(made.id)
    assert sorted(one.id for one in report.summary.made) == sorted(during)
    assert sorted(one.id for one in report.summary.settled) == sorted([before[1], during[1]])
    assert {one.key for one in report.summary.made} == {"during", "both", "mine"}
    assert [(one.kind, one.key) for one in report.open] == [("conflict", during[2])]


def test_edits_of_what_all_share_are_told(memory: Memory, sessions: Sessions) -> None:
    """A rule or a contract is no key, and changes more than most keys do; only those of the session count."""
    made = sessions.start("x")
    mine = memory.bind(session=made.id, agent="coder")
    memory.settings.add_rule("a/**", "latest")
    assert sessions.report(made.id).summary.settings == ()
    mine.settings.add_rule("b/**", "total")
    mine.store("k", 1, ttl=60)
    mine.store("k", 1, ttl=90)  # a commit that changes no key either
    mine.settings.set("abandoned_after", 10)
    assert [(one.message, one.agent) for one in sessions.report(made.id).summary.settings] == [
        ("rules add b/** total", "coder"), ("config abandoned_after 10", "coder"),
    ]  # fmt: skip


def test_copies_that_met_crosswise_do_not_hide_a_session(memory: Memory, sessions: Sessions) -> None:
    """Its first and its last commit may lie beside each other, with several commits where they parted."""
    there = memory.branch("there")
    ours, theirs = memory.store("ours", 1).revision, there.store("theirs", 1).revision
    memory.store("more ours", 1)
    there.store("more theirs", 1)
    memory.merge(theirs)
    there.merge(ours)
    run = memory.bind(session="r")
    run.store("session/r/plan", {"name": "x"})
    run.store("session/r/phase", "done")
    there.bind(session="r").store("k", 1)
    memory.merge("there")
    assert [one.key for one in sessions.report("r").changes] == ["k"]


def test_what_was_read_under_a_session_is_counted(memory: Memory, sessions: Sessions) -> None:
    """Where reads are noted: by agent, each key once. Looking at a session is no reading under it."""
    memory.settings.set("audit_reads", True)
    made = sessions.start("x")
    coder, tester = (memory.bind(session=made.id, agent=name) for name in ("coder", "tester"))
    for key in ("a", "b", "checkpoint/gates/g"):
        memory.store(key, "pending")
    for reader, keys in ((coder, "aab"), (tester, "a")):
        for key in keys:
            reader.retrieve(key)
    mine = Sessions(coder)
    assert mine.end(made.id).reads == {"coder": 2, "tester": 1}
    assert mine.report(made.id).reads == {"coder": 2, "tester": 1}


def test_a_session_that_ended_stays_as_it_was_told(memory: Memory, sessions: Sessions) -> None:
    """What others write later changes nothing of what it did."""
    made = sessions.start("x")
    mine = memory.bind(session=made.id)
    mine.store("k", 1)
    Journal(mine).add("so", kind="insight")
    sessions.end(made.id)
    before = sessions.report(made.id)
    memory.store("k", 2)
    memory.delete_matching("**", namespace="captains-log")
    after = sessions.report(made.id)
    assert after.summary.to_json() == before.summary.to_json()
    assert [one.to_json() for one in after.changes] == [one.to_json() for one in before.changes]


def test_who_wrote_under_a_session_after_its_end_is_told(memory: Memory, sessions: Sessions, clock: Clock) -> None:
    """The end itself is not late, though its commit may be of the next second; nor is the cleaning up."""
    session = sessions.start("limits").id
    mine = memory.bind(session=session)
    mine.store("k", 1, namespace="default")
    sessions.end(session)
    clock.advance(1)
    mine.patch(f"session/{session}/metadata", {"note": "as the end, a second later"})
    assert sessions.report(session).late is None
    mine.store("k", 2, namespace="default")
    late = clock()
    clock.advance(1)
    sessions.clean(session)
    assert sessions.report(session).late == late


def test_what_is_no_value_hides_nothing_else(memory: Memory, sessions: Sessions, git) -> None:
    """Somebody's tool may have left anything at a gate's key."""
    made = sessions.start("x")
    mine = memory.bind(session=made.id)
    mine.store("checkpoint/gates/broken", "pending")
    mine.store("swarm/coder/status", "working")
    for key in ("checkpoint/gates/broken", "swarm/coder/status"):
        commit_file(git, memory, f"{SPACE}/{key}.json", b"{", message=f"by hand\n\nSession: {made.id}")
    report = sessions.report(made.id)
    assert [one.key for one in report.changes] == ["checkpoint/gates/broken", "swarm/coder/status"]
    assert (report.summary.gates, report.open) == ((), ())


# --- compared


def test_when_two_sessions_were_is_no_difference(memory: Memory, sessions: Sessions, clock: Clock) -> None:
    """Their own accounts always differ: they are compared where somebody asks for them, and by `memory.compare`."""
    one, two = sessions.start("one").id, sessions.start("two").id
    for session in (one, two):
        memory.bind(session=session).store("k", session == one)
        clock.now += timedelta(minutes=5)
        memory.bind(session=session).store("k", 1)
        sessions.end(session)
    assert not sessions.compare(one, two).differ
    asked = sessions.compare(one, two, "session/**")
    differing = {pair.key for pair in asked.pairs if not pair.same}
    assert differing == {f"session/{{session}}/{name}" for name in ("metadata", "summary")}
    assert memory.compare(one, two).differ
    memory.branch(two)
    assert not sessions.compare(one, two).differ, "a session is meant, though a branch has its name"
