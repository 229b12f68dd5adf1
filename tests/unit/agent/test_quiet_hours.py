"""Quiet hours by the site's clock: over midnight, over weekends, over the change of the clocks."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from fibrewatch_agent.line.quiet_hours import parse, quiet_until

PARIS = ZoneInfo("Europe/Paris")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp()


@pytest.mark.parametrize(
    ("hours", "now", "end"),
    [
        (["08:00-19:00"], "2026-11-23 07:59:59", None),
        (["08:00-19:00"], "2026-11-23 08:00", "2026-11-23 19:00"),
        (["08:00-19:00"], "2026-11-23 18:59:59", "2026-11-23 19:00"),
        (["08:00-19:00"], "2026-11-23 19:00", None),
        (["22:00-06:00"], "2026-11-23 23:00", "2026-11-24 06:00"),
        (["22:00-06:00"], "2026-11-23 05:00", "2026-11-23 06:00"),
        (["fri 22:00-06:00"], "2026-11-28 05:00", "2026-11-28 06:00"),  # Saturday morning belongs to Friday's night
        (["fri 22:00-06:00"], "2026-11-27 05:00", None),
        (["mon-fri 08:00-19:00"], "2026-11-28 10:00", None),
        (["sat-mon 10:00-11:00"], "2026-11-23 10:30", "2026-11-23 11:00"),
        (["08:00-12:00", "12:00-14:00"], "2026-11-23 09:00", "2026-11-23 14:00"),
        (["00:00-24:00"], "2026-11-23 09:00", "2026-12-07 00:00"),  # looks two weeks ahead
        (["00:00-06:00"], "2026-10-25 01:00", "2026-10-25 06:00"),  # an hour longer than others
        (["02:30-03:30"], "2026-03-29 03:10", "2026-03-29 03:30"),  # 02:30 does not exist that night
        (["22:00-06:00"], "2026-10-24 23:00", "2026-10-25 06:00"),
        (["22:00-06:00"], "2026-03-28 23:00", "2026-03-29 06:00"),
        (["23:00-02:30"], "2026-03-29 03:10", "2026-03-29 03:30"),  # what ends in the hour that is left out
        (["sun 23:00-01:00"], "2026-10-26 00:30", "2026-10-26 01:00"),
        (["mon-fri 22:00-06:00"], "2026-11-28 05:59", "2026-11-28 06:00"),
        (["mon-fri 22:00-06:00"], "2026-11-29 05:59", None),
    ],
)
def test_quiet_lasts_until_the_last_of_joined_hours_ends(hours: list[str], now: str, end: str | None) -> None:
    found = quiet_until([parse(text) for text in hours], at(now), PARIS)
    assert found == (None if end is None else at(end))


def test_without_a_zone_the_boxs_own_clock_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        noon = datetime(2026, 11, 23, 3, 0, tzinfo=UTC).timestamp()
        assert quiet_until([parse("11:30-12:30")], noon) == noon + 1800
        assert quiet_until([parse("02:30-03:30")], noon) is None
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("8-19", """'8-19' is not hours such as "22:00-06:00" or "mon-fri 08:30-19:00\""""),
        ("25:00-26:00", "'25:00-26:00': 25:00 is not a time of day"),
        ("08:60-09:00", "'08:60-09:00': 8:60 is not a time of day"),
        ("mon-fry 08:00-09:00", "'mon-fry 08:00-09:00': 'fry' is no day; one of mon, tue, wed, thu, fri, sat, sun"),
        ("08:00-08:00", "'08:00-08:00' begins when it ends: the whole day is 00:00-24:00"),
    ],
)
def test_hours_that_are_none_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"\d") as caught:
        parse(text)
    assert str(caught.value) == problem
