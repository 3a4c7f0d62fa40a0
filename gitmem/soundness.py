"""Whether objects are as git wants them, and what each points to: for what was stored, and for what arrives.

Knows one object at a time; does not know where it lies. Law: what passes here passes `git fsck --strict`.
"""

from __future__ import annotations

import re

from dulwich.objects import ShaFile

from gitmem.gitobject import parse_commit, parse_tree
from gitmem.packs import KINDS, Oid

GITLINK = 0o160000

_SHAPES = 500_000
_IDS = re.compile(rb"\0(.{20})", re.DOTALL)
_NUMBERS = {kind: number for number, kind in KINDS.items()}


class Judge:
    """Judges objects one after another. Most trees are another one with a few ids changed: those it knows again,
    since dulwich's check costs five times that look.
    """

    def __init__(self) -> None:
        self._shapes: set[int] = set()

    def knows(self, tree: bytes) -> bool:
        """Whether a sound tree had these names and modes already."""
        return hash(_IDS.sub(b"\0", tree)) in self._shapes

    def fault(self, kind: str, body: bytes) -> str:
        """What is wrong with an object of this kind; empty if nothing is."""
        if kind == "blob" or (kind == "tree" and self.knows(body)):
            return ""
        try:
            ShaFile.from_raw_string(_NUMBERS[kind], body).check()
        except Exception as error:  # dulwich raises many kinds here, AssertionError among them
            return str(error) or type(error).__name__
        if kind == "tree" and len(self._shapes) < _SHAPES:
            self._shapes.add(hash(_IDS.sub(b"\0", body)))
        return ""


def ids_in_tree(body: bytes) -> list[Oid]:
    """The ids in a sound tree's body, those of gitlinks too; nothing else of it is looked at."""
    return _IDS.findall(body)


def points_to(oid: Oid, kind: str, body: bytes) -> list[Oid]:
    """The objects that this one needs; ValueError if it does not parse."""
    if kind == "tree":
        return [child for mode, child in parse_tree(body).values() if mode != GITLINK]
    if kind == "commit":
        commit = parse_commit(oid, body)
        return [commit.tree, *commit.parents]
    if kind == "tag":
        return [bytes.fromhex(body[7:47].decode("ascii"))]
    return []
