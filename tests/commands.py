"""The command line as tests call it: in this process, so that what it raises is seen, and nothing has to start."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner, Result

from gitmem.cli import front


def gitmem(*argv: str, **options: Any) -> Result:
    """What `gitmem …` prints and how it ends; `options` are CliRunner's, such as `input`."""
    return CliRunner().invoke(front, argv, catch_exceptions=False, **options)
