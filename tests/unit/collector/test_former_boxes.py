"""A box replaced, a promise changed, results lost: what a period's report makes of what was otherwise in it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.ledger import former, inventories
from fibrewatch_collector.report import figures, model
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Filter
from tests.support import evidence_world as world

OLD, REPLACED_AT = AgentId("paris", "cargo", "box"), world.T0 + 3600.0


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
    assert known.former[OLD].until == REPLACED_AT
    assert not known.knows(OLD), "it may deliver nothing more"
    earlier = former.remembered(lived.store, lived.inventory, world.T0 - 86400.0 * 9, world.T0 - 86400.0 * 8)
    assert earlier.former == {}


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
