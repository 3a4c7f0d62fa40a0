"""Who tells outcomes, in a process of its own: `python teller.py STORE NAME COUNT`, once a line comes on stdin.

Every second outcome is a failure, with a lesson of its own; `told` on stdout once all of them are.
"""

from __future__ import annotations

import os
import sys

from gitmem import Memory
from gitmem.recipes import Patterns


def main() -> None:
    store, name, count = sys.argv[1:]
    with Memory.open(store, agent=name, session=f"session-{name}", create=False) as memory:
        patterns = Patterns(memory)
        os.write(1, b"ready\n")
        sys.stdin.readline()
        for number in range(int(count)):
            patterns.outcome("auth/jwt", number % 2 == 0, lesson=f"{name} {number}")
        os.write(1, b"told\n")


if __name__ == "__main__":
    main()
