"""Onto a WPA2 network and back again, with the air and the access point watched."""

import asyncio
from typing import Any

from fibrewatch_agent.radio_helper.messages import Scan
from fibrewatch_agent.wifi import radio
from tests.lab.radio import onboarding as here
from tests.lab.radio.world import HELD, World

RADIOS = 2
_NETWORKS = here.network("right", "fibre", "wpa2-psk", passphrase_file="/run/radio-helper/right")


def scene(world: World) -> Any:
    """The air is captured where every frame of it passes, and hostapd stamps what it says."""
    here.prepare(_NETWORKS, "[radios.wlan0]\nonboard = true\nscan = true\n")
    point = world.access_point(1, "fibre")
    world.dhcp(point)
    here.web(point)
    with here.helper(), here.command_lines() as commands, here.capture("air"):
        scanned = asyncio.run(radio.scan(Scan(interface="wlan0", frequencies=(2437,)), str(here.SOCKET)))
        found = here.onboarded("right")
    return {
        "scanned": scanned,
        "onboarded": found,
        "log": point.log,
        "helper": _helper_log(),
        "commands": "\n".join(commands),
    }


def _helper_log() -> str:
    return (HELD / "radio-helper.log").read_text()
