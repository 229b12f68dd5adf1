"""A busy channel: what the installed agent publishes of it, and a capture of the very interface that it listens on."""

import subprocess
from pathlib import Path
from typing import Any

from tests.lab.radio import onboarding as here
from tests.lab.radio.world import World
from tests.support.agent import wait_until

RADIOS = 4
_FILE = Path("/run/out/air.pcap")
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
        with here.helper(), world.box(_TESTS) as (_, heard):
            wait_until(Path("/sys/class/net/mon0").exists, "the monitor interface", 60)
            capture = _capture()
            wait_until(lambda: any(each.outcome != "skipped" for each in heard.of("air")), "what was heard", 90)
            capture.terminate()
            capture.wait(30)
    finally:
        traffic.kill()
        traffic.wait()
    found = next(each for each in heard.of("air") if each.outcome != "skipped")
    back = Path("/sys/class/net/mon0").exists()
    return {"air": found, "own": own.bssid, "other": other.bssid, "monitor_left": back}


def _capture() -> subprocess.Popen[bytes]:
    argv = ["tcpdump", "-i", "mon0", "-Z", "root", "-s", "256", "-B", "8192", "-U", "--time-stamp-precision=nano"]
    process = subprocess.Popen([*argv, "-w", str(_FILE)], stderr=subprocess.PIPE)
    assert process.stderr is not None
    while b"listening on" not in process.stderr.readline():
        pass
    return process
