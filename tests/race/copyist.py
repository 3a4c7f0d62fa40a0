"""Writers of one copy, and its meetings with a server, in processes of their own: `python copyist.py`.

A nursery: it reads orders, a line of JSON each (`{"job": …, "store": …, "name": …, "seed": …, …}`), and forks a
process for each, saying `{"pid": …}`. What a child says is a line of JSON with its `by`: a writer says what was
acknowledged, after the verb returned; a meeting says how it came out. Whatever is no GitmemError is said as `broken`.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from gitmem import ContentionError, Memory, MissingKeyError, RemoteError
from tests.servers import PASSWORD, USER

YEAR = 365 * 86_400


def say(**words: Any) -> None:
    """One line, whole: it is shorter than a pipe's atomic write."""
    os.write(1, json.dumps(words).encode() + b"\n")


def opened(order: dict[str, Any]) -> Memory:
    """The copy, by a clock that is some hours off."""
    off = timedelta(seconds=order.get("off", 0))
    return Memory.open(order["store"], agent=order["name"], create=False, clock=lambda: datetime.now(UTC) + off)


def login(url: str) -> tuple[str, str]:
    return USER, PASSWORD


# --- a writer ---


class Writer:
    """All kinds of writes, at random: to keys of its own, and to keys that every copy writes."""

    def __init__(self, memory: Memory, name: str, dice: random.Random) -> None:
        self.memory, self.name, self.dice = memory, name, dice
        self.turn = 0
        self.present: set[str] = set()

    def write(self) -> None:
        self.turn += 1
        verb = self.dice.choice(
            (self.own, self.own, self.own_for_long, self.own_for_short, self.own_gone, self.count, self.count,
             self.append, self.append, self.by_base, self.best, self.member, self.fight, self.fight, self.fight_gone)
        )  # fmt: skip
        verb()

    def acknowledged(self, kind: str, key: str, value: Any, revision: str | None) -> None:
        say(by=self.name, kind=kind, key=key, value=value, revision=revision)

    def key(self) -> str:
        return f"own/{self.name}/{self.dice.randrange(12)}"

    def own(self, ttl: float | None = None) -> None:
        key = self.key()
        entry = self.memory.store(key, self.turn, ttl=ttl)
        self.present.add(key)
        self.acknowledged("short" if ttl == 1 else "own", key, self.turn, entry.revision)

    def own_for_long(self) -> None:
        self.own(YEAR)

    def own_for_short(self) -> None:
        """A key that soon expires; the next write there deletes it first."""
        self.own(1)

    def own_gone(self) -> None:
        key = self.key()
        try:
            revision = self.memory.delete(key)[0].revision
        except MissingKeyError:  # never stored, deleted, or expired
            return
        self.acknowledged("gone", key, None, revision)

    def count(self) -> None:
        entry = self.memory.update("all/count", lambda value: value + 1, default=0)
        self.acknowledged("count", entry.key, 1, entry.revision)

    def append(self) -> None:
        element = f"{self.name}/{self.turn}"
        entry = self.memory.append("all/list", element)
        self.acknowledged("element", entry.key, element, entry.revision)

    def by_base(self) -> None:
        """Read, change, and store with what it was made from, while meetings move the branch."""
        element = f"{self.name}/{self.turn}"
        entry = self.memory.entry("all/document")
        entry.value["elements"].append(element)
        stored = self.memory.store("all/document", entry.value, base=entry)
        self.acknowledged("element", stored.key, element, stored.revision)

    def best(self) -> None:
        mine = self.dice.randrange(10_000)
        entry = self.memory.update("all/best", lambda value: max(value, mine), default=0)
        self.acknowledged("best", entry.key, mine, entry.revision)

    def member(self) -> None:
        """A member of its own in an object of everybody."""
        entry = self.memory.patch("all/members", {self.name: self.turn}, default={})
        self.acknowledged("member", entry.key, self.turn, entry.revision)

    def fight(self) -> None:
        """A value at a key that the others write as well."""
        entry = self.memory.store(f"fight/{self.dice.randrange(4)}", f"{self.name}/{self.turn}")
        self.acknowledged("fight", entry.key, entry.value, entry.revision)

    def fight_gone(self) -> None:
        key = f"fight/{self.dice.randrange(4)}"
        try:
            self.acknowledged("fight", key, None, self.memory.delete(key)[0].revision)
        except MissingKeyError:
            return


