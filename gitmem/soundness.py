"""Whether objects are as git wants them, and what each points to: for what was stored, and for what arrives.

Knows one object at a time; does not know where it lies, nor what a `.gitmodules` should say.
Law: what passes here passes `git fsck --strict`, and what fails here fails there (a test asks the real one); only
entry modes that no reader of ours takes are refused beyond that.
"""

from __future__ import annotations

import re

from gitmem.gitobject import TREE_MODE, parse_commit, parse_tree, tree_order
from gitmem.packs import Oid

GITLINK = 0o160000

_SHAPES = 500_000
_LINK = 0o120000
_LAST_SECOND = 1 << 63
_IDS = re.compile(rb"\0(.{20})", re.DOTALL)
_ENTRY = re.compile(rb"([1-7][0-7]{4,5}) ([^\0/]+)\0(.{20})", re.DOTALL)
_WHO = rb"[^<>\n\0]* <[^<>\n\0]*> (0|[1-9][0-9]*) [+-][0-9]{4}\n"
_COMMIT = re.compile(
    rb"tree [0-9a-fA-F]{40}\n(?:parent [0-9a-fA-F]{40}\n)*author %b(?!author )committer %b[^\0]*\Z" % (_WHO, _WHO)
)
_TAG = re.compile(
    rb"object [0-9a-fA-F]{40}\ntype (?:blob|tree|commit|tag)\ntag [^\n\0]+\n(?:tagger %b)?(?!tagger )([^\0]*)\Z" % _WHO
)
# What NTFS and HFS+ take for `.git`: other endings, the short name, in any case; code points that one ignores.
_NTFS_GIT = re.compile(rb"(?:^|\\)(?:\.git|git~1)[ .]*(?:\Z|[\\:])", re.IGNORECASE)
_IGNORABLE = re.compile(rb"\xe2\x80[\x8c-\x8f\xaa-\xae]|\xe2\x81[\xaa-\xaf]|\xef\xbb\xbf")
_SUSPECT = re.compile(rb"[~\\:\xe2\xef]|^\.")
_FILES = tuple(
    (re.compile(rb"(?:\.%b|%b~[1-4])[ .]*(?:\Z|:)" % (name, name[:6]), re.IGNORECASE), b"." + name, short)
    for name, short in ((b"gitmodules", b"gi7eba"), (b"gitattributes", b"gi7d29"))
)


class Judge:
    """Judges objects one after another. Most trees are another one with a few ids changed: those it knows again."""

    def __init__(self) -> None:
        self._shapes: set[int] = set()

    def knows(self, tree: bytes) -> bool:
        """Whether a sound tree had these names and modes already."""
        return hash(_IDS.sub(b"\0", tree)) in self._shapes

    def fault(self, kind: str, body: bytes) -> str:
        """What is wrong with an object of this kind; empty if nothing is."""
        if kind == "commit":
            return _fault_of_commit(body)
        if kind == "tag":
            return _fault_of_tag(body)
        if kind != "tree":
            return ""
        if self.knows(body):
            return "it points to the null id" if bytes(20) in _IDS.findall(body) else ""
        fault = _fault_of_tree(body)
        if not fault and len(self._shapes) < _SHAPES:
            self._shapes.add(hash(_IDS.sub(b"\0", body)))
        return fault


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


def _fault_of_tree(body: bytes) -> str:
    entries = [(int(mode, 8), name, oid) for mode, name, oid in _ENTRY.findall(body)]
    if sum(len(name) + 27 + (mode > 0o77777) for mode, name, _ in entries) != len(body):
        return "not a tree"
    names = [name for _, name, _ in entries]
    if len(set(names)) != len(names):
        return "two entries of one name"
    order = [tree_order((name, (mode, oid))) for mode, name, oid in entries]
    if order != sorted(order):
        return "its entries are not in order"
    for mode, name, oid in entries:
        if name in (b".", b"..") or (_SUSPECT.search(name) and _misread(mode, name)):
            return f"the name {name[:80]!r}"
        if not any(oid):
            return "it points to the null id"
    return ""


def _misread(mode: int, name: bytes) -> bool:
    """Whether some file system would take the name for `.git`, or for git's own file although it is none."""
    plain = _IGNORABLE.sub(b"", name)
    if _NTFS_GIT.search(name) or plain.lower() == b".git":
        return True
    for pattern, whole, short in _FILES:
        refused = (TREE_MODE, GITLINK, _LINK) if whole == b".gitmodules" else (TREE_MODE, GITLINK)
        if mode in refused and (pattern.match(name) or plain.lower() == whole or _is_short(name, short)):
            return True
    return False


def _is_short(name: bytes, prefix: bytes) -> bool:
    """Whether it is a name of eight characters that NTFS may have made: some of the prefix, a tilde, a number."""
    head, tilde, number = name[:8].lower().partition(b"~")
    rest = name[8:].strip(b" .")
    fits = bool(tilde) and len(head) + len(number) == 7 and number.isdigit() and number[:1] != b"0"
    return fits and prefix.startswith(head) and (not rest or rest.startswith(b":"))


def _fault_of_commit(body: bytes) -> str:
    match = _COMMIT.match(body)
    if match is None:
        return "a header is missing, misplaced or malformed" if b"\0" not in body else "a NUL byte"
    if max(int(match[1]), int(match[2])) >= _LAST_SECOND:
        return "a time beyond all bounds"
    return "" if b"\n\n" in body or body.endswith(b"\n") else "its header does not end"


def _fault_of_tag(body: bytes) -> str:
    return "" if _TAG.match(body) else "a header is missing, misplaced or malformed"
