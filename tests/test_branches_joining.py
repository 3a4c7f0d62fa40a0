"""Random histories on two branches, merged: compared key by key with a reference that knows dictionaries alone."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitmem import ABSENT, ConflictError, CorruptValueError, InvalidValueError, Memory
from gitmem.branches import Merge
from gitmem.codec import encode, equal
from gitmem.editing import edit
from gitmem.layout import bucket
from gitmem.maintenance import doctor
from gitmem.merge import Conflict, merge
from gitmem.objects import EMPTY_TREE
from gitmem.transaction import Transaction
from gitmem.trees import expiry, keys_of, lookup
from tests.conftest import Clock
from tests.foreign import EXECUTABLE, GITLINK, SYMLINK, paths_of, run_git
from tests.forks import Fork, fork

KEYS = [("d", f"p/k{number}") for number in range(7)] + [("d", "p"), ("d", "q.json/é"), ("e", "con")]
WIDE = [("d", f"p/w{number}") for number in range(130)]
TTLS = [None, None, None, 10_000, 20_000, 30_000]
RULES = [
    'keys = "**"\nat = "/a"\nrule = "largest"', 'keys = "p/*"\nat = "/b"\nrule = "total"',
    'keys = "p/*"\nat = "/l"\nrule = "union"', 'namespace = "d"\nkeys = "p/k1"\nrule = "latest"',
]  # fmt: skip
FILES: dict[str, list[Any]] = {
    "README.md": [b"1", b"2", b"3"],
    "latest": [(SYMLINK, b"d/p.json"), (SYMLINK, b"x"), b"text"],
    "tools/run.sh": [(EXECUTABLE, b"1"), b"1", (EXECUTABLE, b"2")],
    "vendor": [(GITLINK, b"1" * 40), (GITLINK, b"2" * 40)],
    "d/p/notes.txt": [b"1", b"2"],
    "d/p/~3/odd.txt": [b"1", b"2"],
    "~gitmem/mine": [b"1", b"2"],
    "tools/deep/er/x": [b"1", b"2"],
}


class Unreadable(NamedTuple):
    """A key's file that is no value."""

    blob: str


class State(NamedTuple):
    """What a key is at one commit."""

    value: Any
    expires: datetime | None


NOTHING = State(ABSENT, None)
States = dict[tuple[str, str], State]


# --- what people do


class Writer:
    """Somebody who writes at random, through gitmem and through plain git."""

    def __init__(self, dice: random.Random, world: Fork) -> None:
        self.dice, self.world = dice, world
        self.doubled = False

    def value(self) -> Any:
        dice = self.dice
        if dice.random() < 0.15:
            return dice.choice([None, 1, 1.0, True, "text", "a\nb\nc\n", "a\nB\nc\n", [], {}])
        members = {"a": dice.randrange(4), "b": dice.randrange(3), "c": dice.choice([0, {"d": 1}, {"d": 2}])}
        lists = {"l": dice.sample([1, 2, 3, 4], dice.randrange(4)), "i": self.elements()}
        return {name: one for name, one in (members | lists).items() if dice.random() < 0.8}

    def elements(self) -> list[Any]:
        chosen = self.dice.sample(range(4), self.dice.randrange(5))
        return [{"id": one, "v": self.dice.randrange(2)} for one in chosen]

    def write(self, side: Memory) -> None:
        """One commit, or a few."""
        act = self.dice.choice([self.store, self.store, self.store, self.files, self.settings, self.widen, self.raw])
        act(side)
        self.world.clock.advance(self.dice.choice([0, 1, 5]))

    def store(self, side: Memory) -> None:
        with side.transaction() as tx:
            for namespace, key in self.dice.sample(KEYS, self.dice.randint(1, 5)):
                there = is_there(tx, namespace, key)
                if there and self.dice.random() < 0.25:
                    tx.delete(key, namespace=namespace)
                elif there and self.dice.random() < 0.3:
                    same = tx.retrieve(key, namespace=namespace)
                    tx.store(key, same, namespace=namespace, ttl=self.dice.choice(TTLS))
                else:
                    tx.store(key, self.value(), namespace=namespace, ttl=self.dice.choice(TTLS))

    def widen(self, side: Memory) -> None:
        """Enough keys for buckets, or too few for them again."""
        if self.dice.random() < 0.4:
            side.delete_matching("p/w*", namespace="d")
            return
        with side.transaction() as tx:
            for namespace, key in WIDE:
                tx.store(key, 0, namespace=namespace)

    def files(self, side: Memory) -> None:
        chosen = self.dice.sample(sorted(FILES), self.dice.randint(1, 4))
        there = paths_of(self.world.git_dir, side.branch_name)
        self.world.push(side, {
            path: None if path in there and self.dice.random() < 0.3 else self.dice.choice(FILES[path])
            for path in chosen
        })  # fmt: skip

    def settings(self, side: Memory) -> None:
        rules = self.dice.sample(RULES, self.dice.randrange(3))
        lines = [f"x{one} = {self.dice.randrange(3)}" for one in self.dice.sample(range(3), self.dice.randrange(3))]
        text = "\n".join(["format = 1", *lines, *(f"[[merge]]\n{one}" for one in rules), ""])
        self.world.push(side, {"gitmem.toml": text.encode()})

    def raw(self, side: Memory) -> None:
        """At a key's path: other JSON than ours, no JSON at all, a second file for one key."""
        name = f"k{self.dice.randrange(3)}"
        second = f"d/p/{bucket(name, 0).decode()}/{name}.json"
        path, body = self.dice.choice([
            ("d/p/k5.json", b'{"b": 7,"a":1.50}'), ("d/p/k6.json", b"{"), ("d/p/k6.json", b"[1,"), (second, b"8\n"),
        ])  # fmt: skip
        there = paths_of(self.world.git_dir, side.branch_name).keys() - FILES.keys()
        self.doubled |= path == second or any(one.startswith("d/p/~") for one in there)
        self.world.push(side, {path: body})


