"""What surrounds a heavy test: quiet hours, the byte budget, the tenants' traffic, and the box's own limits."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from fibrewatch.errors import ToolError
from fibrewatch.measurement import Conditions
from fibrewatch.results import PROBES
from fibrewatch.results.budget import Result
from fibrewatch.schedule import phase
from fibrewatch_agent.box import Box
from fibrewatch_agent.clock import boot_id
from fibrewatch_agent.conditions import link_speed, route_interface
from fibrewatch_agent.config import AgentConfig, Plan
from fibrewatch_agent.line import budget, tenants, wan
from fibrewatch_agent.line import state as line_state
from fibrewatch_agent.line.budget import Account, Pace, Planned
from fibrewatch_agent.line.config import LineConfig, zone
from fibrewatch_agent.line.quiet_hours import quiet_until
from fibrewatch_agent.line.tenants import Look, RoundTrips
from fibrewatch_agent.line.wan import Direction, Others
from fibrewatch_agent.line.wan_poll import Poll, polling
from fibrewatch_agent.net.counters import moved
from fibrewatch_agent.traffic import forecast as traffic
from fibrewatch_agent.transfer import ceilings, hardware
from fibrewatch_agent.transfer.verdict import Evidence, capacity_of, goodput_of, judge, proved

log = logging.getLogger(__name__)

RETRY_S = 60.0
_FRESH_S = 30.0
"""A look just before a test that found nothing is not repeated by the test."""
_TAIL_S, _EACH_S = 4.0, 0.1
"""Before and after a transfer a refresh of the router's counters is waited for so long."""
_AFTER_S = 1.0
"""How long our own queue may take to run empty before round trips are looked at again."""
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
    async def around(self, plan: Plan, box: Box) -> AsyncIterator["Watch"]:
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
        watch = Watch(self, replace(plan, probe=PROBES["throughput"], params=params), part)
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


class Watch:
    """What was seen around one test."""

    def __init__(self, heavy: Heavy, plan: Plan, box: Box) -> None:
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
        try:
            async with asyncio.timeout(_TAIL_S):
                while self._poll is None or not (self._poll.ended or self._poll.edges()):  # noqa: ASYNC110 - as wan_poll
                    await asyncio.sleep(_EACH_S)
        except TimeoutError:
            return

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
            self._box.mark("valid", "tenants_unknown")
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


def planned(plan: Plan, line: LineConfig | None) -> Planned:
    """A test as the budget sees it; what stays on the site's network costs nothing."""
    rates = [rate for rate in (line.rate_down, line.rate_up) if rate] if line else []
    amount = traffic.amount_of(plan, max(rates, default=None))
    cost = 0.0 if amount is None or amount.on_link else amount.up + amount.down
    return Planned(plan.key, plan.every_s, cost, plan.probe.mode == "exclusive")


def direction_of(plan: Plan) -> Direction:
    """Which way a heavy test's traffic goes; down where its settings don't say."""
    return "up" if getattr(plan.params, "direction", "down") == "up" else "down"


def _goodput(result: Any) -> float | None:
    """TCP's payload per second, of a capacity test what TCP would have had."""
    if (capacity := getattr(result, "capacity", None)) is not None:
        return goodput_of(capacity)
    goodput: float | None = getattr(result, "goodput", None)
    return goodput


def _retry_s(plan: Plan) -> float:
    return min(RETRY_S, plan.every_s / 10)


def _clock(utc: float, zone: tzinfo | None) -> str:
    return f"{datetime.fromtimestamp(utc, zone):%a %H:%M}"
