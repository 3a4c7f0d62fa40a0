"""Sessions: a stretch of work with a name, which every commit made under it carries.

Knows how a session begins, ends and goes on, and finds it by its name. What a session did is `session_report`'s; under
which one a door writes is `Memory.activate`'s.
Law: a session that has begun has a name that no other had, on this copy; one that ended has told what it did; whoever
comes second to end it is told so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gitmem.entries import ABSENT, Version, format_time
from gitmem.errors import (
    ConflictError,
    CorruptValueError,
    InvalidValueError,
    KeyExistsError,
    UnknownRevisionError,
    typed,
)
from gitmem.globs import escape
from gitmem.keys import COORDINATION
from gitmem.provenance import check_message, session_folder, sessions_like
from gitmem.recipes.session_names import session_names
from gitmem.recipes.session_report import Report, report
from gitmem.recipes.session_state import (
    ABANDONED,
    DONE,
    ENDS,
    FAILED,
    INTERRUPTED,
    RUNNING,
    SessionStatus,
    own,
    own_key,
    status_of,
)

if TYPE_CHECKING:
    from gitmem.entries import Entry
    from gitmem.memory import Memory
    from gitmem.runs.comparing import Comparison
    from gitmem.runs.effects import Effect
    from gitmem.runs.facts import SessionFacts

__all__ = ["ABANDONED", "DONE", "ENDS", "FAILED", "INTERRUPTED", "RUNNING", "Report", "SessionStatus", "Sessions"]

_ACCOUNTS = ("metadata", "summary", "recalled")


class Sessions:
    """The sessions of a memory. Their own keys lie in `coordination`, whatever namespace the memory is bound to.

    Wherever a session is named: UnknownRevisionError if no commit names it.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory.bind(session=None)  # looking at a session is no reading under one

    # --- a session's life

    def start(self, topic: str | None = None) -> SessionStatus:
        """Begin a session. Nothing is written under it until somebody binds it, or makes it the active one.

        InvalidValueError if the topic is not one line of text.
        """
        if topic is not None:
            check_message(topic)
        now = self._memory.clock()
        for name in session_names(topic, now):
            metadata = {"topic": topic, "start": format_time(now), "end": None, "status": RUNNING}
            if not self._memory.log(session=name, limit=1) and self._begun(name, metadata):
                return self.one(name)
        raise AssertionError("there is always another name")

    def end(self, session: str, status: str | None = None) -> Report:
        """End a session, and store what it did at session/<id>/summary. It may be one that never had a beginning.

        `status` is one of ENDS; without one, how the session's run ended, else done. ConflictError if it has ended
        already, StaleError if somebody else ends it now. What is written under it later still belongs to it.
        """
        if status is not None and status not in ENDS:
            raise InvalidValueError(
                f"a session does not end {status!r}", hint=f"it ends {' or '.join(ENDS)}", pointer="", reason="no end"
            )
        before = self.one(session)
        metadata, ran = self._metadata(session), self._run_phase(session)
        told = own(self._memory, session, "metadata")  # also if it was cleaned away since
        if told is not None and not before.is_open:
            raise self._ended(before, told)
        usual = DONE if ran is None else ran if ran in ENDS else INTERRUPTED
        after = before.ended(before.end or self._memory.clock(), status or usual)
        made = report(self._memory, after, then=self._memory.at(self._memory.snapshot))
        said = {"end": format_time(after.end or after.written), "status": after.state}
        self._say(f"end {session}", before, metadata, said, phase=after.state, summary=made.summary.to_json())
        return replace(made, phase=after.state)

    def resume(self, session: str) -> SessionStatus:
        """Go on with a session: one that ended, or counts as abandoned, is running again."""
        before = self.one(session)
        if before.state != RUNNING:
            phase = None if before.is_open or self._run_phase(session) is not None else RUNNING
            changes = {"end": None, "status": RUNNING, "resumed": format_time(self._memory.clock())}
            self._say(f"resume {session}", before, self._metadata(session), changes, phase=phase)
        return self.one(session)

    def clean(self, session: str) -> list[Version]:
        """Delete a session's own keys, and nothing that it shares with others. The history keeps them.

        ConflictError if it has not ended: its agents go by them.
        """
        before = self.one(session)
        if before.is_open:
            raise ConflictError(
                f"session {session!r} has not ended",
                hint=f"`gitmem session end {typed(session)} --clean` ends it first",
                namespace=COORDINATION,
                key=own_key(session, "metadata"),
            )
        mine = self._memory.bind(session=session)
        own_keys = f"{escape(session_folder(session))}**"
        return mine.delete_matching(own_keys, message=f"clean {session}", namespace=COORDINATION)

    # --- looking

    def newest(self) -> Iterator[SessionStatus]:
        """Every session, the one that was written last first; each is looked at when it is asked for."""
        now, late = self._memory.clock(), self._abandoned_after()
        for facts in self._memory.sessions():
            yield status_of(self._memory, facts, now=now, abandoned_after=late)

    def one(self, session: str) -> SessionStatus:
        """How a session stands."""
        facts = self._known().get(session)
        if facts is None:
            raise self._unknown(session)
        return status_of(self._memory, facts, now=self._memory.clock(), abandoned_after=self._abandoned_after())

    def report(self, session: str) -> Report:
        """What a session did, and what it left open."""
        return report(self._memory, self.one(session))

    def compare(self, a: str, b: str, glob: str | None = None, *, namespace: str | None = None) -> Comparison:
        """As `memory.compare`, but a name that is a session's is that, whatever else has it.

        Without a glob it leaves out the keys in which any two sessions differ: metadata, summary and recalled, which
        tell when a session was and what it did in numbers. Runs that are no sessions may be compared, too.
        """
        from gitmem.runs.naming import Whole

        known = self._known()
        one, other = (Whole(run) if run in known else run for run in (a, b))
        found = self._memory.compare(one, other, glob, namespace=namespace)
        if glob is not None:
            return found
        return replace(
            found,
            pairs=tuple(one for one in found.pairs if not (_is_account(one.a) and _is_account(one.b))),
            only_a=tuple(one for one in found.only_a if not _is_account(one)),
            only_b=tuple(one for one in found.only_b if not _is_account(one)),
        )

    def named(self, text: str) -> str:
        """The session that a person means: its name, the beginning of it, words out of it (its topic), or `last`.

        UnknownRevisionError if that fits several.
        """
        found = sessions_like(text, self._known())
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownRevisionError(
                f"{text!r} fits {len(found)} sessions",
                hint=f"name one of {', '.join(map(typed, found[:5]))}{', …' if len(found) > 5 else ''}",
                revision=text,
            )
        raise self._unknown(text)

    # --- inside

    def _known(self) -> dict[str, SessionFacts]:
        return {facts.session: facts for facts in self._memory.sessions()}

    def _abandoned_after(self) -> float:
        return self._memory.policy.abandoned_after

    def _metadata(self, session: str) -> Entry | None:
        """As it lies there now; a version without a value where the file is none: whoever writes next overwrites it."""
        key = own_key(session, "metadata")
        try:
            entry: Entry | None = self._memory.entry(key, None, namespace=COORDINATION)
        except CorruptValueError:
            return self._memory.history(key, limit=1, namespace=COORDINATION)[0]
        return entry

    def _run_phase(self, session: str) -> Any:
        """What the session's run says of itself; None if it had none."""
        phase = own(self._memory, session, "phase") if own(self._memory, session, "plan") is not None else None
        return None if phase is None else phase.value

    def _begun(self, name: str, metadata: dict[str, Any]) -> bool:
        """Make a session of this name; False if somebody was quicker."""
        try:
            with self._memory.bind(session=name).transaction(f"start {name}") as tx:
                tx.create(own_key(name, "metadata"), metadata, namespace=COORDINATION)
                tx.create(own_key(name, "phase"), RUNNING, namespace=COORDINATION)
        except KeyExistsError:
            return False
        return True

    def _say(
        self,
        why: str,
        before: SessionStatus,
        metadata: Entry | None,
        changes: dict[str, Any],
        *,
        phase: str | None,
        summary: Any = None,
    ) -> None:
        """One commit in which the session says of itself what has changed, if nobody else has said it meanwhile."""
        said = metadata.value if metadata is not None and isinstance(metadata.value, dict) else {}
        begun = {"topic": before.topic, "start": format_time(before.start), **said}
        key = own_key(before.id, "metadata")
        with self._memory.bind(session=before.id).transaction(why) as tx:
            tx.expect(key, ABSENT if metadata is None else metadata, namespace=COORDINATION)
            tx.store(key, begun | changes, namespace=COORDINATION)
            if phase is not None:
                tx.store(own_key(before.id, "phase"), phase, namespace=COORDINATION)
            if summary is not None:
                tx.store(own_key(before.id, "summary"), summary, namespace=COORDINATION)

    def _ended(self, before: SessionStatus, metadata: Entry) -> ConflictError:
        when = "" if before.end is None else f" at {format_time(before.end)}"
        return ConflictError(
            f"session {before.id!r} has ended already, {before.state}{when}, by {metadata.agent}",
            hint=f"`gitmem session resume {typed(before.id)}` goes on with it",
            namespace=COORDINATION,
            key=metadata.key,
        )

    def _unknown(self, text: str) -> UnknownRevisionError:
        from difflib import get_close_matches

        near = get_close_matches(text, self._known(), n=1)
        meant = f"did you mean {typed(near[0])}?" if near else "`gitmem session list` shows the sessions"
        return UnknownRevisionError(f"no commit names a session {text!r}", hint=meant, revision=text)


def _is_account(one: Effect) -> bool:
    """Whether a session tells here when it was and what it did: no two of them tell the same."""
    if one.session is None or one.namespace != COORDINATION:
        return False
    return one.key in [own_key(one.session, name) for name in _ACCOUNTS]
