"""How a swarm stands: who works and who is blocked, what waits for a decision, who holds what, what was written last.

Knows where agents, gates and claims say it, by convention of the keys; changes nothing, and judges nobody's word: an
agent that died still says `working`, and only the age of its word tells.
Law: it is news, not a snapshot: each part is read as it was at that moment, and `follow` misses no change after it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from gitmem.entries import Entry, format_time
from gitmem.recipes.claim import Claims, holder, task_of
from gitmem.recipes.gate import PENDING, REJECTED, GateStatus, gates
from gitmem.recipes.ground import coordinating

if TYPE_CHECKING:
    from gitmem.entries import CommitRecord
    from gitmem.memory import Memory

LAST = 5
"""So many of the last commits are told."""
_BEFORE, _AFTER = "swarm/", "/status"
_LONGEST = 30.0  # seconds of sleep towards an expiry: the clock that judges it may be put forward


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What an agent said last. `state` is None if it said something else; the whole of it is `entry.value`.

    `waiting_for` names keys; `reason` says why it failed or stopped, if it said so; `age` is in seconds.
    """

    agent: str
    state: str | None
    waiting_for: tuple[str, ...]
    reason: str | None
    age: int
    entry: Entry

    @property
    def why(self) -> str:
        """What it waits for, and its reason; empty if it said neither."""
        waits = f"waits for {', '.join(self.waiting_for)}" if self.waiting_for else ""
        return "; ".join(filter(None, (waits, self.reason)))

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "agent": self.agent,
            "state": self.state,
            "waiting_for": list(self.waiting_for),
            "reason": self.reason,
            "age": self.age,
            "entry": self.entry.to_json(),
        }


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """A claim that holds: by whom, and until when (`entry.expires`)."""

    task: str
    by: str
    entry: Entry

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {"task": self.task, "by": self.by, "entry": self.entry.to_json()}


@dataclass(frozen=True, slots=True)
class Written:
    """One commit: who wrote which keys, each a (namespace, key), and when."""

    revision: str
    agent: str
    session: str | None
    time: datetime
    message: str
    keys: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "revision": self.revision,
            "agent": self.agent,
            "session": self.session,
            "time": format_time(self.time),
            "message": self.message,
            "keys": [{"namespace": namespace, "key": key} for namespace, key in self.keys],
        }


@dataclass(frozen=True, slots=True)
class Swarm:
    """All of it, as it was read at `time`.

    `gates` are those that hold somebody back: pending, or rejected. `conflicts` counts what merges left to a person.
    `last` are the newest commits that changed a value, in any namespace, newest first.
    """

    time: datetime
    namespace: str
    agents: tuple[AgentStatus, ...]
    gates: tuple[GateStatus, ...]
    claims: tuple[ClaimStatus, ...]
    conflicts: int
    last: tuple[Written, ...]

    def to_json(self) -> dict[str, Any]:
        """As `gitmem status --json` prints it."""
        return {
            "time": format_time(self.time),
            "namespace": self.namespace,
            "agents": [one.to_json() for one in self.agents],
            "gates": [one.to_json() for one in self.gates],
            "claims": [one.to_json() for one in self.claims],
            "conflicts": self.conflicts,
            "last": [one.to_json() for one in self.last],
        }

    def told(self) -> object:
        """What there is to tell, without the time of reading: equal for two readings if nothing happened in between."""
        return [(one.key, one.revision, one.expires) for one in self.entries()], self.conflicts, self.last

    def entries(self) -> list[Entry]:
        """Every entry that it was read from."""
        of_gates = [one.entry for one in self.gates if one.entry is not None]
        return [*(one.entry for one in self.agents), *of_gates, *(one.entry for one in self.claims)]


class Status:
    """How the swarm of a namespace stands, now and from now on."""

    def __init__(self, memory: Memory, *, namespace: str | None = None) -> None:
        self._memory = coordinating(memory, namespace)

    def read(self, *, last: int = LAST) -> Swarm:
        """The swarm as it stands; `last` is how many of the last commits to tell."""
        memory = self._memory
        now, space = memory.clock(), memory.namespace
        claims = Claims(memory, namespace=space)  # who named `default` means it
        return Swarm(
            time=now,
            namespace=space,
            agents=tuple(agent_status(entry, now) for entry in memory.search(f"{_BEFORE}*{_AFTER}")),
            gates=tuple(one for one in gates(memory, namespace=space) if one.state in (PENDING, REJECTED)),
            claims=tuple(ClaimStatus(task_of(one.key), holder(one), one) for one in claims.held()),
            conflicts=len(memory.conflicts()),
            last=tuple(map(_written, islice(memory.iter_log(glob="**"), last))),
        )

    def follow(self, *, last: int = LAST, every: float | None = None) -> Iterator[Swarm]:
        """The swarm now, and again whenever there is something new to tell; with `every`, also after so many seconds.

        Ends never. Of changes that come faster than the caller takes them it tells the newest state, not each one.
        """
        news = threading.Event()
        told: object = None
        woken = True
        with self._memory.when_changed(news.set):
            while True:
                news.clear()
                swarm = self.read(last=last)
                if swarm.told() != told or not woken:
                    told = swarm.told()
                    yield swarm
                woken = news.wait(self._patience(swarm, every)) or every is None

    def _patience(self, swarm: Swarm, every: float | None) -> float | None:
        """Seconds until something that was read expires, or it is time to tell it again; None for neither."""
        now = self._memory.clock()
        ends = [(entry.expires - now).total_seconds() for entry in swarm.entries() if entry.expires is not None]
        waits = [min(max(0.0, end), _LONGEST) for end in ends] + ([] if every is None else [every])
        return min(waits, default=None)


def swarm(memory: Memory, *, namespace: str | None = None, last: int = LAST) -> Swarm:
    """How the swarm of a namespace stands now."""
    return Status(memory, namespace=namespace).read(last=last)


def agent_status(entry: Entry, now: datetime) -> AgentStatus:
    """What an agent says in this entry, of a key swarm/AGENT/status."""
    said = {"state": entry.value} if isinstance(entry.value, str) else entry.value
    said = said if isinstance(said, dict) else {}
    return AgentStatus(
        agent=entry.key[len(_BEFORE) : -len(_AFTER)],
        state=_text(said.get("state")),
        waiting_for=_texts(said.get("waiting_for")),
        reason=_text(said.get("reason")),
        age=max(0, int((now - entry.time).total_seconds())),
        entry=entry,
    )


def _text(said: Any) -> str | None:
    return said if isinstance(said, str) else None


def _texts(said: Any) -> tuple[str, ...]:
    """The keys that an agent waits for: it says one, or a list."""
    return tuple(one for one in (said if isinstance(said, list) else [said]) if isinstance(one, str))


def _written(record: CommitRecord) -> Written:
    keys = tuple((change.namespace, change.key) for change in record.changes)
    return Written(record.revision, record.agent, record.session, record.time, record.message, keys)
