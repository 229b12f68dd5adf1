"""wifi_link: a station's link to its access point, as the kernel tells it (nl80211); nothing is sent.

Source: linux/nl80211.h; IEEE 802.11-2020 §9.4.2.27 (BSS Load), §9.4.1.7 (reason codes).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from fibrewatch.measurement import Count
from fibrewatch.metric import Metric

MODE = "burst"

Ssid = Annotated[str, Meta(max_length=128)]
"""A network's name: what is no printable UTF-8 is written as `\\xNN`, a backslash twice."""
Mac = Annotated[str, Meta(max_length=17)]
Band = Literal["2.4 GHz", "5 GHz", "6 GHz"]
Generation = Literal["legacy", "n", "ac", "ax", "be"]
"""Of the physical layer: 802.11n is Wi-Fi 4, ac 5, ax 6, be 7; a, b and g are legacy."""
EventKind = Literal["connected", "roamed", "disconnected", "deauthenticated", "disassociated", "beacon_loss"]
Side = Literal["ap", "box"]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """wifi_link has no settings; `interface` names a radio, else the first one is looked at."""


class Rate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How frames of one direction are sent at present.

    Attributes:
        mcs: The generation's own index: 802.11n counts on over the streams (15 is the 7 of two streams).
        nss: Spatial streams.
        width: Of the frames, hertz.
        guard_interval: Seconds.
    """

    bitrate: float | None = None
    generation: Generation | None = None
    mcs: Count | None = None
    nss: Count | None = None
    width: float | None = None
    guard_interval: float | None = None


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to the link.

    Attributes:
        ago: Seconds before the measurement.
        by: Whose frame, or whose wish, it was.
        reason: IEEE 802.11 reason code.
    """

    kind: EventKind
    ago: float
    bssid: Mac | None = None
    by: Side | None = None
    reason: Count | None = None


class Reason(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often a reason was given."""

    kind: EventKind
    by: Side
    reason: Count
    text: Annotated[str, Meta(max_length=60)]
    times: Count


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One look at the link. Counters are of the time since the test's last look, `watched`; the first has none.

    Not to be connected is a result: what an access point tells is None then.
    """

    connected: Annotated[bool | None, Metric("", "1 when it is associated with an access point.", "higher")] = None
    signal: Annotated[float | None, Metric("dbm", "Strength of the last frame received.", "higher")] = None
    signal_mean: Annotated[float | None, Metric("dbm", "The driver's moving average of it.", "higher")] = None
    noise: Annotated[float | None, Metric("dbm", "Noise on the channel.", "lower")] = None
    snr: Annotated[float | None, Metric("decibels", "Signal above noise.", "higher")] = None
    frequency: Annotated[float | None, Metric("hertz", "Centre of the primary channel.")] = None
    channel: Annotated[Count | None, Metric("", "Number of the primary channel in its band.")] = None
    width: Annotated[float | None, Metric("hertz", "Width of the channel.")] = None
    tx_bitrate: Annotated[float | None, Metric("bytes_per_second", "Rate of frames sent.", "higher")] = None
    rx_bitrate: Annotated[float | None, Metric("bytes_per_second", "Rate of frames received.", "higher")] = None
    tx_mcs: Annotated[Count | None, Metric("", "Modulation and coding of frames sent.", "higher")] = None
    rx_mcs: Annotated[Count | None, Metric("", "Modulation and coding of frames received.", "higher")] = None
    tx_nss: Annotated[Count | None, Metric("", "Spatial streams of frames sent.", "higher")] = None
    rx_nss: Annotated[Count | None, Metric("", "Spatial streams of frames received.", "higher")] = None
    connected_time: Annotated[float | None, Metric("seconds", "Age of this association.", "higher")] = None
    watched: Annotated[float | None, Metric("seconds", "Time that the counters are of.")] = None
    tx_packets: Annotated[Count | None, Metric("packets", "Packets sent.", kind="counter")] = None
    rx_packets: Annotated[Count | None, Metric("packets", "Packets received.", kind="counter")] = None
    tx_retries: Annotated[Count | None, Metric("", "Times a frame was sent again.", "lower", kind="counter")] = None
    tx_failed: Annotated[
        Count | None, Metric("packets", "Packets given up unacknowledged.", "lower", kind="counter")
    ] = None
    beacon_losses: Annotated[
        Count | None, Metric("", "Times that the access point's beacons stayed away.", "lower", kind="counter")
    ] = None
    roams: Annotated[
        Count | None, Metric("", "Moves to another access point of the network.", "lower", kind="counter")
    ] = None
    disconnects: Annotated[
        Count | None, Metric("", "Times the link was lost, roams not among them.", "lower", kind="counter")
    ] = None
    deauthentications: Annotated[
        Count | None, Metric("", "Deauthentications that the access point sent.", "lower", kind="counter")
    ] = None
    disassociations: Annotated[
        Count | None, Metric("", "Disassociations that the access point sent.", "lower", kind="counter")
    ] = None
    interruption_max: Annotated[
        float | None, Metric("seconds", "Longest time without a usable link, of those that ended.", "lower")
    ] = None
    interruption_time: Annotated[
        float | None, Metric("seconds", "Time without a usable link.", "lower", kind="counter")
    ] = None
    busy_ratio: Annotated[float | None, Metric("ratio", "Share of time that the channel was busy.", "lower")] = None
    rx_ratio: Annotated[float | None, Metric("ratio", "Share of time that the radio received.")] = None
    tx_ratio: Annotated[float | None, Metric("ratio", "Share of time that the radio sent.")] = None
    survey_time: Annotated[float | None, Metric("seconds", "Time on the channel that the shares are of.")] = None
    ap_stations: Annotated[Count | None, Metric("", "Stations that the access point says it has.", "lower")] = None
    ap_utilisation: Annotated[
        float | None, Metric("ratio", "Share of time that the access point says its channel is busy.", "lower")
    ] = None
    ap_load_age: Annotated[float | None, Metric("seconds", "Age of what the access point said.")] = None
    interface: str | None = None
    ssid: Ssid | None = None
    bssid: Mac | None = None
    band: Band | None = None
    centre: float | None = None
    """Of the whole channel, hertz."""
    tx: Rate | None = None
    rx: Rate | None = None
    survey: Literal["difference", "reading"] | None = None
    """Shares are of the time since the last result, or of what the driver's own counters span."""
    ap_admission_capacity: float | None = None
    """Medium time that the access point would still admit: seconds a second."""
    country: Annotated[str, Meta(max_length=2)] | None = None
    """Regulatory domain in force: ISO 3166-1, or 00 for the world."""
    events: Annotated[tuple[Event, ...], Meta(max_length=32)] = ()
    """The newest, oldest first."""
    reasons: Annotated[tuple[Reason, ...], Meta(max_length=32)] = ()
