"""Handoffs: what is promised is there when it is handed over, and nobody goes on without it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gitmem import ContractError, InvalidPatternError, Memory, WaitTimeoutError
from gitmem.recipes import Handoff

RESEARCH, IMPLEMENTATION, TESTING = (
    "handoff/step1/research-complete", "handoff/step2/implementation-complete", "handoff/step3/testing-complete"
)  # fmt: skip
PROMISED = {
    RESEARCH: ("recommended_approach", "security_considerations", "libraries"),
    IMPLEMENTATION: ("endpoints", "request_formats", "response_formats"),
    TESTING: ("coverage_percent", "test_cases", "edge_cases_covered"),
}
FINDINGS = {"recommended_approach": "JWT", "security_considerations": None, "libraries": ["pyjwt"]}


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path, agent="researcher", durability="fast") as memory:
        yield memory


@pytest.fixture
def handoff(memory: Memory) -> Handoff:
    return Handoff(memory)


def test_three_agents_hand_over_in_order_whoever_starts_first(memory: Memory) -> None:
    """The tester is started first and the researcher last; the history holds the steps in their order all the same."""

    def work(agent: str, before: str | None, own: str) -> list[str]:
        steps = Handoff(memory.bind(agent=agent))
        got = {} if before is None else steps.receive(before, requires=PROMISED[before], timeout=60).value
        steps.complete(own, dict.fromkeys(PROMISED[own], agent), requires=PROMISED[own])
        return sorted(got)

    agents = [("tester", IMPLEMENTATION, TESTING), ("backend-dev", RESEARCH, IMPLEMENTATION),
              ("researcher", None, RESEARCH)]  # fmt: skip
    with ThreadPoolExecutor(3) as pool:
        received = list(pool.map(lambda agent: work(*agent), agents, timeout=30))
    assert received == [sorted(PROMISED[IMPLEMENTATION]), sorted(PROMISED[RESEARCH]), []]
    made = [(commit.agent, commit.message) for commit in reversed(memory.log(namespace="coordination"))]
    assert made == [
        ("researcher", f"complete coordination {RESEARCH}"),
        ("backend-dev", f"complete coordination {IMPLEMENTATION}"),
        ("tester", f"complete coordination {TESTING}"),
    ]


def test_every_missing_field_is_named_and_nothing_is_stored(memory: Memory, handoff: Handoff) -> None:
    """All at once, as with any contract; the next agent must not start from half a result."""
    with pytest.raises(ContractError) as caught:
        handoff.complete(RESEARCH, {"libraries": []}, requires=PROMISED[RESEARCH] * 2)
    assert caught.value.key == RESEARCH
    assert caught.value.problems == ["recommended_approach is missing", "security_considerations is missing"]
    assert "recommended_approach, security_considerations" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems
    assert memory.namespaces() == []


@pytest.mark.parametrize("value", [None, 1, "libraries", ["libraries"], [], {}])
def test_what_is_no_object_has_no_fields(handoff: Handoff, value: Any) -> None:
    """Least of all the text that is the field's name, or the list that holds it."""
    with pytest.raises(ContractError):
        handoff.complete(RESEARCH, value, requires=["libraries"])
    assert handoff.complete(RESEARCH, value).value == value


def test_a_null_is_there(handoff: Handoff) -> None:
    """Who looked and found nothing has kept the promise."""
    assert handoff.complete(RESEARCH, FINDINGS, requires=PROMISED[RESEARCH]).value == FINDINGS


def test_a_field_may_be_a_place_deeper_inside(handoff: Handoff) -> None:
    """A JSON pointer; one text is one field, not its letters."""
    spec = {"services": [{"name": "user"}], "a/b": 1}
    handoff.complete("spec", spec, requires=["/services/0/name", "/a~1b", "a/b"])
    handoff.complete("spec", spec, requires="services")
    with pytest.raises(ContractError) as caught:
        handoff.complete("spec", spec, requires=["/services/1/name", "/services/0/name/first", "/services/x"])
    assert len(caught.value.problems) == 3


def test_a_malformed_place_is_told_before_anybody_waits(handoff: Handoff) -> None:
    """Otherwise it would be told when the value comes, perhaps hours later."""
    with pytest.raises(InvalidPatternError):
        handoff.receive(RESEARCH, requires=["/a~2"], timeout=0)


def test_a_value_that_lacks_a_field_has_not_come(memory: Memory, handoff: Handoff) -> None:
    """An agent that only knows store may store a draft there; the error says who did, and what it lacks."""
    memory.store(RESEARCH, {"libraries": []}, namespace="coordination")
    assert handoff.receive(RESEARCH, requires=["libraries"], timeout=0).agent == "researcher"
    with pytest.raises(WaitTimeoutError) as caught:
        handoff.receive(RESEARCH, requires=PROMISED[RESEARCH], timeout=0)
    assert "version 1, by researcher" in str(caught.value)
    assert "lacks recommended_approach, security_considerations" in str(caught.value)
    assert (caught.value.missing, caught.value.revision) == ([RESEARCH], memory.snapshot)


def test_a_step_that_did_not_come_is_named(memory: Memory, handoff: Handoff) -> None:
    """With the revision from which to go on."""
    with pytest.raises(WaitTimeoutError) as caught:
        handoff.receive(RESEARCH, requires=["libraries"], timeout=0)
    assert (caught.value.missing, caught.value.revision) == ([RESEARCH], memory.snapshot)
    assert "lacks" not in str(caught.value)


def test_who_waits_goes_on_when_the_last_field_is_there(memory: Memory, handoff: Handoff) -> None:
    """Drafts in between wake nobody for good."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(handoff.receive, RESEARCH, requires=PROMISED[RESEARCH], timeout=60)
        for field, value in FINDINGS.items():
            memory.patch(RESEARCH, {field: value or ""}, default={}, namespace="coordination")
        received = waiting.result(timeout=30)
    assert (received.version, sorted(received.value)) == (3, sorted(FINDINGS))


def test_a_key_full_of_the_signs_of_globs_is_waited_for(handoff: Handoff) -> None:
    """It is a key, not a pattern: neither refused nor overlooked."""
    step = "handoff/[step]*/{1,2}?/%\\"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(handoff.receive, step, timeout=60)
        handoff.complete(step, 1)
        assert waiting.result(timeout=30).value == 1


def test_a_chain_lies_where_agents_meet(memory: Memory) -> None:
    """In `coordination`, unless the memory is bound elsewhere or the recipe is told a namespace."""
    Handoff(memory).complete("a", 1)
    Handoff(memory.bind(namespace="team")).complete("b", 2)
    Handoff(memory.bind(namespace="team"), namespace="default").complete("c", 3)
    found = {name: memory.list(namespace=name) for name in memory.namespaces()}
    assert found == {"coordination": ["a"], "team": ["b"], "default": ["c"]}


def test_status_lists_the_steps_that_are_complete(handoff: Handoff) -> None:
    """In the order of their keys, which is that of the chain where steps are numbered."""
    for step in (TESTING, RESEARCH, "fanout/spec"):
        handoff.complete(step, step, message="done at last")
    assert [entry.key for entry in handoff.status()] == [RESEARCH, TESTING]
    assert [entry.value for entry in handoff.status("handoff/step3/*")] == [TESTING]
