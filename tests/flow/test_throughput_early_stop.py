"""A transfer that is ended once its rate has converged, on shaped lines: is the rate true? And the round trips?"""

from collections.abc import Iterator

import pytest

from tests.support.loaded import LoadedLine, Measured, line_with_server
from tests.support.routed import RoutedLine

FULL, ATTEMPTS = 0.994, 5
FAST = 500
"""Mbit/s; a busy machine can't keep a faster line full."""


@pytest.fixture(scope="module")
def routed() -> Iterator[RoutedLine]:
    """Shaped anew by each test."""
    with line_with_server() as line:
        yield line


def on_a_full_line(line: LoadedLine, direction: str, reached_s: float = 0.0, **params: object) -> Measured:
    """A transfer that kept the shaper busy and its queue once at `reached_s`.

    Else this machine was what held it back, or cubic's slow climb to the limit, and another one is made. Of a fast line
    that never was full what the shaper sent is as good a truth.
    """
    for _ in range(ATTEMPTS):
        found = line.measure(direction, **params)
        queue = found.queue
        if queue.filled >= FULL and queue.wait(1.0) >= reached_s:
            return found
        print(f"not full: {queue.filled:.3f}, {queue.wait(1.0):.3f} s; {found.result}")
    if line.rate > FAST * 1e6 / 8:
        return found
    pytest.fail(f"the line was not full in {ATTEMPTS} transfers")


@pytest.mark.parametrize(
    ("mbit", "direction", "streams"),
    [
        pytest.param(20, "up", 1, marks=pytest.mark.calm),
        pytest.param(100, "down", 4, marks=pytest.mark.calm),
        pytest.param(900, "up", 4, marks=pytest.mark.alone),
        pytest.param(200, "down", 4, marks=pytest.mark.soak),
        pytest.param(900, "down", 1, marks=pytest.mark.soak),
    ],
)
def test_rate_that_converged_is_the_lines(routed: RoutedLine, mbit: int, direction: str, streams: int) -> None:
    line = LoadedLine(routed, mbit)
    found = on_a_full_line(line, direction, streams=streams, latency="off")
    result, filled = found.result, found.queue.filled
    assert result["transferred"] <= 0.6e9
    if filled >= FULL:
        assert result["goodput"] == pytest.approx(line.ceiling, rel=0.01)
        assert result["stopped"] == "converged"
        assert result["goodput_error"] <= 0.03
        assert result["transferred"] < 0.4 * line.ceiling * 30, "of half a minute's"
    else:
        bound = max(0.03, result["goodput_error"] or 1.0)
        assert result["goodput"] == pytest.approx(filled * line.ceiling, rel=bound)
    assert (result["congestion"], result["source"]) == ("cubic", "tcp_info")


@pytest.mark.calm
@pytest.mark.parametrize(
    ("mbit", "direction", "streams"), [(20, "down", 8), pytest.param(200, "up", 16, marks=pytest.mark.soak)]
)
def test_round_trips_under_load_are_the_queues(routed: RoutedLine, mbit: int, direction: str, streams: int) -> None:
    line = LoadedLine(routed, mbit, latency_ms=100)
    routed.count_single_frames()  # else the shaper saves up for bundles of 64 KiB, which then wait less than they queue
    found = on_a_full_line(
        line,
        direction,
        reached_s=0.97 * line.longest_wait_s,
        streams=streams,
        duration="4 s",
        omit="2 s",
        early_stop=False,
        latency_interval="20 ms",
    )
    result, queue = found.result, found.queue
    assert result["rtt_idle_p50"] < 0.005
    assert result["rtt_loaded_p50"] == pytest.approx(queue.wait(0.5), rel=0.05)
    assert result["rtt_loaded_p95"] == pytest.approx(queue.wait(0.95), rel=0.05)
    longest = line.longest_wait_s
    assert 0.95 * longest <= result["rtt_loaded_max"] <= 1.05 * longest + queue.stall_s
    assert result["rtt_inflation"] == pytest.approx(result["rtt_loaded_p50"] - result["rtt_idle_p50"])
    assert result["latency_sent"] > 50, "fewer than 200 where this machine slept through some: what was sent is true"
