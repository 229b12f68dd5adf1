"""Stations' links: what wifi_link publishes of them, and what `iw` says at the same moment."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fibrewatch.measurement import AnyMeasurement
from tests.lab.radio.world import AccessPoint, Heard, Station, World, iw
from tests.support.agent import Box

NOBODY = 65534
"""The agent has no privilege in the field: here neither."""
RADIOS = 3
FREQUENCIES = "2437 2462"
STATION = "02:00:00:00:00:00"
TESTS = '[tests.link]\nprobe = "wifi_link"\nevery = "1 s"\n'


def seen(heard: Heard, fits: Callable[[AnyMeasurement], bool]) -> dict[str, Any]:
    """A measurement of the link that fits, the next one, and what `iw` prints before and after that."""
    heard.next("link", fits)
    before = oracle()
    return {"before": before, "measurement": heard.next("link"), "after": oracle()}


def linked(m: AnyMeasurement) -> bool:
    """Whether it found a link."""
    return m.outcome == "ok" and m.result.connected


def oracle() -> dict[str, str]:
    """What `iw` knows."""
    words = {"link": "link", "station": "station dump", "survey": "survey dump", "info": "info", "scan": "scan dump -b"}
    return {name: iw("dev", "wlan0", *told.split()) for name, told in words.items()} | {"reg": iw("reg", "get")}


def other(station: Station, points: list[AccessPoint]) -> AccessPoint:
    """The one that it is not connected to."""
    bssid = station.status()["bssid"]
    return next(each for each in points if each.bssid != bssid)


def scene(world: World) -> Any:
    """One station, two access points of one network."""
    points = [world.access_point(1, "fibre"), world.access_point(2, "fibre", channel=11)]
    station = world.station()
    station.start("fibre", scan_freq=FREQUENCIES)
    station.connected()
    with world.box(TESTS, user=NOBODY) as (box, heard):
        facts = quiet(heard, station, points)
        facts["roam"] = roam(heard, station, points)
        facts["sent away"] = sent_away(heard, station, points)
        facts["failed"] = [m for m in heard.of("link") if m.outcome != "ok"]
        facts["removed"] = removed(world, heard, station, points)
        facts["rss"] = rss(box)
        facts["all"] = heard.of("link")
    return facts


def quiet(heard: Heard, station: Station, points: list[AccessPoint]) -> dict[str, Any]:
    """A link as it is, and with less power."""
    facts: dict[str, Any] = {"bssids": [point.bssid for point in points]}
    station.command("scan", "TYPE=ONLY", "freq=2437,2462")
    facts["strong"] = seen(heard, lambda m: linked(m) and (m.result.ap_stations or 0) > 0)
    facts["looks"] = [seen(heard, linked) for _ in range(3)]
    for point in points:
        point.power(500)
    facts["weak"] = seen(heard, lambda m: linked(m) and m.result.signal == -45)
    return facts


def roam(heard: Heard, station: Station, points: list[AccessPoint]) -> dict[str, Any]:
    """To the other access point."""
    since, left, wanted = time.time(), station.status()["bssid"], other(station, points)
    station.command("roam", wanted.bssid)
    station.connected(wanted.bssid)
    last = heard.next("link")
    return {
        "from": left,
        "to": wanted.bssid,
        "supplicant": station.log,
        "measurements": heard.between(since, last),
    }


def sent_away(heard: Heard, station: Station, points: list[AccessPoint]) -> dict[str, Any]:
    """Twice deauthenticated and once disassociated by its access point, and once by its own wish."""
    since = time.time()
    for command, reason in (("deauthenticate", 5), ("disassociate", 8), ("deauthenticate", 12)):
        here = next(each for each in points if each.bssid == station.status()["bssid"])
        again = station.connections + 1
        here.command(command, STATION, f"reason={reason}")
        station.connected_times(again)
    station.command("disconnect")
    apart = heard.next("link")
    station.command("reconnect")
    station.connected()
    last = heard.next("link", linked)
    return {"apart": apart, "measurements": heard.between(since, last)}


def removed(world: World, heard: Heard, station: Station, points: list[AccessPoint]) -> dict[str, Any]:
    """The driver is unloaded, and loaded again."""
    before = heard.next("link")
    world.radios.remove()
    without = heard.next("link", lambda m: m.outcome == "failed")
    for gone in (station, *points):
        gone.stop()
    world.radios.insert()
    world.access_point(1, "fibre", channel=1)
    station.start("fibre", scan_freq="2412")
    station.connected()
    return {
        "before": before,
        "without": without,
        "back": heard.next("link", linked),
    }


def rss(box: Box) -> int:
    """Bytes that the agent has in memory."""
    pages = Path(f"/proc/{box.process.pid}/statm").read_text().split()[1] if box.process else "0"
    return int(pages) * 4096
