"""The states of a gate and the moves between them: one table, from which everything else follows.

Knows which values say which state; does not know where a gate lies, or who moves it.
Law: a move that the table does not name is refused in every language and through every door.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTHING, PENDING, APPROVED, REJECTED, COMPLETE = "nothing", "pending", "approved", "rejected", "complete"
STATES = (NOTHING, PENDING, APPROVED, REJECTED, COMPLETE)
OPEN = (APPROVED, COMPLETE)
DECIDED = (*OPEN, REJECTED)

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

WORDS = {
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
    return WORDS.get(said) if isinstance(said, str) else None


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
