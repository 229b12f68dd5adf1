"""Onto a WPA2 network and back again, as the installed agent publishes it; then with a wrong passphrase."""

import shutil
import subprocess
from typing import Any

from tests.lab.radio import onboarding as here
from tests.lab.radio.world import HELD, World
from tests.support.agent import wait_until

RADIOS = 2
_AIR = HELD / "air.pcap"
_NETWORKS = here.network("right", "fibre", "wpa2-psk", passphrase_file="/run/radio-helper/right")
_NETWORKS += here.network("wrong", "fibre", "wpa2-psk", passphrase_file="/run/radio-helper/wrong")
_TESTS = f"""
[tests.onboarding]
probe = "wifi_onboarding"
every = "2 min"
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
    capture = _capture()
    with here.helper(), world.box(_TESTS) as (_, heard), here.command_lines() as commands:
        published = heard.next("onboarding", timeout_s=200)
        capture.terminate()
        capture.wait(30)
        shutil.copy(_AIR, "/run/out/air.pcap")
        wrong = here.onboarded("wrong", fast=False)
    return {
        "published": published,
        "wrong": wrong,
        "log": point.log,
        "helper": _helper_log(),
        "commands": "\n".join(commands),
    }


def _capture() -> subprocess.Popen[bytes]:
    subprocess.run(["ip", "link", "set", "hwsim0", "up"], check=True)
    log = HELD / "tcpdump.log"
    with log.open("wb") as errors:
        argv = ["tcpdump", "--immediate-mode", "-U", "-Z", "root", "-i", "hwsim0", "-w", str(_AIR)]
        process = subprocess.Popen(argv, stderr=errors)
    wait_until(lambda: "listening on" in log.read_text(), "the capture")
    return process


def _helper_log() -> str:
    return (HELD / "radio-helper.log").read_text()
