"""Watchers beside everything that moves a branch: whoever writes, packs, pushes or dies, they are told exactly.

init: a watcher at a revision, killed and resumed where its last whole commit was. next: writers that are killed, gc,
packed refs, a push and an update-ref by plain git, a merge of a branch. invariant: between two commits that it told,
the path of the design passes none that changed a key; what it told of each is the difference of two trees; all of it
applied is the state. So no event is lost, none comes twice, the order is kept, and no commit is split.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gitmem import Memory
from tests.foreign import STRANGER, run_git
from tests.race.crowd import TOP
from tests.race.test_kills import Crowd

Bunch = list[dict[str, Any]]
Key = tuple[str, str]
Step = tuple[str, str]
PATIENCE = 120.0


class Watcher:
    """`gitmem watch` in a process, killed and begun again; and the commits that it told whole."""

    def __init__(self, store: Path, since: str) -> None:
        self._store = store
        self.since = since
        self.told: list[Bunch] = []
        self.kills = 0
        self._begin()

    def _begin(self) -> None:
        words = ["watch", "--store", str(self._store), "--since", self.since, "--all-namespaces"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gitmem", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(TOP)},
        )
        assert self.process.stdout is not None
        self._output = self.process.stdout.fileno()
        self._buffer = b""
        self._torn: Bunch = []

    def listen(self, seconds: float) -> bool:
        """Take in what it says, for so long at the most; False at the end of it."""
        if not select.select([self._output], [], [], seconds)[0]:
            return True
        read = os.read(self._output, 1 << 16)
        *lines, self._buffer = (self._buffer + read).split(b"\n")
        for line in lines:
            event = json.loads(line)
            self._torn.append(event)
            if event["last"]:
                self.told.append(self._torn)
                self.since, self._torn = event["revision"], []
        return bool(read)

    def until(self, key: str) -> None:
        """Until it has told of this key."""
        deadline = time.monotonic() + PATIENCE
        while not any(event["key"] == key for bunch in self.told[-5:] for event in bunch):
            assert self.listen(1), self.errors()
            assert time.monotonic() < deadline, len(self.told)

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def kill(self) -> None:
        """kill -9: half a line and half a commit's lines are worth nothing."""
        self.process.kill()
        while self.listen(PATIENCE):
            pass
        assert self.errors() == ""
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        self.kills += 1

    def resume(self) -> None:
        self.kill()
        self._begin()


class Truth:
    """What plain git says of a history; nothing here knows `gitmem.watch`, or how gitmem compares trees."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        listing = run_git(folder, "log", "--all", "--topo-order", "--reverse", "--format=%H %T %P")
        lines = [line.split() for line in listing.splitlines()]  # parents first
        self._trees = {words[0]: words[1] for words in lines}
        self._parents = {words[0]: words[2:] for words in lines}
        self.value = cache(self._value)

    def way(self, since: str, head: str) -> list[Step]:
        """From the head backwards, at a merge the first parent from which the cursor is reachable."""
        steps: list[Step] = []
        while head != since:
            parents = self._parents[head]
            parent = parents[0] if len(parents) == 1 else next(one for one in parents if one in self._after(since))
            steps.append((parent, head))
            head = parent
        return steps[::-1]

    def _after(self, since: str) -> set[str]:
        """The commit and all that come after it."""
        found = {since}
        for revision, parents in self._parents.items():
            if not found.isdisjoint(parents):
                found.add(revision)
        return found

    def changes(self, steps: Iterable[Step]) -> dict[Step, dict[Key, tuple[str, str]]]:
        """The keys that differ between two commits: the blob before and after, empty where there is none."""
        pairs = {step: (self._trees[step[0]], self._trees[step[1]]) for step in steps}
        given = "".join(f"{before} {after}\n" for before, after in set(pairs.values()))
        found: dict[tuple[str, ...], dict[Key, list[set[str]]]] = {}
        keys: dict[Key, list[set[str]]] = {}
        said = run_git(self._folder, "diff-tree", "--stdin", "-r", "--no-renames", given=given.encode())
        for line in said.splitlines():
            if not line.startswith(":"):
                keys = found[tuple(line.split())] = {}
                continue
            facts, path = line.split("\t")
            if (key := key_of(path)) is not None:
                sides = keys.setdefault(key, [set(), set()])
                for side, blob in zip(sides, facts.split()[2:4], strict=True):
                    side |= {blob} - {"0" * 40}
        return {
            step: {key: (only(old), only(new)) for key, (old, new) in found[pair].items() if old != new}
            for step, pair in pairs.items()
        }

    def state(self, revision: str) -> dict[Key, str]:
        lines = run_git(self._folder, "ls-tree", "-r", revision).splitlines()
        named = ((key_of(line.split("\t")[1]), line.split()[2]) for line in lines)
        return {key: blob for key, blob in named if key is not None}

    def _value(self, blob: str) -> Any:
        return json.loads(run_git(self._folder, "cat-file", "blob", blob)) if blob else None


def key_of(path: str) -> Key | None:
    """Namespace and key of a path of these tests, which need no decoding; a wide directory's buckets do not count."""
    segments = [segment for segment in path.split("/") if len(segment) != 2 or segment[0] != "~"]
    if path.startswith("~gitmem/") or not path.endswith(".json"):
        return None
    return segments[0], "/".join(segments[1:]).removesuffix(".json")


