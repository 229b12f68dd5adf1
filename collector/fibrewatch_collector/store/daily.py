"""Days of series and of uplinks in SQLite: made once they are over, made anew when something late came."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as replaced
from typing import Any

from msgspec.structs import replace

from fibrewatch.wire import AgentId
from fibrewatch_collector.store import Bin, Filter, Scheduled, SeriesDays, SeriesId, codec, day, hour, timeline
from fibrewatch_collector.store.conditions import AGENT, SERIES, conditions
from fibrewatch_collector.store.day import HOURS, Cell, Day
from fibrewatch_collector.store.rows import HOUR_US, UNDATED_FLAG, microseconds
from fibrewatch_collector.store.timeline import DAY_MINUTES, Legend, Timeline
from fibrewatch_collector.store.upkeep import COUNTED

DAY_US = HOURS * HOUR_US
_LATE_US = HOUR_US

_COUNTS = f"""
SELECT count(*), sum(flags & 3 = 0), sum(flags & 3 = 1), sum(flags & 3 = 2),
       sum(flags >> 2 & 3 = 0), sum(flags >> 2 & 3 = 1), sum(flags >> 2 & 3 = 2),
       coalesce(sum(sent) FILTER (WHERE {COUNTED}), 0), coalesce(sum(lost) FILTER (WHERE {COUNTED}), 0)
