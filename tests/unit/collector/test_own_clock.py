"""The collector's own clock beside what must have passed."""

from pathlib import Path

import pytest

from fibrewatch.measurement import UNDATED
from fibrewatch_collector import own_clock
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.measurements import NOON, delivery, good, raw_window

PAST = NOON + 400 * 86400


@pytest.mark.parametrize(
    ("now", "behind"), [(NOON, 400 * 86400), (PAST - 7201, 7201), (PAST - 7199, 0), (PAST, 0), (PAST + 1e6, 0)]
)
def test_a_clock_is_behind_by_more_than_a_box_may_be_ahead(now: float, behind: float) -> None:
    assert own_clock.seconds_behind(now, PAST) == behind
    assert (own_clock.complaint(now, PAST) is not None) == (behind > 0)


def test_a_complaint_names_both_moments() -> None:
    told = own_clock.complaint(0.0, NOON)
    assert told is not None
    assert "1970-01-01T00:00:00Z" in told
    assert "2026-03-01T12:00:00Z" in told


def test_newest_start_is_of_dated_measurements(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    assert store.newest_start() is None
    undated = good(3, raw_window(NOON + 9e6, reasons=(UNDATED,)))
    store.commit([delivery(good(1, raw_window(NOON + 60)), good(2, raw_window(NOON)), undated, at=NOON + 9e6)])
    assert store.newest_start() == NOON + 60
    store.close()


def test_the_program_is_not_older_than_its_files(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    assert own_clock.surely_past(store) == Path(own_clock.__file__).stat().st_mtime
    store.close()
