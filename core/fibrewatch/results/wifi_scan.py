"""wifi_scan: the networks around: who shares the channel, what of the site's own is missing, what only pretends to be.

Source: linux/nl80211.h; IEEE 802.11-2020 §9.4.2 (what beacons say).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.results.wifi_link import Band, Generation, Mac, Ssid
from fibrewatch.ssid import octets

MODE = "burst"

Bssid = Annotated[str, Meta(pattern=r"\A[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")]
Source = Literal["scan", "cache"]
"""Scanned for this run, or what the kernel still knew of others' scans: without the radio helper the box may not."""


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of wifi_scan.

    Attributes:
        ssids: Names of the site's networks, each of which must be there, as results write them (`\\xNN` for a byte that
            is no text); none: the one that the link is of.
        bssids: Hardware addresses of the site's access points that must be heard here, in lower case. With them, any
            other that bears one of the site's names is unexpected.
        active: Also send probe requests, and name the first three of `ssids`: hidden networks answer to nothing else.
            Unless set it only listens, some 0.1 s a channel, twice that beside a link.
        frequencies: Channels to listen on, by the middle in MHz (2437); none: all that the radio may use. What is
            expected must be on them.
        timeout_s: How long a scan may take.
        max_age_s: Of what others' scans found, what was heard longer ago is left out.
        socket: The radio helper's; None: its usual place.
    """

    ssids: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=16)] = ()
    bssids: Annotated[tuple[Bssid, ...], Meta(max_length=100)] = ()
    active: bool = False
    frequencies: Annotated[tuple[Annotated[int, Meta(ge=2400, le=7200)], ...], Meta(max_length=100)] = ()
    timeout_s: Annotated[Duration, Meta(ge=1, le=60)] = field(default=40.0, name="timeout")
    max_age_s: Annotated[Duration, Meta(ge=1, le=3600)] = field(default=900.0, name="max_age")
    socket: Annotated[str, Meta(pattern=r"\A/.{0,99}\Z")] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for what is no network's name."""
        for each in self.ssids:
            octets(each)


class Neighbour(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An access point heard; the last, unless told, by its beacon.

    Attributes:
        ssid: None: hidden.
        utilisation: What it says of its channel (BSS Load), 0..1; `stations` likewise.
        ours: It bears a name of the site's.
        unexpected: It does, and is not one of the site's access points.
    """

    bssid: Mac
    ssid: Ssid | None = None
    channel: Count | None = None
    band: Band | None = None
    width: float | None = None
    signal: float | None = None
    age: float | None = None
    generation: Generation | None = None
    stations: Count | None = None
    utilisation: float | None = None
    ours: bool = False
    unexpected: bool = False


class Channel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Access points whose primary channel it is; signal of the strongest, the greatest utilisation that one tells."""

    channel: Count
    band: Band
    access_points: Count
    signal_max: float | None = None
    utilisation_max: float | None = None


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was heard. Co-channel and overlapping are counted against the link's channel: None without a link.

    What is missing is told after a scan only: others' may not have covered all channels.
    """

    access_points: Annotated[Count | None, Metric("", "Access points heard, the site's own among them.")] = None
    co_channel: Annotated[Count | None, Metric("", "Other access points on the link's primary channel.", "lower")] = (
        None
    )
    overlapping: Annotated[
        Count | None, Metric("", "Other access points that share a part of the link's channel.", "lower")
    ] = None
    competitor_signal: Annotated[
        float | None, Metric("dbm", "Strongest foreign access point in the link's channel.", "lower")
    ] = None
    hidden: Annotated[Count | None, Metric("", "Access points that don't tell their network's name.")] = None
    same_ssid: Annotated[Count | None, Metric("", "Access points that bear a name of the site's.", "higher")] = None
    missing_ssids: Annotated[Count | None, Metric("", "Expected networks that are not heard.", "lower")] = None
    missing_bssids: Annotated[Count | None, Metric("", "Expected access points that are not heard.", "lower")] = None
    unexpected_bssids: Annotated[
        Count | None, Metric("", "Access points that bear the site's name and are not the site's.", "lower")
    ] = None
    scan_time: Annotated[float | None, Metric("seconds", "How long the scan took.", "lower")] = None
    age_max: Annotated[float | None, Metric("seconds", "Since when the oldest of them was heard.", "lower")] = None
    interface: str | None = None
    source: Source | None = None
    why_cache: Annotated[str, Meta(max_length=400)] | None = None
    """Why there was no scan of our own."""
    aborted: bool | None = None
    """The scan broke off: what was heard is not all."""
    ssids: Annotated[tuple[Ssid, ...], Meta(max_length=16)] = ()
    """The site's names."""
    ssids_missing: Annotated[tuple[Ssid, ...], Meta(max_length=16)] = ()
    bssids_missing: Annotated[tuple[Mac, ...], Meta(max_length=100)] = ()
    channels: Annotated[tuple[Channel, ...], Meta(max_length=128)] = ()
    neighbours: Annotated[tuple[Neighbour, ...], Meta(max_length=64)] = ()
    """The unexpected and the site's first, then by signal."""
    omitted: Count = 0
    """Neighbours beyond those."""