FROM measurement WHERE series=? AND started_us >= ? AND started_us < ? AND flags & {UNDATED_FLAG} = 0
"""  # noqa: S608 ours
_BODIES = f"""
SELECT m.id, m.body, d.bytes FROM measurement m JOIN dictionary d ON d.id = m.dictionary
WHERE m.series=? AND m.started_us >= ? AND m.started_us < ? AND m.flags & {UNDATED_FLAG} = 0 ORDER BY m.stream, m.seq
"""  # noqa: S608 ours
_UNDATED = f"""
SELECT count(*) FROM measurement WHERE series=? AND started_us >= ? AND started_us < ? AND flags & {UNDATED_FLAG}
"""  # noqa: S608 ours
_LATE = f"""
SELECT (started_us + lag_us) / {HOUR_US} AS came, count(*) FROM measurement
WHERE series=? AND started_us >= ? AND started_us < ? AND flags & {UNDATED_FLAG} = 0 AND lag_us > {_LATE_US}
GROUP BY came ORDER BY came
"""  # noqa: S608 ours


def raw_cell(db: sqlite3.Connection, series: int, begin_us: int, end_us: int) -> Cell:
    """A stretch made from the measurements themselves; begin ≤ started_at < end."""
    stretch = (series, begin_us, end_us)
    counts = [count or 0 for count in db.execute(_COUNTS, stretch).fetchone()]
    bodies = (codec.readable(body, dictionary, f"row {row}") for row, body, dictionary in db.execute(_BODIES, stretch))
    (undated,) = db.execute(_UNDATED, stretch).fetchone()
    body = replace(hour.summed(filter(None, bodies)), undated=undated, late=dict(db.execute(_LATE, stretch).fetchall()))
    return day.cell(counts, body)


# ---- days of series


def due(db: sqlite3.Connection, before_day: int, limit: int) -> list[tuple[int, int]]:
    """(day, series) to make, oldest first: those none of whose hours waits."""
    query = f"""SELECT day, series FROM dirty_day d WHERE day < ? AND NOT EXISTS
        (SELECT 1 FROM dirty h WHERE h.hour BETWEEN d.day * {HOURS} AND d.day * {HOURS} + {HOURS - 1}
         AND h.series = d.series) ORDER BY day LIMIT ?"""  # noqa: S608 ours
    return [(number, series) for number, series in db.execute(query, (before_day, limit))]


def make(db: sqlite3.Connection, number: int, series: int) -> None:
    """Makes one day of one series anew from its hours, and takes its mark away."""
    whole = _made(db, number, series)
    values = (series, number, hour.VERSION, whole.packed_total, whole.packed_hours)
    db.execute("INSERT OR REPLACE INTO day VALUES (?, ?, ?, ?, ?)", values)
    db.execute("DELETE FROM dirty_day WHERE day=? AND series=?", (number, series))


def _made(db: sqlite3.Connection, number: int, series: int) -> Day:
    first = number * HOURS
    query = f"SELECT hour, {','.join(day.COLUMNS)}, body FROM rollup WHERE series=? AND hour BETWEEN ? AND ?"  # noqa: S608
    cells = {
        row[0] - first: day.cell(row[1:10], hour.unpack(row[10]))
        for row in db.execute(query, (series, first, first + HOURS - 1))
    }
    query = "SELECT hour FROM dirty WHERE series=? AND hour BETWEEN ? AND ?"
    for (number_,) in db.execute(query, (series, first, first + HOURS - 1)).fetchall():
        cells[number_ - first] = raw_cell(db, series, number_ * HOUR_US, (number_ + 1) * HOUR_US)
    return day.made(number, cells)


_NAMES = "s.id, a.territory, a.site, a.agent, s.probe, s.test, s.target, s.role, s.interface, s.family, s.peer"


def days(db: sqlite3.Connection, where: Filter) -> list[SeriesDays]:
    """See Store.days."""
    begin, end = _days(where)
    wanted, values = conditions(where, SERIES)
    of_them = f"FROM series s JOIN agent a ON a.id = s.agent WHERE {wanted}"
    names = db.execute(f"SELECT {_NAMES} {of_them} ORDER BY s.id", values).fetchall()
    query = f"""SELECT d.series, d.day, d.total, d.hours FROM day d
        WHERE d.series IN (SELECT s.id {of_them}) AND d.day >= ? AND d.day < ? ORDER BY d.series, d.day"""  # noqa: S608
    found: dict[int, dict[int, Day]] = {row[0]: {} for row in names}
    for series, number, total, hours in db.execute(query, [*values, begin, end]):
        found[series][number] = Day(number, total, hours)
    for series, number in _unmade(db, begin, end):
        if series in found:
            found[series][number] = _made(db, number, series)
    return [SeriesDays(row[0], _series_id(row[1:]), found[row[0]]) for row in names]


def _days(where: Filter) -> tuple[int, int]:
    begin = 0 if where.begin is None else microseconds(where.begin) // DAY_US
    return begin, 2**40 if where.end is None else -(-microseconds(where.end) // DAY_US)


def _unmade(db: sqlite3.Connection, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """(series, day) whose row is not there, or behind what came in."""
    query = f"""SELECT series, day FROM dirty_day WHERE day >= ? AND day < ?
        UNION SELECT series, hour / {HOURS} FROM dirty WHERE hour >= ? AND hour < ?"""  # noqa: S608 ours
    yield from db.execute(query, (begin, end, begin * HOURS, end * HOURS)).fetchall()


def _series_id(row: tuple[Any, ...]) -> SeriesId:
    probe, test, *others = row[3:]
    target, role, interface, family, peer = (value or None for value in others)
    return SeriesId(AgentId(*row[:3]), probe, test, target, role, interface, family, peer)


# ---- days of uplinks


def due_uplinks(db: sqlite3.Connection, before_day: int, limit: int) -> list[tuple[int, int]]:
    """(day, uplink) whose minutes are to be packed."""
    query = "SELECT day, uplink FROM dirty_minutes WHERE day < ? ORDER BY day LIMIT ?"
    return [(number, uplink) for number, uplink in db.execute(query, (before_day, limit))]


def pack_minutes(db: sqlite3.Connection, number: int, uplink: int) -> None:
    """Packs one day of one uplink, and takes its mark away."""
    legend = Legend()
    codes = _codes(db, uplink, number, legend)
    db.execute(
        "INSERT OR REPLACE INTO minutes VALUES (?, ?, ?, ?)", (uplink, number, *timeline.pack(codes, legend.entries))
    )
    db.execute("DELETE FROM dirty_minutes WHERE day=? AND uplink=?", (number, uplink))


def mark_minutes(db: sqlite3.Connection, bins: Sequence[Bin]) -> None:
    """Notes which days of which uplinks were written."""
    marks = {(each.minute // 86400, *each[:3]) for each in bins}
    query = """INSERT INTO dirty_minutes(day, uplink) SELECT ?, id FROM uplink
        WHERE territory=? AND site=? AND uplink=? ON CONFLICT DO NOTHING"""
    db.executemany(query, sorted(marks))


def _codes(db: sqlite3.Connection, uplink: int, number: int, legend: Legend) -> bytes:
    first = number * DAY_MINUTES
    codes = bytearray(DAY_MINUTES)
    query = "SELECT minute, state, cause FROM bin WHERE uplink=? AND minute >= ? AND minute < ?"
    for minute, state, cause in db.execute(query, (uplink, first, first + DAY_MINUTES)):
        codes[minute - first] = legend.code(state, cause)
    return bytes(codes)


def timelines(db: sqlite3.Connection, where: Filter) -> Mapping[tuple[str, str, str], Timeline]:
    """See Store.timelines."""
    first, last = _days(where)
    wanted, values = conditions(
        replaced(where, begin=None, end=None), {k: v.replace("a.", "u.") for k, v in AGENT.items()}
    )
    uplinks = db.execute(f"SELECT u.id, u.territory, u.site, u.uplink FROM uplink u WHERE {wanted}", values)  # noqa: S608
    legend, found = Legend(), dict[tuple[str, str, str], bytes]()
    for uplink, *vantage in uplinks.fetchall():
        found[tuple(vantage)] = b"".join(_days_codes(db, uplink, first, last, legend))
    minute, end = (int(-(-(edge or 0) // 60)) for edge in (where.begin, where.end))
    return {
        vantage: Timeline(first * DAY_MINUTES, codes, legend.entries).cut(minute, end)
        for vantage, codes in found.items()
    }


def _days_codes(db: sqlite3.Connection, uplink: int, first: int, last: int, legend: Legend) -> Iterator[bytes]:
    edges = (uplink, first, last)
    packed = {
        number: (codes, entries)
        for number, codes, entries in db.execute(
            "SELECT day, codes, legend FROM minutes WHERE uplink=? AND day >= ? AND day < ?", edges
        )
    }
    marked = {
        number
        for (number,) in db.execute("SELECT day FROM dirty_minutes WHERE uplink=? AND day >= ? AND day < ?", edges)
    }
    for number in range(first, last):
        if number in marked:
            yield _codes(db, uplink, number, legend)
        elif number in packed:
            yield timeline.unpack(*packed[number], legend)
        else:
            yield bytes(DAY_MINUTES)


# ---- schedules


def save_schedule(db: sqlite3.Connection, agent: int, at: float, raw: bytes) -> None:
    """Writes what a box was told to do, if it is another than before."""
    newest = db.execute("SELECT raw FROM schedule WHERE agent=? ORDER BY since_us DESC LIMIT 1", (agent,)).fetchone()
    if newest is None or newest[0] != raw:
        db.execute("INSERT OR REPLACE INTO schedule VALUES (?, ?, ?)", (agent, microseconds(at), raw))


def schedules(db: sqlite3.Connection, where: Filter) -> list[Scheduled]:
    """See Store.schedules."""
    wanted, values = conditions(where, AGENT)
    end = 2**62 if where.end is None else microseconds(where.end)
    query = f"""SELECT a.territory, a.site, a.agent, c.since_us, c.raw FROM schedule c JOIN agent a ON a.id = c.agent
        WHERE {wanted} AND c.since_us < ? ORDER BY a.territory, a.site, a.agent, c.since_us"""  # noqa: S608
    return [Scheduled(AgentId(*row[:3]), row[3] / 1e6, row[4]) for row in db.execute(query, [*values, end])]
