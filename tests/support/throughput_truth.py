"""What throughput says of a shaped line, beside the interface's byte counter and the tool run by hand."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from fibrewatch import wire
from fibrewatch.measurement import Measurement
from fibrewatch.results import PROBES
from fibrewatch.results.throughput import Result
from tests.support.routed import FULL_FRAME, PAYLOAD, ByteCounter, RoutedLine

MBIT = 200
FULL, ATTEMPTS = 0.994, 5
DURATION_S, OMIT_S = 4, 2
EDGE_S = 0.05
"""Left out of the counter's window at both ends: what started when is known to some milliseconds only."""


def ceiling(mbit: float) -> float:
    """Bytes of TCP payload per second that so many Mbit/s of frames carry: 0.9564 of the rate."""
    return mbit * 1e6 / 8 * PAYLOAD / FULL_FRAME


CEILING = ceiling(MBIT)


@contextmanager
def shaped() -> Iterator[RoutedLine]:
    """A line of 200 Mbit/s each way with a responder at its far end."""
    with RoutedLine() as line:
        line.shape(f"{MBIT}mbit")
        line.count_single_frames()
        command = [sys.executable, "-m", "fibrewatch_agent", "responder", "--bind", line.far4, "--reflector-port", "0"]
        responder = line.far.popen(command, stderr=subprocess.PIPE)
        assert responder.stderr is not None
        for _ in range(4):
            assert b"serving" in responder.stderr.readline()
        try:
            yield line
        finally:
            responder.terminate()
            ended = responder.wait(10)
        assert ended == 0


def on_a_full_line(
    line: RoutedLine,
    direction: str,
    run: Callable[[RoutedLine, str], tuple[float, float]],
    full: float = CEILING,
    duration_s: float = DURATION_S,
) -> tuple[float, float]:
    """What a transfer says of itself, and what the receiver's interface counted meanwhile as TCP payload.

    When this machine takes the processor away from the senders for a tenth of a second, the line runs empty and the
    transfer tells of the machine; the interface's counter knows, whatever the transfer says, and another one is made.
    """
    for _ in range(ATTEMPTS):
        with ByteCounter(line.box if direction == "down" else line.far) as counter:
            goodput, started = run(line, direction)
        begin = started + OMIT_S
        counted = counter.rate(begin + EDGE_S, begin + duration_s - EDGE_S) * PAYLOAD / FULL_FRAME
        if counted >= FULL * full:
            return goodput, counted
        print(f"the line was not full: {counted * 8 / 1e6:.2f} Mbit/s")
    raise AssertionError(f"the line was not full in {ATTEMPTS} transfers")


def probe(line: RoutedLine, direction: str, duration_s: int = DURATION_S) -> tuple[float, float]:
    """Goodput, and when it began by the boot clock."""
    params = [
        f"direction={direction}",
        f"duration={duration_s} s",
        f"omit={OMIT_S} s",
        "early_stop=false",
        "latency=off",
    ]
    options = [option for param in params for option in ("--param", param)]
    command = ["-m", "fibrewatch_agent", "once", "throughput", "--target", line.far4, "--json", *options]
    output = line.box.run(sys.executable, *command)
    measurement: Measurement[Result] = msgspec.json.decode(output, type=wire.measurement_type(PROBES["throughput"]))
    assert set(measurement.reasons) <= {"cpu_saturated"}, (
        measurement.reasons
    )  # others use this machine: a bound, but true
    assert measurement.result is not None
    assert measurement.result.goodput is not None
    return measurement.result.goodput, measurement.boottime_s


def by_hand(line: RoutedLine, direction: str, duration_s: int = DURATION_S) -> tuple[float, float]:
    """The same transfer by the command line of iperf3."""
    way = ["-R"] if direction == "down" else []
    command = ["iperf3", "-c", line.far4, "-t", str(duration_s), "-O", str(OMIT_S), "-P", "4", "-J", *way]
    started = time.clock_gettime(time.CLOCK_BOOTTIME)
    received = json.loads(line.box.run(*command))["end"]["sum_received"]
    return received["bytes"] / received["seconds"], started
