"""Three copies and one server: everybody writes, everybody syncs, and everything is cut off at random.

init: a server, three copies of it, whose clocks are hours apart, each with a writer and a process that syncs without
a pause. next: a syncing process is killed at a random moment and another begins; a connection is cut after a random
number of bytes. invariant, after a few quiet rounds: one head; every acknowledged write is in its history; git finds
nothing wrong anywhere; every merge is what the design says of its parents; every key has the value that follows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gitmem import Memory, MissingKeyError
from tests.foreign import run_git
from tests.race.crowd import check_index
from tests.race.cutting import Cutter, cutting
from tests.race.nursery import Nursery, nursery
from tests.servers import PASSWORD, SERVERS, USER, Server, closed
from tests.slow_merges import Clash, History

NAMES = ("ann", "bob", "cy")
OFF = {"ann": 0, "bob": 5 * 3600, "cy": -7 * 3600}
PACE = {"local": 0.04, "http": 0.06, "git": 0.04, "ssh": 0.2}
"""Seconds between two writes, and between two meetings, at the most: as these ways are quick."""


def login(url: str) -> tuple[str, str]:
    return USER, PASSWORD


class World:
    """A server's repository and three copies of it, which reach it through a cutter if it has a port."""

    def __init__(self, top: Path, server: Server, cutter: Cutter | None, program: str) -> None:
        self.program, self.cutter = program, cutter
        url = closed(server.repository())
        self.repository = server.root / "team.git"
        if cutter is not None:
            url = url.replace(f":{urlsplit(url).port}/", f":{cutter.port}/", 1)
            cutter.cuts = False
        self.copies = {name: top / name for name in NAMES}
        with Memory.open(self.copies["ann"], agent="ann", durability="fast") as first:
            first.add_remote("origin", url)
            first.settings.add_rule("all/count", "total")
            first.settings.add_rule("all/best", "largest")
            first.store("all/document", {"elements": []})
            first.sync(credentials=login, program=program)
        for name in NAMES[1:]:
            Memory.clone(url, self.copies[name], credentials=login, program=program, durability="fast").close()
        for copy in self.copies.values():
            run_git(copy / ".gitmem", "config", "gitmem.autogc", "false")  # the writers begin it themselves
        if cutter is not None:
            cutter.cuts = True

    def run(self, seed: int, kills: int, pace: float) -> list[dict[str, Any]]:
        """Writers and meetings, until so many of these were killed; what everybody said."""
        dice = random.Random(seed)
        with nursery() as crowd:
            for name, copy in self.copies.items():
                crowd.begin("write", copy, name, seed=dice.random(), pace=pace, off=OFF[name])
            living = {name: self.meet(crowd, name, dice, pace) for name in NAMES}
            for _ in range(kills):
                victim = dice.choice(NAMES)
                crowd.until(crowd.count("met", "cut") + dice.randrange(1, 4), "met", "cut")
                crowd.listen(dice.random() * pace)
                crowd.kill(living[victim])
                living[victim] = self.meet(crowd, victim, dice, pace)
            (self.copies["ann"].parent / "stop").touch()
            crowd.until(len(NAMES), "done")
        return crowd.said

    def meet(self, crowd: Nursery, name: str, dice: random.Random, pace: float) -> int:
        options = {"program": self.program, "pace": pace, "off": OFF[name]}
        return crowd.begin("meet", self.copies[name], name, seed=dice.random(), **options)

    def calm(self) -> Memory:
        """Quiet rounds without cuts until all have one head; one of the copies, opened when nothing short is alive."""
        if self.cutter is not None:
            self.cutter.cuts = False
        later = datetime.now(UTC) + timedelta(days=1)
        memories = [
            Memory.open(copy, agent=name, create=False, clock=lambda: later) for name, copy in self.copies.items()
        ]
        try:
            for one in [*memories, *memories[:-1]]:  # the last one has what all had, and the others get it
                one.sync(credentials=login, program=self.program, timeout=20)
            heads = {one.snapshot for one in memories} | {run_git(self.repository, "rev-parse", "main").strip()}
            assert len(heads) == 1
            for one in memories:
                again = one.sync(credentials=login, program=self.program, timeout=20)
                assert (again.sent, again.received, again.keys) == (False, False, ())
        finally:
            for one in memories[1:]:
                one.close()
        return memories[0]


