"""A month of heavy tests in virtual time, by the agent's scheduler, budget and quiet hours and by the responder's desk.

Simulated is what they stand on: lines, transfers, the tenants, the interface's counters, the clock. A transfer's length
is what the rule of `steady` makes of a noisy rate; its bytes are those of `amounts`.
"""

import asyncio
import math
import random
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from msgspec.structs import replace

from benchmarks.support import ROOT
from fibrewatch_agent.box import Box, Window
from fibrewatch_agent.config import AgentConfig, Plan, load_config
from fibrewatch_agent.line import budget
from fibrewatch_agent.line.accounts import planned
from fibrewatch_agent.line.budget import Account, Planned
from fibrewatch_agent.line.tenants import Look
from fibrewatch_agent.responder.desk import Desk, Ending, Entry, Limits
from fibrewatch_agent.scheduler import Scheduler
from fibrewatch_agent.slots.messages import LONGEST_WAIT_S, Wish
from fibrewatch_agent.traffic import amounts
from fibrewatch_agent.traffic.amounts import Way
from fibrewatch_agent.transfer import steady
from fibrewatch_agent.transfer.heavy import Heavy, Hold
from fibrewatch_agent.transfer.steady import Point, Rule
from fibrewatch_agent.transfer.surroundings import direction_of
from fibrewatch_agent.transfer.turn import Turn
from tests.unit.agent.virtual import VirtualLoop, Wall

DAY_S = 86400.0
REPORT_S = 0.5
"""What both ends' reports take after a transfer, as the responder grants it at most."""
PAYLOAD = 1448 / 1538
"""TCP's share of what a wire carries, as in `amounts.bulk`."""
_SAMPLE_S, _RISE_S = 0.1, 0.15
_POOL = 100

Kind = Literal["fibre", "lte"]
_NOISE: Mapping[Kind, tuple[float, float]] = {"fibre": (0.01, 0.5), "lte": (0.10, 0.8)}
"""Standard deviation of the rate over 100 ms, relative, and its correlation with the 100 ms before."""
_CONFIG = """
[agent]
territory = "{territory}"
site = "{site}"
name = "{name}"
[broker]
host = "127.0.0.1"
[schedule]
preset = "site"
time_zone = "{zone}"
quiet_hours = {quiet}
[uplinks.fibre]
interface = "eth0"
rate_down = "1 Gbit/s"
rate_up = "1 Gbit/s"
monthly_budget = "{fibre}"
[uplinks.lte]
interface = "wwan0"
rate_down = "150 Mbit/s"
monthly_budget = "{lte}"
"""
_EXTRA = """
[tests.download-lte]
probe = "throughput"
targets = ["responder-1"]
uplink = "lte"
every = "6 h"
params = { direction = "down" }
"""


class Setting(NamedTuple):
    """What is simulated.

    Attributes:
        begin: UTC seconds.
        capacity: Of the responder, bytes per second.
        busy: How often a look at the line finds the tenants busy.
        quiet_each: Every so many sites has the example's quiet hours, and `tight_each` a budget that is too small.
    """

    begin: float
    days: float = 30.0
    sites: int = 50
    capacity: float = 10e9 / 8
    busy: float = 0.05
    quiet_each: int = 5
    tight_each: int = 7
    seed: int = 1


class Used(NamedTuple):
    """One slot that was given out; times in UTC seconds, `need` in bytes per second, `moved` in bytes of frames."""

    agent: str
    test: str
    uplink: str
    need: float
    asked: float
    begin: float
    end: float
    ending: str
    moved: float


class Spent(NamedTuple):
    """What an uplink has moved in one month of its site, and may move, bytes."""

    agent: str
    uplink: str
    month: str
    used: int
    allowed: int
    adapted: bool


class Outcome(NamedTuple):
    """All that happened; `skipped` counts slots left out by test and reason, `planned` those that came."""

    used: list[Used]
    spent: list[Spent]
    skipped: Counter[tuple[str, str]]
    zones: dict[str, str]


class Collision(NamedTuple):
    """Two slots of a site at once, or more than the responder has."""

    at: float
    what: str


def collisions(used: Iterable[Used], capacity: float) -> list[Collision]:
    """From all beginnings and ends, without the desk; what ends at a moment makes room for what begins."""
    moments = sorted(edge for each in used for edge in ((each.begin, 1, each), (each.end, 0, each)))
    running: Counter[str] = Counter()
    taken, found = 0.0, []
    for at, begins, each in moments:
        site = each.agent.rpartition("/")[0]
        running[site] += 1 if begins else -1
        taken += each.need if begins else -each.need
        if running[site] > 1:
            found.append(Collision(at, f"{running[site]} slots of {site}"))
        if taken > capacity * (1 + 1e-9):
            found.append(Collision(at, f"{taken * 8 / 1e9:.2f} Gbit/s given out"))
    return found


