"""A link of 80 MHz at 5 GHz under some traffic, and an access point that falls silent."""

import time
from typing import Any

from tests.lab.radio.scenes.link import linked, seen
from tests.lab.radio.world import World, run

RADIOS = 2
NOBODY = 65534
WIDE = {
    "hw_mode": "a",
    "channel": 36,
    "ht_capab": "[HT40+]",
    "ieee80211ac": 1,
    "ieee80211ax": 1,
    "vht_oper_chwidth": 1,
    "vht_oper_centr_freq_seg0_idx": 42,
    "he_oper_chwidth": 1,
    "he_oper_centr_freq_seg0_idx": 42,
}
TESTS = '[tests.link]\nprobe = "wifi_link"\nevery = "1 s"\ninterface = "wlan0"\n'


def scene(world: World) -> Any:
    """One access point and one station."""
    point = world.access_point(1, "fibre", **WIDE)
    world.dhcp(point)
    station = world.station()
    station.start("fibre", scan_freq="5180")
    station.connected()
    run("ip", "addr", "add", "10.77.0.2/24", "dev", "wlan0")
    with world.box(TESTS, user=NOBODY) as (_, heard):
        run("ping", "-q", "-c", "100", "-i", "0.02", "10.77.0.1")
        facts: dict[str, Any] = {"looks": [seen(heard, linked) for _ in range(3)]}
        since = time.time()
        point.fall_silent()
        heard.next("link", lambda m: m.outcome == "ok" and not m.result.connected)
        facts["silent"] = heard.between(since, heard.next("link"))
    return facts
