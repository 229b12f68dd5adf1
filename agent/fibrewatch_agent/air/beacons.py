"""An access point's beacons as a row in time: their interval, unevenness and gaps. Pure."""

import cmath
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from fibrewatch import stats

_LEAST = 4
_AROUND = 0.02
"""The interval is looked for so far around what most neighbours in the row are apart."""
_STEPS = 2000


class Row(NamedTuple):
    """Seconds, and a share; None where too few beacons came."""

    interval_s: float | None = None
    jitter_s: float | None = None
    missed: float | None = None


def row(times: Sequence[float], announced_s: float | None) -> Row:
    """What some beacons say.

    The interval is that of the comb which fits best: a beacon that waited for the air neither moves it nor
    counts as two, a missed one leaves a hole. The announced interval only tells how many fit between two neighbours.

    Args:
        times: In order, of any clock.
    """
    if len(times) < _LEAST or not announced_s or times[-1] <= times[0]:
        return Row()
    apart = stats.percentile([after - before for before, after in pairwise(times)], 0.5) or 0.0
    near = apart / max(1, round(apart / announced_s))
    if near <= 0:
        return Row()
    since = [at - times[0] for at in times]
    interval = _comb(since, near)
    phase = cmath.phase(_fit(since, interval)) / (2 * math.pi) * interval
    places = [round((at - phase) / interval) for at in since]
    interval = _slope(since, places) or interval
    off = [at - place * interval for at, place in zip(since, places, strict=True)]
    even = stats.percentile(off, 0.5) or 0.0
    whole = places[-1] - places[0] + 1
    return Row(
        interval_s=interval,
        jitter_s=stats.percentile([abs(each - even) for each in off], 0.95),
        missed=max(0.0, 1 - len(times) / whole) if whole > 0 else None,
    )


def _fit(times: Sequence[float], interval: float) -> complex:
    """How well they lie on a comb: the greater its size the better; its angle is the comb's place."""
    turn = 2j * math.pi / interval
    return sum((cmath.exp(turn * at) for at in times), 0j)


def _comb(times: Sequence[float], near: float) -> float:
    """The interval near a given one on whose comb they lie best."""
    step = max(near * near / (8 * times[-1]), 2 * _AROUND * near / _STEPS)
    count = int(_AROUND * near / step)
    return max((near + place * step for place in range(-count, count + 1)), key=lambda each: abs(_fit(times, each)))


def _slope(times: Sequence[float], places: Sequence[int]) -> float | None:
    """The median of slopes over half the row: what came late at its ends does not bend it (Theil and Sen)."""
    half = len(times) // 2
    pairs = zip(zip(times, times[half:], strict=False), zip(places, places[half:], strict=False), strict=True)
    return stats.percentile([(late - early) / (b - a) for (early, late), (a, b) in pairs if b > a], 0.5)
