"""The installed agent's own onboarding, as it arrives over MQTT."""

from typing import Any

from tests.lab.radio import onboarding as here
from tests.lab.radio.world import World

RADIOS = 2
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
    """Two runs: one while the network is there, one after it has gone."""
    here.prepare(here.network("right", "fibre", "wpa2-psk", passphrase_file="/run/radio-helper/right"))
    point = world.access_point(1, "fibre")
    world.dhcp(point)
    here.web(point)
    with here.helper(), world.box(_TESTS) as (_, heard):
        there = heard.next("onboarding", timeout_s=300)
        point.stop()
        gone = heard.next("onboarding", timeout_s=300)
    return {"there": there, "gone": gone}
