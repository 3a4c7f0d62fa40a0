"""Shared documents: nobody's change is undone, and whoever waits for all knows when all have been there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gitmem import (
    ConflictError,
    InvalidKeyError,
    InvalidPatternError,
    InvalidValueError,
    Memory,
    MergeConflictError,
    MissingKeyError,
    StaleError,
    WaitTimeoutError,
)
from gitmem.recipes import Shared
from gitmem.recipes.shared import _Opening
from tests.conftest import Git

KEY, REPORT = "shared/project-state", "shared/project-report"
STATE: dict[str, Any] = {"api_endpoints": [], "test_coverage": 0, "security_issues": [], "performance_metrics": {}}
AGENTS = ("backend-dev", "tester", "security-manager", "perf-analyzer")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path, agent="planner", durability="fast") as memory:
        yield memory


@pytest.fixture
def state(memory: Memory) -> Callable[[str], Shared]:
    """The document as one agent holds it; the planner has opened it."""
    Shared(memory, KEY).open(STATE)
    return lambda agent: Shared(memory.bind(agent=agent), KEY)


def contribution(agent: str) -> str:
    return f"{KEY}/contributors/{agent}"


# --- opening


def test_who_comes_first_decides_what_it_begins_with(memory: Memory) -> None:
    """The second to open gets what is there, changes included."""
    first = Shared(memory, KEY).open(STATE)
    assert (first.value, first.version, first.namespace) == (STATE, 1, "coordination")
    changed = Shared(memory, KEY).patch({"test_coverage": 85})
    assert Shared(memory.bind(agent="late"), KEY).open({}).value == changed.value
    assert first.revision == memory.history(KEY, namespace="coordination")[-1].revision


def test_a_new_document_has_no_contributors_yet(memory: Memory, state: Callable[[str], Shared]) -> None:
    """Those to the one before are taken away in the commit that opens it; the signs of globs mean themselves."""
    state("tester").contribute()
    other = Shared(memory, "shared/project-?tate")
    other.open({})
    assert set(state("planner").contributors()) == {"tester"}
    memory.delete(KEY, namespace="coordination")
    state("planner").open(STATE)
    assert state("planner").contributors() == {}
    assert {change.key for change in memory.log()[0].changes} == {KEY, contribution("tester")}


@pytest.mark.parametrize(
    "change",
    [
        lambda shared: shared.update(lambda value: value),
        lambda shared: shared.patch({"test_coverage": 1}),
        lambda shared: shared.append("/login"),
        lambda shared: shared.append("/login", at="/api_endpoints"),
        lambda shared: shared.merge(STATE, 1),
        lambda shared: shared.contribute(),
    ],
    ids=["update", "patch", "append", "append-at", "merge", "contribute"],
)
def test_what_was_never_opened_cannot_be_changed(memory: Memory, change: Callable[[Shared], Any]) -> None:
    """A contribution before the opening would be taken away by it: whoever comes too early is told."""
    with pytest.raises(MissingKeyError):
        change(Shared(memory, KEY))
    assert memory.namespaces() == []


# --- changing


def test_a_change_and_who_made_it_are_one_commit(memory: Memory, state: Callable[[str], Shared]) -> None:
    """Whoever sees the one sees the other."""
    changes: list[tuple[str, Callable[[Shared], Any]]] = [
        ("backend-dev", lambda shared: shared.append("/login", at="/api_endpoints", message="one endpoint")),
        ("tester", lambda shared: shared.patch({"test_coverage": 85})),
        ("security-manager", lambda shared: shared.update(lambda value: {**value, "security_issues": ["no TLS"]})),
        ("perf-analyzer", lambda shared: shared.merge({**STATE, "performance_metrics": {"p95_ms": 12}}, 1)),
    ]
    for agent, change in changes:
        entry = change(state(agent))
        (last, *_) = memory.log()
        assert (entry.agent, entry.revision, last.agent) == (agent, last.revision, agent)
        assert {one.key: one.operation for one in last.changes} == {KEY: "modified", contribution(agent): "created"}
        assert memory.retrieve(contribution(agent), namespace="coordination") == {"by": agent}
    assert memory.retrieve(KEY, namespace="coordination") == {
        "api_endpoints": ["/login"], "test_coverage": 85, "security_issues": ["no TLS"],
        "performance_metrics": {"p95_ms": 12},
    }  # fmt: skip
    assert [one.message for one in memory.log()[:4]] == [
        *[f"contribute to coordination {KEY}"] * 3, "one endpoint"
    ]  # fmt: skip
    assert list(state("planner").contributors()) == sorted(AGENTS)


def test_who_had_nothing_to_change_is_seen_all_the_same(memory: Memory, state: Callable[[str], Shared]) -> None:
    """The document keeps its version; a second time makes no commit at all."""
    before = state("tester").entry()
    assert state("tester").contribute() == state("tester").patch({"test_coverage": 0})
    assert state("tester").entry().revision == before.revision
    assert len(memory.history(contribution("tester"), namespace="coordination")) == 1


def test_what_a_merge_cannot_settle_contributes_nothing(memory: Memory, state: Callable[[str], Shared]) -> None:
    """Neither the change nor the name: who waits for this agent waits on."""
    base = state("tester").entry()
    state("backend-dev").patch({"test_coverage": 40})
    with pytest.raises(MergeConflictError):
        state("tester").merge({**STATE, "test_coverage": 85}, base)
    with pytest.raises(ConflictError):
        state("tester").patch([{"op": "test", "path": "/test_coverage", "value": 0}])
    assert list(state("planner").contributors()) == ["backend-dev"]
    merged = state("tester").merge({**STATE, "security_issues": ["x"]}, base)
    assert (merged.value["test_coverage"], merged.value["security_issues"]) == (40, ["x"])


def test_an_update_whose_document_changes_meanwhile_runs_again(state: Callable[[str], Shared]) -> None:
    """On what the other made of it."""
    seen: list[int] = []

    def raised(value: dict[str, Any]) -> dict[str, Any]:
        seen.append(value["test_coverage"])
        if len(seen) == 1:
            state("backend-dev").patch({"test_coverage": 40})
        return {**value, "test_coverage": value["test_coverage"] + 1}

    assert state("tester").update(raised).value["test_coverage"] == 41
    assert seen == [0, 40]


# --- waiting


def test_who_waits_for_contributors_gets_the_document_with_all_of_theirs(state: Callable[[str], Shared]) -> None:
    """In one snapshot, whichever came last."""
    with ThreadPoolExecutor(5) as pool:
        waiting = pool.submit(state("planner").wait_for_contributors, AGENTS, timeout=60)
        for agent in AGENTS:
            pool.submit(state(agent).append, agent, at="/api_endpoints")
        assert sorted(waiting.result(timeout=30).value["api_endpoints"]) == sorted(AGENTS)


class Heard(Memory):
    """A memory that tells of each look that somebody who waits has taken."""

    looks = threading.Semaphore(0)

    def wait_until(self, condition: Callable[[Any], Any], **options: Any) -> Any:
        """As ever."""

        def look(view: Any) -> Any:
            found = condition(view)
            self.looks.release()
            return found

        return super().wait_until(look, **options)


def test_a_contribution_that_changes_nothing_wakes_who_waits(tmp_path: Path) -> None:
    """The document stays as it is: he watches the contributions too."""
    with Heard.open(tmp_path, agent="planner", durability="fast") as memory, ThreadPoolExecutor(1) as pool:
        document = Shared(memory, KEY)
        document.open(STATE)
        waiting = pool.submit(document.wait_for_contributors, ["tester"], timeout=60)
        for _ in range(2):  # before he asks to be woken, and after
            assert memory.looks.acquire(timeout=30)
        Shared(memory.bind(agent="tester"), KEY).contribute()
        assert waiting.result(timeout=30).version == 1


def test_who_is_missing_is_named(memory: Memory, state: Callable[[str], Shared]) -> None:
    """By the keys that did not come, for programs, and by name in the sentence."""
    state("tester").contribute()
    with pytest.raises(WaitTimeoutError) as caught:
        state("planner").wait_for_contributors(["tester", "backend-dev", "perf-analyzer"], timeout=0)
    missing = [contribution("backend-dev"), contribution("perf-analyzer")]
    assert (caught.value.missing, caught.value.revision) == (missing, memory.snapshot)
    assert "a contribution of backend-dev, a contribution of perf-analyzer" in str(caught.value)
    with pytest.raises(WaitTimeoutError) as caught:
        Shared(memory, "other").wait(timeout=0)
    assert caught.value.missing == ["other"]


def test_a_member_counts_once_it_is_not_what_it_was_opened_with(
    memory: Memory, state: Callable[[str], Shared]
) -> None:
    """For agents that only know store; a place that was absent counts when it is there."""
    planner = state("planner")
    places = ["/test_coverage", "/performance_metrics/p95_ms"]
    state("tester").patch({"test_coverage": 85})
    memory.patch(KEY, {"test_coverage": 0}, namespace="coordination")
    with pytest.raises(WaitTimeoutError) as caught:
        planner.wait_for_members(places, timeout=0)
    assert caught.value.missing == places
    memory.patch(KEY, {"performance_metrics": {"p95_ms": None}, "test_coverage": 0.0}, namespace="coordination")
    with pytest.raises(WaitTimeoutError) as caught:
        planner.wait_for_members(places, timeout=0)
    assert caught.value.missing == places[1:]
    memory.patch(KEY, [{"op": "add", "path": places[1], "value": None}], namespace="coordination")
    assert planner.wait_for_members(places, timeout=0).version == 5
    with pytest.raises(WaitTimeoutError):
        planner.wait(members=places, contributors=["planner"], timeout=0)


def test_a_document_that_was_opened_anew_is_compared_with_its_new_beginning(
    memory: Memory, state: Callable[[str], Shared]
) -> None:
    """Also where that happens while somebody waits: the first life of the key is another document."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(state("planner").wait_for_members, ["/test_coverage", "/api_endpoints"], timeout=60)
        state("tester").patch({"test_coverage": 85})
        memory.delete(KEY, namespace="coordination")
        state("planner").open({**STATE, "test_coverage": 85})
        state("backend-dev").append("/login", at="/api_endpoints")
        state("tester").patch({"test_coverage": 0})
        assert waiting.result(timeout=30).value == {**STATE, "api_endpoints": ["/login"]}


