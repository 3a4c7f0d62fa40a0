"""What every test stands on: no setting of whoever runs it, one clock that obeys, plain git beside us."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.house.blueprint import TOP

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("default"), max_examples=20)
settings.load_profile("default")

Git = Callable[..., str]


# A shell's background job inherits these, under nohup also the last, and so would every program that a test starts and
# ends by a signal.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for name in ("SIGQUIT", "SIGHUP"):
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
        signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing comes from the caller's environment, home folder or git settings, in child processes either."""
    for name in [name for name in os.environ if name.startswith(("GITMEM_", "GIT_", "SSH_ASKPASS"))]:
        monkeypatch.delenv(name)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp()))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the test goes on, as a person would begin; a `python -m gitmem` started there is the one that is tested."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    return tmp_path


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let so much time pass, at once."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """For `Memory.open(clock=clock)`; begins on 2 February 2026."""
    return Clock(datetime(2026, 2, 2, 12, 0, 0, tzinfo=UTC))


@pytest.fixture
def git() -> Git:
    """`git(folder, "log", …, given=bytes) -> stdout`: the real program, as a stranger would run it."""

    def run(folder: Path | str, *arguments: str, given: bytes = b"", **variables: str) -> str:
        stranger = ["-c", "user.name=stranger", "-c", "user.email=stranger@example.org"]
        done = subprocess.run(
            ["git", "-C", str(folder), *stranger, *arguments],
            input=given,
            capture_output=True,
            env={**os.environ, **variables},
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}"
        return done.stdout.decode("utf-8", "surrogateescape")

    return run