def simulated(setting: Setting) -> Outcome:
    """Runs it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runner = stack.enter_context(asyncio.Runner(loop_factory=VirtualLoop))
        return runner.run(_month(setting, folder))


async def _month(setting: Setting, folder: Path) -> Outcome:
    wall = Wall(setting.begin)
    responder = Responder(Desk(setting.capacity, Limits()), wall.utc)
    drawn = {kind: lengths(kind, setting.seed) for kind in _NOISE}
    configs = list(_configs(setting, folder))
    sites = [SimulatedBox(config, responder, wall.utc, drawn, setting) for config in configs]
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for site in sites:
            tasks.create_task(site.live(stopping), name=site.agent)
        await asyncio.sleep(setting.days * DAY_S)
        stopping.set()
    skipped: Counter[tuple[str, str]] = Counter()
    for site in sites:
        skipped.update(site.skipped)
    zones = {site.agent: config.schedule.time_zone or "UTC" for site, config in zip(sites, configs, strict=True)}
    return Outcome(responder.used, [each for site in sites for each in site.spent.values()], skipped, zones)


# ---- the boxes' configuration


def _configs(setting: Setting, folder: Path) -> Iterator[AgentConfig]:
    """The example's targets and tests for the example's sites; a line of 4G with a test as in docs/throughput.md."""
    example = (ROOT / "deploy/agent.example.toml").read_text("utf-8")
    measured = example[example.index("[targets.operator-dns]") :] + _EXTRA
    sites = tomllib.loads((ROOT / "deploy/sites.example.toml").read_text("utf-8"))["site"]
    for index, site in enumerate(sites[: setting.sites]):
        tight = index % setting.tight_each == 0
        text = _CONFIG.format(
            territory=site["territory"],
            site=site["id"],
            name=site["agent"][0]["id"],
            zone=site["time_zone"],
            quiet='["mon-fri 08:00-19:00"]' if index % setting.quiet_each == 0 else "[]",
            fibre="250 GB" if tight else "2000 GB",
            lte="5 GB" if tight else "50 GB",
        )
        file = folder / f"{index}.toml"
        file.write_text(text + measured, "utf-8")
        yield load_config(file)


# ---- transfers


def lengths(kind: Kind, seed: int) -> list[float]:
    """How long transfers take from their first byte, by the rule that ends them, on a line with this kind's noise."""
    rng = random.Random(f"{seed} {kind}")
    return [_length(*_NOISE[kind], rng) for _ in range(_POOL)]


def _length(sigma: float, correlation: float, rng: random.Random) -> float:
    rule, points, noise, total = Rule(), [Point(0.0, 0.0)], 0.0, 0.0
    for count in range(1, round((10.0 + rule.warm_up_s) / _SAMPLE_S) + 1):
        at = count * _SAMPLE_S
        noise = correlation * noise + math.sqrt(1 - correlation**2) * rng.gauss(0.0, sigma)
        total += max(0.0, (1 - math.exp(-at / _RISE_S)) * (1 + noise)) * _SAMPLE_S
        points.append(Point(at, total))
        if at >= rule.warm_up_s + rule.least_s and rule.met(steady.estimate(points, rule.warm_up_s)):
            return at
    return points[-1].at_s


def bytes_of(rate: float, direction: Literal["down", "up"], length_s: float) -> float:
    """Of frames both ways that a transfer moves which fills the line."""
    amount = amounts.bulk(Way(rate=rate), direction, length_s, None)
    return 0.0 if amount is None else amount.up + amount.down


# ---- the responder


