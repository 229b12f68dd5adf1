"""The rows of an open spool file. Every method blocks, and one thread at a time calls them."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from fibrewatch.wire import STREAM_PATTERN
from fibrewatch_agent.spool.file import Damaged, SpoolFile
from fibrewatch_agent.spool.rows import Drop, Kind, Row, first_of

STREAM_STEP = 2**40
"""A row's key is stream number × this + sequence number, so that one B-tree holds all in the order of sending."""
_KINDS = set(Kind)
_LATEST = 253_402_300_800.0  # the year 10000
DELETE_ROWS = 256
"""In one transaction, so that the WAL stays within what is allocated."""


_STARTS = "SELECT started_at FROM measurement WHERE kind = 0 AND started_at IS NOT NULL ORDER BY key"


class StreamRow(NamedTuple):
    """A stream that the file holds; `sent` is the highest number that may have been sent."""

    number: int
    id: str
    boot: str
    last: int
    sent: int


class Oldest(NamedTuple):
    """A row that the bounds may drop."""

    stream: int
    number: int
    started_at: float | None


class Table:
    """Streams, measurements and drops in the file; raises sqlite3.Error or OSError, then nothing was done."""

    def __init__(self, file: SpoolFile) -> None:
        self.file, self._db = file, file.db

    def streams(self) -> list[StreamRow]:
        """Those with rows, oldest first."""
        found = self._db.execute("SELECT number, id, boot FROM stream ORDER BY number").fetchall()
        rows = [self._stream(*stream) for stream in found]
        return [row for row in rows if row.last]

    def _stream(self, number: int, name: str, boot: str) -> StreamRow:
        if not re.search(STREAM_PATTERN, name):
            raise Damaged(f"a stream called {name!r:.60}")
        begin, end = number * STREAM_STEP, (number + 1) * STREAM_STEP
        inside = "FROM measurement WHERE key > ? AND key < ?"
        last = self._db.execute(f"SELECT max(key) {inside}", (begin, end)).fetchone()[0] or begin
        waits = self._db.execute(f"SELECT min(key) {inside} AND kind = 1", (begin, end)).fetchone()[0]
        sent = last if waits is None else waits - 1
        return StreamRow(number, name, boot, last - begin, sent - begin)

    def top_stream(self) -> int:
        """The highest stream number in use, 0 when there is none."""
        return int(self._db.execute("SELECT coalesce(max(number), 0) FROM stream").fetchone()[0])

    def count(self) -> int:
        """All rows; reads the whole tree."""
        return int(self._db.execute("SELECT count(*) FROM measurement").fetchone()[0])

    def count_through(self, stream: int, number: int) -> int:
        """Rows of a stream up to and with a number."""
        between = (stream * STREAM_STEP, stream * STREAM_STEP + number)
        found = self._db.execute("SELECT count(*) FROM measurement WHERE key > ? AND key <= ?", between)
        return int(found.fetchone()[0])

    def add(self, stream: tuple[int, str, str], rows: Sequence[Row], drops: Sequence[Drop] | None) -> None:
        """Appends rows to a stream (number, id, boot); `drops` replace those in the file when not None."""
        base = stream[0] * STREAM_STEP
        with self.file.growing(sum(len(row.raw) for row in rows)):
            self._db.execute("INSERT OR IGNORE INTO stream VALUES (?, ?, ?)", stream)
            values = [(base + row.number, int(row.kind), row.started_at, row.raw) for row in rows]
            self._db.executemany("INSERT INTO measurement VALUES (?, ?, ?, ?)", values)
            if drops is not None:
                self._replace_drops(drops)

    def drops(self) -> list[Drop]:
        """What was dropped and not yet told."""
        rows = self._db.execute("SELECT * FROM dropped ORDER BY rowid").fetchall()
        try:
            return msgspec.convert(rows, list[Drop])
        except msgspec.ValidationError as e:
            raise Damaged(f"a record of what was dropped: {e}") from e

    def _replace_drops(self, drops: Sequence[Drop]) -> None:
        self._db.execute("DELETE FROM dropped")
        self._db.executemany("INSERT INTO dropped VALUES (?, ?, ?, ?, ?, ?, ?)", drops)

    def read(self, stream: int, first: int, last: int, limit: int) -> list[Row]:
        """Rows of a stream with first ≤ number ≤ last, in order."""
        base = stream * STREAM_STEP
        found = self._db.execute(
            "SELECT key, kind, started_at, raw FROM measurement WHERE key >= ? AND key <= ? ORDER BY key LIMIT ?",
            (base + first, base + min(last, STREAM_STEP - 1), limit),
        )
        return [_row(key - base, kind, at, raw) for key, kind, at, raw in found]

    def first_number(self, stream: int, after: int) -> int | None:
        """The lowest number of a stream above `after`."""
        base = stream * STREAM_STEP
        found = self._db.execute(
            "SELECT min(key) FROM measurement WHERE key > ? AND key < ?", (base + after, base + STREAM_STEP)
        )
        key = found.fetchone()[0]
        return None if key is None else int(key) - base

    def undated(self, stream: int, size: int) -> list[Row]:
        """The first rows of a stream that wait for the clock: `size` bytes at most, but at least one."""
        base = stream * STREAM_STEP
        found = self._db.execute(
            "SELECT key, started_at, raw FROM measurement WHERE kind = 1 AND key > ? AND key < ? ORDER BY key",
            (base, base + STREAM_STEP),
        )
        return first_of((_row(key - base, 1, at, raw) for key, at, raw in found), size)

    def rewrite(self, stream: int, rows: Sequence[Row]) -> None:
        """Puts these rows in the place of those with their numbers."""
        base = stream * STREAM_STEP
        with self.file.growing(sum(len(row.raw) for row in rows)):
            self._db.executemany(
                "UPDATE measurement SET kind = ?, started_at = ?, raw = ? WHERE key = ?",
                [(int(row.kind), row.started_at, row.raw, base + row.number) for row in rows],
            )

    def delete_through(self, stream: int, number: int) -> int:
        """Forgets rows of a stream up to and with a number; not synced, see `file`. Returns how many."""
        base, deleted = stream * STREAM_STEP, 0
        while True:
            with self.file.transaction(durable=False):
                done = self._db.execute(
                    "DELETE FROM measurement WHERE key IN "
                    "(SELECT key FROM measurement WHERE key > ? AND key <= ? ORDER BY key LIMIT ?)",
                    (base, base + number, DELETE_ROWS),
                ).rowcount
            deleted += done
            if done < DELETE_ROWS:
                return deleted

    def forget_stream(self, stream: int) -> None:
        """Forgets a stream that has no rows any more."""
        with self.file.transaction(durable=False):
            self._db.execute("DELETE FROM stream WHERE number = ?", (stream,))

    def starts(self) -> Iterator[float]:
        """When each dated row started, in their order; reads the whole tree."""
        return (at for (at,) in self._db.execute(_STARTS) if isinstance(at, float))

    def first_start(self) -> float | None:
        """When the first of them started."""
        row = self._db.execute(f"{_STARTS} LIMIT 1").fetchone()
        return None if row is None else _moment(row[0])

    def oldest(self, limit: int, before: float | None = None) -> list[Oldest]:
        """The first rows that may be dropped; with `before`, of the first dated ones those that started before."""
        where = "kind <> 2" if before is None else "kind = 0 AND started_at IS NOT NULL"
        found = self._db.execute(
            f"SELECT key, started_at FROM measurement WHERE {where} ORDER BY key LIMIT ?",  # noqa: S608
            (limit,),
        )
        rows = [Oldest(key // STREAM_STEP, key % STREAM_STEP, _moment(at)) for key, at in found]
        return [row for row in rows if before is None or (row.started_at is not None and row.started_at < before)]

    def drop(self, rows: Sequence[Oldest], drops: Sequence[Drop]) -> None:
        """Deletes rows and puts `drops` in the place of those in the file, in one transaction."""
        with self.file.transaction():
            keys = [(row.stream * STREAM_STEP + row.number,) for row in rows]
            self._db.executemany("DELETE FROM measurement WHERE key = ?", keys)
            self._replace_drops(drops)

    def oldest_at(self, stream: int, after: int) -> float | None:
        """When the first row of a stream above `after` started whose time is known."""
        base = stream * STREAM_STEP
        row = self._db.execute(
            "SELECT started_at FROM measurement WHERE key > ? AND key < ? AND started_at IS NOT NULL "
            "ORDER BY key LIMIT 1",
            (base + after, base + STREAM_STEP),
        ).fetchone()
        return None if row is None else _moment(row[0])


def _row(number: int, kind: Any, started_at: Any, raw: Any) -> Row:
    """As the file holds it: a strict table's types are checked by SQLite when it writes, not when it reads."""
    if kind not in _KINDS or not isinstance(raw, bytes):
        raise Damaged(f"measurement {number}: of kind {kind!r:.60}, its content {type(raw).__name__}")
    return Row(raw, Kind(kind), _moment(started_at), number)


def _moment(started_at: Any) -> float | None:
    """Seconds since 1970, which a datetime can hold."""
    if started_at is None or (isinstance(started_at, float) and 0 <= started_at < _LATEST):
        return started_at
    raise Damaged(f"a measurement of {started_at!r:.60}")