def test_a_history_that_was_rewritten_is_read_again(memory: Memory, state: Callable[[str], Shared], git: Git) -> None:
    """Somebody moves the branch back, to a document that was opened with something else."""
    back = memory.snapshot
    memory.delete(KEY, namespace="coordination")
    state("planner").open({**STATE, "test_coverage": 85})
    opening, view = _Opening(KEY), memory.bind(namespace="coordination")
    assert opening.value(view)["test_coverage"] == 85
    git(memory.path / ".git", "update-ref", "refs/heads/main", back)
    assert opening.value(view) == STATE


def test_a_malformed_place_is_told_before_anybody_waits(memory: Memory) -> None:
    """Also where the document is not there yet; so are a key, an agent and a timeout that can be none."""
    shared = Shared(memory, KEY)
    with pytest.raises(InvalidPatternError):
        shared.wait_for_members(["test_coverage"], timeout=0)
    with pytest.raises(InvalidValueError):
        shared.aggregate(REPORT, lambda value: value, timeout=-1)
    for name in ("x//y", "cafe\u0301"):
        with pytest.raises(InvalidKeyError):
            shared.wait_for_contributors([name], timeout=0)
    with pytest.raises(InvalidKeyError):
        Shared(memory, "")


# --- aggregating


def test_a_report_is_made_of_the_whole_document(memory: Memory, state: Callable[[str], Shared]) -> None:
    """Once all have contributed, and by whoever aggregates."""
    for agent in AGENTS:
        state(agent).append(agent, at="/api_endpoints")
    report = state("planner").aggregate(REPORT, lambda value: {"endpoints": len(value["api_endpoints"])},
                                        contributors=AGENTS, members=["/api_endpoints"], timeout=60)  # fmt: skip
    assert (report.key, report.value, report.agent) == (REPORT, {"endpoints": 4}, "planner")
    assert memory.log()[0].message == f"aggregate coordination {KEY}"


