"""ping: ICMP echo round trips, continuously, in windows (RFC 2681, RFC 6673; ICMP: RFC 792, RFC 4443)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.sketch import Buckets

MODE = "window"

Stamps = Literal["kernel", "kernel_receive", "user"]
"""Where the times come from, best first: the kernel at send and receive, at receive only, this process."""


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of ping.

    Attributes:
        interval_s: Between two echo requests to one target.
        timeout_s: A reply later than this counts as lost.
        payload_bytes: ICMP data bytes (56 as ping(8)).
        dscp: Differentiated services code point, RFC 2474.
    """

    interval_s: Annotated[Duration, Meta(ge=0.01, le=60)] = field(default=1.0, name="interval")
    timeout_s: Annotated[Duration, Meta(gt=0, le=30)] = field(default=2.0, name="timeout")
    payload_bytes: Annotated[int, Meta(ge=16, le=1400)] = 56
    dscp: Annotated[int, Meta(ge=0, le=63)] = 0


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One window of echo round trips to one target."""

    sent: Annotated[Count, Metric("packets", "Echo requests sent.", kind="counter")]
    lost: Annotated[Count, Metric("packets", "Echo requests without a reply in time.", "lower", "counter")]
    deadline: Annotated[float, Metric("seconds", "Time after which a reply counts as lost.")]
    loss_ratio: Annotated[float | None, Metric("ratio", "Lost out of sent in the window (RFC 6673).", "lower")] = None
    late: Annotated[Count, Metric("packets", "Replies that came after the deadline.", "lower", "counter")] = 0
    duplicates: Annotated[Count, Metric("packets", "Replies beyond the first to a request.", "lower", "counter")] = 0
    reordered: Annotated[
        Count, Metric("packets", "Replies overtaken by a later request's (RFC 4737).", "lower", "counter")
    ] = 0
    rtt_min: Annotated[float | None, Metric("seconds", "Least round-trip time of the window.", "lower")] = None
    rtt_p50: Annotated[float | None, Metric("seconds", "Median round-trip time of the window.", "lower")] = None
    rtt_p95: Annotated[float | None, Metric("seconds", "95th percentile round-trip time.", "lower")] = None
    rtt_p99: Annotated[float | None, Metric("seconds", "99th percentile round-trip time.", "lower")] = None
    rtt_max: Annotated[float | None, Metric("seconds", "Greatest round-trip time of the window.", "lower")] = None
    ipdv_p50: Annotated[float | None, Metric("seconds", "Median absolute ipdv of round trips (RFC 3393).", "lower")] = (
        None
    )
    ipdv_p95: Annotated[
        float | None, Metric("seconds", "95th percentile absolute ipdv of round trips (RFC 3393).", "lower")
    ] = None
    rtt: Annotated[Buckets | None, Metric("seconds", "Round-trip times, relative error 1 %.", "lower", "histogram")] = (
        None
    )
    stamps: Stamps | None = None
    first_lost_at_s: float | None = None
    """Seconds after started_at of the first lost request: refines an outage's start."""
