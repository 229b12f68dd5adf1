"""What surrounds a heavy test: quiet hours, the byte budget, the tenants' traffic, and the box's own limits."""

import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from fibrewatch.results import PROBES
from fibrewatch.results.budget import Result
from fibrewatch.schedule import phase
from fibrewatch_agent.box import Box
from fibrewatch_agent.clock import boot_id
from fibrewatch_agent.conditions import route_interface
from fibrewatch_agent.config import AgentConfig, Plan
from fibrewatch_agent.line import budget, tenants
from fibrewatch_agent.line import state as line_state
from fibrewatch_agent.line.budget import Account, Pace, Planned
from fibrewatch_agent.line.config import LineConfig, zone
from fibrewatch_agent.line.quiet_hours import quiet_until
from fibrewatch_agent.line.tenants import Look, RoundTrips
from fibrewatch_agent.net.counters import moved
from fibrewatch_agent.traffic import forecast as traffic
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


class Heavy:
    """The box's lines and what is known of them.

    Args:
        folder: Where that is kept; None: nowhere.
        keeps: Writes there; else it only reads.
        tell: Is called whenever a budget made a test wait, and after each run.
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
        self.uplinks = uplinks or {}
        self.plans: tuple[Plan, ...] = ()
        self.zone: tzinfo | None = None
        self.sys, self.proc, self.folder, self._keeps, self._tell, self._utc = sys, proc, folder, keeps, tell, utc
        self.state = line_state.load(folder)
        self._boot = boot_id()
        self._looked: dict[str, tuple[float, Look]] = {}
        self._trips: dict[str, RoundTrips] = {}
        self._warned: set[tuple[str, str]] = set()

    def line(self, plan: Plan) -> LineConfig | None:
        """The configured uplink of a test."""
        return None if plan.uplink is None else self.uplinks.get(plan.uplink)

    def adopt(self, config: AgentConfig) -> None:
        """Takes what a config says of lines, hours and tests."""
        self.uplinks, self.plans, self.zone = config.uplinks, config.plans, zone(config.schedule)

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
        return Hold(plan.every_s, "byte_budget", self._pace_in_words(plan, account, now))

    def _pace_in_words(self, plan: Plan, account: Account, now: Pace) -> str:
        line = self.line(plan)
        whole = (line.monthly_bytes or 0) if line else 0
        of = f"{account.used / 1e9:.3g} of {whole / 1e9:.3g} GB used in {account.month}"
        if math.isinf(now.stretch) or now.left <= 0:
            return f"byte budget of {plan.uplink}: {of}: nothing is left for it"
        every = plan.every_s * now.stretch
        return f"byte budget of {plan.uplink}: {of}: every {every / 60:.3g} min instead of {plan.every_s / 60:.3g}"

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

    # ---- the byte budget

    def account(self, uplink: str | None) -> Account | None:
        """An uplink's, brought up to now; None where there is no budget or no counter to read."""
        line = self.uplinks.get(uplink) if uplink is not None else None
        if uplink is None or line is None or line.monthly_bytes is None:
            return None
        interface = line.interface or route_interface(self.proc, None)
        counter = moved(interface, self.proc) if interface else None
        if counter is None:
            return None
        month, _ = budget.month_of(self._utc(), self.zone)
        account = budget.observed(self.state.accounts.get(uplink), month, self._boot, counter)
        self.state.accounts[uplink] = account
        return account

    def pace(self, uplink: str | None) -> Pace | None:
        """How the heavy tests of an uplink go on."""
        account = self.account(uplink)
        line = self.uplinks.get(uplink) if uplink is not None else None
        if account is None or line is None or line.monthly_bytes is None:
            return None
        _, left_s = budget.month_of(self._utc(), self.zone)
        return budget.pace(account, line.monthly_bytes, left_s, self.tests_of(uplink))

    def tests_of(self, uplink: str | None) -> Sequence[Planned]:
        """What is planned on an uplink."""
        return [planned(plan, self.line(plan)) for plan in self.plans if plan.uplink == uplink]

    def shortened(self, plan: Plan) -> Plan:
        """The plan with the bytes that its run may move."""
        now, account = self.pace(plan.uplink), self.account(plan.uplink)
        if now is None or account is None or not hasattr(plan.params, "max_bytes") or now.size == 1:
            return plan
        usual = budget.cost_of(account, planned(plan, self.line(plan)))
        most = max(1_000_000, int(usual * now.size))
        limit = most if plan.params.max_bytes is None else min(plan.params.max_bytes, most)
        return replace(plan, params=replace(plan.params, max_bytes=limit))

    def settle(self, plan: Plan, before: Account | None, size: float) -> None:
        """After a run: what it has moved."""
        account = self.account(plan.uplink)
        if plan.uplink is None or account is None or before is None:
            return
        spent = account.used - before.used
        if spent > 0:
            account = self.state.accounts[plan.uplink] = budget.charged(account, plan.key, spent, size)
        self._tell()

    def uncharged(self, uplink: str | None, before: Account | None) -> None:
        """What was moved since was no traffic of the line."""
        account = self.account(uplink)
        if uplink is not None and account is not None and before is not None:
            self.state.accounts[uplink] = replace(account, used=before.used)

    def reports(self) -> Iterator[tuple[LineConfig, Result]]:
        """Each budget's account and pace, to be told."""
        for name, line in self.uplinks.items():
            account, now = self.account(name), self.pace(name)
            if account is not None and now is not None and line.monthly_bytes is not None:
                yield (
                    line,
                    Result(
                        uplink=name,
                        month=account.month,
                        used=account.used,
                        budget=line.monthly_bytes,
                        period_factor=now.stretch if now.stretch < math.inf else None,
                        size_factor=now.size,
                    ),
                )

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
            if before is not None and after is not None and part.interface != self._counted(plan.uplink):
                self._add(plan.uplink, max(0, after - before))

    def _counted(self, uplink: str | None) -> str | None:
        """The interface whose counter an uplink's account reads."""
        line = self.uplinks.get(uplink) if uplink is not None else None
        return (line.interface or route_interface(self.proc, None)) if line is not None else None

    def _add(self, uplink: str | None, moved_beside: int) -> None:
        """What went over the line by another interface of the box counts, too."""
        account = self.account(uplink)
        if uplink is not None and account is not None:
            self.state.accounts[uplink] = replace(account, used=account.used + moved_beside)


def planned(plan: Plan, line: LineConfig | None) -> Planned:
    """A test as the budget sees it; what stays on the site's network costs nothing."""
    rates = [rate for rate in (line.rate_down, line.rate_up) if rate] if line else []
    amount = traffic.amount_of(plan, max(rates, default=None))
    cost = 0.0 if amount is None or amount.on_link else amount.up + amount.down
    return Planned(plan.key, plan.every_s, cost, plan.probe.mode == "exclusive")


def _retry_s(plan: Plan) -> float:
    return min(RETRY_S, plan.every_s / 10)


def _clock(utc: float, zone: tzinfo | None) -> str:
    return f"{datetime.fromtimestamp(utc, zone):%a %H:%M}"
