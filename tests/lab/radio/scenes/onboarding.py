"""Onto a WPA2 network and back again, with the air and the access point watched."""

from typing import Any

from tests.lab.radio import onboarding as here
from tests.lab.radio.world import HELD, World

RADIOS = 2
_NETWORKS = here.network("right", "fibre", "wpa2-psk", passphrase_file="/run/radio-helper/right")


def scene(world: World) -> Any:
    """The air is captured where every frame of it passes, and hostapd stamps what it says."""
    here.prepare(_NETWORKS)
    point = world.access_point(1, "fibre")
    world.dhcp(point)
    here.web(point)
    with here.helper(), here.command_lines() as commands, here.capture("air"):
        found = here.onboarded("right")
    return {"onboarded": found, "log": point.log, "helper": _helper_log(), "commands": "\n".join(commands)}


def _helper_log() -> str:
    return (HELD / "radio-helper.log").read_text()
