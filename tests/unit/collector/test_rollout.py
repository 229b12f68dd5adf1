"""How far sites and floors have come: in order, kept, and when the SLA's clock starts."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fibrewatch_collector.inventory import Floor, Inventory, Site
from fibrewatch_collector.ledger import LedgerError, books, rollout
from fibrewatch_collector.report import known
from fibrewatch_collector.report.model import Rollout
from fibrewatch_collector.sla import periods
from fibrewatch_collector.store import Bin
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.unit.collector.test_bins_outside import fleet

NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)
OCTOBER = periods.month("2026-10", "Europe/Paris")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def inventory() -> Inventory:
    made = fleet()
    sites = [replace(each, floors=(Floor(id="1"), Floor(id="2"))) for each in made.sites.values()]
    return Inventory(made.territories.values(), sites)


SITE: Site = inventory().sites["paris", "s0"]


def step(store: SqliteStore, state: str, on: str | None = None, **more: Any) -> rollout.Step:
    usual: dict[str, Any] = {"territory": "paris", "site": "s0", "who": "Ann"}
    wish = rollout.Wish(state=state, on=on, **(usual | more))
    if state == "accepted":  # by tests, which are others' business here
        return books.record_step(store, inventory(), wish, NOW.timestamp(), None)
    return books.take_step(store, inventory(), wish, NOW.timestamp())


def test_states_follow_each_other_and_history_is_kept(store: SqliteStore) -> None:
    for state, on in (("planned", "2026-10-01"), ("wired", "2026-10-05"), ("accepted", "2026-10-07"), ("live", None)):
        step(store, state, on, note="as agreed")
    kept = books.steps(store)
    assert [(each.state, each.on) for each in kept] == [
        ("planned", date(2026, 10, 1)),
        ("wired", date(2026, 10, 5)),
        ("accepted", date(2026, 10, 7)),
        ("live", date(2026, 10, 20)),
    ]
    assert {(each.who, each.note, each.recorded_at) for each in kept} == {("Ann", "as agreed", NOW)}


@pytest.mark.parametrize(
    ("done", "state", "more", "said"),
    [
        ((), "live", {}, "state: paris/s0 begins with planned, not live"),
        (("planned",), "accepted", {}, "state: paris/s0 is planned since 2026-10-20: what follows is wired"),
        (("planned", "wired"), "planned", {}, "what follows is accepted"),
        (("planned", "wired", "accepted", "live"), "live", {}, "nothing follows"),
        (("planned",), "wired", {"floor": "1"}, "state: paris/s0, floor 1, begins with planned, not wired"),
        (("planned",), "wired", {"on": "2026-10-19"}, "on: 2026-10-19 is before 2026-10-20, when it was planned"),
        (
            ("planned",),
            "wired",
            {"on": "2026-10-21"},
            "on: 2026-10-21 is still to come: only planned may be said ahead",
        ),
        ((), "planned", {"on": "soon"}, 'on: "soon" is no day such as "2026-10-25"'),
        ((), "planned", {"floor": "3"}, 'floor: paris/s0 has no "3"'),
        ((), "lively", {}, 'state: "lively" is none of planned, wired, accepted, live'),
        ((), "planned", {"site": "s7"}, 'site: there is no "paris/s7"'),
    ],
)
def test_what_does_not_follow_is_refused(
    store: SqliteStore, done: tuple[str, ...], state: str, more: dict[str, Any], said: str
) -> None:
    for each in done:
        step(store, each)
    with pytest.raises(LedgerError) as caught:
        step(store, state, **more)
    assert said in str(caught.value)
    assert len(books.steps(store)) == len(done)


@given(st.lists(st.sampled_from(rollout.STATES), max_size=12))
def test_whatever_is_tried_the_states_stay_in_order(tried: list[str]) -> None:
    steps: list[rollout.Step] = []
    for state in tried:
        wish = rollout.Wish(territory="paris", site="s0", state=state, who="Ann")
        try:
            steps.append(rollout.take(wish, SITE, steps, NOW))
        except LedgerError:
            continue
    assert tuple(each.state for each in steps) == rollout.STATES[: len(steps)]


def live_on(store: SqliteStore, on: str, **more: Any) -> None:
    for state in rollout.STATES:
        step(store, state, on, **more)


def begin(store: SqliteStore, period: periods.Period = OCTOBER) -> datetime:
    return known.begin(known.known(store, inventory(), SITE, period, NOW).live, period)


def test_the_clock_starts_at_live_at_the_day_s_local_begin(store: SqliteStore) -> None:
    live_on(store, "2026-10-05")
    assert begin(store) == datetime(2026, 10, 4, 22, tzinfo=UTC)
    november = periods.month("2026-11", "Europe/Paris")
    assert begin(store, november) == november.begin
    september = periods.month("2026-09", "Europe/Paris")
    assert begin(store, september) == september.end, "nothing of it counts"


def test_a_site_that_is_not_live_has_no_figures_and_its_own_word_goes_before_its_floors(store: SqliteStore) -> None:
    live_on(store, "2026-10-05", floor="2")
    live_on(store, "2026-10-03", floor="1")
    assert begin(store) == datetime(2026, 10, 2, 22, tzinfo=UTC), "the first floor's"
    step(store, "planned")
    assert begin(store) == OCTOBER.end


def test_where_nobody_keeps_a_rollout_the_clock_starts_with_the_first_measurement(store: SqliteStore) -> None:
    assert begin(store) == OCTOBER.begin
    first = datetime(2026, 10, 9, 8, tzinfo=UTC)
    store.save_bins([Bin("paris", "s0", "4g", int(first.timestamp()) + n, "A", None, 2) for n in (60, 0)])
    assert begin(store) == first


def test_a_report_shows_what_stood_at_its_period_s_end(store: SqliteStore) -> None:
    step(store, "planned", "2026-09-10")
    step(store, "wired", "2026-10-02")
    step(store, "planned", "2026-10-03", floor="2")
    assert rollout.of_site(books.steps(store), SITE, OCTOBER.end) == (
        Rollout(floor=None, state="wired", since=date(2026, 10, 2)),
        Rollout(floor="2", state="planned", since=date(2026, 10, 3)),
    )
    september = periods.month("2026-09", "Europe/Paris")
    assert rollout.of_site(books.steps(store), SITE, september.end) == (
        Rollout(floor=None, state="planned", since=date(2026, 9, 10)),
        Rollout(floor="2", state="planned", since=None),
    )
