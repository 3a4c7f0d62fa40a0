"""gitmem.toml of two sides: merged as the value that its TOML is.

Knows documents; does not know what a rule or a contract does.
Law: what comes out can be parsed. Where the merged document could not be, the winner's whole file is taken, and told.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gitmem.branches.draft import Draft
from gitmem.branches.foreign import File, Path
from gitmem.errors import FormatError, InvalidPolicyError, InvalidValueError, NotAMemoryError
from gitmem.merge import Conflict, merge
from gitmem.objects import BLOB_MODE, Oid
from gitmem.place import POLICY_FILE
from gitmem.policy import DEFAULT_POLICY, Policy, dump_policy, parse_policy
from gitmem.vault import Vault

Roots = tuple[Oid | None, Oid, Oid]


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
    conflicts: list[Conflict] = []

    def hold(conflict: Conflict) -> Any:
        conflicts.append(conflict)
        return conflict[2 + high_wins]

    try:
        body = dump_policy(merge(documents[0], documents[1], documents[2], hold=hold).value)
        policy = parse_policy(body)
    except (InvalidPolicyError, InvalidValueError):
        policy = policy_of(vault, roots[2] if high_wins else roots[1])
        sides = [{"blob": blob.hex()} if blob is not None else None for blob in blobs]
        return Settings(blobs, blobs[1 + high_wins], policy, [Conflict("", *sides)])
    return Settings(blobs, draft.add("blob", body), policy, conflicts)


def _blob(vault: Vault, root: Oid) -> Oid | None:
    found = vault.objects.tree(root).get(POLICY_FILE)
    return None if found is None else found[1]