def is_there(tx: Transaction, namespace: str, key: str) -> bool:
    try:
        return tx.retrieve(key, ABSENT, namespace=namespace) is not ABSENT
    except CorruptValueError:
        return False


# --- what ought to come of it


def states(memory: Memory, revision: str) -> States:
    """Every key at a commit, as the verbs tell it; but for the records."""
    past, found = memory.at(revision), {}
    for namespace in past.namespaces():
        for key in past.list(namespace=namespace) if namespace != "conflicts" else ():
            try:
                entry = past.entry(key, namespace=namespace)
                found[namespace, key] = State(entry.value, entry.expires)
            except CorruptValueError:
                vault, root = memory.vault, memory.vault.past(bytes.fromhex(revision)).root
                oid, instant = (look(vault.objects, root, namespace, key) for look in (lookup, expiry))
                expires = None if instant is None else vault.instant(instant, namespace, key)
                found[namespace, key] = State(Unreadable((oid or b"").hex()), expires)
    return found


class Reference:
    """The merge of two commits with one base, by the design's text: each key for itself."""

    def __init__(self, memory: Memory, base: str, low: str, high: str, merged: str) -> None:
        self.memory, self.heads = memory, (low, high)
        self.sides = [states(memory, revision) for revision in (base, low, high)]
        self.policy = memory.vault.policy(memory.vault.past(bytes.fromhex(merged)).root)
        self.conflicts: set[tuple[str, str, str]] = set()
        self.merged: States = {}
        for key in sorted({key for side in self.sides for key in side}):
            sides = [side.get(key, NOTHING) for side in self.sides]
            value = self.value(key, *sides)
            if value is not ABSENT:
                self.merged[key] = State(value, self.expires(*(one.expires for one in sides), *sides))

    def author(self, which: int, key: tuple[str, str]) -> tuple[int, str]:
        last = self.memory.at(self.heads[which]).history(key[1], namespace=key[0], limit=1)[0]
        return int(last.time.timestamp()), last.revision

    def value(self, key: tuple[str, str], base: State, low: State, high: State) -> Any:
        for kept, gone in ((low, high), (high, low)):
            renewed = base.expires is not None and kept.expires != base.expires
            if renewed and gone == NOTHING and same(base.value, kept.value):
                return kept.value
        if same(base.value, low.value) or same(base.value, high.value):
            return high.value if same(base.value, low.value) else low.value
        if base.expires is not None and NOTHING in (low, high):
            return low.value if high == NOTHING else high.value
        values = [base.value, low.value, high.value]
        times = self.author(0, key), self.author(1, key)
        winner = 1 + (times[1] > times[0])
        if any(isinstance(one, Unreadable) for one in values):
            if same(low.value, high.value):
                return low.value
            if isinstance(low.value, Unreadable) != isinstance(high.value, Unreadable):
                winner = 1 + isinstance(low.value, Unreadable)
            self.conflicts.add((*key, ""))
            return values[winner]
        found: list[str] = []

        def hold(conflict: Conflict) -> Any:
            found.append(conflict.pointer)
            return conflict[1 + winner]

        value = merge(*values, self.policy.rules_for(*key), times, hold=hold).value
        numbers = Counter(found)
        self.conflicts.update((*key, one if numbers[one] == 1 else one.rpartition("/")[0]) for one in found)
        return value

    @staticmethod
    def expires(
        base: datetime | None, ours: datetime | None, theirs: datetime | None, was: State, low: State, high: State
    ) -> datetime | None:
        if NOTHING in (low, high):
            return theirs if low == NOTHING else ours
        if was != NOTHING and base in (ours, theirs):
            return theirs if ours == base else ours
        return None if ours is None or theirs is None else max(ours, theirs)


