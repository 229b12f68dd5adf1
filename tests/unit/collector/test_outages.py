"""Outages: minutes that add up, causes and evidence in each scripted fault, edges to the sample."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement, Measurement, Target
from fibrewatch.results import path
from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Floor, Inventory
from fibrewatch_collector.report import availability, known, outages
from fibrewatch_collector.report.model import Maintenance, Outage
from fibrewatch_collector.sla import periods
from fibrewatch_collector.sla.binner import Backlog, judge_all
from fibrewatch_collector.sla.outages import FACTS, Overlay, stretches
from fibrewatch_collector.store import Arrival, Delivery
from fibrewatch_collector.store.sqlite import SqliteStore
from fibrewatch_collector.store.timeline import Judged, Timeline
from tests.unit.collector.runs import T0, window
from tests.unit.collector.test_bins_outside import fleet, minute

LEGEND: tuple[Judged, ...] = (
    ("A", None),
    ("U", "access"),
    ("U", "operator"),
    ("U", "unknown"),
    ("N", "lan"),
    ("N", "target"),
    ("N", "silent"),
    ("N", "probe"),
    ("N", "targets"),
    ("A", "target"),
)
FIRST = 1000
lines = st.binary(min_size=0, max_size=200).map(
    lambda codes: Timeline(FIRST, bytes(each % (len(LEGEND) + 1) for each in codes), LEGEND)
)
overlays = st.lists(st.tuples(st.integers(FIRST - 20, FIRST + 220), st.integers(1, 60)), max_size=3).map(
    lambda drawn: _disjoint([(begin, begin + length) for begin, length in sorted(drawn)])
)


def _disjoint(drawn: list[tuple[int, int]]) -> list[Overlay]:
    found: list[Overlay] = []
    for begin, end in drawn:
        if not found or begin >= found[-1].end:
            found.append(Overlay(begin, end, str(len(found) + 1)))
    return found


@given(lines, overlays)
def test_minutes_of_outages_are_those_of_the_bins(line: Timeline, out: list[Overlay]) -> None:
    found = stretches(line, out)
    minutes = [minute for each in found for minute in range(each.begin, each.end)]
    assert len(minutes) == len(set(minutes))
    cut = [(each.begin, each.end) for each in out]
    net, gross = availability.net(line, cut, 0), availability.gross(line, cut, 0)
    assert sum(each.minutes for each in found if each.counts) == net.unavailable
    assert sum(each.minutes for each in found if each.kind == "line") == gross.unavailable
    assert sum(each.minutes for each in found if each.kind == "lan") == gross.not_measured_by.get("lan", 0)
    for part in (net, gross):
        assert part.available + part.unavailable + part.not_measured == part.total
    assert net.total + net.maintenance == gross.total == len(line.codes)
    for each in found:
        assert sum(each.causes.values()) == each.minutes


def test_short_darkness_is_no_outage_and_access_and_operator_are_one() -> None:
    codes = {"A": 1, "a": 2, "o": 3, "s": 7, "-": 0}
    line = Timeline(FIRST, bytes(codes[each] for each in "AAaaoAssssAsssssAaa"), LEGEND)
    found = [(each.kind, each.begin - FIRST, each.minutes, each.open) for each in stretches(line)]
    assert found == [("line", 2, 3, False), ("dark", 11, 5, False), ("line", 17, 2, True)]


# ---- scripted faults, from windows in a store to the outage


class World:
    """Three sites of one operator, an hour of windows each; what is said of a minute replaces it."""

    def __init__(self, folder: Path, inventory: Inventory) -> None:
        self.store, self.inventory = SqliteStore(folder / "store.db"), inventory
        self.backlog, self.seqs = Backlog(lambda: inventory), dict[AgentId, int]()

    def take_in(self, agent: AgentId, runs: Iterable[AnyMeasurement], late_s: float = 0.0) -> None:
        seq = self.seqs.get(agent, 0)
        runs = list(runs)
        for n, run in enumerate(runs, 1):
            at = run.started_at.timestamp() + 61 + late_s
            batch = Delivery(agent, "a" * 16, seq + n, at, [Arrival(seq + n, wire.encode(run), run)])
            for who, stored in self.store.commit([batch]).stored:
                self.backlog.mark(who, stored)
        self.seqs[agent] = seq + len(runs)

    def judge(self, minutes: int = 20) -> None:
        work = self.backlog.take(T0 + 60 * minutes + 5)
        self.store.save_bins(judge_all(work, self.store, self.inventory, {}))

    def outages(self, minutes: int = 20, declared: tuple[Maintenance, ...] = (), site: str = "s0") -> list[Outage]:
        self.judge(minutes)
        span = (moment(T0), moment(T0 + 60 * minutes))
        place = self.inventory.sites["paris", site]
        return list(outages.of_site(self.store, self.inventory, place, span, declared))


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def box(n: int = 0, name: str = "box") -> AgentId:
    return AgentId("paris", f"s{n}", name)


def facts(outage: Outage) -> dict[str, dict[str, str | int | float]]:
    for each in outage.evidence:
        assert set(each.values) == set(FACTS[each.id]), each
    return {each.id: dict(each.values) for each in outage.evidence}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, fleet(4, operator="Réseau L"))
    yield made
    made.store.close()


FINE = "gw edge dns far"


def hour(world: World, agent: AgentId, script: dict[int, str], minutes: int = 20, peer: str | None = None) -> None:
    """All minutes, fine unless the script says otherwise; "" is silence."""
    for number in range(minutes):
        said = script.get(number, FINE)
        world.take_in(agent, minute(said, number, peer) if said else [])


def span(begin: int, end: int, said: str) -> dict[int, str]:
    return dict.fromkeys(range(begin, end), said)


CUT = "gw -edge -dns -far"


def test_line_cut_with_one_box_is_dark_until_its_own_late_word_settles_it(world: World) -> None:
    hour(world, box(), span(5, 15, ""))
    hour(world, box(1), {})
    (dark,) = world.outages()
    assert (dark.cause, dark.counts, dark.minutes) == ("probe", False, 10)
    for number in range(5, 15):
        world.take_in(box(), minute(CUT, number), late_s=1200)
    (cut,) = world.outages()
    assert (cut.cause, cut.counts, cut.minutes, cut.open) == ("access", True, 10, False)
    told = facts(cut)
    assert told["targets_lost"] == {"targets": "dns, edge, far", "count": 3}
    assert told["gateway_answering"] == {"boxes": "box", "count": 1}
    assert told["results_late"] == {"minutes": 10}
    assert told["sites_fine"] == {"operator": "Réseau L", "count": 1}


def test_line_cut_with_4g_is_told_at_once(world: World) -> None:
    hour(world, box(), span(5, 15, CUT))
    for number in range(20):
        world.take_in(box(), minute("dns far", number, interface="wwan0"))
    (cut,) = world.outages()
    assert (cut.uplink, cut.cause, cut.counts) == ("fibre", "access", True)
    assert facts(cut)["uplink_up"] == {"uplink": "4g"}
    assert "results_late" not in facts(cut)


def test_line_cut_that_neighbours_see_while_the_box_runs_on_4g_alone(world: World) -> None:
    hour(world, box(), span(5, 15, ""))
    for number in range(20):
        world.take_in(box(), minute("dns far", number, interface="wwan0"))
        missed = "-" if 5 <= number < 15 else ""
        world.take_in(box(1), minute(FINE, number, f"{missed}{box()}"))
    (cut,) = world.outages()
    assert (cut.cause, cut.counts, cut.minutes) == ("access", True, 10)
    assert facts(cut)["neighbours_missed"] == {"sites": "paris/s1", "count": 1}
    assert facts(cut)["boxes_silent"] == {"minutes": 10}


def test_lan_down(world: World) -> None:
    hour(world, box(), span(5, 8, "-gw -edge -dns -far"))
    (down,) = world.outages()
    assert (down.cause, down.counts, down.minutes) == ("lan", False, 3)
    assert facts(down)["gateway_lost"] == {"boxes": "box", "count": 1}


def test_one_box_off_its_lan_beside_another_is_no_outage(world: World) -> None:
    hour(world, box(), span(5, 8, "-gw -edge -dns -far"))
    hour(world, box(0, "twin"), {})
    assert world.outages() == []


def test_a_second_box_proves_it_too(world: World) -> None:
    hour(world, box(), span(5, 8, CUT))
    hour(world, box(0, "twin"), span(5, 8, CUT))
    (cut,) = world.outages()
    assert facts(cut)["boxes_agree"] == {"boxes": "box, twin", "count": 2}


def test_operators_core_by_the_access_target_and_by_its_other_sites(world: World) -> None:
    hour(world, box(), span(5, 8, "gw edge -dns -far"))
    (core,) = world.outages()
    assert (core.cause, core.counts) == ("operator", True)
    assert facts(core)["access_answering"] == {"targets": "edge", "count": 1}
    for n in (1, 2, 3):
        hour(world, box(n), span(5, 8, "gw -dns -far"))
    for n in (1, 2, 3):
        (seen,) = world.outages(site=f"s{n}")
        assert (seen.cause, seen.counts) == ("operator", True)
        assert facts(seen)["sites_affected"] == {"operator": "Réseau L", "count": 3}


def test_target_dead_for_many_sites(world: World) -> None:
    for n in range(1, 4):
        hour(world, box(n), span(5, 8, "gw edge dns -far"))
    hour(world, box(), span(5, 8, "gw -dns -far"))
    (dead,) = world.outages()
    assert (dead.cause, dead.counts, dead.minutes) == ("target", False, 3)
    assert facts(dead)["targets_lost"] == {"targets": "dns, far", "count": 2}
    told = {each.values["target"]: each.values for each in dead.evidence if each.id == "target_missed"}
    assert told["far"] == {"target": "far", "missed": 3, "heard": 0}
    assert told["dns"] == {"target": "dns", "missed": 0, "heard": 3}
    assert world.outages(site="s1") == []


def test_agent_dark_and_back_is_the_probes_and_open_darkness_is_unknown(world: World) -> None:
    hour(world, box(), span(5, 11, "") | span(14, 20, ""))
    back, gone = world.outages()
    assert (back.cause, back.counts, back.minutes, back.open) == ("probe", False, 6, False)
    assert facts(back)["box_back"] == {"boxes": "box", "count": 1}
    assert "box_restarted" not in facts(back)
    assert (gone.cause, gone.counts, gone.open) == ("unknown", False, True)


def test_darkness_of_which_results_were_lost_is_unknown(world: World) -> None:
    hour(world, box(), span(5, 11, ""), minutes=11)
    world.seqs[box()] += 24  # the box had them, and had to drop them
    for number in range(11, 20):
        world.take_in(box(), [window(name, T0 + 60 * number, boot="11111111") for name in FINE.split()])
    (dark,) = world.outages()
    assert dark.cause == "unknown"
    assert facts(dark)["results_lost"] == {"count": 24}
    assert facts(dark)["box_restarted"] == {"boxes": "box", "count": 1}


def test_a_dark_agent_that_neighbours_reach_is_the_probes(world: World) -> None:
    hour(world, box(), span(5, 20, ""))
    hour(world, box(1), {}, peer=str(box()))
    (dark,) = world.outages()
    assert (dark.cause, dark.open) == ("probe", True)
    assert facts(dark)["neighbours_reached"] == {"sites": "paris/s1", "count": 1}


def test_collector_dark_is_filled_by_what_comes_late(world: World) -> None:
    for n in range(2):
        hour(world, box(n), {}, minutes=5)
    world.judge()
    assert {each.cause for each in world.outages()} == {"unknown"}
    for n in range(2):
        for number in range(5, 20):
            world.take_in(box(n), minute(FINE, number), late_s=900)
    assert world.outages() == []


@pytest.mark.parametrize(("lost", "unavailable"), [(12, 0), (13, 5), (40, 5)])
def test_brown_out_is_an_outage_above_one_in_five(world: World, lost: int, unavailable: int) -> None:
    for number in range(20):
        some = lost if 5 <= number < 10 else 0
        at = T0 + 60 * number
        names = ("edge", "dns", "far")
        world.take_in(box(), [window("gw", at), *(window(name, at, lost=some) for name in names)])
    assert sum(each.minutes for each in world.outages()) == unavailable


def test_flapping_is_told_flap_by_flap(world: World) -> None:
    hour(world, box(), dict.fromkeys(range(5, 15, 2), CUT))
    found = world.outages()
    assert [(each.minutes, each.cause) for each in found] == [(1, "access")] * 5
    assert {each.begin for each in found} == {moment(T0 + 60 * number + 7) for number in range(5, 15, 2)}


def test_edges_are_refined_by_the_samples(world: World) -> None:
    hour(world, box(), span(6, 9, CUT), minutes=5)
    for number in (5, 6, 7):
        first, lost = {5: (20.0, 40), 6: (0.0, 60), 7: (0.0, 25)}[number]
        at = T0 + 60 * number
        result = window("dns", at).result
        assert result is not None
        part = replace(result, sent=60, lost=lost, first_lost_at_s=first)
        runs = [window(name, at, result=part) for name in ("edge", "dns", "far")]
        world.take_in(box(), [window("gw", at), *runs])
    for number in range(8, 20):
        world.take_in(box(), minute(FINE, number))
    (cut,) = world.outages()
    assert cut.begin == moment(T0 + 5 * 60 + 20)
    assert cut.end == moment(T0 + 7 * 60 + 25)
    assert cut.minutes == 3


def work(begin: int, end: int, declared: int) -> Maintenance:
    begin_at, end_at, said = (moment(T0 + 60 * each) for each in (begin, end, declared))
    return Maintenance(
        id="7",
        uplink=None,
        begin=begin_at,
        end=end_at,
        who="Ann",
        why="card",
        declared_at=said,
        in_time=said < begin_at,
    )


def test_what_lies_in_declared_work_does_not_count_and_is_cut_off(world: World) -> None:
    hour(world, box(), span(5, 15, CUT))
    before, during, after = world.outages(declared=(work(7, 12, 0),))
    assert [(each.minutes, each.counts, each.maintenance) for each in (before, during, after)] == [
        (2, True, None),
        (5, False, "7"),
        (3, True, None),
    ]
    assert before.end == during.begin == moment(T0 + 7 * 60)
    assert during.end == after.begin == moment(T0 + 12 * 60)
    (late,) = world.outages(declared=(work(7, 12, 8),))
    assert (late.minutes, late.counts, late.maintenance) == (10, True, None)


def test_the_last_hop_that_answered_is_told(world: World) -> None:
    hour(world, box(), span(5, 8, CUT))
    hops = tuple(
        path.Hop(ttl=ttl, sent=3, answered=3 if where else 0, routers=(path.Router(address=where),) if where else ())
        for ttl, where in enumerate(("192.0.2.1", "198.51.100.9", None), 1)
    )
    trace: AnyMeasurement = Measurement(
        probe="path",
        test="path",
        target=Target(name="far", role="responder"),
        started_at=moment(T0 + 6 * 60 + 3),
        boottime_s=1.0,
        boot="00000000",
        duration_s=4.0,
        outcome="failed",
        error="timeout",
        result=path.Result(path=hops),
    )
    world.take_in(box(), [trace])
    (cut,) = world.outages()
    assert facts(cut)["path_last_hop"] == {"target": "far", "hop": 2, "address": "198.51.100.9"}


def test_companies_are_those_of_the_floors_that_hang_on_the_line(tmp_path: Path) -> None:
    made = fleet(1)
    (site,) = made.sites.values()
    floors = (Floor(id="1", companies=("A", "B")), Floor(id="2", companies=("B", "C")))
    fibre, mobile = site.uplinks
    site = replace(site, floors=floors, uplinks=(fibre, replace(mobile, floors=("2",))))
    assert (site.companies_on("fibre"), site.companies_on("4g")) == (3, 2)
    world = World(tmp_path, Inventory(made.territories.values(), [site]))
    hour(world, box(), span(5, 8, CUT))
    assert world.outages()[0].companies == 3
    world.store.close()


def test_what_is_not_over_is_open_though_the_newest_minutes_are_not_judged_yet() -> None:
    """Else a box that is dark now would be told to be back, and so to be to blame."""
    legend: tuple[Judged, ...] = (("A", None), ("N", "silent"), ("U", "access"))
    for codes, open_ in ((b"\1\2\2\2\2\2", True), (b"\1\2\2\2\2\2\0\0", True), (b"\1\2\2\2\2\2\1\0", False)):
        (found,) = stretches(Timeline(100, codes, legend))
        assert (found.open, found.sharp_end, found.minutes) == (open_, not open_, 5)
    cut, rest = stretches(Timeline(100, b"\1\3\3\3\0", legend), [Overlay(102, 103, "1")])[1:]
    assert (cut.maintenance, cut.open, rest.open) == ("1", False, True)


def test_a_report_knows_its_outages(world: World) -> None:
    hour(world, box(), span(5, 15, CUT))
    world.judge()
    day = moment(T0).date()
    period = periods.between(day, day, "UTC")
    knows = known.known(
        world.store, world.inventory, world.inventory.sites["paris", "s0"], period, moment(T0) + timedelta(days=3)
    )
    assert [each.minutes for each in knows.outages if each.counts] == [10]
