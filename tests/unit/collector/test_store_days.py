"""Days of series and minutes of uplinks: made of hours, made anew by what is late, the same whether made or not yet."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch import sketch
from fibrewatch_collector.store import Bin, Filter, day, hour, lanes
from fibrewatch_collector.store.sqlite import SqliteStore
from fibrewatch_collector.store.timeline import Timeline
from tests.support.measurements import AGENT, NOON, delivery, good, raw_window, result

MIDNIGHT = NOON - 12 * 3600
TOMORROW = MIDNIGHT + 86400 + 7200
DAY = int(MIDNIGHT // 86400)
buckets = st.dictionaries(
    st.integers(sketch.MIN_INDEX, sketch.MAX_INDEX), st.integers(1, 2**40), min_size=1, max_size=30
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def make_all(store: SqliteStore, now: float = TOMORROW) -> None:
    while store.roll_up(1000, now):
        pass


def totals(store: SqliteStore) -> list[day.Cell]:
    where = Filter(begin=MIDNIGHT, end=MIDNIGHT + 86400)
    return [day.merged([found.days[DAY].total]) for found in store.days(where) if DAY in found.days]


def windows(numbers: list[int]) -> list[object]:
    return [good(n, raw_window(MIDNIGHT + 600 * n, result=result(60, n % 3, 0.01 * 1.01**n))) for n in numbers]


@settings(max_examples=40, deadline=None)
@given(st.lists(buckets, max_size=12), st.randoms())
def test_lanes_add_up_as_dicts_do_in_any_order(found: list[sketch.Buckets], order: random.Random) -> None:
    expected: sketch.Buckets = {}
    for each in found:
        sketch.merge(expected, each)
    order.shuffle(found)
    assert lanes.merged(lanes.packed(each) for each in found) == expected


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.floats(1e-6, 10), min_size=1), min_size=1, max_size=6),
    st.sampled_from([0.05, 0.5, 0.95, 0.99]),
)
def test_sketches_merged_in_any_order_give_the_percentile_within_the_stated_error(
    parts: list[list[float]], q: float
) -> None:
    values = sorted(value for part in parts for value in part)
    exact = next(value for place, value in enumerate(values, 1) if place >= q * len(values) - 1e-9)
    for order in (parts, parts[::-1]):
        merged = lanes.merged(lanes.packed(sketch.of(part)) for part in order)
        assert sketch.quantile(merged, q) == pytest.approx(exact, rel=0.0101)


def test_day_is_the_same_made_or_not_yet_and_whatever_the_order(store: SqliteStore, tmp_path: Path) -> None:
    numbers = list(range(1, 140))
    store.commit([delivery(*windows(numbers))])  # type: ignore[arg-type]
    unmade = totals(store)
    make_all(store)
    other = SqliteStore(tmp_path / "other.db")
    random.Random(1).shuffle(numbers)
    for number in numbers:
        other.commit([delivery(*windows([number]))])  # type: ignore[arg-type]
        if number % 9 == 0:
            other.roll_up(3, TOMORROW)
    make_all(other)
    assert totals(store) == unmade == totals(other)
    assert (unmade[0].n, unmade[0].sent, unmade[0].body.seconds) == (139, 139 * 60, 139 * 60.0)
    other.close()


def test_late_measurement_restates_its_day(store: SqliteStore) -> None:
    store.commit([delivery(*windows([1, 2]))])  # type: ignore[arg-type]
    make_all(store)
    store.commit([delivery(*windows([3]), at=TOMORROW)])  # type: ignore[arg-type]
    assert [each.n for each in totals(store)] == [3]  # not made yet: told all the same
    assert store.roll_up(10, TOMORROW) == 1
    assert [each.n for each in totals(store)] == [3]
    assert store.roll_up(10, TOMORROW) == 1
    (found,) = totals(store)
    assert found.body.late == {int((NOON + 61) // 3600): 2, int(TOMORROW // 3600): 1}
    assert store.roll_up(10, TOMORROW) == 0


def test_day_outlives_its_measurements(store: SqliteStore) -> None:
    store.commit([delivery(*windows(list(range(1, 100))))])  # type: ignore[arg-type]
    make_all(store)
    before = totals(store)
    assert store.prune(MIDNIGHT + 86400) == 99
    make_all(store)
    assert totals(store) == before


def test_undated_are_counted_and_nothing_else(store: SqliteStore) -> None:
    store.commit([delivery(good(1, raw_window(NOON - 10**7, reasons=("undated",))), at=NOON)])
    (found,) = totals(store)
    assert (found.n, found.body.undated, found.sent) == (0, 1, 0)


def test_a_part_of_an_hour_is_made_of_its_measurements(store: SqliteStore) -> None:
    store.commit([delivery(*(good(n, raw_window(NOON + 60 * n)) for n in range(1, 50)))])
    (series,) = store.days(Filter())
    assert store.stretch(series.row, NOON + 600, NOON + 1200).n == 10


def test_bursts_are_kept_singly_up_to_a_few_an_hour_and_then_as_a_histogram() -> None:
    from datetime import UTC, datetime

    from fibrewatch.results import dns

    def lookups(count: int) -> hour.Body:
        raws = [
            raw_window(
                NOON + n,
                probe="dns",
                started_at=datetime.fromtimestamp(NOON + n, UTC),
                result=dns.Result(lookup_time=0.01 + n / 1e4),
            )
            for n in range(count)
        ]
        return hour.summed(raws)

    few, many = lookups(hour.SINGLY), lookups(hour.SINGLY + 1)
    assert [point.values["lookup_time"] for point in few.points] == [0.01 + n / 1e4 for n in range(hour.SINGLY)]
    assert few.valid.histograms == {}
    assert (many.points, sum(many.valid.histograms["lookup_time"].values())) == ([], hour.SINGLY + 1)


# ---- minutes


def bins(states: str, begin: float = MIDNIGHT) -> list[Bin]:
    cause = {"A": None, "U": "access", "N": "silent"}
    return [
        Bin("paris", "cargo", "fibre", int(begin) + 60 * at, state, cause[state], 1)  # type: ignore[arg-type]
        for at, state in enumerate(states)
        if state != "."
    ]


def shown(store: SqliteStore, begin: float, end: float) -> str:
    found: Timeline = store.timelines(Filter("paris", "cargo", begin=begin, end=end))["paris", "cargo", "fibre"]
    return "".join((found.judged(code) or ".")[0] for code in found.codes)


@settings(max_examples=25, deadline=None)
@given(st.text("AUN.", min_size=1, max_size=60), st.integers(-5, 1500), st.integers(1, 90))
def test_minutes_are_the_bins_packed_or_not(
    tmp_path_factory: pytest.TempPathFactory, states: str, first: int, length: int
) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("minutes") / "store.db")
    late = MIDNIGHT + 86400 - 60 * 20  # over midnight
    store.save_bins([*bins(states, late), *bins("A", MIDNIGHT)])
    begin, end = MIDNIGHT + 60 * first, MIDNIGHT + 60 * (first + length)
    by_minute = {each.minute: each.state for each in store.bins("paris", "cargo", begin, end)}
    expected = "".join(by_minute.get(int(begin) + 60 * at, ".") for at in range(length))
    assert shown(store, begin, end) == expected
    while store.roll_up(10, MIDNIGHT + 3 * 86400):
        pass
    assert shown(store, begin, end) == expected
    store.close()


def test_restated_bin_is_seen_at_once_and_packed_again(store: SqliteStore) -> None:
    store.save_bins(bins("AAUU"))
    make_all(store)
    store.save_bins(bins(".NN"))
    assert shown(store, MIDNIGHT, MIDNIGHT + 300) == "ANNU."
    assert store.roll_up(10, TOMORROW) == 1
    assert shown(store, MIDNIGHT, MIDNIGHT + 300) == "ANNU."


def test_schedules_are_kept_when_they_change(store: SqliteStore) -> None:
    for at, raw in ((1.0, b"a"), (2.0, b"a"), (3.0, b"b"), (4.0, b"a")):
        store.save_schedule(AGENT, at, raw)
    assert [(each.since, each.raw) for each in store.schedules(Filter())] == [(1.0, b"a"), (3.0, b"b"), (4.0, b"a")]
    assert [each.since for each in store.schedules(Filter(end=3.0))] == [1.0]
