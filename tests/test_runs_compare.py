"""Two runs compared: which keys are the same key, which members differ and by how much."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitmem import ABSENT, InvalidPatternError, Memory
from gitmem.runs.comparing import difference

A, B = "session-20260101-101500-docs", "session-20260102-101500-docs"


@pytest.fixture
def memory(tmp_path, clock) -> Memory:
    return Memory.open(tmp_path, agent="ann", namespace="n", clock=clock)


def both(memory: Memory, key: str, a: Any, b: Any) -> None:
    """Each session stores its value; `{}` in the key is its id."""
    memory.bind(session=A).store(key.replace("{}", A), a)
    memory.bind(session=B).store(key.replace("{}", B), b)


def test_keys_that_both_wrote_are_compared_member_by_member(memory) -> None:
    """Numbers with their difference, b - a; a side that is absent is absent."""
    both(memory, "result", {"score": 3, "time": 1.5, "who": "x", "old": 1}, {"score": 5, "time": 1.2, "who": "y"})
    (pair,) = memory.compare(A, B).pairs
    assert pair.members == (
        ("/old", 1, ABSENT, None), ("/score", 3, 5, 2), ("/time", 1.5, 1.2, -0.3), ("/who", "x", "y", None)
    )  # fmt: skip


def test_keys_that_differ_in_the_sessions_id_are_one_key(memory) -> None:
    """Where the id is a word of its own, anywhere in the key."""
    both(memory, "session/{}/phase", "done", "done"), both(memory, "out/{}-final", 1, 2)
    found = memory.compare(A, B)
    assert [(one.key, one.same) for one in found.pairs] == [
        ("out/{session}-final", False), ("session/{session}/phase", True)
    ]  # fmt: skip
    assert (found.only_a, found.only_b, found.differ) == ((), (), True)


def test_a_short_name_is_not_taken_out_of_other_words(memory) -> None:
    """A session called `a` is no part of `data`."""
    memory.bind(session="a").store("data/a", 1), memory.bind(session="b").store("data/b", 1)
    assert [one.key for one in memory.compare("a", "b").pairs] == ["data/{session}"]


def test_two_keys_that_would_be_one_stay_two(memory) -> None:
    """Somebody may call a key `{session}`."""
    memory.bind(session="a").store("{session}", 1), memory.bind(session="a").store("a", 2)
    memory.bind(session="b").store("b", 3)
    found = memory.compare("a", "b")
    assert [(one.key, one.a.key, one.b.key) for one in found.pairs] == [("{session}", "{session}", "b")]
    assert [one.key for one in found.only_a] == ["a"]


def test_keys_of_only_one_run_are_told_apart(memory) -> None:
    """With what it did to them."""
    memory.store("deleted", 1)
    memory.bind(session=A).delete("deleted"), memory.bind(session=B).store("made", 1)
    found = memory.compare(A, B)
    assert [(one.key, one.operation) for one in found.only_a] == [("deleted", "deleted")]
    assert [(one.key, one.operation) for one in found.only_b] == [("made", "created")]
    assert found.differ


def test_runs_that_left_the_same_do_not_differ(memory) -> None:
    """Whatever happened on the way; a deletion on both sides is the same too."""
    both(memory, "k", 3, 1), both(memory, "k", 2, 3), both(memory, "gone", 1, 4)
    memory.bind(session=A).store("k", 9), memory.store("k", 8), memory.bind(session=A).store("k", 3)
    memory.bind(session=A).store("gone", 2), memory.bind(session=A).delete("gone")
    memory.bind(session=B).store("gone", 3), memory.bind(session=B).delete("gone")
    found = memory.compare(A, B)
    assert not found.differ
    assert all(one.members == () for one in found.pairs)


def test_values_are_those_each_run_left_not_those_of_now(memory) -> None:
    """What somebody wrote later belongs to neither."""
    both(memory, "k", 1, 5)
    memory.store("k", 100)
    (pair,) = memory.compare(A, B).pairs
    assert pair.members == (("", 1, 5, 4),)


def test_commits_and_ranges_are_runs_too(memory) -> None:
    """As everywhere."""
    both(memory, "k", 1, 5)
    assert memory.compare("HEAD~1", "HEAD").pairs[0].members[0].difference == 4
    assert memory.compare(A, "HEAD~1..HEAD").differ
    assert not memory.compare("HEAD", B).differ


def test_a_glob_is_about_the_key_as_it_is_or_as_it_is_aligned(memory) -> None:
    """So both runs' keys can be named at once."""
    both(memory, "session/{}/phase", 1, 2), both(memory, "other", 1, 2)
    assert [one.key for one in memory.compare(A, B, "session/*/phase").pairs] == ["session/{session}/phase"]
    assert [one.key for one in memory.compare(A, B, r"session/\{session\}/*").pairs] == ["session/{session}/phase"]
    assert memory.compare(A, B, namespace="m").pairs == ()
    with pytest.raises(InvalidPatternError):
        memory.compare(A, B, "[")


def test_it_is_json_for_programs(memory) -> None:
    """Absent sides are left out, since null is a value."""
    both(memory, "k", {"a": None}, {"b": 1}), memory.bind(session=A).store("only", None)
    found = json.loads(json.dumps(memory.compare(A, B).to_json()))
    assert (found["a"], found["b"], found["differ"]) == (A, B, True)
    (pair,) = found["pairs"]
    assert pair["members"] == [
        {"pointer": "/a", "a": None, "difference": None}, {"pointer": "/b", "b": 1, "difference": None}
    ]  # fmt: skip
    assert found["only_a"][0]["after"] is None


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (1, 3, 2), (3, 1, -2), (0.1, 0.3, 0.2), (1, 1.5, 0.5), (10**30, 10**30 + 1, 1), (-1e308, 1e308, None),
        (True, 2, None), (1, "2", None), (None, 1, None), (1e-300, 1e300, 1e300), (10**400, 0.5, None),
    ],
    ids=str,
)  # fmt: skip
def test_a_difference_is_that_of_the_digits(a, b, wanted) -> None:
    """0.3 - 0.1 is 0.2 for whoever reads a table; what no double holds has none."""
    found = difference(a, b)
    assert (found, type(found)) == (wanted, type(wanted))
