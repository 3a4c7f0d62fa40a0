"""How well a question is answered, as a number: nDCG@5 on the judged questions of fixtures/patterns.

Three rankings answer the same questions: plain substring search, BM25 alone, and `Patterns.recall`. The table is
printed with `pytest -s`. The halves show whether weights were fitted to `tune`; what is asserted is asserted of all.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gitmem import Memory
from gitmem.keys import REASONING_BANK
from gitmem.recipes import Patterns

HERE = Path(__file__).parent.parent / "fixtures" / "patterns"
DEPTH = 5
LEAST = {"patterns": 150, "domains": 12, "questions": 40}
Ranking = Callable[[str, str | None], Sequence[str]]


class Question(NamedTuple):
    question: str
    domain: str | None
    split: str
    judged: dict[str, int]


def lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


QUESTIONS = [Question(**line) for line in lines("questions.jsonl")]
PATTERNS: dict[str, Any] = {line["key"]: line["value"] for line in lines("patterns.jsonl")}


# --- the measure ---


def ndcg(ranked: Sequence[str], judged: dict[str, int], depth: int = DEPTH) -> float:
    """Järvelin and Kekäläinen's normalised discounted cumulative gain, with gains 2^grade - 1: from 0 to 1."""
    ideal = sorted(judged.values(), reverse=True)[:depth]
    return gained([judged.get(key, 0) for key in ranked[:depth]]) / gained(ideal)


def gained(grades: Sequence[int]) -> float:
    return sum((2**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))


@pytest.mark.parametrize(
    ("ranked", "worth"),
    [
        ("abc", 1.0),
        ("abcxy", 1.0),
        ("", 0.0),
        ("xyz", 0.0),
        ("a", 0.745253),  # 7/1 = 7 of the ideal 7/1 + 3/1.584963 + 1/2 = 9.392789
        ("bac", 0.842828),  # 3/1 + 7/1.584963 + 1/2 = 7.916508
        ("cba", 0.680606),  # 1/1 + 3/1.584963 + 7/2 = 6.392789
        ("xxxxa", 0.288303),  # 7/2.584963 = 2.707970: the last place that counts
        ("xxxxxa", 0.0),
    ],
)
def test_ndcg_is_what_comes_out_by_hand(ranked: str, worth: float) -> None:
    """a answers (3), b helps (2), c is marginal (1), all else is nothing; discounts are log2 of 2, 3, 4, 5, 6."""
    assert ndcg(ranked, {"a": 3, "b": 2, "c": 1}) == pytest.approx(worth, abs=1e-6)


def test_no_more_than_five_answers_are_ideal() -> None:
    """Six equal ones cannot all be among the first five; that costs nothing."""
    assert ndcg("bcdef", dict.fromkeys("abcdef", 2)) == 1


# --- the fixture ---


def test_patterns_are_what_gitmem_writes() -> None:
    """Each of its own key, its rate what its counts come to, its relatives among the others."""
    assert len(PATTERNS) == len(lines("patterns.jsonl")) >= LEAST["patterns"]
    assert len({value["pattern_type"] for value in PATTERNS.values()}) >= LEAST["domains"]
    for key, value in PATTERNS.items():
        tried = value["successes"] + value["failures"]
        assert re.fullmatch(rf"pattern/{value['pattern_type']}/[a-z0-9-]+", key)
        assert value["success_rate"] == round(100 * value["successes"] / tried), key
        assert 1 <= len(set(value["sessions_used"])) == len(value["sessions_used"]) <= tried, key
        assert set(value["related"]) <= PATTERNS.keys() - {key}, key


def test_questions_are_judged_on_patterns_that_are_there() -> None:
    """With an answer to each, in its domain where it names one, and as many to tune by as held out."""
    assert len({one.question for one in QUESTIONS}) == len(QUESTIONS) >= LEAST["questions"]
    assert [one.split for one in QUESTIONS].count("tune") == [one.split for one in QUESTIONS].count("held-out")
    for one in QUESTIONS:
        assert one.judged.keys() <= PATTERNS.keys(), one.question
        assert max(one.judged.values()) == 3, one.question
        assert set(one.judged.values()) <= {1, 2, 3}, one.question
        assert {key.split("/")[1] for key in one.judged} <= {one.domain} or one.domain is None, one.question


# --- the rankings ---


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    """All patterns, stored by one commit after the last of their sessions; without one of its own nothing is noted."""
    place = tmp_path_factory.mktemp("patterns")
    with Memory.open(place, agent="librarian", clock=lambda: datetime(2026, 11, 1, tzinfo=UTC)) as memory:
        with memory.transaction("what earlier runs learned") as stage:
            for key, value in PATTERNS.items():
                stage.store(key, value, namespace=REASONING_BANK)
        yield memory


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    else:
        yield str(value)


def substrings(question: str, domain: str | None) -> Sequence[str]:
    """By how many of the question's words occur anywhere in key or texts, in whatever case; equals by key."""
    words = set(re.findall(r"\w+", question.lower()))

    def found(key: str) -> int:
        text = "\n".join([key, *texts(PATTERNS[key])]).lower()
        return sum(word in text for word in words)

    asked = [key for key in PATTERNS if domain is None or key.startswith(f"pattern/{domain}/")]
    return sorted((key for key in asked if found(key)), key=lambda key: (-found(key), key))[:DEPTH]


def rankings(memory: Memory) -> dict[str, Ranking]:
    def bm25(question: str, domain: str | None) -> Sequence[str]:
        ranked = memory.rank(question, namespace=REASONING_BANK, glob=f"pattern/{domain or '*'}/**", limit=DEPTH)
        return [one.entry.key for one in ranked]

    def recall(question: str, domain: str | None) -> Sequence[str]:
        return [one.entry.key for one in Patterns(memory).recall(question, domain=domain, limit=DEPTH)]

    return {"substring": substrings, "bm25": bm25, "recall": recall}


def test_recall_answers_no_worse_than_substring_search_or_bm25(memory: Memory) -> None:
    """Reliability, age and variety are there to help; where they cost relevance, they are wrong."""
    worth = {
        name: [ndcg(ranking(one.question, one.domain), one.judged) for one in QUESTIONS]
        for name, ranking in rankings(memory).items()
    }
    told = table(worth)
    sys.stdout.write(told)
    assert sum(worth["recall"]) >= sum(worth["substring"]), told
    assert sum(worth["recall"]) >= sum(worth["bm25"]), told


def table(worth: dict[str, list[float]]) -> str:
    """The mean of each ranking over each half and over all questions."""
    rows = [f"\nnDCG@{DEPTH}, {len(PATTERNS)} patterns", f"{'questions':14}" + "".join(f"{name:>11}" for name in worth)]
    for split in ("tune", "held-out", "all"):
        chosen = [number for number, one in enumerate(QUESTIONS) if split in (one.split, "all")]
        means = [sum(values[number] for number in chosen) / len(chosen) for values in worth.values()]
        rows.append(f"{split:9}{len(chosen):5}" + "".join(f"{mean:11.3f}" for mean in means))
    return "\n".join([*rows, ""])
