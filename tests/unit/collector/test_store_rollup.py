"""Hours of a series: made from all their measurements, whatever the order, and kept when those go."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fibrewatch import sketch
from fibrewatch_collector.store import Arrival, Filter, Rollup, hour
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.measurements import NOON, delivery, good, raw_window, result

LATER = NOON + 10 * 3600


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def roll_all(store: SqliteStore, now: float = LATER) -> int:
    total = 0
    while count := store.roll_up(3, now):
        total += count
    return total


def rtt_of(seq: int) -> float:
    return 0.01 * 1.03**seq


def minute(seq: int, **changes: Any) -> Arrival:
    return good(seq, raw_window(NOON + 60 * (seq - 1), **{"result": result(60, seq % 3, rtt_of(seq))} | changes))


def test_hour_sums_up_its_measurements(store: SqliteStore) -> None:
    store.commit([delivery(*(minute(seq) for seq in range(1, 91)))])
    assert roll_all(store) == 2
    first, second = store.rollups(Filter())
    assert (first.hour, first.n, first.ok, second.hour, second.n) == (NOON, 60, 60, NOON + 3600, 30)
    assert (first.sent, first.lost) == (3600, 60)
    rtt = first.fields.sums["rtt_p50"]
    assert (rtt.count, rtt.min, rtt.max) == (60, rtt_of(1), rtt_of(60))
    assert rtt.sum == pytest.approx(sum(rtt_of(seq) for seq in range(1, 61)))
    merged = sketch.merge({}, first.fields.histograms["rtt"])
    assert sum(merged.values()) == 3600 - 60
    assert sketch.quantile(merged, 1.0) == pytest.approx(rtt_of(60), rel=0.0101)
    assert first.version == hour.VERSION


def test_outcomes_and_verdicts_are_counted_apart(store: SqliteStore) -> None:
    store.commit(
        [
            delivery(
                minute(1),
                minute(2, verdict="censored", reasons=("link_speed",)),
                minute(3, verdict="invalid", reasons=("cpu",)),
                minute(4, outcome="failed", error="timeout", result=None),
                minute(5, outcome="skipped", error="busy", result=None),
                minute(6, reasons=("undated",)),
            )
        ]
    )
    roll_all(store)
    (rollup,) = store.rollups(Filter())
    assert (rollup.n, rollup.ok, rollup.failed, rollup.skipped) == (5, 3, 1, 1)
    assert (rollup.valid, rollup.censored, rollup.invalid) == (3, 1, 1)
    assert (rollup.sent, rollup.lost) == (120, 1 + 2)
    assert rollup.fields.sums["rtt_p50"].max == rtt_of(1)
    assert rollup.bounds.sums["rtt_p50"].max == rtt_of(2)


def test_order_and_duplicates_change_nothing(store: SqliteStore, tmp_path: Path) -> None:
    numbers = list(range(1, 61))
    store.commit([delivery(*(minute(seq) for seq in numbers))])
    roll_all(store)
    other = SqliteStore(tmp_path / "other.db")
    random.Random(7).shuffle(numbers)
    for seq in numbers:
        other.commit([delivery(minute(seq), minute(seq))])
        if seq % 7 == 0:
            roll_all(other)
    roll_all(other)
    assert other.rollups(Filter()) == store.rollups(Filter())
    other.close()


def test_hour_that_is_not_over_waits(store: SqliteStore) -> None:
    store.commit([delivery(minute(1))])
    assert store.roll_up(100, NOON + 3599) == 0
    assert store.roll_up(100, NOON + 3600) == 1


def test_late_measurement_restates_its_hour_and_a_duplicate_does_not(store: SqliteStore) -> None:
    store.commit([delivery(minute(1), minute(2))])
    assert roll_all(store) == 1
    store.commit([delivery(minute(2), minute(3))])
    assert roll_all(store) == 1
    assert [each.n for each in store.rollups(Filter())] == [3]
    store.commit([delivery(minute(1))])
    assert roll_all(store) == 0


def test_mark_survives_a_restart(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "store.db")
    first.commit([delivery(minute(1))])
    first.close()
    second = SqliteStore(tmp_path / "store.db")
    assert roll_all(second) == 1
    second.close()


def test_prune_rolls_up_first_and_keeps_roll_ups(store: SqliteStore) -> None:
    store.commit([delivery(*(minute(seq) for seq in range(1, 121)))])
    assert store.prune(NOON + 3600 + 1800) == 60  # whole hours only
    assert [each.n for each in store.rollups(Filter())] == [60]
    assert len(store.measurements(Filter(), 0, 1000)) == 60
    roll_all(store)
    assert [each.n for each in store.rollups(Filter())] == [60, 60]


def test_late_row_of_a_pruned_hour_is_refused_and_the_hour_stays(store: SqliteStore) -> None:
    store.commit([delivery(*(minute(seq) for seq in range(1, 60)))])
    store.prune(NOON + 3600)
    before = store.rollups(Filter())
    late = store.commit([delivery(minute(60), minute(61))])
    assert late.reasons == {"time_past": 1}
    assert list(late.through.values()) == [61]
    roll_all(store)
    assert store.rollups(Filter(end=NOON + 3600)) == before
    assert before[0].n == 59


def test_prune_in_another_process_is_heeded(store: SqliteStore, tmp_path: Path) -> None:
    store.commit([delivery(minute(1), minute(2))])
    other = SqliteStore(tmp_path / "store.db")
    assert other.prune(NOON + 3600) == 2
    other.close()
    assert store.commit([delivery(minute(3))]).reasons == {"time_past": 1}
    assert roll_all(store) == 0
    assert [each.n for each in store.rollups(Filter())] == [2]


def test_pruned_boundary_survives_a_restart(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "store.db")
    first.commit([delivery(minute(1))])
    first.prune(NOON + 3600)
    first.close()
    second = SqliteStore(tmp_path / "store.db")
    assert second.commit([delivery(minute(2))]).reasons == {"time_past": 1}
    second.close()


def test_prune_with_a_limit_goes_in_steps(store: SqliteStore) -> None:
    store.commit([delivery(*(minute(seq) for seq in range(1, 61)))])
    deleted = []
    while count := store.prune(NOON + 3600, 25):
        deleted.append(count)
    assert deleted == [25, 25, 10]
    assert store.measurements(Filter(), 0, 10) == []


def test_rollups_are_filtered(store: SqliteStore) -> None:
    store.commit([delivery(*(minute(seq) for seq in range(1, 200)))])
    roll_all(store)

    def hours(where: Filter) -> list[float]:
        return [(each.hour - NOON) / 3600 for each in store.rollups(where)]

    assert hours(Filter(begin=NOON + 3600, end=NOON + 2 * 3600)) == [1]
    assert hours(Filter(begin=NOON + 1, end=NOON + 2 * 3600 + 1)) == [1, 2]
    assert hours(Filter(test="other")) == []
    rollup: Rollup = store.rollups(Filter(probe="ping"))[0]
    assert (rollup.target, rollup.role, rollup.interface, rollup.family) == ("operator-1", "operator", "eth0", 4)


def test_merged_hours_equal_the_whole(store: SqliteStore) -> None:
    raws = [minute(seq).raw for seq in range(1, 40)]
    parts = [hour.summed(raws[:11]).valid, hour.summed(raws[11:30]).valid, hour.summed(raws[30:]).valid]
    merged, whole = hour.merged(parts), hour.summed(raws).valid
    assert merged.histograms == whole.histograms
    for name, sums in whole.sums.items():
        assert (merged.sums[name].count, merged.sums[name].min, merged.sums[name].max) == (
            sums.count,
            sums.min,
            sums.max,
        )
        assert merged.sums[name].sum == pytest.approx(sums.sum)


def test_what_this_program_cannot_decode_is_counted_but_not_summed(store: SqliteStore) -> None:
    unknown = minute(1).raw.replace(b'"ping"', b'"from_next_year"')
    store.commit([delivery(good(1, unknown))])
    roll_all(store)
    (rollup,) = store.rollups(Filter())
    assert (rollup.n, rollup.fields.sums, rollup.sent) == (1, {}, 0)
