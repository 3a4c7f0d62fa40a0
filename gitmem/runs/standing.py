"""Which commits of a run still stand, and which were taken back already.

An undo U names a run and perhaps narrows it to some keys. For one key, U *takes* commit c if c is of that run and was
standing just before U; c stands as long as no undo that took it stands itself. So undoing an undo lets what it took
stand again, and a run that does not stand is not undone twice: of a counter that would count it twice.

    An undo that is itself of the run that is undone now, and that undid nothing but commits of this run, cancels them:
    neither it nor they are touched, as nothing of them is left. (A session may undo a part of itself, or all of it.)

Knows what commits say that they undo; does not know what became of the values.
Law: it follows from the commits that precede the head, each judged by those that precede it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

from gitmem.errors import InvalidPatternError
from gitmem.history import wanted
from gitmem.index.runs import RunCommit, Span, UndoRow
from gitmem.objects import Oid
from gitmem.runs.naming import parsed
from gitmem.vault import Snapshot, Vault

Commits: TypeAlias = frozenset[Oid]
Narrow: TypeAlias = tuple[bool, ...]
"""Of each undo that is narrowed to some keys: whether it is about the key in question."""


class Mark(NamedTuple):
    """A commit as undos see it."""

    revision: Oid
    session: str | None


class Standing:
    """The undos that precede a head, and what stands there."""

    def __init__(self, vault: Vault, head: Snapshot, run: Sequence[RunCommit] | None = None) -> None:
        """With a `run`: only what concerns its commits is looked at."""
        self.undos = vault.indexed(head).undos(head.oid)
        self._index, self._head = vault.index, head.oid
        self._runs: dict[int, Commits] = {}
        self._judges: dict[Narrow, Judge] = {}
        self._narrowed = [one for one, undo in enumerate(self.undos) if (undo.keys, undo.namespace) != (None, None)]
        self.numbers = {undo.revision: number for number, undo in enumerate(self.undos)}
        self._commits = frozenset(one.revision for one in run or ())
        self._concerned = range(len(self.undos)) if run is None else sorted(self._concerning(run))

    def stands(self, commit: RunCommit, namespace: str, key: str) -> bool:
        """Whether an undo of the run has to take back what this commit of it wrote of a key."""
        if not self._concerned:
            return True
        mark = Mark(commit.revision, commit.session)
        return not self._judge(namespace, key).passed_over(self._commits, None, mark)

    def already(self) -> list[Oid]:
        """The undos of the run, or of a part of it, that stand; the newest first."""
        dead = self._of((True,) * len(self._narrowed)).dead(None)
        standing = [number for number in reversed(self._concerned) if number not in dead]
        return [self.undos[number].revision for number in standing if not self.run(number).isdisjoint(self._commits)]

    def undone_by(self, session: str) -> Oid | None:
        """The last undo of the whole session that stands."""
        if not any(undo.undoes == session for undo in self.undos):
            return None
        dead = self._of((False,) * len(self._narrowed)).dead(None)
        for number, undo in reversed(list(enumerate(self.undos))):
            if undo.undoes == session and number not in dead and number not in self._narrowed:
                return undo.revision
        return None

    def _concerning(self, run: Sequence[RunCommit]) -> set[int]:
        """The undos that are of the run, or about one of its commits, or about such an undo."""
        revisions, sessions = set(self._commits), {one.session for one in run}
        found = set()
        for number, undo in enumerate(self.undos):
            if undo.revision in self._commits or self._names(number, revisions, sessions):
                found.add(number)
                revisions.add(undo.revision)
                sessions.add(undo.session)
        return found

    def _names(self, number: int, revisions: set[Oid], sessions: set[str | None]) -> bool:
        """Whether an undo names one of these commits, or, as far as a session's name tells, might."""
        span = parsed(self.undos[number].undoes, self._head)
        if span.alone:
            return span.until in revisions
        return span.session in sessions if span.session is not None else not self.run(number).isdisjoint(revisions)

    # --- for the judges ---

    def run(self, number: int) -> Commits:
        """The commits that an undo names, as of then; none if its trailers name nothing that is there."""
        if number not in self._runs:
            span = self._span(number)
            rows = [] if span is None else self._index.commits(span)
            self._runs[number] = frozenset(row.revision for row in rows)
        return self._runs[number]

    def covers(self, number: int, mark: Mark) -> bool:
        """Whether an undo names this commit."""
        name = self.undos[number].undoes
        quick = parsed(name, self._head)
        if quick.alone:
            return quick.until == mark.revision
        return quick.session in (None, mark.session) and mark.revision in self.run(number)

    def precedes(self, number: int, later: int | None) -> bool:
        """Whether an undo is an ancestor of another one (None: of the head, as all are)."""
        if later is None:
            return True
        one, other = self.undos[number], self.undos[later]
        if one.chain == other.chain:
            return one.ord < other.ord
        return one.ord < other.ord and self._index.is_ancestor(one.revision, other.revision)

    def _span(self, number: int) -> Span | None:
        undo = self.undos[number]
        parents = self._index.facts(undo.revision).parents
        if not parents:
            return None
        span = parsed(undo.undoes, parents[0])
        named = [one for one in (span.since, span.until) if one is not None]
        there = all(self._index.with_prefix(self._head, one.hex()) for one in named)
        return span if there else None

    def _judge(self, namespace: str, key: str) -> Judge:
        return self._of(tuple(self._tests[number](namespace, key) for number in self._narrowed))

    def _of(self, narrow: Narrow) -> Judge:
        if narrow not in self._judges:
            about = dict(zip(self._narrowed, narrow, strict=True))
            numbers = [number for number in self._concerned if about.get(number, True)]
            self._judges[narrow] = Judge(self, numbers)
        return self._judges[narrow]

    @cached_property
    def _tests(self) -> dict[int, Callable[[str, str], bool]]:
        return {number: _narrowing(self.undos[number]) for number in self._narrowed}


