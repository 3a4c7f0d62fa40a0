"""Where two histories meet: their best common ancestors, as `git merge-base --all` finds them.

Knows chains and what each side reaches on them; does not walk the commits between.
Law: what both sides reach on one chain is everything up to the lower of two numbers, so each chain has one
candidate; the bases are the candidates that no other candidate comes after.
"""

from __future__ import annotations

from gitmem.index.ancestry import Place
from gitmem.index.ledger import Ledger
from gitmem.objects import Oid


def merge_bases(ledger: Ledger, one: Place, other: Place) -> list[Oid]:
    """The best common ancestors of two recorded commits, sorted by id; none if their histories never meet."""
    mine, theirs = ledger.reach(one), ledger.reach(other)
    chains = set(mine.chains()).intersection(theirs.chains())
    candidates = ((min(mine.highest(chain), theirs.highest(chain)), chain) for chain in chains)
    found: list[Place] = []
    for ord, chain in sorted(candidates, reverse=True):
        if not any(ledger.precedes(chain, ord, base) for base in found):
            found.append(Place(chain, ord))
    revision = "select revision from commits where ord = ?"
    return sorted(ledger.db.execute(revision, (place.ord,)).fetchone()[0] for place in found)
