"""Wi-Fi of the floors: what a probe-minute is, kept in a real store, late results and restarts included."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId
from fibrewatch_collector import recovery
from fibrewatch_collector.floor_series import FloorFamilies
from fibrewatch_collector.inventory import Agent, Floor, Inventory, Site, Territory, Uplink
from fibrewatch_collector.report import figures, known
from fibrewatch_collector.report import wifi as floors_of
from fibrewatch_collector.report.model import FloorWifi, Maintenance
from fibrewatch_collector.sla import wifi_keeper
from fibrewatch_collector.sla.objectives import Objective, Promise
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.sla.wifi import Limits, Link, Onboarded, State, judge
from fibrewatch_collector.store import Arrival, Delivery, Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.unit.collector.floor_runs import link, onboarding

T0 = datetime(2026, 3, 1, 22, tzinfo=UTC).timestamp()
HOURS = 4
FLOORS = {"box-1": "rdc", "box-2": "rdc", "box-3": "1er"}
LIMITS = Limits(signal=-67, onboarding_s=8.0, age_s=1500.0)
SITE = Site(
    territory="paris",
    id="cargo",
    name="Cargo",
    city="Paris",
    latitude=48.9,
    longitude=2.4,
    time_zone="Europe/Paris",
    uplinks=(Uplink(id="fibre", kind="fibre"),),
    floors=tuple(Floor(id=each) for each in ("rdc", "1er", "sous-sol")),
    agents=(*(Agent(id=box, floor=floor) for box, floor in FLOORS.items()), Agent(id="box-4")),
    wifi=LIMITS,
)
INVENTORY = Inventory([Territory(id="paris", name="Paris")], [SITE])
SPAN = (datetime.fromtimestamp(T0, UTC), datetime.fromtimestamp(T0 + HOURS * 3600, UTC))


class Collector:
    """Store and backlog, as the app ties them, but for threads and the clock."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path)
        self.backlog = wifi_keeper.Backlog(lambda: INVENTORY)
        self.seq: dict[str, int] = {}

    def take_in(self, box: str, runs: Sequence[AnyMeasurement], now: float) -> None:
        first = self.seq.get(box, 0) + 1
        arrivals = [Arrival(first + n, wire.encode(run), run) for n, run in enumerate(runs)]
        self.seq[box] = first + len(runs) - 1
        who = AgentId("paris", "cargo", box)
        for agent, run in self.store.commit([Delivery(who, f"{box[-1]:>016}", 1, now, arrivals)]).stored:
            self.backlog.mark(agent, run)

    def judge(self, now: float) -> None:
        self.store.save_floors(wifi_keeper.judge_all(self.backlog.take(now), self.store, INVENTORY))

    def floors(self, declared: Sequence[Maintenance] = ()) -> dict[str, FloorWifi]:
        return {each.floor: each for each in floors_of.of_site(self.store, SITE, SPAN, declared)}

    def states(self, box: str, minutes: int) -> list[State]:
        found = self.store.floors(Filter("paris", "cargo", box, begin=T0, end=T0 + 60 * minutes))
        return [State(code) for codes in found.values() for code in codes]


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    made = Collector(tmp_path / "store.db")
    yield made
    made.store.close()


def plainly(runs: dict[str, list[AnyMeasurement]]) -> dict[str, tuple[int, int]]:
    """Good and measured minutes of each floor, by looking at everything anew for each minute."""
    found = {floor: [0, 0] for floor in FLOORS.values()}
    for box, mine in runs.items():
        for minute in range(HOURS * 60):
            begin, end = T0 + 60 * minute, T0 + 60 * minute + 60
            heard = [r for r in mine if r.verdict != "invalid" and "undated" not in r.reasons]
            links = [
                r.result
                for r in heard
                if r.probe == "wifi_link" and r.outcome == "ok" and begin <= r.started_at.timestamp() < end
            ]
            links = [r for r in links if r.connected is False or r.signal is not None]
            newest: dict[str, tuple[float, bool]] = {}
            for r in heard:
                if r.probe != "wifi_onboarding" or (r.outcome == "ok" and r.result.total is None):
                    continue
                if r.outcome == "failed" and r.error == "no_interface":
                    continue
                ended = r.started_at.timestamp() + r.duration_s
                fine = r.outcome == "ok" and r.result.total <= 8.0
                if ended < end and ended > newest.get(r.test, (0.0, False))[0]:
                    newest[r.test] = (ended, fine)
            known_ones = [fine for ended, fine in newest.values() if end - ended <= 1500.0]
            if links and known_ones:
                found[FLOORS[box]][1] += 1
                found[FLOORS[box]][0] += all(known_ones) and all(r.connected and r.signal >= -67 for r in links)
    return {floor: (good, measured) for floor, (good, measured) in found.items()}


