"""The goodput of slow, usual and fast lines behind a router, both ways, by one stream and by four: the shaper's own."""

from collections.abc import Iterator

import pytest

from tests.support.loaded import LoadedLine, line_with_server
from tests.support.routed import RoutedLine

pytestmark = [pytest.mark.alone, pytest.mark.soak]
ATTEMPTS, FULL = 6, 0.994


@pytest.fixture(scope="module")
def routed() -> Iterator[RoutedLine]:
    with line_with_server() as line:
        yield line


@pytest.mark.parametrize("mbit", [20, 200, 900])
@pytest.mark.parametrize("direction", ["down", "up"])
@pytest.mark.parametrize("streams", [1, 4])
def test_goodput_is_what_tcp_gets_of_the_shapers_rate(
    routed: RoutedLine, mbit: int, direction: str, streams: int
) -> None:
    """Again where the shaper itself counted that the line was not full: then this machine was the limit."""
    line = LoadedLine(routed, mbit, latency_ms=50)
    for _ in range(ATTEMPTS):
        made = line.measure(
            direction, streams=streams, duration="5 s", omit="2 s", early_stop=False, latency="off", max_bytes="10 GB"
        )
        share = made.result["goodput"] / line.ceiling
        print(f"{direction} {mbit} Mbit/s {streams}: {share:.4f} of 0.9564 of it, shaper {made.queue.filled:.4f}")
        assert share <= 1.01
        if made.queue.filled >= FULL:
            assert share == pytest.approx(1, rel=0.01)
            return
    raise AssertionError(f"the line was not full in {ATTEMPTS} transfers")
