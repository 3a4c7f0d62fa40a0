"""Handing work over: one agent stores a step's result, the next one waits for it and goes on.

Knows what a result promises to hold; does not know who waits, or whether anybody does.
Law: a value that lacks a promised field is never handed over: `complete` refuses it, and to `receive` it has not come
yet, whoever stored it and through whichever door.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gitmem import pointers
from gitmem.errors import ContractError, WaitTimeoutError
from gitmem.recipes.ground import coordinating, each

if TYPE_CHECKING:
    from gitmem.entries import Entry
    from gitmem.memory import Memory

STEPS = "handoff/**"


class Handoff:
    """The steps of a chain; each is a key, such as `handoff/step1/research-complete`."""

    def __init__(self, memory: Memory, *, namespace: str | None = None) -> None:
        self._memory = coordinating(memory, namespace)

    def complete(
        self, step: str, value: Any, *, requires: Iterable[str] = (), message: str | None = None
    ) -> Entry:
        """Hand a result over. ContractError names every field of `requires` that it lacks; nothing is stored then.

        A field is the name of a member, or a JSON pointer to a place deeper inside: `/services/0/name`.
        """
        wanting = lacks(value, each(requires))
        if wanting:
            raise ContractError(
                f"the result for {step!r} lacks what was promised: {', '.join(wanting)}",
                hint="add the fields, null where there is nothing to say, and hand it over again; nothing was stored",
                key=step,
                problems=[f"{field} is missing" for field in wanting],
            )
        return self._memory.store(step, value, message=message or f"complete {self._memory.namespace} {step}")

    def receive(self, step: str, *, requires: Iterable[str] = (), timeout: float | None = None) -> Entry:
        """Wait for a step's result, and give it. A value that lacks a field of `requires` does not count yet.

        `timeout` in seconds: None waits for ever, 0 only looks. WaitTimeoutError says what was there and lacked what.
        """
        fields = each(requires)
        lacks({}, fields)  # a malformed pointer is told now, not when a value comes
        try:
            return self._memory.wait_for(step, until=lambda entry: not lacks(entry.value, fields), timeout=timeout)
        except WaitTimeoutError as error:
            found = self._memory.entry(step, None)
            wanting = [] if found is None else lacks(found.value, fields)
            if not wanting:
                raise
            raise WaitTimeoutError(
                f"{step!r} is there (version {found.version}, by {found.agent}), but lacks {', '.join(wanting)}",
                hint="whoever hands it over has to store it again with these fields",
                missing=error.missing,
                revision=error.revision,
            ) from None

    def status(self, pattern: str = STEPS) -> list[Entry]:
        """The steps that have been completed, as entries, in code-point order of their keys."""
        return self._memory.search(pattern)


def lacks(value: Any, fields: Iterable[str]) -> list[str]:
    """The fields that a value does not have: names of members, or JSON pointers. A null is there."""
    return [field for field in fields if not _has(value, field)]


def _has(value: Any, field: str) -> bool:
    if not field.startswith("/"):
        return isinstance(value, dict) and field in value
    try:
        pointers.resolve(value, field)
    except LookupError:
        return False
    return True
