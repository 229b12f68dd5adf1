"""A shaped line under load: throughput at one end, iperf3's server at the other, the queue between them sampled."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from fibrewatch import stats
from fibrewatch_agent.responder.watch import listens
from tests.support.routed import FULL_FRAME, PAYLOAD, RoutedLine
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PORT = 5201
ENDING_S = 0.1
"""What the tool takes to end, about."""


@dataclass(frozen=True)
class Queue:
    """What the router's qdisc said: (monotonic seconds, bytes waiting, bytes sent, bytes dropped), 100 times a second.

    Attributes:
        rate: Bytes per second of the shaper.
    """

    samples: Sequence[tuple[float, int, int, int]]
    rate: float

    def within(self, begin_s: float, end_s: float) -> "Queue":
        """A stretch of it."""
        return Queue([each for each in self.samples if begin_s <= each[0] <= end_s], self.rate)

    def wait(self, q: float) -> float:
        """A percentile of the time that a packet waited, seconds."""
        return stats.percentile([each[1] / self.rate for each in self.samples], q) or 0.0

    @property
    def stall_s(self) -> float:
        """How late the latest sample was: what this machine itself may have added to a round trip."""
        return max(b[0] - a[0] - 0.01 for a, b in pairwise(self.samples))

    @property
    def filled(self) -> float:
        """Share of the rate that was sent."""
        (first_s, _, first, _), (last_s, _, last, _) = self.samples[0], self.samples[-1]
        return (last - first) / (last_s - first_s) / self.rate


class Measured(NamedTuple):
    """One transfer: what the driver printed, and the queue while goodput was counted."""

    said: dict[str, Any]
    queue: Queue

    @property
    def result(self) -> dict[str, Any]:
        """The result's fields."""
        found: dict[str, Any] = self.said["result"]
        return found


class LoadedLine:
    """A routed line of a rate in Mbit/s."""

    def __init__(self, line: RoutedLine, mbit: int, latency_ms: int = 200) -> None:
        self.line, self.rate, self.latency_s = line, mbit * 1e6 / 8, latency_ms / 1e3
        self.burst = 262_144 if mbit > 500 else 65_536
        for interface in ("eth0", "eth1"):  # what the last transfer left in a fast line's queue would block a slow one
            line.router.run("tc", "qdisc", "replace", "dev", interface, "root", "pfifo")
        wait_until(lambda: "ESTAB" not in line.far.run("ss", "-Htn"))
        line.shape(f"{mbit}mbit", f"{latency_ms}ms", str(self.burst))

    @property
    def ceiling(self) -> float:
        """TCP payload that the rate carries, bytes per second: 0.9564 of it."""
        return self.rate * PAYLOAD / FULL_FRAME

    @property
    def longest_wait_s(self) -> float:
        """What the shaper's limit lets a packet wait: tc-tbf(8) sets it to latency and burst."""
        return self.latency_s + self.burst / self.rate

    def measure(self, direction: str, *, idle_s: float = 0.3, **params: Any) -> Measured:
        """One transfer by the probe; parameters as a config would write them."""
        settings = {"direction": direction, "ports": [PORT, PORT], "idle": f"{idle_s} s", **params}
        order = json.dumps([{"target": self.line.far4, "params": settings}])
        with self._sampled("eth0" if direction == "down" else "eth1") as samples:
            command = [sys.executable, "-m", "tests.support.throughput_driver", order]
            said = json.loads(self.line.box.run(*command))
        assert said["result"] is not None, said
        end = said["flowed"][1] - ENDING_S
        return Measured(said, Queue(samples, self.rate).within(end - said["result"]["transfer_duration"], end))

    @contextmanager
    def _sampled(self, interface: str) -> Iterator[list[tuple[float, int, int, int]]]:
        samples: list[tuple[float, int, int, int]] = []
        command = [sys.executable, "-m", "tests.support.queue_sampler", interface]
        sampler = self.line.router.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        try:
            yield samples
        finally:
            output, _ = sampler.communicate(b"\n", timeout=30)
            samples += [tuple(each) for each in json.loads(output)]


@contextmanager
def line_with_server() -> Iterator[RoutedLine]:
    """A line with an iperf3 server at its far end."""
    with RoutedLine() as line:
        server = line.far.popen(["iperf3", "-s", "-J", "-p", str(PORT)], stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: listens(server.pid, PORT))
            yield line
        finally:
            server.kill()
            server.wait()
