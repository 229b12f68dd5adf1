"""What was seen around one heavy test: tenants by counters or round trips, the processors, and so what it proves."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from fibrewatch.errors import ToolError
from fibrewatch.measurement import Conditions
from fibrewatch_agent.conditions import link_speed
from fibrewatch_agent.line import tenants, wan
from fibrewatch_agent.line.wan_poll import Poll, polling
from fibrewatch_agent.transfer import ceilings, hardware
from fibrewatch_agent.transfer.verdict import Evidence, capacity_of, goodput_of, judge, proved

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from fibrewatch_agent.box import Box
    from fibrewatch_agent.config import Plan
    from fibrewatch_agent.line.config import LineConfig
    from fibrewatch_agent.line.tenants import Look
    from fibrewatch_agent.line.wan import Direction, Others
    from fibrewatch_agent.transfer.heavy import Heavy

log = logging.getLogger(__name__)

_FRESH_S = 30.0
"""A look just before a test that found nothing is not repeated by the test."""
_TAIL_S, _EACH_S = 4.0, 0.1
"""Before and after a transfer a refresh of the router's counters is waited for so long."""
_START_S = 4.0
"""What the child that asks may take to begin on a slow card; with the wait before, less than a slot's `claim`."""
_AFTER_S = 1.0
"""How long our own queue may take to run empty before round trips are looked at again."""


