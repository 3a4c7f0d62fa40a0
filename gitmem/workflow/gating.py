"""The gates of a run: asked once all that they show is there, and decided by those who may.

Knows the gates of a plan; the moves are the recipe's. Law: a decision of somebody who may not decide
never stands, and what lies at a gate's key from before the run is no decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gitmem.errors import ConflictError, CorruptValueError, InvalidValueError, MissingKeyError
from gitmem.recipes.gate import Gate, feedback_text, state_of
from gitmem.recipes.gate_table import DECIDED, NOTHING, PENDING, REJECTED
from gitmem.workflow.outcome import Progress
from gitmem.workflow.ready import gate_state
from gitmem.workflow.states import WAITING

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.workflow.facts import Facts
    from gitmem.workflow.parts import Plan, PlannedGate
    from gitmem.workflow.ready import Fact


class Gating:
    """The gates of one run."""

    def __init__(self, memory: Memory, plan: Plan, tell: Callable[[Progress], None]) -> None:
        self._memory, self._plan, self._tell = memory, plan, tell
        self._shown: dict[str, Progress] = {}

    def look(self, facts: Facts) -> bool:
        """Ask what is to be asked, take back what may not stand; whether anything was moved."""
        moved = [self._look(gate, facts) for gate in self._plan.gates]
        self.announce(facts)
        return any(moved)

    def announce(self, facts: Facts) -> None:
        """Tell of the gates that stand otherwise than was told."""
        for progress in self.progress(facts):
            if self._shown.get(progress.name) != progress:
                self._shown[progress.name] = progress
                self._tell(progress)

    def progress(self, facts: Facts) -> tuple[Progress, ...]:
        """Where the gates stand, in the plan's order."""
        return tuple(self._progress(gate, facts) for gate in self._plan.gates)

    def rejected(self, facts: Facts) -> bool:
        """Whether one of them was rejected."""
        return any(one.state == REJECTED for one in self.progress(facts))

    def _look(self, gate: PlannedGate, facts: Facts) -> bool:
        fact = self._there(gate.key, facts)
        if fact is None:
            if not all(self._there(key, facts) for key in gate.shows):
                return False
            stale = facts.snapshot.get(gate.key)
            if stale is not None:  # a merge brought it in from before this run
                return self._begin_anew(gate, stale)
            return self._try(lambda one: one.request(gate.shows), gate)
        if state_of(fact.value) not in DECIDED or self._plan.may_decide(gate, fact.agent):
            return False
        feedback = f"{fact.agent} may not decide this gate, only {', '.join(gate.deciders)}"
        return self._try(lambda one: one.reopen(feedback, expect=fact.revision), gate) or self._begin_anew(gate, fact)

    def _try(self, move: Callable[[Gate], object], gate: PlannedGate) -> bool:
        try:
            move(Gate(self._memory, gate.key, namespace=self._plan.namespace))
        except (ConflictError, CorruptValueError, InvalidValueError):  # it has moved, or is no gate
            return False
        return True

    def _begin_anew(self, gate: PlannedGate, fact: Fact) -> bool:
        """Take away a decision that no move takes back."""
        try:
            self._memory.delete(gate.key, expect=fact.revision, message=f"gate begins anew {gate.key}")
        except (ConflictError, MissingKeyError):
            return False
        return True

    def _there(self, key: str, facts: Facts) -> Fact | None:
        fact = facts.snapshot.get(key)
        return fact if fact is not None and (fact.fresh or key in self._plan.given) else None

    def _progress(self, gate: PlannedGate, facts: Facts) -> Progress:
        fact, state = self._there(gate.key, facts), gate_state(self._plan, gate.key, facts.snapshot)
        if fact is None or state == NOTHING:
            missing = tuple(key for key in gate.shows if self._there(key, facts) is None)
            return Progress("gate", gate.name, WAITING, waiting_for=missing)
        feedback = fact.value.get("feedback") if isinstance(fact.value, Mapping) else None
        reason = "" if feedback is None else feedback_text(feedback)
        return Progress("gate", gate.name, state, reason=reason, by="" if state == PENDING else fact.agent)
