"""Roll-ups and retention: what is done to the database between deliveries, in small steps."""

import sqlite3

from fibrewatch_collector.store import hour
from fibrewatch_collector.store.day import COLUMNS, HOURS, Cell
from fibrewatch_collector.store.rows import UNDATED_FLAG, VERDICT_SHIFT

_OUTCOME_MASK = (1 << VERDICT_SHIFT) - 1
COUNTED = f"sent IS NOT NULL AND flags & {_OUTCOME_MASK} < 2 AND flags & {UNDATED_FLAG} = 0 AND flags >> 2 & 3 < 2"
"""SQL: a window whose samples tell about the line: it ran, its time is known, and its verdict isn't invalid."""

_EXPIRED = """
DELETE FROM measurement WHERE id IN (
  SELECT m.id FROM series s CROSS JOIN measurement m INDEXED BY measurement_time
  ON m.series = s.id AND m.started_us < ? LIMIT ?)
"""


def due(db: sqlite3.Connection, before_hour: int, limit: int) -> list[tuple[int, int]]:
    """(hour, series) to roll up, oldest first."""
    query = "SELECT hour, series FROM dirty WHERE hour < ? ORDER BY hour LIMIT ?"
    return [(hour_, series) for hour_, series in db.execute(query, (before_hour, limit))]


def put(db: sqlite3.Connection, hour_number: int, series: int, cell: Cell) -> None:
    """Writes one hour of one series, takes its mark away and marks its day."""
    counts = [getattr(cell, name) for name in COLUMNS]
    row = (series, hour_number, hour.VERSION, *counts, hour.pack(cell.body))
    db.execute(f"INSERT OR REPLACE INTO rollup VALUES ({','.join('?' * len(row))})", row)  # noqa: S608 ours
    db.execute("DELETE FROM dirty WHERE hour=? AND series=?", (hour_number, series))
    db.execute(
        "INSERT INTO dirty_day(day, series) VALUES (?, ?) ON CONFLICT DO NOTHING", (hour_number // HOURS, series)
    )


def set_pruned_before(db: sqlite3.Connection, before_us: int) -> None:
    """Remembers up to when measurements may be gone."""
    db.execute(
        "INSERT INTO meta VALUES ('pruned_before_us', ?)"
        " ON CONFLICT(key) DO UPDATE SET value = max(value, excluded.value)",
        (before_us,),
    )


def pruned_before(db: sqlite3.Connection) -> int:
    """Microseconds since 1970; 0 when nothing was ever pruned."""
    found = db.execute("SELECT value FROM meta WHERE key = 'pruned_before_us'").fetchone()
    return int(found[0]) if found else 0


def delete_expired(db: sqlite3.Connection, before_us: int, limit: int) -> int:
    """Deletes up to `limit` measurements, and as many refusals; returns how many measurements."""
    db.execute(
        "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE received_us < ? LIMIT ?)",
        (before_us, limit),
    )
    return db.execute(_EXPIRED, (before_us, limit)).rowcount