def same(one: Any, other: Any) -> bool:
    return one == other if isinstance(one, Unreadable) or isinstance(other, Unreadable) else equal(one, other)


def merged_files(world: Fork, base: str, revisions: tuple[str, str], newer: int) -> dict[str, tuple[str, str]]:
    """The foreign files of two sides, path by path; the newer head's where both changed one."""
    past, *sides = ({
        line.split("\t")[1]: (line.split()[0], line.split()[2])
        for line in run_git(world.git_dir, "ls-tree", "-r", revision).splitlines()
        if line.split("\t")[1] in FILES
    } for revision in (base, *revisions))  # fmt: skip
    found = {}
    for path in FILES:
        was, mine, theirs = past.get(path), sides[0].get(path), sides[1].get(path)
        one = theirs if mine == was else mine if theirs == was else (mine, theirs)[newer]
        if one is not None:
            found[path] = one
    return found


# --- the laws


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("joining")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1_000_000))
def test_a_merge_is_what_each_key_by_itself_comes_to(folder: Path, seed: int) -> None:
    """The same commit from both sides and on a machine that has read nothing yet; whole, canonical, and as told."""
    world, writer = begun(folder, seed)
    dice = writer.dice
    for side in (world.one, world.two):
        for _ in range(dice.randint(1, 4)):
            writer.write(side)
    base = world.main.snapshot
    heads = world.one.snapshot, world.two.snapshot
    if base in heads:  # somebody's writing came to nothing
        world.merge()
        return
    cold = merged_elsewhere(world, folder, heads)
    done = world.merge()
    assert done.revision == cold
    low, high = sorted(heads)
    reference = Reference(world.main, base, low, high, done.revision)
    found = states(world.main, done.revision)
    assert printed(found) == printed(reference.merged)
    told = {(one.namespace, one.key, one.pointer) for one in done.conflicts if one.namespace and one.problem is None}
    assert told == reference.conflicts
    check_files(world, base, (low, high), done)
    check_told(done, reference, heads[0] == low)
    check_tokens(world, reference, done)
    if not writer.doubled:
        check_shape(world, done)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1_000_000))
def test_any_web_of_merges_comes_to_one_head(folder: Path, seed: int) -> None:
    """Three branches that merge each other at random, bases of bases included, and settle some of their conflicts."""
    world, writer = begun(folder, seed)
    third = world.main.branch("three", at=world.one.snapshot).bind(agent="eve")
    sides = [world.one, world.two, third]
    for _ in range(writer.dice.randint(4, 12)):
        side, other = writer.dice.sample(sides, 2)
        choice = writer.dice.randrange(4)
        if choice == 0:
            writer.write(side)
        elif choice == 1 and side.conflicts():
            settle(writer.dice, side)
        else:
            writer.store(other)
            Fork(world.main, side, other, world.clock).merge_one_way()
    for _ in range(2):  # a bad value that was pushed to a side itself is told by the first who takes it
        for side, other in permutations(sides, 2):
            Fork(world.main, side, other, world.clock).merge_one_way()
    assert len({side.snapshot for side in sides}) == 1
    for record in world.one.conflicts():
        assert world.one.retrieve(record.id, namespace="conflicts")["key"] == record.key
        world.one.resolve(record.id, "winner")
    assert world.one.conflicts() == []
    assert run_git(world.git_dir, "fsck", "--strict", "--no-dangling") == ""


