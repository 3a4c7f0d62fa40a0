"""Runs: taking one back, comparing two, listing all.

Knows memories in which sessions wrote much; does not know how they are told apart.
Law: an undo is beside a restore of the same keys, which does not ask who wrote what; a comparison beside git's list of
the files that the same commits changed; the list of sessions beside git's reading of the same trailers.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gitmem import Memory
from tests.bench.ground import NAMESPACE, Ground, fill, git_dir_of, key_of, open_memory, value_of
from tests.bench.measure import Figure, Pair, compare, race
from tests.bench.peers import BRANCH, canonical, path_of

RUN = "session-20260101-000000-run"
TWO = (RUN, "session-20260102-000000-run")


def undo(ground: Ground) -> Iterator[Figure]:
    """A session that wrote every key of a memory; then one in whose values somebody else has written as well."""
    keys = ground.size(10_000, 1000)
    for others, name, limit in ((False, "nobody else wrote", 3), (True, "others wrote in each", 6)):
        pair = _pair(ground, keys, others=others)
        work = f"undo of a session that wrote {keys:,} keys, {name}"
        yield compare("undo", work, pair, peer="restore of these keys", limit=limit)


def _written(path: Path, keys: int, *, others: bool) -> None:
    fill(path, ((key_of(number), value_of(number)) for number in range(keys)))
    with open_memory(path) as memory:
        for session, change in ((RUN, {"turn": 1, "run": True}), ("other", {"other": True}))[: 1 + others]:
            with memory.bind(session=session).transaction(session) as tx:
                for number in range(keys):
                    tx.patch(key_of(number), change)
        memory.entry(key_of(0))


def _pair(ground: Ground, keys: int, *, others: bool) -> Pair:
    """Each side in a fresh copy of the memory, in turns."""
    works: tuple[Callable[[Memory], object], ...] = (
        lambda memory: memory.undo(RUN),
        lambda memory: memory.restore("**", at="HEAD~2" if others else "HEAD~1"),
    )
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ground.size(5, 3)):
        for side, work in enumerate(works):
            path = ground.memory(f"undo-{others}", lambda path: _written(path, keys, others=others))
            with open_memory(path) as memory:
                memory.entry(key_of(0))
                start = time.perf_counter()
                work(memory)
                times[side].append(time.perf_counter() - start)
    return Pair(tuple(times[0]), tuple(times[1]))


def compared(ground: Ground) -> Iterator[Figure]:
    """Two sessions of many commits on 1,000 keys, half of them with the session's id in their name."""
    commits = ground.size(10_000, 2000)
    path = ground.memory("two-sessions", lambda path: _two(path, commits))
    with open_memory(path) as memory:
        found = memory.compare(*TWO)
        assert (len(found.pairs), found.only_a, found.only_b) == (1000, (), ())
        git = ["git", f"--git-dir={git_dir_of(path)}", "log", BRANCH]
        names = [*git, "--name-only", "--format=%H"]
        pair = race(
            lambda: memory.compare(*TWO).differ,
            lambda: subprocess.run(names, check=True, stdout=subprocess.DEVNULL),
            rounds=5,
            turns=ground.size(5, 3),
        )
        work = f"compare of two sessions of {commits:,} commits"
        yield compare("compare", work, pair, peer="git log --name-only", limit=1)
        trailers = [*git, "--format=%(trailers:key=Session,valueonly)"]
        pair = race(
            memory.sessions,
            lambda: subprocess.run(trailers, check=True, stdout=subprocess.DEVNULL),
            rounds=5,
            turns=ground.size(5, 3),
        )
        yield compare("compare", f"sessions of {2 * commits:,} commits", pair, peer="git log of the trailer", limit=1)


def _two(path: Path, commits: int) -> None:
    """The history, made by `git fast-import`, which writes one pack; and its index."""
    open_memory(path).close()
    command = ["git", f"--git-dir={git_dir_of(path)}", "fast-import", "--quiet"]
    importer = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert importer.stdin is not None
    with importer.stdin as stream:
        for turn in range(2 * commits):
            stream.write(_commit(turn, TWO[turn // commits], first=turn == 0))
    assert importer.wait() == 0
    with open_memory(path) as memory:
        assert [one.commits for one in memory.sessions()] == [commits, commits]


def _commit(turn: int, session: str, *, first: bool) -> bytes:
    number = turn * 7919 % 1000
    key = f"session/{session}/part-{number}" if number % 2 else key_of(number)
    body = canonical(value_of(number, turn))
    message = f"store {NAMESPACE} {key}\n\nAgent: bench\nSession: {session}\n".encode()
    who = b"bench <bench@gitmem> %d +0000" % (1767300000 + turn)
    head = b"commit %s\nauthor %s\ncommitter %s\ndata %d\n%s\n" % (BRANCH.encode(), who, who, len(message), message)
    start = b"from %s^0\n" % BRANCH.encode() if first else b""
    path = "/".join(path_of(NAMESPACE, key)).encode()
    return head + start + b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(body), body)
