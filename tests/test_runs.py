"""Runs told: sessions by their commits, what a run did to each key, and how a run is named."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from typing import Any

import pytest

from gitmem import ABSENT, Memory, UnknownRevisionError
from gitmem.entries import format_time
from gitmem.index import audit
from tests.foreign import commit_files, run_git


@pytest.fixture
def memory(tmp_path, clock) -> Memory:
    return Memory.open(tmp_path, agent="ann", namespace="n", clock=clock)


def told(memory: Memory, run: str, *arguments: Any, **options: Any) -> list[tuple[str, str, Any, Any, int]]:
    return [
        (one.key, one.operation, one.before, one.after, one.versions)
        for one in memory.effect(run, *arguments, **options)
    ]


# --- sessions


def test_a_session_is_what_its_commits_say(memory, clock) -> None:
    """Who and how much, from when to when; the one written last comes first."""
    one, two = memory.bind(session="one"), memory.bind(session="two", agent="bob")
    first = one.store("a", 1)
    clock.advance(10), two.store("b", 1), clock.advance(10)
    last = one.bind(agent="eve").store("a", 2)
    one.store("a", 3), memory.store("c", 1)
    facts, other = memory.sessions()
    assert (facts.session, facts.commits, facts.agents) == ("one", 3, {"ann": 2, "eve": 1})
    assert (facts.first, facts.started, facts.written) == (first.revision, first.time, last.time)
    assert (facts.last, other.session) == (memory.at("HEAD~1").snapshot, "two")
    assert facts.to_json()["started"] == format_time(first.time)


def test_sessions_are_those_of_plain_git(memory, clock) -> None:
    """After random writes on branches that merge, on every branch: the same as reading every message."""
    dice = random.Random(7)
    branches = [memory, memory.branch("one"), memory.branch("two")]
    for number in range(60):
        clock.advance(dice.choice([0, 1, 60]))
        branch = dice.choice(branches)
        if dice.random() < 0.2:
            branch.merge(dice.choice(branches).branch_name)
            continue
        session = dice.choice([None, "s1", "s2", "s3"])
        branch.bind(session=session, agent=dice.choice(["ann", "bob"])).store(f"k{dice.randrange(9)}", number)
    for branch in branches:
        wanted = Counter(by_git(branch))
        found = {(one.session, agent): count for one in branch.sessions() for agent, count in one.agents.items()}
        assert found == wanted
        latest = [one.written for one in branch.sessions()]
        assert latest == sorted(latest, reverse=True)


def by_git(memory: Memory) -> list[tuple[str, str]]:
    text = "%(trailers:key=Session,valueonly)|%(trailers:key=Agent,valueonly)%x00"
    listing = run_git(memory.vault.repository.git_dir, "log", memory.branch_name, f"--format={text}")
    pairs = [entry.replace("\n", "").split("|") for entry in listing.split("\0") if entry.strip()]
    return [(session, agent) for session, agent in pairs if session]


def test_a_memory_without_sessions_has_none(memory) -> None:
    """And a session without undo is not undone."""
    memory.store("a", 1)
    assert memory.sessions() == []


# --- what a run did


def test_one_effect_a_key_from_before_the_first_to_after_the_last_version(memory) -> None:
    """What came and went again is unchanged; what others wrote in between is part of what stands."""
    memory.store("changed", 1), memory.store("gone", 1), memory.store("same", 1)
    run = memory.bind(session="run")
    run.store("changed", 2), memory.bind(agent="bob").store("changed", 3), run.store("changed", 4)
    run.delete("gone"), run.store("made", 1), run.store("brief", 1), run.delete("brief")
    run.store("same", 2), run.store("same", 1)
    assert told(memory, "run") == [
        ("brief", "unchanged", ABSENT, ABSENT, 2),
        ("changed", "modified", 1, 4, 2),
        ("gone", "deleted", 1, ABSENT, 1),
        ("made", "created", ABSENT, 1, 1),
        ("same", "unchanged", 1, 1, 2),
    ]


def test_an_effect_names_who_and_which_revisions(memory) -> None:
    """A revision is one that every other verb takes."""
    run = memory.bind(session="run")
    first, last = run.store("k", 1), run.bind(agent="bob").store("k", 2)
    (effect,) = memory.effect("run")
    assert (effect.agents, effect.first, effect.last) == (("ann", "bob"), first.revision, last.revision)
    assert effect.to_json() == {
        "namespace": "n", "key": "k", "operation": "created", "after": 2, "versions": 2, "agents": ["ann", "bob"],
        "session": "run", "first": first.revision, "last": last.revision,
    }  # fmt: skip


def test_a_run_is_a_session_a_commit_or_a_range(memory) -> None:
    """A commit's id, a branch and a tag come before a session of the same name."""
    start = memory.store("a", 1).revision
    memory.bind(session="run").store("a", 2)
    last = memory.bind(session="main").store("b", 1).revision
    assert [one[0] for one in told(memory, "run")] == ["a"]
    assert [one[0] for one in told(memory, "main")] == ["b"]
    assert [one[0] for one in told(memory, last)] == ["b"]
    assert [one[0] for one in told(memory, f"{start}..")] == ["a", "b"]
    assert [one[0] for one in told(memory, f"{start}..main~1")] == ["a"]
    run_git(memory.vault.repository.git_dir, "tag", "run", start)
    assert told(memory, "run") == [("a", "created", ABSENT, 1, 1)]


