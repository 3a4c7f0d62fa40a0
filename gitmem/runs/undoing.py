"""Taking a run back: its versions found, each key decided, the result staged as one commit that says what it undoes.

Knows runs, stages and what may stand in the way; the decision about one key is `deciding`'s.
Law: only keys that the run made versions of are touched, and of them only what it made of them; a session's account of
itself stays. It is a step of the write path: decided anew, on the newest snapshot, if others were quicker.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from gitmem.codec import decode_trusted
from gitmem.entries import ABSENT, Change, moment, operation_of
from gitmem.errors import InvalidValueError
from gitmem.history import wanted
from gitmem.index.runs import Made
from gitmem.keys import CONFLICTS
from gitmem.merge import Conflict
from gitmem.objects import Oid, hash_object
from gitmem.place import POLICY_FILE
from gitmem.provenance import UNDO_KEYS, UNDO_NAMESPACE, UNDOES
from gitmem.reader import Reader
from gitmem.runs.contested import Contests, Held, held
from gitmem.runs.deciding import Circumstances, Decision, Key
from gitmem.runs.naming import Run, named, outside, parsed
from gitmem.runs.others import Others
from gitmem.runs.standing import IN, OUT, Standing
from gitmem.runs.states import State, States, Touch
from gitmem.runs.told import UndoConflict, Undone, refused
from gitmem.runs.versions import Past, Versions, is_account
from gitmem.stage import Stage
from gitmem.trees import KeyId
from gitmem.vault import Vault
from gitmem.writing import Change as Staging
from gitmem.writing import WritePath, check_contracts

CHOICES = ("fail", "keep", "undo")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be undone: which run, which of its keys, and what happens where others changed a place since."""

    run: str
    keys: str | None
    namespace: str | None
    on_conflict: str

    def check(self) -> None:
        """InvalidValueError for an unknown choice, InvalidPatternError for a malformed glob."""
        wanted(self.namespace, self.keys)
        if self.on_conflict not in CHOICES:
            raise InvalidValueError(
                f"on_conflict={self.on_conflict!r} is none of {', '.join(CHOICES)}",
                hint="fail writes nothing, keep leaves what others wrote, undo lets what stood before the run win",
                pointer="",
                reason="unknown choice",
            )


def undo(vault: Vault, path: WritePath, wish: Wish, *, message: str | None, dry_run: bool) -> Undone:
    """Take a run back on the path's branch. UnknownRevisionError if it is not in the branch's history."""
    wish.check()
    stage = path.stage()
    head = stage.reader.snapshot
    run = named(vault, head, wish.run)
    if not vault.index.is_ancestor(run.span.until, head.oid):
        raise outside(run, wish.run, path.branch)
    undoing = Undoing(vault, run, wish, strict=wish.on_conflict == "fail" and not dry_run)
    undoing.step(stage)
    if dry_run:
        blobs = {where: Staging(stage.reader.blob(*where), staged) for where, staged in stage.staged.items()}
        check_contracts(vault.policy(head.root), blobs)
        return undoing.told(None)
    subject = message or f"undo {run.title}"
    outcome = path.run([undoing.step], message=subject, prepared=stage, trailers=undoing.trailers())
    return undoing.told(None if outcome.commit is None else outcome.commit.oid)


class Memo(NamedTuple):
    """What attempts hand on to each other: decisions by all that they follow from, and bodies that were merged."""

    decided: dict[tuple[Any, ...], Decision]
    bodies: dict[Oid, bytes]


class Undoing:
    """One undo, attempted once or several times; what it tells is of the last attempt."""

    def __init__(self, vault: Vault, run: Run, wish: Wish, *, strict: bool) -> None:
        """`strict`: a conflict is an error, which has all of them."""
        self._vault, self._run, self._wish, self._strict = vault, run, wish, strict
        self._memo = Memo({}, {})
        self._last: _Attempt

    def trailers(self) -> list[tuple[str, str]]:
        """What the commit says of itself; globs as JSON text, since they may hold what a trailer may not."""
        narrowed = ((UNDO_KEYS, self._wish.keys), (UNDO_NAMESPACE, self._wish.namespace))
        return [(UNDOES, self._run.name), *((name, json.dumps(text)) for name, text in narrowed if text is not None)]

    def step(self, stage: Stage) -> None:
        """Stage every key as it is without the run; ConflictError if that is not clean and the undo is strict."""
        self._last = attempt = _Attempt(self._vault, self._run, self._wish, stage, self._memo)
        attempt.run()
        unsettled = attempt.unsettled if self._wish.on_conflict == "undo" else []
        if unsettled or (attempt.conflicts and self._strict):
            raise refused(self._run.title, unsettled or attempt.conflicts)

    def told(self, revision: Oid | None) -> Undone:
        """What the last attempt came to."""
        last = self._last
        return Undone(
            self._run.name,
            None if revision is None else revision.hex(),
            last.count,
            tuple(_changes(last.stage)),
            tuple(last.conflicts),
            tuple(oid.hex() for oid in last.already()),
        )


