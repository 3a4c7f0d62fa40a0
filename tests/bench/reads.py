"""Reading: one key, many keys, one key's past, and all of it from a process that has just begun.

Knows which calls are the same work on both sides; does not know how they are timed.
Law: warm means that both sides have answered the same kind of question before; no answer is asked for twice in a row.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from gitmem import Memory
from tests.bench.ground import NAMESPACE, PAST, Ground, git_dir_of, key_of, open_memory, value_of
from tests.bench.measure import Figure, compare, race
from tests.bench.peers import GitLog, Sqlite

PRESENT = 10_000
MANY = 100_000


def retrieve(ground: Ground) -> Iterator[Figure]:
    """One key of 10,000, again and again, any of them."""
    with open_memory(ground.filled(PRESENT)) as memory:
        peer = _sqlite(ground, PRESENT)
        keys = [key_of(number) for number in ground.random.sample(range(PRESENT), PRESENT)]
        for key in keys:
            assert memory.retrieve(key) == memory.entry(key).value == peer.retrieve(NAMESPACE, key)

        def calls(read: object) -> object:
            endless = cycle(keys)
            return lambda: [read(next(endless)) for _ in range(1000)]  # type: ignore[operator]

        for name, read, limit in (("retrieve", memory.retrieve, 1.5), ("entry", memory.entry, 3)):
            pair = race(
                calls(read),  # type: ignore[arg-type]
                calls(lambda key: peer.retrieve(NAMESPACE, key)),  # type: ignore[arg-type]
                rounds=7,
                turns=ground.size(20, 6),
                per=1000,
            )
            yield compare(name, f"{name}, warm", pair, peer="sqlite3 + json.loads", limit=limit)
        peer.close()


def cold(ground: Ground) -> Iterator[Figure]:
    """One key from a process that has just begun, through `python -m gitmem` and through the installed script."""
    path = ground.filled(ground.size(PRESENT, 1000))
    key, value = key_of(57), value_of(57)
    arguments = ["--store", str(path), "retrieve", key, "-n", NAMESPACE]
    ways = {"cold-module": [sys.executable, "-m", "gitmem", *arguments]}
    installed = _installed()
    if installed is not None:
        ways["cold-script"] = [*installed, *arguments]
    click = [sys.executable, "-c", "import click"]
    for name, command in ways.items():
        answer = subprocess.run(command, stdout=subprocess.PIPE, env=_environment(), check=True).stdout
        assert str(value["note"]).encode() in answer, answer
        turns = ground.size(10, 4)
        pair = race(lambda command=command: run_program(command), lambda: run_program(click), rounds=5, turns=turns)
        work = f"retrieve, cold process, {'`python -m gitmem`' if name == 'cold-module' else 'the script'}"
        yield compare(name, work, pair, peer='python -c "import click"', limit=1.7)


def search(ground: Ground) -> Iterator[Figure]:
    """Keys by prefix and by glob, and the first 100 entries of a glob, among 100,000."""
    keys = ground.size(MANY, 10_000)
    swarms = keys // 10_000
    with open_memory(ground.filled(keys)) as memory:
        peer = _sqlite(ground, keys)
        globs = [f"swarm-{n % swarms:02d}/agent-{n * 7 % 100:02d}/*" for n in range(20)]
        inner = [f"*/agent-*/status-{n:02d}" for n in range(20)]
        plans = [
            ("list", "list", [""], memory.list, lambda _: peer.list(NAMESPACE), 1),
            ("list-prefix", "list below a prefix", [glob[:-1] for glob in globs], memory.list, _below(peer), 10),
            ("glob-prefix", "glob with a prefix, keys", globs, memory.search_keys, _keys(peer), 10),
            ("glob-inner", "glob without a prefix, keys", inner, memory.search_keys, _keys(peer), 1),
            ("glob-100", "glob with a prefix, 100 entries", globs, _first(memory), _first_rows(peer), 5),
            ("glob-inner-100", "glob without a prefix, 100 entries", inner, _first(memory), _first_rows(peer), 2),
        ]
        for name, work, patterns, mine, theirs, block in plans:
            for pattern in patterns:
                assert [_key(one) for one in mine(pattern)] == [_key(one) for one in theirs(pattern)], pattern
            ours, others = cycle(patterns), cycle(patterns)
            pair = race(
                lambda mine=mine, ours=ours: mine(next(ours)),
                lambda theirs=theirs, others=others: theirs(next(others)),
                rounds=5,
                turns=ground.size(6, 4),
                block=block,
            )
            yield compare(name, f"{work}, {keys:,} keys, warm", pair, peer="sqlite3 GLOB", limit=1)
        peer.close()


def history(ground: Ground) -> Iterator[Figure]:
    """A key's ten versions among 100,000 commits, and among 1,000."""
    many, few = ground.size(MANY, 10_000), 1_000
    deep, shallow = ground.long(many), ground.long(few)
    with open_memory(deep) as memory, open_memory(shallow) as other:
        git = GitLog(git_dir_of(deep))
        assert [one.revision for one in memory.history(PAST)] == git.history(NAMESPACE, PAST)
        work = f"history of a key, 10 versions among {many:,} commits"
        pair = race(lambda: memory.history(PAST), lambda: git.history(NAMESPACE, PAST), rounds=5, turns=5)
        part = 50 * many // MANY  # git's time goes with the number of commits, ours does not
        yield compare("history", work, pair, peer="git log -- path", limit=1 / part, aim=f"≤ 1/{part}")
        pair = race(lambda: memory.history(PAST), lambda: other.history(PAST), rounds=5, turns=20, block=5)
        yield compare("history-depth", "the same", pair, peer="among 1,000", limit=2)


def _sqlite(ground: Ground, keys: int) -> Sqlite:
    peer = Sqlite(ground.path("peer.sqlite3"))
    peer.fill((NAMESPACE, key_of(number), value_of(number)) for number in range(keys))
    return peer


def _key(one: object) -> object:
    return one if isinstance(one, str) else one[0] if isinstance(one, tuple) else one.key  # type: ignore[attr-defined]


def _first(memory: Memory) -> object:
    return lambda glob: memory.search(glob, limit=100)


def _first_rows(peer: Sqlite) -> object:
    return lambda glob: peer.search(NAMESPACE, glob, 100)


def _keys(peer: Sqlite) -> object:
    return lambda glob: peer.search_keys(NAMESPACE, glob)


def _below(peer: Sqlite) -> object:
    return lambda prefix: peer.search_keys(NAMESPACE, prefix + "*")


def script() -> list[str]:
    """How `gitmem` is started here."""
    return _installed() or [sys.executable, "-m", "gitmem"]


def _installed() -> list[str] | None:
    """The installed script of this very interpreter, if there is one."""
    beside = Path(sys.executable).parent / "gitmem"
    found = beside if beside.exists() else shutil.which("gitmem")
    return None if found is None else [str(found)]


def _environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_program(command: list[str]) -> None:
    """Run a program to its end, for its time alone."""
    subprocess.run(command, stdout=subprocess.DEVNULL, env=_environment(), check=True)