@pytest.mark.parametrize("name", ["none", "", "..", "..HEAD", "a..b", "HEAD..none"])
def test_what_names_no_run_is_refused(memory, name) -> None:
    """With the next step."""
    memory.store("a", 1)
    with pytest.raises(UnknownRevisionError) as caught:
        memory.effect(name)
    assert caught.value.hint


def test_a_session_that_is_spelled_alike_is_told(memory) -> None:
    """Names of sessions are long, and typed."""
    memory.bind(session="session-20260101-101500-docs").store("a", 1)
    with pytest.raises(UnknownRevisionError) as caught:
        memory.effect("session-20260101-101500-doc")
    assert caught.value.hint == "did you mean session-20260101-101500-docs?"


def test_a_glob_and_a_namespace_narrow_it(memory) -> None:
    """All namespaces unless one is named."""
    run = memory.bind(session="run")
    run.store("a/1", 1), run.store("b/1", 1), run.store("a/1", 1, namespace="m")
    assert [(one.namespace, one.key) for one in memory.effect("run", "a/*")] == [("m", "a/1"), ("n", "a/1")]
    assert [one[0] for one in told(memory, "run", namespace="n")] == ["a/1", "b/1"]


def test_what_cannot_be_read_shows_as_absent(memory) -> None:
    """One key does not hide the others; the operation tells that there was something."""
    memory.bind(session="run").store("k", 1)
    message = "by hand\n\nSession: run\n"
    commit_files(memory.vault.repository.git_dir, {"n/k.json": b"{garbage", "n/m.json": b"1\n"}, message=message)
    assert told(memory, "run") == [("k", "created", ABSENT, ABSENT, 2), ("m", "created", ABSENT, 1, 1)]


def test_effects_are_those_of_plain_git(memory, clock) -> None:
    """Random histories with merges, in which each session has keys of its own: how often, and what was last."""
    dice = random.Random(3)
    side = memory.branch("side")
    for number in range(80):
        clock.advance(1)
        branch = dice.choice([memory, side])
        if dice.random() < 0.15:
            branch.merge("side" if branch is memory else "main")
            continue
        session = dice.choice(["s1", "s2"])
        branch.bind(session=session).store(f"{session}/{dice.randrange(4)}", {f"{branch.branch_name}": number})
    memory.merge("side")
    for session in ("s1", "s2"):
        for effect in memory.effect(session):
            assert effect.before is ABSENT
            path, git_dir = f"n/{effect.key}.json", memory.vault.repository.git_dir
            blob = run_git(git_dir, "rev-parse", f"{effect.last}:{path}").strip()
            assert effect.blobs[1].hex() == blob
            log = run_git(git_dir, "log", "--format=%H", "--full-history", "--no-merges", "main", "--", path).split()
            assert effect.versions == len(log)
            assert {effect.first, effect.last} <= set(log)


def test_thousands_of_keys_of_one_commit_are_told_at_once(memory) -> None:
    """The question is one, however many keys it is about."""
    with memory.bind(session="run").transaction("many") as tx:
        for number in range(2000):
            tx.store(f"k{number}", number)
    assert len(memory.effect("run")) == 2000


# --- the index


def test_what_the_index_remembers_of_undos_is_examined_like_the_rest(memory) -> None:
    """A row that is not git's would let a run be undone twice."""
    memory.bind(session="run").store("k", 1)
    memory.undo("run", keys="k")
    vault, path = memory.vault, str(memory.path / "derived" / "index.sqlite3")
    head = [bytes.fromhex(memory.snapshot)]
    memory.close()
    assert audit.check(path, vault.objects, head) == ""
    with sqlite3.connect(path) as db:
        db.execute("update undos set keys = null")
    assert "undos" in audit.check(path, vault.objects, head)
