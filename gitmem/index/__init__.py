"""The derived index of history: which commits are versions of which keys, asked at one commit.

Knows what git's commits and trees say, kept in a SQLite file that several processes share; does not know what
a value is, which branch matters, or whether a write may happen.
Law: every answer is the one that plain git's history gives at the commit that is asked about. A question
about a commit that is not recorded yet first records it and its ancestors; the file may vanish, be damaged or
be impossible at any time, and that only costs time.
`ancestry` is the arithmetic of reachability, `ledger` the law of versions, `intake` how commits are recorded,
`pages` long answers, `runs` what sessions and other runs did, `bases` where histories meet, `asking` what happens
where tables fail, `file` the opening and losing of the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from gitmem.errors import StorageError
from gitmem.index import bases, intake, pages, runs
from gitmem.index.ancestry import Place
from gitmem.index.asking import Asked
from gitmem.index.file import IndexFile, is_busy
from gitmem.index.intake import Changes
from gitmem.index.ledger import Ledger, Token
from gitmem.index.pages import Page, Row
from gitmem.objects import Commit, Objects, Oid

__all__ = ["CommitFacts", "Index", "VersionRow"]

_MOST_FACTS = 4096


class VersionRow(NamedTuple):
    """One version of a key. `ord` orders commits, parents first; it is true of one index file only."""

    revision: Oid
    version: int
    blob: Oid | None
    ord: int


class CommitFacts(NamedTuple):
    """`time` is the author's, `written` the committer's, `committed` that made monotone along ancestry."""

    agent: str
    session: str | None
    time: int
    committed: int
    parents: tuple[Oid, ...]
    written: int


class Index(Asked[Ledger]):
    """The index at `path` (None: in memory) of the commits in `objects`. Threads and processes may share it.

    Opens nothing until it is asked. `in_memory` says that no file is used, for whatever reason.
    """

    def __init__(self, path: str | None, objects: Objects) -> None:
        super().__init__(IndexFile(path))
        self._objects = objects
        self._generation = 0  # grows with every opening: numbers of commits are true within one only
        self._last: Oid | None = None
        self._facts: dict[Oid, CommitFacts] = {}

    # --- recording ---

    def knows(self, oid: Oid) -> bool:
        """Whether the commit is recorded (then its ancestors are too)."""
        return self._ask(lambda ledger: ledger.known(oid) is not None)

    def catch_up(self, head: Oid) -> None:
        """Record `head` and its ancestors where they are not. StorageError if a commit cannot be read."""
        if head != self._last:
            self._ask(lambda ledger: self._place(ledger, head))

    def extend(self, commit: Commit, changes: Changes, *, branch: str | None = None) -> None:
        """Record a commit of our own with one parent, whose changes are at hand.

        Never raises, and may do nothing: what is missing is recorded when somebody asks.
        """
        self.extend_many([(commit, changes)], branch=branch)

    def extend_many(self, commits: Sequence[tuple[Commit, Changes]], *, branch: str | None = None) -> None:
        """The same for a line of commits, each the parent of the next; the last becomes the branch's head."""
        if not commits:
            return
        try:
            self._ask(lambda ledger: self._extend(ledger, commits, branch))
        except (StorageError, OSError):
            pass  # the commits are published; whoever asks next is told what is wrong

    def record_head(self, branch: str, head: Oid) -> Oid | None:
        """Remember a branch's head. The one remembered before, if it is no ancestor of this one; else None.

        Then history was rewritten, unless `head` is merely old: read the ref again before you believe it.
        """

        def work(ledger: Ledger) -> Oid | None:
            self._place(ledger, head)
            with ledger.writing():
                return intake.move_head(ledger, branch, head, always=True)

        return self._ask(work)

    # --- versions of a key ---

    def token(self, head: Oid, namespace: str, key: str) -> VersionRow | None:
        """The last version of the key as of `head`: a deletion's too. None if it never had one."""
        token = self._ask(lambda ledger: ledger.token(self._place(ledger, head), namespace, key))
        return None if token is None else VersionRow(token.revision, token.version, token.blob, token.ord)

    def tokens(self, head: Oid, namespace: str, keys: Sequence[str]) -> dict[str, VersionRow]:
        """The tokens of many keys; those that never had one are missing."""

        def work(ledger: Ledger) -> dict[str, VersionRow]:
            place = self._place(ledger, head)
            found = ledger.tokens(place, namespace, keys)
            return {key: _row(token) for key, token in found.items()}

        return self._ask(work)

    def versions(self, head: Oid, namespace: str, key: str) -> Iterator[VersionRow]:
        """All versions of the key as of `head`, newest first."""
        rows = self._stream(head, lambda ledger, place: pages.versions(ledger, place, namespace, key))
        return (VersionRow(revision, version, blob, ord) for ord, _, revision, version, blob in rows)

    def by_number(self, head: Oid, namespace: str, key: str, number: int) -> list[VersionRow]:
        """The versions with this number: several, if they were made side by side."""

        def work(ledger: Ledger) -> list[VersionRow]:
            place = self._place(ledger, head)
            return [_row(token) for token in ledger.versions(place, namespace, key) if token.version == number]

        return self._ask(work)

    def parent_tokens(self, revision: Oid, namespace: str, key: str) -> list[VersionRow]:
        """The tokens at the commit's parents, in their order, each once; parents without one are left out."""

        def work(ledger: Ledger) -> list[VersionRow]:
            self._place(ledger, revision)
            places = [self._place(ledger, parent) for parent in self._facts_of(ledger, revision).parents]
            tokens = [ledger.token(place, namespace, key) for place in places]
            return list(dict.fromkeys(_row(token) for token in tokens if token is not None))

        return self._ask(work)

    # --- commits ---

    def changes(self, revision: Oid) -> list[tuple[str, str, VersionRow]]:
        """The keys of which this commit is a version: namespace, key, version; sorted."""

        def work(ledger: Ledger) -> list[tuple[str, str, VersionRow]]:
            ord = self._place(ledger, revision).ord
            rows = ledger.db.execute(
                "select k.namespace, k.key, v.version, v.blob from versions v join keys k on k.id = v.key_id"
                " where v.ord = ?",
                (ord,),
            )
            found = [(space, key, VersionRow(revision, version, blob, ord)) for space, key, version, blob in rows]
            return sorted(found, key=lambda one: one[:2])

        return self._ask(work)

    def facts(self, revision: Oid) -> CommitFacts:
        """Who and when, without reading the commit."""
        facts = self._facts.get(revision)
        return facts if facts is not None else self._ask(lambda ledger: self._facts_of(ledger, revision))

    def is_ancestor(self, ancestor: Oid, head: Oid) -> bool:
        """Whether `head` is the commit `ancestor` or comes after it."""
        return self._ask(lambda ledger: ledger.precedes(*self._place(ledger, ancestor), self._place(ledger, head)))

    def merge_bases(self, one: Oid, other: Oid) -> list[Oid]:
        """The best common ancestors of two commits, sorted by id: several after a criss-cross, none if unrelated."""
        return self._ask(lambda ledger: bases.merge_bases(ledger, self._place(ledger, one), self._place(ledger, other)))

    def log(
        self,
        head: Oid,
        *,
        session: str | None = None,
        agent: str | None = None,
        since: Oid | None = None,
        limit: int | None = None,
    ) -> Iterator[Oid]:
        """The commits up to `head`, children before parents, without `since` and its ancestors."""
        wanted = {"session": session, "agent": agent}
        filters = {column: value for column, value in wanted.items() if value is not None}

        def begin(ledger: Ledger, place: Place) -> Page:
            outside = None if since is None else self._place(ledger, since)
            return pages.log(ledger, place, outside, filters)

        return islice((row[2] for row in self._stream(head, begin)), limit)

    def log_of_keys(self, head: Oid, namespace: str, predicate: Callable[[str], bool]) -> Iterator[Oid]:
        """The commits up to `head` that are versions of a key which `predicate` takes; children first."""
        rows = self._stream(head, lambda ledger, place: pages.log_of_keys(ledger, place, namespace, predicate))
        return (row[2] for row in rows)

    def session_head(self, head: Oid, session: str) -> Oid | None:
        """The session's last commit as of `head`."""
        return next(self.log(head, session=session, limit=1), None)

    def at_time(self, head: Oid, seconds: int) -> Oid | None:
        """The commit up to `head` with the latest `committed` not after `seconds`; of several, the last."""
        sql = "select ord, chain, revision from commits where committed <= ? order by committed desc, ord desc"
        return next(iter(self._preceding(head, sql, (seconds,), limit=1)), None)

    def begins(self, head: Oid) -> int | None:
        """The earliest `committed` of a commit up to `head` that has a parent; None if there is none but the root."""
        sql = "select ord, chain, revision from commits where length(parents) > 0 order by committed, ord"
        found = self._preceding(head, sql, (), limit=1)
        return self.facts(found[0]).committed if found else None

    def with_prefix(self, head: Oid, hex_prefix: str) -> list[Oid]:
        """The commits up to `head` whose id in hex begins so; none if that is no hex."""
        try:
            low, high = (bytes.fromhex(hex_prefix.ljust(40, digit)) for digit in "0f")
        except ValueError:
            return []
        sql = "select ord, chain, revision from commits where revision between ? and ? order by revision"
        return self._preceding(head, sql, (low, high))

    def write_id(self, head: Oid, write_id: str) -> tuple[Oid, str] | None:
        """The first commit up to `head` with this write id, and the digest of what it wrote."""
        sql = (
            "select w.ord, c.chain, c.revision, w.digest from write_ids w join commits c on c.ord = w.ord"
            " where w.write_id = ? order by w.ord"
        )

        def work(ledger: Ledger) -> tuple[Oid, str] | None:
            place = self._place(ledger, head)
            rows = ledger.db.execute(sql, (write_id,))
            return next((row[2:] for row in rows if ledger.precedes(row[1], row[0], place)), None)

        return self._ask(work)

    # --- runs ---

    def sessions(self, head: Oid) -> list[runs.SessionRow]:
        """Every session that a commit up to `head` names, in no particular order."""
        return self._ask(lambda ledger: runs.sessions(ledger, self._place(ledger, head)))

    def commits(self, *spans: runs.Span) -> list[runs.RunCommit]:
        """The commits of some spans, parents first, each once."""
        return self._ask(lambda ledger: runs.commits(ledger, spans, self._place))

    def made(self, spans: Sequence[runs.Span], wanted: Callable[[str, str], bool]) -> list[runs.Made]:
        """The versions that the commits of some spans made of wanted (namespace, key)s, parents first, each once."""
        return self._ask(lambda ledger: runs.made(ledger, spans, self._place, wanted))

    def undos(self, head: Oid) -> list[runs.UndoRow]:
        """The commits up to `head` that say that they undo others, parents first."""
        return self._ask(lambda ledger: runs.undos(ledger, self._place(ledger, head)))

    # --- inside ---

    def _preceding(self, head: Oid, sql: str, arguments: tuple[object, ...], limit: int | None = None) -> list[Oid]:
        def work(ledger: Ledger) -> list[Oid]:
            place = self._place(ledger, head)
            rows = ledger.db.execute(sql, arguments)
            return list(islice((row[2] for row in rows if ledger.precedes(row[1], row[0], place)), limit))

        return self._ask(work)

    def _stream(self, head: Oid, begin: Callable[[Ledger, Place], Page]) -> Iterator[Row]:
        """Rows in pages. If the file was begun anew in between, so is the answer, without what was given."""
        generation = -1
        page: Page
        highest: int | None = 0
        given: set[Oid] = set()

        def work(ledger: Ledger) -> tuple[list[Row], int | None]:
            nonlocal generation, page, highest
            place = self._place(ledger, head)
            if generation != self._generation:
                page, highest, generation = begin(ledger, place), place.ord, self._generation
            assert highest is not None
            return page(highest)

        while highest is not None:
            rows, highest = self._ask(work)
            for row in rows:
                if row[2] not in given:
                    given.add(row[2])
                    yield row

    def _facts_of(self, ledger: Ledger, revision: Oid) -> CommitFacts:
        facts = self._facts.get(revision)
        if facts is None:
            place = self._place(ledger, revision)
            agent, session, time, committed, joined, written = ledger.facts(revision, place)
            parents = tuple(joined[start : start + 20] for start in range(0, len(joined), 20))
            facts = CommitFacts(agent, session, time, committed, parents, written)
            if len(self._facts) >= _MOST_FACTS:
                self._facts.pop(next(iter(self._facts)), None)
            self._facts[revision] = facts
        return facts

    def _place(self, ledger: Ledger, revision: Oid) -> Place:
        """Where the commit lies; it is recorded first if it is not yet."""
        known = ledger.known(revision)
        if known is None:
            self._check_place()
            intake.record_history(ledger, self._objects, revision)
            known = ledger.known(revision)
            assert known is not None
        self._last = revision
        return known.place

    def _extend(self, ledger: Ledger, commits: Sequence[tuple[Commit, Changes]], branch: str | None) -> None:
        self._check_place()
        last = commits[-1][0].oid
        try:
            if not intake.record_own(ledger, commits, branch):
                self._place(ledger, last)
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        else:
            self._last = last

    def _open(self) -> Ledger:
        ledger = Ledger(self._file.open())
        self._generation += 1
        return ledger

    def _let_go(self) -> Ledger | None:
        self._last = None
        return super()._let_go()


def _row(token: Token) -> VersionRow:
    return VersionRow(token.revision, token.version, token.blob, token.ord)