def test_a_document_that_changes_meanwhile_is_aggregated_again(state: Callable[[str], Shared]) -> None:
    """The report that stands is true of the document at the moment at which it was stored."""
    seen: list[int] = []

    def report(value: dict[str, Any]) -> dict[str, Any]:
        seen.append(value["test_coverage"])
        if len(seen) < 3:
            state("tester").patch({"test_coverage": len(seen)})
        return {"coverage": value["test_coverage"]}

    assert state("planner").aggregate(REPORT, report).value == {"coverage": 2}
    assert seen == [0, 1, 2]


def test_an_aggregation_without_end_ends_with_its_timeout(memory: Memory, state: Callable[[str], Shared]) -> None:
    """Somebody changes the document each time: it is told who, and nothing is stored."""

    def report(value: dict[str, Any]) -> int:
        return int(state("tester").patch({"test_coverage": value["test_coverage"] + 1}).value["test_coverage"])

    with pytest.raises(StaleError) as caught:
        state("planner").aggregate(REPORT, report, timeout=0)
    assert caught.value.key == KEY
    assert memory.retrieve(REPORT, None, namespace="coordination") is None


def test_nothing_is_aggregated_before_all_are_there(state: Callable[[str], Shared]) -> None:
    """The function is not even asked."""
    for wanted in ({"contributors": ["tester"]}, {"members": ["/test_coverage"]}):
        with pytest.raises(WaitTimeoutError):
            state("planner").aggregate(REPORT, lambda value: pytest.fail("asked"), timeout=0, **wanted)
