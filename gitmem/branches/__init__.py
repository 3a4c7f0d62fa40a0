"""Branches: making them, taking one into another, and what a merge could not settle.

    draft      objects of a plan, written nowhere until it is carried out
    foreign    files that are no keys, merged by blob
    policies   gitmem.toml merged as the value that it is
    records    conflicts as values of the namespace `conflicts`
    verdicts   who wins where nothing settles; what came in that needs a person
    deciding   a value that both changed, with the winner's at each conflict
    settled    conflicts that the other side has settled under another id
    joining    two trees and their base become one
    commits    merge bases, fast-forwards, and the commit that a merge is: a plan
    taking     a plan is carried out by compare-and-swap, and told key by key
    settling   a person settles a conflict
    heads      listing, making and removing branches

Law: plan first, write later. What a plan says follows from two commits alone, so a dry run, a merge and another
machine's merge say the same.
"""

from gitmem.branches.commits import Plan, plan
from gitmem.branches.heads import create, listing, remove
from gitmem.branches.records import Record, Side
from gitmem.branches.settling import conflicts, resolve
from gitmem.branches.taking import KeyResult, Merge, take_in, told

__all__ = [
    "KeyResult",
    "Merge",
    "Plan",
    "Record",
    "Side",
    "conflicts",
    "create",
    "listing",
    "plan",
    "remove",
    "resolve",
    "take_in",
    "told",
]
