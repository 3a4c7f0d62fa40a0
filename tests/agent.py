"""A small agent for runs in tests: `python agent.py "STEP; STEP; …"`, one step after the other.

    store KEY JSON     in the memory, as the environment says
    once PATH STEP     do a step only if there is no such file yet, and make the file
    note PATH          append the task's name to a file: it was here
    word PATH          say to a named pipe that it is here
    hear PATH          wait until somebody says something at a named pipe
    env                print the variables GITMEM_*, the folder, and what stdin gives
    polite KEY JSON    at SIGTERM, store this and end well
    deaf               ignore SIGTERM
    daemon             begin a process in a session of its own
    exit CODE
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable


def store(key: str, value: str) -> None:
    from gitmem import from_environment

    from_environment().store(key, json.loads(value))


def once(path: str, step: str) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    do(step)


def note(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, os.environ["GITMEM_TASK"].encode() + b"\n")


def word(path: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write("here\n")


def hear(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.read(descriptor, 1)


def env() -> None:
    told = {name: value for name, value in os.environ.items() if name.startswith("GITMEM_")}
    sys.stdout.write(json.dumps([told, os.getcwd(), sys.stdin.read()]) + "\n")
    sys.stdout.flush()


def polite(key: str, value: str) -> None:
    def leave(*_: object) -> None:
        store(key, value)
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)


STEPS: dict[str, Callable[..., object]] = {
    "store": store,
    "once": once,
    "note": note,
    "word": word,
    "hear": hear,
    "env": env,
    "polite": polite,
    "deaf": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "daemon": lambda: subprocess.Popen(["sleep", "1000"], start_new_session=True),
    "exit": lambda code: sys.exit(int(code)),
}
LAST = {"store": 2, "once": 2, "polite": 2}  # the last of so many arguments may hold blanks


def do(step: str) -> None:
    name, *rest = step.split(maxsplit=1)
    words = rest[0].split(maxsplit=LAST.get(name, 1) - 1) if rest else []
    STEPS[name](*words)


if __name__ == "__main__":
    for step in sys.argv[1].split(";"):
        if step.strip():
            do(step.strip())
