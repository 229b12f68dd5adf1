"""What ping says of each round trip, beside a capture on the sending interface."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support import pcap
from tests.support.netns import Namespace
from tests.support.tap import ROOT, Capture

PAYLOAD_BYTES = 72  # fping's are 56 and 84: the capture tells them apart
INTERVAL_S = 0.02


def start_driver(near: Namespace, prefix: Sequence[str] = (), **order: Any) -> "subprocess.Popen[bytes]":
    """The real probe, for 5 s unless the order says otherwise."""
    order = {"interval_s": INTERVAL_S, "payload_bytes": PAYLOAD_BYTES, "window_s": 5, "timeout_s": 1} | order
    argv = [sys.executable, "-m", "tests.support.ping_driver", json.dumps(order)]
    return near.popen([*prefix, *argv], cwd=ROOT, stdout=subprocess.PIPE)


def said(driver: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """What it tells of its window at its end."""
    output, _ = driver.communicate(timeout=60)
    window: dict[str, Any] = json.loads(output.splitlines()[-1])[0]
    return window


def holds(count: int) -> Callable[[Path], bool]:
    """Whether a capture has so many round trips."""
    return lambda path: len(pcap.round_trips(path, PAYLOAD_BYTES)) >= count


def differences(window: dict[str, Any], capture: Path) -> list[float]:
    """Absolute difference of each sample to the capture's, which must hold every one of them."""
    truth = pcap.round_trips(capture, PAYLOAD_BYTES)
    assert {sample["number"] for sample in window["samples"]} == truth.keys()
    return [abs(sample["rtt_s"] - truth[sample["number"]]) for sample in window["samples"]]


def measure(near: Namespace, address: str, path: Path, **order: Any) -> tuple[dict[str, Any], list[float]]:
    """A window's result and samples, and by how much each round trip differs from the capture's."""
    capture = Capture(near, path, "icmp or icmp6")
    window = said(start_driver(near, address=address, **order))
    capture.stop(holds(window["result"]["sent"]))
    return window, differences(window, path)
