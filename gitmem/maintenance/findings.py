"""What the doctor finds, and what he may do about it.

Knows severities and questions; does not know what is examined.
Law: a finding is told once, with its culprit and a next step; it counts as repaired only when the repair was done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from gitmem.errors import GitmemError
from gitmem.place import Place

Severity: TypeAlias = Literal["error", "warning", "note"]
Confirm: TypeAlias = Callable[[str], bool]
Remedy: TypeAlias = Callable[[], str]
"""Mends what was found and says what it did; raises OSError or GitmemError if it could not."""

SHOWN = 20
"""So many findings of one code are told one by one; the others as a number."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the doctor noticed.

    An error is damage, a warning will be trouble for somebody, a note is only worth knowing. `code` is for
    programs. `hint` is the next step; of what is `repaired`, what was done.
    """

    severity: Severity
    code: str
    message: str
    hint: str
    repaired: bool = False

    def to_json(self) -> dict[str, Any]:
        """The finding as `gitmem doctor --json` prints it."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "repaired": self.repaired,
        }


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All findings, in the order of looking. Of many alike some are told, the last says how many more there are."""

    path: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no error is left: warnings and notes do not count."""
        return not any(one.severity == "error" and not one.repaired for one in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The report as `gitmem doctor --json` prints it."""
        return {"path": self.path, "ok": self.ok, "findings": [one.to_json() for one in self.findings]}


def never(question: str) -> bool:
    """The answer of a doctor who has nobody to ask."""
    return False


class Chart:
    """Where the findings of one examination are written down, and the licence to repair."""

    def __init__(self, where: Place, *, repair: bool, confirm: Confirm, now: float) -> None:
        """`now` in Unix seconds judges the age of files."""
        self.where = where
        self.repair = repair
        self.now = now
        self._confirm = confirm
        self._findings: list[Finding] = []
        self._more: Counter[tuple[Severity, str, bool]] = Counter()
        self._told: Counter[tuple[Severity, str, bool]] = Counter()

    def add(self, finding: Finding) -> None:
        """Write a finding down; beyond SHOWN of one kind only its number."""
        kind = (finding.severity, finding.code, finding.repaired)
        if self._told[kind] < SHOWN:
            self._told[kind] += 1
            self._findings.append(finding)
        else:
            self._more[kind] += 1

    def error(self, code: str, message: str, hint: str, remedy: Remedy | None = None, ask: str = "") -> bool:
        """Damage: something does not work. Whether it was repaired."""
        return self._judge(Finding("error", code, message, hint), remedy, ask)

    def warning(self, code: str, message: str, hint: str, remedy: Remedy | None = None, ask: str = "") -> bool:
        """What will be trouble one day, or for somebody. Whether it was repaired."""
        return self._judge(Finding("warning", code, message, hint), remedy, ask)

    def note(self, code: str, message: str, hint: str, remedy: Remedy | None = None) -> bool:
        """What is only worth knowing. Whether it was repaired."""
        return self._judge(Finding("note", code, message, hint), remedy, "")

    def _judge(self, finding: Finding, remedy: Remedy | None, ask: str) -> bool:
        """Repair if there is a licence, a remedy, and, where `ask` puts a question, a yes to it."""
        if remedy is not None and self.repair and (not ask or self._confirm(ask)):
            try:
                finding = replace(finding, hint=remedy(), repaired=True)
            except (OSError, GitmemError) as error:
                finding = replace(finding, hint=f"it could not be repaired: {error}; {finding.hint}")
        self.add(finding)
        return finding.repaired

    def report(self) -> DoctorReport:
        """What was written down."""
        rest = [
            Finding(severity, code, f"and {count} more of this kind", "", repaired)
            for (severity, code, repaired), count in self._more.items()
        ]
        return DoctorReport(str(self.where.path), (*self._findings, *rest))


def aged(seconds: float) -> str:
    """An age for people."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{max(0, int(seconds))} seconds"
