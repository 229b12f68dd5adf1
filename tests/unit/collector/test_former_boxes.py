"""A box replaced, a promise changed, results lost: what a period's report makes of what was otherwise in it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fibrewatch.wire import AgentId
from fibrewatch_collector.evidence import minutes
from fibrewatch_collector.evidence.contents import Context
from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.ledger import former, inventories
from fibrewatch_collector.report import figures, model
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support import evidence_world as world

OLD, REPLACED_AT = AgentId("paris", "cargo", "box"), world.T0 + 3600.0
MOVED_AT = world.T0 + 45 * 60.0


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.Collector]:
    with world.collector(tmp_path_factory.mktemp("former")) as made:
        yield made


def changed(folder: Path, old: str, new: str) -> Inventory:
    """cargo's part of sites.toml, or its class, otherwise."""
    text = world.sites_toml()
    assert old in text
    path = folder / "changed.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return load_inventory(path)


def report(made: world.Collector, inventory: Inventory, period: Period = world.PERIOD) -> model.Report:
    return figures.report(made.store, inventory, inventory.sites["paris", "cargo"], period, world.MADE)


def test_a_replaced_box_still_counts_and_owes_nothing_afterwards(lived: world.Collector, tmp_path: Path) -> None:
    whole = report(lived, lived.inventory)
    new = changed(tmp_path, 'agent = [{ id = "box", floor = "1" }]', 'agent = [{ id = "box-2", floor = "1" }]')
    assert new.uplink_of(OLD, "eth0") is None
    inventories.remember(lived.store, new, REPLACED_AT)
    found = report(lived, new)
    assert [(e.test, e.target, e.fields, e.counts.valid, e.sent) for e in found.series] == [
        (e.test, e.target, e.fields, e.counts.valid, e.sent) for e in whole.series
    ]
    assert (found.transfers, found.uplinks, found.outages) == (whole.transfers, whole.uplinks, whole.outages)
    missing = {each.target: each.counts.missing for each in found.series if each.probe == "ping"}
    assert set(missing.values()) <= {0}, missing
    known = former.remembered(lived.store, new, world.T0, world.T0 + 86400.0)
    assert [each.until for each in known.former[OLD]] == [REPLACED_AT]
    assert not known.knows(OLD), "it may deliver nothing more"
    earlier = former.remembered(lived.store, lived.inventory, world.T0 - 86400.0 * 9, world.T0 - 86400.0 * 8)
    assert earlier.former == {}


class Moving(world.Collector):
    """cargo's box is put on another line while its results wait for the old one to come back."""

    LINES = 'default_uplink = "{}"\nuplink = [{{ id = "4g", kind = "mobile", operator = "Réseau" }}, {{ id = "fibre"'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.inventory, self.later = (
            changed(folder, 'uplink = [{ id = "fibre"', self.LINES.format(line)) for line in ("fibre", "4g")
        )

    def judge(self, now: float) -> None:
        if now >= MOVED_AT and self.inventory is not self.later:
            self.inventory = self.later
            inventories.remember(self.store, self.later, MOVED_AT)
        super().judge(now)


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.Collector]:
    made = Moving(tmp_path_factory.mktemp("moved"))
    made.live()
    yield made
    made.store.close()


def stood_on(minute: int) -> str:
    return "fibre" if world.T0 + 60 * minute < MOVED_AT else "4g"