def settle(dice: random.Random, side: Memory) -> None:
    """One of the conflicts that are open; another word where this one cannot be taken."""
    record = dice.choice(side.conflicts())
    try:
        side.resolve(record.id, dice.choice(["other", "base", "winner"]))
    except (ConflictError, InvalidValueError, CorruptValueError):
        side.resolve(record.id, "winner")


def begun(folder: Path, seed: int) -> tuple[Fork, Writer]:
    """A memory with a little past, forked, and somebody who goes on."""
    dice, clock = random.Random(seed), Clock(datetime(2026, 2, 2, 12, tzinfo=UTC))
    shutil.rmtree(folder, ignore_errors=True)
    main = Memory.open(folder / "here", agent="main", durability="fast", clock=clock)
    writer = Writer(dice, Fork(main, main, main, clock))
    for _ in range(dice.randint(1, 3)):
        writer.write(main)
    writer.world = fork(main, clock)
    return writer.world, writer


def merged_elsewhere(world: Fork, folder: Path, heads: tuple[str, str]) -> str:
    """What a machine without an index comes to that takes the first into the second."""
    shutil.copytree(world.git_dir, folder / "there.git")
    with Memory.open(folder / "there.git", agent="x", branch="two", create=False) as there:
        assert there.snapshot == heads[1]
        return there.merge(heads[0]).revision


def printed(found: States) -> dict[tuple[str, str], tuple[object, datetime | None]]:
    """By type: 1, 1.0 and true are not the same."""
    return {
        key: (value if isinstance(value, Unreadable) else encode(value), expires)
        for key, (value, expires) in found.items()
    }


def check_files(world: Fork, base: str, heads: tuple[str, str], done: Merge) -> None:
    times = [(int(run_git(world.git_dir, "log", "-1", "--format=%at", head)), head) for head in heads]
    files = merged_files(world, base, heads, int(times[1] > times[0]))
    assert merged_files(world, done.revision, (done.revision, done.revision), 0) == files


def check_told(done: Merge, reference: Reference, mine_is_low: bool) -> None:
    """What is said of each key is what became of it here."""
    mine = reference.sides[1 if mine_is_low else 2]
    for one in done.keys:
        before = mine.get((one.namespace, one.key), NOTHING)
        after = reference.merged.get((one.namespace, one.key), NOTHING)
        if one.result == "new":
            assert before is NOTHING
        elif one.result == "deleted":
            assert after is NOTHING
        elif one.result == "unchanged":
            assert same(before.value, after.value)
        if (one.namespace, one.key) in {conflict[:2] for conflict in reference.conflicts}:
            assert one.result == "conflict"


def check_tokens(world: Fork, reference: Reference, done: Merge) -> None:
    """A key that one side alone changed has that side's token, one that nobody changed has its old one."""
    index = world.main.vault.index
    for namespace, key in reference.merged:
        was, low, high, now = (
            index.token(bytes.fromhex(one), namespace, key)
            for one in (world.main.snapshot, *reference.heads, done.revision)
        )
        assert now is not None
        for one, other in ((low, high), (high, low)):
            if one == was and other is not None and other.blob == now.blob:
                assert now.revision == other.revision
                assert now.version == other.version


def check_shape(world: Fork, done: Merge) -> None:
    """Canonical where gitmem wrote last; and the doctor finds no error."""
    objects = world.main.vault.objects
    root = world.main.vault.past(bytes.fromhex(done.revision)).root
    keys = {(name, key): oid for name in ("d", "e", "conflicts") for key, oid in keys_of(objects, root, name).items()}
    clean = edit(objects, objects.writer(durable=False), EMPTY_TREE, keys)
    found = {path: oid for path, oid in paths_of(world.git_dir, done.revision).items() if path not in FILES}
    areas = ("d/", "e/", "conflicts/")
    assert {path: oid for path, oid in found.items() if path.startswith(areas)} == paths_of(world.git_dir, clean.hex())
    if len(done.keys) % 4 == 0:
        findings = [one for one in doctor(world.main).findings if one.severity == "error"]
        assert all("k6" in one.message for one in findings), findings


def test_the_reference_sees_a_difference() -> None:
    """It is worth what it compares."""
    later = datetime(2026, 1, 1, tzinfo=UTC)
    assert Reference.expires(later, later, None, State(1, later), State(1, later), State(1, None)) is None
    one, other = State(1, later), State(1, later + timedelta(1))
    assert Reference.expires(None, later, other.expires, NOTHING, one, other) == other.expires
    assert printed({("d", "k"): State(1, None)}) != printed({("d", "k"): State(1.0, None)})
