"""The last days of each promised uplink, one byte a minute, so that shares of faults cost microseconds. Pure."""

from collections.abc import Callable, Iterable, Mapping

from fibrewatch_collector.sla.bins import MINUTE_S, OF_OPERATOR, Vantage
from fibrewatch_collector.store import Bin

_OTHER, _CUT, _WORK = 0, 1, 2


class Minutes:
    """A ring: what is older than `length_s` is overwritten; a restated minute replaces what was said of it."""

    def __init__(self, length_s: float) -> None:
        self._length = max(1, int(length_s // MINUTE_S))
        self._rings: dict[Vantage, bytearray] = {}
        self._through: int | None = None

    @property
    def through(self) -> int | None:
        """The newest minute that is known, as a number since 1970."""
        return self._through

    def put(self, bins: Iterable[Bin], under_work: Callable[[Bin], bool]) -> None:
        """Takes bins in, in any order."""
        for each in bins:
            number = each.minute // MINUTE_S
            self._advance(number)
            if self._through is not None and number > self._through - self._length:
                ring = self._rings.setdefault((each.territory, each.site, each.uplink), bytearray(self._length))
                ring[number % self._length] = _code(each, under_work)

    def keep(self, vantages: Iterable[Vantage]) -> None:
        """Forgets all others."""
        wanted = set(vantages)
        self._rings = {at: ring for at, ring in self._rings.items() if at in wanted}

    def _advance(self, number: int) -> None:
        if self._through is None:
            self._through = number
        for late in range(max(self._through + 1, number - self._length + 1), number + 1):
            for ring in self._rings.values():
                ring[late % self._length] = _OTHER
        self._through = max(self._through, number)

    def shares(self, length_s: float) -> Mapping[Vantage, float]:
        """Cut minutes of the last ones outside declared work; what was not measured counts as well."""
        if self._through is None:
            return {}
        count = min(self._length, int(length_s // MINUTE_S))
        first = (self._through + 1 - count) % self._length
        return {at: _share(ring, first, count) for at, ring in self._rings.items()}


def _code(each: Bin, under_work: Callable[[Bin], bool]) -> int:
    if under_work(each):
        return _WORK
    return _CUT if each.state == "U" and each.cause in OF_OPERATOR else _OTHER


def _share(ring: bytearray, first: int, count: int) -> float:
    end = first + count
    pieces = (ring[first:end], ring[: max(0, end - len(ring))])
    cut, work = (sum(piece.count(code) for piece in pieces) for code in (_CUT, _WORK))
    return cut / (count - work) if count > work else 0.0
