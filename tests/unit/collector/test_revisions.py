"""When a report is final, what changes it, and what it then says."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from fibrewatch.errors import StoreError
from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.ledger import books, maintenance, revisions
from fibrewatch_collector.ledger.revisions import Delivered
from fibrewatch_collector.report import asked, editions, figures
from fibrewatch_collector.report.model import Report
from fibrewatch_collector.sla import periods
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Edition
from tests.unit.collector.runs import T0
from tests.unit.collector.test_bins_outside import fleet, minute
from tests.unit.collector.test_outages import CUT, FINE, World, box, hour, span

ZONE = "Europe/Paris"
MONTH = periods.month(datetime.fromtimestamp(T0, UTC).strftime("%Y-%m"), ZONE)
END = MONTH.end
BOX = box()
ALL = {BOX: Delivered(END.timestamp() + 60, None, known=True)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, fleet(1, operator="Réseau L"))
    hour(made, BOX, span(5, 8, CUT))
    made.judge()
    yield made
    made.store.close()


def site(world: World) -> Site:
    return world.inventory.sites["paris", "s0"]


def settle(world: World, now: datetime, delivered: dict[AgentId, Delivered] | None = None) -> Edition | None:
    """What the collector does; it is kept."""
    told = ALL if delivered is None else delivered
    edition = editions.settle(world.store, world.inventory, site(world), MONTH, now=now, delivered=told)
    if edition is not None:
        world.store.save_edition(edition)
    return edition


def now_said(world: World, now: datetime) -> Report:
    return figures.report(world.store, world.inventory, site(world), MONTH, now)


@pytest.mark.parametrize(
    ("box", "owes"),
    [
        (Delivered(None, None, known=False), False),  # it never measured
        (Delivered(END.timestamp() - 1, None, known=True), True),  # silent since before the end
        (Delivered(END.timestamp(), None, known=True), False),
        (Delivered(END.timestamp() + 60, END.timestamp() - 60, known=True), True),  # its spool reaches back
        (Delivered(END.timestamp() + 60, END.timestamp(), known=True), False),
        (Delivered(END.timestamp() + 60, None, known=False), True),  # who knows what waits
    ],
)
def test_a_box_owes_until_all_it_measured_has_come(world: World, box: Delivered, owes: bool) -> None:
    assert revisions.owing({BOX: box}, site(world), END) == (("box",) if owes else ())


def test_a_report_is_final_when_all_has_come_or_the_grace_is_over(world: World) -> None:
    owes = {BOX: Delivered(END.timestamp() - 60, None, known=True)}
    day = timedelta(days=1)
    assert settle(world, END - timedelta(seconds=1)) is None
    assert settle(world, END + 6 * day, owes) is None
    assert not now_said(world, END + 6 * day).revision.final
    made = settle(world, END + 7 * day, owes)
    assert made is not None
    report = revisions.decode(made.report)
    assert (report.revision.number, report.revision.final, report.revision.incomplete) == (1, True, ("box",))
    assert now_said(world, END + 9 * day).revision == report.revision


def test_what_comes_late_makes_a_new_revision_that_says_what_changed(world: World) -> None:
    assert settle(world, END) is not None
    assert settle(world, END + timedelta(days=1)) is None, "nothing new"
    world.take_in(AgentId("paris", "s0", "twin"), minute(FINE, 6), late_s=86400)
    world.judge()
    provisional = now_said(world, END + timedelta(days=1)).revision
    assert (provisional.number, provisional.final) == (2, False)
    made = settle(world, END + timedelta(days=2))
    assert made is not None
    revision = revisions.decode(made.report).revision
    assert (revision.number, revision.final) == (2, True)
    changed = {each.figure: (each.before, each.after) for each in revision.changes}
    assert changed["uplinks.fibre.net.unavailable"] == ("3", "2")
    assert not any(name.startswith("revision") or name.endswith(".late") for name in changed)
    assert settle(world, END + timedelta(days=3)) is None


def test_each_revision_can_be_had_again_as_it_was(world: World) -> None:
    first = settle(world, END)
    world.take_in(AgentId("paris", "s0", "twin"), minute(FINE, 6), late_s=86400)
    world.judge()
    second = settle(world, END + timedelta(days=1))
    assert first is not None
    assert second is not None
    words = {"site": "paris/s0", "month": MONTH.label}
    for number, kept in ((1, first), (2, second)):
        question = asked.question(words | {"revision": str(number)})
        answer = asked.answer(world.store, world.inventory, question, END + timedelta(days=5))
        assert isinstance(answer, Report)
        assert revisions.encode(answer) == kept.report
    with pytest.raises(asked.AskError, match="has no 3; 2 of it made final so far"):
        asked.answer(world.store, world.inventory, asked.question(words | {"revision": "3"}), END + timedelta(days=5))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"site": "s0", "month": "2026-09", "revision": "0"}, 'revision: "0" is no number from 1 on'),
        ({"all": "1", "month": "2026-09", "revision": "1"}, "revision: it is of one site and one month"),
        ({"site": "s0", "year": "2026", "revision": "1"}, "revision: it is of one site and one month"),
    ],
)
def test_a_revision_that_can_not_be_meant_is_refused(words: dict[str, str], said: str) -> None:
    with pytest.raises(asked.AskError, match=said):
        asked.question(words)


def test_maintenance_declared_too_late_changes_no_figure_but_is_told(world: World) -> None:
    settle(world, END)
    at = datetime.fromtimestamp(T0 + 300, UTC).isoformat()
    until = datetime.fromtimestamp(T0 + 480, UTC).isoformat()
    wish = maintenance.Wish(territory="paris", site="s0", begin=at, end=until, who="Ann", why="afterwards")
    books.declare(world.store, world.inventory, wish, END.timestamp())
    made = settle(world, END + timedelta(days=1))
    assert made is not None
    changed = [each.figure for each in revisions.decode(made.report).revision.changes]
    assert changed
    assert all(name.startswith("maintenance") for name in changed)


def test_the_same_report_is_the_same_bytes_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    kept = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        world = World(folder, fleet(1, operator="Réseau L"))
        numbers = list(range(20))
        random.Random(seed).shuffle(numbers)
        for number in numbers:
            world.take_in(BOX, minute(CUT if 5 <= number < 8 else FINE, number))
        world.judge()
        edition = settle(world, END)
        assert edition is not None
        kept.append(edition.report)
        world.store.close()
    assert kept[0] == kept[1] == kept[2]


def test_an_edition_is_never_written_over(world: World) -> None:
    made = settle(world, END)
    assert made is not None
    with pytest.raises(StoreError, match="edition 1 of a report can't follow 1"):
        world.store.save_edition(made)
    with pytest.raises(StoreError, match="edition 3 of a report can't follow 1"):
        world.store.save_edition(made._replace(number=3))


def test_neither_pruned_measurements_nor_a_report_of_all_sites_are_a_revision(world: World) -> None:
    settle(world, END)
    now = END + timedelta(days=500)
    together = figures.fleet(world.store, world.inventory, [site(world)], lambda _: MONTH, now)
    assert together.sites[0].revision == now_said(world, now).revision
    assert together.sites[0].outages[0].evidence == ()
    assert now_said(world, now).outages[0].evidence != ()
    world.store.prune(END.timestamp())
    assert now_said(world, now).outages[0].evidence == ()
    assert now_said(world, now).revision.final


def test_months_that_are_over_and_were_measured_are_due(world: World) -> None:
    now = END + timedelta(days=40)
    assert [period for _, period in editions.due(world.store, world.inventory, now)] == [
        MONTH,
        periods.month(_next(MONTH), ZONE),
    ]
    assert list(editions.due(world.store, world.inventory, END - timedelta(seconds=1))) == []
    empty = Inventory(world.inventory.territories.values(), [replace(site(world), id="new")])
    assert list(editions.due(world.store, empty, now)) == []


def _next(month: Period) -> str:
    return (month.end + timedelta(days=3)).strftime("%Y-%m")
