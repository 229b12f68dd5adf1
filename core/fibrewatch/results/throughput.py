"""throughput: TCP goodput to a responder, by the iperf3 tool (RFC 2647 §3.17 goodput; RFC 6349 for the method)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric

MODE = "exclusive"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of throughput.

    Attributes:
        direction: "down" is from the responder to the box.
        duration_s: How long data flows, without `omit_s`; iperf3 takes whole seconds, so both are rounded up.
        omit_s: Slow start that is left out of the figures.
        ports: First and last port of the responder's range; a busy one leads to the next.
        congestion: The sender's congestion control, recorded with the result; None leaves the kernel's own.
    """

    direction: Literal["down", "up"]
    duration_s: Annotated[Duration, Meta(ge=0.5, le=120)] = field(default=10.0, name="duration")
    omit_s: Annotated[Duration, Meta(ge=0, le=10)] = field(default=1.0, name="omit")
    streams: Annotated[int, Meta(ge=1, le=64)] = 4
    ports: tuple[Annotated[int, Meta(ge=1, le=65535)], Annotated[int, Meta(ge=1, le=65535)]] = (5201, 5204)
    congestion: Annotated[str, Meta(pattern=r"\A[a-z0-9_]{1,15}\Z")] | None = None


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transfer in one direction."""

    direction: Literal["down", "up"]
    streams: int
    goodput: Annotated[
        float | None,
        Metric("bytes_per_second", "TCP payload per second as the receiver counted it.", "higher"),
    ] = None
    transferred: Annotated[Count | None, Metric("bytes", "TCP payload received, warm-up included.", kind="counter")] = (
        None
    )
    transfer_duration: Annotated[float | None, Metric("seconds", "Time over which goodput was counted.")] = None
    retransmits: Annotated[Count | None, Metric("segments", "Segments sent again.", "lower", "counter")] = None
    rtt_min: Annotated[float | None, Metric("seconds", "Least smoothed RTT at the sender's TCP.", "lower")] = None
    rtt_mean: Annotated[float | None, Metric("seconds", "Mean smoothed RTT at the sender's TCP.", "lower")] = None
    rtt_max: Annotated[float | None, Metric("seconds", "Greatest smoothed RTT at the sender's TCP.", "lower")] = None
    cpu_local: Annotated[float | None, Metric("ratio", "CPU that iperf3 used on the box, in cores.", "lower")] = None
    cpu_remote: Annotated[
        float | None, Metric("ratio", "CPU that iperf3 used at the responder, in cores.", "lower")
    ] = None
    congestion: str | None = None
    port: int | None = None
    intervals: tuple[float, ...] = ()
    """Goodput of each interval of one second, bytes per second, as the receiver saw it; where it did not tell (an
    upload that broke off, a foreign server) what the sender wrote."""
    complete: bool = True
    """False when the transfer was ended before its time: what is here was measured until then."""
