"""Rows of the spool and what is done to their JSON: pure functions."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

from msgspec import Raw
from msgspec.structs import replace

from fibrewatch import wire
from fibrewatch.errors import WireError
from fibrewatch.measurement import UNDATED, AnyMeasurement, Measurement
from fibrewatch.results.spool import Cause, Result

log = logging.getLogger(__name__)

MAX_CHUNK = 100
CHUNK_BYTES = 192 * 1024
"""Of measurements in a batch: leaves wire.MAX_PAYLOAD_BYTES a quarter for whatever a later header holds."""


class Kind(IntEnum):
    """What may be done to a row."""

    PLAIN = 0
    """To be sent; never rewritten, because it may have been sent."""
    UNDATED = 1
    """Waits for the clock, and so does what comes after it in its stream."""
    EVENT = 2
    """Tells what was dropped; as PLAIN, but never dropped itself."""


@dataclass(slots=True)
class Row:
    """A measurement as it is sent; number 0 until it is given one, started_at None when it can't be trusted."""

    raw: bytes
    kind: Kind
    started_at: float | None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A batch ready to publish; numbers first..last of one stream."""

    stream: str
    first: int
    last: int
    payload: bytes


class Drop(NamedTuple):
    """Numbers of one stream that were dropped; times of the first and the last, None where not trusted."""

    stream: str
    cause: Cause
    dropped: int
    first: int
    last: int
    oldest_at: float | None
    newest_at: float | None


def row_of(measurement: AnyMeasurement, *, dated: bool, released: bool) -> Row:
    """Encodes a measurement; what no collector could take goes without its result.

    Args:
        released: An undated one does not wait for the clock but says so.
    """
    if not dated and released:
        measurement = marked_undated(measurement)
    kind = Kind.PLAIN if dated or released else Kind.UNDATED
    return Row(_encode(measurement), kind, measurement.started_at.timestamp() if dated else None)


def _encode(measurement: AnyMeasurement) -> bytes:
    try:
        raw = wire.encode(measurement)
    except (TypeError, ValueError) as e:
        return _encode_without_result(measurement, str(e))
    if len(raw) > wire.MAX_MEASUREMENT_BYTES:
        return _encode_without_result(measurement, f"{len(raw)} bytes, {wire.MAX_MEASUREMENT_BYTES} at most")
    return raw


def _encode_without_result(measurement: AnyMeasurement, why: str) -> bytes:
    log.error("a result can't be sent: test=%s %s", measurement.test, why)
    detail = f"the result can't be sent: {why}"[:500]
    return wire.encode(
        replace(measurement, outcome="failed", error="protocol", verdict="invalid", detail=detail, result=None)
    )


def marked_undated(measurement: AnyMeasurement) -> AnyMeasurement:
    """Says that its time can't be trusted."""
    return replace(measurement, reasons=tuple(dict.fromkeys((*measurement.reasons, UNDATED))))


def redated(row: Row, boot_epoch: float) -> Row:
    """An undated row with its time reckoned from when the boot began, UTC seconds since 1970."""
    try:
        measurement = wire.decode_measurement(row.raw)
        started_at = boot_epoch + measurement.boottime_s
        raw = wire.encode(replace(measurement, started_at=datetime.fromtimestamp(started_at, UTC)))
    except (WireError, ValueError, OverflowError):
        return Row(row.raw, Kind.PLAIN, None, row.number)  # damaged on the disk: the collector shall refuse and keep it
    return Row(raw, Kind.PLAIN, started_at, row.number)


def released(row: Row) -> Row:
    """An undated row that will not be dated any more."""
    try:
        raw = wire.encode(marked_undated(wire.decode_measurement(row.raw)))
    except WireError:
        raw = row.raw
    return Row(raw, Kind.PLAIN, None, row.number)


def first_of(rows: Iterable[Row], size: int) -> list[Row]:
    """The first rows that hold `size` bytes at most together, but at least one if there is one."""
    taken: list[Row] = []
    for row in rows:
        size -= len(row.raw)
        if taken and size < 0:
            break
        taken.append(row)
    return taken


def chunk_of(stream: str, rows: Iterable[Row], oldest: int, limit: int) -> Chunk | None:
    """The longest batch of consecutive sendable rows from the first on; None when that one is not sendable."""
    taken: list[Row] = []
    size = 0
    for row in rows:
        size += len(row.raw) + 1
        full = len(taken) >= limit or (taken and size > CHUNK_BYTES)
        if full or row.kind is Kind.UNDATED or (taken and row.number != taken[-1].number + 1):
            break
        taken.append(row)
    if not taken:
        return None
    first, last = taken[0].number, taken[-1].number
    batch = wire.Batch(stream=stream, first=first, oldest=oldest, measurements=[Raw(row.raw) for row in taken])
    return Chunk(stream, first, last, wire.encode(batch))


def drop_row(drop: Drop, *, boot: str, now: float, boottime_s: float, dated: bool) -> Row:
    """The measurement that tells of a drop."""
    result = Result(
        dropped=drop.dropped,
        cause=drop.cause,
        stream=drop.stream,
        first=drop.first,
        last=drop.last,
        oldest_at=_utc(drop.oldest_at),
        newest_at=_utc(drop.newest_at),
    )
    measurement = Measurement(
        probe="spool",
        test="spool",
        started_at=datetime.fromtimestamp(now, UTC),
        boottime_s=boottime_s,
        boot=boot,
        duration_s=0.0,
        outcome="ok",
        result=result,
    )
    row = row_of(measurement, dated=dated, released=True)
    return Row(row.raw, Kind.EVENT, row.started_at)


def _utc(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