def only(blobs: set[str]) -> str:
    assert len(blobs) < 2
    return next(iter(blobs), "")


def check(truth: Truth, since: str, told: list[Bunch], head: str) -> None:
    """The invariant."""
    starts = [since, *(bunch[0]["revision"] for bunch in told)]
    ways = [truth.way(*step) for step in pairwise([*starts, head] if starts[-1] != head else starts)]
    changes = truth.changes([step for steps in ways for step in steps])
    state = truth.state(since)
    for bunch, (*passed, last) in zip(told, ways, strict=False):
        assert [changes[step] for step in passed] == [{}] * len(passed)
        assert [(event["namespace"], event["key"]) for event in bunch] == sorted(changes[last])
        assert [event["last"] for event in bunch] == [False] * (len(bunch) - 1) + [True]
        for event in bunch:
            key = (event["namespace"], event["key"])
            old, new = changes[last][key]
            assert state.get(key, "") == old
            assert event["operation"] == ("deleted" if not new else "modified" if old else "created")
            assert [truth.value(old), truth.value(new)] == [(event[side] or {}).get("value") for side in ("old", "new")]
            state.pop(key, None) if not new else state.update({key: new})
    assert not any(changes[step] for steps in ways[len(told) :] for step in steps)
    assert state == truth.state(head)


class World:
    """A memory, a clone of it, and everything that may befall its branch."""

    def __init__(self, store: Path, clone: Path, dice: random.Random) -> None:
        self.memory = Memory.open(store, agent="neighbour")
        self.folder, self.clone, self.dice = self.memory.vault.repository.git_dir, clone, dice
        self.crowd = Crowd(store)
        self.number = 0
        self.done: dict[str, int] = defaultdict(int)
        run_git(clone.parent, "clone", "-q", str(self.folder), str(clone))
        run_git(clone, "config", "pull.rebase", "false")

    def gc(self) -> None:
        """Git's own; beside one of ours it is told that somebody is at it, in the instant of writing that down too."""
        command = ["git", "-C", str(self.folder), *STRANGER, "gc", "-q"]
        done = subprocess.run(command, capture_output=True, text=True)
        busy = "gc is already running" in done.stderr or "gc.pid.lock': File exists" in done.stderr
        assert done.returncode == 0 or busy, done.stderr

    def gc_full(self) -> None:
        self.memory.gc(full=True)

    def pack_refs(self) -> None:
        run_git(self.folder, "pack-refs", "--all")

    def push(self) -> None:
        """A person's line, merged with ours so that theirs is the first parent, and ours moves on to it."""
        (self.clone / "pushed").mkdir(exist_ok=True)
        (self.clone / "pushed" / f"{self.number}.json").write_text(f"{self.number}\n")
        run_git(self.clone, "add", ".")
        run_git(self.clone, "commit", "-q", "-m", "by hand")
        run_git(self.clone, "pull", "-q", "--no-edit")
        command = ["git", "-C", str(self.clone), *STRANGER, "push", "-q", "origin", "HEAD:main"]
        self.done["pushed"] += subprocess.run(command, capture_output=True).returncode == 0

    def update_ref(self) -> None:
        head = run_git(self.folder, "rev-parse", "main").strip()
        blob = run_git(self.folder, "hash-object", "-w", "--stdin", given=b"%d\n" % self.number).strip()
        tree = run_git(self.folder, "mktree", given=f"100644 blob {blob}\tx.json\n".encode()).strip()
        listing = run_git(self.folder, "ls-tree", head)
        listing = "".join(f"{line}\n" for line in listing.splitlines() if not line.endswith("\tplumbing"))
        root = run_git(self.folder, "mktree", given=f"{listing}040000 tree {tree}\tplumbing\n".encode()).strip()
        commit = run_git(self.folder, "commit-tree", root, "-p", head, "-m", "plumbing").strip()
        command = ["git", "-C", str(self.folder), "update-ref", "refs/heads/main", commit, head]
        self.done["moved"] += subprocess.run(command, capture_output=True).returncode == 0

    def merge(self) -> None:
        side = self.memory.branch(f"side-{self.number}")
        for part in range(self.dice.randrange(1, 4)):
            side.store(f"merged/{self.number % 3}/{part}", self.number)
        self.memory.store(f"ours/{self.number}", self.number)
        self.memory.merge(f"side-{self.number}")

    def befall(self) -> None:
        """One of these; plain git alone would be overtaken every time, so the writers hold their breath for it."""
        self.number += 1
        deeds = (self.gc, self.gc_full, self.pack_refs, self.push, self.update_ref, self.merge)
        deed = deeds[self.number % len(deeds)]  # each in its turn; chance may leave one out
        self.done[deed.__name__] += 1
        alone = deed in (self.push, self.update_ref)
        for pid in self.crowd.living if alone else ():
            os.kill(pid, signal.SIGSTOP)
        try:
            deed()
        finally:
            for pid in self.crowd.living if alone else ():
                os.kill(pid, signal.SIGCONT)


