"""Is the goodput true? Against the interface's byte counter, the shaper's arithmetic, and the tool run by hand."""

import json
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from fibrewatch import wire
from fibrewatch.measurement import Measurement
from fibrewatch.results import PROBES
from fibrewatch.results.throughput import Result
from tests.support.routed import FULL_FRAME, PAYLOAD, ByteCounter, RoutedLine

RATE_BITS = 200e6
DURATION_S, OMIT_S = 4, 2
EDGE_S = 0.25
"""Left out of the counter's window at both ends: what started when is known to a few milliseconds only."""

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def line() -> Iterator[RoutedLine]:
    """A line of 200 Mbit/s each way with a responder at its far end."""
    with RoutedLine() as line:
        line.shape("200mbit")
        line.count_single_frames()
        command = [sys.executable, "-m", "fibrewatch_agent", "responder", "--bind", line.far4]
        responder = line.far.popen(command, stderr=subprocess.PIPE)
        assert responder.stderr is not None
        for _ in range(4):
            assert b"serving" in responder.stderr.readline()
        yield line
        responder.terminate()
        assert responder.wait(10) == 0


@pytest.mark.parametrize("direction", ["down", "up"])
def test_goodput_is_what_the_line_carried(line: RoutedLine, direction: str) -> None:
    receiver = line.box if direction == "down" else line.far
    with ByteCounter(receiver) as counter:
        measurement = _probe(line, direction)
    assert measurement.result is not None
    goodput = measurement.result.goodput
    begin = measurement.boottime_s + OMIT_S
    counted = counter.rate(begin + EDGE_S, begin + DURATION_S - EDGE_S) * PAYLOAD / FULL_FRAME
    by_hand = _by_hand(line, direction)
    report = {"probe": goodput, "interface": counted, "tbf": _ceiling(), "iperf3": by_hand}
    print({name: f"{value * 8 / 1e6:.2f} Mbit/s" for name, value in report.items()})
    assert measurement.verdict == "valid", measurement.reasons
    for other in (counted, _ceiling(), by_hand):
        assert goodput == pytest.approx(other, rel=0.01)


def _ceiling() -> float:
    return RATE_BITS / 8 * PAYLOAD / FULL_FRAME


def _probe(line: RoutedLine, direction: str) -> Measurement[Result]:
    params = [f"direction={direction}", f"duration={DURATION_S} s", f"omit={OMIT_S} s"]
    options = [option for param in params for option in ("--param", param)]
    command = ["-m", "fibrewatch_agent", "once", "throughput", "--target", line.far4, "--json", *options]
    output = line.box.run(sys.executable, *command)
    measurement: Measurement[Result] = msgspec.json.decode(output, type=wire.measurement_type(PROBES["throughput"]))
    return measurement


def _by_hand(line: RoutedLine, direction: str) -> float:
    """The same transfer by the command line of iperf3; the receiver's goodput in bytes per second."""
    way = ["-R"] if direction == "down" else []
    command = ["iperf3", "-c", line.far4, "-t", str(DURATION_S), "-O", str(OMIT_S), "-P", "4", "-J", *way]
    received = json.loads(line.box.run(*command))["end"]["sum_received"]
    rate: float = received["bytes"] / received["seconds"]
    return rate
