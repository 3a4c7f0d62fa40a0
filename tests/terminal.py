"""A pseudo-terminal with `gitmem` at its other end: what a person sees, and types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from types import TracebackType

PATIENCE = 60  # seconds; a process that says nothing for so long hangs


def _as_own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """What is typed reaches the program as keys do: Ctrl-C is a signal to it."""

    def __init__(self, *argv: str, agent: str = "ann", lines: int = 40, columns: int = 160, **variables: str) -> None:
        self._here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.said = ""
        self._seen = 0
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "LINES", "COLUMNS")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gitmem", "--agent", agent, *argv],
            stdin=there, stdout=there, stderr=there, start_new_session=True, preexec_fn=_as_own_terminal,
            env={**kept, "TERM": "xterm-256color", **variables},
        )  # fmt: skip
        os.close(there)

    def until(self, text: str) -> str:
        """What is said, from where was read to last, to the end of `text`."""
        while text not in self.said[self._seen :]:
            assert self._read(), f"it never said {text!r}: {self.said}"
        start, self._seen = self._seen, self.said.index(text, self._seen) + len(text)
        return self.said[start : self._seen]

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._here, text.encode())

    def end(self) -> tuple[str, int]:
        """The rest, and the exit code."""
        while self._read():
            pass
        return self.said[self._seen :], self.process.wait(PATIENCE)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._here)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._here], [], [], PATIENCE)
        assert ready, f"it hangs after {self.said!r}"
        try:
            more = os.read(self._here, 1 << 16)
        except OSError:  # Linux says so when nobody is left at the other end
            return False
        self.said += more.decode(errors="replace").replace("\r\n", "\n")
        return bool(more)


def on_terminal(*argv: str, **variables: str) -> str:
    """What a person sees of a command that ends by itself, and well; without colours, unless NO_COLOR is empty."""
    with Terminal(*argv, columns=100, **{"NO_COLOR": "1", **variables}) as screen:
        said, code = screen.end()
    assert code == 0, said
    return said
