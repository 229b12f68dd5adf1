"""Minutes of an uplink as one byte each: a month of a site is 43 kB and counts in microseconds. Pure."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from fibrewatch_collector.store import Bin, BinState

DAY_MINUTES = 1440
NO_BIN = 0
Judged = tuple[BinState, str | None]
"""State and cause."""
MAX_CODES = 255

_legend_decoder = msgspec.json.Decoder(tuple[tuple[BinState, str | None], ...])


class Timeline(NamedTuple):
    """An uplink's minutes from `begin` on.

    Attributes:
        begin: Minutes since 1970.
        codes: 0 where there is no bin, else 1 + the place in `legend`.
    """

    begin: int
    codes: bytes
    legend: tuple[Judged, ...]

    def counts(self) -> Mapping[Judged | None, int]:
        """How many minutes of each; None: no bin."""
        found: dict[Judged | None, int] = {
            judged: count for code, judged in enumerate(self.legend, 1) if (count := self.codes.count(code))
        }
        if missing := self.codes.count(NO_BIN):
            found[None] = missing
        return found

    def cut(self, begin: int, end: int) -> "Timeline":
        """begin ≤ minute < end; minutes outside are without bins."""
        first, last = max(begin, self.begin), min(end, self.begin + len(self.codes))
        if last <= first:
            return Timeline(begin, bytes(max(0, end - begin)), self.legend)
        middle = self.codes[first - self.begin : last - self.begin]
        return Timeline(begin, bytes(first - begin) + middle + bytes(end - last), self.legend)

    def judged(self, code: int) -> Judged | None:
        """What a code means."""
        return self.legend[code - 1] if code else None


class Legend:
    """Codes as they are given out."""

    def __init__(self) -> None:
        self._codes: dict[Judged, int] = {}

    def code(self, state: BinState, cause: str | None) -> int:
        """The code of a verdict; a new one if need be."""
        return self._codes.setdefault((state, cause), len(self._codes) + 1)

    @property
    def entries(self) -> tuple[Judged, ...]:
        """In the order of their codes."""
        return tuple(self._codes)


def of(bins: Iterable[Bin], begin: int, end: int, legend: Legend) -> bytes:
    """The codes of an uplink's bins; minutes since 1970."""
    codes = bytearray(end - begin)
    for each in bins:
        codes[each.minute // 60 - begin] = legend.code(each.state, each.cause)
    return bytes(codes)


def pack(codes: bytes, legend: Sequence[Judged]) -> tuple[bytes, bytes]:
    """A day and its legend, for the database."""
    return zlib.compress(codes, 6), msgspec.json.encode(legend)


def unpack(packed: bytes, entries: bytes, legend: Legend) -> bytes:
    """A day's codes in those of another legend."""
    codes = zlib.decompress(packed)
    table = bytearray(256)
    for code, judged in enumerate(_legend_decoder.decode(entries), 1):
        table[code] = legend.code(*judged)
    return codes.translate(bytes(table))
