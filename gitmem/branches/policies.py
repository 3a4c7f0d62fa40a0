"""gitmem.toml of two sides: merged as the value that its TOML is.

Knows documents; does not know what a rule or a contract does.
Law: what comes out can be parsed. Where the merged document could not be, the winner's whole file is taken, and told.

TOML has scalars that JSON lacks: dates, times, nan, inf. While documents are merged, a text stands for each, made of
its type and its text: two of them are the same, or they are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from gitmem.branches.draft import Draft
from gitmem.branches.foreign import File, Path
from gitmem.codec import MAX_INT_DIGITS
from gitmem.errors import FormatError, InvalidPolicyError, InvalidValueError, NotAMemoryError
from gitmem.merge import Conflict, merge
from gitmem.objects import BLOB_MODE, Oid
from gitmem.place import POLICY_FILE
from gitmem.policy import DEFAULT_POLICY, Policy, dump_policy, parse_policy
from gitmem.vault import Vault

Roots = tuple[Oid | None, Oid, Oid]

DEEPEST = 40
"""A document with more containers inside each other is taken whole: a merge goes down into it, as deep as it is."""

_INT_END = 10**MAX_INT_DIGITS


class Settings(NamedTuple):
    """The blobs of the base, the lower and the higher side; the merged one, what it says, and what was in conflict."""

    blobs: tuple[Oid | None, Oid | None, Oid | None]
    result: Oid | None
    policy: Policy
    conflicts: list[Conflict]

    @property
    def edit(self) -> dict[Path, File | None]:
        """The file as an edit of the root tree."""
        return {(POLICY_FILE,): None if self.result is None else (BLOB_MODE, self.result)}


def policy_of(vault: Vault, root: Oid | None) -> Policy:
    """What gitmem.toml says in a tree; nothing, where a past one could not be read: it was mended since."""
    try:
        return DEFAULT_POLICY if root is None else vault.policy(root)
    except (InvalidPolicyError, FormatError, NotAMemoryError):
        return DEFAULT_POLICY


def merge_policies(vault: Vault, draft: Draft, roots: Roots, *, high_wins: bool) -> Settings:
    """Merge the three files. Those of two heads are valid, or their snapshots could not be opened."""
    base, low, high = (None if root is None else _blob(vault, root) for root in roots)
    blobs = (base, low, high)
    if low == high or high == base:
        return Settings(blobs, low, policy_of(vault, roots[1]), [])
    if low == base:
        return Settings(blobs, high, policy_of(vault, roots[2]), [])
    documents = [{} if root is None else policy_of(vault, root).document for root in roots]
    stand_ins = StandIns(documents)
    conflicts: list[Conflict] = []

    def hold(conflict: Conflict) -> Any:
        conflicts.append(Conflict(conflict.pointer, *map(stand_ins.shown, conflict[1:])))
        return conflict[2 + high_wins]

    try:
        _check_depth(documents)
        merged = merge(*map(stand_ins.put, documents), hold=hold).value
        body = dump_policy(stand_ins.taken(merged))
        policy = parse_policy(body)
    except (InvalidPolicyError, InvalidValueError):
        policy = policy_of(vault, roots[2] if high_wins else roots[1])
        sides = [{"blob": blob.hex()} if blob is not None else None for blob in blobs]
        return Settings(blobs, blobs[1 + high_wins], policy, [Conflict("", *sides)])
    return Settings(blobs, draft.add("blob", body), policy, conflicts)


class StandIns:
    """Texts that stand for what JSON has no scalars for. None of them is a text of the documents themselves."""

    def __init__(self, documents: Iterable[Any]) -> None:
        """`documents` are all that will be merged with each other."""
        texts = [one for document in documents for one in _inside(document) if isinstance(one, str)]
        self._mark = "\0"
        while any(self._mark in text for text in texts):
            self._mark += "\0"
        self._stood_for: dict[str, Any] = {}

    def put(self, value: Any) -> Any:
        """The value with texts for its strange scalars."""
        if isinstance(value, dict):
            return {name: self.put(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.put(inner) for inner in value]
        if not _is_strange(value):
            return value
        text = f"{self._mark}{type(value).__name__} {_text(value)}"
        self._stood_for[text] = value
        return text

    def taken(self, value: Any) -> Any:
        """The value with its strange scalars again."""
        return self._back(value, as_text=False)

    def shown(self, value: Any) -> Any:
        """The value as JSON can show it: strange scalars by their text."""
        return self._back(value, as_text=True)

    def _back(self, value: Any, *, as_text: bool) -> Any:
        if isinstance(value, dict):
            return {name: self._back(inner, as_text=as_text) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._back(inner, as_text=as_text) for inner in value]
        if not isinstance(value, str) or value not in self._stood_for:
            return value
        meant = self._stood_for[value]
        return _text(meant) if as_text else meant


def _is_strange(value: Any) -> bool:
    """Whether TOML has this scalar, and JSON, as gitmem reads it, has not."""
    if isinstance(value, float):
        return value - value != 0.0
    if isinstance(value, int):
        return not -_INT_END < value < _INT_END
    return not isinstance(value, str)


def _text(value: Any) -> str:
    if isinstance(value, int):
        return hex(value)  # so long that its digits cannot be printed
    return repr(value) if isinstance(value, float) else str(value.isoformat())


def _inside(value: Any) -> Iterator[Any]:
    """Everything in a value, itself and the names of members included."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        yield inner
        if isinstance(inner, dict):
            waiting.extend(inner)
        if isinstance(inner, dict | list):
            waiting.extend(inner.values() if isinstance(inner, dict) else inner)


def _check_depth(documents: list[Any]) -> None:
    level = documents
    for _ in range(DEEPEST):
        containers = [one for one in level if isinstance(one, dict | list)]
        level = [inner for one in containers for inner in (one.values() if isinstance(one, dict) else one)]
    if any(isinstance(one, dict | list) for one in level):
        raise InvalidPolicyError("a document is too deep to be merged", line=None, reason="too deep")


def _blob(vault: Vault, root: Oid) -> Oid | None:
    found = vault.objects.tree(root).get(POLICY_FILE)
    return None if found is None else found[1]