def check(world: World, said: list[dict[str, Any]]) -> None:
    with world.calm() as memory:
        writes = [one for one in said if "revision" in one and one["kind"] != "met"]
        ancestors = set(run_git(world.repository, "rev-list", "main").split())
        assert [one for one in writes if one["revision"] not in ancestors] == []
        check_values(memory, writes)
        for folder in (*(copy / ".gitmem" for copy in world.copies.values()), world.repository):
            assert run_git(folder, "fsck", "--strict", "--no-dangling") == ""
        check_index(memory, linear=False)
        for copy in world.copies.values():
            with Memory.open(copy, create=False) as one:
                one.gc()
            left = [path.name for path in (copy / ".gitmem" / "local").iterdir() if "." not in path.name]
            assert {name for name in left if name.startswith(("transit", "publish", "free"))} == set()
            assert not list((copy / ".gitmem" / ".git").rglob("*.lock"))
        history = History(memory.path / ".git", memory.snapshot)
        assert history.check(judge, "default/") > 0


def check_values(memory: Memory, writes: list[dict[str, Any]]) -> None:
    """What each copy alone wrote is what it wrote last; what all wrote has everybody's part."""
    own = {one["key"]: one for one in writes if one["kind"] in ("own", "short", "gone")}
    state = {one.key: one.value for one in memory.search("own/**")}
    assert state == {key: one["value"] for key, one in own.items() if one["kind"] == "own"}
    assert memory.retrieve("all/count") == sum(one["kind"] == "count" for one in writes)
    assert memory.retrieve("all/best") == max(one["value"] for one in writes if one["kind"] == "best")
    members = {one["by"]: one["value"] for one in writes if one["kind"] == "member"}
    assert memory.retrieve("all/members") == members
    for key, found in (
        ("all/list", memory.retrieve("all/list")), ("all/document", memory.retrieve("all/document")["elements"])
    ):  # fmt: skip
        for name in NAMES:
            mine = [one["value"] for one in writes if one["kind"] == "element" and one["key"] == key]
            assert [one for one in found if one.startswith(name)] == [one for one in mine if one.startswith(name)]
        assert len(found) == len(mine)
    for number in range(4):
        key = f"fight/{number}"
        last = {one["by"]: one["value"] for one in writes if one["key"] == key}
        said = {one["value"] for one in writes if one["key"] == key}
        try:
            assert memory.retrieve(key) in said
        except MissingKeyError:
            assert None in said or not last


def judge(history: History, clash: Clash) -> bool:
    """What a key that both sides changed comes to, by the rules of this world."""
    if clash.key.startswith("default/fight/"):
        same = clash.low == clash.high
        return clash.result == clash.winner and clash.pointers == (frozenset() if same else {""})
    if clash.pointers or clash.result is None or not clash.key.startswith("default/all/"):
        return False
    base, low, high, result = (
        None if blob is None else history.value(blob) for blob in (clash.base, clash.low, clash.high, clash.result)
    )
    match clash.key.removeprefix("default/all/").removesuffix(".json"):
        case "count":
            return bool(result == low + high - (base or 0))
        case "best":
            return bool(result == max(low, high))
        case "members":
            changed = [{name: one[name] for name in one if one[name] != (base or {}).get(name)} for one in (low, high)]
            return bool(result == {**(base or {}), **changed[0], **changed[1]} and not changed[0].keys() & changed[1])
        case _:
            lists = [one if isinstance(one, list) else (one or {"elements": []})["elements"] for one in (low, high)]
            merged = result if isinstance(result, list) else result["elements"]
            return sorted(merged) == sorted({*lists[0], *lists[1]})


@contextmanager
def world(top: Path, kind: str, seed: int, program: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with ExitStack() as stack:
        server = stack.enter_context(SERVERS[kind](top / "server"))
        port = urlsplit(server.url).port
        cutter = None if port is None else stack.enter_context(cutting(port, seed))
        for name, value in server.settings.items():
            alias = f" -o HostKeyAlias=[127.0.0.1]:{port}" if name == "GIT_SSH_COMMAND" else ""
            monkeypatch.setenv(name, value + alias)
        yield World(top, server, cutter, program)


@pytest.mark.parametrize("kind", ["local", "http", "git", "ssh"])
def test_three_copies_that_are_cut_off_at_random_agree(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over every way to a server."""
    with world(tmp_path, kind, 3, "dulwich", monkeypatch) as made:
        check(made, made.run(seed=3, kills=4 if kind == "ssh" else 12, pace=PACE[kind]))


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["local", "http", "git", "ssh"])
@pytest.mark.parametrize("program", ["dulwich", "git"])
def test_a_thousand_cuts_lose_nothing(kind: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for minutes, with a new world after each 25 kills, since the reference is slow."""
    for seed in range(40):
        with world(tmp_path / str(seed), kind, seed, program, monkeypatch) as made:
            check(made, made.run(seed=seed, kills=25, pace=PACE[kind]))
