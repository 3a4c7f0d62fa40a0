"""What a git server's answers mean: its branches, and why it does not take a push.

Knows texts; does not know over which way they came. Law: a name or an id that git would not write itself is never
let in, since our refs are made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gitmem.objects import Oid
from gitmem.refs import is_name
from gitmem.transport.failures import Trouble, advice, one_line

HEADS = "refs/heads/"
SHALLOW = Trouble(
    "that repository is a shallow clone, which lacks a part of its history", "run `git fetch --unshallow` there"
)
_ID = re.compile(rb"[0-9a-f]{40}")
_OVERTAKEN = re.compile(
    r"failed to update ref|cannot lock ref|failed to lock|unable to (lock|create).*\.lock|reference already exists"
    r"|fetch first|stale|non-fast-forward|incorrect old value|is at [0-9a-f]+ but expected",
    re.IGNORECASE,
)
_REFUSED = (
    (r"hook declined|pre-receive|update hook", "that server has a rule of its own; its words say which"),
    (r"protected|GH006|not allowed to push", "that branch is protected there: ask its owner, or push another branch"),
    (r"checked out|denyCurrentBranch|currentBranch", "push into a bare repository: a memory is one"),
    (r"permission|unpacker error|unable to", "its owner must look at the permissions and the disk there"),
    (r"fsck|unpack", "it examines what it takes; run `gitmem doctor` here"),
)


def branches(refs: Mapping[bytes, bytes | None] | Iterable[tuple[bytes, bytes | None]]) -> dict[str, Oid]:
    """The branches among a server's refs. Trouble for a shallow repository, or one of other ids than ours.

    A branch whose name git would refuse, or that is not UTF-8, is passed over, as git itself does.
    """
    found: dict[str, Oid] = {}
    for name, value in refs.items() if isinstance(refs, Mapping) else refs:
        if value == b"shallow":
            raise Trouble(str(SHALLOW), SHALLOW.hint)
        if value is None:
            continue
        if len(value) == 64:
            raise Trouble("that repository has SHA-256 ids, and a memory SHA-1", "make a SHA-1 repository there")
        if not _ID.fullmatch(value):
            raise Trouble("its answer makes no sense: no object id where one belongs", advice(""))
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if text.startswith(HEADS) and is_name(text[len(HEADS) :]):
            found[text[len(HEADS) :]] = bytes.fromhex(value.decode("ascii"))
    return found


def overtaken(reason: str) -> bool:
    """Whether a server's refusal of a branch means that somebody was quicker: it moved after the greeting."""
    return _OVERTAKEN.search(reason) is not None


def refused(branch: str, reason: str, said: str) -> Trouble:
    """Any other refusal, with what the server's hooks said for people."""
    words = f"it does not take branch {branch}: {reason}" + (f" ({said})" if said else "")
    for pattern, hint in _REFUSED:
        if re.search(pattern, f"{reason} {said}", re.IGNORECASE):
            return Trouble(one_line(words), hint)
    return Trouble(one_line(words), "its words say why; `git push` from here would hear the same")
