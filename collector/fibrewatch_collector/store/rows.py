"""New measurements of a transaction, gathered into rows and written many to a statement."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fibrewatch.measurement import UNDATED, AnyMeasurement
from fibrewatch.results import PROBES
from fibrewatch_collector.store import codec
from fibrewatch_collector.store.catalogue import FIRST_DICTIONARY_ROW, Catalogue, Series
from fibrewatch_collector.store.settling import StreamState

HOUR_US = 3_600_000_000
OUTCOMES = {"ok": 0, "failed": 1, "skipped": 2}
VERDICTS = {"valid": 0, "censored": 1, "invalid": 2}
VERDICT_SHIFT = 2
UNDATED_FLAG = 16
"""The column flags: outcome | verdict << 2 | undated."""
MAX_DICTIONARIES = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WINDOW_PROBES = frozenset(name for name, probe in PROBES.items() if probe.mode == "window")
_COLUMNS = "stream, seq, series, started_us, lag_us, sent, lost, flags, dictionary, body"
_PLACES = f"({','.join('?' * len(_COLUMNS.split(',')))})"
_PER_STATEMENT = 32  # each statement gives up the interpreter's lock, and under load getting it back is dear


class UnexpectedRowError(Exception):
    """A number that looked new is there already (imported, or from a restored database): ask for each one."""


def microseconds(seconds: float) -> int:
    """Seconds since 1970 as the store counts them."""
    return round(seconds * 1e6)


class NewRows:
    """Of one transaction; `marked` are the (hour, series) whose roll-up is due already, `newly_marked` adds to them."""

    def __init__(
        self, db: sqlite3.Connection, catalogue: Catalogue, pruned_before_us: int, marked: set[tuple[int, int]]
    ) -> None:
        self._db, self._catalogue = db, catalogue
        self._pruned_before_us, self._marked = pruned_before_us, marked
        self._rows: list[tuple[object, ...]] = []
        self.newly_marked: set[tuple[int, int]] = set()

    def add(self, state: StreamState, seq: int, raw: bytes, measurement: AnyMeasurement, received_us: int) -> str:
        """Gathers one; returns the reason why it can't be stored, or ""."""
        undated = UNDATED in measurement.reasons
        # What can't say when it was is filed under when it came: it stays out of roll-ups and bins anyway.
        started = received_us if undated else (measurement.started_at - _EPOCH) // _MICROSECOND
        if started < self._pruned_before_us:
            return "time_past"
        series = self._catalogue.series(state.agent_row, measurement)
        if series is None:
            return "too_many_series"
        flags = OUTCOMES[measurement.outcome] | VERDICTS[measurement.verdict] << VERDICT_SHIFT | undated * UNDATED_FLAG
        times, counts = (started, received_us - started), _counts(measurement)
        packed = self._pack(series, raw, measurement)
        self._rows.append((state.row, seq, series.row, *times, *counts, flags, *packed))
        self._mark(started // HOUR_US, series.row)
        return ""

    def flush(self) -> None:
        """Writes what was gathered.

        Raises:
            UnexpectedRowError: A (stream, seq) was there already.
        """
        at = 0
        while at < len(self._rows):
            count = _PER_STATEMENT
            while count > len(self._rows) - at:
                count //= 2
            self._write(self._rows[at : at + count])
            at += count
        self._rows.clear()

    def flush_marks(self) -> None:
        """Writes which roll-ups are due, in the same transaction as what made them so."""
        self._db.executemany("INSERT INTO dirty(hour, series) VALUES (?, ?) ON CONFLICT DO NOTHING", self.newly_marked)

    def _pack(self, series: Series, raw: bytes, measurement: AnyMeasurement) -> tuple[int, bytes]:
        """Dictionary and body; a series learns a dictionary from its first good result, or when it packs badly."""
        dictionary_row, body = series.dictionary_row, codec.pack(raw, series.dictionary)
        wanting = dictionary_row == FIRST_DICTIONARY_ROW or 2 * len(body) > len(raw)
        if wanting and measurement.outcome == "ok" and series.dictionaries < MAX_DICTIONARIES:
            self._catalogue.teach(series, codec.dictionary_of(raw))
        return dictionary_row, body

    def _mark(self, hour: int, series_row: int) -> None:
        if (hour, series_row) not in self._marked:
            self.newly_marked.add((hour, series_row))

    def _write(self, rows: Sequence[tuple[object, ...]]) -> None:
        places = ",".join([_PLACES] * len(rows))
        query = f"INSERT INTO measurement({_COLUMNS}) VALUES {places} ON CONFLICT(stream, seq) DO NOTHING"  # noqa: S608
        if self._db.execute(query, [value for row in rows for value in row]).rowcount != len(rows):
            raise UnexpectedRowError


def _counts(measurement: AnyMeasurement) -> tuple[int | None, int | None]:
    """Sent and lost of a window, None for anything else."""
    if measurement.result is None or measurement.probe not in _WINDOW_PROBES:
        return None, None
    return measurement.result.sent, measurement.result.lost