def some_runs(rng: random.Random) -> list[AnyMeasurement]:
    """Hours of a box: dead radios, weak signals, slow and failed onboardings, holes."""
    runs = []
    for minute in range(HOURS * 60):
        at = T0 + 60 * minute + rng.uniform(0, 59)
        kind = rng.random()
        if kind < 0.6:
            runs.append(link(at, rng.uniform(-75, -50)))
        elif kind < 0.7:
            runs.append(link(at, connected=False, signal=None))
        elif kind < 0.75:
            runs.append(link(at, None))
        elif kind < 0.8:
            runs.append(link(at, outcome="failed", error="no_interface", result=None))
        elif kind < 0.85:
            runs.append(link(at, verdict="invalid", reasons=("under_voltage",)))
        elif kind < 0.9:
            runs += [link(at, -50), link(at + 0.5, rng.uniform(-75, -50), test="second")]
    for slot in range(HOURS * 6):
        at, kind = T0 + 600 * slot + rng.uniform(0, 300), rng.random()
        test = rng.choice(["guests", "staff"])
        if kind < 0.5:
            runs.append(onboarding(at, rng.uniform(2, 10), test=test, duration_s=rng.uniform(2, 60)))
        elif kind < 0.6:
            runs.append(onboarding(at, outcome="failed", error="timeout", test=test))
        elif kind < 0.7:
            runs.append(onboarding(at, outcome="failed", error="no_interface", test=test, result=None))
        elif kind < 0.75:
            runs.append(onboarding(at, None, test=test))
    return runs


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_a_plain_loop_whatever_came_late(tmp_path: Path, seed: int) -> None:
    rng, now = random.Random(seed), T0 + HOURS * 3600
    made = Collector(tmp_path / "store.db")
    runs = {box: some_runs(rng) for box in FLOORS}
    waiting = [(box, each) for box, mine in runs.items() for each in mine]
    rng.shuffle(waiting)  # everything comes late, in any order, and is judged in between
    while waiting:
        part, waiting = waiting[:150], waiting[150:]
        for box in FLOORS:
            made.take_in(box, [each for whose, each in part if whose == box], now)
        if rng.random() < 0.2:  # a restart: what was not judged yet is found again
            made.backlog = wifi_keeper.Backlog(lambda: INVENTORY)
            for recalled in recovery.unjudged(made.store, None):
                made.backlog.mark(recalled.agent, recalled.run)
        made.judge(now + 3600)
    found = made.floors()
    assert {floor: (found[floor].good, found[floor].measured) for floor in ("rdc", "1er")} == plainly(runs)
    assert found["rdc"].expected == 2 * HOURS * 60
    assert found["sous-sol"] == FloorWifi(floor="sous-sol", good=0, measured=0, expected=0)
    made.store.close()


@pytest.mark.parametrize(
    ("links", "onboardings", "expected"),
    [
        ([], {}, State.NOTHING),
        ([Link(10, connected=True, strong=True)], {}, State.NO_ONBOARDING_RESULT),
        ([], {"a": [Onboarded(5, good=True)]}, State.NO_LINK_RESULT),
        ([Link(10, connected=True, strong=True)], {"a": [Onboarded(5, good=True)]}, State.GOOD),
        ([Link(10, connected=True, strong=False)], {"a": [Onboarded(5, good=True)]}, State.WEAK_SIGNAL),
        ([Link(10, connected=True, strong=True)], {"a": [Onboarded(5, good=False)]}, State.SLOW_ONBOARDING),
        ([Link(10, connected=True, strong=False)], {"a": [Onboarded(5, good=False)]}, State.BOTH),
        ([Link(10, connected=False, strong=False)], {"a": [Onboarded(5, good=True)]}, State.NOT_CONNECTED),
        (
            [Link(10, connected=True, strong=True), Link(40, connected=True, strong=False)],
            {"a": [Onboarded(5, good=True)]},
            State.WEAK_SIGNAL,
        ),
        (
            [Link(10, connected=True, strong=True)],
            {"a": [Onboarded(5, good=True)], "b": [Onboarded(50, good=False)]},
            State.SLOW_ONBOARDING,
        ),
        ([Link(10, connected=True, strong=True)], {"a": [Onboarded(60, good=True)]}, State.NO_ONBOARDING_RESULT),
        ([Link(10, connected=True, strong=True)], {"a": [Onboarded(-1440, good=True)]}, State.GOOD),
        ([Link(10, connected=True, strong=True)], {"a": [Onboarded(-1441, good=True)]}, State.NO_ONBOARDING_RESULT),
    ],
)
def test_a_probe_minute(links: list[Link], onboardings: dict[str, list[Onboarded]], expected: State) -> None:
    assert judge([0], links, onboardings, LIMITS) == {0: expected}


