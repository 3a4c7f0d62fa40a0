"""Recalling: the patterns that answer a question, beside the bare full-text query in the same tables.

Knows how to make many patterns of those in fixtures/patterns; does not know how they are ranked.
Law: both sides look for the same words in the same file. What `recall` adds is paid for: the snapshot, the entries with
their authors and times, outcomes, likeness, and the reasons in words.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from gitmem.index.text_tables import PARTS, WEIGHTS
from gitmem.index.text_words import any_of, words_of
from gitmem.keys import REASONING_BANK
from gitmem.recipes import Patterns
from gitmem.recipes.ranking import telling
from tests.bench.ground import Ground, open_memory
from tests.bench.measure import Figure, compare, race

PRESENT = 10_000
FIXTURES = Path(__file__).parents[2] / "fixtures" / "patterns"
BARE = f"""
select rowid, bm25(stems, {", ".join(str(WEIGHTS[part]) for part in PARTS)}) as score
from stems where stems match ? order by score limit 50
"""


def recall(ground: Ground) -> Iterator[Figure]:
    """The five best of many patterns, for questions as people ask them."""
    path = ground.memory(f"{PRESENT}-patterns", lambda place: _fill(place, _many(ground, PRESENT)))
    with open_memory(path) as memory:
        patterns = Patterns(memory)
        questions = [row["question"] for row in _lines("questions.jsonl")]
        assert len(patterns.recall(questions[0])) == 5  # and the tables are filled
        peer = sqlite3.connect(memory.path / "derived" / "text.sqlite3")
        mine, theirs = cycle(questions), cycle([any_of(words_of(telling(one))) for one in questions])
        pair = race(
            lambda: patterns.recall(next(mine)),
            lambda: peer.execute(BARE, (next(theirs),)).fetchall(),
            rounds=5,
            turns=ground.size(40, 20),  # in a smaller bank the query costs nothing, and all that is beside it is told
            block=5,
        )
        work = f"recall, 5 of {PRESENT:,} patterns, warm"
        yield compare("recall", work, pair, peer="the bare FTS5 query", limit=2)
        peer.close()


def _fill(path: Path, values: Iterable[tuple[str, Any]]) -> None:
    with open_memory(path) as memory, memory.transaction("fill") as tx:
        for key, value in values:
            tx.store(key, value, namespace=REASONING_BANK)


def _many(ground: Ground, number: int) -> Iterator[tuple[str, Any]]:
    """As many patterns as are wanted: each says to do what one of the fixtures does, and was taught by others."""
    values = [row["value"] for row in _lines("patterns.jsonl")]
    sentences = [text for value in values for text in value["lessons_learned"]]
    for at in range(number):
        one, other = values[at % len(values)], ground.random.choice(values)
        half = len(one["approach"]) // 2
        lessons = ground.random.sample(sentences, 3)
        approach = one["approach"][:half] + other["approach"][half:]
        value = {**one, "approach": approach, "lessons_learned": lessons, "successes": at % 17, "failures": at % 5}
        yield f"pattern/{one['pattern_type']}/number-{at:05d}", value


def _lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (FIXTURES / name).read_text("utf-8").splitlines()]
