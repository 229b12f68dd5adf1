"""The rest of a month without its measurements: hours and minutes of the days that are there, dated anew.

Days are then made of them by the store's own upkeep. For a machine on which all of the month's rows take too long.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from fibrewatch_collector.store import hour

_HOURS, _MINUTES = 24, 1440


def copy_days(store: Path, first: int, there: int, missing: Iterable[int]) -> None:
    """Fills UTC days since 1970 from `there` whole ones that begin with `first`, in turn."""
    with sqlite3.connect(store) as db:
        for number, day in enumerate(missing):
            _copy(db, first + number % there, day)
    db.close()


def _copy(db: sqlite3.Connection, source: int, day: int) -> None:
    later = day - source
    counts = "version, n, ok, failed, skipped, valid, censored, invalid, sent, lost"
    of_day = (source * _HOURS, source * _HOURS + _HOURS - 1)
    found = db.execute(f"SELECT series, hour, {counts}, body FROM rollup WHERE hour BETWEEN ? AND ?", of_day).fetchall()
    rows = [(row[0], row[1] + later * _HOURS, *row[2:-1], _later(row[-1], later * 86400.0)) for row in found]
    db.executemany(f"INSERT OR REPLACE INTO rollup VALUES ({','.join('?' * len(rows[0]))})", rows)
    db.execute("INSERT OR IGNORE INTO dirty_day SELECT DISTINCT ?, series FROM rollup", (day,))
    db.execute("DELETE FROM dirty WHERE hour BETWEEN ? AND ?", (day * _HOURS, day * _HOURS + _HOURS - 1))
    columns = "uplink, minute + ?, state, cause, version"
    db.execute(
        f"INSERT OR REPLACE INTO bin SELECT {columns} FROM bin WHERE minute BETWEEN ? AND ?",
        (later * _MINUTES, source * _MINUTES, source * _MINUTES + _MINUTES - 1),
    )
    db.execute("INSERT OR IGNORE INTO dirty_minutes SELECT ?, id FROM uplink", (day,))


def _later(packed: bytes, seconds: float) -> bytes:
    """With its single runs that much later."""
    body = hour.unpack(packed)
    if not body.points:
        return packed
    return hour.pack(replace(body, points=[replace(each, at=each.at + seconds) for each in body.points]))
