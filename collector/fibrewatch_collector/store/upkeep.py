"""Roll-ups and retention: what is done to the database between deliveries, in small steps."""

import sqlite3

from fibrewatch_collector.store import codec, hour
from fibrewatch_collector.store.rows import HOUR_US, UNDATED_FLAG, VERDICT_SHIFT

_OUTCOME_MASK = (1 << VERDICT_SHIFT) - 1
COUNTED = f"sent IS NOT NULL AND flags & {_OUTCOME_MASK} < 2 AND flags & {UNDATED_FLAG} = 0 AND flags >> 2 & 3 < 2"
"""SQL: a window whose samples tell about the line: it ran, its time is known, and its verdict isn't invalid."""

_COUNTS = f"""
SELECT count(*), sum(flags & 3 = 0), sum(flags & 3 = 1), sum(flags & 3 = 2),
       sum(flags >> 2 & 3 = 0), sum(flags >> 2 & 3 = 1), sum(flags >> 2 & 3 = 2),
       coalesce(sum(sent) FILTER (WHERE {COUNTED}), 0), coalesce(sum(lost) FILTER (WHERE {COUNTED}), 0)
FROM measurement WHERE series=? AND started_us >= ? AND started_us < ? AND flags & {UNDATED_FLAG} = 0
"""  # noqa: S608 ours
_BODIES = f"""
SELECT m.body, d.bytes FROM measurement m JOIN dictionary d ON d.id = m.dictionary
WHERE m.series=? AND m.started_us >= ? AND m.started_us < ? AND m.flags & {UNDATED_FLAG} = 0
"""  # noqa: S608 ours
_EXPIRED = """
DELETE FROM measurement WHERE id IN (
  SELECT m.id FROM series s CROSS JOIN measurement m INDEXED BY measurement_time
  ON m.series = s.id AND m.started_us < ? LIMIT ?)
"""


def due(db: sqlite3.Connection, before_hour: int, limit: int) -> list[tuple[int, int]]:
    """(hour, series) to roll up, oldest first."""
    query = "SELECT hour, series FROM dirty WHERE hour < ? ORDER BY hour LIMIT ?"
    return [(hour_, series) for hour_, series in db.execute(query, (before_hour, limit))]


def roll_up(db: sqlite3.Connection, hour_number: int, series: int) -> None:
    """Makes one hour of one series anew from all its measurements, and takes its mark away."""
    begin = hour_number * HOUR_US
    stretch = (series, begin, begin + HOUR_US)
    counts = [count or 0 for count in db.execute(_COUNTS, stretch).fetchone()]
    bodies = [codec.unpack(body, dictionary) for body, dictionary in db.execute(_BODIES, stretch)]
    places = ",".join("?" * 13)
    row = (series, hour_number, hour.VERSION, *counts, hour.pack(hour.summed(bodies)))
    db.execute(f"INSERT OR REPLACE INTO rollup VALUES ({places})", row)  # noqa: S608 ours
    db.execute("DELETE FROM dirty WHERE hour=? AND series=?", (hour_number, series))


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
