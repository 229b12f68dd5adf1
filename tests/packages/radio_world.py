"""In the lab: what a packaged box's radios meet, until the machine is off: `python -m tests.packages.radio_world`.

The virtual radios wlan0 and wlan2 stay with the box; an access point with addresses, names and a page is on the third.
"""

import threading
from pathlib import Path

from tests.lab.radio.onboarding import web
from tests.lab.radio.world import World


def main() -> None:
    """Says so in /run/ready once it is there."""
    world = World(radios=3)
    point = world.access_point(1, "fibre")
    world.dhcp(point)
    web(point)
    station = world.station(0)
    station.start("fibre", scan_freq="2437")
    station.connected(point.bssid)
    Path("/run/ready").touch()
    threading.Event().wait()


if __name__ == "__main__":
    main()
