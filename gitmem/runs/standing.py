"""Which commits of a run still stand, and which were taken back already.

An undo U names a run and perhaps narrows it to some keys. For one key:

    U takes commit c     if c is of U's run, unless an undo that is not of this run took c before and would stand
                         without U's run
    c stands             as long as no undo that stands took it

So undoing an undo lets what it took stand again, and a run that does not stand is not undone twice: of a counter that
would count it twice.

    An undo that is itself of the run that is undone now, and that undid nothing but commits of this run, and these
    commits cancel each other: they are taken, but there is nothing left of them to be merged out. (A session may undo
    a part of itself, or all of it.)

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


RUN, NOBODY = -1, -2
"""Whose run is left out of account, beside the number of an undo: the one that is undone now, or none."""


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
        """Whether an undo of the run has to merge out what this commit of it wrote of a key."""
        if not self._concerned:
            return True
        mark, judge = Mark(commit.revision, commit.session), self._judge(namespace, key)
        return not judge.over_without(RUN, None, mark) and not judge.cancelled(mark)

    def already(self) -> list[Oid]:
        """The undos of the run, or of a part of it, that stand; the newest first."""
        dead = self._of((True,) * len(self._narrowed)).dead(NOBODY)
        standing = [number for number in reversed(self._concerned) if number not in dead]
        return [self.undos[number].revision for number in standing if not self.run(number).isdisjoint(self._commits)]

    def undone_by(self, session: str) -> Oid | None:
        """The last undo of the whole session that stands."""
        if not any(undo.undoes == session for undo in self.undos):
            return None
        dead = self._of((False,) * len(self._narrowed)).dead(NOBODY)
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
        """Whether an undo names this commit; cheap where this is an undo too, or of another session."""
        span = parsed(self.undos[number].undoes, self._head)
        if span.alone:
            return span.until == mark.revision
        if span.session is not None and span.session != mark.session:
            return False
        if span.session is not None and mark.revision in self.numbers:
            return self.precedes(self.numbers[mark.revision], number)
        return mark.revision in self.run(number)

    def owns(self, owner: int, number: int) -> bool:
        """Whether an undo is of the run that another undo names (or of RUN, or of NOBODY)."""
        undo = self.undos[number]
        if owner < 0:
            return owner == RUN and undo.revision in self._commits
        return self.covers(owner, Mark(undo.revision, undo.session))

    def is_inner(self, number: int) -> bool:
        """Whether an undo is of the run and undid nothing but commits of it."""
        return self.owns(RUN, number) and self.run(number) <= self._commits

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
    """What stands of one key, or of all keys about which the same undos are.

    A place is the number of an undo, and means what precedes it; None is the head.
    """

    def __init__(self, standing: Standing, numbers: list[int]) -> None:
        """`numbers` are the undos that are about these keys, parents first."""
        self._standing, self._numbers = standing, numbers
        self._fallen: dict[tuple[int, int | None], frozenset[int]] = {}
        self._takes: dict[tuple[int, Oid], bool] = {}

    def over_without(self, owner: int, at: int | None, mark: Mark) -> bool:
        """Whether a commit would not stand at a place even if nothing of its run, which is the owner's, stood there."""
        dead = self.dead(owner, at)
        return any(number not in dead and self._taken(number, mark) for number in self._before(at))

    def cancelled(self, mark: Mark) -> bool:
        """Whether a commit of the run is a standing undo of nothing but this run, or was taken by one."""
        own = self._standing.numbers.get(mark.revision)
        return own in self._inner or any(self._taken(number, mark) for number in self._inner)

    def dead(self, owner: int, at: int | None = None) -> frozenset[int]:
        """The undos before a place that do not stand there, or would not if nothing of the owner's run did."""
        if (owner, at) not in self._fallen:
            self._fallen[owner, at] = self._judged(owner, at)
        return self._fallen[owner, at]

    def _judged(self, owner: int, at: int | None) -> frozenset[int]:
        dead: set[int] = set()
        before = list(self._before(at))
        for number in before:  # each is judged by those before it: asked for in this order, nothing goes deep
            self.dead(number, number)
        for place, number in reversed(list(enumerate(before))):
            undo = self._standing.undos[number]
            mark = Mark(undo.revision, undo.session)
            taken = any(later not in dead and self._taken(later, mark) for later in before[place + 1 :])
            if taken or self._standing.owns(owner, number):
                dead.add(number)
        return frozenset(dead)

    def _taken(self, number: int, mark: Mark) -> bool:
        """Whether an undo took a commit."""
        known = self._takes.get((number, mark.revision))
        if known is None:
            known = self._standing.covers(number, mark) and not self.over_without(number, number, mark)
            self._takes[number, mark.revision] = known
        return known

    @cached_property
    def _inner(self) -> frozenset[int]:
        """The undos that stand, are of the run, and undid nothing but commits of it."""
        dead = self.dead(NOBODY)
        return frozenset(one for one in self._numbers if one not in dead and self._standing.is_inner(one))

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
