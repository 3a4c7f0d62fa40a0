"""Waiting for keys, and watching what happens to them: across threads, processes and restarts.

    way        the path from one revision to another, commit by commit
    events     what each commit on the way did, as Events
    bell       something moved below a git directory (file events, or looking again and again)
    lookout    one thread for each branch that is waited on: who cares for what has just changed
    waiting    looking until a condition holds, or the time is up
    stream     Watch: the events since a cursor, and those to come
    aio        the same for asyncio
    verbs      what a Memory offers of all this

Law: whoever waits has first said what he waits for and then looked, so that nothing slips in between; what is
delivered follows from the commits alone, and a missed wake-up costs time, never an event.
"""

from __future__ import annotations

from gitmem.watch.verbs import WaitingVerbs

__all__ = ["WaitingVerbs"]