def test_a_minute_is_judged_once_it_is_over_and_again_when_its_onboarding_comes_late(collector: Collector) -> None:
    collector.take_in("box-1", [onboarding(T0 - 600), link(T0 + 1), link(T0 + 61), link(T0 + 121)], T0 + 122)
    collector.judge(T0 + 122)
    assert collector.states("box-1", 3) == [State.GOOD, State.NOTHING, State.NOTHING]
    collector.judge(T0 + 190)
    assert collector.states("box-1", 3) == [State.GOOD] * 3
    collector.take_in("box-1", [onboarding(T0 + 55, 9.0)], T0 + 200)
    collector.judge(T0 + 200)
    assert collector.states("box-1", 3) == [State.GOOD, State.SLOW_ONBOARDING, State.SLOW_ONBOARDING]


def test_a_box_that_stands_on_no_floor_counts_nowhere(collector: Collector) -> None:
    collector.take_in("box-4", [onboarding(T0), link(T0 + 61)], T0 + 200)
    collector.judge(T0 + 200)
    assert collector.floors() == {}


def hour_of(collector: Collector, good: int, weak: int, unmeasured: int = 0) -> None:
    """So many minutes of box-3, alone on its floor; the last ones without a look at the link."""
    runs = [onboarding(T0 + 600 * n - 10) for n in range(HOURS * 6)]
    runs += [link(T0 + 60 * n + 5, -50.0 if n < good else -70.0) for n in range(good + weak)]
    runs += [link(T0 + 60 * (good + weak + n) + 5, None) for n in range(unmeasured)]
    collector.take_in("box-3", runs, T0 + HOURS * 3600)
    collector.judge(T0 + HOURS * 3600 + 60)


def test_declared_work_takes_its_minutes_out(collector: Collector) -> None:
    hour_of(collector, good=100, weak=HOURS * 60 - 100)
    begin = SPAN[0] + timedelta(minutes=100)
    work = Maintenance(
        id="1",
        uplink=None,
        begin=begin,
        end=begin + timedelta(minutes=120),
        who="Ann",
        why="new access points",
        declared_at=SPAN[0] - timedelta(days=1),
        in_time=True,
    )
    whole = collector.floors()["1er"]
    assert (whole.good, whole.measured) == (100, 240)
    of_line = collector.floors([replace(work, uplink="fibre")])["1er"]
    assert (of_line.good, of_line.measured) == (100, 240), "work on a line is no work on the air"
    less = collector.floors([work])["1er"]
    assert (less.good, less.measured, less.expected) == (100, 120, 120)


@pytest.mark.parametrize(
    ("good", "weak", "unmeasured", "answer"),
    [(240, 0, 0, "pass"), (160, 80, 0, "fail"), (200, 0, 40, "insufficient"), (228, 12, 0, "undecided")],
)
def test_the_floors_share_is_judged_in_the_report(
    collector: Collector, good: int, weak: int, unmeasured: int, answer: str
) -> None:
    hour_of(collector, good, weak, unmeasured)
    promise = Promise(
        sla="gold",
        contract="",
        busy=None,
        coverage_floor=0.9,
        grace_s=0.0,
        objectives=(Objective(id="wifi", kind="coverage", asked=0.95),),
    )
    inventory = Inventory(
        [Territory(id="paris", name="Paris")], [SITE], promises={("paris", "cargo", "fibre"): promise}
    )
    period = Period(label="x", begin=SPAN[0], end=SPAN[1], time_zone="Europe/Paris")
    now = SPAN[1] + timedelta(hours=1)
    knows = known.known(collector.store, inventory, SITE, period, now)
    made = figures.report(collector.store, inventory, SITE, period, now, knows=knows)
    found = {each.subject: each for each in made.findings}["1er"]
    assert (found.answer, found.met, found.n) == (answer, good, good + weak)
    assert made.methods.formulas["wifi"] == 1
    assert {each.subject: each.answer for each in made.findings}["rdc"] == "insufficient"


def test_the_last_hours_share_and_the_last_days_minutes_are_metrics(collector: Collector) -> None:
    hour_of(collector, good=210, weak=30)
    shown = FloorFamilies()
    shown.set_inventory(INVENTORY)
    shown.set_minutes(collector.store.floors(Filter(begin=T0 + HOURS * 3600 - 86400, end=T0 + HOURS * 3600)))
    text = "".join(family.text() for family in shown.families())
    at = '{territory="paris",site="cargo",floor="1er"'
    assert f"fibrewatch_floor_wifi_good_ratio{at}}} 0.5\n" in text
    assert f'fibrewatch_floor_wifi_bins{at},state="good"}} 210\n' in text
    assert f'fibrewatch_floor_wifi_bins{at},state="weak_signal"}} 30\n' in text
    assert 'fibrewatch_site_wifi_limit_signal_dbm{territory="paris",site="cargo"} -67' in text
    assert 'floor="rdc"' not in text
