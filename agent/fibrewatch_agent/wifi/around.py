"""What a list of networks means for a site. Pure.

A foreign access point is one that bears none of the site's names. What pretends to be the site's: a name of the site's
on a hardware address that is not expected; only said where addresses are.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from fibrewatch.results.wifi_scan import Channel, Neighbour, Params
from fibrewatch.ssid import octets
from fibrewatch.ssid import text as ssid_text
from fibrewatch_agent.net.netlink import mac_text
from fibrewatch_agent.wifi import channels, elements
from fibrewatch_agent.wifi.channels import Span
from fibrewatch_agent.wifi.station import Bss

_MOST_NEIGHBOURS, _MOST_CHANNELS = 64, 128


class Heard(NamedTuple):
    """An access point, and what it said."""

    neighbour: Neighbour
    frequency: int
    spans: tuple[Span, ...]
    hidden: bool


class Ours(NamedTuple):
    """The link's access point and the air that it takes."""

    bssid: str
    frequency: int
    spans: tuple[Span, ...]


def heard(found: Iterable[Bss], params: Params, names: Sequence[str], now: float) -> list[Heard]:
    """Each of them, judged; the strongest first."""
    everything = [_heard(each, params, names, now) for each in _once(found)]
    return sorted(everything, key=lambda each: -(each.neighbour.signal if each.neighbour.signal is not None else 1e3))


def _once(found: Iterable[Bss]) -> Iterable[Bss]:
    """The kernel keeps two of a hidden network's access point, by its beacon and by its answers, which say its name."""
    by_address: dict[bytes, Bss] = {}
    for each in sorted(found, key=lambda each: (each.associated, bool(_name(each)), each.seen_at)):
        by_address[each.bssid] = each
    return by_address.values()


def _name(bss: Bss) -> bytes | None:
    """As its beacon says it, or else its answer to who knew it already."""
    said = elements.ssid(elements.parse(bss.elements))
    return said or elements.ssid(elements.parse(bss.answered)) or said


def _heard(bss: Bss, params: Params, names: Sequence[str], now: float) -> Heard:
    told = elements.parse(bss.elements)
    name, load, spans = _name(bss), elements.load(told), elements.spans(told, bss.frequency)
    bssid, band = mac_text(bss.bssid), channels.band(bss.frequency)
    ssid = ssid_text(name) if name else None
    ours = ssid in names
    neighbour = Neighbour(
        bssid=bssid,
        ssid=ssid,
        channel=channels.channel(bss.frequency),
        band=band,
        width=elements.width(spans) * 1e6 if band is not None else None,
        signal=bss.signal,
        age=max(0.0, now - bss.seen_at),
        generation=elements.generation(told),
        stations=load.stations if load else None,
        utilisation=load.utilisation if load else None,
        ours=ours,
        unexpected=ours and bool(params.bssids) and bssid not in params.bssids,
    )
    return Heard(neighbour, bss.frequency, spans, elements.ssid(told) == b"")


def counted(everything: Sequence[Heard], ours: Ours | None) -> dict[str, Any]:
    """Who is there, and who shares the link's channel."""
    around = [each.neighbour for each in everything]
    figures: dict[str, Any] = {
        "access_points": len(around),
        "hidden": sum(each.hidden for each in everything),
        "same_ssid": sum(each.ours for each in around),
        "age_max": max((each.age for each in around if each.age is not None), default=None),
        "channels": _channels(around),
        **_told(around),
    }
    if ours is None:
        return figures
    others = [each for each in everything if each.neighbour.bssid != ours.bssid]
    same = [each for each in others if each.frequency == ours.frequency]
    beside = [each for each in others if each.frequency != ours.frequency and channels.overlap(each.spans, ours.spans)]
    foreign = [each.neighbour.signal for each in (*same, *beside) if not each.neighbour.ours]
    strongest = max((signal for signal in foreign if signal is not None), default=None)
    return figures | {"co_channel": len(same), "overlapping": len(beside), "competitor_signal": strongest}


def _told(around: Sequence[Neighbour]) -> dict[str, Any]:
    """Those that fit into a measurement: the suspect, then the site's own, then the strongest."""
    first = sorted(around, key=lambda each: (not each.unexpected, not each.ours))
    return {"neighbours": tuple(first[:_MOST_NEIGHBOURS]), "omitted": max(0, len(first) - _MOST_NEIGHBOURS)}


def _channels(around: Sequence[Neighbour]) -> tuple[Channel, ...]:
    by_channel: dict[tuple[Any, int], list[Neighbour]] = {}
    for each in around:
        if each.band is not None and each.channel is not None:
            by_channel.setdefault((each.band, each.channel), []).append(each)
    found = [
        Channel(
            channel=channel,
            band=band,
            access_points=len(group),
            signal_max=max((each.signal for each in group if each.signal is not None), default=None),
            utilisation_max=max((each.utilisation for each in group if each.utilisation is not None), default=None),
        )
        for (band, channel), group in sorted(by_channel.items())
    ]
    return tuple(found[:_MOST_CHANNELS])


def expected(everything: Sequence[Heard], params: Params, *, complete: bool) -> dict[str, Any]:
    """What of the site's own is missing, if all channels were listened to, and what only bears its name."""
    names = {each.neighbour.ssid for each in everything}
    bssids = {each.neighbour.bssid for each in everything}
    figures: dict[str, Any] = {}
    if params.bssids:
        figures["unexpected_bssids"] = sum(each.neighbour.unexpected for each in everything)
    if complete and params.ssids:
        missing = [name for name in site_names(params, None) if name not in names]
        figures |= {"missing_ssids": len(missing), "ssids_missing": tuple(missing)}
    if complete and params.bssids:
        gone = [bssid for bssid in params.bssids if bssid not in bssids]
        figures |= {"missing_bssids": len(gone), "bssids_missing": tuple(gone)}
    return figures


def site_names(params: Params, linked: bytes | None) -> tuple[str, ...]:
    """The site's networks as results write them: the configured ones, else the link's."""
    if params.ssids:
        return tuple(ssid_text(octets(name)) for name in params.ssids)
    return (ssid_text(linked),) if linked else ()