def steady(memory: Memory, since: str, told: list[Bunch]) -> None:
    """A watcher in this process, which nobody kills."""
    with memory.watch(since=since, all_namespaces=True) as watch:
        while bunch := watch.next_commit(PATIENCE):
            told.append([event.to_json() for event in bunch])
            if any(event.key == "end" for event in bunch):
                break


@pytest.mark.parametrize("events", ["true", "false"], ids=["events", "looking"])
def test_watchers_are_told_exactly_whatever_happens(tmp_path: Path, events: str) -> None:
    """Two that are killed and resumed, one that is not; in the end plain git's history is compared."""
    store, dice = tmp_path / "m", random.Random(f"watch-{events}")
    Memory.open(store, durability="fast").close()
    run_git(store / ".gitmem" / ".git", "config", "gitmem.fileEvents", events)
    world = World(store, tmp_path / "clone", dice)
    start = world.memory.store("begin", 0).revision
    watchers = [Watcher(store, start) for _ in range(2)]
    unharmed: list[Bunch] = []
    thread = threading.Thread(target=steady, args=(Memory.open(store), start, unharmed))
    thread.start()
    try:
        for _ in range(2):
            world.crowd.begin()
        for turn in range(20):
            heard = len(world.crowd.acknowledged) + dice.randrange(1, 10)
            while len(world.crowd.acknowledged) < heard:
                world.crowd.listen(30)
            world.befall()
            world.crowd.kill(dice.choice(world.crowd.living))
            world.crowd.begin()
            for watcher in watchers:
                watcher.listen(0)
            if turn % 2:
                victim = dice.choice(watchers)
                told = len(victim.told)
                while len(victim.told) < told + dice.randrange(1, 6):
                    victim.listen(dice.random())
                victim.resume()
    finally:
        world.crowd.end()
        head = world.memory.store("end", 1).revision
        thread.join(PATIENCE)
        for watcher in watchers:
            if sys.exc_info()[0] is None:
                watcher.until("end")
            watcher.kill()
    assert not thread.is_alive()
    assert world.done["pushed"]
    assert world.done["moved"]
    assert world.done["merge"]
    assert sum(watcher.kills for watcher in watchers) > 8
    truth = Truth(world.folder)
    for told in (*(watcher.told for watcher in watchers), unharmed):
        check(truth, start, told, head)


def test_waiters_in_many_processes_are_all_told(tmp_path: Path) -> None:
    """Eight `gitmem wait`, each for a key that one of eight writers brings, and for one that comes last."""
    store = tmp_path / "m"
    memory = Memory.open(store, durability="fast", agent="checker")
    environment = {**os.environ, "PYTHONPATH": str(TOP)}

    def begin(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "gitmem", "--store", str(store), *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    waiters = [begin("wait", f"k/{number}", "go", "--timeout", str(PATIENCE)) for number in range(8)]
    writers = [begin("store", f"k/{number}", str(number)) for number in range(8)]
    for writer in writers:
        writer.communicate(timeout=PATIENCE)
    memory.store("go", 1)
    for number, waiter in enumerate(waiters):
        out, errors = waiter.communicate(timeout=PATIENCE)
        assert (waiter.returncode, errors) == (0, "")
        assert json.loads(out)[f"k/{number}"]["value"] == number
