"""What netem's jitter comes to: its tables as the kernel reads them (tc-netem(8); tabledist of sch_netem.c)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.lab.truth import chance

_SCALE = 8192
_GRID = 600


class Distribution:
    """A distribution of delays, by evenly spaced quantiles of it."""

    def __init__(self, values: Sequence[float]) -> None:
        self._sorted = sorted(values)

    @classmethod
    def of(cls, name: str, mean_s: float, spread_s: float) -> Self:
        """Uniform between mean ± spread; or mean + spread × what iproute2's table of that name says, in 8192ths."""
        if name == "uniform":
            return cls([mean_s + spread_s * (2 * (i + 0.5) / 4096 - 1) for i in range(4096)])
        (file,) = {file.resolve() for file in Path("/usr/lib").glob(f"**/tc/{name}.dist")}
        lines = (line for line in file.read_text("ascii").splitlines() if not line.startswith("#"))
        return cls([mean_s + spread_s * int(each) / _SCALE for line in lines for each in line.split()])

    def quantile(self, q: float) -> float:
        """Beyond its ends: the least and the greatest."""
        rank = math.ceil(q * len(self._sorted)) - 1
        return self._sorted[min(max(rank, 0), len(self._sorted) - 1)]

    def differences(self) -> "Distribution":
        """Of the absolute difference of two of these, drawn independently (|ipdv|)."""
        step = len(self._sorted) / _GRID
        thinned = [self._sorted[int((i + 0.5) * step)] for i in range(_GRID)]
        return Distribution([abs(a - b) for a in thinned for b in thinned])

    def interval(self, q: float, n: float) -> tuple[float, float]:
        """Where the q-quantile of n draws is."""
        low, high = chance.bounds(q, n)
        return self.quantile(low), self.quantile(high)

    def least(self, n: int) -> tuple[float, float]:
        """Where the least of n draws is."""
        return self.quantile(0), self.quantile(chance.RARE / n)
