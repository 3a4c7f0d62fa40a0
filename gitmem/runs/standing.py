"""Which commits of a run still stand, and which were taken back already.

An undo U names a run and perhaps narrows it to some keys. For one key:

    U takes commit c     if c is of U's run, unless an undo that is not of this run took c before and would stand
                         without U's run
    c stands             as long as no undo that stands took it

So undoing an undo lets what it took stand again, and a run that does not stand is not undone twice: of a counter that
would count it twice.

What an undo has to do to a value follows from what stands before and after it. A commit that stood and does not stand
any more is merged out; one that stands again is merged in. Where an undo is undone, merging it out does that for all
that it took at once, and most exactly: it is done so if this is just what is needed. (It is not if, say, a part of what
it took was undone by somebody else meanwhile, or is of the run that is undone now.)

Knows what commits say that they undo; does not know what became of the values.
Law: it follows from the commits that precede the head, each judged by those that precede it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

from gitmem.errors import InvalidPatternError
from gitmem.history import wanted
from gitmem.index.runs import RunCommit, Span, UndoRow
from gitmem.objects import Oid
from gitmem.runs.naming import parsed
from gitmem.trees import KeyId
from gitmem.vault import Snapshot, Vault

Commits: TypeAlias = frozenset[Oid]
Numbers: TypeAlias = frozenset[int]
Narrow: TypeAlias = tuple[bool, ...]
"""Of each undo that is narrowed to some keys: whether it is about the key in question."""


RUN, NOBODY = -1, -2
"""Beside the numbers of undos: the undo that is being made, and none."""
OUT, IN = -1, 1


class Mark(NamedTuple):
    """A commit as undos see it."""

    revision: Oid
    session: str | None


class Standing:
    """The undos that precede a head, and what stands there."""

    def __init__(self, vault: Vault, head: Snapshot, span: Span | None = None) -> None:
        """With the `span` of a run: only what concerns its commits is looked at.

        `run` are its commits, `spans` and `commits` all that an undo of it may have to merge out or in: the run's own,
        and what undos of it took; parents first.
        """
        self.undos = vault.indexed(head).undos(head.oid)
        self.numbers = {undo.revision: number for number, undo in enumerate(self.undos)}
        self._index, self._head = vault.index, head.oid
        self._runs: dict[int, Commits] = {}
        self._takers: dict[Mark, list[int]] = {}
        self._owned: dict[int, Numbers] = {}
        self._judges: dict[Narrow, Judge] = {}
        self._narrowed = [one for one, undo in enumerate(self.undos) if (undo.keys, undo.namespace) != (None, None)]
        self.run_commits = [] if span is None else self._index.commits(span)
        self._commits = frozenset(one.revision for one in self.run_commits)
        self.spans = [] if span is None else self._reached(span)
        self.commits = self.run_commits if len(self.spans) < 2 else self._index.commits(*self.spans)
        self._concerned = range(len(self.undos)) if span is None else sorted(self._concerning())

    def _reached(self, span: Span) -> list[Span]:
        """The run, the runs that undos of it name, and so on."""
        numbers = self._below(number for number in range(len(self.undos)) if self.owns(RUN, number))
        named = [self._span(number) for number in sorted(numbers)]
        return list(dict.fromkeys([span, *(one for one in named if one is not None)]))

    def _below(self, numbers: Iterable[int]) -> set[int]:
        """Some undos, the undos of their runs, and so on."""
        waiting = list(numbers)
        seen = set(waiting)
        while waiting:
            number = waiting.pop()
            below = {one for one in self.owned(number) if one < number} - seen
            seen |= below
            waiting += below
        return seen

    def takes(self, namespace: str, key: str, commits: Iterable[RunCommit]) -> bool:
        """Whether an undo of the run takes anything of a key: a commit that made a version of it, or an undo.

        Where it does, it has to be made even if no value changes, so that this is not taken again.
        """
        if self.chosen(namespace, key, commits):
            return True
        own = self._judge(namespace, key).own if self._concerned else []
        return self._reach(own, [Mark(one.revision, one.session) for one in commits])

    def chosen(self, namespace: str, key: str, commits: Iterable[RunCommit]) -> dict[Oid, int]:
        """What an undo of the run has to merge OUT or IN of these commits, which made versions of a key; no others."""
        if not self._concerned:
            return {one.revision: OUT for one in commits}
        judge = self._judge(namespace, key)
        marks = [
            Mark(one.revision, one.session) for one in commits if self.numbers.get(one.revision) not in judge.numbers
        ]
        needed = {mark: shift for mark in marks if (shift := judge.shift(RUN, mark))}
        versions = {one.revision for one in commits}
        found = {}
        for number in judge.own:
            undo = self.undos[number].revision
            share = {mark: -shift for mark in marks if (shift := judge.shift(number, mark))}
            if (share or undo in versions) and all(needed.get(mark) == shift for mark, shift in share.items()):
                found[undo] = OUT
                needed = {mark: shift for mark, shift in needed.items() if mark not in share}
        return found | {mark.revision: shift for mark, shift in needed.items()}

    def already(self, keys: Iterable[tuple[KeyId, Sequence[RunCommit]]]) -> list[Oid]:
        """The undos that stand of what the run made of some keys, or of what undos of it took; the newest first.

        Each key comes with the commits that made versions of it; of one that the run never touched nothing is undone.
        """
        if not self._concerned:
            return []
        reached = {one.revision for one in self.commits}
        judges = {self._judge(*where) for where, commits in keys if self._touched(where, commits)}
        standing = {number for judge in judges for number in judge.numbers if number not in judge.dead(NOBODY)}
        return [
            self.undos[number].revision
            for number in sorted(standing, reverse=True)
            if not self.owns(RUN, number) and not self.run(number).isdisjoint(reached)
        ]

    def _touched(self, where: KeyId, commits: Sequence[RunCommit]) -> bool:
        """Whether one of a key's commits is of the run, or is what an undo of the run is about."""
        if any(one.revision in self._commits for one in commits):
            return True
        own = [one for one in self._judge(*where).numbers if self.owns(RUN, one)]
        return self._reach(own, [Mark(one.revision, one.session) for one in commits])

    def _reach(self, numbers: Sequence[int], marks: Sequence[Mark]) -> bool:
        """Whether some undos name one of these commits, or undos that do, and so on."""
        return bool(numbers) and any(self.covers(one, mark) for one in self._below(numbers) for mark in marks)

    def undone_by(self, session: str) -> Oid | None:
        """The last undo of the whole session that stands; whether the session wrote more is another question."""
        if not any(undo.undoes == session for undo in self.undos):
            return None
        dead = self._of((False,) * len(self._narrowed)).dead(NOBODY)
        for number, undo in reversed(list(enumerate(self.undos))):
            if undo.undoes == session and number not in dead and number not in self._narrowed:
                return undo.revision
        return None

    def stands(self, where: KeyId, commit: RunCommit) -> bool:
        """Whether nothing took away what a commit made of a key."""
        return self._judge(*where).stands(Mark(commit.revision, commit.session))

    def restores(self, commit: RunCommit, session: str) -> bool:
        """Whether a commit is an undo of a session, or of a part of it, so what it wrote is none of its work."""
        return commit.revision in self.numbers and self.undos[self.numbers[commit.revision]].undoes == session

    def _concerning(self) -> set[int]:
        """The undos that are about one of these commits, or of them, or about such an undo."""
        revisions, sessions = {one.revision for one in self.commits}, {one.session for one in self.commits}
        found = set()
        for number, undo in enumerate(self.undos):
            if undo.revision in revisions or self._names(number, revisions, sessions):
                found.add(number)
                revisions.add(undo.revision)
                sessions.add(undo.session)
        return found

    def _names(self, number: int, revisions: set[Oid], sessions: set[str | None]) -> bool:
        """Whether an undo names one of these commits, or, as far as a session's name tells, might."""
        span = self._parsed[number]
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
        """Whether an undo (or RUN) names this commit; cheap where this is an undo too, or of another session."""
        if number == RUN:
            return mark.revision in self._commits
        span = self._parsed[number]
        if span.alone:
            return span.until == mark.revision
        if span.session is not None and span.session != mark.session:
            return False
        if span.session is not None and mark.revision in self.numbers:
            return self.precedes(self.numbers[mark.revision], number)
        return mark.revision in self.run(number)

    def takers(self, mark: Mark) -> list[int]:
        """The undos that name a commit; only those are asked that might."""
        if mark not in self._takers:
            might = {key: self._naming.get(key, ()) for key in (mark.revision, mark.session, None)}
            self._takers[mark] = [one for numbers in might.values() for one in numbers if self.covers(one, mark)]
        return self._takers[mark]

    @cached_property
    def _parsed(self) -> list[Span]:
        """What each undo names, as of the head."""
        return [parsed(undo.undoes, self._head) for undo in self.undos]

    @cached_property
    def _naming(self) -> dict[Oid | str | None, list[int]]:
        """The undos by the commit or the session that they name; those of ranges by None."""
        found: dict[Oid | str | None, list[int]] = {}
        for number, span in enumerate(self._parsed):
            found.setdefault(span.until if span.alone else span.session, []).append(number)
        return found

    def owns(self, owner: int, number: int) -> bool:
        """Whether an undo is of the run that another undo names (or of RUN, or of NOBODY)."""
        return number in self.owned(owner)

    def owned(self, owner: int) -> Numbers:
        """The undos that are of the run that an undo names (or of RUN, or of NOBODY)."""
        if owner not in self._owned:
            marks = [] if owner == NOBODY else self.marks
            self._owned[owner] = frozenset(one for one, mark in enumerate(marks) if self.covers(owner, mark))
        return self._owned[owner]

    @cached_property
    def marks(self) -> list[Mark]:
        """The undos as undos see them."""
        return [Mark(undo.revision, undo.session) for undo in self.undos]

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
        self._standing, self.numbers = standing, numbers
        self._fallen: dict[tuple[int, int | None], Numbers] = {}
        self._after: dict[int, Numbers] = {}
        self._befores: dict[int | None, Numbers] = {}
        self._takes: dict[tuple[int, Oid], bool] = {}

    @cached_property
    def own(self) -> list[int]:
        """The undos that are of the run and stand, the newest first."""
        dead = self.dead(NOBODY)
        return [one for one in reversed(self.numbers) if one not in dead and self._standing.owns(RUN, one)]

    def stands(self, mark: Mark) -> bool:
        """Whether a commit stands at the head."""
        return self._stands(mark, self._before(None), self.dead(NOBODY))

    def shift(self, number: int, mark: Mark) -> int:
        """What an undo (or RUN) changes for a commit: OUT if it stood and does not any more, IN if it stands again."""
        at = None if number == RUN else number
        before, after = self._before(at), self._before(at) | {number}
        if number not in self._after:
            self._after[number] = self._falling(after, NOBODY)
        return self._stands(mark, after, self._after[number]) - self._stands(mark, before, self.dead(NOBODY, at))

    def dead(self, owner: int, at: int | None = None) -> Numbers:
        """The undos before a place that do not stand there, or would not if nothing of the owner's run did."""
        if (owner, at) not in self._fallen:
            before = self._before(at)
            for number in sorted(before):  # each is judged by those before it: in this order nothing goes deep
                self.dead(number, number)
            self._fallen[owner, at] = self._falling(before, owner)
        return self._fallen[owner, at]

    def _falling(self, numbers: Numbers, owner: int) -> Numbers:
        """Those of some undos that do not stand among them, or would not if nothing of the owner's run did."""
        owned, marks = self._standing.owned(owner), self._standing.marks
        dead: set[int] = set()
        for number in sorted(numbers - {RUN}, reverse=True):
            if number in owned or not self._stands(marks[number], numbers, dead, number):
                dead.add(number)
        return frozenset(dead)

    def _stands(self, mark: Mark, numbers: Numbers, dead: Collection[int], after: int = -1) -> bool:
        """Whether none of some undos that stand took a commit, RUN or one that comes after a place."""
        if RUN in numbers and self._taken(RUN, mark):
            return False
        for one in self._standing.takers(mark):
            if one > after and one in numbers and one not in dead and self._taken(one, mark):
                return False
        return True

    def _taken(self, number: int, mark: Mark) -> bool:
        """Whether an undo took a commit."""
        known = self._takes.get((number, mark.revision))
        if known is None:
            at = None if number == RUN else number
            known = self._standing.covers(number, mark) and self._stands(
                mark, self._before(at), self.dead(number, at)
            )
            self._takes[number, mark.revision] = known
        return known

    def _before(self, at: int | None) -> Numbers:
        if at not in self._befores:
            numbers = self.numbers if at is None else self.numbers[: self.numbers.index(at)]
            self._befores[at] = frozenset(one for one in numbers if self._standing.precedes(one, at))
        return self._befores[at]


def _narrowing(undo: UndoRow) -> Callable[[str, str], bool]:
    """The keys that an undo is about; none where its trailers are not what gitmem writes."""
    try:
        pattern, namespace = (None if text is None else json.loads(text) for text in (undo.keys, undo.namespace))
        if not all(isinstance(one, str | None) for one in (pattern, namespace)):
            raise ValueError("a trailer is no text")
        return wanted(namespace, pattern)
    except (ValueError, RecursionError, InvalidPatternError):
        return lambda namespace, key: False
