"""Importing: a source is surveyed to its end, its names are made legal, then its values arrive in order of time.

Knows the order of these steps; the forms, the names and the commits are others' business.
Law: everything that the source holds is stored, unchanged or refused, and the report says how much of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gitmem.exchange.arrivals import Arrivals
from gitmem.exchange.forms import open_source
from gitmem.exchange.naming import Naming
from gitmem.exchange.records import DELETED, Heading, Refused, Source, Unfit, shown
from gitmem.exchange.report import ImportReport
from gitmem.provenance import Stamp
from gitmem.transaction import check_target

if TYPE_CHECKING:
    from gitmem.memory import Memory

_TOLD = 5


def import_file(
    memory: Memory, source: Path, *, form: str | None = None, namespace: str | None = None
) -> ImportReport:
    """Take in what another tool, or another memory, holds; its times and sources become authors and trailers.

    `form` is claude-flow, ruflo, gitmem or folder; without it the content tells. `namespace` is for entries that
    name none (the files of a folder), else it is the memory's own. One commit for each time and source; what the
    history holds already does not come again, so importing twice is importing once.
    A value that breaks a contract is refused, as one that is no JSON. InvalidValueError, and nothing is written, if the
    source is not whole or of no known form. After a StorageError, a ContentionError, or a ContractError (a contract
    came while it was running), commits that were published stay; import again for the rest.
    """
    space = memory.namespace if namespace is None else namespace
    check_target(space, "x")
    now = memory.vault.clock().timestamp()
    stamp = Stamp(memory.agent, memory.session)
    opened = open_source(Path(source), form, namespace=space, stamp=stamp, now=now)
    try:
        return _take_in(memory, opened)
    finally:
        opened.close()


def _take_in(memory: Memory, source: Source) -> ImportReport:
    found = list(source.headings())
    refused = [one for one in found if isinstance(one, Refused)]
    headings = [one for one in found if isinstance(one, Heading)]
    entries = len(found)
    del found
    if not source.ordered:
        headings.sort(key=_coming)
    naming = Naming(headings, source.where)
    path = memory.write_path()
    arrivals = Arrivals(memory.vault, path, importer=memory.agent, form=source.form)
    limit = arrivals.policy.max_value_bytes
    try:
        for heading in naming.legal():
            if isinstance(heading, Refused):
                refused.append(heading)
                continue
            try:
                body = None if heading.operation == DELETED else source.body(heading.place, limit=limit)
                reason = _breach(arrivals.take(heading, body))
            except Unfit as unfit:
                reason = str(unfit)
            if reason:
                names = shown(f"{heading.namespace}/{heading.key}")
                refused.append(Refused(f"{source.where(heading.place)}: {names}", reason))
        arrivals.finish()
    finally:
        arrivals.abort()
    return ImportReport(
        form=source.form,
        entries=entries,
        commits=arrivals.commits,
        stored=arrivals.stored,
        unchanged=arrivals.unchanged,
        expired=arrivals.expired,
        renamed=naming.renamed,
        refused=[(one.where, one.reason) for one in refused],
    )


def _breach(problems: list[str]) -> str:
    """Why a value was not taken, in one line; "" if it was."""
    more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
    return f"it breaks a contract: {'; '.join(problems[:_TOLD])}{more}" if problems else ""


def _coming(heading: Heading) -> tuple[int, float, str, str]:
    """What came first; at one moment, what one source brought stays together."""
    return heading.time, heading.moment, heading.stamp.agent, heading.stamp.session or ""