class Watch:
    """What was seen around one test.

    Args:
        compared: The figure is for comparison with another one of the same minute, not for what the line carries.
    """

    def __init__(self, heavy: Heavy, plan: Plan, box: Box, *, compared: bool = False) -> None:
        self._compared = compared
        self._heavy, self._plan, self._box = heavy, plan, box
        self._line, self._direction = heavy.line(plan), direction_of(plan)
        self._poll: Poll | None = None
        self._looks: list[Look] = []
        self._moments: list[hardware.Moment] = []

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Looks at the processors while the block runs, so that a wait for a turn does not count as idle time."""
        self._note()
        self._note_again()
        try:
            yield
        finally:
            self._timer.cancel()
        self._note()

    def _note_again(self) -> None:
        """By a timer, since a task would have to be awaited; nothing is noted before the test's turn has come."""
        if self._box.near.is_set():
            self._note()
        self._timer = asyncio.get_running_loop().call_later(_EACH_S, self._note_again)

    def _note(self) -> None:
        self._moments.append(hardware.moment(self._heavy.proc, self._heavy.sys))

    async def look_before(self, known: tuple[float, Look] | None) -> None:
        """Round trips before the test, where there are no counters; one just made is as good."""
        fresh = known is not None and known[1].busy is None and time.monotonic() - known[0] <= _FRESH_S
        if known is not None and fresh and known[1].others is None:
            self._looks.append(known[1])
        if fresh or (self._line is not None and self._line.router is not None):
            return
        self._looks.append(await self._heavy.look(self._plan, self._box))

    @asynccontextmanager
    async def polled(self) -> AsyncIterator[None]:
        """Asks the router while the block runs, and ends the test when the tenants' demand rises."""
        interface = self._heavy.interface(self._box)
        if self._line is None or self._line.router is None or interface is None:
            yield
            return
        async with asyncio.TaskGroup() as tasks:
            watcher = tasks.create_task(self._mind(self._line, interface), name=f"tenants {self._plan.key}")
            self._box.ready = self._ready
            yield
            watcher.cancel()

    async def _mind(self, line: LineConfig, interface: str) -> None:
        """From when the test's turn has come until cancelled."""
        await self._box.near.wait()
        if line.router is None:
            return
        try:
            async with polling(line.router, interface) as self._poll:
                await tenants.rising(self._poll, line, self._direction, self._box)
                if not self._poll.ended:
                    self._box.enough.set()
                await asyncio.Event().wait()  # what comes after the transfer is heard, too
        except (ToolError, OSError) as e:
            log.warning("can't ask the router: %s", e)

    async def _ready(self) -> None:
        """The router's counters were seen to move, or there is no more time to wait for that."""
        await _until(lambda: self._poll is not None and self._poll.heard, _START_S)
        await _until(lambda: self._poll is None or self._poll.ended or bool(self._poll.edges()), _TAIL_S)

    async def look_after(self) -> None:
        """The router's next refresh; where it tells nothing, round trips again."""
        if self._box.flow is None or self._box.stopping.is_set():
            return
        await self.counters_after()
        if self._others() is not None:
            return
        await asyncio.sleep(_AFTER_S)
        self._looks.append(await self._heavy.round_trips(self._plan.uplink or "").look(self._box))

    async def counters_after(self) -> None:
        """The router's next refresh after the transfer."""
        flow, stopping = self._box.flow, self._box.stopping.is_set()
        if flow is not None and not stopping and self._poll is not None and self._poll.edges():
            await self._refreshed(self._poll, flow[1])

    def told(self, result: Any) -> Any:
        """As `conclude`, of one transfer among several: the conditions are the run's."""
        speed = link_speed(self._heavy.sys, self._box.interface) if self._box.interface else None
        return self.conclude(result, Conditions(link_speed=speed))[0]

    async def _refreshed(self, poll: Poll, end: float) -> None:
        try:
            async with asyncio.timeout(_TAIL_S):
                while not poll.ended and poll.edges()[-1].before.at < end + wan.DRAINED_S:
                    await poll.news()
        except TimeoutError:
            return

    def conclude(self, result: Any, conditions: Conditions) -> tuple[Any, Conditions]:
        """Marks the box with all that speaks against the result, and notes what it proves all the same."""
        goodput, others = _goodput(result), self._others()
        if others is not None:
            conditions = replace(conditions, cross_traffic=others.rate)
        seen = hardware.stretch(self._moments, self._box.flow)
        if seen is not None and (busy := hardware.cpu_share(*seen)) is not None:
            conditions = replace(conditions, cpu_busy=busy)
        if goodput is None:
            return result, conditions
        for verdict, reason in judge(self._evidence(goodput, conditions, others)):
            self._box.mark(verdict, reason)
        if others is None and any(look.busy for look in self._looks):
            self._box.mark("invalid", "tenants_traffic")
        if others is None and self._line is not None and all(look.unknown for look in self._looks):
            self._box.mark("valid" if self._compared else "censored", "tenants_unknown")
        if self._box.verdict == "censored" and hasattr(result, "bound"):
            bound = proved(goodput, others.beyond_headers if others else None)
            result = replace(result, bound=bound if hasattr(result, "goodput") else capacity_of(bound))
        return result, conditions

    def _others(self) -> Others | None:
        flow = self._box.flow
        if self._poll is None or flow is None:
            return None
        found = wan.during(self._poll.edges(), self._direction, *flow)
        if found is None or found.credible:
            return found
        self._heavy.warn(self._plan.uplink or "", tenants.TOO_LITTLE)
        return None

    def _evidence(self, goodput: float, conditions: Conditions, others: Others | None) -> Evidence:
        line, interface = self._line, self._heavy.interface(self._box)
        told = wan.speed_of(self._poll.samples) if self._poll else None
        ceiling = ceilings.load(self._heavy.folder).get(interface or "")
        seen = hardware.stretch(self._moments, self._box.flow)
        return Evidence(
            goodput=goodput,
            link_speed=conditions.link_speed,
            expected_link=line.expected_link if line else None,
            usb_speed=hardware.usb_speed(interface, self._heavy.sys) if interface else None,
            calibrated=getattr(ceiling, self._direction) if ceiling else None,
            calibrated_link=ceiling is not None and ceiling.reference != "loopback",
            cpu_busy=conditions.cpu_busy,
            softirq=hardware.softirq_share(*seen) if seen else None,
            held_back=hardware.held_share(*seen) if seen else None,
            throttled=conditions.throttled,
            cross_traffic=others.beyond_headers if others else None,
            tenants_above=tenants.tolerated(line, self._direction, told) if line else None,
        )


async def _until(met: Callable[[], bool], limit_s: float) -> None:
    """Returns when it is, or the time is over."""
    try:
        async with asyncio.timeout(limit_s):
            while not met():  # noqa: ASYNC110 - a child's output sets no event
                await asyncio.sleep(_EACH_S)
    except TimeoutError:
        return


def direction_of(plan: Plan) -> Direction:
    """Which way a heavy test's traffic goes; down where its settings don't say."""
    return "up" if getattr(plan.params, "direction", "down") == "up" else "down"


def _goodput(result: Any) -> float | None:
    """TCP's payload per second, of a capacity test what TCP would have had."""
    if (capacity := getattr(result, "capacity", None)) is not None:
        return goodput_of(capacity)
    goodput: float | None = getattr(result, "goodput", None)
    return goodput
