"""What calls for a person: one fault is one alarm, and declared work is none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fibrewatch.results import PROBES, throughput
from fibrewatch.wire import AgentId, LostTest, Status, encode
from fibrewatch_collector import recovery
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.ledger.maintenance import Declaration
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.sla.objectives import Objective, Promise
from fibrewatch_collector.store import Arrival, Bin, Committed, Delivery
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.unit.collector.runs import T0, window
from tests.unit.collector.test_live import box, fleet, status


class World:
    """A hub that hears, and a clock that tests move."""

    def __init__(self, inventory: Inventory, listening_s: float = 3600) -> None:
        self.now = T0 - listening_s
        self.hub = Hub(inventory, PROBES, OwnMetrics("test"), lambda: self.now)
        self.hub.set_broker(True)
        self.hub.set_store(None)
        self.now = T0 + 63

    def say(self, said: str, start: float = T0, who: AgentId | None = None, **more: object) -> None:
        for name in said.split():
            self.hub.tracker.add(who or box(), window(name, start, **more), start + 62)  # type: ignore[arg-type]

    def values(self, metric: str, *parts: str) -> set[float]:
        """Of all series that have these parts in their labels."""
        page = b"".join(self.hub.metrics()).decode()
        lines = [line for line in page.splitlines() if line.startswith(metric + "{")]
        return {float(line.split()[-1]) for line in lines if all(part in line for part in parts)}

    def work(self, uplink: str | None = None, begin: float = T0) -> None:
        at = datetime.fromtimestamp(begin, UTC)
        self.hub.declarations = [
            Declaration(
                id=1,
                territory="paris",
                site="s0",
                uplink=uplink,
                begin=at,
                end=at + timedelta(hours=1),
                who="Ann",
                why="work",
                declared_at=at,
            )
        ]


def offline(world: World, who: AgentId) -> None:
    world.hub.status(who, status(0, state="offline"), world.now)


def test_a_healthy_site_says_0_everywhere() -> None:
    world = World(fleet(mobile=True))
    world.say("gw dns far")
    for metric in ("site_down", "site_degraded", "uplink_down", "uplink_maintenance", "agent_dark"):
        assert world.values(f"fibrewatch_{metric}") == {0.0}, metric


def test_a_silent_site_is_down_and_its_box_is_not_dark_as_well() -> None:
    world = World(fleet())
    world.say("gw dns far")
    offline(world, box())
    assert world.values("fibrewatch_site_down") == {1.0}
    assert world.values("fibrewatch_agent_dark") == {0.0}
    assert world.values("fibrewatch_site_cause_code") == {8.0}


def test_one_silent_box_of_two_is_dark_and_its_site_works() -> None:
    world = World(fleet(agents=2))
    for agent in (0, 1):
        world.say("gw dns far", who=box(agent=agent))
    offline(world, box(agent=1))
    assert world.values("fibrewatch_site_down") == world.values("fibrewatch_site_degraded") == {0.0}
    assert world.values("fibrewatch_agent_dark", "box-1") == {1.0}
    assert world.values("fibrewatch_agent_dark", "box-0") == {0.0}


@pytest.mark.parametrize(("uplink", "down"), [(None, 0.0), ("fibre", 0.0), ("4g", 1.0)])
def test_work_on_the_line_that_a_box_speaks_over_silences_its_silence(uplink: str | None, down: float) -> None:
    world = World(fleet(mobile=True))
    world.say("gw dns far")
    world.work(uplink)
    offline(world, box())
    assert world.values("fibrewatch_site_down") == {down}


def test_work_that_is_to_come_or_is_over_silences_nothing() -> None:
    world = World(fleet())
    world.say("gw dns far")
    offline(world, box())
    for begin in (T0 + 600, T0 - 7200):
        world.work(begin=begin)
        assert world.values("fibrewatch_site_down") == {1.0}


def lost(*tests: tuple[str, str]) -> Status:
    named = tuple(LostTest(test=test, target=target) for test, target in tests)
    names = tuple(sorted({target for _, target in tests}))
    at = datetime.fromtimestamp(T0 + 62, UTC)
    return Status(state="online", version="1", boot="00000000", at=at, lost_targets=names, lost_tests=named)


def both_uplinks() -> World:
    world = World(fleet(mobile=True))
    world.say("gw dns far", interface="eth0", test="fibre")
    world.say("dns far", interface="wwan0", test="4g")
    return world


def test_a_target_lost_over_one_uplink_is_heard_over_the_other() -> None:
    world = both_uplinks()
    world.hub.status(box(), lost(("fibre", "dns"), ("fibre", "far")), world.now)
    assert world.values("fibrewatch_uplink_down", 'uplink="fibre"') == {1.0}
    assert world.values("fibrewatch_uplink_down", 'uplink="4g"') == {0.0}
    assert world.values("fibrewatch_site_down") == world.values("fibrewatch_site_degraded") == {0.0}
    assert world.values("fibrewatch_site_cause_code") == {1.0}
    assert world.values("fibrewatch_uplink_state", 'uplink="fibre"', 'state="U"') == {1.0}
    assert world.values("fibrewatch_uplink_down_since_timestamp_seconds") == {T0 + 62.0}
    world.hub.status(box(), lost(), world.now)
    assert world.values("fibrewatch_uplink_down") == {0.0}


def test_both_uplinks_cut_are_one_alarm() -> None:
    world = both_uplinks()
    world.hub.status(box(), lost(*((test, name) for test in ("fibre", "4g") for name in ("dns", "far"))), world.now)
    assert world.values("fibrewatch_site_down") == {1.0}
    assert world.values("fibrewatch_uplink_down") == {0.0}


@pytest.mark.parametrize(("uplink", "cut"), [("fibre", 0.0), ("4g", 1.0)])
def test_work_on_an_uplink_silences_its_cut_alone(uplink: str, cut: float) -> None:
    world = both_uplinks()
    world.work(uplink)
    world.hub.status(box(), lost(("fibre", "dns"), ("fibre", "far")), world.now)
    assert world.values("fibrewatch_uplink_down", 'uplink="fibre"') == {cut}
    assert world.values("fibrewatch_site_degraded") == {0.0}


def test_a_dead_target_under_fifty_sites_is_one_alarm() -> None:
    world = World(fleet(50))
    for site in range(50):
        world.say("gw edge dns far", who=box(site))
    assert world.values("fibrewatch_target_down", "far") == {0.0}
    for site in range(50):
        world.hub.status(box(site), lost(("ping", "far")), world.now)
    assert world.values("fibrewatch_target_down", "far") == {1.0}
    assert world.values("fibrewatch_target_down", "dns") == {0.0}
    assert world.values("fibrewatch_target_missed_sites", "far") == {50.0}
    assert world.values("fibrewatch_site_down") == world.values("fibrewatch_site_degraded") == {0.0}


def test_nothing_is_said_while_the_collector_can_not_tell() -> None:
    world = World(fleet())
    world.say("gw dns far")
    world.hub.set_broker(False)
    assert world.values("fibrewatch_site_down") == world.values("fibrewatch_uplink_down") == set()


def test_an_old_last_will_settles_before_anything_is_said() -> None:
    """After a restart of the collector: the alert that fires holds meanwhile, and goes on."""
    world = World(fleet(), listening_s=-62.5)
    world.say("gw dns far")
    offline(world, box())
    assert world.values("fibrewatch_site_down") == set()
    world.now += 60
    assert world.values("fibrewatch_site_down") == {1.0}


def test_a_silent_box_that_neighbours_hear_is_no_cut_line() -> None:
    world = World(fleet(3))
    world.say("gw dns far")
    world.hub.tracker.add(box(1), window("dns", T0 + 120), T0 + 182)
    world.hub.tracker.add(box(1), window("far", T0 + 120, peer="paris/s0/box-0"), T0 + 182)
    world.now = T0 + 190
    offline(world, box())
    assert world.values("fibrewatch_site_down", 's0"') == {0.0}
    assert world.values("fibrewatch_site_cause_code", 's0"') == {7.0}


def test_what_neighbours_heard_before_the_silence_proves_nothing() -> None:
    world = World(fleet(3))
    world.say("gw dns far")
    world.hub.tracker.add(box(1), window("far", T0, peer="paris/s0/box-0"), T0 + 62)
    offline(world, box())
    assert world.values("fibrewatch_site_down", 's0"') == {1.0}


def promised(*objectives: Objective) -> World:
    """A world whose only uplink has a promise."""
    plain = fleet()
    promise = Promise(sla="gold", contract="", busy=None, coverage_floor=0.9, grace_s=0.0, objectives=objectives)
    at = ("paris", "s0", "fibre")
    return World(Inventory(plain.territories.values(), plain.sites.values(), promises={at: promise}))


NET = Objective(id="net", kind="availability", asked=0.999, burn=("fast", "drift"))
LOSS = Objective(id="loss", kind="loss", metric="ping", asked=0.001)


def test_what_burn_rates_are_made_of_is_on_the_page() -> None:
    world = promised(NET, LOSS)
    world.hub.add_bins(
        Bin("paris", "s0", "fibre", T0 + 60 * n, "U" if n < 3 else "A", "access" if n < 3 else None, 2)
        for n in range(12)
    )
    run = window("far", T0, lost=6)
    world.hub.committed(Committed(stored=[(box(), run)]), 0.01)
    budget = "fibrewatch_uplink_objective_budget_ratio"
    assert {round(each, 9) for each in world.values(budget, 'objective="net"')} == {0.001}
    assert world.values(budget, 'objective="net"', 'burn="slow"') == set()
    assert world.values(budget, 'objective="loss"', 'burn="slow"') == {0.001}
    share = "fibrewatch_uplink_unavailable_ratio"
    assert world.values(share, 'window="2h"') == {3 / 120}
    assert world.values(share, 'window="10m"') == {1 / 10}
    assert world.values("fibrewatch_uplink_objective_events_total") == {60.0}
    assert world.values("fibrewatch_uplink_objective_bad_events_total") == {6.0}


def test_minutes_and_packets_under_declared_work_burn_nothing() -> None:
    world = promised(NET, LOSS)
    world.work()
    world.hub.tick()
    world.hub.add_bins([Bin("paris", "s0", "fibre", T0 + 60 * n, "U", "access", 2) for n in range(12)])
    world.hub.committed(Committed(stored=[(box(), window("-far", T0))]), 0.01)
    assert world.values("fibrewatch_uplink_unavailable_ratio") == {0.0}
    assert world.values("fibrewatch_uplink_objective_bad_events_total") == {0.0}


def test_rare_tests_are_taken_up_again_after_a_restart(tmp_path: Path) -> None:
    rate = Objective(id="rate", kind="compliance", direction="download", asked=0.95, rate=1e6)
    store = SqliteStore(tmp_path / "collector.db")
    runs = [
        window(
            target,
            T0 + n,
            probe="throughput",
            test="t",
            outcome="ok",
            result=throughput.Result(direction="down", streams=4, goodput=1e5),
        )
        for n, target in enumerate(("dns", "far", "dns"))
    ]
    arrivals = [Arrival(n, encode(run), run) for n, run in enumerate([*runs, window("far", T0)], 1)]
    store.commit([Delivery(box(), "0" * 16, 1, T0 + 60, arrivals)])
    again = promised(rate)
    for each in recovery.rare(store, again.hub.recent.probes(), again.now):
        again.hub.recent.add(each.agent, each.run, again.now)
    assert again.values("fibrewatch_uplink_objective_at_risk") == {1.0}
    assert again.values("fibrewatch_uplink_objective_recent_tests", 'outcome="missed"') == {3.0}
    store.close()
