"""wifi_link: what the kernel knows of the link to the access point, and what has happened to it since the last look."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from fibrewatch.results.wifi_link import Params, Result
from fibrewatch.ssid import text as ssid_text
from fibrewatch_agent.box import Box
from fibrewatch_agent.clock import boottime
from fibrewatch_agent.findings import Findings
from fibrewatch_agent.net.netlink import mac_text
from fibrewatch_agent.traffic.amounts import Amount, Way
from fibrewatch_agent.wifi import channels, elements
from fibrewatch_agent.wifi.look import Look, look
from fibrewatch_agent.wifi.shares import shares
from fibrewatch_agent.wifi.station import Station, Survey
from fibrewatch_agent.wifi.tally import Tally
from fibrewatch_agent.wifi.watch import Watch

_LIMIT_S = 10.0
_SPREAD_S = 2.0
"""By so much two readings of one association's begin may differ: some kernels tell its age only, in whole seconds."""
_HAPPENED = ("roams", "disconnects", "deauthentications", "disassociations", "interruption_max", "interruption_time")
_COUNTERS = ("tx_packets", "rx_packets", "tx_retries", "tx_failed", "beacon_losses")


@dataclass(slots=True)
class _Past:
    """What the last look left; another interface has a past of its own."""

    interface: str = ""
    looked: bool = False
    watch: Watch | None = None
    tally: Tally | None = None
    station: Station | None = None
    began_at: float = 0.0
    survey: Survey | None = None
    surveyed_at: float = 0.0


async def wifi_link(params: Params, box: Box) -> Result:
    """Looks, and tells what has happened since the last look.

    Raises:
        ProbeError: no_interface where there is no wireless one; permission where netlink is forbidden.
    """
    findings = Findings(Result)
    async with findings.within(_LIMIT_S):
        findings.step = "asking nl80211"
        seen = await asyncio.to_thread(look, box.interface)
        link, past = seen.link, _past(box, seen.interface.name)
        findings.note(interface=seen.interface.name, connected=link is not None, country=seen.country)
        findings.note(**_happened(past, seen))
        if link is not None:
            findings.note(**_link(link), **_counts(past, link), **_channel(seen))
        if seen.survey is not None:
            findings.note(**_noise(seen.survey, link), **_shares(past, seen.survey, seen.at))
        past.looked = True
    return findings.result()


def _past(box: Box, interface: str) -> _Past:
    past: _Past = box.memory.setdefault("past", _Past(interface))
    if past.interface != interface:
        past = box.memory["past"] = _Past(interface)
    return past


def _happened(past: _Past, seen: Look) -> dict[str, Any]:
    """What events told since the last look; they are heard from now on if they are not yet."""
    now, figures = time.monotonic(), dict[str, Any]()
    if past.watch is not None:
        past.watch.hear()
    if past.tally is not None:
        taken = past.tally.take(now)
        figures = {"watched": taken.watched, "events": taken.events, "reasons": taken.reasons}
        figures |= {name: getattr(taken, name) for name in _HAPPENED if taken.complete}
    past.tally = past.tally or Tally(now)
    if past.watch is None or past.watch.gone or past.watch.interface.ifindex != seen.interface.ifindex:
        # A radio that went and came again is another one, and so may be the family's groups.
        bssid = mac_text(seen.link.bssid) if seen.link else None
        past.watch = Watch(seen.interface, seen.groups, past.tally, bssid)
    return figures


def _link(link: Station) -> dict[str, Any]:
    tx, rx = link.tx, link.rx
    return {
        "bssid": mac_text(link.bssid),
        "signal": link.signal,
        "signal_mean": link.signal_mean,
        "connected_time": link.connected_time,
        "tx": tx,
        "rx": rx,
        "tx_bitrate": tx.bitrate if tx else None,
        "rx_bitrate": rx.bitrate if rx else None,
        "tx_mcs": tx.mcs if tx else None,
        "rx_mcs": rx.mcs if rx else None,
        "tx_nss": tx.nss if tx else None,
        "rx_nss": rx.nss if rx else None,
    }


def _counts(past: _Past, link: Station) -> dict[str, int | None]:
    """What the association's counters grew by; all of it when it began after the last look."""
    before, began_at, looked = past.station, _began_at(link), past.looked
    same = before is not None and before.bssid == link.bssid and abs(past.began_at - began_at) < _SPREAD_S
    past.station, past.began_at = link, began_at
    if not looked:
        return {}
    return {name: _grown(getattr(before, name) if same else 0, getattr(link, name)) for name in _COUNTERS}


def _began_at(link: Station) -> float:
    return boottime() - (link.connected_time or 0) if link.associated_at is None else link.associated_at


def _grown(before: int | None, now: int | None) -> int | None:
    """A counter of 32 bits, or one that a driver began anew."""
    if before is None or now is None:
        return None
    return now - before if now >= before else now


def _channel(seen: Look) -> dict[str, Any]:
    """Where the link is on the air, and what the access point says of it."""
    interface, known, frequency = seen.interface, seen.known, seen.frequency
    told = elements.parse(known.elements) if known else {}
    name = interface.ssid or elements.ssid(told)
    figures: dict[str, Any] = {"ssid": ssid_text(name) if name else None}
    if frequency is not None:
        taken = elements.spans(told, frequency)
        width = interface.width or elements.width(taken)
        centre = interface.centre or (taken[0].low + taken[0].high) / 2
        figures |= {"frequency": frequency * 1e6, "width": width * 1e6, "centre": centre * 1e6}
        figures |= {"channel": channels.channel(frequency), "band": channels.band(frequency)}
    if known is not None and (load := elements.load(told)) is not None:
        figures |= {"ap_stations": load.stations, "ap_utilisation": load.utilisation}
        figures |= {"ap_admission_capacity": load.admission_capacity, "ap_load_age": max(0.0, seen.at - known.seen_at)}
    return figures


def _noise(survey: Survey, link: Station | None) -> dict[str, Any]:
    """A driver that says zero does not know."""
    if survey.noise is None or survey.noise >= 0:
        return {}
    signal = link.signal if link is not None else None
    return {"noise": survey.noise, "snr": signal - survey.noise if signal is not None else None}


def _shares(past: _Past, survey: Survey, at: float) -> dict[str, Any]:
    found = shares(past.survey, survey, at - past.surveyed_at)
    past.survey, past.surveyed_at = survey, at
    if found is None:
        return {}
    parts = {"busy_ratio": found.busy, "rx_ratio": found.rx, "tx_ratio": found.tx}
    return parts | {"survey": found.method, "survey_time": found.time}


def traffic(params: Params, way: Way) -> Amount:
    """None: it only asks the kernel."""
    return Amount(0, 0)