class Judge:
    """What stands of one key, or of all keys about which the same undos are."""

    def __init__(self, standing: Standing, numbers: list[int]) -> None:
        """`numbers` are the undos that are about these keys, parents first."""
        self._standing, self._numbers = standing, numbers
        self._dead: dict[int | None, frozenset[int]] = {}
        self._takes: dict[tuple[int, Oid], bool] = {}

    def passed_over(self, run: Commits, at: int | None, mark: Mark) -> bool:
        """Whether an undo of this run at this place leaves a commit of the run alone."""
        dead = self.dead(at)
        own = self._standing.numbers.get(mark.revision)
        if own in self._numbers and own not in dead and self._inner(own, run):
            return True
        return any(
            (self._standing.undos[number].revision not in run or self._inner(number, run))
            for number in self._before(at)
            if number not in dead and self._taken(number, mark)
        )

    def dead(self, at: int | None) -> frozenset[int]:
        """The undos before this place that do not stand there."""
        for place in [*self._before(at), at]:  # each needs what those before it need
            if place not in self._dead:
                self._dead[place] = self._judged(place)
        return self._dead[at]

    def _judged(self, at: int | None) -> frozenset[int]:
        dead: set[int] = set()
        before = list(self._before(at))
        for place, number in reversed(list(enumerate(before))):
            undo = self._standing.undos[number]
            mark = Mark(undo.revision, undo.session)
            if any(later not in dead and self._taken(later, mark) for later in before[place + 1 :]):
                dead.add(number)
        return frozenset(dead)

    def _taken(self, number: int, mark: Mark) -> bool:
        """Whether an undo took a commit."""
        known = self._takes.get((number, mark.revision))
        if known is None:
            known = self._standing.covers(number, mark) and not self.passed_over(
                self._standing.run(number), number, mark
            )
            self._takes[number, mark.revision] = known
        return known

    def _inner(self, number: int, run: Commits) -> bool:
        """Whether an undo is of a run and undid nothing but commits of it."""
        return self._standing.undos[number].revision in run and self._standing.run(number) <= run

    def _before(self, at: int | None) -> Iterator[int]:
        for number in self._numbers:
            if number == at:
                return
            if self._standing.precedes(number, at):
                yield number


def _narrowing(undo: UndoRow) -> Callable[[str, str], bool]:
    """The keys that an undo is about; none where its trailers are not what gitmem writes."""
    try:
        pattern, namespace = (None if text is None else json.loads(text) for text in (undo.keys, undo.namespace))
        if not all(isinstance(one, str | None) for one in (pattern, namespace)):
            raise ValueError("a trailer is no text")
        return wanted(namespace, pattern)
    except (ValueError, RecursionError, InvalidPatternError):
        return lambda namespace, key: False
