"""Sessions as the commits tell them: who wrote how much, from when to when.

Knows counts; does not know what was written.
Law: a session is what commits name; whether anybody ever began or ended it does not matter here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gitmem.entries import format_time, moment
from gitmem.history import wanted
from gitmem.index.runs import SessionRow, Span
from gitmem.objects import Oid
from gitmem.runs.standing import Standing
from gitmem.runs.versions import Versions, is_account
from gitmem.vault import Snapshot, Vault


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """One session.

    `agents` tells how many commits each made; `first` and `last` are revisions, `started` and `written` the first and
    the last author time. `undone_by` is the revision that took the whole session back, as long as that holds: None if
    anything stands that the session wrote, be it later, but for its own account of itself.
    """

    session: str
    commits: int
    agents: dict[str, int] = field(hash=False)
    first: str
    last: str
    started: datetime
    written: datetime
    undone_by: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "session": self.session,
            "commits": self.commits,
            "agents": self.agents,
            "first": self.first,
            "last": self.last,
            "started": format_time(self.started),
            "written": format_time(self.written),
            "undone_by": self.undone_by,
        }


def sessions(vault: Vault, head: Snapshot) -> list[SessionFacts]:
    """Every session that commits up to `head` name, the one that was written last first."""
    rows = vault.indexed(head).sessions(head.oid)
    rows.sort(key=lambda row: (row.written, row.last), reverse=True)
    standing = Standing(vault, head)
    return [_facts(row, _undone_by(vault, head, standing, row.session)) for row in rows]


def _undone_by(vault: Vault, head: Snapshot, standing: Standing, session: str) -> Oid | None:
    """The undo that took all of a session; only where there is one, the session's versions are looked at."""
    undo = standing.undone_by(session)
    if undo is None:
        return None
    for one, _ in Versions(vault, head.root).made([Span(head.oid, session=session)], wanted(None, None)):
        stays = is_account(one) or standing.restores(one.commit, session)
        if not stays and standing.stands((one.namespace, one.key), one.commit):
            return None
    return undo


def _facts(row: SessionRow, undone_by: Oid | None) -> SessionFacts:
    first, last = (revision.hex() for revision in row.revisions)
    agents = dict(sorted(row.agents.items(), key=lambda one: (-one[1], one[0])))
    return SessionFacts(
        row.session,
        sum(agents.values()),
        agents,
        first,
        last,
        moment(row.started),
        moment(row.written),
        None if undone_by is None else undone_by.hex(),
    )