def test_a_box_that_was_moved_counts_for_the_line_on_which_it_measured(
    lived: world.Collector, moved: world.Collector
) -> None:
    begin, end = world.T0, world.T0 + 60 * world.MINUTES
    where = "paris", "cargo", begin, end
    kept = {(each.uplink, each.minute): (each.state, each.cause) for each in moved.store.bins(*where)}
    for each in lived.store.bins(*where):
        on = stood_on((each.minute - begin) // 60)
        assert kept[on, each.minute] == (each.state, each.cause), "late results too"
        assert kept.get(("4g" if on == "fibre" else "fibre", each.minute), ("N", "silent")) == ("N", "silent")
    found = report(moved, moved.inventory)
    windows = [each for each in found.series if (each.probe, each.target) == ("ping", "gw")]
    assert [(each.uplink, each.counts.valid, each.sent) for each in windows] == [("4g", 45, 2700), ("fibre", 45, 2700)]
    assert windows[1].counts.missing == 0
    transfers = [(each.at.timestamp() - begin) // 60 for each in found.transfers]
    assert transfers == [minute for minute in range(world.MINUTES) if minute % 10 == 5]
    assert [each.uplink for each in found.transfers] == [stood_on(int(minute)) for minute in transfers]
    down = next(each for each in found.findings if each.id == "down")
    assert down.n + down.open == len([minute for minute in transfers if stood_on(int(minute)) == "fibre"])


def test_minutes_judged_anew_know_the_line_of_the_time(moved: world.Collector) -> None:
    """As for a pack, of measurements alone."""
    begin, end = world.PERIOD.begin.timestamp(), world.PERIOD.end.timestamp()
    stood = former.remembered(moved.store, moved.inventory, begin, end)
    judged = minutes.judged(moved.store.timelines(Filter("paris", "cargo", begin=begin, end=end)))
    bench = minutes.Bench(
        stood,
        stood.sites["paris", "cargo"],
        Context(first_minutes={}, judged=judged),
        minutes.Intervals(moved.store.schedules(Filter(end=end))),
    )
    made = [
        each
        for day in minutes.judge(bench, moved.store, minutes.around(bench, moved.store, moved.store))
        for each in day
    ]
    assert sorted(made, key=lambda each: (each.minute, each.uplink)) == moved.store.bins("paris", "cargo", begin, end)


def test_boxes_are_on_the_floor_and_the_line_of_the_time(tmp_path: Path) -> None:
    """There and back, and gone; a line that is there no more leaves its boxes where they are now."""
    site = world.sites_toml().partition("[[site]]")[0] + (
        '[[site]]\nterritory = "paris"\nid = "cargo"\nname = "C"\ncity = "P"\nlatitude = 1.0\nlongitude = 1.0\n'
        'time_zone = "UTC"\ndefault_uplink = "a"\n'
        'uplink = [{ id = "a", kind = "fibre" }, { id = "b", kind = "dsl"%s }]\n'
        'floor = [{ id = "1", companies = ["x", "y"] }, { id = "2"%s }]\nagent = [%s]\n'
    )
    path, store = tmp_path / "sites.toml", SqliteStore(tmp_path / "collector.db")
    box = '{ id = "box", floor = "%s", interfaces = { eth0 = "%s" } }'
    for at, (floors, tenants, agents) in enumerate(
        [
            ("", "", box % ("1", "a")),
            (', floors = ["2"]', ', companies = ["x", "z", "u"]', box % ("2", "b")),
            ("", "", box % ("1", "a")),
            ("", "", ""),
        ]
    ):
        path.write_text(site % (floors, tenants, agents))
        inventory = load_inventory(path)
        inventories.remember(store, inventory, 100.0 * at)
    known = former.remembered(store, inventory, 0.0, 1000.0)
    agent = AgentId("paris", "cargo", "box")
    assert [known.uplink_of(agent, "eth0", at) for at in (50.0, 150.0, 250.0, 350.0)] == ["a", "b", "a", "a"]
    assert [known.floor_of(agent, at) for at in (50.0, 150.0, 250.0)] == ["1", "2", "1"]
    assert known.ridden(agent, "eth0", 10.0, 290.0) == {"a": [(10.0, 100.0), (200.0, 290.0)], "b": [(100.0, 200.0)]}
    assert known.ridden(agent, "eth0", 210.0, 900.0) == {"a": [(210.0, 900.0)]}
    assert known.reached_over(agent, 150.0) == ("paris", "cargo", "b")
    assert former.remembered(store, inventory, 310.0, 1000.0).former == {}
    stood = inventories.stood(store, 0.0, former.FOREVER)
    there = [former.companies(stood, inventory.sites["paris", "cargo"], "b", at) for at in (50.0, 150.0, 250.0, 350.0)]
    assert there == [2, 3, 2, 2]
    path.write_text((site % ("", "", "")).replace(', { id = "b", kind = "dsl" }', ""))
    inventory = load_inventory(path)
    inventories.remember(store, inventory, 400.0)
    assert former.remembered(store, inventory, 0.0, 1000.0).uplink_of(agent, "eth0", 150.0) == "a"
    store.close()


def test_a_changed_promise_is_listed_with_its_moment(tmp_path: Path) -> None:
    with world.collector(tmp_path) as made:
        assert report(made, made.inventory).promise_changes == ()
        easier = changed(tmp_path, 'kind = "availability", asked = 0.99', 'kind = "availability", asked = 0.5')
        inventories.remember(made.store, easier, world.T0 + 1800.0)
        found = report(made, easier)
        at = datetime.fromtimestamp(world.T0 + 1800.0, UTC)
        assert found.promise_changes == (
            model.PromiseChange(at=at, uplink="fibre", figure="net.asked", before="0.99", after="0.5"),
        )
        assert next(each for each in found.findings if each.id == "net").asked == 0.5
        halle = figures.report(made.store, easier, easier.sites["paris", "halle"], world.PERIOD, world.MADE)
        assert halle.promise_changes == (), "its class is another"


def test_lost_results_stand_in_the_period_in_which_they_were_measured(lived: world.Collector) -> None:
    """A gap between two measurements is theirs, however late it is found; one without them is of when it was found."""
    stream = f"{world.SITES.index('tank'):016x}"
    store, late = lived.store, int((world.T0 + 40 * 86400) * 1e6)
    (number,) = store._db.execute("SELECT id FROM stream WHERE name = ?", (stream,)).fetchone()
    (last,) = store._db.execute("SELECT max(seq) FROM measurement WHERE stream = ?", (number,)).fetchone()
    for first in (3, last + 1):
        store._db.execute("INSERT INTO gap VALUES (NULL, ?, ?, ?, ?)", (number, first, first, late))

    def listed(day: datetime) -> list[int]:
        begin = day.timestamp()
        where = Filter("paris", "tank", begin=begin, end=begin + 86400)
        return sorted(gap.first for gap in store.gaps(where, 10))

    measured, found = datetime(2026, 10, 25, tzinfo=UTC), datetime.fromtimestamp(late / 1e6, UTC)
    assert listed(measured) == [3, last + 1], "the second begins after what was measured then"
    assert listed(found) == [last + 1]
    assert listed(datetime(2026, 10, 20, tzinfo=UTC)) == []
