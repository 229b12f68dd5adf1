"""Reading the SQLite store, on a read-only connection."""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fibrewatch.wire import AgentId
from fibrewatch_collector.store import Bin, BinState, Filter, Gap, Refusal, Rollup, Stored, WindowCount, codec, hour
from fibrewatch_collector.store.conditions import AGENT, SERIES, conditions
from fibrewatch_collector.store.rows import HOUR_US, UNDATED_FLAG, microseconds
from fibrewatch_collector.store.upkeep import COUNTED

_EXPORT_PAGE = 1_000
_PAGE = 500

_STORED = """
SELECT m.id, a.territory, a.site, a.agent, t.name, m.seq, m.started_us + m.lag_us, m.body, d.bytes
FROM measurement m JOIN stream t ON t.id = m.stream JOIN agent a ON a.id = t.agent
JOIN dictionary d ON d.id = m.dictionary
"""


_NEWEST = f"""
SELECT max(started_us) FROM (SELECT started_us, flags FROM measurement ORDER BY id DESC LIMIT 1000)
WHERE flags & {UNDATED_FLAG} = 0
"""  # noqa: S608 ours


def newest_start(db: sqlite3.Connection) -> float | None:
    """See Store.newest_start."""
    (newest,) = db.execute(_NEWEST).fetchone()
    return newest / 1e6 if newest is not None else None


def measurements(db: sqlite3.Connection, where: Filter, after: int, limit: int) -> list[Stored]:
    """See Store.measurements."""
    if where == Filter():
        ids, values = "SELECT id FROM measurement WHERE id > ? ORDER BY id LIMIT ?", [after, limit]
    else:
        wanted, values = conditions(where, SERIES)
        begin, end = _bounds(where)
        ids = f"""SELECT id FROM measurement INDEXED BY measurement_time WHERE series IN
            (SELECT s.id FROM series s JOIN agent a ON a.id = s.agent WHERE {wanted})
            AND started_us >= ? AND started_us < ? AND id > ? ORDER BY id LIMIT ?"""  # noqa: S608 only ? from outside
        values += [begin, end, after, limit]
    query, found = f"{_STORED} WHERE m.id IN ({ids}) ORDER BY m.id", list[Stored]()
    while True:  # once, unless some of the page can't be read
        rows = db.execute(query, values).fetchall()
        found += _stored(rows)
        if len(rows) < values[-1] or len(found) == limit:
            return found
        values[-2:] = rows[-1][0], limit - len(found)


def _bounds(where: Filter) -> tuple[int, int]:
    begin = -(2**63) if where.begin is None else microseconds(where.begin)
    return begin, 2**63 - 1 if where.end is None else microseconds(where.end)


def _stored(rows: Iterable[tuple[Any, ...]]) -> Iterator[Stored]:
    for number, territory, site, agent, stream, seq, received_us, body, dictionary in rows:
        raw = codec.readable(body, dictionary, f"row {number}")
        if raw is not None:
            yield Stored(number, AgentId(territory, site, agent), stream, seq, received_us / 1e6, raw)


_ALL_SERIES = """
SELECT s.id FROM series s JOIN agent a ON a.id = s.agent
ORDER BY a.territory, a.site, a.agent, s.probe, s.test, s.target, s.role, s.interface, s.family, s.peer
"""


def export(db: sqlite3.Connection, begin: float, end: float) -> Iterator[Stored]:
    """See Store.export; in pages, so that no long transaction holds up the writer's log."""
    for (number,) in db.execute(_ALL_SERIES).fetchall():
        yield from _export_series(db, number, microseconds(begin), microseconds(end))


def _export_series(db: sqlite3.Connection, series: int, begin: int, end: int) -> Iterator[Stored]:
    query = f"""{_STORED.replace("m.id,", "m.started_us, m.id,", 1)} WHERE m.series = ? AND m.started_us < ?
        AND (m.started_us, m.id) > (?, ?) ORDER BY m.started_us, m.id LIMIT {_EXPORT_PAGE}"""
    after = (begin, -1)
    while page := db.execute(query, (series, end, *after)).fetchall():
        yield from _stored(row[1:] for row in page)
        after = page[-1][:2]


