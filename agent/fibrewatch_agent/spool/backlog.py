"""What the spool holds, on disk and in memory: numbers, order, bounds. Blocks; one thread at a time calls it."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

from fibrewatch.results.spool import Cause
from fibrewatch.wire import MAX_SEQUENCE, SpoolState
from fibrewatch_agent.spool.disk import Disk, DiskRefused
from fibrewatch_agent.spool.file import COMMIT_BYTES
from fibrewatch_agent.spool.memory import Drops, Waiting
from fibrewatch_agent.spool.passing import Passing
from fibrewatch_agent.spool.rows import Chunk, Drop, Kind, Row, chunk_of, drop_row, redated, released
from fibrewatch_agent.spool.stream import Bounds, Stream
from fibrewatch_agent.spool.table import Oldest, Table

log = logging.getLogger(__name__)

DROP_ROWS = 64


class Backlog:
    """Everything not yet acknowledged, in the order of sending: the oldest stream first, each by number.

    Attributes:
        inbox: Handed over by the event loop, not yet numbered.
        released: Undated measurements don't wait for the clock any more.
    """

    def __init__(
        self,
        path: Path,
        bounds: Bounds,
        *,
        stream: str,
        boot: str,
        clock: Callable[[], float],
        boottime: Callable[[], float],
    ) -> None:
        self.inbox: deque[Row] = deque()
        self.released = False
        self.disk = Disk(path, self._load, self._file_lost)
        self._bounds, self._boot, self._clock, self._boottime = bounds, boot, clock, boottime
        self._current = Stream(1, stream, boot)
        self._streams = [self._current]
        self._waiting, self._drops, self._passing = Waiting(), Drops(), Passing()
        self._rows = self._dead = 0  # rows in the file; of them acknowledged
        self._loaded = self._closing = False
        self._clock_good = False

    def attach(self) -> None:
        """Opens the file if the disk lets it.

        Raises:
            StoreError: A newer version wrote it.
        """
        try:
            with self.disk.use():
                self.disk.accepted()
        except DiskRefused:
            log.debug("begun without a file")

    def _load(self, table: Table) -> None:
        known = {stream.id: stream for stream in self._streams}
        held = table.streams()
        if all(row.id != self._current.id for row in held):
            self._current.place = table.top_stream() + 1
        for row in held:
            if row.id not in known:
                rule = released if row.boot != self._boot else None
                known[row.id] = Stream(row.number, row.id, row.boot, row.last, row.sent, rewrite=rule)
        self._streams = sorted(known.values(), key=lambda stream: stream.place)
        self._rows = table.count()
        self._count_dead(table)
        if not self._loaded:
            self._drops.untold, self._loaded = table.drops(), True
            for started_at in table.starts():
                self._passing.saw(started_at)

    def _file_lost(self) -> None:
        """The file was damaged: the current stream goes on and says what it lost."""
        current = self._current
        self._streams, self._rows, self._dead = [current], 0, 0
        last = self._waiting.rows[0].number - 1 if self._waiting else current.last
        self._drops.written = False
        if last > current.acked:
            lost = Drop(current.id, "damaged", last - current.acked, current.acked + 1, last, None, None)
            self._drops.note([lost], written=False)

    # ---- in

    def settle(self, row: Row) -> int:
        """Numbers a row of the inbox and writes it with all that came meanwhile; returns its number."""
        if not row.number:
            self.flush()
        return row.number

    def flush(self) -> None:
        """Takes the inbox in and writes it, or keeps it in memory while the disk refuses."""
        while self.inbox:
            row = self.inbox.popleft()
            self._clock_good = row.started_at is not None
            self._push(row)
        if self.disk.due and not self.due_in_s():
            self._try_to_write()
        while (excess := self._waiting.excess()) is not None:
            self._waiting.remove(excess)
            drop = _drop_of(self._current.id, "disk_full", excess.number, excess.started_at)
            self._drops.note([drop], written=False)

    def due_in_s(self) -> float | None:
        """How long what waits may stay in memory: 0 where it is to be written now, None where nothing waits."""
        since = self._waiting.since
        if since is None:
            return None
        if self._closing or self.disk.refusal or self._waiting.many or not self._drops.written:
            return 0.0
        return max(0.0, since + self._bounds.sync_s - time.monotonic())

    def _push(self, row: Row) -> None:
        self._current.last += 1
        row.number = self._current.last
        if row.started_at is not None:
            self._passing.saw(row.started_at)
        self._waiting.push(row)

    def _try_to_write(self) -> None:
        try:
            with self.disk.use() as table:
                self._bury(table)
                self._rewrite_undated(table)
                while self._waiting or not self._drops.written:
                    self._commit_some(table)
                    self._bound_bytes(table)
                self._bound_age(table)
                if self.disk.refusal:
                    table.file.keep_reserve()
        except DiskRefused as e:
            log.debug("still in memory: count=%d %s", len(self._waiting), e)
        else:
            self.disk.accepted()

    def _commit_some(self, table: Table) -> None:
        rows = self._waiting.first(COMMIT_BYTES)
        # Drops with the last rows: the measurements that tell of them stand at the end, and take their place.
        drops = self._drops.untold if len(rows) == len(self._waiting) else None
        table.add((self._current.place, self._current.id, self._boot), rows, drops)
        self._waiting.pop(len(rows))
        self._rows += len(rows)
        self._drops.written = self._drops.written or drops is not None

    # ---- bounds

    def _bound_bytes(self, table: Table) -> None:
        """Drops the oldest when the bound is passed, and 1/32 more, so that not every append has to drop."""
        bound = self._bounds.rows_bytes
        if table.file.used_bytes() > bound:
            while table.file.used_bytes() > bound * 31 // 32 and (rows := table.oldest(DROP_ROWS)):
                self._drop(table, rows, "bytes")

    def _bound_age(self, table: Table) -> None:
        """Drops what is too old, but only while the clock is good, not for its leaps: they must not empty the spool."""
        if self._clock_good:
            before = self._passing.before(self._clock(), self._bounds.max_age_s, table.first_start())
            while rows := table.oldest(DROP_ROWS, before):
                self._drop(table, rows, "age")

    def _drop(self, table: Table, rows: list[Oldest], cause: Cause) -> None:
        ids = {stream.place: stream.id for stream in self._streams}
        fresh = [_drop_of(ids[row.stream], cause, row.number, row.started_at) for row in rows]
        table.drop(rows, self._drops.with_more(fresh))
        self._drops.note(fresh, written=True)
        self._rows -= len(rows)

    # ---- the clock

    def redate(self, boot_epoch: float) -> None:
        """Dates what is undated; UTC seconds at boottime 0."""
        self._clock_good, self.released = True, False
        self._rewrite(partial(redated, boot_epoch=boot_epoch))

    def release(self) -> None:
        """Lets go what is undated as "undated", and what will be until `redate`."""
        self.released = True
        self._rewrite(released)

    def _rewrite(self, rule: Callable[[Row], Row]) -> None:
        self.flush()
        for stream in self._streams:
            if stream.boot == self._boot:
                stream.rewrite = rule
        self._waiting.rewrite({row.number: rule(row) for row in self._waiting.rows if row.kind is Kind.UNDATED})
        if self.disk.due:
            self._try_to_write()

    def _rewrite_undated(self, table: Table) -> None:
        for stream in self._streams:
            if stream.rewrite is not None:
                while rows := table.undated(stream.place, COMMIT_BYTES):
                    table.rewrite(stream.place, [stream.rewrite(row) for row in rows])
                stream.rewrite = None

    # ---- out

    def rewind(self, handed: Mapping[str, int]) -> None:
        """Notes how far each stream was handed out."""
        for stream in self._streams:
            stream.handed = max(stream.acked, handed.get(stream.id, 0))

    def next(self, limit: int) -> Chunk | None:
        """The next batch that was not handed out."""
        self._tell_drops()
        for stream in self._streams:
            chunk = self._chunk(stream, max(stream.handed, stream.acked) + 1, MAX_SEQUENCE, limit)
            if chunk is not None:
                stream.handed = chunk.last
                stream.sent = max(stream.sent, chunk.last)
                return chunk
        return None

    def again(self, stream_id: str, first: int, last: int) -> Chunk | None:
        """The batch first..last as far as it is still held; it ends at a number that is not."""
        stream = self._find(stream_id)
        if stream is None or last <= stream.acked:
            return None
        first = max(first, stream.acked + 1)
        return self._chunk(stream, first, last, last - first + 1)

    def _chunk(self, stream: Stream, first: int, last: int, limit: int) -> Chunk | None:
        rows, oldest = self._read(stream, first, last, limit)
        return chunk_of(stream.id, rows, oldest, limit)

    def _read(self, stream: Stream, first: int, last: int, limit: int) -> tuple[list[Row], int]:
        """Rows of a stream, and the lowest number of it that is held."""
        try:
            with self.disk.use() as table:
                rows = table.read(stream.place, first, last, limit)
                oldest = table.first_number(stream.place, stream.acked)
        except DiskRefused:
            rows, oldest = [], stream.acked + 1  # what the file holds can't be known now: none of it is given up
        if stream is self._current:
            more = (row for row in self._waiting.rows if first <= row.number <= last)
            rows += islice(more, limit - len(rows))
            oldest = oldest or next((row.number for row in self._waiting.rows), None)
        return rows, oldest or first

    def _find(self, stream_id: str) -> Stream | None:
        return next((stream for stream in self._streams if stream.id == stream_id), None)

    def _tell_drops(self) -> None:
        """Puts measurements at the end that tell of what was dropped: as late as can be, so that they are few."""
        if not self._drops.untold or not (self._clock_good or self.released):
            return
        now, boottime_s = self._clock(), self._boottime()
        for drop in self._drops.take():
            self._push(drop_row(drop, boot=self._boot, now=now, boottime_s=boottime_s, dated=self._clock_good))
        self.flush()

    # ---- acknowledged

    def acknowledge(self, stream_id: str, through: int) -> None:
        """Forgets a stream's rows up to and with a number."""
        stream = self._find(stream_id)
        if stream is None or through <= stream.acked:
            return
        if through > stream.sent:
            log.warning(
                "ignored an ack beyond what was sent: stream=%s through=%d sent=%d", stream.id, through, stream.sent
            )
            return
        stream.acked = through
        if stream is self._current:
            self._waiting.settle(through)
        try:
            with self.disk.use() as table:
                self._bury(table)
        except DiskRefused as e:
            log.debug("acknowledged rows stay for now: %s", e)
        else:
            self.disk.ask_now()

    def _bury(self, table: Table) -> None:
        """Deletes what is acknowledged; counts it before, because a full disk may refuse."""
        self._count_dead(table)
        for stream in [stream for stream in self._streams if stream.buried < stream.acked]:
            self._rows -= table.delete_through(stream.place, stream.acked)
            stream.buried = stream.acked
            if stream is not self._current and table.first_number(stream.place, 0) is None:
                table.forget_stream(stream.place)
                self._streams.remove(stream)
        if not self._rows:
            table.file.shrink()
        self._count_dead(table)

    def _count_dead(self, table: Table) -> None:
        behind = [stream for stream in self._streams if stream.buried < stream.acked]
        self._dead = sum(table.count_through(stream.place, stream.acked) for stream in behind)

    def give_up(self, stream_id: str, number: int) -> None:
        """Drops one measurement that is never acknowledged though those behind it get through."""
        stream = self._find(stream_id)
        if stream is None:
            return
        rows, _ = self._read(stream, number, number, 1)
        if not rows:
            return
        log.error(
            "gave up a measurement that is never acknowledged: stream=%s number=%d %.200s",
            stream_id,
            number,
            rows[0].raw,
        )
        fresh = [_drop_of(stream_id, "unacknowledged", number, rows[0].started_at)]
        if rows[0] in self._waiting.rows:
            self._waiting.remove(rows[0])
            self._drops.note(fresh, written=False)
            return
        try:
            with self.disk.use() as table:
                table.drop([Oldest(stream.place, number, rows[0].started_at)], self._drops.with_more(fresh))
        except DiskRefused as e:
            log.debug("not given up now: %s", e)
        else:
            self._drops.note(fresh, written=True)
            self._rows -= 1

    # ---- state

    def state(self) -> SpoolState:
        """How full it is."""
        return SpoolState(
            state="full" if self.disk.refusal else "ok",
            depth=self._rows - self._dead + len(self._waiting),
            size_bytes=self.disk.size_bytes,
            dropped=self._drops.count,
            oldest_at=self._oldest_at(),
        )

    def _oldest_at(self) -> datetime | None:
        try:
            with self.disk.use() as table:
                ages = (table.oldest_at(stream.place, stream.acked) for stream in self._streams)
                at = next((age for age in ages if age is not None), None)
        except DiskRefused:
            at = None
        if at is None:
            at = next((row.started_at for row in self._waiting.rows if row.started_at is not None), None)
        return None if at is None else datetime.fromtimestamp(at, UTC)

    def close(self) -> None:
        """Writes what it can, closes the file."""
        self._closing = True
        self.disk.ask_now()
        self.flush()
        if self._waiting:
            log.error("the disk refuses, lost at the end: count=%d: %s", len(self._waiting), self.disk.refusal)
        self.disk.close()


def _drop_of(stream: str, cause: Cause, number: int, started_at: float | None) -> Drop:
    return Drop(stream, cause, 1, number, number, started_at, started_at)
