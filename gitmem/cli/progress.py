"""The progress of a run, told while it goes on: a table that is drawn anew on a terminal, else a line for each change.

Knows what is told and how it looks; does not know how a run is driven.
Law: a table never scrolls: where the terminal is too low, what is over gives way to what is going on. Lines are printed
once and in their order.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from gitmem.cli.output import counted, line, note, paint, table, write
from gitmem.workflow.outcome import Progress
from gitmem.workflow.states import DONE, FAILED, STOPPED, WAITING, WORKING

EVERY = 0.25
"""Seconds after which the table's times are drawn anew."""

PENDING = "pending"

_COLOURS = {
    DONE: "green", FAILED: "red", STOPPED: "red", WORKING: "cyan", PENDING: "yellow", "rejected": "red",
    "approved": "green", "complete": "green",
}  # fmt: skip
_URGENT = {PENDING: 0, WORKING: 1, FAILED: 2, "rejected": 2, STOPPED: 3, WAITING: 4}  # the rest comes last
_FRAME = 3  # lines of a terminal that are no rows: titles, what was left out, the cursor's


class Row(NamedTuple):
    """Where a task or gate stands, and the monotonic seconds at which that began and, if it is over, ended."""

    progress: Progress
    since: float
    until: float | None


class Board:
    """All tasks and gates as they stand."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.rows: dict[tuple[str, str], Row] = {}

    def take(self, progress: Progress) -> Row | None:
        """Keep what is told; the row that stood there before, None if it is new."""
        mark = (progress.kind, progress.name)
        before, now = self.rows.get(mark), time.monotonic()
        if before is None or before.progress.state != progress.state:
            worked = before is not None and before.progress.state == WORKING
            since = before.since if before is not None and worked else now
            self.rows[mark] = Row(progress, since, now if worked and progress.state != WORKING else None)
        else:
            self.rows[mark] = before._replace(progress=progress)
        return before

    def counts(self) -> str:
        """`2 done, 1 working, 3 waiting`: of the tasks."""
        states = [row.progress.state for (kind, _), row in self.rows.items() if kind == "task"]
        return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


class Silence:
    """Tells nothing: for --json."""

    @contextmanager
    def telling(self) -> Iterator[None]:
        """While this lasts, there is something to tell."""
        yield

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While this lasts, the terminal belongs to somebody else; what is told meanwhile is told afterwards."""
        yield

    def begin(self, session: str) -> None:
        """The run has begun, as this session."""

    def told(self, progress: Progress) -> None:
        """A task or a gate stands somewhere else now."""

    def remark(self, text: str) -> None:
        """Tell the person something that is no news of the run, at once."""
        note(text)

    def pass_time(self) -> None:
        """All that has happened so far is told; some time has passed."""


class Lines(Silence):
    """A line for each change, with the seconds since the run began."""

    def __init__(self, ways: Mapping[str, str]) -> None:
        """`ways` says how a person decides at a gate (its name): where one can."""
        self._board = Board()
        self._ways = ways
        self._held: list[str] | None = None

    def begin(self, session: str) -> None:
        """Print the session, by which everything else about the run is found."""
        write(f"run {line(session)}")

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is told meanwhile is printed afterwards."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for news in held:
                write(news)

    def told(self, progress: Progress) -> None:
        """Print it, if it is news; with the time at which it was told, also where it is printed later."""
        before = self._board.take(progress)
        news = sentence(progress, self._board.rows[progress.kind, progress.name], first=before is None)
        if news and (before is None or before.progress.state != progress.state):
            seconds = time.monotonic() - self._board.began
            name = f"gate {progress.name}" if progress.kind == "gate" else progress.name
            way = self._ways.get(progress.name, "") if progress.state == PENDING else ""
            self._print(f"{seconds:7.1f} s  {line(name)}: {line(news)}{': ' + line(way) if way else ''}")

    def _print(self, news: str) -> None:
        write(news) if self._held is None else self._held.append(news)


