"""Long answers, page by page: the versions of a key, the log, the log of some keys.

Knows the ledger's tables; does not know who asks or what happens to the file between two pages.
Law: rows come in falling order of their numbers, children before parents, and only such as precede the place
that is asked about. No page leaves a statement open, so a slow reader holds nothing back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from gitmem.index.ancestry import Place
from gitmem.index.ledger import Ledger

FIRST_ROWS, MOST_ROWS = 32, 2048
FEW_KEYS = 200

Row: TypeAlias = tuple[Any, ...]
"""Its first three columns are the commit's ord, chain and revision."""
Page: TypeAlias = Callable[[int], tuple[list[Row], int | None]]
"""The highest number to look at -> rows, and the highest number for the next page (None: that was all)."""


def versions(ledger: Ledger, place: Place, namespace: str, key: str) -> Page:
    """The versions of a key; further columns: version, blob."""
    sql = (
        "select v.ord, c.chain, c.revision, v.version, v.blob from keys k"
        " cross join versions v on v.key_id = k.id cross join commits c on c.ord = v.ord"
        " where k.namespace = ? and k.key = ? and v.ord <= ? order by v.ord desc limit ?"
    )
    return _page(ledger, place, sql, (namespace, key))


def log(ledger: Ledger, place: Place, since: Place | None, filters: Mapping[str, str]) -> Page:
    """The commits, without `since` and what precedes it; `filters`: column -> value."""
    columns = "".join(f"{column} = ? and " for column in filters)
    floor = 0
    outside = None
    if since is not None:
        outside = ledger.reach(since)
        floor = ledger.floor(ledger.reach(place), outside)
    sql = (
        f"select ord, chain, revision from commits where {columns} ord > {floor} and ord <= ? order by ord desc limit ?"
    )
    if outside is None:
        return _page(ledger, place, sql, tuple(filters.values()))
    excluded = outside
    return _page(
        ledger,
        place,
        sql,
        tuple(filters.values()),
        keep=lambda rows: [row for row in rows if not excluded.holds(row[1], row[0])],
    )


def log_of_keys(ledger: Ledger, place: Place, namespace: str, predicate: Callable[[str], bool]) -> Page:
    """The commits that are versions of a key in the namespace which the predicate takes."""
    rows = ledger.db.execute("select id, key from keys where namespace = ?", (namespace,))
    wanted = {number for number, key in rows if predicate(key)}
    if len(wanted) > FEW_KEYS:
        sql = "select ord, chain, revision from commits where ord <= ? order by ord desc limit ?"
        return _page(ledger, place, sql, (), keep=lambda rows: _touching(ledger, rows, wanted))
    sql = (
        "select distinct v.ord, c.chain, c.revision from versions v cross join commits c on c.ord = v.ord"
        f" where v.key_id in ({','.join('?' * len(wanted))}) and v.ord <= ? order by v.ord desc limit ?"
    )
    return _page(ledger, place, sql, tuple(wanted))


def _touching(ledger: Ledger, rows: list[Row], wanted: set[int]) -> list[Row]:
    if not rows:
        return rows
    span = (rows[-1][0], rows[0][0])
    versions = ledger.db.execute("select ord, key_id from versions where ord between ? and ?", span)
    touched = {ord for ord, key_id in versions if key_id in wanted}
    return [row for row in rows if row[0] in touched]


def _page(
    ledger: Ledger,
    place: Place,
    sql: str,
    arguments: tuple[Any, ...],
    *,
    keep: Callable[[list[Row]], list[Row]] = lambda rows: rows,
) -> Page:
    wanted = FIRST_ROWS

    def page(highest: int) -> tuple[list[Row], int | None]:
        nonlocal wanted
        rows = ledger.db.execute(sql, (*arguments, highest, wanted)).fetchall()
        following = rows[-1][0] - 1 if len(rows) == wanted else None
        wanted = min(4 * wanted, MOST_ROWS)
        preceding = [row for row in rows if ledger.precedes(row[1], row[0], place)]
        return keep(preceding), following

    return page
