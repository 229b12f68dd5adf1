"""Makes the recordings of tests/unit/agent/recorded/air: one air for each PHY, as a third radio hears it.

python -m tests.lab.radio.scenes.air_record FOLDER       plays it in the lab and leaves the files there
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.lab.radio.world import AccessPoint, Station, World
from tests.support.netns import Namespace, run

RADIOS = 4
OUT = Path("/run/out")
SECONDS = 4
_HT = {"ieee80211n": 1, "wmm_enabled": 1}
PHYS: dict[str, tuple[int, list[str], dict[str, object]]] = {
    "dsss": (2437, [], {"hw_mode": "b", "ieee80211n": None, "wmm_enabled": 0, "channel": 6}),
    "ofdm": (2437, [], {"hw_mode": "g", "ieee80211n": None, "wmm_enabled": 0, "channel": 6}),
    "ht": (2437, ["HT20"], {"hw_mode": "g", "channel": 6, "ht_capab": "[SHORT-GI-20]"} | _HT),
    "ht40": (5180, ["HT40+"], {"hw_mode": "a", "channel": 36, "ht_capab": "[HT40+][SHORT-GI-40]"} | _HT),
    "vht": (
        5180,
        ["80", "5210"],
        {
            "hw_mode": "a",
            "channel": 36,
            "ht_capab": "[HT40+][SHORT-GI-40]",
            "ieee80211ac": 1,
            "vht_oper_chwidth": 1,
            "vht_oper_centr_freq_seg0_idx": 42,
            "vht_capab": "[SHORT-GI-80]",
        }
        | _HT,
    ),
}


def monitor(radio: int, frequency: int, width: list[str]) -> str:
    """A monitor interface on a radio's channel."""
    run("iw", "phy", f"phy{radio}", "interface", "add", "mon0", "type", "monitor")
    run("ip", "link", "set", f"wlan{radio}", "down")
    run("ip", "link", "set", "mon0", "up")
    run("iw", "dev", "mon0", "set", "freq", str(frequency), *width)
    return "mon0"


def scene(world: World) -> Any:
    """Every PHY in turn; files of it, and what tcpdump counted."""
    radio = RADIOS - 1
    run("iw", "reg", "set", "FR")
    inside, other, client = (Namespace(label) for label in ("own", "same", "client"))
    world.radios.move(1, inside)
    world.radios.move(2, other)
    world.radios.move(0, client)
    found: dict[str, Any] = {}
    for name, (frequency, width, options) in PHYS.items():
        found[name] = record(world, name, radio, frequency, width, options, (inside, other, client))
    return found


def record(
    world: World,
    name: str,
    radio: int,
    frequency: int,
    width: list[str],
    options: dict[str, object],
    places: tuple[Namespace, Namespace, Namespace],
) -> Any:
    """One air: an access point with a station that has traffic, and another one of the same name or not."""
    inside, other, client = places
    point = AccessPoint(inside, "wlan1", "fibre", **options)
    second = AccessPoint(other, "wlan2", "fibre" if name in ("ofdm", "vht") else "neighbour", **options)
    station = Station("wlan0", client)
    point.start()
    second.start()
    inside.run("ip", "addr", "replace", "10.77.0.1/24", "dev", "wlan1")
    station.start("fibre", scan_freq=str(frequency))
    station.connected(point.bssid)
    client.run("ip", "addr", "replace", "10.77.0.2/24", "dev", "wlan0")
    interface = monitor(radio, frequency, width)
    file = OUT / f"{name}.pcap"
    capture = subprocess.Popen(
        ["tcpdump", "-i", interface, "-Z", "root", "-s", "200", "-U", "--time-stamp-precision=nano", "-w", str(file)],
        stderr=subprocess.PIPE,
    )
    assert capture.stderr is not None
    while b"listening" not in capture.stderr.readline():
        pass
    for size in (56, 1400):
        client.run("ping", "-q", "-c", "60", "-i", "0.01", "-s", str(size), "10.77.0.1")
    time.sleep(SECONDS)
    capture.terminate()
    _, errors = capture.communicate()
    run("iw", "dev", interface, "del")
    for each in (station, point, second):
        each.stop()
    return {"bssid": point.bssid, "second": second.bssid, "said": errors.decode()}


if __name__ == "__main__":
    from tests.lab.radio.play import play

    print(play("air_record", Path(sys.argv[1]), timeout_s=400))
