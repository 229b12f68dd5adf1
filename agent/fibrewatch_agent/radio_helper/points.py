"""The access points that wpa_supplicant has heard, as SCAN_RESULTS lists them. Pure.

Source: wpa_supplicant 2.10, ctrl_iface.c (SCAN_RESULTS) and utils/common.c (printf_encode).
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fibrewatch_agent.wifi import elements

_HEXADECIMAL = re.compile("(?:[0-9a-f]{2})+")
_ROAM_DBM = -70
"""Nobody moves to what is heard worse, so that nothing is said of it either."""
_NAMED = {0x22: '\\"', 0x5C: "\\\\", 0x1B: "\\e", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}


class Point(NamedTuple):
    """An access point; `signal` in dBm, `flags` is what it offers, `[WPA2-FT/PSK-CCMP]`."""

    bssid: str
    signal: int
    flags: str
    ssid: str


def points(scan_results: str) -> Iterator[Point]:
    """Its lines; a network without a name has an empty one."""
    for line in scan_results.splitlines():
        words = line.split("\t")
        if len(words) in (4, 5) and words[2].lstrip("-").isdigit():
            yield Point(words[0], int(words[2]), words[3], words[4] if len(words) == 5 else "")


def printed(ssid: bytes) -> str:
    """A name as wpa_supplicant prints it."""
    return "".join(_NAMED.get(c) or (chr(c) if 32 <= c < 127 else f"\\x{c:02x}") for c in ssid)


def mobility_domain(bss: str) -> bytes | None:
    """That of the elements in what BSS answers (IEEE Std 802.11-2020 §9.4.2.46); None without fast transition."""
    for line in bss.splitlines():
        name, _, told = line.partition("=")
        if name == "ie" and _HEXADECIMAL.fullmatch(told):
            return elements.mobility_domain(elements.parse(bytes.fromhex(told)))
    return None


def elsewhere(heard: Iterable[Point], ssid: str, here: str | None) -> Point | None:
    """Where a station would move to: what offers fast transition first, then the strongest."""
    fit = [each for each in heard if each.ssid == ssid and each.bssid != here and each.signal >= _ROAM_DBM]
    return max(fit, key=lambda each: ("FT/" in each.flags, each.signal), default=None)
