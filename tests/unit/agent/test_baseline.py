"""Round trips against the past day's shortest."""

import pytest

from fibrewatch_agent.line.baseline import Seen, inflation, kept, seen

NOW = 1_800_000_000.0


def calm(count: int, low: float = 0.004, swing: float = 0.0005) -> list[Seen]:
    return [Seen(NOW - 600 * i, low, low + swing) for i in range(count)]


def test_a_look_is_its_tenth_percentile_and_its_median() -> None:
    assert seen(NOW, [i / 1000 for i in range(1, 21)]) == Seen(NOW, 0.002, 0.010)


def test_a_queue_shows_against_the_day() -> None:
    assert inflation(calm(100), Seen(NOW, 0.004, 0.0055)) is None
    assert inflation(calm(100), Seen(NOW, 0.030, 0.034)) == pytest.approx(0.030)


def test_a_mobile_line_that_always_swings_is_not_called_busy() -> None:
    day = calm(100, low=0.030, swing=0.020)
    assert inflation(day, Seen(NOW, 0.040, 0.070)) is None
    assert inflation(day, Seen(NOW, 0.080, 0.120)) is not None


def test_a_line_that_is_busy_for_most_of_the_day_is_still_found_busy() -> None:
    day = calm(10) + [Seen(NOW - 600 * i, 0.100, 0.120) for i in range(130)]
    assert inflation(day, Seen(NOW, 0.100, 0.120)) is not None


def test_the_first_look_has_nothing_to_be_held_against() -> None:
    assert inflation([], Seen(NOW, 0.5, 0.6)) is None


def test_a_day_is_remembered_and_no_future() -> None:
    history = [Seen(NOW - 90_000, 1, 1), Seen(NOW - 80_000, 2, 2), Seen(NOW + 5, 3, 3)]
    assert kept(history, NOW) == [history[1]]
