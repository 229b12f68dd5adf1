"""wifi_air: who uses a channel's time, heard in monitor mode (IEEE Std 802.11-2020; radiotap.org). Counts only.

Payloads and stations' addresses are looked at in a child process and end with it. A radio hears what reaches it: what
another one does not decode is missing here, so shares are lower bounds of what the channel carries.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.ssid import octets

MODE = "burst"

Bssid = Annotated[str, Meta(pattern=r"\A[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")]


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of wifi_air; the test's interface is the radio, which must not carry the box's uplink.

    Attributes:
        frequency: Of the channel's middle, MHz; `center` is that of the whole channel where it is wider than 20 MHz.
        duration_s: How long it is listened for.
        ssid: The site's own, as results write it (`\\xNN` for a byte that is no text); without it no access point is
            one of its own.
        bssid: Of the access point that stands for this place; None: the strongest one with the SSID.
        socket: The radio helper's.
    """

    frequency: Annotated[int, Meta(ge=2400, le=7200)]
    width: Annotated[int, Meta(ge=20, le=160)] = 20
    center: Annotated[int, Meta(ge=2400, le=7200)] | None = None
    duration_s: Annotated[Duration, Meta(ge=1, le=60)] = field(default=10.0, name="duration")
    ssid: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    bssid: Bssid | None = None
    socket: Annotated[str, Meta(pattern=r"\A/[\x21-\x7e]{1,100}\Z")] = "/run/fibrewatch-radio/helper.sock"

    def __post_init__(self) -> None:
        """Raises ValueError where fields do not go together."""
        if self.ssid is not None:
            octets(self.ssid)
        if self.width not in (20, 40, 80, 160):
            raise ValueError(f"width {self.width}: one of 20, 40, 80, 160")
        if self.width > 20 and self.center is None:
            raise ValueError(f"center is missing: a channel of {self.width} MHz needs it")


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stretch of listening. Shares are of its time; a frame's airtime is its preamble and its symbols."""

    duration: Annotated[float | None, Metric("seconds", "How long was listened.")] = None
    frames: Annotated[Count | None, Metric("frames", "Heard and decoded.", kind="counter")] = None
    bad_frames: Annotated[
        Count | None, Metric("frames", "Heard with a wrong checksum, or malformed.", "lower", "counter")
    ] = None
    dropped: Annotated[Count | None, Metric("frames", "That the box was too slow to take.", "lower", "counter")] = None
    airtime: Annotated[float | None, Metric("ratio", "Share of time with a frame on the air.", "lower")] = None
    airtime_own_ap: Annotated[float | None, Metric("ratio", "Sent by the place's own access point.")] = None
    airtime_own_stations: Annotated[float | None, Metric("ratio", "Sent by its stations.")] = None
    airtime_same_ssid: Annotated[
        float | None, Metric("ratio", "Sent by other access points of the SSID and their stations.")
    ] = None
    airtime_others: Annotated[float | None, Metric("ratio", "Sent in other networks.", "lower")] = None
    airtime_unknown: Annotated[
        float | None, Metric("ratio", "Sent by who can't be told: no address, a wrong checksum, or no network.")
    ] = None
    airtime_peak: Annotated[float | None, Metric("ratio", "Airtime of the busiest second.", "lower")] = None
    retry_ratio: Annotated[
        float | None, Metric("ratio", "Sent again, of all data and management frames to one receiver.", "lower")
    ] = None
    own_retry_ratio: Annotated[
        float | None, Metric("ratio", "The same of the own access point and its stations.", "lower")
    ] = None
    management_rate: Annotated[float | None, Metric("frames_per_second", "Management frames.", "lower")] = None
    management_peak: Annotated[
        float | None, Metric("frames_per_second", "Management frames in the worst second.", "lower")
    ] = None
    frame_rate: Annotated[float | None, Metric("frames_per_second", "All frames.")] = None
    frame_peak: Annotated[float | None, Metric("frames_per_second", "Frames in the busiest second.")] = None
    beacon_interval: Annotated[
        float | None, Metric("seconds", "Mean time between two beacons of the own access point.")
    ] = None
    beacon_jitter: Annotated[
        float | None,
        Metric("seconds", "95th percentile of how far a beacon comes from its even place in the row.", "lower"),
    ] = None
    beacons_missed: Annotated[
        float | None, Metric("ratio", "Of the own access point's beacons, those not heard.", "lower")
    ] = None
    access_points: Annotated[Count | None, Metric("", "Access points heard.", "lower")] = None
    same_ssid: Annotated[Count | None, Metric("", "Of them, those that bear the site's SSID.")] = None
    unrated: Annotated[
        Count | None, Metric("frames", "Whose rate the radio did not tell: their airtime is missing.", kind="counter")
    ] = None
    listened_from: float | None = None
    """Seconds after started_at: a process has to start first."""
    beacon_interval_announced: float | None = None
    """As the own access point's beacons say it, seconds."""
    bssid: Bssid | None = None
    """The own access point's."""
    interface: Annotated[str, Meta(max_length=15)] | None = None
