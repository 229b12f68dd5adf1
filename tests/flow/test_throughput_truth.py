"""Is the goodput true? Against the interface's byte counter, the shaper's arithmetic, and the tool run by hand."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.routed import RoutedLine
from tests.support.throughput_truth import by_hand, ceiling, on_a_full_line, probe, shaped

pytestmark = pytest.mark.calm
MBIT, DURATION_S = 50, 2
"""A busy machine has time to keep such a line full; 200 and 900 Mbit/s are for `make truth` and `make soak`."""


@pytest.fixture(scope="module")
def line() -> Iterator[RoutedLine]:
    with shaped() as line:
        line.shape(f"{MBIT}mbit", "300ms")
        yield line


@pytest.mark.parametrize("direction", ["down", "up"])
def test_goodput_is_what_the_line_carried(line: RoutedLine, direction: str) -> None:
    short = {"full": ceiling(MBIT), "duration_s": DURATION_S}
    told, counted = on_a_full_line(line, direction, partial(probe, duration_s=DURATION_S), **short)
    tool, _ = on_a_full_line(line, direction, partial(by_hand, duration_s=DURATION_S), **short)
    report = {"probe": told, "interface": counted, "tbf": ceiling(MBIT), "iperf3": tool}
    print({name: f"{value * 8 / 1e6:.2f} Mbit/s" for name, value in report.items()})
    for other in (counted, ceiling(MBIT)):
        assert told == pytest.approx(other, rel=0.01)
    assert told == pytest.approx(tool, rel=0.02), "in order: a loss near the edges moves its bytes over them"
