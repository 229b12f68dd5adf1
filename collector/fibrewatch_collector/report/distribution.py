"""Quantiles of samples by nearest rank (RFC 2330 §11.3): exact while all are known, else of a merged sketch. Pure."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fibrewatch import sketch
from fibrewatch.sketch import Buckets
from fibrewatch_collector.report.model import Percentiles
from fibrewatch_collector.sla.proportions import Tally

EXACT = 10_000
"""So many single values are sorted; more go into the sketch."""


class Quantile(NamedTuple):
    """A quantile, and between what the sample's own lies: all three the same where it is exact."""

    value: float
    low: float
    high: float

    def less(self, floor: float) -> "Quantile":
        """Without a part that every sample contains."""
        return Quantile(self.value - floor, self.low - floor, self.high - floor)

    def within(self, resolution: float) -> "Quantile":
        """Of samples that had been rounded to multiples of it."""
        return Quantile(self.value, self.low - resolution / 2, self.high + resolution / 2) if resolution else self


class Distribution:
    """Samples as buckets, as single values, or both."""

    def __init__(self, buckets: Mapping[int, int], values: Sequence[float]) -> None:
        self._values = sorted(values)
        self._buckets: Buckets = {}
        if buckets or len(values) > EXACT:
            sketch.merge(sketch.merge(self._buckets, buckets), sketch.of(values))
            self._values = []
        self.n = len(self._values) + sum(self._buckets.values())

    @property
    def relative_error(self) -> float:
        """0 where quantiles are exact."""
        return sketch.RELATIVE_ERROR if self._buckets else 0.0

    def quantile(self, q: float) -> Quantile | None:
        """The q-quantile; None without samples."""
        if not self.n:
            return None
        rank = max(1, math.ceil(round(q * self.n, 9)))  # 0.95 * 20 is 19.000000000000004 in floats
        if self._values:
            value = self._values[rank - 1]
            return Quantile(value, value, value)
        return _of_bucket(self._bucket(rank))

    def at_most(self, limit: float, resolution: float = 0.0) -> Tally:
        """How many samples a limit holds for; open are those of a bucket, or so rounded, that both may be.

        Args:
            limit: Above 0, where the lowest bucket lies.
            resolution: Samples had been rounded to multiples of it.
        """
        if self._values:
            met = bisect_right(self._values, limit)
            return Tally(met, self.n - met)
        met = missed = 0
        for i, count in self._buckets.items():
            met += count if sketch.upper_bound(i) + resolution / 2 <= limit else 0
            missed += count if i > sketch.MIN_INDEX and sketch.upper_bound(i - 1) - resolution / 2 >= limit else 0
        return Tally(met, missed, self.n - met - missed)

    def percentiles(self) -> Percentiles:
        """Those that a report shows."""
        p5, p50, p95, p99 = (found.value if (found := self.quantile(q)) else None for q in (0.05, 0.5, 0.95, 0.99))
        return Percentiles(n=self.n, p5=p5, p50=p50, p95=p95, p99=p99, relative_error=self.relative_error)

    def _bucket(self, rank: int) -> int:
        seen = 0
        for i in sorted(self._buckets):
            seen += self._buckets[i]
            if seen >= rank:
                return i
        raise AssertionError("unreachable: the ranks add up to the total")


def merged(distributions: Iterable[tuple[Mapping[int, int], Sequence[float]]]) -> Distribution:
    """Several series' samples together, in whatever order."""
    buckets, values = dict[int, int](), list[float]()
    for each, singles in distributions:
        sketch.merge(buckets, each)
        values += singles
    return Distribution(buckets, values)


def _of_bucket(i: int) -> Quantile:
    low = 0.0 if i == sketch.MIN_INDEX else sketch.upper_bound(i - 1)
    return Quantile(sketch.value(i), low, sketch.upper_bound(i))
