"""The door for Python agents: a memory as the environment describes it.

Knows the variables GITMEM_STORE, GITMEM_AGENT, GITMEM_SESSION, GITMEM_NAMESPACE and GITMEM_BRANCH; does not know
what a memory does with them. Law: an empty variable is an absent one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gitmem.keys import DEFAULT_NAMESPACE
from gitmem.provenance import DEFAULT_AGENT

if TYPE_CHECKING:
    from gitmem.memory import Memory


def from_environment() -> Memory:
    """The memory that GITMEM_STORE names (else the nearest one), with its agent, session, namespace and branch
    bound; without GITMEM_SESSION, the session that is active on this machine.

    Creates the memory where there is none yet, as `Memory.open` does, and raises what that raises.
    """
    from gitmem.memory import Memory

    memory = Memory.open(
        os.environ.get("GITMEM_STORE") or None,
        agent=os.environ.get("GITMEM_AGENT") or DEFAULT_AGENT,
        namespace=os.environ.get("GITMEM_NAMESPACE") or DEFAULT_NAMESPACE,
        branch=os.environ.get("GITMEM_BRANCH") or "main",
    )
    return memory.bind(session=os.environ.get("GITMEM_SESSION") or memory.active_session)
