"""The command line as tests call it: in this process, so that what it raises is seen, and nothing has to start."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result

from gitmem.cli import front, output


def gitmem(*argv: str, **options: Any) -> Result:
    """What `gitmem …` prints and how it ends; `options` are CliRunner's, such as `input`."""
    return CliRunner().invoke(front, argv, catch_exceptions=False, **options)


def looked_on(monkeypatch: pytest.MonkeyPatch, yes: bool = True) -> None:
    """Whether `gitmem` shall believe that a person reads what it prints.

    The function stays the same one: commands are loaded when they are first called, and would keep another for good.
    """
    answer = (lambda: True) if yes else (lambda: False)
    monkeypatch.setattr(output.on_terminal, "__code__", answer.__code__)
