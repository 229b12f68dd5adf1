"""A busy channel: what the installed agent publishes of it, and a capture of the very interface that it listens on."""

import subprocess
import time
from pathlib import Path
from typing import Any

from fibrewatch.measurement import AnyMeasurement
from tests.lab.radio import onboarding as here
from tests.lab.radio.world import Heard, World
from tests.support.netns import run
from tests.support.radio_pcap import caught
from tests.support.waiting import wait_until

RADIOS = 4
_FILE = Path("/run/out/air.pcap")
_TRIES, _LULL_S = 5, 0.03
_TESTS = f"""
[tests.air]
probe = "wifi_air"
every = "8 s"
interface = "wlan3"
params = {{ frequency = 2437, duration = "4 s", ssid = "fibre", socket = "{here.SOCKET}" }}
"""


def scene(world: World) -> Any:
    """Two networks on one channel, and a client with traffic in one of them."""
    here.prepare("", radios='[radios.wlan3]\nmonitor = "mon0"\n')
    own = world.access_point(1, "fibre")
    other = world.access_point(2, "neighbour")
    inside = world.namespace("client")
    world.radios.move(0, inside)
    station = world.station(0, inside)
    station.start("fibre", scan_freq="2437")
    station.connected(own.bssid)
    own.namespace.run("ip", "addr", "add", "10.77.0.1/24", "dev", own.interface)
    inside.run("ip", "addr", "add", "10.77.0.2/24", "dev", "wlan0")
    traffic = inside.popen(["ping", "-q", "-i", "0.02", "-s", "700", "10.77.0.1"])
    try:
        run("tcpdump", "--version")  # the first start of a program takes seconds here
        with here.helper(), world.box(_TESTS) as (_, heard):
            found = _listened(heard)
    finally:
        traffic.kill()
        traffic.wait()
    back = Path("/sys/class/net/mon0").exists()
    return {"air": found, "own": own.bssid, "other": other.bssid, "monitor_left": back}


def _listened(heard: Heard) -> AnyMeasurement:
    """A run that a capture of its interface spans: the capture may have been the slower one to start."""
    for _ in range(_TRIES):
        wait_until(Path("/sys/class/net/mon0").exists, "the monitor interface", 60)
        capture, begun = _capture(), time.time()
        before = len(_runs(heard))
        wait_until(lambda: len(_runs(heard)) > before, "what was heard", 90)  # noqa: B023 - called here alone
        capture.terminate()
        capture.wait(30)
        found = _runs(heard)[-1]
        if found.result is None or _spanned(found, begun):
            return found
    raise AssertionError(f"no run of {_TRIES} lay within its capture")


def _spanned(found: AnyMeasurement, begun: float) -> bool:
    """What tcpdump has not read when the interface goes is lost."""
    began = found.started_at.timestamp() + found.result.listened_from
    return bool(began > begun and caught(_FILE)[-1].at > began + found.result.duration - _LULL_S)


def _runs(heard: Heard) -> list[AnyMeasurement]:
    return [each for each in heard.of("air") if each.outcome != "skipped"]


def _capture() -> subprocess.Popen[bytes]:
    argv = ["chrt", "--fifo", "1", "tcpdump", "-i", "mon0", "--immediate-mode", "-U", "--time-stamp-precision=nano"]
    argv += ["-Z", "root", "-s", "256", "-B", "8192"]
    process = subprocess.Popen([*argv, "-w", str(_FILE)], stderr=subprocess.PIPE)
    assert process.stderr is not None
    while b"listening on" not in process.stderr.readline():
        pass
    return process
