"""What the tenants do on a line: by the router's counters, else by round trips to the first hop beyond the gateway."""

import asyncio
import ipaddress
import logging
import time
from dataclasses import replace
from typing import NamedTuple

from fibrewatch.errors import ToolError
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.line import baseline, landmarks, wan
from fibrewatch_agent.line.baseline import Seen
from fibrewatch_agent.line.config import TENANTS_SHARE, LineConfig
from fibrewatch_agent.line.wan import Direction, Others
from fibrewatch_agent.line.wan_poll import Poll, polling
from fibrewatch_agent.net.icmp import Echo
from fibrewatch_agent.net.icmp_packets import destination

log = logging.getLogger(__name__)

LOOK_S = 10.0
"""Two refreshes of a router's counters are waited for so long; where there are none, it is not known why."""
TOO_LITTLE = "the router counted less than our own traffic: is `wan` another interface, or does its hardware forward?"
_ECHOES, _EACH_S, _LAST_S = 20, 0.05, 1.0


class Look(NamedTuple):
    """What was seen of the tenants.

    Attributes:
        busy: Why a test should wait; None: nothing speaks against it.
        others: By the counters.
        unknown: Why the counters did not tell.
    """

    busy: str | None = None
    others: Others | None = None
    unknown: str | None = None


def tolerated(line: LineConfig, direction: Direction, told: float | None) -> float | None:
    """What the tenants may move, bytes per second: as configured, else a share of the speed that the router tells."""
    configured = line.tolerated(direction)
    return configured if configured is not None or told is None else TENANTS_SHARE * told


async def by_counters(line: LineConfig, interface: str, direction: Direction, look_s: float = LOOK_S) -> Look:
    """Asks the router until its counters were seen to move twice."""
    if line.router is None:
        return Look(unknown="no router is configured")
    try:
        async with polling(line.router, interface) as poll:
            found = await _first_rate(poll, direction, look_s)
            speed, heard, complaint = wan.speed_of(poll.samples), bool(poll.samples), poll.complaint
    except (ToolError, OSError) as e:
        return Look(unknown=str(e))
    if complaint is not None or not heard:
        return Look(unknown=complaint.detail if complaint else f"SNMP: no answer in {look_s:g} s")
    if found is None:
        return Look(unknown=f"SNMP: the counters moved less than twice in {look_s:g} s")
    return _judged(found, tolerated(line, direction, speed), direction)


def _judged(found: Others, limit: float | None, direction: Direction) -> Look:
    if not found.credible:
        return Look(unknown=TOO_LITTLE)
    if limit is None or not found.exceed(limit):
        return Look(others=found)
    return Look(f"tenants move {_mbits(found.rate)} Mbit/s {direction}, {_mbits(limit)} are tolerated", found)


async def _first_rate(poll: Poll, direction: Direction, look_s: float) -> Others | None:
    try:
        async with asyncio.timeout(look_s):
            while not poll.ended:
                await poll.news()
                found = wan.latest(poll.edges(), direction)
                if found is not None:
                    return found
    except TimeoutError:
        return None
    return None


async def rising(poll: Poll, line: LineConfig, direction: Direction, box: Box) -> None:
    """Returns when the tenants' traffic has surely risen above what is tolerated while our own transfer runs."""
    while not poll.ended:
        await poll.news()
        limit = tolerated(line, direction, wan.speed_of(poll.samples))
        if box.flow is None or limit is None:
            continue
        since = box.flow[0] + wan.SETTLED_S
        found = wan.latest([edge for edge in poll.edges() if edge.before.at >= since], direction)
        if found is not None and found.exceed(limit):
            log.info("tenants' demand rose test=%s rate=%.3g tolerated=%.3g", box.test, found.rate, limit)
            return


class RoundTrips:
    """Round trips to the first router beyond the gateway, against the past day's; one for each line."""

    def __init__(self, history: list[Seen] | None = None) -> None:
        self.history = history or []
        self._memory: dict[str, object] = {}

    async def look(self, box: Box) -> Look:
        """Twenty echo requests in a second; remembers what it saw."""
        if box.address is None:
            return Look(unknown="there is no target beyond the gateway")
        try:
            rtts = await self._rtts(box, box.address)
        except (ProbeError, OSError) as e:
            return Look(unknown=str(e))
        if not rtts:
            return Look(unknown="the first router beyond the gateway does not answer")
        now = time.time()
        seen = baseline.seen(now, rtts)
        self.history = [*baseline.kept(self.history, now), seen]
        above = baseline.inflation(self.history, seen)
        if above is None and not baseline.known(self.history, now):
            return Look(unknown="the line has not been watched for a day yet")
        if above is None:
            return Look()
        return Look(f"round trips to the operator are {above * 1e3:.0f} ms longer than they have to be")

    async def _rtts(self, box: Box, address: str) -> list[float]:
        target = await box.resolved_address(address)
        if ipaddress.ip_address(target.split("%")[0]).is_loopback:
            return []
        searcher = replace(box, address=landmarks.FIRST_HOP, toward=(target,), memory=self._memory)
        hop = await landmarks.find(searcher)
        channel = await box.icmp.channel(6 if ":" in hop else 4, box.interface)
        echoes: list[Echo] = []
        try:
            for _ in range(_ECHOES):
                echoes.append(channel.send(destination(hop)))
                await asyncio.sleep(_EACH_S)
            await asyncio.sleep(_EACH_S if all(echo.replies for echo in echoes) else _LAST_S)
            return [echo.rtt_s for echo in echoes if echo.rtt_s is not None]
        finally:
            channel.forget(echoes)


def _mbits(rate: float) -> str:
    return f"{rate * 8 / 1e6:.3g}"
