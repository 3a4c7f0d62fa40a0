"""Text that both sides changed, merged by lines.

Knows: text. Does not know: values. Law: a line ends at `\\n` alone; where two changes touch or overlap, the
text as a whole is a conflict, and no marker is ever written into it.

The regions are those of merge3, the line merge of Bazaar and Breezy; the alignment beneath is ours, exact and the
same on every Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gitmem.merge.alignment import Block, shared


def merged(base: str, ours: str, theirs: str) -> str | None:
    """The text with the changes of both sides; None where they touch."""
    import merge3

    regions = merge3.Merge3(_lines(base), _lines(ours), _lines(theirs), sequence_matcher=_Matcher).merge_groups()
    out: list[str] = []
    for region in regions:
        if region[0] == "conflict":
            return None
        out += region[1]
    return "".join(out)


def _lines(text: str) -> list[str]:
    *whole, rest = text.split("\n")
    return [line + "\n" for line in whole] + ([rest] if rest else [])


class _Matcher:
    """What merge3 asks for in place of difflib's matcher."""

    def __init__(
        self,
        isjunk: Callable[[Any], bool] | None = None,
        a: Sequence[Any] = "",
        b: Sequence[Any] = "",
        autojunk: bool = True,
    ) -> None:
        self._blocks = [*shared(a, b), (len(a), len(b), 0)]

    def get_matching_blocks(self) -> list[Block]:
        """(position in a, position in b, how many) of the lines in common, and the end."""
        return self._blocks
