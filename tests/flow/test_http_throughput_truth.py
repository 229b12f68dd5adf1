"""Is the goodput over HTTP true? Against the interface's byte counter and the shaper's arithmetic."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.routed import RoutedLine
from tests.support.throughput_truth import OMIT_S, ceiling, on_a_full_line

pytestmark = pytest.mark.calm


@pytest.fixture(scope="module")
def line() -> Iterator[tuple[RoutedLine, int]]:
    """With a web server at its far end; its port."""
    with RoutedLine() as line:
        line.count_single_frames()
        command = [sys.executable, "-m", "tests.support.load_server", line.far4]
        server = line.far.popen(command, stdout=subprocess.PIPE)
        assert server.stdout is not None
        try:
            yield line, int(server.stdout.readline())
        finally:
            server.kill()
            server.wait()


DURATION_S = 2


def _probe(port: int, streams: int, path: str, line: RoutedLine, direction: str) -> tuple[float, float]:
    """Goodput, and when it began by the boot clock."""
    params = {"direction": direction, "port": port, "path": path, "streams": streams, "early_stop": "false"}
    params |= {"duration": f"{DURATION_S} s", "omit": f"{OMIT_S} s", "upload_size": "10 MB"}
    options = [part for name, value in params.items() for part in ("--param", f"{name}={value}")]
    command = ["-m", "fibrewatch_agent", "once", "http_throughput", "--target", line.far4, "--json", *options]
    told = json.loads(line.box.run(sys.executable, *command))
    assert told["outcome"] == "ok", told
    assert set(told.get("reasons", ())) <= {"cpu_saturated"}, told  # others use this machine: a bound, but true
    return told["result"]["goodput"], told["boottime_s"]


@pytest.mark.parametrize(
    ("mbit", "direction", "streams", "path"),
    [
        (50, "down", 4, "/bytes/2000000"),
        (50, "up", 1, "/"),
        pytest.param(200, "down", 1, "/bytes/50000000", marks=pytest.mark.soak),
        pytest.param(200, "down", 4, "/bytes/10000000", marks=pytest.mark.soak),
        pytest.param(200, "up", 1, "/", marks=pytest.mark.soak),
        pytest.param(200, "up", 4, "/", marks=pytest.mark.soak),
    ],
)
def test_goodput_is_what_the_line_carried(
    line: tuple[RoutedLine, int], mbit: int, direction: str, streams: int, path: str
) -> None:
    """A busy machine has time to keep the slower line full."""
    line[0].shape(f"{mbit}mbit", "300ms")
    run = partial(_probe, line[1], streams, path)
    told, counted = on_a_full_line(line[0], direction, run, full=ceiling(mbit), duration_s=DURATION_S)
    print({name: f"{value * 8 / 1e6:.2f} Mbit/s" for name, value in {"probe": told, "interface": counted}.items()})
    for other in (counted, ceiling(mbit)):
        assert told == pytest.approx(other, rel=0.01)


@pytest.mark.soak
@pytest.mark.parametrize("direction", ["down", "up"])
def test_slow_line_is_told_as_truly(line: tuple[RoutedLine, int], direction: str) -> None:
    line[0].shape("20mbit")
    goodput, _ = _probe(line[1], 4, "/bytes/2000000", line[0], direction)
    assert goodput == pytest.approx(ceiling(20), rel=0.01)
