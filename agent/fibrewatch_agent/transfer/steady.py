"""When a transfer's rate has converged: the warm-up cut off, the rate of the rest, and how far that may be wrong. Pure.

The rule, over the bytes that have reached the receiver at moments about 100 ms apart:
    warm-up     What is left out at the start is chosen by MSER (White, "An effective truncation heuristic …",
                Simulation 69, 1997): the cut, at most half of the transfer, that makes the standard error of the
                remaining mean least; never less than `Rule.warm_up_s`.
    error       The greatest 95 % half-width of the mean by batch means (Law and Kelton, "Simulation Modeling and
                Analysis", §9.5.3) of 5, 10 and 20 batches: long batches see slow swings, short ones have more degrees
                of freedom. To it comes half of what both halves differ by, and `FLOOR`. Relative to the rate.
    converged   The rest is at least `Rule.least_s` long and the error at most `Rule.error`.
What it can't know: a rate that stays for seconds and changes after the end. Then the figure is of the last seconds.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

FLOOR = 0.015
"""What a stretch this short can't see: swings slower than itself. Measured, see docs/throughput.md."""
_BATCH = 3
_STUDENT = {5: 2.776, 10: 2.262, 20: 2.093}
"""Batches → the 0.975 quantile of Student's t for one degree of freedom less."""


class Sample(NamedTuple):
    """What had come through at a moment.

    Attributes:
        at_s: Any clock that only goes forward.
        bytes: Of payload in order, since the start.
        segments: With payload, those behind a gap too; 0 where the kernel does not count them.
    """

    at_s: float
    bytes: int
    segments: int = 0


class Point(NamedTuple):
    """Bytes that have reached the receiver by a moment."""

    at_s: float
    bytes: float


class Estimate(NamedTuple):
    """The steady part: from when to when, its rate in bytes per second, and the rate's relative error.

    Attributes:
        start_s: Of the transfer.
    """

    start_s: float
    begin_s: float
    end_s: float
    rate: float
    error: float

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return self.end_s - self.begin_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When it is enough.

    Attributes:
        error: The relative error at which to stop.
        warm_up_s: The least that is left out at the start.
        least_s: The least length of the steady part.
    """

    error: float = 0.03
    warm_up_s: float = 1.0
    least_s: float = 2.0

    def met(self, found: Estimate | None) -> bool:
        """Whether the transfer may end."""
        return found is not None and found.duration_s >= self.least_s - 1e-6 and found.error <= self.error


def curve(samples: Sequence[Sample]) -> list[Point]:
    """Bytes that have reached the receiver, what waits behind a gap included.

    In-order bytes stand still from a loss until its repair, a round trip later, and then jump by a window; segments do
    not. What a segment carries is what the best moment since the middle says, since gaps and duplicates can only lower
    it: so nothing is counted that did not come.
    """
    if not samples or not samples[-1].segments:
        return [Point(each.at_s, each.bytes) for each in samples]
    late = samples[len(samples) // 2 :]
    payload = max((each.bytes / each.segments for each in late if each.segments), default=0.0)
    return [Point(each.at_s, each.segments * payload) for each in samples]


def estimate(points: Sequence[Point], warm_up_s: float, *, cut: bool = True) -> Estimate | None:
    """The steady part as of the last point; None while there are too few, its error infinite while it can't be told.

    Args:
        warm_up_s: Cut off at least; half of the transfer at most.
        cut: Look for more that is not steady; else all of the rest counts.
    """
    if len(points) < _BATCH:
        return None
    start, end = points[0].at_s, points[-1].at_s
    begin = min(start + warm_up_s, (start + end) / 2)
    least = min(bisect_left(points, begin, key=lambda point: point.at_s), len(points) - 2)
    steady = points[_cut(points, least) if cut else least :]
    rate = _rate(steady[0], steady[-1])
    if rate <= 0:
        return None
    return Estimate(start, steady[0].at_s, end, rate, _error(steady, rate))


def _rate(first: Point, last: Point) -> float:
    taken = last.at_s - first.at_s
    return (last.bytes - first.bytes) / taken if taken > 0 else 0.0


def _cut(points: Sequence[Point], least: int) -> int:
    """MSER: the first point of the steady part."""
    grid = range(least, len(points), _BATCH)
    rates = [_rate(points[a], points[b]) for a, b in pairwise(grid)]
    backwards = rates[::-1]
    sums, squares = list(accumulate(backwards)), list(accumulate(rate * rate for rate in backwards))
    half = (len(points) - 1 - least) // (2 * _BATCH)
    kept = range(max(2, len(rates) - half), len(rates) + 1)
    best = min(kept, key=lambda n: (_mser(n, sums[n - 1], squares[n - 1]), -n), default=len(rates))
    return least + (len(rates) - best) * _BATCH


def _mser(count: int, total: float, squares: float) -> float:
    return max(0.0, squares - total * total / count) / count**2


def _error(steady: Sequence[Point], rate: float) -> float:
    """Relative; infinite for a part too short for the fewest batches."""
    if len(steady) <= min(_STUDENT):
        return math.inf
    widths = [_half_width(steady, count) for count in _STUDENT if len(steady) > count]
    middle = len(steady) // 2
    drift = abs(_rate(steady[middle], steady[-1]) - _rate(steady[0], steady[middle])) / 2
    return max(widths) / rate + drift / rate + FLOOR


def _half_width(steady: Sequence[Point], count: int) -> float:
    """Of the 95 % interval of the mean of so many batches of about equal length."""
    edges = [round(i * (len(steady) - 1) / count) for i in range(count + 1)]
    rates = [_rate(steady[a], steady[b]) for a, b in pairwise(edges)]
    mean = sum(rates) / count
    variance = sum((rate - mean) ** 2 for rate in rates) / (count - 1)
    return _STUDENT[count] * math.sqrt(variance / count)