class Responder:
    """The desk on the virtual clock; boxes keep their connection while they wait."""

    def __init__(self, desk: Desk, utc: Callable[[], float]) -> None:
        self.desk, self._utc = desk, utc
        self.used: list[Used] = []
        self._given: dict[str, asyncio.Event] = {}
        self._number = 0

    async def slot(self, agent: str, wish: Wish, patience_s: float, turn: Turn) -> Entry:
        """The entry: running, or ended when there was none within the patience or before the box was free again."""
        self._number += 1
        request = f"ask-{self._number:08d}"
        entry = self.desk.ask(f"slot-{self._number:08d}", agent, replace(wish, request=request), self._utc())
        entry.attached += 1
        given = self._given[entry.id] = asyncio.Event()
        self.turn()
        async with turn.aside():
            await self._granted(entry, given, self._utc() + patience_s)
        del self._given[entry.id]
        return entry

    async def _granted(self, entry: Entry, given: asyncio.Event, until: float) -> None:
        """Asks again at each end of the longest wait, and gives up as `reservation` does."""
        while not given.is_set():
            left_s = until - self._utc()
            if left_s <= 0 or left_s < self.desk.expected_in(entry, self._utc()):
                self.end(entry, "released")
                return
            try:
                async with asyncio.timeout(min(left_s, LONGEST_WAIT_S)):
                    await given.wait()
            except TimeoutError:
                continue

    def turn(self) -> None:
        """Something has changed: overdue slots end, free ones are given out."""
        for entry, why in self.desk.overdue(self._utc()):
            self.desk.end(entry, why, self._utc())
        for entry in self.desk.grant(self._utc()):
            self._given[entry.id].set()
            asyncio.get_running_loop().call_later(self.desk.claim_s(entry) + 1e-3, self._look, entry)

    def _look(self, entry: Entry) -> None:
        """When it should have begun."""
        if entry.state == "running" and entry.claimed_at is None:
            self.turn()

    def end(self, entry: Entry, why: Ending, measured: float | None = None) -> None:
        """It is over."""
        self.desk.end(entry, why, self._utc(), measured)
        self.turn()

    def note(self, entry: Entry, test: str, uplink: str, moved: float) -> None:
        """Keeps a slot that was given out and has ended."""
        asked, begin, end = entry.asked_at, entry.granted_at, entry.ended_at
        ending = str(entry.ending)
        self.used.append(Used(entry.agent, test, uplink, entry.need, asked, begin, end, ending, moved))


# ---- a box


class _Lines(Heavy):
    """Quiet hours and budgets as they are; only the tenants and the interface's counter are simulated."""

    def __init__(self, counter: Callable[[str], int], busy: Callable[[], bool], utc: Callable[[], float]) -> None:
        super().__init__(utc=utc)
        self._now, self._counter, self._busy = utc, counter, busy
        self._known: dict[str | None, Sequence[Planned]] = {}

    def account(self, uplink: str | None) -> Account | None:
        """As the agent's, from the simulated counter."""
        line = self.uplinks.get(uplink) if uplink is not None else None
        if uplink is None or line is None or line.monthly_bytes is None:
            return None
        month, _ = budget.month_of(self._now(), self.zone)
        account = budget.observed(self.state.accounts.get(uplink), month, "boot", self._counter(uplink))
        self.state.accounts[uplink] = account
        return account

    def tests_of(self, uplink: str | None) -> Sequence[Planned]:
        """Reckoned once: the plans stay as they are for the month."""
        known = self._known.get(uplink)
        if known is None:
            known = self._known[uplink] = super().tests_of(uplink)
        return known

    async def look(self, plan: Plan, box: Box) -> Look:
        """The tenants are busy or not; it takes a second."""
        await asyncio.sleep(1.0)
        return Look(busy="the tenants are busy") if self._busy() else Look()


class _Steady(Scheduler):
    """Its wall clock is never stepped: a month of looking each second whether it was would take an hour."""

    async def _watch_clock(self) -> None:
        await asyncio.Event().wait()


