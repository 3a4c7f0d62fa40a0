"""Naming a run: a session, one commit, or `A..B`, all that B's history has and A's has not.

Knows texts; what the commits did is asked of the index.
Law: the name of a commit or a range is made of full ids, so it means the same commits whenever and wherever it is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gitmem.errors import UnknownRevisionError
from gitmem.index.runs import Span
from gitmem.objects import Oid
from gitmem.revisions import is_session, resolve, unknown
from gitmem.vault import Snapshot, Vault

_ID = r"[0-9a-f]{40}"
_ONE, _RANGE = re.compile(f"({_ID})"), re.compile(rf"({_ID})\.\.({_ID})")
_SHORT = 12


@dataclass(frozen=True, slots=True)
class Run:
    """A run as seen from a snapshot: its commits, and its lasting `name`: a session, an id, or two ids around `..`."""

    name: str
    span: Span

    @property
    def title(self) -> str:
        """The name for people: ids are cut short."""
        return re.sub(_ID, lambda found: found[0][:_SHORT], self.name) if self.span.session is None else self.name


@dataclass(frozen=True, slots=True)
class Whole:
    """A run that is surely a session, whatever else has its name: as a text, a branch called so would come first."""

    session: str


def named(vault: Vault, head: Snapshot, text: str | Whole) -> Run:
    """The run that a text means. UnknownRevisionError if it means none.

    A session's name means all its commits up to `head`, though as a revision it is the last of them; but a commit's id,
    a branch and a tag come first, unless it is said to be a session.
    """
    if isinstance(text, Whole):
        if vault.indexed(head).session_head(head.oid, text.session) is None:
            raise unknown(text.session, "no commit names such a session; `gitmem session list` shows them")
        return Run(text.session, Span(head.oid, session=text.session))
    if isinstance(text, str) and is_session(vault, head, text):
        return Run(text, Span(head.oid, session=text))
    if isinstance(text, str) and ".." in text:
        return _range(vault, head, text)
    oid = resolve(vault, head, text)
    return Run(oid.hex(), Span(oid, alone=True))


def _range(vault: Vault, head: Snapshot, text: str) -> Run:
    first, _, last = text.partition("..")
    if not first:
        raise unknown(text, "a range is A..B: say where it begins; `gitmem log` shows the revisions")
    since, until = resolve(vault, head, first), resolve(vault, head, last or "HEAD")
    for oid in (since, until):
        vault.index.catch_up(oid)
    bases = vault.index.merge_bases(since, until)
    if len(bases) != 1:
        raise unknown(text, f"{first!r} and {last!r} have no one commit where they parted: name one before B instead")
    return Run(f"{bases[0].hex()}..{until.hex()}", Span(until, since=bases[0]))


def parsed(name: str, until: Oid) -> Span:
    """The commits that the lasting name of a run means, as of `until`: what a trailer says, which may be anything."""
    if found := _ONE.fullmatch(name):
        return Span(bytes.fromhex(found[1]), alone=True)
    if found := _RANGE.fullmatch(name):
        return Span(bytes.fromhex(found[2]), since=bytes.fromhex(found[1]))
    return Span(until, session=name)


def outside(run: Run, text: str, branch: str) -> UnknownRevisionError:
    """The error for a run that is not in a branch's history."""
    return unknown(text, f"it is not in the history of branch {branch}: `gitmem log` shows what is")


__all__ = ["Run", "Span", "Whole", "named", "outside", "parsed"]
