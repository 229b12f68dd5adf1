"""A link of 80 MHz at 5 GHz: traffic, a switch of the channel, other laws, a silent access point, another name."""

import time
from typing import Any

from fibrewatch_agent.net.netlink import mac_text
from fibrewatch_agent.wifi.look import station_at
from fibrewatch_agent.wifi.nl80211 import A_MAC, GET_STATION
from fibrewatch_agent.wifi.radio_interface import radio
from tests.lab.radio.scenes.link import linked, seen
from tests.lab.radio.world import AccessPoint, Heard, World, run

RADIOS = 3
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
SIX = {
    "hw_mode": "a",
    "op_class": 131,
    "channel": 37,
    "ieee80211n": None,
    "ieee80211ax": 1,
    "wpa_key_mgmt": "SAE",
    "ieee80211w": 2,
    "sae_pwe": 1,
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
        facts: dict[str, Any] = {"looks": [seen(heard, linked) for _ in range(3)], "asked": asked()}
        facts["switched"] = switched(heard, point)
        facts["other laws"] = other_laws(heard)
        since = time.time()
        point.fall_silent()
        heard.next("link", lambda m: m.outcome == "ok" and not m.result.connected)
        facts["silent"] = heard.between(since, heard.next("link"))
        station.stop()
        facts["renamed"] = renamed(heard)
        facts["six"] = at_six_gigahertz(world, heard)
    return facts


def at_six_gigahertz(world: World, heard: Heard) -> Any:
    """Another access point, on channel 37 there."""
    run("iw", "reg", "set", "FR")
    point = world.access_point(2, "fibre6", **SIX)
    station = world.station()
    station.start("fibre6", "sae_pwe=1", scan_freq="6135", key_mgmt="SAE", ieee80211w=2)
    station.connected(point.bssid)
    return seen(heard, linked)


def asked() -> Any:
    """The access point as the kernel lists it, and as it tells of its address."""
    with radio("wlan0") as (air, interface):
        listed = air.of_interface(GET_STATION, interface.ifindex)
        by_address = station_at(air, interface, listed[0][A_MAC])
        nobody = station_at(air, interface, b"\2\0\0\0\x99\0")
    told = by_address and mac_text(by_address.bssid)
    return {"listed": [mac_text(each[A_MAC]) for each in listed], "by address": told, "nobody": nobody}


def switched(heard: Heard, point: AccessPoint) -> Any:
    """The access point announces another primary channel, and goes there; all its stations with it."""
    since = time.time()
    told = ("sec_channel_offset=-1", "center_freq1=5210", "bandwidth=80", "ht", "vht", "he")
    point.command("chan_switch", "5", "5200", *told)
    facts = seen(heard, lambda m: linked(m) and m.result.channel != 36)
    return facts | {"measurements": heard.between(since, heard.next("link"))}


def other_laws(heard: Heard) -> Any:
    """The regulatory domain is changed beside a link."""
    since = time.time()
    run("iw", "reg", "set", "DE")
    facts = seen(heard, lambda m: m.result.country != "FR")
    return facts | {"measurements": heard.between(since, heard.next("link"))}


def renamed(heard: Heard) -> Any:
    """The interface gets another name, and its own again."""
    run("ip", "link", "set", "wlan0", "down")
    run("ip", "link", "set", "wlan0", "name", "radio0")
    away = heard.next("link", lambda m: m.outcome == "failed")
    run("ip", "link", "set", "radio0", "name", "wlan0")
    return {"away": away, "back": heard.next("link", lambda m: m.outcome == "ok")}
