"""Runs: what one session, one commit or one range of commits wrote; two of them compared; one taken back.

    naming      a text -> the commits of a run
    versions    the versions that a run made, each with what stood before it
    facts       sessions: who, how much, from when to when
    effects     what a run did to each key
    comparing   two runs, key by key and member by member
    verbs       what a Memory offers of all this

Law: what a run wrote follows from the commits alone, and is the same on every clone. Reading goes over the index and
compares blobs; values are read where somebody asks for them.
"""

from __future__ import annotations

from gitmem.runs.verbs import RunVerbs

__all__ = ["RunVerbs"]
