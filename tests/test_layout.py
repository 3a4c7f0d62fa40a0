"""Wide directories: one shape for each set of entries."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitmem.keys import directory_name, leaf_name, parse_path
from gitmem.layout import BUCKETS, LIMIT, bucket, bucket_digit, digits, paths


def names(count: int, seed: int = 0) -> list[str]:
    chance = random.Random(seed)
    return [f"näme-{chance.randrange(10**12)}-{number}" for number in range(count)]


def by_counting(entries: set[tuple[str, bool]]) -> dict[tuple[str, bool], tuple[bytes, ...]]:
    """The rule said another way: as many digits as leave at most 128 entries that share them."""

    def hexadecimal(entry: tuple[str, bool]) -> str:
        return hashlib.sha256(entry[0].encode()).hexdigest()

    placed = {}
    for entry in entries:
        depth = 0
        while sum(hexadecimal(other)[:depth] == hexadecimal(entry)[:depth] for other in entries) > 128:
            depth += 1
        placed[entry] = tuple(f"~{digit}".encode() for digit in hexadecimal(entry)[:depth])
    return placed


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 400])
def test_the_shape_follows_from_counting(count: int) -> None:
    """Two statements of the rule, so that a slip in one is seen."""
    entries = {(name, number % 5 == 0) for number, name in enumerate(names(count))}
    assert paths(entries) == by_counting(entries)


def test_a_bucket_that_is_wide_itself_is_split_again() -> None:
    """3,000 entries are some 190 a bucket."""
    entries = {(name, False) for name in names(3000)}
    depths = {len(place) for place in paths(entries).values()}
    assert depths == {2}


def test_the_limit_is_128_entries() -> None:
    """The format says so; one entry more splits."""
    assert LIMIT == 128
    assert set(paths((name, False) for name in names(128)).values()) == {()}
    assert {len(place) for place in paths((name, False) for name in names(129)).values()} == {1}


def test_a_file_and_a_directory_of_one_name_are_two_entries_of_one_bucket() -> None:
    """Key `a` and keys `a/…` count twice, and are found by the same digits."""
    both = [(name, kind) for name in names(64) for kind in (False, True)]
    assert set(paths(both).values()) == {()}
    wide = paths([*both, ("one-more", False)])
    assert all(wide[name, False] == wide[name, True] == (bucket(name, 0),) for name in names(64))


@settings(max_examples=30)
@given(st.integers(100, 300), st.randoms(use_true_random=False))
def test_the_shape_does_not_depend_on_the_order(count: int, chance: random.Random) -> None:
    """Same keys, same tree, whoever wrote first; naming an entry twice changes nothing."""
    entries = [(name, False) for name in names(count)]
    shuffled = chance.sample(entries, count)
    assert paths(shuffled + shuffled[:5]) == paths(entries)


def test_bucket_names_are_a_tilde_and_a_digit() -> None:
    """Nothing that a caller names begins with a tilde, so a bucket never meets a key."""
    assert {b"~0", b"~9", b"~a", b"~f"} < BUCKETS
    assert len(BUCKETS) == 16
    assert [bucket("a", depth) for depth in (0, 1, 2, 63)] == [b"~c", b"~a", b"~9", b"~b"]
    assert digits("a").startswith("ca978112")
    assert [bucket_digit(name) for name in (b"~c", b"~C", b"~g", b"~", b"~10", b"c")] == ["c", *[None] * 5]


def test_a_key_is_found_under_its_buckets() -> None:
    """What the shape says and what a path says are one thing, for files and directories."""
    placed = paths((name, kind) for name in names(200) for kind in (False, True))
    for (name, is_directory), place in placed.items():
        tail = (directory_name(name), b"x.json") if is_directory else (leaf_name(name),)
        path = b"/".join((b"default", *place, *tail))
        assert parse_path(path) == ("default", f"{name}/x" if is_directory else name)
