"""Schedule arithmetic: spread, fixed grid, windows on the UTC minute."""

from hypothesis import given
from hypothesis import strategies as st

from fibrewatch import schedule

NOW = 1_795_348_800.0


def test_fifty_boxes_never_start_together() -> None:
    phases = sorted(schedule.phase(f"paris/site-{n:02}/box-01", "download", 3600) for n in range(50))
    assert len(set(phases)) == 50
    assert all(0 <= phase < 3600 for phase in phases)
    quarters = [sum(900 * i <= phase < 900 * (i + 1) for phase in phases) for i in range(4)]
    assert min(quarters) >= 5, quarters


def test_phase_is_the_same_at_every_start_and_differs_by_test() -> None:
    first = schedule.phase("paris/cargo/box-01", "download", 600)
    assert first == schedule.phase("paris/cargo/box-01", "download", 600)
    assert first != schedule.phase("paris/cargo/box-01", "upload", 600)


@given(st.floats(0, 2e9), st.sampled_from([0.005, 1, 10, 60, 3600.0]), st.floats(0, 0.999))
def test_next_run_is_on_the_grid_and_within_one_period(now: float, every_s: float, share: float) -> None:
    run = schedule.next_run(now, every_s, share * every_s)
    assert now < run <= now + every_s * (1 + 1e-6) + 1e-6
    periods = (run - share * every_s) / every_s
    assert abs(periods - round(periods)) < 1e-3


def test_windows_divide_the_minute() -> None:
    assert [w for w in (1, 5, 7, 10, 20, 25, 30, 60, 120, 0, -5) if schedule.divides_minute(w)] == [
        1, 5, 10, 20, 30, 60,
    ]  # fmt: skip
    assert schedule.window_start(NOW + 59.999, 60) == NOW
    assert schedule.window_start(NOW + 59.999, 10) == NOW + 50
