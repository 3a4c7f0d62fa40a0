"""Three-way merge of JSON values: what two sides made of one base becomes one value again.

Knows: objects, lists, text by lines, and the rules that settle a place which both sides changed. Does not
know: keys, commits, who the sides are, or which is newer (unless it is told by `times`).
Laws: merge(b, x, b) = merge(b, b, x) = x; merge(b, x, x) = x, but `total` adds both; swapping the sides
mirrors the conflicts and gives the same value. What one side alone touched is in the result.

    conflicts   Conflict and Merged
    sameness    equality by type; marks to hash by
    alignment   which elements of two sequences are the same: the longest common subsequence
    runs        two runs of insertions at one place
    sequences   a list taken apart: its places in the order of the result, each with three sides
    lines       text by lines
    rules       what settles a place, as a table
    places      the descent: one place and its three sides, all the way down

A list is taken apart into places just as an object is. So there is one descent and one order of questions
at each place, and whatever can happen to a member can happen to an element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gitmem.members import ABSENT
from gitmem.merge.conflicts import Conflict, Merged
from gitmem.merge.places import Descent
from gitmem.merge.rules import RULES, Rule, is_rule, ready
from gitmem.merge.sameness import plain

__all__ = ["ABSENT", "RULES", "Conflict", "Merged", "Rule", "is_rule", "merge"]


def _base(conflict: Conflict) -> Any:
    return conflict.base


def merge(
    base: Any,
    ours: Any,
    theirs: Any,
    rules: Sequence[Rule] = (),
    times: tuple[Any, Any] | None = None,
    *,
    hold: Callable[[Conflict], Any] | None = None,
) -> Merged:
    """What both sides made of the base, and the places where they cannot both be right.

    A side that is ABSENT is a removal, an ABSENT base an addition. At a conflict the result holds what
    `hold(conflict)` gives, called once for each in the order of the value; without `hold` it is the base,
    and nothing where the base is ABSENT.

    The first rule whose `at` names a place that both sides changed settles it; rules are not asked about
    other places. `times` are those of ours and theirs, for `latest`. The result shares parts with what was
    passed in, so copy it before you change it. Raises ValueError for a rule of no known name, and
    InvalidPatternError for a malformed pointer in one.
    """
    descent = Descent(hold or _base)
    value = descent.settle(plain(base), plain(ours), plain(theirs), ready(rules, times))
    return Merged(value, tuple(descent.conflicts))
