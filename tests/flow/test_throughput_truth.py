"""Is the goodput true? Against the interface's byte counter, the shaper's arithmetic, and the tool run by hand."""

from collections.abc import Iterator

import pytest

from tests.support.routed import RoutedLine
from tests.support.throughput_truth import CEILING, by_hand, on_a_full_line, probe, shaped

pytestmark = pytest.mark.calm


@pytest.fixture(scope="module")
def line() -> Iterator[RoutedLine]:
    with shaped() as line:
        yield line


@pytest.mark.parametrize("direction", ["down", "up"])
def test_goodput_is_what_the_line_carried(line: RoutedLine, direction: str) -> None:
    told, counted = on_a_full_line(line, direction, probe)
    tool, _ = on_a_full_line(line, direction, by_hand)
    report = {"probe": told, "interface": counted, "tbf": CEILING, "iperf3": tool}
    print({name: f"{value * 8 / 1e6:.2f} Mbit/s" for name, value in report.items()})
    for other in (counted, CEILING):
        assert told == pytest.approx(other, rel=0.01)
    assert told == pytest.approx(tool, rel=0.02), "in order: a loss near the edges moves its bytes over them"
