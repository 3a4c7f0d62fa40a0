"""What an import came to, for people and for programs.

Knows counts and names alone.
Law: entries = stored + unchanged + what of `refused` is an entry; nothing of a source is in none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import came to.

    `entries`: what the source holds. `commits`: how many were made. `stored`: entries that changed the memory.
    `unchanged`: entries that it had already. `expired`: keys that the source leaves expired, absent by now, with
    their value in the history. `renamed`: (old, new) namespaces, or `namespace/key` of keys. `refused`: (where,
    reason) of what could not be taken; an import with any of these was not complete.
    """

    form: str
    entries: int
    commits: int
    stored: int
    unchanged: int
    expired: int
    renamed: list[tuple[str, str]]
    refused: list[tuple[str, str]]

    @property
    def complete(self) -> bool:
        """Whether everything that the source holds is in the memory's history now."""
        return not self.refused

    def to_json(self) -> dict[str, Any]:
        """The report as `gitmem import --json` prints it."""
        return {
            "form": self.form,
            "entries": self.entries,
            "commits": self.commits,
            "stored": self.stored,
            "unchanged": self.unchanged,
            "expired": self.expired,
            "renamed": [{"from": old, "to": new} for old, new in self.renamed],
            "refused": [{"where": where, "reason": reason} for where, reason in self.refused],
        }
