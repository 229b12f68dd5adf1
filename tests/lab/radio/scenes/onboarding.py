"""Onto a WPA2 network and back again, with the air and the access point watched."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab.radio import onboarding as here
from tests.lab.radio.world import HELD, World
from tests.support.agent import wait_until

RADIOS = 2
_AIR = HELD / "air.pcap"
_NETWORKS = here.network("right", "fibre", "wpa2-psk", passphrase_file="/run/radio-helper/right")


def scene(world: World) -> Any:
    """The air is captured where every frame of it passes, and hostapd stamps what it says."""
    here.prepare(_NETWORKS)
    point = world.access_point(1, "fibre")
    world.dhcp(point)
    here.web(point)
    with here.helper(), here.command_lines() as commands, _capture():
        found = here.onboarded("right")
    return {"onboarded": found, "log": point.log, "helper": _helper_log(), "commands": "\n".join(commands)}


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
