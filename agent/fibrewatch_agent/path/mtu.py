"""Finds the largest packet that passes a path, with DF set, whether routers tell of their limits or not (RFC 8899 §5).

A router that says "too big" is believed when it names its limit, and what it names is tried. Where a large packet
vanishes and a small one right after it passes, that is a black hole: then the largest size that passes is searched for.
A size that passes has passed; one that vanishes was perhaps lost, so that the end of a search is tried once more.
"""

import asyncio
import errno
from typing import NamedTuple

from fibrewatch_agent.path.flow import SMALL, Flow, Probe
from fibrewatch_agent.path.trace import REFILL_S

_TRIES = 2
"""Packets of one size that must vanish before it counts as too large; once more so many at the end of the search."""
_DUMB = 5
"""Times in a row that not even a small packet is answered until the search is given up."""
_MINIMUM = 1280  # what every link must carry, by RFC 8200 for IPv6 and by custom for IPv4: worth a try of its own
_LEAST_PATIENCE_S = 0.1


class Limit(NamedTuple):
    """What passes.

    Attributes:
        size: Bytes of IP.
        black_hole: Larger packets vanish without a word; None when the search did not come to its end.
        told_by: The router that named the smallest limit.
    """

    size: int
    black_hole: bool | None
    told_by: str | None


class MtuSearch:
    """One search along one flow, to the hop at `ttl`, which must be one that answers.

    Attributes:
        probes: What was sent.
    """

    def __init__(self, flow: Flow, ttl: int, *, largest: int, slowest_s: float, until: float) -> None:
        self.probes: list[Probe] = []
        self._flow, self._ttl, self._largest, self._until = flow, ttl, largest, until
        self._patience_s = max(_LEAST_PATIENCE_S, 4 * slowest_s)
        self._vanished: dict[int, int] = {}  # size: how often all its tries did, and a small packet passed
        self._dumb = 0
        self._loop = asyncio.get_running_loop()

    async def run(self) -> Limit:
        """Until there is no size left to try, or the time is over."""
        while (size := self._next_size()) is not None and self._going():
            if await self._vanishes(size):
                self._vanished[size] = self._vanished.get(size, 0) + 1
        found = self._passed()
        black_hole = None if self._next_size() is not None else found + 1 in self._vanished
        return Limit(found, black_hole, self._told_by())

    def _next_size(self) -> int | None:
        """The size to try next; None when the largest that passes is known."""
        low, high = self._passed(), self._bound()
        top = min([high, *(size - 1 for size in self._vanished if size > low)])
        if top <= low:
            return low + 1 if self._vanished.get(low + 1) == 1 else None
        if top == high:
            return top
        return _MINIMUM if low < _MINIMUM <= top else (low + top + 1) // 2

    def _going(self) -> bool:
        return self._dumb < _DUMB and self._loop.time() < self._until

    def _bound(self) -> int:
        """No packet larger than this can pass, as far as routers told."""
        told = (probe.mtu if probe.mtu and probe.mtu < probe.size else probe.size - 1 for probe in self._too_big())
        return min([self._largest, *told])

    def _passed(self) -> int:
        sizes = (probe.size for probe in self.probes if probe.answer not in (None, "too_big"))
        return max(sizes, default=SMALL[self._flow.family])

    def _too_big(self) -> list[Probe]:
        return [probe for probe in self.probes if probe.answer == "too_big"]

    def _told_by(self) -> str | None:
        limits = [(probe.mtu or probe.size - 1, probe.by) for probe in self._too_big()]
        return min(limits, key=lambda limit: limit[0])[1] if limits else None

    async def _vanishes(self, size: int) -> bool:
        """Whether nothing is heard of packets of this size, while a small one right after them passes."""
        for _ in range(_TRIES):
            if await self._try(size):
                return False
        if await self._try(SMALL[self._flow.family]):
            self._dumb = 0
            return not any(probe.answer for probe in self.probes if probe.size == size)
        self._dumb += 1  # whoever should answer is perhaps out of answers for a second
        await asyncio.sleep(min(REFILL_S, max(0.0, self._until - self._loop.time())))
        return False

    async def _try(self, size: int) -> bool:
        """Sends one packet; whether there was an answer, of whatever kind."""
        try:
            probe = self._flow.send(self._ttl, size)
        except OSError as e:
            if e.errno != errno.EMSGSIZE:
                raise
            self._largest = min(self._largest, size - 1)  # the route went over to another interface
            return True
        self.probes.append(probe)
        until = min(self._loop.time() + self._patience_s, self._until)
        answered = await self._flow.wait(lambda: probe.answer is not None, until)
        if self._flow.short_quotes:
            self._flow.forget([probe])
        return answered
