"""Onto a WPA2 network and back again: as the installed agent publishes it, and again with all in memory and watched."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.radio import onboarding as here
from tests.lab.radio.world import HELD, World
from tests.support.agent import wait_until

RADIOS = 2
_AIR = HELD / "air.pcap"
_NETWORKS = here.network("right", "fibre", "wpa2-psk", passphrase_file="/run/radio-helper/right")
_TESTS = f"""
[tests.onboarding]
probe = "wifi_onboarding"
every = "1 min"
interface = "wlan0"
[tests.onboarding.params]
network = "right"
check = "{here.CHECK}"
url = "{here.PAGE}"
socket = "{here.SOCKET}"
"""


def scene(world: World) -> Any:
    """The air is captured where every frame of it passes, and hostapd stamps what it says."""
    here.prepare(_NETWORKS)
    point = world.access_point(1, "fibre")
    world.dhcp(point)
    here.web(point)
    with here.helper():
        with world.box(_TESTS) as (_, heard), here.command_lines() as commands:
            published = heard.next("onboarding", timeout_s=300)
        said = len(point.log)
        Path("/run/warm").touch()
        with _capture():
            again = here.onboarded("right")
    told = {"log": point.log[said:], "helper": _helper_log(), "commands": "\n".join(commands)}
    return {"published": published, "again": again} | told


@contextmanager
def _capture() -> Iterator[None]:
    subprocess.run(["ip", "link", "set", "hwsim0", "up"], check=True)
    log = HELD / "tcpdump.log"
    with log.open("wb") as errors:
        argv = ["tcpdump", "--immediate-mode", "-U", "-Z", "root", "-i", "hwsim0", "-w", str(_AIR)]
        process = subprocess.Popen(argv, stderr=errors)
    wait_until(lambda: "listening on" in log.read_text(), "the capture")
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
        shutil.copy(_AIR, "/run/out/air.pcap")


def _helper_log() -> str:
    return (HELD / "radio-helper.log").read_text()
