"""The store in one SQLite file (WAL), made for 21.6 million one-minute rows a month at about 200 bytes each, all in."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from fibrewatch.wire import AgentId
from fibrewatch_collector.store import (
    Bin,
    BinState,
    Committed,
    Delivery,
    Edition,
    Filter,
    FloorBox,
    FloorMinute,
    Gap,
    Record,
    Refusal,
    Rollup,
    Scheduled,
    SeriesDays,
    Stored,
    WindowCount,
    connections,
    daily,
    day,
    floors,
    queries,
    records,
    schema,
    upkeep,
)
from fibrewatch_collector.store.catalogue import Catalogue
from fibrewatch_collector.store.connections import store_errors
from fibrewatch_collector.store.quarantine import Limits, Quarantine
from fibrewatch_collector.store.rows import HOUR_US, NewRows, UnexpectedRowError, microseconds
from fibrewatch_collector.store.timeline import Timeline
from fibrewatch_collector.store.transaction import Transaction

T = TypeVar("T")
_PRUNE_CHUNK = 2_000
_MARKS_REMEMBERED = 100_000


class SqliteStore:
    """See `fibrewatch_collector.store.Store`. What writes may be called from any thread, one at a time."""

    def __init__(self, path: Path, limits: Limits = Limits()) -> None:  # noqa: B008 frozen
        """Opens the file, made or migrated as need be.

        Raises:
            StoreError: It can't be opened, is damaged, or is of a newer program.
        """
        self._path = path
        self._lock = threading.Lock()
        with store_errors(path):
            self._db = connections.writer(path)
            schema.migrate(self._db)
            self._pruned_before_us = upkeep.pruned_before(self._db)
        self._catalogue = Catalogue(self._db)
        self._quarantine = Quarantine(self._db, limits)
        self._marked: set[tuple[int, int]] = set()
        self._data_version = 0
        self._readers = connections.Readers(path)

    # ---- writing

    def commit(self, deliveries: Sequence[Delivery]) -> Committed:
        """See Store."""
        try:
            return self._write(lambda: self._settle(deliveries, careful=False))
        except UnexpectedRowError:
            return self._write(lambda: self._settle(deliveries, careful=True))

    def _settle(self, deliveries: Sequence[Delivery], *, careful: bool) -> Committed:
        rows = NewRows(self._db, self._catalogue, self._pruned_before_us, self._marked)
        transaction = Transaction(self._db, self._catalogue, self._quarantine, rows, careful=careful)
        for delivery in deliveries:
            transaction.settle(delivery)
        done = transaction.finish()
        self._marked |= rows.newly_marked
        return done

    def check(self) -> None:
        """See Store."""
        self._write(lambda: self._db.execute("INSERT OR REPLACE INTO meta VALUES ('checked', ?)", (int(time.time()),)))

    def save_bins(self, bins: Sequence[Bin]) -> None:
        """See Store."""
        self._write(lambda: self._save_bins(bins))

    def _save_bins(self, bins: Sequence[Bin]) -> None:
        uplinks = sorted({each[:3] for each in bins})
        self._db.executemany(
            "INSERT INTO uplink(territory, site, uplink) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", uplinks
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO bin(uplink, minute, state, cause, version)"
            " SELECT id, ?, ?, ?, ? FROM uplink WHERE territory=? AND site=? AND uplink=?",
            [(each.minute // 60, each.state, each.cause, each.version, *each[:3]) for each in bins],
        )
        daily.mark_minutes(self._db, bins)

    def save_floors(self, minutes: Sequence[FloorMinute]) -> None:
        """See Store."""
        self._write(lambda: floors.save(self._db, minutes))

    def roll_up(self, limit: int, now: float) -> int:
        """See Store."""
        hour_now = microseconds(now) // HOUR_US
        return self._write(lambda: self._roll_up(limit, hour_now) or self._make_days(limit, hour_now // day.HOURS))

    def _roll_up(self, limit: int, before_hour: int) -> int:
        due = upkeep.due(self._db, before_hour, limit)
        for hour, series in due:
            cell = daily.raw_cell(self._db, series, hour * HOUR_US, (hour + 1) * HOUR_US)
            upkeep.put(self._db, hour, series, cell)
        self._marked.difference_update(due)
        return len(due)

    def _make_days(self, limit: int, before_day: int) -> int:
        due = daily.due(self._db, before_day, limit)
        for number, series in due:
            daily.make(self._db, number, series)
        minutes = daily.due_uplinks(self._db, before_day, limit - len(due))
        for number, uplink in minutes:
            daily.pack_minutes(self._db, number, uplink)
        return len(due) + len(minutes)

    def save_schedule(self, agent: AgentId, at: float, raw: bytes) -> None:
        """See Store."""
        self._write(lambda: daily.save_schedule(self._db, self._catalogue.agent(agent), at, raw))

    def append(self, record: Record) -> int:
        """See Store."""
        return self._write(lambda: records.append(self._db, record))

    def save_edition(self, edition: Edition) -> None:
        """See Store."""
        self._write(lambda: records.save_edition(self._db, edition))

    def sent_through(self) -> int | None:
        """See Store."""
        with self._reading() as db:
            found = db.execute("SELECT value FROM meta WHERE key = 'sent_through'").fetchone()
        return int(found[0]) if found else None

    def save_sent_through(self, row: int) -> None:
        """See Store."""
        self._write(lambda: self._db.execute("INSERT OR REPLACE INTO meta VALUES ('sent_through', ?)", (row,)))

    def pruned_before(self) -> float:
        """See Store."""
        with self._reading() as db:
            return upkeep.pruned_before(db) / 1e6

    def prune(self, before: float, limit: int | None = None) -> int:
        """See Store."""
        before_us = microseconds(before) // HOUR_US * HOUR_US
        while self._write(lambda: self._roll_up(_PRUNE_CHUNK // 60, before_us // HOUR_US)):
            pass
        self._write(lambda: self._refuse_before(before_us))
        deleted, left = 0, limit or 2**63
        while deleted < left:
            chunk = min(_PRUNE_CHUNK, left - deleted)
            count = self._write(partial(upkeep.delete_expired, self._db, before_us, chunk))
            deleted += count
            if count < chunk:
                break
        return deleted

    def _refuse_before(self, before_us: int) -> None:
        """From now on nothing older comes in, and all hours before are rolled up: none is ever made of what is left."""
        self._roll_up(2**62, before_us // HOUR_US)  # what another process brought since
        upkeep.set_pruned_before(self._db, before_us)
        self._pruned_before_us = max(self._pruned_before_us, before_us)

    def _write(self, work: Callable[[], T]) -> T:
        """Runs `work` in a transaction of its own: all of it is done, durably, or nothing."""
        with self._lock, store_errors(self._path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._notice_others()
                done = work()
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            return done

    def _notice_others(self) -> None:
        """Forgets what is remembered when another connection wrote: an import, say."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version != self._data_version or len(self._marked) > _MARKS_REMEMBERED:
            self._data_version = version
            self._forget()

    def _forget(self) -> None:
        self._catalogue.forget()
        self._quarantine.forget()
        self._marked.clear()
        self._pruned_before_us = upkeep.pruned_before(self._db)

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._data_version = 0  # never a real one: the next transaction forgets

    # ---- reading

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with store_errors(self._path):
            yield self._readers.get()

    def newest_start(self) -> float | None:
        """See Store."""
        with self._reading() as db:
            return queries.newest_start(db)

    def measurements(self, where: Filter, after: int, limit: int) -> list[Stored]:
        """See Store."""
        with self._reading() as db:
            return queries.measurements(db, where, after, limit)

    def export(self, begin: float, end: float) -> Iterator[Stored]:
        """See Store."""
        with self._reading() as db:
            yield from queries.export(db, begin, end)

    def arrivals(self, where: Filter) -> Iterator[Stored]:
        """See Store."""
        with self._reading() as db:
            yield from queries.arrivals(db, where)

    def gaps(self, where: Filter, limit: int) -> list[Gap]:
        """See Store."""
        with self._reading() as db:
            return queries.gaps(db, where, limit)

    def refusals(self, where: Filter, limit: int) -> list[Refusal]:
        """See Store."""
        with self._reading() as db:
            return queries.refusals(db, where, limit)

    def window_counts(self, territory: str, site: str, begin: float, end: float) -> list[WindowCount]:
        """See Store."""
        with self._reading() as db:
            return queries.window_counts(db, territory, site, begin, end)

    def minute_counts(self, where: Filter) -> Iterator[tuple[int, WindowCount]]:
        """See Store."""
        with self._reading() as db:
            yield from queries.minute_counts(db, where)

    def observers(self) -> Mapping[tuple[str, str], set[tuple[str, str]]]:
        """See Store."""
        with self._reading() as db:
            return queries.observers(db)

    def rollups(self, where: Filter) -> list[Rollup]:
        """See Store."""
        with self._reading() as db:
            return queries.rollups(db, where)

    def days(self, where: Filter) -> list[SeriesDays]:
        """See Store."""
        with self._reading() as db:
            return daily.days(db, where)

    def stretch(self, series: int, begin: float, end: float) -> day.Cell:
        """See Store."""
        with self._reading() as db:
            return daily.raw_cell(db, series, microseconds(begin), microseconds(end))

    def timelines(self, where: Filter) -> Mapping[tuple[str, str, str], Timeline]:
        """See Store."""
        with self._reading() as db:
            return daily.timelines(db, where)

    def schedules(self, where: Filter) -> list[Scheduled]:
        """See Store."""
        with self._reading() as db:
            return daily.schedules(db, where)

    def bins(self, territory: str, site: str, begin: float, end: float) -> list[Bin]:
        """See Store."""
        with self._reading() as db:
            return queries.bins(db, territory, site, begin, end)

    def bin_totals(self, begin: float, end: float) -> Mapping[tuple[str, str, str], Mapping[BinState, int]]:
        """See Store."""
        with self._reading() as db:
            return queries.bin_totals(db, begin, end)

    def floors(self, where: Filter) -> Mapping[FloorBox, bytes]:
        """See Store."""
        first, last = (int(-(-(edge or 0.0) // 60)) for edge in (where.begin, where.end))
        with self._reading() as db:
            return floors.minutes(db, where, first, last)

    def records(self, kinds: Sequence[str], territory: str | None = None) -> list[Record]:
        """See Store."""
        with self._reading() as db:
            return records.records(db, kinds, territory)

    def editions(self, territory: str, site: str, begin: float, end: float) -> list[Edition]:
        """See Store."""
        with self._reading() as db:
            return records.editions(db, territory, site, begin, end)

    def reported(self) -> list[tuple[str, str, float, float, int]]:
        """See Store."""
        with self._reading() as db:
            return records.reported(db)

    def first_minutes(self) -> Mapping[tuple[str, str, str], int]:
        """See Store."""
        with self._reading() as db:
            return queries.first_minutes(db)

    def close(self) -> None:
        """See Store."""
        self._readers.close()
        self._db.close()
