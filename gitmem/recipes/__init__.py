"""Coordination patterns, one a file, each on the public verbs of Memory alone; Memory knows none of them.

    from gitmem.recipes import Gate, Handoff

The names below are imported when they are first used. The idea of recipes that stand on a client's public verbs is
kazoo's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitmem.recipes.claim import Claims
    from gitmem.recipes.fanout import FanOut
    from gitmem.recipes.gate import Gate
    from gitmem.recipes.handoff import Handoff
    from gitmem.recipes.journal import Journal
    from gitmem.recipes.reasoning import Patterns
    from gitmem.recipes.session import Sessions
    from gitmem.recipes.shared import Shared
    from gitmem.recipes.status import Status

_ROOMS: dict[str, str] = {
    "Claims": "claim",
    "FanOut": "fanout",
    "Gate": "gate",
    "Handoff": "handoff",
    "Journal": "journal",
    "Patterns": "reasoning",
    "Sessions": "session",
    "Shared": "shared",
    "Status": "status",
}  # public name -> module

__all__ = [
    "Claims",
    "FanOut",
    "Gate",
    "Handoff",
    "Journal",
    "Patterns",
    "Sessions",
    "Shared",
    "Status",
]


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'gitmem.recipes' has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f"gitmem.recipes.{_ROOMS[name]}"), name)
    globals()[name] = found
    return found
