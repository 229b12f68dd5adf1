"""What was declared and what was reported, in SQLite: added, never changed."""

import sqlite3
import zlib
from collections.abc import Sequence

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
    begin, end, made = (microseconds(at) for at in (edition.begin, edition.end, edition.made_at))
    row = (edition.territory, edition.site, begin, end, edition.number, made, zlib.compress(edition.report, 6))
    db.execute(
        "INSERT INTO edition(territory, site, begin_us, end_us, number, made_us, report) VALUES (?, ?, ?, ?, ?, ?, ?)",
        row,
    )


def editions(db: sqlite3.Connection, territory: str, site: str, begin: float, end: float) -> list[Edition]:
    """See Store.editions."""
    query = """SELECT territory, site, begin_us, end_us, number, made_us, report FROM edition
        WHERE territory = ? AND site = ? AND begin_us = ? AND end_us = ? ORDER BY number"""
    rows = db.execute(query, (territory, site, microseconds(begin), microseconds(end)))
    return [
        Edition(row[0], row[1], row[2] / 1e6, row[3] / 1e6, row[4], row[5] / 1e6, zlib.decompress(row[6]))
        for row in rows
    ]


def reported(db: sqlite3.Connection) -> list[tuple[str, str, float, float, int]]:
    """See Store.reported."""
    query = """SELECT territory, site, begin_us, end_us, max(number) FROM edition
        GROUP BY territory, site, begin_us, end_us ORDER BY territory, site, begin_us, end_us"""
    return [(row[0], row[1], row[2] / 1e6, row[3] / 1e6, row[4]) for row in db.execute(query)]