_ARRIVED = """
SELECT m.id FROM measurement m INDEXED BY measurement_time WHERE m.series IN
(SELECT s.id FROM series s JOIN agent a ON a.id = s.agent WHERE {wanted}) AND m.started_us >= ? AND m.started_us < ?
"""


def arrivals(db: sqlite3.Connection, where: Filter) -> Iterator[Stored]:
    """See Store.arrivals: eight bytes of each are held."""
    wanted, values = conditions(where, SERIES)
    query = _ARRIVED.format(wanted=wanted)
    ids = array("q", sorted(number for (number,) in db.execute(query, [*values, *_bounds(where)])))
    for at in range(0, len(ids), _PAGE):
        page = ids[at : at + _PAGE].tolist()
        places = ",".join("?" * len(page))
        yield from _stored(db.execute(f"{_STORED} WHERE m.id IN ({places}) ORDER BY m.id", page).fetchall())


def _beside_gap(which: str, order: str) -> str:
    """When the measurement before or after a gap was made; where there is none, when the gap was found."""
    found = f"SELECT started_us FROM measurement m WHERE m.stream = g.stream AND m.seq {which} ORDER BY m.seq {order}"  # noqa: S608
    return f"coalesce(({found} LIMIT 1), g.recorded_us)"


_GAP_TIMES = {
    "begin": f"{_beside_gap('> g.last', 'ASC')} >= ? * 1000000",
    "end": f"{_beside_gap('< g.first', 'DESC')} < ? * 1000000",
}


def gaps(db: sqlite3.Connection, where: Filter, limit: int) -> list[Gap]:
    """See Store.gaps."""
    wanted, values = conditions(where, {**AGENT, **_GAP_TIMES})
    query = f"""SELECT a.territory, a.site, a.agent, t.name, g.first, g.last, g.recorded_us FROM gap g
        JOIN stream t ON t.id = g.stream JOIN agent a ON a.id = t.agent
        WHERE {wanted} ORDER BY g.id DESC LIMIT ?"""  # noqa: S608 only ? from outside
    rows = db.execute(query, [*values, limit])
    return [Gap(AgentId(*row[:3]), row[3], row[4], row[5], row[6] / 1e6) for row in rows]


def refusals(db: sqlite3.Connection, where: Filter, limit: int) -> list[Refusal]:
    """See Store.refusals."""
    wanted, values = conditions(where, AGENT)
    query = f"""SELECT a.territory, a.site, a.agent, q.stream, q.seq, q.reason, q.received_us, q.raw FROM quarantine q
        JOIN agent a ON a.id = q.agent WHERE {wanted} ORDER BY q.id DESC LIMIT ?"""  # noqa: S608
    rows = db.execute(query, [*values, limit])
    return [Refusal(AgentId(*row[:3]), row[3], row[4], row[5], row[6] / 1e6, row[7]) for row in rows]


_WINDOW_COUNTS = f"""
SELECT a.territory, a.site, a.agent, s.test, s.target, s.role, s.interface, s.family,
       sum(m.sent), sum(m.lost), count(*), nullif(s.peer, '')
FROM agent a JOIN series s ON s.agent = a.id JOIN measurement m INDEXED BY measurement_time ON m.series = s.id
WHERE a.territory = ? AND a.site = ? AND m.started_us >= ? AND m.started_us < ? AND s.target <> '' AND {COUNTED}
GROUP BY s.id ORDER BY s.id
"""  # noqa: S608 ours


def window_counts(db: sqlite3.Connection, territory: str, site: str, begin: float, end: float) -> list[WindowCount]:
    """See Store.window_counts."""
    rows = db.execute(_WINDOW_COUNTS, (territory, site, microseconds(begin), microseconds(end)))
    return [
        WindowCount(AgentId(*row[:3]), row[3], row[4], row[5], row[6] or None, row[7] or None, *row[8:]) for row in rows
    ]


_MINUTE_COUNTS = """
SELECT m.started_us / 60000000 * 60 AS minute, a.territory, a.site, a.agent, s.test, s.target, s.role, s.interface,
       s.family, sum(m.sent), sum(m.lost), count(*), nullif(s.peer, '')
FROM agent a JOIN series s ON s.agent = a.id JOIN measurement m INDEXED BY measurement_time ON m.series = s.id
WHERE {wanted} AND m.started_us >= ? AND m.started_us < ? AND s.target <> '' AND {counted}
GROUP BY s.id, minute ORDER BY s.id, minute
"""


