"""Bins in a real store: each minute once, late results restate, the dark is N, a restart forgets nothing."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId, ScheduledTest
from fibrewatch_collector import recovery
from fibrewatch_collector.inventory import Agent, Inventory, Uplink
from fibrewatch_collector.sla.binner import Backlog, judge_all
from fibrewatch_collector.store import Arrival, Bin, Delivery
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.unit.collector.runs import T0, in_paris, parisian, window

SITES = 5


def fleet() -> Inventory:
    uplinks = Uplink(id="fibre", kind="fibre"), Uplink(id="4g", kind="mobile")
    return in_paris(parisian(n, uplinks, (Agent(id="box", interfaces={"wwan0": "4g"}),)) for n in range(SITES))


class Collector:
    """Store and backlog, as the app ties them, but for threads and the clock."""

    def __init__(self, path: Path) -> None:
        self.store, self.inventory = SqliteStore(path), fleet()
        self.backlog = Backlog(lambda: self.inventory)
        self.seq = 0

    def resume(self, now: float) -> "Collector":
        before = recovery.judged(self.store, now)
        if before.newest is not None:
            self.backlog.resume(before.uplinks, before.newest)
        for each in recovery.unjudged(self.store, before.newest):
            self.backlog.mark(each.agent, each.run)
        return self

    def take_in(self, site: int, runs: Iterable[AnyMeasurement], now: float) -> None:
        agent = AgentId("paris", f"s{site}", "box")
        arrivals = [Arrival(self.seq + n, wire.encode(run), run) for n, run in enumerate(runs, 1)]
        first, self.seq = self.seq + 1, self.seq + len(arrivals)
        done = self.store.commit([Delivery(agent, f"{site:016x}", first, now, arrivals)])
        for who, run in done.stored:
            self.backlog.mark(who, run)

    def judge(self, now: float) -> None:
        work = self.backlog.take(now)
        self.store.save_bins(judge_all(work, self.store, self.inventory, self.backlog.intervals()))

    def bins(self, site: int = 0) -> list[Bin]:
        return self.store.bins("paris", f"s{site}", T0 - 86400, T0 + 86400)

    def said(self, site: int = 0, uplink: str = "fibre") -> list[tuple[int, str, str | None]]:
        """Minute since T0, state, cause."""
        return [((each.minute - T0) // 60, each.state, each.cause) for each in self.bins(site) if each.uplink == uplink]


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    made = Collector(tmp_path / "store.db")
    yield made
    made.store.close()


def minute(said: str, number: int, interface: str | None = None) -> list[AnyMeasurement]:
    """One window of a minute to each target: `gw dns -far`."""
    return [window(name, T0 + 60 * number, interface=interface) for name in said.split()]


def test_minute_is_judged_once_it_is_over_and_its_grace_too(collector: Collector) -> None:
    collector.take_in(0, minute("gw dns far", 0), T0 + 62)
    collector.judge(T0 + 64)
    assert collector.bins() == []
    collector.judge(T0 + 65)
    assert collector.said() == [(0, "A", None)]


def test_minutes_without_data_are_not_measured(collector: Collector) -> None:
    collector.take_in(0, minute("gw dns far", 0), T0 + 62)
    collector.judge(T0 + 65)
    collector.judge(T0 + 245)
    assert collector.said() == [(0, "A", None), (1, "N", "silent"), (2, "N", "silent"), (3, "N", "silent")]


def test_late_results_restate_their_minutes(collector: Collector) -> None:
    collector.take_in(0, minute("gw dns far", 0), T0 + 62)
    collector.judge(T0 + 305)
    collector.take_in(0, minute("gw -dns -far", 1) + minute("-gw -dns -far", 2), T0 + 310)
    collector.judge(T0 + 311)
    assert collector.said()[:4] == [(0, "A", None), (1, "U", "access"), (2, "N", "lan"), (3, "N", "silent")]


def test_results_from_before_the_first_minute_fill_the_time_between(collector: Collector) -> None:
    collector.take_in(0, minute("gw dns far", 5), T0 + 362)
    collector.judge(T0 + 365)
    collector.take_in(0, minute("gw dns far", 2), T0 + 366)
    collector.judge(T0 + 367)
    assert collector.said() == [(2, "A", None), (3, "N", "silent"), (4, "N", "silent"), (5, "A", None)]


def test_uplinks_are_judged_apart(collector: Collector) -> None:
    collector.take_in(0, minute("gw -dns -far", 0, "eth0") + minute("dns far", 0, "wwan0"), T0 + 62)
    collector.judge(T0 + 65)
    assert collector.said(uplink="fibre") == [(0, "U", "access")]
    assert collector.said(uplink="4g") == [(0, "A", None)]


def test_too_few_samples_are_not_measured_unless_the_schedule_asks_for_few(collector: Collector) -> None:
    runs = [window(name, T0, sent=12) for name in ("dns", "far")]
    collector.take_in(0, runs, T0 + 62)
    collector.judge(T0 + 65)
    assert collector.said() == [(0, "N", "samples")]
    tests = [
        ScheduledTest(test="ping", probe="ping", mode="window", every_s=60, interval_s=5, target=name)
        for name in ("dns", "far")
    ]
    collector.backlog.set_schedule(AgentId("paris", "s0", "box"), wire.Inventory(version="1", schedule=tuple(tests)))
    collector.take_in(0, [window("gw", T0)], T0 + 70)
    collector.judge(T0 + 71)
    assert collector.said() == [(0, "A", None)]


@pytest.mark.parametrize("odd", [{"reasons": ("undated",)}, {"verdict": "invalid", "reasons": ("cpu_busy",)}])
def test_windows_that_prove_nothing_make_no_bins(collector: Collector, odd: dict[str, object]) -> None:
    collector.take_in(0, [window(name, T0, **odd) for name in ("dns", "far")], T0 + 62)
    collector.judge(T0 + 365)
    assert collector.bins() == []


def test_dead_target_is_blamed_even_when_the_evidence_comes_late(collector: Collector) -> None:
    collector.take_in(0, minute("gw -dns -far", 0), T0 + 62)
    collector.judge(T0 + 65)
    assert collector.said() == [(0, "U", "access")]
    for site in (1, 2, 3):
        collector.take_in(site, minute("gw dns -far", 0), T0 + 70)
    collector.judge(T0 + 71)
    assert collector.said() == [(0, "N", "target")]
    assert collector.said(1) == [(0, "A", "target")]
    for site in (1, 2, 3):  # two of them have a second look, and there it answers: so it was not the target
        collector.take_in(site, minute("dns far", 0, "wwan0"), T0 + 80)
    collector.judge(T0 + 81)
    assert collector.said() == [(0, "U", "access")]


def history() -> list[tuple[int, list[AnyMeasurement]]]:
    """Deliveries of all sites over some minutes, with cuts, gaps and a dead target."""
    chance = random.Random(5)
    found = []
    for number in range(12):
        for site in range(SITES):
            said = chance.choice(["gw dns far", "gw dns far", "gw dns -far", "gw -dns -far", "-gw -dns -far", ""])
            if number == 7:
                said = "gw dns -far" if site else "gw -dns -far"
            found += [(site, [run]) for run in minute(said, number)]
    return found


def test_order_delay_and_repetition_change_no_bin(tmp_path: Path) -> None:
    found = []
    for n, seed in enumerate((None, 1, 2)):
        collector = Collector(tmp_path / f"{n}.db")
        deliveries = history()
        if seed is not None:
            random.Random(seed).shuffle(deliveries)
        for count, (site, runs) in enumerate(deliveries):
            collector.take_in(site, runs, T0 + 12 * 60 + 62)
            if seed is not None and count % 40 == 39:
                collector.judge(T0 + 12 * 60 + 66)
        collector.judge(T0 + 12 * 60 + 66)
        found.append([collector.bins(site) for site in range(SITES)])
        collector.store.close()
    assert found[0] == found[1] == found[2]
    said = {(each.state, each.cause) for site in found[0] for each in site}
    assert said >= {("A", None), ("A", "target"), ("U", "access"), ("N", "lan"), ("N", "target"), ("N", "silent")}


def test_restart_goes_on_where_the_bins_end(tmp_path: Path) -> None:
    path, end = tmp_path / "store.db", T0 + 12 * 60 + 66
    whole = Collector(tmp_path / "whole.db")
    broken = Collector(path)
    for count, (site, runs) in enumerate(history()):
        at = runs[0].started_at.timestamp() + 62
        for each in (whole, broken):
            each.take_in(site, runs, at)
        if count == 60:
            broken.judge(at + 5)
        if count in (75, 120):  # killed: what was due is forgotten, what was committed is not
            seq = broken.seq
            broken.store.close()
            broken = Collector(path).resume(at)
            broken.seq = seq
    whole.judge(end)
    broken.judge(end)
    for site in range(SITES):
        assert broken.bins(site) == whole.bins(site)
        minutes = [number for number, _, _ in broken.said(site)]
        assert minutes == list(range(minutes[0], 13))
    whole.store.close()
    broken.store.close()


def test_late_results_after_a_restart_leave_the_other_bins_alone(tmp_path: Path) -> None:
    before = Collector(tmp_path / "store.db")
    for number in (0, 1, 3, 4):
        before.take_in(0, minute("gw dns far", number), T0 + 60 * number + 62)
    before.judge(T0 + 305)
    before.store.close()
    after = Collector(tmp_path / "store.db").resume(T0 + 306)
    after.seq = before.seq
    after.take_in(0, minute("gw -dns -far", 2), T0 + 310)
    after.take_in(0, minute("gw dns far", -2), T0 + 310)
    after.judge(T0 + 366)
    states = [(-2, "A"), (-1, "N"), (0, "A"), (1, "A"), (2, "U"), (3, "A"), (4, "A"), (5, "N")]
    assert [(number, state) for number, state, _ in after.said()] == states
    after.store.close()


def test_import_beside_a_running_collector_restates_what_was_judged(collector: Collector) -> None:
    collector.take_in(0, minute("gw dns far", 0), T0 + 62)
    collector.take_in(0, minute("gw dns far", 4), T0 + 302)
    collector.judge(T0 + 305)
    imported(collector)
    assert [state for _, state, _ in collector.said()] == ["A", "N", "U", "N", "A"]
    assert [state for _, state, _ in collector.said(uplink="4g")] == ["A", "N", "N", "N"]


def test_import_beside_a_collector_that_heard_nothing_yet_is_judged(collector: Collector) -> None:
    imported(collector)
    assert [(number, state) for number, state, _ in collector.said()] == [(2, "U"), (3, "N"), (4, "N"), (5, "A")]
    assert [state for _, state, _ in collector.said(uplink="4g")] == ["A", "N", "N", "N", "N"]
    assert recovery.judged(collector.store, T0 + 402).newest == T0 + 300


def imported(collector: Collector) -> None:
    """Three minutes of two uplinks that another collector was told."""
    agent = AgentId("paris", "s0", "box")
    arrivals = [
        Arrival(n, wire.encode(run), run)
        for n, run in enumerate(minute("gw -dns -far", 2) + minute("gw dns far", 5) + minute("dns far", 1, "wwan0"), 1)
    ]
    collector.store.commit([Delivery(agent, "f" * 16, 0, T0 + 400, arrivals)])
    assert recovery.rejudge(collector.store, collector.inventory, T0 + 400, T0 + 401) > 0
