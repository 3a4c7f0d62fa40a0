"""What runs did: sessions and how much each wrote, the versions that some commits made, which commits undo others.

Knows the ledger's tables; does not know values, nor what an undo took back.
Law: every answer is about the commits that precede the place that is asked about, and costs a few rows of the tables
for each commit of the run, however long the rest of the history is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gitmem.index.ancestry import Place
from gitmem.index.ledger import Ledger
from gitmem.objects import Oid

_BY_CHAIN = """
select session, agent, chain, count(*), min(ord), max(ord), min(time), max(time) from commits
where session is not null group by session, agent, chain
"""
_ONE_CHAIN = """
select count(*), min(ord), max(ord), min(time), max(time) from commits
where session = ? and agent = ? and chain = ? and ord <= ?
"""
_COMMITS = """
select ord, chain, revision, agent, session, time, length(parents) / 20 from commits where {} order by ord
"""
_VERSIONS = """
select k.id, k.namespace, k.key, v.version, v.blob from versions v cross join keys k on k.id = v.key_id where v.ord = ?
"""
_BEFORE = """
select v.ord, c.chain, c.revision, v.blob from versions v cross join commits c on c.ord = v.ord
where v.key_id = ? and v.ord < ? order by v.ord desc
"""
_UNDOS = """
select u.ord, c.chain, c.revision, c.session, u.undoes, u.keys, u.namespace
from undos u cross join commits c on c.ord = u.ord where u.ord <= ? order by u.ord
"""


class Span(NamedTuple):
    """Some commits: `until` and its ancestors, without `since` and its own; of one session only; or `until` alone."""

    until: Oid
    since: Oid | None = None
    session: str | None = None
    alone: bool = False


class RunCommit(NamedTuple):
    """One commit of a run; `parents` is how many it has. `ord` orders commits, parents first, in one index file."""

    ord: int
    chain: int
    revision: Oid
    agent: str
    session: str | None
    time: int
    parents: int


class Made(NamedTuple):
    """One version of a key that a commit of the run made, and the version before it (of a merge: of none)."""

    namespace: str
    key: str
    commit: RunCommit
    version: int
    blob: Oid | None
    before: Oid | None
    before_revision: Oid | None


class UndoRow(NamedTuple):
    """A commit that says that it undoes others, as its trailers have it."""

    ord: int
    chain: int
    revision: Oid
    session: str | None
    undoes: str
    keys: str | None
    namespace: str | None


@dataclass(slots=True)
class SessionRow:
    """What the commits of one session come to; `started` and `written` are author times."""

    session: str
    agents: dict[str, int] = field(default_factory=dict)
    first: int = 0
    last: int = 0
    started: int = 0
    written: int = 0
    revisions: tuple[Oid, Oid] = (b"", b"")

    def take(self, agent: str, count: int, first: int, last: int, started: int, written: int) -> None:
        """Add what one agent did on one chain."""
        known = bool(self.agents)
        self.agents[agent] = self.agents.get(agent, 0) + count
        self.first = min(self.first, first) if known else first
        self.last = max(self.last, last)
        self.started = min(self.started, started) if known else started
        self.written = max(self.written, written) if known else written


def sessions(ledger: Ledger, place: Place) -> list[SessionRow]:
    """Every session that a commit names; one pass over the table, in SQL."""
    reach = ledger.reach(place)
    found: dict[str, SessionRow] = {}
    for session, agent, chain, *sums in ledger.db.execute(_BY_CHAIN).fetchall():
        highest = reach.highest(chain)
        if sums[1] > highest:
            continue
        if sums[2] > highest:
            sums = ledger.db.execute(_ONE_CHAIN, (session, agent, chain, highest)).fetchone()
        found.setdefault(session, SessionRow(session)).take(agent, *sums)
    for row in found.values():
        row.revisions = (_revision(ledger, row.first), _revision(ledger, row.last))
    return list(found.values())


def _revision(ledger: Ledger, ord: int) -> Oid:
    revision: Oid = ledger.db.execute("select revision from commits where ord = ?", (ord,)).fetchone()[0]
    return revision


def commits(ledger: Ledger, span: Span, place_of: Callable[[Ledger, Oid], Place]) -> list[RunCommit]:
    """The commits of a span, parents first."""
    until = place_of(ledger, span.until)
    if span.alone:
        return [RunCommit._make(row) for row in ledger.db.execute(_COMMITS.format("ord = ?"), (until.ord,))]
    outside = None if span.since is None else ledger.reach(place_of(ledger, span.since))
    inside = ledger.reach(until)
    floor = 0 if outside is None else ledger.floor(inside, outside)
    where, arguments = "ord > ? and ord <= ?", [floor, until.ord]
    rows = (
        ledger.db.execute(_COMMITS.format(where), arguments)
        if span.session is None
        else ledger.db.execute(_COMMITS.format(f"session = ? and {where}"), [span.session, *arguments])
    )
    found = (RunCommit._make(row) for row in rows.fetchall() if inside.holds(row[1], row[0]))
    return [one for one in found if outside is None or not outside.holds(one.chain, one.ord)]


def made(ledger: Ledger, run: Sequence[RunCommit], wanted: Callable[[str, str], bool]) -> Iterator[Made]:
    """The versions of wanted keys that these commits made, in the order of the commits."""
    judged: dict[int, bool] = {}
    for commit in run:
        for number, namespace, key, version, blob in ledger.db.execute(_VERSIONS, (commit.ord,)).fetchall():
            if number not in judged:
                judged[number] = wanted(namespace, key)
            if judged[number]:
                revision, before = _before(ledger, number, commit) if commit.parents < 2 else (None, None)
                yield Made(namespace, key, commit, version, blob, before, revision)


def _before(ledger: Ledger, key_id: int, commit: RunCommit) -> tuple[Oid | None, Oid | None]:
    """The revision and the blob of a key's last version before a commit with one parent."""
    place = Place(commit.chain, commit.ord)
    for ord, chain, revision, blob in ledger.db.execute(_BEFORE, (key_id, commit.ord)):
        if ledger.precedes(chain, ord, place):
            return revision, blob
    return None, None


def undos(ledger: Ledger, place: Place) -> list[UndoRow]:
    """The commits that undo others, parents first."""
    rows = (UndoRow._make(row) for row in ledger.db.execute(_UNDOS, (place.ord,)).fetchall())
    return [one for one in rows if ledger.precedes(one.chain, one.ord, place)]
