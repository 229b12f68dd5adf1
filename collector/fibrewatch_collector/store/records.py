"""What was declared and what was reported, in SQLite: added, never changed."""

import sqlite3
import zlib
from collections.abc import Sequence

from fibrewatch.errors import StoreError
from fibrewatch_collector.store import Edition, Record
from fibrewatch_collector.store.rows import microseconds


def append(db: sqlite3.Connection, record: Record) -> int:
    """See Store.append."""
    row = (record.kind, record.territory, record.site, microseconds(record.at), record.body)
    cursor = db.execute("INSERT INTO record(kind, territory, site, at_us, body) VALUES (?, ?, ?, ?, ?)", row)
    return cursor.lastrowid or 0  # None only where nothing was inserted


def records(db: sqlite3.Connection, kinds: Sequence[str], territory: str | None) -> list[Record]:
    """See Store.records."""
    query = f"""SELECT id, kind, territory, site, at_us, body FROM record
        WHERE kind IN ({",".join("?" * len(kinds))}) AND (? IS NULL OR territory = ?) ORDER BY id"""  # noqa: S608 only ?
    rows = db.execute(query, [*kinds, territory, territory])
    return [Record(row[0], row[1], row[2], row[3], row[4] / 1e6, row[5]) for row in rows]


def save_edition(db: sqlite3.Connection, edition: Edition) -> None:
    """See Store.save_edition."""
    period = (*edition[:2], microseconds(edition.begin), microseconds(edition.end))
    (newest,) = db.execute(f"SELECT max(number) FROM record WHERE {_PERIOD}", period).fetchone()  # noqa: S608 ours
    if edition.number != (newest or 0) + 1:
        raise StoreError(f"edition {edition.number} of a report can't follow {newest or 0}")
    db.execute(
        "INSERT INTO record(kind, territory, site, begin_us, end_us, number, at_us, body)"
        " VALUES ('edition', ?, ?, ?, ?, ?, ?, ?)",
        (*period, edition.number, microseconds(edition.made_at), zlib.compress(edition.report, 6)),
    )


_PERIOD = "kind = 'edition' AND territory = ? AND site = ? AND begin_us = ? AND end_us = ?"


def editions(db: sqlite3.Connection, territory: str, site: str, begin: float, end: float) -> list[Edition]:
    """See Store.editions."""
    query = f"SELECT number, at_us, body FROM record WHERE {_PERIOD} ORDER BY number"  # noqa: S608 ours
    rows = db.execute(query, (territory, site, microseconds(begin), microseconds(end)))
    return [
        Edition(territory, site, begin, end, number, made / 1e6, zlib.decompress(body)) for number, made, body in rows
    ]


def reported(db: sqlite3.Connection) -> list[tuple[str, str, float, float, int]]:
    """See Store.reported."""
    query = """SELECT territory, site, begin_us, end_us, max(number) FROM record WHERE kind = 'edition'
        GROUP BY territory, site, begin_us, end_us ORDER BY territory, site, begin_us, end_us"""
    return [(row[0], row[1], row[2] / 1e6, row[3] / 1e6, row[4]) for row in db.execute(query)]
