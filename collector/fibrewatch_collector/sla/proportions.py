"""Shares of tests that met a limit: Wilson's interval, and what it allows one to say. Pure.

E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927), 209–212.
"""

import math
from typing import Literal, NamedTuple

Z_95 = 1.959963984540054
"""The normal distribution's two-sided 95 % quantile."""

Answer = Literal["pass", "fail", "undecided", "insufficient"]
"""undecided: the interval holds what was asked. insufficient: too little was measured to say anything."""


class Interval(NamedTuple):
    """Ratios, low ≤ high."""

    low: float
    high: float


class Tally(NamedTuple):
    """Tests against a limit.

    Attributes:
        open: Neither met nor missed: a censored test whose bound stays below the limit proves nothing either way.
    """

    met: int
    missed: int
    open: int = 0

    @property
    def decided(self) -> int:
        """How many tests say something."""
        return self.met + self.missed

    @property
    def share(self) -> float | None:
        """Met of those that say something; None without any."""
        return self.met / self.decided if self.decided else None


def wilson(met: int, n: int, z: float = Z_95) -> Interval:
    """The score interval of a proportion; 0..1 when nothing was tested."""
    if not n:
        return Interval(0.0, 1.0)
    share, z2 = met / n, z * z
    middle = share + z2 / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    scale = 1 + z2 / n
    low = 0.0 if met == 0 else max(0.0, (middle - spread) / scale)  # exact ends: rounding must not accuse
    high = 1.0 if met == n else min(1.0, (middle + spread) / scale)
    return Interval(low, high)


def interval(tally: Tally) -> Interval:
    """Whatever the open tests would have shown: the low end counts them as missed, the high end as met."""
    n = tally.decided + tally.open
    return Interval(wilson(tally.met, n).low, wilson(tally.met + tally.open, n).high)


def answer(tally: Tally, asked: float) -> Answer:
    """Pass when the interval's low end reaches what was asked, fail when its high end stays below, else undecided."""
    if not tally.decided:
        return "insufficient"
    found = interval(tally)
    if found.low >= asked:
        return "pass"
    return "fail" if found.high < asked else "undecided"
