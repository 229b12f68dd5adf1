"""Finds the routers along one flow: all hops at once, as far ahead of the answers as needed.

Two facts shape it. Routers answer only so many packets a second (Linux: six at once, then one a second, to one asker;
icmp(7) icmp_ratelimit), so no packet is wasted on a target whose distance is known; and what a silent hop costs is
waiting, so silence is waited for once for all hops together.
"""

import asyncio
from collections.abc import Iterable, Sequence

from fibrewatch_agent.path.flow import Flow, Probe

AHEAD = 4
"""Hops that are asked beyond the last one that answered: so many packets at most go to the target for nothing."""
REFILL_S = 1.05
"""A Linux router that has answered its six answers one more after a second."""
_INSISTS = 4
"""Times in a row, a second apart, that nothing new is heard beyond the last hop: then there is nothing."""
_VOLLEY, _PAUSE_S = 16, 0.004
"""At most so many packets of one flow back to back: 4,000 a second."""


class Trace:
    """One flow's way, as far as it is known.

    Attributes:
        probes: What was sent, but for packets that look for the MTU.
        until: The loop's time when it must end.
        singly: One packet at a time, since errors don't tell which packet they are about.
    """

    def __init__(self, flow: Flow, *, max_hops: int, silent_hops: int, timeout_s: float, until: float) -> None:
        self.flow, self.until = flow, until
        self.probes: list[Probe] = []
        self.singly = False
        self._max_hops, self._silent_hops, self._timeout_s = max_hops, silent_hops, timeout_s
        self._ahead = min(AHEAD, silent_hops)
        self._loop = asyncio.get_running_loop()

    @property
    def distance(self) -> int | None:
        """Where the target, or a router that lets nothing pass, answered first."""
        return min((probe.ttl for probe in self.probes if probe.answer in ("reached", "stop")), default=None)

    @property
    def reached(self) -> bool:
        """Whether the target itself is at `distance`."""
        return any(probe.answer == "reached" and probe.ttl == self.distance for probe in self.probes)

    @property
    def length(self) -> int:
        """Hops known: up to the target, else to the last that answered."""
        return self.distance or max((probe.ttl for probe in self.probes if probe.answer), default=0)

    @property
    def extent(self) -> int:
        """Hops to show: a router that lets nothing pass beyond it is one hop, not two."""
        beyond = {probe.by for probe in self.at(self.length) if probe.answer == "stop"}
        return self.length - 1 if beyond & {probe.by for probe in self.at(self.length - 1)} else self.length

    def at(self, ttl: int) -> list[Probe]:
        """The packets that ended at a hop: those that could have gone farther than the target end there too."""
        if ttl == self.distance:
            return [probe for probe in self.probes if probe.ttl >= ttl]
        return [probe for probe in self.probes if probe.ttl == ttl]

    def answered(self, ttl: int) -> bool:
        """Whether anything is known of a hop."""
        return any(probe.answer for probe in self.at(ttl))

    def silent(self) -> list[int]:
        """The hops before the end that have not answered."""
        return [ttl for ttl in range(1, self.length + 1) if not self.answered(ttl)]

    async def explore(self, expected: int = 0) -> None:
        """Sends until the target answers or too many hops in a row are silent.

        Args:
            expected: The distance, if another flow has found it.
        """
        goal = 0 if self.singly else expected or self._ahead
        while goal:
            goal = await self._reach(goal)
        if self.singly or self.flow.short_quotes:
            self.singly = True  # not before: an answer to a packet of the volley would be taken for that to a later one
            await self._explore_singly()
        elif not expected:
            await self._insist()

    async def repeat(self, times: int) -> None:
        """Asks each hop so many times more, the target until it has answered as often."""
        for _ in range(times):
            spare = len(self.at(self.length)) > times
            await self.ask(range(1, self.length + (0 if spare else 1)))
            await self._answers(self._shortly())
        await self._answers(self._soon())

    async def ask_again(self, hops: Iterable[int]) -> None:
        """Asks some hops once more, and waits a little for them: a late answer counts all the same."""
        asked = await self.ask(hops)
        await self.flow.wait(lambda: all(probe.answer for probe in asked), self._shortly())

    async def ask(self, hops: Iterable[int]) -> Sequence[Probe]:
        """Sends one packet to each hop; one at a time where answers can't be told apart otherwise."""
        asked: list[Probe] = []
        for ttl in hops:
            if self._loop.time() >= self.until:
                break
            asked.append(self.flow.send(ttl))
            self.probes.append(asked[-1])
            if self.singly:
                await self._alone(asked[-1])
            elif len(asked) % _VOLLEY == 0:
                await asyncio.sleep(_PAUSE_S)
        return asked

    @property
    def slowest_s(self) -> float:
        """The greatest round-trip time so far."""
        return max((probe.rtt_s for probe in self.probes if probe.rtt_s is not None), default=0.0)

    async def _reach(self, goal: int) -> int:
        """Asks as far as `goal`; how far to ask next, 0 when there is no more to find."""
        sent, known = max((probe.ttl for probe in self.probes), default=0), self.length
        await self.ask(range(sent + 1, min(goal, self._max_hops) + 1))
        if await self.flow.wait(lambda: self._moved(known), self._soon()):
            return 0 if self.distance is not None else max(goal, self.length + self._ahead)
        farther = min(self.length + self._silent_hops, self._max_hops)
        return farther if self.distance is None and goal < farther else 0

    async def _insist(self) -> None:
        """Asks beyond the end again: packets get lost, and who has answered another asker just now is out of answers.

        Takes longer than a router needs to find out that there is nobody: three seconds of ARP.
        """
        futile = 0
        while self.distance is None and futile < _INSISTS and self._loop.time() < self.until:
            futile = 0 if await self._farther(self.length) else futile + 1

    async def _farther(self, known: int) -> bool:
        """Whether there is something beyond what is known, when asked for it again."""
        await self.ask(range(known + 1, min(known + self._ahead, self._max_hops) + 1))
        return await self.flow.wait(lambda: self.distance is not None or self.length > known, self._by(REFILL_S))

    async def _explore_singly(self) -> None:
        """From the box outwards, each hop that has not answered."""
        self.flow.forget(self.probes)
        silence = 0
        for ttl in range(1, self._max_hops + 1):
            if self.distance is not None and ttl >= self.distance:
                break
            if not self.answered(ttl):
                await self.ask([ttl])
            silence = 0 if self.answered(ttl) else silence + 1
            if silence >= self._silent_hops:
                break

    async def _alone(self, probe: Probe) -> None:
        self.flow.forget(other for other in self.probes if other is not probe)
        if not await self.flow.wait(lambda: probe.answer is not None, self._soon()):
            self.flow.forget([probe])

    async def _answers(self, until: float) -> None:
        await self.flow.wait(lambda: all(probe.answer for probe in self.probes if probe.ttl <= self.length), until)

    def _moved(self, known: int) -> bool:
        """The way got longer, or its end was found and all before it has answered."""
        return self.length > known if self.distance is None else not self.silent()

    def _soon(self) -> float:
        return self._by(self._timeout_s)

    def _shortly(self) -> float:
        return self._by(min(self._timeout_s, 3 * self.slowest_s + 0.01))

    def _by(self, seconds: float) -> float:
        return min(self._loop.time() + seconds, self.until)
