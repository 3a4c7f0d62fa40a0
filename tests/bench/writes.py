"""Storing: one key, one key among very many, many keys at once.

Knows which calls are the same work on both sides; does not know how they are timed.
Law: both sides write the same keys with the same values into copies of one memory; gitmem's time includes its index.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from tests.bench.ground import (
    NAMESPACE,
    Ground,
    flat_key,
    git_dir_of,
    key_of,
    loose_bytes,
    open_memory,
    value_of,
)
from tests.bench.measure import Figure, Work, compare, race
from tests.bench.peers import Plumbing, Pygit2

PRESENT = 10_000
SMALL = 6 * 1024


def store_fast(ground: Ground) -> Iterator[Figure]:
    """One key of 10,000, nothing flushed."""
    yield _beside_pygit2(ground, "store-fast", "store one key, 10,000 present, fast", sync=False)


def store_sync(ground: Ground) -> Iterator[Figure]:
    """One key of 10,000, on the disk when the call returns."""
    yield _beside_pygit2(ground, "store-sync", "the same, sync", sync=True)


def store_plumbing(ground: Ground) -> Iterator[Figure]:
    """One key of 10,000 beside git's own programs."""
    model = ground.size(PRESENT, 2_000)
    mine, theirs = ground.filled(model), ground.filled(model)
    with open_memory(mine) as memory:
        peer = Plumbing(git_dir_of(theirs))
        pair = race(
            _each(ground, model, memory.store),
            _each(ground, model, lambda key, value: peer.store(NAMESPACE, key, value)),
            rounds=3,
            turns=ground.size(6, 3),
            block=3,
        )
    yield compare("store-plumbing", "the same, fast", pair, peer="git plumbing", limit=1 / 20, aim="≤ 1/20")


def store_flat(ground: Ground) -> Iterator[Figure]:
    """One of 100,000 keys in one directory, beside one of 1,000."""
    many, few = ground.size(100_000, 10_000), 1_000
    wide, narrow = ground.flat(many), ground.flat(few)
    stores = 0

    def store(key: str, value: object) -> None:
        nonlocal stores
        stores += 1
        ours.store(key, value)

    with open_memory(wide) as ours, open_memory(narrow) as peer:
        pair = race(
            _each(ground, many, store, flat_key),
            _each(ground, few, peer.store, flat_key),
            rounds=5,
            turns=ground.size(8, 4),
            block=10,
        )
    yield compare("store-flat", f"store into {many:,} flat keys", pair, peer="into 1,000", limit=2)
    size = loose_bytes(wide) / stores
    yield Figure(
        "store-flat-bytes",
        "its new objects",
        f"{size / 1024:.2f} KB a store",
        "–",
        (size,),
        SMALL,
        "≤ 6 KB",
        show="{:.0f} bytes",
    )


def transaction(ground: Ground) -> Iterator[Figure]:
    """1,000 keys in one commit."""
    model = ground.size(PRESENT, 5_000)
    mine, theirs = ground.filled(model), ground.filled(model)
    turns = count(1)

    def values() -> dict[str, object]:
        turn = next(turns)
        return {key_of(number): value_of(number, turn) for number in ground.random.sample(range(model), 1000)}

    with open_memory(mine) as memory:
        peer = Pygit2(git_dir_of(theirs))

        def ours() -> None:
            with memory.transaction("store many") as tx:
                for key, value in values().items():
                    tx.store(key, value)

        pair = race(
            ours,
            lambda: peer.store_many({(NAMESPACE, key): value for key, value in values().items()}),
            rounds=5,
            turns=ground.size(4, 2),
        )
    yield compare("transaction", "1,000 keys in one transaction", pair, peer="pygit2, one commit", limit=0.5)


def _beside_pygit2(ground: Ground, name: str, work: str, *, sync: bool) -> Figure:
    mine, theirs = ground.filled(PRESENT), ground.filled(PRESENT)
    with open_memory(mine, durability="sync" if sync else "fast") as memory:
        peer = Pygit2(git_dir_of(theirs), fsync=sync)
        pair = race(
            _each(ground, PRESENT, memory.store),
            _each(ground, PRESENT, lambda key, value: peer.store(NAMESPACE, key, value)),
            rounds=5,
            turns=ground.size(8, 4),
            block=10,
        )
        Pygit2(git_dir_of(theirs), fsync=False)
    return compare(name, work, pair, peer="pygit2, fsync" if sync else "pygit2", limit=1)


def _each(ground: Ground, keys: int, store: object, name: object = key_of) -> Work:
    """A call that stores a new value under one of the keys, any of them."""
    turns = count(1)

    def work() -> None:
        number = ground.random.randrange(keys)
        store(name(number), value_of(number, next(turns)))  # type: ignore[operator]

    return work
