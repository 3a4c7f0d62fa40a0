"""A run is undone while it is still being written, and others write: processes, and one undo after the other.

init: a document with a counter. next: a worker adds to it, a member and a count, under the run or not; an undoer undoes
the run again and again. invariant, once the last undo is done: what the others wrote is there, and nothing of the run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from gitmem import Memory
from tests.race.crowd import TOP, check_sound

KEYS, ROUNDS = 3, 25


def work(store: str, name: str, session: str | None) -> None:
    """A worker: adds a member of its own, and one to the count."""
    with Memory.open(store, agent=name, session=session, create=False) as memory:
        begin()
        for number in range(ROUNDS):

            def add(value: dict[str, int], number: int = number) -> dict[str, int]:
                return {**value, f"{name}-{number}": number, "count": value["count"] + 1}

            memory.update(f"k{number % KEYS}", add)


def undo(store: str) -> None:
    """An undoer: takes back what is there of the run, or finds nothing."""
    with Memory.open(store, agent="undoer", create=False) as memory:
        begin()
        undone = [memory.undo("run", on_conflict="keep") for _ in range(8)]
    sys.stdout.write(json.dumps([one.to_json()["conflicts"] for one in undone]))


def begin() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


def start(call: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"from tests.race.test_undo import undo, work; {call}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip


def test_a_run_is_undone_under_the_hands_of_its_workers(tmp_path: Path) -> None:
    """Whatever is undone when: nothing of others is lost, nothing of the run is counted twice."""
    memory = Memory.open(tmp_path, durability="fast")
    memory.settings.add_rule("**", "total", at="/count")
    with memory.transaction("begin") as tx:
        for number in range(KEYS):
            tx.store(f"k{number}", {"count": 0})
    memory.bind(session="run").store("first", 1)
    store = str(tmp_path)
    calls = [f"work({store!r}, {name!r}, {session!r})" for name, session in
             (("ann", "run"), ("ben", None), ("eve", "run"), ("joe", "other"))]  # fmt: skip
    crowd = [start(call) for call in [*calls, f"undo({store!r})", f"undo({store!r})"]]
    for one in crowd:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    told = [one.communicate("go\n", timeout=120)[0] for one in crowd]
    assert [one.returncode for one in crowd] == [0] * len(crowd)
    assert all(not any(json.loads(said)) for said in told[-2:])
    memory.undo("run")
    for number in range(KEYS):
        mine = [at for at in range(ROUNDS) if at % KEYS == number]
        wanted = {f"{name}-{at}": at for name in ("ben", "joe") for at in mine}
        assert memory.retrieve(f"k{number}") == {**wanted, "count": 2 * len(mine)}
    assert memory.list() == [f"k{number}" for number in range(KEYS)]
    memory.close()
    check_sound(tmp_path)
