"""A UTC day of one series: its total, and its hours for the edges of local days and for busy hours. Pure."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import msgspec
from msgspec import Struct, field

from fibrewatch_collector.store import hour
from fibrewatch_collector.store.hour import Body, Fields

HOURS = 24
COLUMNS = ("n", "ok", "failed", "skipped", "valid", "censored", "invalid", "sent", "lost")


class Cell(Struct, array_like=True):
    """Measurements of one series in a stretch: how many, by outcome and by verdict, packets, and what they say.

    Attributes:
        sent: Of windows whose verdict isn't invalid; `lost` too.
    """

    n: int = 0
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    valid: int = 0
    censored: int = 0
    invalid: int = 0
    sent: int = 0
    lost: int = 0
    body: Body = field(default_factory=Body)


def cell(counts: Sequence[int], body: Body) -> Cell:
    """Of `COLUMNS` in their order."""
    return Cell(**dict(zip(COLUMNS, counts, strict=True)), body=body)


_encoder = msgspec.msgpack.Encoder()
_body_decoder = msgspec.msgpack.Decoder(Body)
_hours_decoder = msgspec.msgpack.Decoder(list[Cell | None])


class Day:
    """One day as the database has it: unpacked when it is looked at."""

    def __init__(self, number: int, counts: Sequence[int], body: bytes, hours: bytes) -> None:
        self.number = number
        self._counts, self._body, self._hours = counts, body, hours

    @cached_property
    def total(self) -> Cell:
        """The whole day."""
        return cell(self._counts, _body_decoder.decode(zlib.decompress(self._body)))

    @cached_property
    def hours(self) -> list[Cell | None]:
        """24 of them by UTC; None where nothing was measured."""
        return _hours_decoder.decode(zlib.decompress(self._hours))


def made(number: int, hours: Mapping[int, Cell]) -> Day:
    """A day of its hours, counted from 0; what is in it is the same whatever the order of arrival."""
    total = merged(hours[each] for each in sorted(hours))
    packed = zlib.compress(_encoder.encode([_slim(hours[each]) if each in hours else None for each in range(HOURS)]), 6)
    counts = [getattr(total, name) for name in COLUMNS]
    return Day(number, counts, zlib.compress(_encoder.encode(_slim(total).body), 6), packed)


def row(day: Day) -> tuple[object, ...]:
    """Counts, body and hours for the database."""
    return (*day._counts, day._body, day._hours)


def merged(cells: Iterable[Cell]) -> Cell:
    """Several stretches, in the order of time, as one."""
    found = list(cells)
    if len(found) == 1:
        return found[0]
    counts = [sum(getattr(each, name) for each in found) for name in COLUMNS]
    return cell(counts, hour.merged_bodies(each.body for each in found))


def _slim(whole: Cell) -> Cell:
    """Without the sums of windows' figures: a sum of percentiles says nothing, and they are most of the bytes."""
    body = whole.body
    if not whole.sent:
        return whole
    slim = msgspec.structs.replace(
        body, valid=Fields(histograms=body.valid.histograms), censored=Fields(histograms=body.censored.histograms)
    )
    return msgspec.structs.replace(whole, body=slim)
