"""Meeting another copy: fetch, merge, push, until both have one head.

    outcome    what a meeting came to, for whoever asked for it
    refusals   what is not taken from the other side, and the choices that a person has then
    meeting    the rounds in which one branch here and the one there come to one head
    others     the other branches there, looked at but not taken in
    cloning    a new memory that begins with what the other side has

Law: a round publishes its merge there first and here after; whoever is overtaken there drops its merge and begins
again. Since a merge follows from its parents alone, two copies that meet each other make the same one. Killed at any
point, the next sync goes on from what the refs say.
"""

from gitmem.sync.cloning import begin
from gitmem.sync.meeting import ROUNDS, Meeting
from gitmem.sync.others import BranchLeft
from gitmem.sync.outcome import Sync

__all__ = ["ROUNDS", "BranchLeft", "Meeting", "Sync", "begin"]