class _Attempt:
    """One snapshot, on which a run is taken back."""

    def __init__(self, vault: Vault, run: Run, wish: Wish, stage: Stage, memo: Memo) -> None:
        self._vault, self._wish, self.stage = vault, wish, stage
        self._reader: Reader = stage.reader
        head = self._reader.snapshot
        self._span = parsed(run.name, head.oid)
        self._versions = Versions(vault, head.root)
        self._states = States(vault)
        self._policy = vault.policy(head.root)
        self._settings = vault.objects.tree(head.root).get(POLICY_FILE)
        self._memo = memo
        self._world = Circumstances(
            stage.now, wish.on_conflict == "undo", self._read, memo.bodies.__setitem__, self._policy.max_value_bytes
        )
        self._contests = Contests(self._reader, self._shown)
        self.conflicts: list[UndoConflict] = []
        self.unsettled: list[UndoConflict] = []
        self.count = 0

    def run(self) -> None:
        """Stage what every key of the run becomes."""
        self.standing = Standing(self._vault, self._reader.snapshot, self._span)
        self._renewals = self._states.renewals(self.standing.run_commits)
        self._order = {commit.revision: number for number, commit in enumerate(self.standing.commits)}
        self._fitting = self._made()
        for where, made in sorted(self._fitting.items()):
            self._take_back(where, made)
        if self.conflicts:  # if nothing but them is left, the caller may still choose
            self.stage.speaks = False

    def already(self) -> list[Oid]:
        """The undos that stand of what the run made of the keys that are wanted."""
        fitting = self._fitting.items()
        return self.standing.already((where, [one.commit for one, _ in made]) for where, made in fitting)

    def _made(self) -> dict[KeyId, list[tuple[Made, Past]]]:
        """The versions that may be merged out or in, by key, parents first; none of sessions' own keys."""
        found: dict[KeyId, list[tuple[Made, Past]]] = {}
        for one, past in self._versions.made(self.standing.spans, wanted(self._wish.namespace, self._wish.keys)):
            if not is_account(one):
                found.setdefault((one.namespace, one.key), []).append((one, past))
        return found

    def _take_back(self, where: KeyId, made: Sequence[tuple[Made, Past]]) -> None:
        commits = [one.commit for one, _ in made]
        chosen = self.standing.chosen(*where, commits)
        self.stage.speaks = self.stage.speaks or bool(chosen) or self.standing.takes(*where, commits)
        now = self._states.now(self._reader, where)
        touches = self._touches(where, now, [one for one in made if one[0].commit.revision in chosen], chosen)
        self.count += len(touches)
        if not touches:
            return
        others = Others(self._vault, self._reader.snapshot.oid, where, self._order, self._shown)
        found = self._decision(where, now, touches, others)
        if contests := self._contests.of(where, {one for one, shift in chosen.items() if shift == OUT}):
            found = self._contested(where, held(where, now, found, contests, self._world))
        self.conflicts += (self._signed(where, one, others) for one in found.conflicts)
        if found.state.blob is None:
            if self.stage.present(*where):
                self.stage.remove("undo", *where)
        elif found.state != now:
            value = self._read(found.state.blob, where)
            self.stage.put("undo", *where, value, expires=found.state.expires)

    def _contested(self, where: KeyId, found: Held) -> Decision:
        """The decision about a key of which a merge left places to a person; what is settled by it is so at once."""
        told = [
            replace(self._by(where, conflict, one.writer), record=one.record.id, take=one.take)
            for one, conflict in found.places
        ]
        self.conflicts += told
        self.unsettled += told if found.unsettled else []
        for record in found.gone:
            if self.stage.present(CONFLICTS, record):
                self.stage.remove("undo", CONFLICTS, record)
        return found.decision

    def _touches(
        self, where: KeyId, now: State, made: Sequence[tuple[Made, Past]], chosen: Mapping[Oid, int]
    ) -> list[Touch]:
        """What is merged out, newest first, renewals of the run among it where they matter; then what is merged in."""
        touches = [self._states.touch(*one) for one in made]
        ins = [one.reversed() for one in touches if chosen[one.last] == IN]
        outs = [one for one in touches if chosen[one.last] == OUT]
        if now.expires is not None and outs and now != outs[-1].after:
            renewals = self._renewals.of(where)
            renewing = self.standing.chosen(*where, [commit for commit, _ in renewals])
            outs += (touch for commit, touch in renewals if renewing.get(commit.revision) == OUT)
            outs.sort(key=lambda one: self._order[one.last])
        return [*outs[::-1], *ins]

    def _decision(self, where: KeyId, now: State, touches: list[Touch], others: Others) -> Decision:
        """What the key becomes. What an earlier attempt decided holds, if all is as it was and nothing expires."""
        decided = self._memo.decided
        circumstances = (where, now, tuple(touches), self._settings)
        if circumstances in decided:
            return decided[circumstances]
        found = Key(where, self._policy.rules_for(*where), others.times, self._world).undone(now, touches)
        if not any(one.expires for one in (now, *(side for touch in touches for side in touch[2:]))):
            decided[circumstances] = found
        return found

    def _read(self, blob: Oid | None, where: KeyId) -> Any:
        body = None if blob is None else self._memo.bodies.get(blob)
        return self._versions.value(blob, *where) if body is None else decode_trusted(body)

    def _shown(self, blob: Oid | None, where: KeyId) -> Any:
        return self._versions.shown(blob, *where)

    def _signed(self, where: KeyId, conflict: Conflict, others: Others) -> UndoConflict:
        return self._by(where, conflict, others.writer(conflict.pointer))

    def _by(self, where: KeyId, conflict: Conflict, revision: Oid) -> UndoConflict:
        facts = self._vault.index.facts(revision)
        return UndoConflict(*conflict, revision.hex(), facts.agent, facts.session, moment(facts.time), *where)


def _changes(stage: Stage) -> Iterator[Change]:
    """What a stage changes, sorted; an expiry alone is none."""
    versions = Versions(stage.reader.vault, stage.reader.snapshot.root)
    for (namespace, key), (body, _) in sorted(stage.staged.items(), key=lambda one: one[0]):
        blob = stage.reader.blob(namespace, key)
        if blob != (None if body is None else hash_object("blob", body)):
            before = versions.shown(blob, namespace, key)
            after = ABSENT if body is None else decode_trusted(body)
            yield Change(namespace, key, operation_of(blob, body), before, after)


__all__ = ["CHOICES", "Wish", "undo"]