def write(order: dict[str, Any]) -> None:
    """Until a file of the name `stop` lies beside the copy; `pace` is in seconds between two writes, at the most."""
    dice = random.Random(order["seed"])
    stop = os.path.join(os.path.dirname(order["store"]), "stop")
    with opened(order) as memory:
        writer = Writer(memory, order["name"], dice)
        while not os.path.exists(stop):
            writer.write()
            if writer.turn % 40 == 39:
                memory.gc(full=dice.random() < 0.3)
            time.sleep(dice.random() * order["pace"])
    say(by=order["name"], kind="done")


# --- a meeting ---


def meet(order: dict[str, Any]) -> None:
    """Sync again and again, until killed or so many times; a cut connection is a RemoteError and nothing else."""
    dice = random.Random(order["seed"])
    left = order.get("count", -1)
    with opened(order) as memory:
        while left:
            left -= 1
            try:
                done = memory.sync(timeout=20, credentials=login, program=order.get("program"))
            except (RemoteError, ContentionError) as error:
                say(by=order["name"], kind="cut", why=f"{type(error).__name__}: {error}"[:600])
            else:
                say(by=order["name"], kind="met", revision=done.revision)
            time.sleep(dice.random() * order["pace"])
    say(by=order["name"], kind="done")


def meet_together(order: dict[str, Any]) -> None:
    """One sync, as soon as the lock at `line` is let go; what it came to, or why it could not."""
    with opened(order) as memory, open(order["line"]) as line:
        memory.search("**")
        say(by=order["name"], kind="ready")
        fcntl.flock(line, fcntl.LOCK_SH)
        try:
            done = memory.sync(timeout=20)
        except ContentionError as error:
            say(by=order["name"], kind="overtaken", why=str(error))
        else:
            say(by=order["name"], kind="met", revision=done.revision)


# --- one meeting that dies at a chosen point ---

CALLS = ("link", "rename", "replace", "unlink", "mkdir", "rmdir", "write")
"""What changes something outside this process; and `open`, where it makes a file."""


def cut(order: dict[str, Any]) -> None:
    """One sync that is killed right before its nth change of anything; `whole` if it makes fewer, with their number.

    The file `line` is locked while it lives.
    """
    made = 0

    def count() -> None:
        nonlocal made
        made += 1
        if made == order["at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            count()
            return call(*arguments, **options)

        return run

    plain_open, plain_write = os.open, os.write

    def opening(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            count()
        return plain_open(path, flags, *arguments, **options)

    with opened(order) as memory, open(order["line"]) as line:
        fcntl.flock(line, fcntl.LOCK_EX)
        memory.search("**")
        say(by=order["name"], kind="ready")
        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        os.open = opening
        memory.sync(program=order.get("program"))
        os.write = plain_write
        say(by=order["name"], kind="whole", made=made)


JOBS = {"write": write, "meet": meet, "together": meet_together, "cut": cut}


def nursery() -> None:
    for room in ("history", "index", "packing", "upkeep", "sync", "settings", "transport.dulwich_client"):
        import_module(f"gitmem.{room}")  # once, for all children
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        if child := os.fork():
            say(pid=child, by=order["name"])
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            JOBS[order["job"]](order)
        except BaseException:
            say(by=order["name"], kind="broken", why=traceback.format_exc()[-3500:])
        os._exit(0)


if __name__ == "__main__":
    nursery()
