"""One transaction of deliveries: what is new, twice the same, in conflict, refused, or lost."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from fibrewatch_collector.store import Arrival, Committed, Delivery, codec, ranges
from fibrewatch_collector.store.catalogue import Catalogue
from fibrewatch_collector.store.quarantine import Quarantine
from fibrewatch_collector.store.ranges import Range
from fibrewatch_collector.store.rows import NewRows, microseconds
from fibrewatch_collector.store.settling import StreamState


@dataclass(slots=True)
class _Batch:
    """A delivery being settled; `there` holds the digests of those of its numbers that the store has, once asked."""

    delivery: Delivery
    state: StreamState
    received_us: int
    live: bool
    there: dict[int, bytes] | None = field(default=None)


class Transaction:
    """The caller begins, commits or rolls back; after a rollback catalogue and quarantine must forget.

    Numbers that a stream never settled are taken for new without asking, which is what nearly all are; the unique
    key tells when that was wrong (`UnexpectedRowError`), and the caller then does all of it again with `careful`.
    """

    def __init__(
        self, db: sqlite3.Connection, catalogue: Catalogue, quarantine: Quarantine, rows: NewRows, *, careful: bool
    ) -> None:
        self._db, self._catalogue, self._quarantine, self._rows = db, catalogue, quarantine, rows
        self._careful = careful
        self._streams: dict[tuple[int, str], StreamState] = {}
        self._done = Committed()

    def settle(self, delivery: Delivery) -> None:
        """Takes one batch in."""
        agent, received = self._catalogue.agent(delivery.agent), microseconds(delivery.received_at)
        if not delivery.stream:
            for arrival in delivery.arrivals:
                self._keep(agent, "", arrival, arrival.refused or "malformed", received)
            return
        state = self._stream(agent, delivery.stream)
        batch = _Batch(delivery, state, received, live=delivery.oldest > 0)
        if batch.live:
            self._close_below(batch)
        for arrival in delivery.arrivals:
            self._take(batch, arrival)
        if batch.live:
            key = (delivery.agent, delivery.stream)
            self._done.through[key] = state.through
            self._done.batches[key] = self._done.batches.get(key, 0) + 1

    def finish(self) -> Committed:
        """Writes what was gathered; the rest is the caller's COMMIT."""
        self._rows.flush()
        self._rows.flush_marks()
        self._db.executemany(
            "UPDATE stream SET through=?, ahead=? WHERE id=?",
            [
                (state.through, json.dumps(state.ahead) if state.ahead else "[]", state.row)
                for state in self._streams.values()
            ],
        )
        return self._done

    def _stream(self, agent: int, name: str) -> StreamState:
        key = (agent, name)  # kept here as well: the catalogue's cache may let it go before it is written
        state = self._streams.get(key)
        if state is None:
            state = self._streams[key] = self._catalogue.stream(agent, name)
        return state

    def _take(self, batch: _Batch, arrival: Arrival) -> None:
        state, seq = batch.state, arrival.seq
        if batch.live and seq == state.through + 1 and not self._careful:  # what nearly all are: the next one
            self._add(batch, arrival)
            state.settle(seq)
            return
        if batch.live and not state.takeable(seq):
            self._done.untaken += 1
            return
        settled = state.settled(seq)
        fresh = batch.live and not settled and not self._careful
        there = None if fresh else self._lookup(batch).get(seq)
        if there is None:
            self._add(batch, arrival)
            if settled:
                self._fill_gap(state, seq)
        elif there == codec.digest(arrival.raw):
            self._done.duplicates += 1
        else:
            self._refuse(batch, arrival, "conflict")
            self._done.conflicting.add(batch.delivery.agent)
        if batch.live:
            state.settle(seq)

    def _add(self, batch: _Batch, arrival: Arrival) -> None:
        measurement, refused = arrival.measurement, arrival.refused
        if refused is None and measurement is not None:
            refused = self._rows.add(batch.state, arrival.seq, arrival.raw, measurement, batch.received_us)
            if not refused:
                self._done.stored.append((batch.delivery.agent, measurement))
                if batch.there is not None:
                    batch.there[arrival.seq] = codec.digest(arrival.raw)
                return
        self._refuse(batch, arrival, refused or "malformed")

    def _refuse(self, batch: _Batch, arrival: Arrival, reason: str) -> None:
        self._keep(batch.state.agent_row, batch.delivery.stream, arrival, reason, batch.received_us)

    def _keep(self, agent: int, stream: str, arrival: Arrival, reason: str, received_us: int) -> None:
        done = self._done
        if not self._quarantine.keep(agent, stream, arrival.seq, arrival.raw, reason=reason, received_us=received_us):
            done.duplicates += 1
        elif reason == "conflict":
            done.conflicts += 1
        else:
            done.refused += 1
            done.reasons[reason] = done.reasons.get(reason, 0) + 1

    def _lookup(self, batch: _Batch) -> dict[int, bytes]:
        """Sequence number → digest of those of the batch's numbers that are stored."""
        if batch.there is None:
            self._rows.flush()
            numbers = json.dumps([arrival.seq for arrival in batch.delivery.arrivals])
            query = """SELECT m.seq, m.body, d.bytes FROM measurement m JOIN dictionary d ON d.id = m.dictionary
                WHERE m.stream=? AND m.seq IN (SELECT value FROM json_each(?))"""
            rows = self._db.execute(query, (batch.state.row, numbers)).fetchall()
            unpacked = ((seq, codec.readable(body, words, f"sequence {seq}")) for seq, body, words in rows)
            # Nothing is equal to what can't be read any more: what comes in its place is kept apart, not swallowed.
            batch.there = {seq: b"" if raw is None else codec.digest(raw) for seq, raw in unpacked}
        return batch.there

    def _close_below(self, batch: _Batch) -> None:
        """Records what the box holds no more and never came."""
        if batch.delivery.oldest <= batch.state.through + 1:
            return
        # A batch can't hold what its box no longer holds: a greater `oldest` would contradict itself.
        oldest = min([batch.delivery.oldest, *(arrival.seq for arrival in batch.delivery.arrivals)])
        missing = batch.state.missing_below(oldest)
        if missing:
            missing = self._without_stored(batch.state.row, missing)
            self._write_gaps(batch.state.row, missing, batch.received_us)
            self._done.lost += ranges.size(missing)
        batch.state.close_below(oldest)

    def _without_stored(self, stream_row: int, missing: Sequence[Range]) -> list[Range]:
        """Less what is stored all the same: an import doesn't go through the stream's numbering."""
        self._rows.flush()
        query = "SELECT seq FROM measurement WHERE stream=? AND seq BETWEEN ? AND ? ORDER BY seq"
        bounds = (stream_row, missing[0][0], missing[-1][1])
        return ranges.without(missing, ranges.of(seq for (seq,) in self._db.execute(query, bounds)))

    def _write_gaps(self, stream_row: int, gaps: Sequence[Range], recorded_us: int) -> None:
        self._db.executemany(
            "INSERT INTO gap(stream, first, last, recorded_us) VALUES (?, ?, ?, ?)",
            [(stream_row, first, last, recorded_us) for first, last in gaps],
        )

    def _fill_gap(self, state: StreamState, seq: int) -> None:
        """A number that was given up came after all, from a copy of the spool, say."""
        query = "SELECT id, first, last, recorded_us FROM gap WHERE stream=? AND first<=? AND last>=?"
        for row, first, last, recorded_us in self._db.execute(query, (state.row, seq, seq)).fetchall():
            self._db.execute("DELETE FROM gap WHERE id=?", (row,))
            self._write_gaps(state.row, ranges.without([(first, last)], [(seq, seq)]), recorded_us)
