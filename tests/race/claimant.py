"""Who takes tasks, in a process of its own: `python claimant.py STORE JOB NAME`, then an order a line on stdin.

Each line on stdout was promised when it was written.
"""

from __future__ import annotations

import os
import random
import sys

from gitmem import KeyExistsError, Memory, StaleError
from gitmem.recipes import Claims


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def race(memory: Memory, orders: list[str]) -> None:
    """`COUNT`: try to take that many tasks, in an order of its own; say each one that was had."""
    claims = Claims(memory)
    tasks = list(range(int(orders[0])))
    random.shuffle(tasks)
    for task in tasks:
        try:
            claims.take(str(task))
        except KeyExistsError:
            continue
        say(str(task))


def hold(memory: Memory, orders: list[str]) -> None:
    """`TASK TTL`: take it, say the token; after one more line, store a result under it."""
    claim = Claims(memory).take(orders[0], ttl=float(orders[1]))
    say(claim.token)
    sys.stdin.readline()
    try:
        memory.store("result", memory.agent, guard=claim.entry)
        say("stored")
    except StaleError:
        say("stale")


def toil(memory: Memory, orders: list[str]) -> None:
    """`TASK`: take it, say the token; renew it and store under it, again and again, until that is refused."""
    claim = Claims(memory).take(orders[0], ttl=3600, timeout=None)
    say(claim.token)
    turn = 0
    try:
        while True:
            turn += 1
            claim.renew(3600 + turn)
            memory.store("result", turn, guard=claim.entry)
            memory.update("counter", lambda value: value + 1, default=0, guard=claim.entry)
    except StaleError:
        say("stale")


JOBS = {"race": race, "hold": hold, "toil": toil}

if __name__ == "__main__":
    store, job, name = sys.argv[1:]
    with Memory.open(store, agent=name, create=False) as memory:
        memory.history("warm", limit=0)
        say("ready")
        for line in iter(sys.stdin.readline, ""):
            JOBS[job](memory, line.split())
            say("over")
