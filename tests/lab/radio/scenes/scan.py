"""Networks around a station, each in a known place: what wifi_scan publishes of them, and what `iw` says."""

import subprocess
from pathlib import Path
from typing import Any

from tests.lab.radio.world import HELD, PASSPHRASE, ROOT, World, iw, until

NOBODY = 65534
"""The agent has no privilege in the field: here neither."""
RADIOS = 5
CHANNELS = [2412, 2437, 2447, 2462, 5180, 5200]
SITE, GONE = "02:00:00:00:01:00", "02:00:00:00:99:00"
HELPER, LATER = Path("/tmp/radio/helper.sock"), Path("/tmp/radio/later.sock")
TESTS = f"""[tests.cache]
probe = "wifi_scan"
every = "3 s"
params = {{ ssids = ["fibre"], bssids = ["{SITE}"], socket = "/tmp/radio/nobody.sock" }}
[tests.scan]
probe = "wifi_scan"
every = "10 s"
params = {{ ssids = ["fibre", "guests"], bssids = ["{SITE}", "{GONE}"], socket = "{HELPER}", frequencies = {CHANNELS} }}
[tests.asked]
probe = "wifi_scan"
every = "10 s"
params = {{ ssids = ["fibre", "secret"], active = true, socket = "{LATER}", frequencies = [2447] }}
"""
OTHER_BSS = f"wlan2_1\nbssid=02:00:00:00:02:01\nssid=fibre\nwpa=2\nwpa_key_mgmt=WPA-PSK\nwpa_passphrase={PASSPHRASE}"
"""A second network of one radio that bears the site's name."""


def scene(world: World) -> Any:
    """The site's on 6; a neighbour there and one that pretends; a hidden one on 8; a wide one at 5 GHz."""
    site = world.access_point(1, "fibre")
    world.access_point(2, "neighbour", ssid2='P"caf\\xc3\\xa9 \\x1b[31m"', bss=OTHER_BSS)
    world.access_point(3, "secret", channel=8, ignore_broadcast_ssid=1)
    world.access_point(
        4, "wide", hw_mode="a", channel=36, ht_capab="[HT40+]", ieee80211ac=1, vht_oper_chwidth=1,
        vht_oper_centr_freq_seg0_idx=42, bss_load_update_period=None,
    )  # fmt: skip
    station = world.station()
    station.start("fibre", scan_freq="2437")
    station.connected()
    site.power(500)
    with world.box(TESTS, user=NOBODY) as (_, heard):
        facts: dict[str, Any] = {"cache": heard.next("cache")}
        helper = radio_helper()
        try:
            facts["scan"] = heard.next("scan", lambda m: m.outcome == "ok" and m.result.source == "scan", 90)
            facts["after"] = heard.next("cache")
            facts["iw"] = iw("dev", "wlan0", "scan", "dump", "-b")
            LATER.symlink_to(HELPER)
            facts["asked"] = heard.next("asked", lambda m: m.outcome == "ok" and m.result.source == "scan", 90)
            facts["kept"], facts["known"] = iw("dev", "wlan0", "scan", "dump"), heard.next("cache")
        finally:
            helper.terminate()
            helper.wait(30)
    return facts


def radio_helper() -> "subprocess.Popen[bytes]":
    """The service that may scan."""
    config = HELD / "radio-helper.toml"
    config.write_text(f'socket = "{HELPER}"\nuser = "nobody"\n[radios.wlan0]\nscan = true\n')
    program = ROOT / ".venv/bin/fibrewatch-agent"
    with (HELD / "radio-helper.log").open("wb") as log:
        argv = [str(program), "radio-helper", "--config", str(config)]
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    until(HELPER.exists, lambda: "the radio helper to listen")
    return process
