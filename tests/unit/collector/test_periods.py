"""Periods in the place's own time: nights when clocks change, years, busy hours."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibrewatch_collector.sla import periods
from fibrewatch_collector.sla.periods import BusyHours

PARIS, PACIFIC = "Europe/Paris", "America/Los_Angeles"


@pytest.mark.parametrize(
    ("label", "zone", "begin", "minutes"),
    [
        ("2026-10", PARIS, datetime(2026, 9, 30, 22, tzinfo=UTC), 31 * 1440 + 60),
        ("2026-03", PARIS, datetime(2026, 2, 28, 23, tzinfo=UTC), 31 * 1440 - 60),
        ("2026-11", PACIFIC, datetime(2026, 11, 1, 7, tzinfo=UTC), 30 * 1440 + 60),
        ("2028-02", "UTC", datetime(2028, 2, 1, tzinfo=UTC), 29 * 1440),
        ("2026-12", PARIS, datetime(2026, 11, 30, 23, tzinfo=UTC), 31 * 1440),
    ],
)
def test_month_begins_at_local_midnight_and_knows_its_minutes(
    label: str, zone: str, begin: datetime, minutes: int
) -> None:
    found = periods.month(label, zone)
    assert (found.begin, found.minutes, found.label) == (begin, minutes, label)


def test_days_of_october_have_24_hours_but_one_of_25() -> None:
    lengths = [(day.end - day.begin).total_seconds() / 3600 for day in periods.month("2026-10", PARIS).days]
    assert sorted(set(lengths)) == [24, 25]
    assert lengths.index(25) == 24
    assert len(lengths) == 31


def test_a_period_of_days_has_its_last_day_in_it() -> None:
    found = periods.between(date(2026, 3, 28), date(2026, 3, 29), PARIS)
    assert (found.end - found.begin).total_seconds() / 3600 == 47
    with pytest.raises(ValueError, match="2026-03-27 is before 2026-03-28"):
        periods.between(date(2026, 3, 28), date(2026, 3, 27), PARIS)


@pytest.mark.parametrize("text", ["2026-13", "2026", "october", "2026-10-01", ""])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a month"):
        periods.month(text, PARIS)


@given(
    year=st.integers(1980, 2060), zone=st.sampled_from([PARIS, PACIFIC, "Asia/Kolkata", "Africa/Cairo", "Asia/Beirut"])
)
def test_months_make_the_year_and_days_the_month(year: int, zone: str) -> None:
    months = [periods.month(f"{year}-{number:02d}", zone) for number in range(1, 13)]
    whole = periods.year(year, zone)
    assert sum(each.minutes for each in months) == whole.minutes
    assert [each.end for each in months[:-1]] == [each.begin for each in months[1:]]
    for each in months:
        assert each.days[0].begin == each.begin
        assert each.days[-1].end == each.end
        assert [day.end for day in each.days[:-1]] == [day.begin for day in each.days[1:]]


def test_busy_hours_follow_the_wall_clock() -> None:
    noon = BusyHours(begin=12 * 60, end=14 * 60)
    zone = ZoneInfo(PARIS)
    assert noon.holds(datetime(2026, 7, 1, 10, 0, tzinfo=UTC), zone)  # a Wednesday, summer
    assert not noon.holds(datetime(2026, 12, 2, 10, 59, tzinfo=UTC), zone)  # winter: 11:59
    assert noon.holds(datetime(2026, 12, 2, 12, 59, 59, tzinfo=UTC), zone)
    assert not noon.holds(datetime(2026, 12, 2, 13, 0, tzinfo=UTC), zone)
    assert not noon.holds(datetime(2026, 7, 4, 10, 30, tzinfo=UTC), zone)  # a Saturday
