"""How often somebody may ask: token buckets, of which only so many are remembered. Pure but for the clock."""

import time
from collections import OrderedDict
from collections.abc import Callable

MOST = 4096


class Buckets:
    """One bucket for each key; the one that was used longest ago is forgotten first."""

    def __init__(
        self, per_s: float, burst: float, most: int = MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s, self._burst, self._most, self._clock = per_s, burst, most, clock
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Takes one; 0, or the seconds until there is one again."""
        level = self._level(key)
        if level < 1:
            return (1 - level) / self._per_s
        self._kept.pop(key, None)
        self._kept[key] = self._clock(), level - 1
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return 0.0

    def wait(self, key: str) -> float:
        """Seconds until there is one to be taken; takes none."""
        return max(0.0, (1 - self._level(key)) / self._per_s)

    def __len__(self) -> int:
        return len(self._kept)

    def _level(self, key: str) -> float:
        at, level = self._kept.get(key, (self._clock(), self._burst))
        return min(self._burst, level + (self._clock() - at) * self._per_s)
