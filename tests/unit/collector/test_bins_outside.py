"""What others see of a site that says nothing itself: a neighbour, a second uplink, the operator's other sites."""

import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from fibrewatch import wire
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Agent, Inventory, Site, Uplink
from fibrewatch_collector.sla import bins
from fibrewatch_collector.sla.binner import Backlog, judge_all
from fibrewatch_collector.sla.bins import Flow, Outside, Vantage, Verdict, judge, unseen
from fibrewatch_collector.store import Arrival, Delivery
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.unit.collector.runs import T0, in_paris, parisian, window

BOX, TWIN = AgentId("paris", "s0", "box"), AgentId("paris", "s0", "twin")
NEIGHBOUR = AgentId("paris", "s1", "box")
HOME: Vantage = ("paris", "s0", "fibre")
BOTH = frozenset({BOX, TWIN})


@pytest.mark.parametrize(
    ("outside", "verdict"),
    [
        (Outside(), ("N", "silent")),
        (Outside(heard=frozenset({BOX})), ("N", "probe")),
        (Outside(missed=frozenset({BOX})), ("N", "silent")),  # a dead box is missed too
        (Outside(missed=BOTH), ("N", "silent")),  # and so are two of them without power
        (Outside(missed=frozenset({BOX}), alive=frozenset({TWIN})), ("N", "silent")),
        (Outside(missed=frozenset({BOX}), alive=frozenset({BOX})), ("U", "access")),
        (Outside(missed=BOTH, alive=frozenset({AgentId("paris", "s0", "mobile")})), ("U", "access")),
        (Outside(heard=frozenset({TWIN}), missed=frozenset({BOX}), alive=frozenset({BOX})), ("N", "probe")),
    ],
)
def test_a_silent_line_is_cut_only_where_its_boxes_are_seen_to_run(
    outside: Outside, verdict: tuple[bins.BinState, bins.Cause]
) -> None:
    assert unseen(outside) == verdict


def test_who_is_reached_from_outside_has_no_cut_line() -> None:
    lost = [Flow(BOX, "gw", "gateway", True), Flow(BOX, "dns", "neutral", False), Flow(BOX, "far", "responder", False)]
    assert judge(lost) == ("U", "access")
    assert judge(lost, outside=Outside(heard=frozenset({BOX}))) == ("U", "operator")


def home(box: AgentId) -> Vantage:
    return (box.territory, box.site, "fibre")


def seen_by(*flows: Flow, at: Vantage = ("paris", "s1", "fibre")) -> Mapping[Vantage, Outside]:
    return bins.outside_views({at: flows}, home)


def test_a_miss_counts_only_from_who_hears_others_far_away() -> None:
    miss = Flow(NEIGHBOUR, "paris.s0.box", "responder", False, str(BOX))
    assert seen_by(miss, Flow(NEIGHBOUR, "dns", "neutral", True))[HOME].missed == {BOX}
    assert seen_by(miss, Flow(NEIGHBOUR, "gw", "gateway", True), Flow(NEIGHBOUR, "edge", "access", True)) == {}
    assert seen_by(miss, Flow(AgentId("paris", "s1", "other"), "dns", "neutral", True)) == {}


def test_a_box_beside_it_on_the_same_line_is_not_outside() -> None:
    hears = Flow(TWIN, "paris.s0.box", "responder", True, str(BOX))
    assert seen_by(hears, at=HOME) == {}
    assert seen_by(hears, at=("paris", "s0", "4g"))[HOME] == Outside(heard=frozenset({BOX}), alive=frozenset({TWIN}))


def lines(*said: str) -> dict[Vantage, Verdict]:
    """A site each: `access`, `operator` or `fine`."""
    verdicts = {"fine": Verdict("A", None), "lan": Verdict("N", "lan")}
    return {
        ("paris", f"s{n}", "fibre"): verdicts.get(each) or Verdict("U", "access" if each == "access" else "operator")
        for n, each in enumerate(said)
    }


