"""The search of RFC 9097 §8.1, held to its table and to lines whose capacity is known."""

import pytest

from fibrewatch_agent.capacity.search import Search, Seen, rate_of

MBIT = 1e6 / 8
CALM = Seen(packets=100, errors=0, delay_s=0.001)
LOSSY = Seen(packets=100, errors=11, delay_s=0.001)
SLOW = Seen(packets=100, errors=0, delay_s=0.091)
HELD = Seen(packets=100, errors=0, delay_s=0.060)


def search(most: float = 1e12, tolerated_loss: float = 0.0) -> Search:
    """With the RFC's thresholds."""
    return Search(most, tolerated_loss, 0.030, 0.090)


@pytest.mark.parametrize(("row", "mbit"), [(0, 0.5), (1, 1), (2, 2), (1000, 1000), (1001, 1100), (1090, 10_000)])
def test_table_of_sending_rates(row: int, mbit: float) -> None:
    assert rate_of(row) == mbit * MBIT


def test_calm_line_is_climbed_in_great_steps_up_to_a_gigabit_and_in_single_rows_beyond() -> None:
    seen = search()
    rows = []
    for _ in range(103):
        seen.report(CALM)
        rows.append(seen.row)
    assert rows[:3] == [10, 20, 30]
    assert rows[99:] == [1000, 1001, 1002, 1003]
    assert seen.met == 0


@pytest.mark.parametrize("trouble", [LOSSY, SLOW])
def test_third_sign_of_congestion_in_a_row_goes_far_back_and_then_by_single_rows(trouble: Seen) -> None:
    seen = search()
    seen.row = 500
    rows = []
    for report in (trouble, trouble, trouble, trouble, CALM, CALM):
        seen.report(report)
        rows.append(seen.row)
    assert rows == [499, 498, 468, 467, 468, 469]
    assert seen.met == 4


def test_congestion_that_passes_is_forgotten() -> None:
    seen = search()
    seen.row = 500
    for report in (LOSSY, LOSSY, CALM, LOSSY, LOSSY, CALM):
        seen.report(report)
    assert seen.row == 500 - 2 + 10 - 2 + 10


def test_delay_between_the_thresholds_and_silence_hold_the_rate() -> None:
    seen = search()
    seen.row = 500
    for report in (HELD, Seen(0, 0, None)):
        seen.report(report)
    assert seen.row == 500


def test_row_stays_in_the_table() -> None:
    seen = search()
    for _ in range(5):
        seen.report(LOSSY)
    assert seen.row == 0
    seen.row = 1090
    seen.report(CALM)
    assert seen.row == 1090


def test_no_more_is_sent_than_was_reserved() -> None:
    seen = search(most=25 * MBIT)
    for _ in range(50):
        seen.report(CALM)
    assert (seen.rate, seen.top) == (25 * MBIT, 25 * MBIT)


@pytest.mark.parametrize(("tolerated", "row"), [(0.0, 499), (0.02, 510)])
def test_random_loss_within_what_is_tolerated_is_no_congestion(tolerated: float, row: int) -> None:
    seen = search(tolerated_loss=tolerated)
    seen.row = 500
    seen.report(Seen(packets=4000, errors=40, delay_s=0.001))
    assert seen.row == row


@pytest.mark.parametrize("mbit", [3, 20, 200, 940])
def test_bottleneck_with_a_queue_is_found_and_kept_full(mbit: int) -> None:
    """A queue of 200 ms before a line of known rate, in virtual time."""
    seen, queue, full = search(), 0.0, []
    for _ in range(240):
        arrived, drained = seen.rate * 0.05, mbit * MBIT * 0.05
        lost = max(0.0, queue + arrived - drained - 0.2 * mbit * MBIT)
        carried = min(queue + arrived, drained)
        queue = max(0.0, queue + arrived - drained - lost)
        full.append(carried / drained)
        seen.report(Seen(round(carried / 1250), round(lost / 1250), queue / (mbit * MBIT)))
    best = max(sum(full[i : i + 20]) / 20 for i in range(len(full) - 20))
    assert best == pytest.approx(1, abs=0.005)
    assert seen.met >= 3
