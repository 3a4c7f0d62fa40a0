"""The gates of a run: asked once all that they show is there, and decided by those who may.

Knows the gates of a plan; the moves are the recipe's. Law: a decision of somebody who may not decide never stands, nor
one that was made before all that the gate shows was there; and what lies at its key from before the run is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gitmem.errors import ConflictError, CorruptValueError, InvalidValueError, MissingKeyError
from gitmem.recipes.gate import Gate, feedback_text, state_of
from gitmem.recipes.gate_table import DECIDED, NOTHING, PENDING, REJECTED
from gitmem.workflow.outcome import Progress
from gitmem.workflow.parts import RUNNER
from gitmem.workflow.ready import gate_state
from gitmem.workflow.states import WAITING

if TYPE_CHECKING:
    from gitmem.memory import Memory
    from gitmem.recipes.gate import GateStatus
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
        fact = facts.snapshot.get(gate.key)
        if self._there(gate.key, facts) is None:
            if not self._has_all(gate, facts):
                return False
            if fact is not None:  # a merge brought it in from before this run
                return self._begin_anew(gate, fact)
            return self._try(lambda one: one.request(gate.shows), gate)
        assert fact is not None
        if state_of(fact.value) in DECIDED:
            return self._judge(gate, fact, facts)
        if not self._is_half_asked(gate, fact) or not self._has_all(gate, facts):
            return False
        said = _feedback(fact)
        return self._try(lambda one: one.request(gate.shows, feedback=said, expect=fact.revision), gate, fact)

    def _judge(self, gate: PlannedGate, fact: Fact, facts: Facts) -> bool:
        """Take a decision back that may not stand."""
        if not self._plan.may_decide(gate, fact.agent):
            feedback = f"{fact.agent} may not decide this gate, only {', '.join(gate.deciders)}"
        elif fact.unseen:
            feedback = f"{fact.agent} decided before {', '.join(fact.unseen)} was there: once it is, decide again"
        else:
            return False
        shows = [key for key in gate.shows if self._there(key, facts)]
        again = self._try(lambda one: one.reopen(feedback, shows, expect=fact.revision), gate)
        return again or self._begin_anew(gate, fact)

    def _is_half_asked(self, gate: PlannedGate, fact: Fact) -> bool:
        """Whether the run took it back when not all that it shows was there."""
        shows = fact.value.get("shows") if isinstance(fact.value, Mapping) else None
        return fact.agent == RUNNER and (bool(fact.unseen) or shows != list(gate.shows))

    def _has_all(self, gate: PlannedGate, facts: Facts) -> bool:
        return all(self._there(key, facts) is not None for key in gate.shows)

    def _try(self, move: Callable[[Gate], GateStatus], gate: PlannedGate, before: Fact | None = None) -> bool:
        """Whether the move was made; one that changes nothing was not."""
        try:
            made = move(Gate(self._memory, gate.key, namespace=self._plan.namespace)).entry
        except (ConflictError, CorruptValueError, InvalidValueError):  # it has moved, or is no gate
            return False
        return before is None or made is None or made.revision != before.revision

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
        feedback = None if fact is None else _feedback(fact)
        reason = "" if feedback is None else feedback_text(feedback)
        if fact is None or state == NOTHING:
            missing = tuple(key for key in gate.shows if self._there(key, facts) is None)
            return Progress("gate", gate.name, WAITING, waiting_for=missing, reason=reason)
        return Progress("gate", gate.name, state, reason=reason, by="" if state == PENDING else fact.agent)


def _feedback(fact: Fact) -> Any:
    return fact.value.get("feedback") if isinstance(fact.value, Mapping) else None
