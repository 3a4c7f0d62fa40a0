"""Gates: others go on only when somebody has agreed. A gate is one key; its states and moves are one table.

Knows the table, which values count as a gate, and who decided. Does not know who may decide: in a run the plan says it.
Law: of all who move a gate at once exactly one does; every other is told what stands now, by whom, and since when.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from gitmem.entries import ABSENT, UNSET, Entry, format_time
from gitmem.errors import ConflictError, InvalidValueError, StaleError, typed
from gitmem.keys import check_key
from gitmem.recipes.ground import COORDINATION, coordinating

if TYPE_CHECKING:
    from gitmem.memory import Memory

Fences: TypeAlias = "Sequence[Entry | tuple[str, Any]]"

FOLDER = "checkpoint/gates/"

NOTHING, PENDING, APPROVED, REJECTED, COMPLETE = "nothing", "pending", "approved", "rejected", "complete"
STATES = (NOTHING, PENDING, APPROVED, REJECTED, COMPLETE)
OPEN = (APPROVED, COMPLETE)

MOVES: dict[tuple[str, str], str] = {
    (NOTHING, "request"): PENDING,
    (PENDING, "request"): PENDING,
    (REJECTED, "request"): PENDING,
    (REJECTED, "resubmit"): PENDING,
    (NOTHING, "approve"): APPROVED,
    (PENDING, "approve"): APPROVED,
    (NOTHING, "reject"): REJECTED,
    (PENDING, "reject"): REJECTED,
    (NOTHING, "complete"): COMPLETE,
    (APPROVED, "complete"): COMPLETE,
    (APPROVED, "reopen"): PENDING,
    (REJECTED, "reopen"): PENDING,
}
"""(state, move) -> the state after it; a move that is not in here is refused."""

_DONE = {
    "request": "requested", "approve": "approved", "reject": "rejected", "resubmit": "resubmitted",
    "complete": "completed", "reopen": "reopened",
}  # fmt: skip
_WITH_FEEDBACK = {"reject", "reopen"}

_WORDS = {
    "pending": PENDING, "pending-approval": PENDING, "pending-review": PENDING,
    "approved": APPROVED, "true": APPROVED, "rejected": REJECTED, "false": REJECTED, "complete": COMPLETE,
}  # fmt: skip


def state_of(value: Any) -> str | None:
    """The state that a value says: a word, true (approved) or false (rejected), or an object whose `state` is one.

    None for a value that is no gate.
    """
    said = value.get("state") if isinstance(value, Mapping) else value
    if isinstance(said, bool):
        return APPROVED if said else REJECTED
    return _WORDS.get(said) if isinstance(said, str) else None


def picture() -> str:
    """The table as a Mermaid state diagram; `[*]` is a gate of which nobody has spoken yet."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, move), after in MOVES.items():
        arrows.setdefault((before, after), []).append(move)
    lines = [
        f"    {'[*]' if before == NOTHING else before} --> {after}: {', '.join(moves)}"
        for (before, after), moves in arrows.items()
    ]
    return "\n".join(["stateDiagram-v2", *lines])


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
        """What stands, by whom, since when, in words."""
        if self.entry is None:
            return "nobody has requested it"
        signed = "" if self.by == self.entry.agent else f" (signed by {self.entry.agent})"
        because = "" if self.feedback is None else f": {feedback_text(self.feedback)}"
        return f"it is {self.state}, by {self.by}{signed} at {format_time(self.entry.time)}{because}"


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
        shows=tuple(one for one in shows if isinstance(one, str)) if isinstance(shows, list) else (),
        feedback=value.get("feedback"),
        by=by if isinstance(by, str) else entry.agent,
        entry=entry,
    )


def gates(memory: Memory, pattern: str = "checkpoint/**", *, namespace: str | None = None) -> list[GateStatus]:
    """Every gate whose key matches a glob, in code-point order of keys; what is no gate there is passed over."""
    found = map(status_of, coordinating(memory, namespace).search(pattern))
    return [one for one in found if one is not None]


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

    def reopen(self, feedback: Any, *, expect: Any = UNSET) -> GateStatus:
        """Take a decision back, and say why: it was a slip, or somebody decided who may not."""
        return self._move("reopen", feedback=feedback, expect=expect)

    # --- inside ---

    def _known(self, entry: Entry) -> GateStatus:
        status = status_of(entry)
        if status is not None:
            return status
        raise InvalidValueError(
            f"key {self.key!r} in namespace {self.memory.namespace!r} is no gate: its value says no state of one",
            hint=f"a gate is one of {', '.join(_WORDS)}, or an object with such a `state`",
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
        token = seen.token if expect is UNSET else expect
        try:
            made = self.memory.store(self.key, value, expect=token, guard=guard, message=f"gate {move} {self.key}")
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
        hint = " · ".join(f"`{self.command(next_move)}`" for state, next_move in MOVES if state == seen.state)
        return ConflictError(
            f"gate {self.key!r} cannot be {_DONE[move]}: {seen.told()}",
            hint=hint or f"`gitmem delete {typed(self.key)} -n {typed(self.memory.namespace)}` lets it begin anew",
            namespace=self.memory.namespace,
            key=self.key,
        )

    def _too_late(self, move: str, error: StaleError) -> StaleError:
        now = "it is gone" if error.current is ABSENT else self._known(error.current).told()
        return StaleError(
            f"gate {self.key!r} was not {_DONE[move]}, since it has changed: {now}",
            hint=f"look at it again: `{self.command('status')}`",
            **error.fields,
        )

    def command(self, verb: str) -> str:
        """The command line that does this to the gate, for hints."""
        name = typed(GateStatus(self.key, NOTHING).name)
        where = "" if self.memory.namespace == COORDINATION else f" -n {typed(self.memory.namespace)}"
        return f"gitmem gate {verb} {name}{' --feedback TEXT' if verb in _WITH_FEEDBACK else ''}{where}"
