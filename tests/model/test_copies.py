"""Three copies, their clocks hours apart, one server, and everything that a team does: what must hold when it is calm.

Next: a write of any kind at a copy, a write on a branch and its merge, a conflict settled, a rule or a contract, a
sync, one that is cut off somewhere, one with another copy directly, a gc. Now and then everybody syncs until nothing
moves. Then: one head; every acknowledged write is in its history; a key whose writes followed each other has what
the last of them said; a conflict that was settled stays so; had they synced in another order, it would be the same.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gitmem import ABSENT, ConflictError, ContractError, Entry, InvalidValueError, Memory, MissingKeyError
from gitmem.branches import Record
from gitmem.objects import Oid
from gitmem.remotes import Remote, add
from gitmem.sync import Meeting
from gitmem.transport import Transport
from gitmem.transport.limits import Limits
from gitmem.transport.neighbour import Neighbour
from tests.conftest import Clock
from tests.foreign import run_git
from tests.race.crowd import check_index
from tests.slow_merges import Clash, History

START = datetime(2026, 2, 2, 12, tzinfo=UTC)
OFF = (0, 5, -7)
SCALARS = ["s/0", "s/1", "s/2"]
KEYS = [*SCALARS, "d/0", "l/0", "n/0", "t/0"]
RULES = [("n/*", "", "total"), ("d/*", "/a", "latest"), ("d/*", "/*", "largest"), ("s/2", "", "largest")]
INTEGER = '{"type": "integer"}'
CUTS = ["before heads", "after heads", "before fetch", "after fetch", "before push", "after push"]

who = st.integers(0, 2)
picks = st.integers(0, 10**6)
clashes = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["store", "store", "change", "delete"])), min_size=1, max_size=3
)


class Cut(Exception):
    """The connection is gone, or the process."""


class Cutting:
    """A transport that raises at one point."""

    def __init__(self, way: Transport, point: str | None) -> None:
        self.way, self.point = way, point

    def _at(self, point: str) -> None:
        if point == self.point:
            raise Cut

    def heads(self) -> dict[str, Oid]:
        self._at("before heads")
        found = self.way.heads()
        self._at("after heads")
        return found

    def fetch(self, wants: Collection[Oid]) -> None:
        self._at("before fetch")
        self.way.fetch(wants)
        self._at("after fetch")

    def push(self, branch: str, expected: Oid | None, new: Oid) -> bool:
        self._at("before push")
        done = self.way.push(branch, expected, new)
        self._at("after push")
        return done


class Event(NamedTuple):
    """A write that was acknowledged: the commit, and what the key held then."""

    revision: str
    key: str
    value: Any
    expires: datetime | None


class Settled(NamedTuple):
    """A conflict that somebody settled, and in which commit."""

    record: Record
    revision: str


class Machine(RuleBasedStateMachine):
    """The team."""

    @initialize(shared=st.booleans())
    def lay(self, shared: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gitmem-copies-"))
        self.hub = self.folder / "hub.git"
        run_git(self.folder, "init", "-q", "--bare", "-b", "main", str(self.hub))
        run_git(self.hub, "config", "gitmem.durability", "fast")
        self.clocks = [Clock(START + timedelta(hours=hours)) for hours in OFF]
        self.memories = [self.open(number) for number in range(3)]
        for number, memory in enumerate(self.memories):
            add(memory.vault.repository, "origin", str(self.hub))
            for other in range(3):
                if other != number:
                    add(memory.vault.repository, f"peer{other}", str(self.folder / f"c{other}"))
            run_git(memory.path, "config", "gitmem.autogc", "false")
        self.events: list[Event] = []
        self.elsewhere: dict[int, list[Event]] = {0: [], 1: [], 2: []}
        self.seen: list[list[Entry]] = [[], [], []]
        self.settled: list[Settled] = []
        self.turn = 0
        self.steady = True
        if shared:
            for key in SCALARS:
                self.store(0, key, None)
            self.settle([0, 1, 2])

    def open(self, number: int) -> Memory:
        return Memory.open(
            self.folder / f"c{number}", agent=f"a{number}", durability="fast", clock=self.clocks[number]
        )

    def unique(self, number: int) -> str:
        self.turn += 1
        self.clocks[number].advance(self.turn % 3)
        return f"v{self.turn}"

    def value_for(self, number: int, key: str) -> Any:
        """A new value of the key's kind."""
        text = self.unique(number)
        return {"s": text, "t": text, "d": {"a": text, "k": text}, "l": [text], "n": self.turn}[key[0]]

    def written(self, number: int, entry: Entry, events: list[Event] | None = None) -> Entry:
        (self.events if events is None else events).append(
            Event(entry.revision, entry.key, entry.value, entry.expires)
        )
        if events is None:
            self.seen[number].append(self.memories[number].entry(entry.key))
        return entry

    # --- writes at a copy ---

    @rule(number=who, key=st.sampled_from(KEYS), ttl=st.none() | st.integers(1, 60))
    def store(self, number: int, key: str, ttl: int | None) -> None:
        value = self.value_for(number, key)
        try:
            entry = self.memories[number].store(key, value, ttl=ttl if key[0] == "t" else None)
        except ContractError:
            assert not self.steady
            return
        self.written(number, entry)

    @rule(number=who, key=st.sampled_from(KEYS))
    def delete(self, number: int, key: str) -> None:
        try:
            (gone,) = self.memories[number].delete(key)
        except MissingKeyError:
            return
        self.events.append(Event(gone.revision, key, ABSENT, None))

    @rule(number=who, member=st.sampled_from("abc"), gone=st.booleans())
    def patch(self, number: int, member: str, gone: bool) -> None:
        value = None if gone else self.unique(number)
        self.written(number, self.memories[number].patch("d/0", {member: value}, default={}))

    @rule(number=who)
    def append(self, number: int) -> None:
        if not isinstance(self.memories[number].retrieve("l/0", []), list):
            return  # somebody settled a conflict with a text
        self.written(number, self.memories[number].append("l/0", self.unique(number)))

    @rule(number=who)
    def bump(self, number: int) -> None:
        self.unique(number)
        self.written(number, self.memories[number].update("n/0", counted, default=0))

    @rule(number=who, pick=picks)
    def store_by_base(self, number: int, pick: int) -> None:
        """With an entry that this copy read at some time; a conflict is the caller's."""
        if not self.seen[number]:
            return
        origin = self.seen[number][-1 - pick % min(6, len(self.seen[number]))]
        value: Any = self.value_for(number, origin.key)
        if isinstance(origin.value, list):
            value = [*origin.value, *value]
        elif isinstance(origin.value, dict):
            value = {**origin.value, "abc"[pick % 3]: value["a"]}
        try:
            entry = self.memories[number].store(origin.key, value, base=origin)
        except (ConflictError, ContractError):
            return
        self.written(number, entry)

    @rule(some=clashes, team=st.permutations([0, 1, 2]), size=st.integers(2, 3))
    def clash(self, some: list[tuple[str, str]], team: list[int], size: int) -> None:
        """Several copies write the same keys, none knowing of the others."""
        for number in team[:size]:
            for key, verb in some:
                if verb == "change" and key[0] in "dln":
                    {"d": self.patch_one, "l": self.append, "n": self.bump}[key[0]](number)
                elif verb == "delete" and number == team[0]:
                    self.delete(number, key)
                else:
                    self.store(number, key, 30 if key[0] == "t" else None)

    def patch_one(self, number: int) -> None:
        self.patch(number, "abc"[self.turn % 3], self.turn % 5 == 0)

    # --- a branch of a copy ---

    @rule(number=who, key=st.sampled_from(KEYS))
    def store_on_branch(self, number: int, key: str) -> None:
        memory = self.memories[number]
        side = memory.bind(branch="side") if "side" in memory.branches() else memory.branch("side")
        try:
            entry = side.store(key, self.value_for(number, key))
        except ContractError:
            return
        self.written(number, entry, self.elsewhere[number])

    @rule(number=who, back=st.booleans())
    def merge_branch(self, number: int, back: bool) -> None:
        """Into main, or main into it."""
        memory = self.memories[number]
        if "side" not in memory.branches():
            return
        one, other = (memory.bind(branch="side"), "main") if back else (memory, "side")
        planned = one.merge(other, dry_run=True)
        done = one.merge(other)
        assert (planned.revision, planned.keys, planned.conflicts) == (done.revision, done.keys, done.conflicts)
        if not back:
            self.events += self.elsewhere[number]
            self.elsewhere[number] = []

    # --- conflicts, rules, contracts ---

    @precondition(lambda self: any(memory.list(namespace="conflicts") for memory in self.memories))
    @rule(first=who, pick=picks, take=st.sampled_from(["winner", "other", "base", "value"]))
    def resolve(self, first: int, pick: int, take: str) -> None:
        """At the first copy that has one."""
        number = next(one for one in (first, 0, 1, 2) if self.memories[one].conflicts())
        memory = self.memories[number]
        found = memory.conflicts()
        record = found[pick % len(found)]
        try:
            if take == "value":
                memory.resolve(record.id, value=self.unique(number))
            else:
                self.unique(number)
                memory.resolve(record.id, take)
        except (ConflictError, InvalidValueError, ContractError):
            return
        assert record.id not in {one.id for one in memory.conflicts()}
        self.settled.append(Settled(record, memory.snapshot))
        if record.namespace == "default" and take != "winner":
            self.noted(memory, record.key)

    def noted(self, memory: Memory, key: str) -> None:
        """What a key holds after a commit of which nothing else is known."""
        for version in memory.history(key)[:1]:
            entry = memory.entry(key, None)
            if entry is not None or version.value is ABSENT:  # else it has expired
                expires = None if entry is None else entry.expires
                self.events.append(Event(version.revision, key, version.value, expires))

    @rule(number=who, pick=st.sampled_from(RULES))
    def add_rule(self, number: int, pick: tuple[str, str, str]) -> None:
        keys, at, name = pick
        self.memories[number].settings.add_rule(keys, name, at=at)
        self.steady = False

    @rule(number=who)
    def remove_rule(self, number: int) -> None:
        kept = self.memories[number].settings
        if kept.rules:
            kept.remove_rule(1)

    @rule(number=who, keys=st.sampled_from(["n/*", "s/1"]))
    def add_contract(self, number: int, keys: str) -> None:
        """Of s/1 it asks what nobody stores: what is there stays, and what comes is told of."""
        self.memories[number].settings.add_contract(keys, INTEGER)
        self.steady = False

    # --- meetings ---

    def meet(self, number: int, remote: str = "origin", point: str | None = None) -> bool:
        """One sync; False if it was cut off."""
        memory = self.memories[number]
        url = {one.name: one.url for one in memory.remotes()}[remote]
        other = Remote(remote, url)
        way = Cutting(Neighbour(memory.vault.repository, other, Limits()), point)
        meeting = Meeting(memory.vault, memory.write_path(), other, way)
        before = memory.snapshot
        try:
            done = meeting.run(dry_run=False, pause=lambda seconds: None)
        except Cut:
            return False
        assert (done.before, done.revision) == (before, memory.snapshot)
        return True

    @rule(some=st.lists(who, min_size=1, max_size=4))
    def sync(self, some: list[int]) -> None:
        for number in some:
            assert self.meet(number)

    @rule(number=who, point=st.sampled_from(CUTS))
    def sync_cut_off(self, number: int, point: str) -> None:
        self.meet(number, point=point)

    @rule(team=st.permutations([0, 1, 2]))
    def sync_with_peer(self, team: list[int]) -> None:
        """Without the server, so that merges are made on both sides of it."""
        self.meet(team[0], f"peer{team[1]}")

    @rule(number=who, full=st.booleans())
    def gc(self, number: int, full: bool) -> None:
        self.memories[number].gc(full=full)

    @rule(number=who, seconds=st.integers(1, 100))
    def wait(self, number: int, seconds: int) -> None:
        """And open the memory anew afterwards."""
        self.memories[number].close()
        self.memories[number] = self.open(number)
        self.clocks[number].advance(seconds)

    # --- calm ---

    @rule(order=st.permutations([0, 1, 2]))
    def settle(self, order: list[int]) -> None:
        """Everybody syncs until nothing moves; then all of it is looked at."""
        for _ in range(4):
            before = self.heads()
            for number in order:
                assert self.meet(number)
            if self.heads() == before:
                break
        else:
            raise AssertionError(f"they go on and on: {before}, {self.heads()}")
        assert len(set(self.heads())) == 1
        head = self.memories[0].snapshot
        ancestors = self.ancestors(head)
        assert [one for one in self.events if one.revision not in ancestors] == []
        self.check_settled(ancestors)
        for number in range(3):
            self.check_values(number, head)

    def heads(self) -> list[str]:
        return [*(memory.snapshot for memory in self.memories), hub_head(self.hub)]

    def parents(self, revision: str) -> tuple[str, ...]:
        commit = self.memories[0].vault.objects.commit(bytes.fromhex(revision))
        return tuple(parent.hex() for parent in commit.parents)

    def ancestors(self, revision: str) -> set[str]:
        found, left = set(), [revision]
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left += self.parents(one)
        return found

    def check_values(self, number: int, head: str) -> None:
        """A key whose last write knew all the others holds what it said, as far as it has not expired here."""
        if not self.steady:
            return
        memory = self.memories[number]
        above = cache(self.ancestors)
        state = {one.key: one for one in memory.search("**")}
        for key in KEYS:
            events = {one.revision: one for one in self.events if one.key == key}
            last = [
                one for one in events.values() if all(other in above(one.revision) for other in events)
            ]
            if len(last) == 1:
                (event,) = last
                gone = event.value is ABSENT or (
                    event.expires is not None and event.expires <= self.clocks[number].now
                )
                assert (key in state) is not gone, (key, event)
                if not gone:
                    assert (state[key].value, state[key].expires) == (event.value, event.expires), (key, event)

    def check_settled(self, ancestors: set[str]) -> None:
        """It never comes back where its values were unlike all others; else only if the key was written since."""
        open_now = {one.id for one in self.memories[0].conflicts()}
        for one in self.settled:
            if one.record.id not in open_now:
                continue
            sides = [side.value for side in one.record.sides]
            known = self.ancestors(one.revision)
            since = {event.revision for event in self.events if event.key == one.record.key} - known
            assert ABSENT in sides or one.record.namespace is None, one
            assert since or one.record.namespace is None, one

    @precondition(lambda self: self.turn % 4 == 0)
    @rule(order=st.permutations([0, 1, 2]))
    def swap(self, order: list[int]) -> None:
        """Two copies that both know the server's head: whoever comes first, they come to the same commit."""
        one, other = order[:2]
        hub = hub_head(self.hub)
        heads = [self.memories[number].snapshot for number in (one, other)]
        if any(hub and not self.knows(number, hub) for number in (one, other)):
            return
        found = []
        for first, second in ((one, other), (other, one)):
            ways = self.apart(first, second)
            try:
                found.append(ways())
            finally:
                shutil.rmtree(self.folder / "apart")
        assert found[0] == found[1], heads

    def knows(self, number: int, revision: str) -> bool:
        index = self.memories[number].vault.index
        oid, head = bytes.fromhex(revision), bytes.fromhex(self.memories[number].snapshot)
        index.catch_up(head)
        return self.memories[number].vault.objects.contains(oid) and index.is_ancestor(oid, head)

    def apart(self, first: int, second: int) -> Callable[[], str]:
        """Both and the server in another folder; calling it lets them sync, and gives the server's head."""
        top = self.folder / "apart"
        shutil.copytree(self.hub, top / "hub.git")
        for number in (first, second):
            shutil.copytree(self.folder / f"c{number}", top / f"c{number}")

        def run() -> str:
            for number in (first, second, first):
                with Memory.open(top / f"c{number}", create=False, clock=self.clocks[number]) as memory:
                    remote = Remote("away", str(top / "hub.git"))
                    way = Neighbour(memory.vault.repository, remote, Limits())
                    Meeting(memory.vault, memory.write_path(), remote, way).run(dry_run=False)
            return hub_head(top / "hub.git")

        return run

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            try:
                self.settle([2, 0, 1])
                self.check_history()
            finally:
                for memory in self.memories:
                    memory.close()
                shutil.rmtree(self.folder, ignore_errors=True)

    def check_history(self) -> None:
        for folder in (self.hub, *(memory.path for memory in self.memories)):
            assert run_git(folder, "fsck", "--strict", "--no-dangling") == ""
        for memory in self.memories:
            check_index(memory, linear=False)
        if self.steady:
            memory = self.memories[0]
            History(memory.path, memory.snapshot).check(judge, "default/s/")


def judge(history: History, clash: Clash) -> bool:
    """Text that both sides changed, without a rule for it."""
    return clash.result == clash.winner and clash.pointers == (set() if clash.low == clash.high else {""})


def counted(value: Any) -> int:
    return value + 1 if isinstance(value, int) else 1


def hub_head(hub: Path) -> str:
    """Where the server's branch is; empty if there is none yet."""
    ref = hub / "refs" / "heads" / "main"
    return ref.read_text().strip() if ref.exists() else ""


QUICK = settings(
    max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


def test_copies_agree_whatever_happened() -> None:
    """Whoever wrote what, when, and was cut off where."""
    run_state_machine_as_test(Machine, settings=QUICK)


@pytest.mark.soak
def test_copies_agree_whatever_happened_for_long() -> None:
    """The same, for minutes: `pytest -m soak tests/model`."""
    run_state_machine_as_test(Machine, settings=settings(QUICK, max_examples=1500, stateful_step_count=50))
