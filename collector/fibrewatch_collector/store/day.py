"""A UTC day of one series: its total, and its hours for the edges of local days and for busy hours. Pure."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import msgspec
from msgspec import Struct, field

from fibrewatch.sketch import Buckets
from fibrewatch_collector.store import hour, lanes
from fibrewatch_collector.store.hour import Body, Fields, FieldSums, Tallies
from fibrewatch_collector.store.lanes import Lanes

HOURS = 24
COLUMNS = ("n", "ok", "failed", "skipped", "valid", "censored", "invalid", "sent", "lost")


class Cell(Struct, array_like=True, gc=False):
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


class PackedFields(Struct, omit_defaults=True, gc=False):
    """As hour.Fields, ready to be added up."""

    sums: dict[str, FieldSums] = field(default_factory=dict)
    histograms: dict[str, Lanes] = field(default_factory=dict)


class Packed(Struct, array_like=True, gc=False):
    """A cell ready to be added up: `counts` of `COLUMNS`, and of its body `rest` what are no fields."""

    counts: tuple[int, ...]
    valid: PackedFields
    censored: PackedFields
    rest: Tallies


_ROOM = 64 * 1024
"""Enough for a day's hours of windows, so that unpacking them copies nothing."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Packed)
_hour_decoder = msgspec.msgpack.Decoder(Packed | None)
_hours_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])


class Day:
    """One day as the database has it: unpacked when it is looked at."""

    def __init__(self, number: int, total: bytes, hours: bytes) -> None:
        self.number, self.packed_total, self.packed_hours = number, total, hours

    @cached_property
    def total(self) -> Packed:
        """The whole day."""
        return _decoder.decode(zlib.decompress(self.packed_total))

    def hours(self, numbers: Iterable[int]) -> Iterator[tuple[int, Packed]]:
        """Those of 24, by UTC, in which something was measured."""
        there = self._hours
        for number in numbers:
            found: Packed | None = _hour_decoder.decode(there[number])
            if found is not None:
                yield number, found

    @cached_property
    def _hours(self) -> list[msgspec.Raw]:
        return _hours_decoder.decode(zlib.decompress(self.packed_hours, bufsize=_ROOM))


def made(number: int, hours: Mapping[int, Cell]) -> Day:
    """A day of its hours, counted from 0; what is in it is the same whatever the order of arrival."""
    found = {each: packed(_slim(hours[each])) for each in sorted(hours)}
    total = packed(merged(found.values()))
    whole = [found.get(each) for each in range(HOURS)]
    return Day(number, zlib.compress(_encoder.encode(total), 6), zlib.compress(_encoder.encode(whole), 6))


def packed(whole: Cell) -> Packed:
    """Ready to be added up."""
    body = whole.body
    rest = hour.merged_tallies([body])
    counts = tuple(getattr(whole, name) for name in COLUMNS)
    return Packed(counts, _packed_fields(body.valid), _packed_fields(body.censored), rest)


def merged(parts: Iterable[Packed]) -> Cell:
    """Several stretches, in the order of time, as one."""
    found = list(parts)
    rest = hour.merged_tallies(part.rest for part in found)
    body = Body(
        **msgspec.structs.asdict(rest),
        valid=_fields(part.valid for part in found),
        censored=_fields(part.censored for part in found),
    )
    counts = [sum(column) for column in zip(*(part.counts for part in found), strict=True)]
    return cell(counts or [0] * len(COLUMNS), body)


def joined(cells: Iterable[Cell]) -> Cell:
    """Several series as one."""
    found = list(cells)
    return found[0] if len(found) == 1 else merged(map(packed, found))


def histogram(parts: Iterable[Packed], name: str) -> Buckets:
    """One field of the valid ones."""
    return lanes.merged(part.valid.histograms[name] for part in parts if name in part.valid.histograms)


def _packed_fields(fields: Fields) -> PackedFields:
    found = {name: lanes.packed(each) for name, each in fields.histograms.items() if each}
    return PackedFields(sums=fields.sums, histograms=found)


def _fields(parts: Iterable[PackedFields]) -> Fields:
    found = list(parts)
    total = hour.merged(Fields(sums=each.sums) for each in found if each.sums)
    for name in dict.fromkeys(name for each in found for name in each.histograms):
        total.histograms[name] = lanes.merged(each.histograms[name] for each in found if name in each.histograms)
    return total


def _slim(whole: Cell) -> Cell:
    """Without the sums of windows' figures: a sum of percentiles says nothing, and they are most of the bytes."""
    body = whole.body
    if not whole.sent:
        return whole
    slim = msgspec.structs.replace(
        body, valid=Fields(histograms=body.valid.histograms), censored=Fields(histograms=body.censored.histograms)
    )
    return msgspec.structs.replace(whole, body=slim)
