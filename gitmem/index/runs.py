"""What runs did: sessions and how much each wrote, the versions that some commits made, which commits undo others.

Knows the ledger's tables; does not know values, nor what an undo took back.
Law: every answer is about the commits that precede the place that is asked about, and costs a few rows of the tables
for each commit of the run, however long the rest of the history is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

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
select c.ord, c.chain, c.revision, c.agent, c.session, c.time, length(c.parents) / 20 from commits c
where {} order by c.ord
"""
_VERSIONS = """
select c.ord, c.chain, c.revision, c.agent, c.session, c.time, length(c.parents) / 20, k.id, k.namespace, k.key,
v.version, v.blob from commits c cross join versions v on v.ord = c.ord cross join keys k on k.id = v.key_id
where {} order by c.ord
"""
_BEFORE = """
select v.ord, c.chain, c.revision, v.blob from versions v cross join commits c on c.ord = v.ord
where v.key_id = ? and v.ord < ? order by v.ord desc
"""
_UNDOS = """
select u.ord, c.chain, c.revision, c.session, u.undoes, u.keys, u.namespace
from undos u cross join commits c on c.ord = u.ord where u.ord <= ? order by u.ord
"""

Where: TypeAlias = Callable[[Ledger, Oid], Place]


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


def commits(ledger: Ledger, spans: Sequence[Span], place_of: Where) -> list[RunCommit]:
    """The commits of some spans, parents first."""
    return [RunCommit._make(row) for row in _rows(ledger, spans, place_of, _COMMITS)]


def made(
    ledger: Ledger, spans: Sequence[Span], place_of: Where, wanted: Callable[[str, str], bool]
) -> list[Made]:
    """The versions of wanted keys that the commits of some spans made, parents first."""
    judged: dict[int, bool] = {}
    last: dict[int, Made] = {}
    found = []
    commit = None
    for row in _rows(ledger, spans, place_of, _VERSIONS):
        key_id, namespace, key, version, blob = row[7:]
        if key_id not in judged:
            judged[key_id] = wanted(namespace, key)
        if judged[key_id]:
            if commit is None or commit.ord != row[0]:
                commit = RunCommit._make(row[:7])
            before = _before(ledger, key_id, commit, version, last.get(key_id))
            last[key_id] = Made(namespace, key, commit, version, blob, *before)
            found.append(last[key_id])
    return found


def _before(
    ledger: Ledger, key_id: int, commit: RunCommit, version: int, last: Made | None
) -> tuple[Oid | None, Oid | None]:
    """The blob and the revision of a key's last version before a commit with one parent.

    The run's own `last` version of the key is that if its number is the one before: then it has as many versions
    among itself and its ancestors as the parent has, so it is the parent's token.
    """
    if commit.parents > 1 or version == 1:
        return None, None
    place = Place(commit.chain, commit.ord)
    if last is not None and last.version == version - 1 and ledger.precedes(last.commit.chain, last.commit.ord, place):
        return last.blob, last.commit.revision
    for ord, chain, revision, blob in ledger.db.execute(_BEFORE, (key_id, commit.ord)):
        if ledger.precedes(chain, ord, place):
            return blob, revision
    return None, None


def _rows(ledger: Ledger, spans: Sequence[Span], place_of: Where, sql: str) -> Iterable[tuple[Any, ...]]:
    """The rows of a query that begin with the ord and the chain of a commit in one of the spans, each once."""
    if len(spans) == 1:
        return _of_span(ledger, spans[0], place_of, sql)
    rows = {row for span in spans for row in _of_span(ledger, span, place_of, sql)}
    return sorted(rows, key=lambda row: row[0])


def _of_span(ledger: Ledger, span: Span, place_of: Where, sql: str) -> Iterator[tuple[Any, ...]]:
    until = place_of(ledger, span.until)
    if span.alone:
        yield from ledger.db.execute(sql.format("c.ord = ?"), (until.ord,)).fetchall()
        return
    outside = None if span.since is None else ledger.reach(place_of(ledger, span.since))
    inside = ledger.reach(until)
    floor = 0 if outside is None else ledger.floor(inside, outside)
    where = "c.ord > ? and c.ord <= ?"
    arguments: list[Any] = [floor, until.ord]
    if span.session is not None:
        where, arguments = f"c.session = ? and {where}", [span.session, *arguments]
    for row in ledger.db.execute(sql.format(where), arguments).fetchall():
        if inside.holds(row[1], row[0]) and (outside is None or not outside.holds(row[1], row[0])):
            yield row


def undos(ledger: Ledger, place: Place) -> list[UndoRow]:
    """The commits that undo others, parents first."""
    rows = (UndoRow._make(row) for row in ledger.db.execute(_UNDOS, (place.ord,)).fetchall())
    return [one for one in rows if ledger.precedes(one.chain, one.ord, place)]