@pytest.mark.parametrize(
    ("said", "causes"),
    [
        (("access",) * 3, {"operator"}),
        (("access", "access", "operator", "fine"), {"operator", None}),
        (("access", "access"), {"access"}),  # two are not many
        (("access",) * 3 + ("fine",) * 3, {"access", None}),
        (("access",) * 3 + ("lan",) * 9, {"operator", "lan"}),  # those who can't tell are no witnesses
    ],
)
def test_many_of_an_operators_lines_cut_at_once_blame_its_network(said: tuple[str, ...], causes: set[str]) -> None:
    verdicts = lines(*said)
    found = bins.shared_faults(verdicts, dict.fromkeys(verdicts, "Réseau L"))
    assert {each.cause for each in found.values()} == causes
    assert [each.state for each in found.values()] == [each.state for each in verdicts.values()]


def test_lines_of_different_operators_share_no_fault() -> None:
    verdicts = lines("access", "access", "access", "access")
    assert bins.shared_faults(verdicts, {vantage: vantage[1] for vantage in verdicts}) == verdicts
    assert bins.shared_faults(verdicts, {}) == verdicts


# ---- in the store


def fleet(sites: int = 3, operator: str | None = None) -> Inventory:
    uplinks = Uplink(id="fibre", kind="fibre", operator=operator), Uplink(id="4g", kind="mobile")
    boxes = Agent(id="box", interfaces={"eth0": "fibre", "wwan0": "4g"}), Agent(id="twin")
    return in_paris(parisian(n, uplinks, boxes) for n in range(sites))


class Rig:
    """A store and its backlog, by hand."""

    def __init__(self, path: Path, inventory: Inventory) -> None:
        self.store, self.inventory = SqliteStore(path), inventory
        self.backlog, self.seq = Backlog(lambda: inventory), 0

    def take_in(self, agent: AgentId, runs: Iterable[AnyMeasurement]) -> None:
        arrivals = [Arrival(self.seq + n, wire.encode(run), run) for n, run in enumerate(runs, 1)]
        first, self.seq = self.seq + 1, self.seq + len(arrivals)
        for who, run in self.store.commit([Delivery(agent, "a" * 16, first, T0, arrivals)]).stored:
            self.backlog.mark(who, run)

    def judge(self, minutes: int) -> None:
        work = self.backlog.take(T0 + 60 * minutes + 5)
        self.store.save_bins(judge_all(work, self.store, self.inventory, {}))

    def said(self, site: str = "s0", uplink: str = "fibre") -> list[tuple[str, str | None]]:
        found = self.store.bins("paris", site, T0 - 3600, T0 + 3600)
        return [(each.state, each.cause) for each in found if each.uplink == uplink]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "store.db", fleet())
    yield made
    made.store.close()


def minute(said: str, number: int, peer: str | None = None, **fields: object) -> list[AnyMeasurement]:
    """`gw -dns far`, and a peer, whose name has a minus when it is lost."""
    runs = [window(name, T0 + 60 * number, **fields) for name in said.split()]
    if peer is not None:
        name = ("-" if peer.startswith("-") else "") + peer.strip("-").replace("/", ".")
        runs.append(window(name, T0 + 60 * number, peer=peer.strip("-"), **fields))
    return runs


def test_a_neighbour_tells_a_dark_agent_and_its_late_word_settles_it(rig: Rig) -> None:
    rig.take_in(BOX, minute("gw dns far", 0))
    rig.take_in(NEIGHBOUR, minute("gw dns far", 0, str(BOX)) + minute("gw dns far", 1, str(BOX)))
    rig.take_in(NEIGHBOUR, minute("gw dns far", 2, "-" + str(BOX)))
    rig.judge(3)
    assert rig.said() == [("A", None), ("N", "probe"), ("N", "silent")]
    rig.take_in(BOX, minute("gw -dns -far", 2))
    rig.judge(3)
    assert rig.said() == [("A", None), ("N", "probe"), ("U", "access")]


def test_the_second_uplink_and_a_neighbour_prove_a_cut_before_the_box_can_tell(rig: Rig) -> None:
    rig.take_in(BOX, minute("gw dns far", 0))
    rig.take_in(BOX, minute("dns far", 1, interface="wwan0"))
    rig.take_in(NEIGHBOUR, minute("gw dns far", 1, "-" + str(BOX)))
    rig.judge(2)
    assert rig.said() == [("A", None), ("U", "access")]
    assert rig.said(uplink="4g") == [("A", None)]


