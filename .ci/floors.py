"""Prints pip constraints that pin every requirement of pyproject.toml to its lower bound.

Knows the form `name[extra]>=version,<ceiling`; a requirement without a lower bound is an error.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*>=\s*([0-9][0-9a-z.]*)")


def floors(project: dict[str, object]) -> Iterator[str]:
    """`name==lowest` for the dependencies and for what the tests need."""
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        match = REQUIREMENT.match(requirement)
        if match is None:
            raise SystemExit(f"error: {requirement!r} has no lower bound")
        yield "{}=={}".format(*match.groups())


if __name__ == "__main__":
    document = tomllib.loads(Path(sys.argv[1]).read_text("utf-8"))
    print("\n".join(floors(document["project"])))
