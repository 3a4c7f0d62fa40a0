"""Merging: two sides of one document.

Knows how two agents change one document; does not know how the merge is timed.
Law: what is compared is the price of having the document at all, one `json.loads` and one canonical `json.dumps`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gitmem.merge import merge
from tests.bench.ground import Ground
from tests.bench.measure import Figure, compare, race
from tests.bench.sources import text

SIZE = 200_000


def document(ground: Ground) -> Iterator[Figure]:
    """A document of 200 KB that both sides changed in a few dozen places."""
    printed = _print(_document(ground))
    assert abs(len(printed) - SIZE) < SIZE / 10, len(printed)
    base, ours, theirs = (json.loads(printed) for _ in range(3))
    _change(ours, 0)
    _change(theirs, 1)
    merged = merge(base, ours, theirs)
    assert not merged.conflicts
    assert len(merged.value["log"]) == len(base["log"]) + 18
    pair = race(
        lambda: merge(base, ours, theirs),
        lambda: _print(json.loads(printed)),
        rounds=7,
        turns=ground.size(20, 6),
    )
    peer = "json.loads + json.dumps of it"
    yield compare("merge-document", "merge of one 200 KB document", pair, peer=peer, limit=5)


def _print(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=2)


def _document(ground: Ground) -> dict[str, Any]:
    """A project's state: objects, lists of objects with and without identities, lists of text, long text."""
    chance = ground.random

    def words(count: int) -> str:
        return text(chance, count)

    return {
        "endpoints": [
            {"id": f"endpoint-{n}", "path": f"/api/{words(20)}", "owner": f"agent-{n % 9}", "done": n % 3 == 0}
            | {"coverage": n % 101 / 100, "notes": [words(60), words(60)], "calls": {"ok": n * 7, "failed": n % 5}}
            for n in range(260)
        ],
        "findings": [
            {"file": f"src/{n // 7}.py", "line": n * 13 % 997, "text": words(100), "severity": n % 4}
            for n in range(220)
        ],
        "log": [f"{n:04d} {words(70)}" for n in range(400)],
        "metrics": {f"metric-{n:03d}": {"value": n / 7, "count": n} for n in range(150)},
        "series": [n * n % 1009 for n in range(1200)],
        "report": "".join(f"{n}: {words(70)}\n" for n in range(150)),
    }


def _change(value: dict[str, Any], side: int) -> None:
    """Some forty changes that go together with those of the other side (0 or 1)."""
    other = 1 - side
    for n in range(5 + side, 260, 20):
        value["endpoints"][n]["owner"] = f"agent {side}"
        value["endpoints"][n + other]["calls"]["ok"] += 1
    value["endpoints"].insert(40 * (side + 1), {"id": f"new-{side}", "path": "/new", "owner": "?", "done": False})
    for n in range(20 + 3 * side, 220, 30):
        value["findings"][n]["severity"] = 9
    for n in range(10):
        value["log"].append(f"side {side} turn {n}")
        value["metrics"][f"metric-{n * 14 + side:03d}"]["count"] = -1
    del value["log"][100 + 50 * side]
    del value["series"][300 * (side + 1)]
    lines = value["report"].splitlines(keepends=True)
    lines[30 + 60 * side] = f"rewritten by {side}\n"
    value["report"] = "".join(lines)
