"""The page's verdicts are the report's: the same views, told live and kept as bins, give the same causes."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId, ScheduledTest
from fibrewatch.wire import Inventory as Schedule
from fibrewatch_collector.inventory import Agent, Inventory, Site, Uplink
from fibrewatch_collector.sla.binner import Backlog, judge_all
from fibrewatch_collector.sla.bins import Vantage, Verdict
from fibrewatch_collector.sla.tracker import Tracker
from fibrewatch_collector.store import Arrival, Delivery
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.unit.collector.runs import T0, in_paris, parisian, window

SITES, MINUTES = 6, 150
Said = list[tuple[AgentId, list[AnyMeasurement]]]


def fleet() -> Inventory:
    """Three sites and three hang on an operator each; all have a modem, every second one a box of its own on it."""

    def site(n: int) -> Site:
        fibre = Uplink(id="fibre", kind="fibre", operator="L" if n % 2 else "R")
        names = ("box", "two") if n % 2 else ("box",)
        agents = tuple(Agent(id=name, interfaces={"eth0": "fibre", "wwan0": "4g"}) for name in names)
        return parisian(n, (fibre, Uplink(id="4g", kind="mobile", operator="M")), agents)

    return in_paris(map(site, range(SITES)))


def boxes(inventory: Inventory) -> list[AgentId]:
    return [agent for site in inventory.sites.values() for agent in inventory.agents_of(site)]


def minute(draw: random.Random, inventory: Inventory, at: float) -> Said:
    """What everybody says of a minute: moods make faults that many share likely enough."""
    everyone = boxes(inventory)
    dead = draw.choice(["", "", "dns", "far"])
    gone = {each.site for each in everyone if draw.random() < draw.choice([0.0, 0.2, 0.7])}
    found: Said = []
    for box in everyone:
        fibre = draw.choice(["up"] * 4 + ["cut", "core", "lan", "silent", "sparse"])
        fibre = "cut" if box.site in gone and fibre == "up" else fibre
        runs = list(_windows(draw, fibre, dead, at, "eth0")) + list(_peers(draw, everyone, box, fibre, gone, at))
        if draw.random() < 0.5:
            runs += _windows(draw, draw.choice(["up", "up", "cut"]), dead, at, "wwan0")
        if runs:
            found.append((box, runs))
    return found


def _windows(
    draw: random.Random, mood: str, dead: str, at: float, interface: str, chance: float = 0.9
) -> Iterator[AnyMeasurement]:
    lost = {"cut": {"edge", "dns", "far"}, "core": {"dns", "far"}, "lan": {"gw", "edge", "dns", "far"}}.get(mood, set())
    for target in ("gw", "edge", "dns", "far") if mood != "silent" else ():
        if draw.random() < chance and not (target == "gw" and interface == "wwan0"):
            name = f"-{target}" if target in lost or target == dead else target
            yield window(name, at, interface=interface, sent=20 if mood == "sparse" else 60)


def _peers(
    draw: random.Random, everyone: list[AgentId], box: AgentId, mood: str, gone: set[str], at: float
) -> Iterator[AnyMeasurement]:
    for other in draw.sample(everyone, 3) if mood != "silent" else ():
        if other.site != box.site:
            hears = mood == "up" and other.site not in gone and draw.random() < 0.8
            name = "to-" + str(other).replace("/", "-")
            yield window(name if hears else f"-{name}", at, peer=str(other), interface="eth0")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "store.db")
    yield made
    made.close()


def live(inventory: Inventory, said: Said, at: float, begun: set[Vantage]) -> dict[Vantage, Verdict]:
    """Of lines that are measured, or cut."""
    tracker = Tracker(inventory)
    for box, runs in said:
        for run in runs:
            tracker.add(box, run, at + 62)
    states = tracker.evaluate(at + 63, at - 3600, begun)
    return {(*key, uplink): verdict for key, state in states.items() for uplink, verdict in state.uplinks.items()}


def _delivery(number: int, box: AgentId, runs: list[AnyMeasurement], at: float) -> Delivery:
    arrivals = [Arrival(place, wire.encode(run), run) for place, run in enumerate(runs, 1)]
    return Delivery(box, f"{number:016x}", 1, at + 62, arrivals)


def test_the_same_views_give_the_same_verdicts_on_the_page_and_in_the_report(store: SqliteStore) -> None:
    inventory, draw = fleet(), random.Random(17)
    backlog, begun, seen, compared = Backlog(lambda: inventory), set[Vantage](), set[Verdict](), 0
    for number in range(MINUTES):
        at = T0 + 60.0 * number
        said = minute(draw, inventory, at)
        for box, run in store.commit([_delivery(number, box, runs, at) for box, runs in said]).stored:
            backlog.mark(box, run)
            begun.add((*box[:2], inventory.uplink_of(box, run.interface) or ""))
        kept = judge_all(backlog.take(at + 65), store, inventory, backlog.intervals())
        store.save_bins(kept)
        bins = {each[:3]: Verdict(each.state, each.cause) for each in kept if each.minute == at}  # type: ignore[arg-type]
        page = live(inventory, said, at, begun)
        assert {vantage: bins[vantage] for vantage in page} == page, number
        assert all(vantage in page for vantage, verdict in bins.items() if verdict.state != "N"), number
        seen |= set(page.values())
        compared += len(page)
    assert compared > 5 * MINUTES
    assert {verdict.cause for verdict in seen} >= {"access", "operator", "lan", "target", "unknown", "targets"}


def test_a_window_of_few_samples_says_as_little_on_the_page_as_in_a_report() -> None:
    inventory, box = fleet(), AgentId("paris", "s0", "box")
    tracker = Tracker(inventory)
    for name in ("gw", "-dns", "-far"):
        tracker.add(box, window(name, T0, sent=20), T0 + 62)
    assert tracker.evaluate(T0 + 63, T0 - 3600)["paris", "s0"][:2] == ("unknown", "samples")
    tests = tuple(
        ScheduledTest(test="ping", probe="ping", mode="window", every_s=60, interval_s=3, target=name)
        for name in ("gw", "dns", "far")
    )
    tracker.set_schedule(box, Schedule(version="1", schedule=tests))
    for name in ("gw", "-dns", "-far"):
        tracker.add(box, window(name, T0 + 60, sent=20), T0 + 122)
    assert tracker.evaluate(T0 + 123, T0 - 3600)["paris", "s0"][:2] == ("down", "access")


def test_a_line_that_was_never_measured_is_not_cut() -> None:
    """A box whose fibre is still to come: others look for it there, and it runs over its modem."""
    inventory, box = fleet(), AgentId("paris", "s0", "box")
    others = [window("gw", T0), window("dns", T0), window("-peer", T0, peer=str(box))]
    mine = [window(name, T0, interface="wwan0") for name in ("dns", "far")]
    said: Said = [(box, mine), (AgentId("paris", "s1", "box"), others)]
    mobile = ("paris", "s0", "4g")
    assert live(inventory, said, T0, {mobile})[mobile].state == "A"
    assert ("paris", "s0", "fibre") not in live(inventory, said, T0, {mobile})
    assert live(inventory, said, T0, {mobile, ("paris", "s0", "fibre")})["paris", "s0", "fibre"] == ("U", "access")