def minute_counts(db: sqlite3.Connection, where: Filter) -> Iterator[tuple[int, WindowCount]]:
    """See Store.minute_counts."""
    wanted, values = conditions(where, SERIES)
    query = _MINUTE_COUNTS.format(wanted=wanted, counted=COUNTED)
    for minute, *row in db.execute(query, [*values, *_bounds(where)]):
        agent, names = AgentId(*row[:3]), (row[6] or None, row[7] or None)
        yield minute, WindowCount(agent, row[3], row[4], row[5], *names, *row[8:])


def observers(db: sqlite3.Connection) -> Mapping[tuple[str, str], set[tuple[str, str]]]:
    """See Store.observers."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    query = """SELECT DISTINCT a.territory, a.site, s.peer FROM series s JOIN agent a ON a.id = s.agent
        WHERE s.peer <> ''"""
    for territory, site, peer in db.execute(query):
        far_territory, far_site, _ = peer.split("/")
        found.setdefault((far_territory, far_site), set()).add((territory, site))
    return found


def rollups(db: sqlite3.Connection, where: Filter) -> list[Rollup]:
    """See Store.rollups."""
    wanted, values = conditions(where, SERIES)
    begin, end = (-(-edge // HOUR_US) for edge in _bounds(where))
    query = f"""SELECT a.territory, a.site, a.agent, s.probe, s.test, s.target, s.role, s.interface, s.family,
        r.hour, r.version, r.n, r.ok, r.failed, r.skipped, r.valid, r.censored, r.invalid, r.sent, r.lost, r.body
        FROM series s JOIN agent a ON a.id = s.agent JOIN rollup r ON r.series = s.id
        WHERE {wanted} AND r.hour >= ? AND r.hour < ?
        ORDER BY r.series, r.hour"""  # noqa: S608 only ? from outside
    return [_rollup(row) for row in db.execute(query, [*values, begin, end])]


def _rollup(row: tuple[Any, ...]) -> Rollup:
    target, role, interface, family = (value or None for value in row[5:9])
    body, start = hour.unpack(row[20]), row[9] * 3600.0
    series = (*row[3:5], target, role, interface, family)
    return Rollup._make((AgentId(*row[:3]), *series, start, *row[10:20], body.valid, body.censored))


_BINS = """
SELECT u.territory, u.site, u.uplink, b.minute * 60, b.state, b.cause, b.version
FROM uplink u JOIN bin b ON b.uplink = u.id
WHERE u.territory = ? AND u.site = ? AND b.minute >= ? AND b.minute < ? ORDER BY b.minute, u.uplink
"""


def bins(db: sqlite3.Connection, territory: str, site: str, begin: float, end: float) -> list[Bin]:
    """See Store.bins."""
    return [Bin(*row) for row in db.execute(_BINS, (territory, site, _minute(begin), _minute(end)))]


def first_minutes(db: sqlite3.Connection) -> Mapping[tuple[str, str, str], int]:
    """See Store.first_minutes."""
    query = "SELECT territory, site, uplink, (SELECT min(minute) FROM bin WHERE uplink = u.id) FROM uplink u"
    return {(row[0], row[1], row[2]): row[3] * 60 for row in db.execute(query) if row[3] is not None}


_BIN_TOTALS = """
SELECT u.territory, u.site, u.uplink, b.state, count(*) FROM uplink u JOIN bin b ON b.uplink = u.id
WHERE b.minute >= ? AND b.minute < ? GROUP BY u.id, b.state
"""


def bin_totals(
    db: sqlite3.Connection, begin: float, end: float
) -> Mapping[tuple[str, str, str], Mapping[BinState, int]]:
    """See Store.bin_totals."""
    totals: dict[tuple[str, str, str], dict[BinState, int]] = {}
    for territory, site, uplink, state, count in db.execute(_BIN_TOTALS, (_minute(begin), _minute(end))):
        totals.setdefault((territory, site, uplink), {})[state] = count
    return totals


def _minute(at: float) -> int:
    """The first minute that starts at `at` or later."""
    return -int(-at // 60)