class SimulatedBox:
    """What the scheduler needs of a runner, for one box: it moves bytes by arithmetic.

    Attributes:
        spent: By uplink and month.
    """

    def __init__(
        self,
        config: AgentConfig,
        responder: Responder,
        utc: Callable[[], float],
        lengths: Mapping[Kind, list[float]],
        setting: Setting,
    ) -> None:
        self.agent, self.stopping = "/".join(config.agent), asyncio.Event()
        self.skipped: Counter[tuple[str, str]] = Counter()
        self.spent: dict[tuple[str, str], Spent] = {}
        self._responder, self._utc, self._begin, self._lengths = responder, utc, setting.begin, lengths
        self._rng = random.Random(f"{setting.seed} {self.agent}")
        self._lines = _Lines(self._counter, lambda: self._rng.random() < setting.busy, utc)
        self._lines.adopt(config)
        self._moved = dict.fromkeys(config.uplinks, 0.0)
        self._light = {name: _light(self._lines, name) for name in config.uplinks}

    async def live(self, stopping: asyncio.Event) -> None:
        """The scheduler, with the heavy tests."""
        heavy = [plan for plan in self._lines.plans if plan.probe.mode == "exclusive"]
        await _Steady(self, self.agent, utc=self._utc).run(heavy, stopping)
        for name in self._moved:
            self._account(name)

    def listen(self, trouble: Callable[[str, str], None]) -> None:
        """No target is ever lost here."""

    def forget(self, plan: Plan) -> None:
        """Nothing is remembered of a plan."""

    async def hold(self, plan: Plan) -> Hold | None:
        """Quiet hours, budget, tenants."""
        return await self._lines.hold(plan, self._box(plan), self.agent)

    async def skip(self, plan: Plan, at: float, detail: str, reason: str | None = None) -> Any:
        """Counts it."""
        self.skipped[plan.key, reason or "overlap"] += 1

    async def run(
        self,
        plan: Plan,
        window: Window | None,
        stopping: asyncio.Event,
        trigger: str | None = None,
        turn: Turn | None = None,
    ) -> Any:
        """One test, with what `Heavy.around` does for the budget."""
        before, now = self._lines.account(plan.uplink), self._lines.pace(plan.uplink)
        await self._measure(self._lines.shortened(plan), turn or Turn(asyncio.Lock()))
        self._lines.settle(plan, before, now.size if now else 1.0)
        self._account(plan.uplink or "")

    async def _measure(self, plan: Plan, turn: Turn) -> None:
        """In a slot, if there is one."""
        entry = await self._responder.slot(self.agent, _wish(plan, self._lines), plan.params.patience_s, turn)
        moved = await self._transfer(plan, entry) if entry.state == "running" else 0.0
        if entry.granted_at:
            self._responder.note(entry, plan.test, plan.uplink or "", moved)
        else:
            self.skipped[plan.key, "no slot"] += 1

    async def _transfer(self, plan: Plan, entry: Entry) -> float:
        """Bytes of frames that it moved."""
        await asyncio.sleep(plan.params.idle_s)
        self._responder.desk.claim(entry, self._utc())
        rate, uplink = self._rate(plan), plan.uplink or ""
        length = self._length(plan, rate)
        await asyncio.sleep(length)
        moved = bytes_of(rate, direction_of(plan), length)
        self._moved[uplink] += moved
        await asyncio.sleep(REPORT_S)
        self._responder.end(entry, "done", rate * PAYLOAD)
        return moved

    def _length(self, plan: Plan, rate: float) -> float:
        """Until the rate has converged, or all was moved that may be: half a second is measured in any case."""
        drawn = self._rng.choice(self._lengths["lte" if plan.uplink == "lte" else "fibre"])
        longest: float = max(plan.params.max_bytes / (rate * PAYLOAD), plan.params.omit_s + 0.5)
        return min(drawn, longest)

    def _rate(self, plan: Plan) -> float:
        line = self._lines.line(plan)
        return (line.rate(direction_of(plan)) if line else None) or 0.0

    def _box(self, plan: Plan) -> Box:
        return Box(agent=self.agent, test=plan.test, icmp=cast(Any, None))

    def _counter(self, uplink: str) -> int:
        """What the uplink's interface has moved; light tests run all the time."""
        return int(self._moved[uplink] + (self._utc() - self._begin) * self._light[uplink])

    def _account(self, uplink: str) -> None:
        """Notes what the account holds now."""
        account, now = self._lines.account(uplink), self._lines.pace(uplink)
        allowed = self._lines.uplinks[uplink].monthly_bytes
        if account is None or now is None or allowed is None:
            return
        before = self.spent.get((uplink, account.month))
        adapted = now.adapted or (before is not None and before.adapted)
        self.spent[uplink, account.month] = Spent(self.agent, uplink, account.month, account.used, allowed, adapted)


def _light(lines: Heavy, uplink: str) -> float:
    """Bytes a second of the tests that are not heavy."""
    tests = [planned(plan, lines.line(plan)) for plan in lines.plans if plan.uplink == uplink]
    return budget.per_month([test for test in tests if not test.heavy], 1.0)


def _wish(plan: Plan, lines: Heavy) -> Wish:
    """As `slot_place` asks."""
    line = lines.line(plan)
    return Wish(
        request="-" * 8,
        direction=direction_of(plan),
        streams=plan.params.streams,
        duration=math.ceil(plan.params.duration_s) + math.ceil(plan.params.omit_s),
        rate=line.rate(direction_of(plan)) if line else None,
        priority=plan.params.priority,
        prepare=plan.params.idle_s,
    )
