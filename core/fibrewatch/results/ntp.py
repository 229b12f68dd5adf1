"""ntp: one exchange with a time server, the box as client (RFC 5905 §8, modes 3 and 4; NTP or SNTP servers)."""

from typing import Annotated

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.results.ping import Stamps

MODE = "burst"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of ntp."""

    port: Port = 123
    timeout_s: Annotated[Duration, Meta(ge=0.05, le=60)] = field(default=3.0, name="timeout")


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer of a server.

    Attributes:
        refid: What the server follows: an IPv4 address, the hash of an IPv6 one, or a code such as GPS.
        leap: 0 none, 1 a second more at the day's end, 2 one less, 3 not synchronised.
        kiss: The code of a kiss-o'-death packet, RFC 5905 §7.4.
    """

    resolve: Annotated[float | None, Metric("seconds", "Time the name's resolution took.", "lower")] = None
    offset: Annotated[
        float | None,
        Metric("seconds", "Server's time less the box's; none while the server is not synchronised."),
    ] = None
    uncertainty: Annotated[
        float | None,
        Metric(
            "seconds", "Bound of the offset's error: root distance, (delay + root delay) / 2 + dispersions.", "lower"
        ),
    ] = None
    delay: Annotated[float | None, Metric("seconds", "Round trip without the server's own time.", "lower")] = None
    stratum: Annotated[Count | None, Metric("", "Distance from a reference clock; 16 not synchronised.", "lower")] = (
        None
    )
    synchronised: Annotated[bool | None, Metric("", "1 when the server says that it knows the time.", "higher")] = None
    leap: Annotated[Count | None, Metric("", "Leap indicator: 1 or 2 a leap second is due, 3 unknown.")] = None
    root_delay: Annotated[
        float | None, Metric("seconds", "Round trip from the server to its reference clock.", "lower")
    ] = None
    root_dispersion: Annotated[
        float | None, Metric("seconds", "Error that the server admits to its reference clock.", "lower")
    ] = None
    server_precision: float | None = None
    """Seconds: the resolution of the server's clock, as it says."""
    refid: str | None = None
    kiss: str | None = None
    version: int | None = None
    stamps: Stamps | None = None