def sentence(progress: Progress, row: Row, *, first: bool) -> str:
    """What has happened, in words; "" for what is not worth a line."""
    state, because = progress.state, f": {progress.reason}" if progress.reason else ""
    if progress.kind == "gate":
        if state == WAITING:
            return ""
        return f"{state}{f' by {progress.by}' if progress.by else ''}{because}"
    if state == WAITING:
        waits = f"waits for {', '.join(progress.waiting_for)}" if progress.waiting_for else ""
        return waits if first else f"to be tried again{because}"
    if state == WORKING:
        return f"working ({progress.agent}{f', attempt {progress.attempt}' if progress.attempt > 1 else ''})"
    took = f" after {seconds_text(row.until - row.since)}" if row.until is not None else ""
    return f"{state}{took}{because}"


class LiveTable(Silence):
    """A table of all tasks and gates."""

    def __init__(self, ways: Mapping[str, str]) -> None:
        """`ways` as for `Lines`."""
        self._board = Board()
        self._ways = ways
        self._live: Any = None

    def begin(self, session: str) -> None:
        """Print the session above the table."""
        write(f"run {line(session)}")

    @contextmanager
    def telling(self) -> Iterator[None]:
        """The table stands until this ends, and then as it was last."""
        from rich.live import Live

        self._live = Live(auto_refresh=False, vertical_overflow="crop")
        self._live.start()
        try:
            yield
        finally:
            self._draw()
            self._live.stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The table is taken away, and comes back below."""
        live, self._live = self._live, None
        live.transient = True
        live.stop()
        try:
            yield
        finally:
            live.transient = False
            live.start()
            self._live = live
            self._draw()

    def told(self, progress: Progress) -> None:
        """It is drawn with the next `pass_time`."""
        self._board.take(progress)

    def remark(self, text: str) -> None:
        """Above the table: what is printed where the cursor stands is drawn over at once."""
        if self._live is None:
            note(text)
            return
        from rich.text import Text

        self._live.console.print(Text(line(text)))

    def pass_time(self) -> None:
        """Draw it all anew, unless the terminal is somebody else's."""
        self._draw()

    def _draw(self) -> None:
        if self._live is None:
            return
        from rich.text import Text

        drawn = "\n".join(drawing(self._board, self._ways, shutil.get_terminal_size().lines))
        self._live.update(Text.from_ansi(drawn, no_wrap=True, overflow="crop"), refresh=True)


def drawing(board: Board, ways: Mapping[str, str], height: int) -> list[str]:
    """The lines of the table, no more than fit."""
    rows, room = list(board.rows.values()), max(1, height - _FRAME)
    if len(rows) > room:
        urgent = sorted(range(len(rows)), key=lambda at: (_URGENT.get(rows[at].progress.state, 9), at))
        rows = [rows[at] for at in sorted(urgent[:room])]
    cells = [["TASK", "AGENT", "STATE", "TIME", "WAITING FOR"], *(_cells(row, ways) for row in rows)]
    colours = ["bright_black", *(_COLOURS.get(row.progress.state) for row in rows)]
    made = [paint(text, colour) for text, colour in zip(table(cells), colours, strict=True)]
    left_out = len(board.rows) - len(rows)
    more = f"; {counted(left_out, 'row')} not shown" if left_out else ""
    return [*made, f"{seconds_text(time.monotonic() - board.began)}: {board.counts()}{more}"]


def _cells(row: Row, ways: Mapping[str, str]) -> list[str]:
    one = row.progress
    name = f"gate {one.name}" if one.kind == "gate" else one.name
    state = f"{one.state} ({one.attempt})" if one.attempt > 1 else one.state
    timed = one.state == WORKING or row.until is not None
    took = seconds_text((row.until or time.monotonic()) - row.since) if timed else ""
    who = f"by {one.by}" if one.by else ways.get(one.name, "") if one.state == PENDING else ""
    return [name, one.agent, state, took, "; ".join(filter(None, (", ".join(one.waiting_for), who, one.reason)))]


def seconds_text(seconds: float) -> str:
    """`0.4 s`, `75 s`, `12 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
