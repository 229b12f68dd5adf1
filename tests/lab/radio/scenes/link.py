"""A station on an access point: what the probe wifi_link says of it, and what `iw` says at the same moment."""

from typing import Any

from tests.lab.radio.world import World, iw

RADIOS = 2


def scene(world: World) -> Any:
    """One link."""
    point = world.access_point(1, "fibre")
    world.dhcp(point)
    station = world.station()
    station.start("fibre", scan_freq="2437")
    station.connected(point.bssid)
    return {"link": iw("dev", "wlan0", "link"), "bssid": point.bssid}
