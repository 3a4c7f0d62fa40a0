"""Runs: what one session, one commit or one range of commits wrote; two of them compared; one taken back.

    naming      a text -> the commits of a run
    versions    the versions that a run made, each with what stood before it
    facts       sessions: who, how much, from when to when
    effects     what a run did to each key
    comparing   two runs, key by key and member by member
    standing    which commits of a run were not taken back yet
    states      what a key was at a commit; what a run made of it, touch by touch
    others      what others wrote of a key since
    deciding    one key without the run
    contested   places that a merge left to a person
    undoing     all of them, as one commit
    told        what an undo says of itself
    verbs       what a Memory offers of all this

Law: what a run wrote follows from the commits alone, and is the same on every clone. Reading goes over the index and
compares blobs; values are read where somebody asks for them.
"""

from __future__ import annotations

from gitmem.runs.verbs import RunVerbs

__all__ = ["RunVerbs"]
