"""What the collector knows right now: fed by what comes in and by the clock, read by metrics, API and page. No I/O."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fibrewatch.measurement import AnyMeasurement
from fibrewatch.results import ProbeType
from fibrewatch.wire import AgentId, Status
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector import own_clock
from fibrewatch_collector.alarm_series import AlarmFamilies
from fibrewatch_collector.exposition import Exposition
from fibrewatch_collector.fleet import AgentFamilies, SiteFamilies
from fibrewatch_collector.floor_series import FloorFamilies
from fibrewatch_collector.inventory import Inventory, SiteKey
from fibrewatch_collector.ledger.maintenance import Declaration
from fibrewatch_collector.objective_series import ObjectiveFamilies
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.promise_series import PromiseFamilies
from fibrewatch_collector.sla import alarms, burn, wifi_keeper
from fibrewatch_collector.sla.binner import Backlog
from fibrewatch_collector.sla.bins import Vantage
from fibrewatch_collector.sla.live import SiteState
from fibrewatch_collector.sla.minutes import Minutes
from fibrewatch_collector.sla.recent import Recent
from fibrewatch_collector.sla.tracker import Tracker
from fibrewatch_collector.store import Bin, BinState, Committed, FloorBox

NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True)
class Heard:
    """The newest status and schedule of a box."""

    status: Status | None = None
    schedule: Schedule | None = None


class Hub:
    """Not thread-safe: all calls come from the event loop.

    Attributes:
        inventory: The one in force; replaced by `set_inventory`.
        states: All sites, as of the last `tick`.
        declarations: Of work on the lines; what is over may be left out.
    """

    def __init__(
        self,
        inventory: Inventory,
        probes: Mapping[str, ProbeType],
        own: OwnMetrics,
        now: Callable[[], float],
        *,
        written: bool = False,
    ) -> None:
        """`written`: probes' values go by remote write."""
        self.now = now
        self.own = own
        self.exposition = Exposition(probes, written=written)
        self.tracker = Tracker(inventory)
        self.recent = Recent(inventory)
        self.minutes = Minutes(max(burn.windows(inventory.burns)))
        self.backlog = Backlog(lambda: self.inventory)
        self.wifi = wifi_keeper.Backlog(lambda: self.inventory)
        self._floors = FloorFamilies()
        self.heard: dict[AgentId, Heard] = {}
        self.states: Mapping[SiteKey, SiteState] = {}
        self.totals: Mapping[Vantage, Mapping[BinState, int]] = {}
        self.declarations: Sequence[Declaration] = ()
        self._agents, self._sites, self._alarms = AgentFamilies(), SiteFamilies(), AlarmFamilies()
        self._objectives = ObjectiveFamilies()
        self._promises = PromiseFamilies()
        self._worked_on: Mapping[SiteKey, frozenset[str]] = {}
        self._broker_since: float | None = None
        self._store_since: float | None = None
        self._store_problem: str | None = None
        self._clock_problem: str | None = None
        self.set_inventory(inventory)

    def set_inventory(self, inventory: Inventory) -> None:
        """Puts an inventory in force; what is no longer in it is forgotten."""
        self.inventory = inventory
        self.exposition.set_agents(inventory.agents)
        self.exposition.set_mesh(inventory.mesh)
        self.tracker.set_inventory(inventory)
        self._sites.set_inventory(inventory)
        self._objectives.set_inventory(inventory)
        self._floors.set_inventory(inventory)
        self._alarms.set_inventory(inventory)
        self._promises.set_inventory(inventory)
        self.recent.set_inventory(inventory)
        self.minutes.keep(inventory.promises)
        self.heard = {agent: self.heard.get(agent) or Heard() for agent in inventory.agents}
        self.own.levels.sites, self.own.levels.agents = len(inventory.sites), len(inventory.agents)
        self.tick()

    # ---- what comes in

    def committed(self, done: Committed, seconds: float) -> None:
        """Runs that are now in the store; the transaction took so long."""
        now = self.now()
        self.own.commit_seconds.observe(seconds)
        for agent, run in done.stored:
            self.exposition.add(agent, run, now)
            self.tracker.add(agent, run, now)
            self.recent.add(agent, run, now, self._worked_on.get(agent[:2], NOTHING))
            self.backlog.mark(agent, run)
            self.wifi.mark(agent, run)

    def recall(self, agent: AgentId, run: AnyMeasurement, received_at: float) -> None:
        """A run that was stored before the collector's start: counted already, and binned or to be marked by others."""
        self.exposition.recall(agent, run, self.now())
        self.tracker.add(agent, run, received_at)
        self.recent.add(agent, run, self.now())

    def status(self, agent: AgentId, status: Status, at: float) -> None:
        """What a box says of itself, or its last will."""
        if (heard := self.heard.get(agent)) is not None:
            heard.status = status
            self.tracker.set_status(agent, status, at)
            self._agents.set_status(agent, status)

    def schedule(self, agent: AgentId, schedule: Schedule, at: float) -> None:
        """What a box was told to do; a retained message, so `at` says nothing of the box."""
        if (heard := self.heard.get(agent)) is not None:
            heard.schedule = schedule
            self.exposition.set_schedule(agent, schedule)
            self.tracker.set_schedule(agent, schedule)
            self.backlog.set_schedule(agent, schedule)

    def set_broker(self, up: bool) -> None:
        """Whether the collector hears the boxes."""
        self._broker_since = _since(self._broker_since, up, self.now())
        self.own.levels.broker_up = up

    def set_store(self, problem: str | None) -> None:
        """Why the store does not take what it is given; None while it does."""
        self._store_problem = problem
        self._store_since = _since(self._store_since, problem is None, self.now())
        self.own.levels.store_up = problem is None

    def set_clock(self, past: float) -> str | None:
        """Notes, and returns, what is wrong with this machine's clock, if that moment has passed."""
        self._clock_problem = own_clock.complaint(self.now(), past)
        self.own.levels.clock_behind_seconds = own_clock.seconds_behind(self.now(), past)
        return self._clock_problem

    # ---- what follows

    @property
    def problems(self) -> list[str]:
        """Why the collector can't do its work; empty when it can."""
        clock = [self._clock_problem] if self._clock_problem else []
        broker = ["the broker is not connected"] if self._broker_since is None else []
        return (
            clock
            + broker
            + (
                ["the store takes nothing: " + (self._store_problem or "not read yet")]
                if self._store_since is None
                else []
            )
        )

    @property
    def listening_since(self) -> float | None:
        """Since when both broker and store are there, UTC seconds; None while one is not."""
        if self._broker_since is None or self._store_since is None:
            return None
        return max(self._broker_since, self._store_since)

    def tick(self) -> None:
        """Lets time pass: once a second, and after every change that must be seen at once."""
        now, listening = self.now(), self.listening_since
        self.exposition.expire(now)
        self.states = self.tracker.evaluate(now, listening, self.backlog.begun)
        self._worked_on = {
            key: alarms.under_work(self.declarations, site, now) for key, site in self.inventory.sites.items()
        }
        levels = self.own.levels
        levels.series = self.exposition.series()
        levels.expired_series, levels.refused_series = self.exposition.expired, self.exposition.refused

    def set_totals(self, totals: Mapping[Vantage, Mapping[BinState, int]]) -> None:
        """The bins of the last 24 hours."""
        self.totals = {vantage: counts for vantage, counts in totals.items() if vantage[:2] in self.inventory.sites}
        self._sites.set_bins(self.totals)

    def add_bins(self, bins: Iterable[Bin]) -> None:
        """Minutes that were judged, newly or again."""
        promised = (each for each in bins if each[:3] in self.inventory.promises)
        self.minutes.put(promised, self._was_worked_on)
        lengths = burn.windows(self.inventory.burns)
        self._promises.set_shares({length: self.minutes.shares(length) for length in lengths})

    def _was_worked_on(self, minute: Bin) -> bool:
        site = self.inventory.sites[minute.territory, minute.site]
        return minute.uplink in alarms.under_work(self.declarations, site, minute.minute)

    def set_floors(self, boxes: Mapping[FloorBox, bytes]) -> None:
        """The probe-minutes of the last 24 hours."""
        self._floors.set_minutes({box: codes for box, codes in boxes.items() if box[:2] in self.inventory.sites})

    def up(self, agent: AgentId) -> bool:
        """Whether a box is online and heard; while the collector can't hear, what was known last."""
        return self.tracker.up(agent, self.now(), self.listening_since or self.now())

    def last_result(self, site: SiteKey) -> float | None:
        """End of the newest run of a site's boxes, UTC seconds."""
        found = self.inventory.sites.get(site)
        ends = [self.exposition.last_result(agent) for agent in self.inventory.agents_of(found)] if found else []
        return max((end for end in ends if end is not None), default=None)

    def metrics(self, *, openmetrics: bool = False) -> Iterator[bytes]:
        """The text format or OpenMetrics, a family or two at a time: a family of a big fleet has megabytes."""
        self.tick()
        self._set_alarms()
        self._sites.set_states(self.states, {key: self.last_result(key) for key in self.states})
        self._agents.set_up({agent: self.up(agent) for agent in self.inventory.agents})
        of_sites = (self._sites, self._floors, self._objectives, self._promises, self._alarms)
        for owner in (*of_sites, self._agents, self.exposition):
            for family in owner.families():
                if text := family.text(openmetrics=openmetrics):
                    yield text.encode()
        yield self.own.text(openmetrics=openmetrics)

    def _set_alarms(self) -> None:
        now, sites = self.now(), self.inventory.sites
        worked_on = self._worked_on
        found = {key: alarms.of_site(self.states[key], site, worked_on[key]) for key, site in sites.items()}
        self._alarms.set_alarms(found, self.states, worked_on, self.inventory)
        self._promises.set_tests(self.recent.tests(now))
        self._promises.set_events(self.recent.events, self.recent.bad)
        self._alarms.set_cuts(self.tracker.cut_since)
        self._alarms.set_targets(self.tracker.targets)
        listening = self.listening_since
        silent = self.tracker.silent(now, listening) if listening is not None else ()
        at_work = {key for key, uplinks in worked_on.items() if sites[key].main_uplink in uplinks}
        dark = alarms.dark((agent for agent in silent if agent[:2] not in at_work), self.states)
        self._alarms.set_agents(self.inventory.agents, dark)


def _since(since: float | None, up: bool, now: float) -> float | None:
    if not up:
        return None
    return since if since is not None else now
