"""Merging: two sides of one document, two branches, and meeting a copy that has nothing new.

Knows how two agents change one document and two branches; does not know how the merge is timed.
Law: a document is compared with the price of having it at all, one `json.loads` and one canonical `json.dumps`; a
plan with what dulwich does for the same three trees; an idle sync with git's own exchange of refs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

from gitmem import Memory, branches
from gitmem.merge import merge
from tests.bench.ground import Ground, key_of, value_of
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


def trees(ground: Ground) -> Iterator[Figure]:
    """Planning the merge of two branches that each changed 500 of 10,000 keys: everything but writing it down."""
    from dulwich.merge import Merger
    from dulwich.object_store import MemoryObjectStore, OverlayObjectStore
    from dulwich.repo import Repo

    count, share = ground.size(10_000, 1_000), ground.size(500, 50)
    memory = Memory.open(ground.path("branches"), durability="fast")
    _write(memory, range(count), 0)
    side = memory.branch("side")
    chosen = ground.random.sample(range(count), 2 * share)
    _write(memory, chosen[:share], 1)
    _write(side, chosen[share:], 1)
    ours, theirs = bytes.fromhex(memory.snapshot), bytes.fromhex(side.snapshot)
    base = memory.vault.index.merge_bases(ours, theirs)[0]
    assert len(branches.plan(memory.vault, ours, theirs).outcomes) == 2 * share
    with Repo(str(memory.vault.repository.git_dir)) as repo:

        def peer() -> None:
            store = OverlayObjectStore([repo.object_store], add_store=MemoryObjectStore())
            three: list[Any] = [store[store[oid.hex().encode()].tree] for oid in (base, ours, theirs)]
            _, conflicts = Merger(store).merge_trees(*three)
            assert not conflicts

        pair = race(lambda: branches.plan(memory.vault, ours, theirs), peer, rounds=7, turns=ground.size(7, 2))
    work = f"plan of a merge, {share} of {count} keys changed on each side"
    yield compare("merge-trees", work, pair, peer="dulwich merge_trees", limit=0.5)


def _write(memory: Memory, numbers: Iterable[int], turn: int) -> None:
    with memory.transaction(f"turn {turn}") as tx:
        for number in numbers:
            tx.store(key_of(number), value_of(number, turn))


def idle(ground: Ground) -> Iterator[Figure]:
    """A sync that has nothing to do, with a repository in a folder: one exchange of refs."""
    hub, place = ground.path("hub"), ground.path("copy")
    subprocess.run(["git", "init", "--quiet", "--bare", str(hub)], check=True)
    memory = Memory.open(place, durability="fast")
    _write(memory, range(1_000), 0)
    memory.add_remote("origin", str(hub))
    memory.sync()
    asked = ["git", "-C", str(memory.vault.repository.git_dir), "ls-remote", "--heads", str(hub)]
    pair = race(
        memory.sync,
        lambda: subprocess.run(asked, check=True, capture_output=True),
        rounds=5,
        turns=ground.size(15, 3),
    )
    yield compare("sync-idle", "sync with nothing to do", pair, peer="git ls-remote", limit=1.5)
