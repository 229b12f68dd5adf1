"""Names to small integers: agents, streams, series and dictionaries, each behind a bounded cache.

Used by the one connection that writes. After a rollback, or when another process wrote, `forget` what is known.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import Generic, TypeVar

from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId
from fibrewatch_collector.store.settling import StreamState

MAX_SERIES = 500
"""Of one agent: more is a box gone wild, and its names would fill the store."""
FIRST_DICTIONARY_ROW = 1
_CACHED = 20_000

K = TypeVar("K")
V = TypeVar("V")


class Cache(dict[K, V], Generic[K, V]):
    """A dict that begins anew once it holds `limit` entries: boxes come round in turn, none is worth keeping longer."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def put(self, key: K, value: V) -> V:
        """Adds a value."""
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value


@dataclass(slots=True)
class Series:
    """One test of one agent; `dictionaries` counts those that it had made."""

    row: int
    dictionary_row: int
    dictionary: bytes
    dictionaries: int


SeriesKey = tuple[int, str, str, str, str, str, int, str]


def series_key(agent_row: int, measurement: AnyMeasurement) -> SeriesKey:
    """What makes a series; '' and 0 stand for None, see the schema."""
    target = measurement.target
    name, role, peer = (target.name, target.role, target.peer or "") if target else ("", "", "")
    return (
        agent_row,
        measurement.probe,
        measurement.test,
        name,
        role,
        measurement.interface or "",
        measurement.family or 0,
        peer,
    )


class Catalogue:
    """See the module's docstring."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._agents: Cache[AgentId, int] = Cache(_CACHED)
        self._streams: Cache[tuple[int, str], StreamState] = Cache(_CACHED)
        self._series: Cache[SeriesKey, Series] = Cache(_CACHED)
        self._series_counts: Cache[int, int] = Cache(_CACHED)

    def forget(self) -> None:
        """Empties the caches."""
        self._agents.clear()
        self._streams.clear()
        self._series.clear()
        self._series_counts.clear()

    def agent(self, agent: AgentId) -> int:
        """The agent's row; made if it is new."""
        return self._agents.get(agent) or self._agents.put(agent, self._agent_row(agent))

    def _agent_row(self, agent: AgentId) -> int:
        found = self._db.execute("SELECT id FROM agent WHERE territory=? AND site=? AND agent=?", agent).fetchone()
        if found is not None:
            row: int = found[0]
            return row
        cursor = self._db.execute("INSERT INTO agent(territory, site, agent) VALUES (?, ?, ?)", agent)
        return _row(cursor)

    def stream(self, agent_row: int, name: str) -> StreamState:
        """What is settled of a stream; a new one is written at once."""
        key = (agent_row, name)
        return self._streams.get(key) or self._streams.put(key, self._load_stream(agent_row, name))

    def _load_stream(self, agent_row: int, name: str) -> StreamState:
        found = self._db.execute(
            "SELECT id, through, ahead FROM stream WHERE agent=? AND name=?", (agent_row, name)
        ).fetchone()
        if found is not None:
            row, through, ahead = found
            return StreamState(row, agent_row, through, [(first, last) for first, last in json.loads(ahead)])
        cursor = self._db.execute(
            "INSERT INTO stream(agent, name, through, ahead) VALUES (?, ?, 0, '[]')", (agent_row, name)
        )
        return StreamState(_row(cursor), agent_row)

    def series(self, agent_row: int, measurement: AnyMeasurement) -> Series | None:
        """The series of a measurement; None when its agent has too many already."""
        key = series_key(agent_row, measurement)
        known = self._series.get(key)
        if known is not None:
            return known
        found = self._load_series(key) or self._new_series(key)
        return self._series.put(key, found) if found is not None else None

    def _load_series(self, key: SeriesKey) -> Series | None:
        found = self._db.execute(
            "SELECT s.id, s.dictionary, d.bytes, s.dictionaries FROM series s JOIN dictionary d ON d.id = s.dictionary"
            " WHERE agent=? AND probe=? AND test=? AND target=? AND role=? AND interface=? AND family=?"
            " AND peer=?",
            key,
        ).fetchone()
        return Series(*found) if found is not None else None

    def _new_series(self, key: SeriesKey) -> Series | None:
        agent_row = key[0]
        count = self._series_counts.get(agent_row)
        if count is None:
            (count,) = self._db.execute("SELECT count(*) FROM series WHERE agent=?", (agent_row,)).fetchone()
        if count >= MAX_SERIES:
            return None
        self._db.execute(
            "INSERT INTO series(agent, probe, test, target, role, interface, family, peer)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            key,
        )
        self._series_counts.put(agent_row, count + 1)
        return self._load_series(key)

    def teach(self, series: Series, dictionary: bytes) -> None:
        """Gives a series a dictionary of its own, for the measurements that follow."""
        series.dictionary_row = _row(self._db.execute("INSERT INTO dictionary(bytes) VALUES (?)", (dictionary,)))
        series.dictionary = dictionary
        series.dictionaries += 1
        self._db.execute(
            "UPDATE series SET dictionary=?, dictionaries=? WHERE id=?",
            (series.dictionary_row, series.dictionaries, series.row),
        )


def _row(cursor: sqlite3.Cursor) -> int:
    """The row that an INSERT made; lastrowid is None only where nothing was inserted."""
    return cursor.lastrowid or 0
