"""Declared work: what may be declared, what counts, what is kept."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fibrewatch_collector.inventory import Inventory, Territory
from fibrewatch_collector.ledger import LedgerError, books, maintenance, moments
from fibrewatch_collector.report import availability, known
from fibrewatch_collector.sla import periods
from fibrewatch_collector.store import Bin, Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.unit.collector.test_bins_outside import fleet

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
PARIS = "Europe/Paris"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def wish(begin: str = "2026-10-02 01:00", end: str = "2026-10-02 03:00", **more: Any) -> maintenance.Wish:
    usual: dict[str, Any] = {"territory": "paris", "site": "s0", "who": "Ann", "why": "new card"}
    return maintenance.Wish(begin=begin, end=end, **(usual | more))


def declare(store: SqliteStore, asked: maintenance.Wish, now: datetime = NOW) -> maintenance.Declaration:
    return books.declare(store, fleet(), asked, now.timestamp())


def test_what_is_declared_before_it_begins_is_in_time(store: SqliteStore) -> None:
    made = declare(store, wish())
    assert (made.id, made.begin, made.in_time) == (1, datetime(2026, 10, 1, 23, tzinfo=UTC), True)
    assert books.declarations(store) == [made]
    running = declare(store, wish("2026-10-01 12:00Z", "2026-10-01 13:00Z"), NOW)
    assert not running.in_time
    assert not declare(store, wish("2026-09-01 12:00Z", "2026-09-01 13:00Z"), NOW).in_time


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"end": "2026-10-02 01:00"}, "wrong", "end: 2026-10-01 23:00Z is not after begin, 2026-10-01 23:00Z"),
        ({"end": "2026-11-12 01:00"}, "wrong", "end: 41 d 1 h are more than 31 days of work"),
        ({"begin": "2029-01-01 00:00", "end": "2029-01-01 01:00"}, "wrong", "2028-12-31 23:00Z is more than two years"),
        ({"begin": "0001-01-01T00:30+14:00"}, "wrong", 'begin: "0001-01-01T00:30+14:00" is not between 1970 and 9990'),
        ({"end": "9999-12-31T23:30-14:00"}, "wrong", 'end: "9999-12-31T23:30-14:00" is not between 1970 and 9990'),
        ({"begin": "tonight"}, "wrong", 'begin: "tonight" is no moment such as "2026-10-25 02:30"'),
        ({"begin": "2026-10-02 01:00:30"}, "wrong", 'begin: "2026-10-02 01:00:30" is not a whole minute'),
        (
            {"begin": "2026-10-25 02:30", "end": "2026-10-25 05:00"},
            "wrong",
            "is there twice in Europe/Paris: write 2026-10-25T02:30+02:00 or 2026-10-25T02:30+01:00",
        ),
        ({"begin": "2027-03-28 02:30", "end": "2027-03-28 05:00"}, "wrong", "does not exist in Europe/Paris"),
        ({"site": "s9"}, "unknown", 'site: there is no "paris/s9"'),
        ({"territory": "pariss"}, "unknown", 'territory: there is no "pariss" (did you mean paris?)'),
        ({"uplink": "fiber"}, "unknown", 'uplink: paris/s0 has no "fiber" (did you mean fibre?)'),
        ({"site": None, "uplink": "fibre"}, "wrong", "uplink: of which site? name it too"),
    ],
)
def test_what_makes_no_sense_is_refused(store: SqliteStore, changes: dict[str, Any], reason: str, said: str) -> None:
    with pytest.raises(LedgerError) as caught:
        declare(store, replace(wish(), **changes))
    assert caught.value.reason == reason
    assert said in str(caught.value)
    assert books.declarations(store) == []


def test_an_hour_that_is_there_twice_is_said_with_its_offset(store: SqliteStore) -> None:
    made = declare(store, wish("2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"))
    assert made.end - made.begin == timedelta(hours=1)


def test_a_territory_of_several_zones_needs_offsets() -> None:
    here = next(iter(fleet().sites.values()))
    sites = [here, replace(here, id="far", time_zone="America/Los_Angeles")]
    inventory = Inventory([Territory(id="paris", name="Paris")], sites)
    with pytest.raises(LedgerError, match="needs an offset such as"):
        maintenance.declare(wish(site=None), inventory, [], NOW)
    given = wish("2026-10-02T01:00+02:00", "2026-10-02T03:00+02:00", site=None)
    assert maintenance.declare(given, inventory, [], NOW).where == "paris"


def test_an_unquoted_plus_in_a_url_is_understood() -> None:
    assert moments.moment("2026-10-02T01:00 02:00", "begin", None) == datetime(2026, 10, 1, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "other",
    [
        wish("2026-10-02 02:59", "2026-10-02 04:00"),
        wish("2026-10-02 00:00", "2026-10-02 01:01", uplink="fibre"),
        wish("2026-10-02 02:00", "2026-10-02 02:01", site=None),
    ],
)
def test_overlapping_work_is_refused_and_an_extension_is_a_new_declaration(
    store: SqliteStore, other: maintenance.Wish
) -> None:
    declare(store, wish())
    with pytest.raises(LedgerError, match="overlaps maintenance 1 of paris/s0, 2026-10-01 23:00Z to 2026-10-02 01:00Z"):
        declare(store, other)
    running = datetime(2026, 10, 2, 0, 30, tzinfo=UTC)
    assert declare(store, wish("2026-10-02 03:00", "2026-10-02 04:00"), running).in_time
    assert declare(store, wish("2026-10-02 01:00", "2026-10-02 02:00", site="s1"), running).id == 3


def test_a_cancellation_is_a_record_too(store: SqliteStore) -> None:
    declare(store, wish())
    taken_back = books.cancel(store, 1, maintenance.Cancel(who="Bo", why="postponed"), NOW.timestamp() + 60)
    assert (taken_back.cancelled_at, taken_back.cancelled_by) == (NOW + timedelta(minutes=1), "Bo")
    assert [each.kind for each in store.records(maintenance.KINDS)] == ["maintenance", "maintenance_cancelled"]
    with pytest.raises(LedgerError, match="maintenance 1 was cancelled 2026-10-01 12:01Z"):
        books.cancel(store, 1, maintenance.Cancel(who="Bo", why="again"), NOW.timestamp() + 120)
    with pytest.raises(LedgerError, match="there is no maintenance 7"):
        books.cancel(store, 7, maintenance.Cancel(who="Bo", why="?"), NOW.timestamp())
    assert declare(store, wish()).id == 3, "what was cancelled before it began stands in nobody's way"
    with pytest.raises(LedgerError, match="was over 2026-10-02 01:00Z: it stays on record"):
        books.cancel(store, 3, maintenance.Cancel(who="Bo", why="late"), NOW.timestamp() + 86400)


def test_the_store_keeps_records_as_they_are(store: SqliteStore) -> None:
    declare(store, wish())
    for change in ("UPDATE record SET at_us = 0", "DELETE FROM record"):
        with sqlite3.connect(store._path) as db, pytest.raises(sqlite3.DatabaseError, match="a record is kept as it"):
            db.execute(change)


def test_only_work_declared_in_time_leaves_the_net_figure_and_all_is_listed(store: SqliteStore) -> None:
    night = datetime(2026, 10, 1, 23, tzinfo=UTC).timestamp()
    down = range(int(night), int(night) + 7200, 60)
    store.save_bins([Bin("paris", "s0", "fibre", minute, "U", "access", 2) for minute in down])
    store.save_bins([Bin("paris", "s0", "fibre", int(night) - 60, "A", None, 2)])
    inventory, period = fleet(), periods.month("2026-10", PARIS)
    site = inventory.sites["paris", "s0"]

    def figures() -> tuple[int, int, int]:
        knows = known.known(store, inventory, site, period, NOW)
        line = next(iter(store.timelines(_day(night)).values()))
        out = availability.excluded(knows.maintenance, "fibre")
        net, gross = availability.net(line, out, 0), availability.gross(line, out, 0)
        return net.unavailable, gross.unavailable, len(knows.maintenance)

    assert figures() == (120, 120, 0)
    declare(store, wish("2026-10-02 01:00", "2026-10-02 01:30"), datetime(2026, 10, 1, 23, 10, tzinfo=UTC))
    assert figures() == (120, 120, 1), "it was running already"
    declare(store, wish("2026-10-02 01:30", "2026-10-02 02:00", uplink="4g"))
    assert figures() == (120, 120, 2), "another uplink"
    declare(store, wish("2026-10-02 02:00", "2026-10-02 03:00", site=None))
    assert figures() == (60, 120, 3)
    books.cancel(store, 3, maintenance.Cancel(who="Bo", why="done early"), night + 5400)
    assert figures() == (90, 120, 3), "cancelled half way: it counts up to then"


def _day(at: float) -> Filter:
    return Filter("paris", "s0", begin=at - 600, end=at + 7200)