def test_two_silent_boxes_of_a_site_with_power_are_cut_off(rig: Rig) -> None:
    mobile = AgentId("paris", "s0", "mobile")
    sites = [
        Site(**{name: getattr(each, name) for name in Site.__struct_fields__})
        for each in rig.inventory.sites.values()
        if each.id != "s0"
    ]
    one = rig.inventory.sites["paris", "s0"]
    changed = {name: getattr(one, name) for name in Site.__struct_fields__}
    changed["agents"] = (*one.agents, Agent(id="mobile", interfaces={"wwan0": "4g"}))
    rig.inventory = Inventory(rig.inventory.territories.values(), [Site(**changed), *sites])
    rig.backlog = Backlog(lambda: rig.inventory)
    rig.take_in(BOX, minute("gw dns far", 0))
    rig.take_in(mobile, minute("dns far", 1, interface="wwan0"))
    rig.take_in(NEIGHBOUR, minute("gw dns", 1, "-" + str(BOX)))
    rig.judge(2)
    assert rig.said() == [("A", None), ("N", "silent")]
    rig.take_in(NEIGHBOUR, minute("", 1, "-" + str(TWIN)))
    rig.judge(2)
    assert rig.said() == [("A", None), ("U", "access")]


def test_a_neighbours_late_word_does_not_touch_what_the_site_said_itself(rig: Rig) -> None:
    rig.take_in(BOX, minute("gw -dns -far", 0))
    rig.judge(1)
    rig.take_in(NEIGHBOUR, minute("gw dns far", 0, "-" + str(BOX)))
    rig.judge(1)
    assert rig.said() == [("U", "access")]
    rig.take_in(AgentId("paris", "s2", "box"), minute("gw dns far", 0, str(BOX)))
    rig.judge(1)
    assert rig.said() == [("U", "operator")]


def test_an_operators_core_that_fails_is_blamed_also_when_sites_report_late(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "store.db", fleet(5, operator="Réseau L"))
    for n in (0, 1):
        rig.take_in(AgentId("paris", f"s{n}", "box"), minute("gw -dns -far", 0))
    rig.judge(1)
    assert rig.said("s0") == [("U", "access")]
    rig.take_in(AgentId("paris", "s2", "box"), minute("gw -dns -far", 0))
    rig.judge(1)
    assert [rig.said(f"s{n}") for n in (0, 1, 2)] == [[("U", "operator")]] * 3
    for n in (3, 4):
        rig.take_in(AgentId("paris", f"s{n}", "box"), minute("gw dns far", 0))
    rig.judge(1)
    assert rig.said("s0") == [("U", "operator")]
    rig.take_in(AgentId("paris", "s0", "twin"), minute("gw dns far", 0))
    rig.judge(1)
    assert [rig.said(f"s{n}") for n in (0, 1, 2)] == [[("A", None)], [("U", "access")], [("U", "access")]]
    rig.store.close()


def history() -> list[tuple[AgentId, list[AnyMeasurement]]]:
    chance, found = random.Random(11), list[tuple[AgentId, list[AnyMeasurement]]]()
    for number in range(10):
        for n in range(3):
            said = chance.choice(["gw dns far", "gw dns far", "gw -dns -far", "-gw -dns -far", "", ""])
            peer = f"paris/s{(n + 1) % 3}/box"
            if said:
                chosen = chance.choice([peer, "-" + peer])
                found.append((AgentId("paris", f"s{n}", "box"), minute(said, number, chosen)))
            if chance.random() < 0.6:
                found.append((AgentId("paris", f"s{n}", "box"), minute("dns far", number, interface="wwan0")))
    return found


def test_order_and_delay_change_nothing_of_what_others_saw(tmp_path: Path) -> None:
    found = []
    for n, seed in enumerate((None, 1, 2, 3)):
        rig, deliveries = Rig(tmp_path / f"{n}.db", fleet(3, operator="Réseau L")), history()
        if seed is not None:
            random.Random(seed).shuffle(deliveries)
        for count, (agent, runs) in enumerate(deliveries):
            rig.take_in(agent, runs)
            if seed is not None and count % 5 == 4:
                rig.judge(10)
        rig.judge(10)
        found.append([rig.said(f"s{site}", uplink) for site in range(3) for uplink in ("fibre", "4g")])
        rig.store.close()
    assert found[0] == found[1] == found[2] == found[3]
    said = {each for line in found[0] for each in line}
    assert said >= {("A", None), ("N", "probe"), ("N", "silent"), ("N", "lan"), ("U", "operator")}
