"""Gates: others go on only when somebody has agreed. A gate is one key, which agents move from state to state.

Knows how a gate is read and moved, and who decided. Does not know which moves are legal, which is `gate_table`'s, nor
who may decide: in a run the plan says it.
Law: of all who move a gate at once exactly one does; every other is told what stands now, by whom, and since when.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from gitmem.entries import ABSENT, UNSET, Entry, format_time
from gitmem.errors import (
    ConflictError,
    GateRejectedError,
    InvalidKeyError,
    InvalidValueError,
    MissingKeyError,
    StaleError,
    WaitTimeoutError,
    typed,
)
from gitmem.keys import check_key
from gitmem.recipes.gate_table import (
    APPROVED,
    COMPLETE,
    DECIDED,
    MOVES,
    NOTHING,
    PENDING,
    REJECTED,
    STATES,
    WORDS,
    picture,
    state_of,
)
from gitmem.recipes.ground import coordinating, where

if TYPE_CHECKING:
    from gitmem.memory import Memory

__all__ = [
    "APPROVED", "COMPLETE", "MOVES", "NOTHING", "PENDING", "REJECTED", "STATES", "Fences", "Gate", "GateStatus",
    "feedback_text", "gates", "picture", "state_of", "status_of",
]  # fmt: skip

Fences: TypeAlias = "Sequence[Entry | tuple[str, Any]]"

FOLDER = "checkpoint/gates/"

_DONE = {
    "request": "requested", "approve": "approved", "reject": "rejected", "resubmit": "resubmitted",
    "complete": "completed", "reopen": "reopened",
}  # fmt: skip
_WITH_FEEDBACK = {"reject", "reopen"}


@dataclass(frozen=True, slots=True)
class GateStatus:
    """A gate as it was read. `entry` is None where nobody has spoken of it yet; then `state` is "nothing".

    `shows` are the keys to look at before deciding. `by` is who is said to have made the last move; who signed it is
    `entry.agent`, and when is `entry.time`.
    """

    key: str
    state: str
    shows: tuple[str, ...] = ()
    feedback: Any = None
    by: str | None = None
    entry: Entry | None = None

    @property
    def name(self) -> str:
        """The short name, if the gate lies where gates do; else the key."""
        short = self.key.removeprefix(FOLDER)
        return self.key if "/" in short else short

    @property
    def token(self) -> Any:
        """What a move that is decided on this names as `expect`: the entry, or ABSENT."""
        return ABSENT if self.entry is None else self.entry

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "key": self.key,
            "state": self.state,
            "shows": list(self.shows),
            "feedback": self.feedback,
            "by": self.by,
            "entry": None if self.entry is None else self.entry.to_json(),
        }

    def told(self) -> str:
        """What stands, by whom, since when, in words that go on after "it is"."""
        if self.entry is None:
            return "not requested"
        signed = "" if self.by == self.entry.agent else f" (signed by {self.entry.agent})"
        because = "" if self.feedback is None else f": {feedback_text(self.feedback)}"
        return f"{self.state}, by {self.by}{signed} at {format_time(self.entry.time)}{because}"


def feedback_text(feedback: Any) -> str:
    """A feedback for people: a text as it is, anything else as JSON."""
    return feedback if isinstance(feedback, str) else json.dumps(feedback, ensure_ascii=False)


def status_of(entry: Entry) -> GateStatus | None:
    """An entry, or a version from the history, read as a gate; None if its value is none."""
    state = state_of(entry.value)
    if state is None:
        return None
    value: Mapping[str, Any] = entry.value if isinstance(entry.value, Mapping) else {}
    shows, by = value.get("shows"), value.get("by")
    return GateStatus(
        key=entry.key,
        state=state,
        shows=tuple(filter(_is_key, shows)) if isinstance(shows, list) else (),
        feedback=value.get("feedback"),
        by=by if isinstance(by, str) else entry.agent,
        entry=entry,
    )


def _is_key(text: object) -> bool:
    try:
        check_key(text, writing=False)
    except InvalidKeyError:
        return False
    return True


def gates(memory: Memory, pattern: str = "checkpoint/**", *, namespace: str | None = None) -> list[GateStatus]:
    """Every gate whose key matches a glob, in code-point order of keys; what is no gate there is passed over."""
    found = map(status_of, coordinating(memory, namespace).search(pattern))
    return [one for one in found if one is not None]


def _is_decided(entry: Entry) -> bool:
    return state_of(entry.value) in DECIDED


class Gate:
    """One gate. Its moves are commits signed by the memory's agent, so the history says who decided.

    A bare name means `checkpoint/gates/NAME`; a name with a `/` is the full key. Every move is bound to the state that
    it was decided on: ConflictError if the table has no such move, StaleError (which is one) if somebody else was
    quicker; both say what stands now. A move gives the gate as it made it.

    `expect` binds a move to the version of the gate that was looked at, `guard` to those of other keys: entries, or
    (key, token), as for every writing verb. A guard that does not hold is a StaleError about its own key.
    """

    def __init__(self, memory: Memory, name: str, *, namespace: str | None = None) -> None:
        self.memory = coordinating(memory, namespace)
        self.key = name if "/" in name else FOLDER + name
        check_key(self.key, writing=False)

    def read(self) -> GateStatus:
        """The gate as it stands. InvalidValueError if something that is no gate lies at its key."""
        entry = self.memory.entry(self.key, None)
        return GateStatus(self.key, NOTHING) if entry is None else self._known(entry)

    def requested(self) -> GateStatus:
        """As `read`; MissingKeyError if nobody has spoken of it yet."""
        status = self.read()
        if status.entry is not None:
            return status
        raise MissingKeyError(
            f"gate {self.key!r} in namespace {self.memory.namespace!r} has not been requested",
            hint=f"`{self.command('request')}` does; `gitmem gate list` lists those that have",
            namespace=self.memory.namespace,
            key=self.key,
        )

    def request(
        self, shows: Sequence[str] | None = None, *, feedback: Any = None, expect: Any = UNSET
    ) -> GateStatus:
        """Ask for a decision on the keys in `shows` (None: on those of the request before)."""
        return self._move("request", shows=shows, feedback=feedback, expect=expect)

    def approve(
        self, *, feedback: Any = None, expect: Any = UNSET, guard: Fences = ()
    ) -> GateStatus:
        """Let the others go on."""
        return self._move("approve", feedback=feedback, expect=expect, guard=guard)

    def reject(
        self, feedback: Any, *, expect: Any = UNSET, guard: Fences = ()
    ) -> GateStatus:
        """Hold the others back; `feedback` says what is missing, and reaches whoever waits."""
        return self._move("reject", feedback=feedback, expect=expect, guard=guard)

    def resubmit(
        self, shows: Sequence[str] | None = None, *, feedback: Any = None, expect: Any = UNSET
    ) -> GateStatus:
        """Ask again after a rejection."""
        return self._move("resubmit", shows=shows, feedback=feedback, expect=expect)

    def complete(self, *, feedback: Any = None, expect: Any = UNSET) -> GateStatus:
        """Say that what the gate let through is done: nothing comes after it."""
        return self._move("complete", feedback=feedback, expect=expect)

    def reopen(self, feedback: Any, shows: Sequence[str] | None = None, *, expect: Any = UNSET) -> GateStatus:
        """Take a decision back, and say why: it was a slip, or somebody decided who may not."""
        return self._move("reopen", shows=shows, feedback=feedback, expect=expect)

    def wait_until_approved(self, *, timeout: float | None = None) -> Entry:
        """Wait until the gate is approved, or complete, and give its entry; it may be so already.

        GateRejectedError, with the feedback, as soon as it is rejected: a gate that may still be resubmitted is to be
        waited for again. `timeout` in seconds: None waits for ever, 0 only looks; then WaitTimeoutError.
        """
        try:
            entry = self.memory.wait_for(self.key, until=_is_decided, timeout=timeout)
        except WaitTimeoutError as error:
            error.hint = f"somebody has to decide: `{self.command('review')}`"
            raise
        status = self._known(entry)
        if status.state == REJECTED:
            raise self._rejected(status)
        return entry

    # --- inside ---

    def _rejected(self, status: GateStatus) -> GateRejectedError:
        return GateRejectedError(
            f"gate {self.key!r} is closed: it is {status.told()}",
            hint=f"mend what is missing, then ask again: `{self.command('resubmit')}`",
            gate=self.key,
            feedback=status.feedback,
            by=status.by,
        )

    def _known(self, entry: Entry) -> GateStatus:
        status = status_of(entry)
        if status is not None:
            return status
        raise InvalidValueError(
            f"key {self.key!r} in namespace {self.memory.namespace!r} is no gate: its value says no state of one",
            hint=f"a gate is one of {', '.join(WORDS)}, or an object with such a `state`",
            pointer="",
            reason="no gate",
        )

    def _move(
        self,
        move: str,
        *,
        shows: Sequence[str] | None = None,
        feedback: Any = None,
        expect: Any = UNSET,
        guard: Fences = (),
    ) -> GateStatus:
        seen = self.read()
        after = MOVES.get((seen.state, move))
        if after is None:
            raise self._refused(move, seen)
        value = {"state": after, "shows": self._shown(seen, shows), "feedback": feedback, "by": self.memory.agent}
        fences = [(self.key, seen.token), *guard]  # also where a caller expects what was not there yet when it was read
        try:
            made = self.memory.store(self.key, value, expect=expect, guard=fences, message=f"gate {move} {self.key}")
        except StaleError as error:
            raise self._too_late(move, error) if error.key == self.key else error from None
        return self._known(made)

    def _shown(self, seen: GateStatus, shows: Sequence[str] | None) -> list[str]:
        if shows is None:
            return list(seen.shows)
        keys = [shows] if isinstance(shows, str) else list(shows)
        for key in keys:
            check_key(key)
        return keys

    def _refused(self, move: str, seen: GateStatus) -> ConflictError:
        space = typed(self.memory.namespace)
        hint = ", ".join(f"`{self.command(legal)}`" for state, legal in MOVES if state == seen.state)
        return ConflictError(
            f"gate {self.key!r} cannot be {_DONE[move]}: it is {seen.told()}",
            hint=f"from here: {hint}" if hint else f"it begins anew with `gitmem delete {typed(self.key)} -n {space}`",
            namespace=self.memory.namespace,
            key=self.key,
        )

    def _too_late(self, move: str, error: StaleError) -> StaleError:
        now = "gone" if error.current is ABSENT else self._known(error.current).told()
        return StaleError(
            f"gate {self.key!r} was not {_DONE[move]}, since it has changed: it is {now}",
            hint=f"look at it again: `{self.command('status')}`",
            **error.fields,
        )

    def command(self, verb: str) -> str:
        """The command line that does this to the gate, for hints."""
        name = typed(GateStatus(self.key, NOTHING).name)
        return f"gitmem gate {verb} {name}{' --feedback TEXT' if verb in _WITH_FEEDBACK else ''}{where(self.memory)}"
