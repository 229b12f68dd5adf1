"""What stamp says of each packet's delays, beside captures at both ends of the line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import pcap_stamp
from tests.support.netns import Namespace
from tests.support.tap import ROOT, Capture

PORT = 862
BOUND_S = 1e-7


def reflector(far: Namespace, host: str) -> "subprocess.Popen[bytes]":
    """The real one, answering."""
    order = {"hosts": [host], "port": PORT, "clock_bound_s": BOUND_S}
    argv = [sys.executable, "-m", "tests.support.stamp_reflector", json.dumps(order)]
    process = far.popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def measure(
    near: Namespace, far: Namespace, address: str, folder: Path, **order: Any
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """What the probe said, and by how much each of its delays differs from the captures'."""
    there = reflector(far, address)
    captures = [Capture(end, folder / name, f"udp port {PORT}") for end, name in ((near, "near"), (far, "far"))]
    order = {"address": address, "window_s": 5, "clock_bound_s": BOUND_S, "params": {"interval": "10 ms"}} | order
    driver = near.popen(
        [sys.executable, "-m", "tests.support.stamp_driver", json.dumps(order)], cwd=ROOT, stdout=subprocess.PIPE
    )
    output, _ = driver.communicate(timeout=60)
    said: dict[str, Any] = json.loads(output.splitlines()[-1])[0]
    for capture in captures:
        capture.stop(lambda path: len(pcap_stamp.first_times(path, PORT)[1]) >= said["result"]["sent"])
    there.terminate()
    there.communicate(timeout=20)
    return said, differences(said, *(pcap_stamp.first_times(capture.path, PORT) for capture in captures))


def differences(
    said: dict[str, Any], near: tuple[dict[int, int], ...], far: tuple[dict[int, int], ...]
) -> dict[str, list[float]]:
    """Seconds, absolute; captures are (requests, replies) by number."""
    off: dict[str, list[float]] = {"rtt_s": [], "forward_s": [], "backward_s": []}
    for packet in said["packets"]:
        if not packet["followed"]:
            continue  # the reflector had no time to tell when its reply left: the window's last
        number = packet["number"]
        forward, backward = far[0][number] - near[0][number], near[1][number] - far[1][number]
        truth = {"rtt_s": forward + backward, "forward_s": forward, "backward_s": backward}
        for name, ns in truth.items():
            off[name].append(abs(packet[name] - ns / 1e9))
    return off


def quantile(values: list[float], q: float) -> float:
    """The q-quantile, or the greatest."""
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]
