"""Prints a command of README.md: the fenced sh block that directly follows `<!-- command: NAME -->`.

So that what is tested is the very text that a newcomer types.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def command(text: str, name: str) -> str:
    """The block's lines; an error unless there is exactly one."""
    blocks = re.findall(rf"^<!-- command: {re.escape(name)} -->\n```sh\n(.*?)^```$", text, re.M | re.S)
    if len(blocks) != 1:
        marked = f"<!-- command: {name} -->"
        raise SystemExit(f"error: README.md has {len(blocks)} sh blocks after a line {marked}, not one")
    return str(blocks[0])


if __name__ == "__main__":
    sys.stdout.write(command(README.read_text("utf-8"), sys.argv[1]))
