"""What surrounds a heavy test: quiet hours, the byte budget, the tenants' traffic, and the box's own limits."""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from fibrewatch.results import PROBES
from fibrewatch.schedule import phase
from fibrewatch_agent.box import Box
from fibrewatch_agent.conditions import route_interface
from fibrewatch_agent.config import Plan
from fibrewatch_agent.line import budget, tenants
from fibrewatch_agent.line import state as line_state
from fibrewatch_agent.line.accounts import Accounts, planned
from fibrewatch_agent.line.config import LineConfig
from fibrewatch_agent.line.quiet_hours import quiet_until
from fibrewatch_agent.line.tenants import Look, RoundTrips
from fibrewatch_agent.net.counters import moved
from fibrewatch_agent.transfer.surroundings import Watch, direction_of

log = logging.getLogger(__name__)

RETRY_S = 60.0
_SPREAD_S = 3600.0
_IN_PARTS = "wifi_paired"
"""Has each of its transfers watched by itself, see `Heavy.beside`."""


class Hold(NamedTuple):
    """Why a heavy test should not start now, and when to ask again."""

    seconds: float
    reason: Literal["quiet_hours", "byte_budget", "tenants_traffic"] | None
    detail: str


class Heavy(Accounts):
    """The box's lines and what is known of them.

    Args:
        folder, tell: As of `Accounts`.
        keeps: Writes there; else it only reads.
    """

    def __init__(
        self,
        uplinks: Mapping[str, LineConfig] | None = None,
        *,
        folder: Path | None = None,
        keeps: bool = True,
        tell: Callable[[], None] = lambda: None,
        sys: Path = Path("/sys"),
        proc: Path = Path("/proc"),
        utc: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(uplinks, folder=folder, tell=tell, proc=proc, utc=utc)
        self.sys, self._keeps = sys, keeps
        self._looked: dict[str, tuple[float, Look]] = {}
        self._trips: dict[str, RoundTrips] = {}
        self._warned: set[tuple[str, str]] = set()

    def save(self) -> None:
        """Keeps what is known."""
        self.state.round_trips |= {name: trips.history for name, trips in self._trips.items()}
        if self._keeps:
            line_state.save(self.folder, self.state)

    # ---- before a test

    async def hold(self, plan: Plan, box: Box, agent: str) -> Hold | None:
        """Whether a heavy test has to wait; the line is looked at, which takes some seconds."""
        now = self._utc()
        until = quiet_until(plan.quiet_hours, now, self.zone)
        if until is not None:
            later = until + phase(agent, plan.key, min(plan.every_s, _SPREAD_S)) - now
            return Hold(later, "quiet_hours", f"quiet hours until {_clock(until, self.zone)}")
        short = self._over_budget(plan, take=False)
        if short is not None:
            return short
        look = await self.look(plan, box)
        if look.busy is not None:
            return Hold(_retry_s(plan), "tenants_traffic", look.busy)
        return self._over_budget(plan, take=True)

    def _over_budget(self, plan: Plan, *, take: bool) -> Hold | None:
        """Why the budget does not allow it; `take`: it runs now, unless that has changed meanwhile."""
        account, now, test = self.account(plan.uplink), self.pace(plan.uplink), planned(plan, self.line(plan))
        if plan.uplink is None or account is None or now is None:
            return None
        account, may = budget.slot(account, test, now)
        if take or not may:
            self.state.accounts[plan.uplink] = account
        if may:
            return None
        self.save()
        self._tell()
        return Hold(plan.every_s, "byte_budget", self.in_words(plan, account, now))

    async def look(self, plan: Plan, box: Box) -> Look:
        """What the tenants do on its line now."""
        line, name = self.line(plan), plan.uplink or ""
        interface = self.interface(box)
        found = Look(unknown="no router is configured")
        if line is not None and line.router is not None and interface is not None:
            found = await tenants.by_counters(line, interface, direction_of(plan))
            if found.unknown is not None:
                self.warn(name, found.unknown)
        if found.unknown is not None:
            found = await self.round_trips(name).look(box)
        self._looked[name] = (time.monotonic(), found)
        return found

    def warn(self, name: str, why: str) -> None:
        """Says once of a line why the router's counters tell nothing of it."""
        if (name, why) not in self._warned:
            self._warned.add((name, why))
            log.warning("no counters of the router uplink=%s: %s", name, why)

    def round_trips(self, name: str) -> RoundTrips:
        """Those of one line."""
        return self._trips.setdefault(name, RoundTrips(self.state.round_trips.get(name)))

    def interface(self, box: Box) -> str | None:
        """Where a test's traffic goes."""
        return box.interface or route_interface(self.proc, box.resolved or box.address)

    # ---- around a test

    @asynccontextmanager
    async def around(self, plan: Plan, box: Box) -> AsyncIterator[Watch]:
        """Watches from before a test until after it."""
        watch = Watch(self, plan, box)
        if plan.probe.name == "calibration":  # keeps off the line
            yield watch
            return
        now = self.pace(plan.uplink)
        before = self.account(plan.uplink)
        try:
            if plan.probe.name == _IN_PARTS:
                box.watched = partial(self.beside, plan)
                yield watch
            else:
                await watch.look_before(self._looked.get(plan.uplink or ""))
                async with watch.polled():
                    with watch.timed():
                        yield watch
                    await watch.look_after()
        finally:
            self.settle(plan, before, now.size if now else 1.0)
            self.save()

    @asynccontextmanager
    async def beside(self, plan: Plan, part: Box, params: Any) -> AsyncIterator[Callable[[Any], Any]]:
        """Watches one of a run's transfers, which may leave by another interface than its test's.

        Args:
            part: The transfer's own box, which is marked.
            params: Of throughput.

        Yields:
            To be called with the transfer's result once this is left.
        """
        watch = Watch(self, replace(plan, probe=PROBES["throughput"], params=params), part, compared=True)
        before = moved(part.interface, self.proc) if part.interface else None
        try:
            async with watch.polled():
                with watch.timed():
                    yield watch.told
                await watch.counters_after()
        finally:
            after = moved(part.interface, self.proc) if part.interface else None
            if before is not None and after is not None and part.interface != self.counted(plan.uplink):
                self.add(plan.uplink, max(0, after - before))


def _retry_s(plan: Plan) -> float:
    return min(RETRY_S, plan.every_s / 10)


def _clock(utc: float, zone: tzinfo | None) -> str:
    return f"{datetime.fromtimestamp(utc, zone):%a %H:%M}"
