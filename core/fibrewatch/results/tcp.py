"""tcp: the time that a TCP connection takes to a port (RFC 9293 §3.5)."""

from typing import Annotated

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric

MODE = "burst"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of tcp."""

    port: Port = 443
    timeout_s: Annotated[Duration, Meta(ge=0.05, le=60)] = field(default=5.0, name="timeout")


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One connection, closed as soon as it stood."""

    resolve: Annotated[float | None, Metric("seconds", "Time the name's resolution took.", "lower")] = None
    connect: Annotated[
        float | None, Metric("seconds", "From the connect call until the connection stood.", "lower")
    ] = None
    rtt: Annotated[
        float | None, Metric("seconds", "Round trip of the handshake by the kernel (TCP_INFO).", "lower")
    ] = None
    retransmits: Annotated[Count | None, Metric("segments", "SYN segments sent again.", "lower")] = None
