"""stamp: round trips and both one-way directions to a reflector, continuously, in windows (RFC 8762, RFC 8972).

"Forward" is from the box to the reflector, "backward" the way of the replies.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.results.ping import Stamps
from fibrewatch.sketch import Buckets

MODE = "window"
IPDV_RESOLUTION_S = 1e-4
"""ipdv spreads over decades below what anybody promises: unrounded, 600 samples fill 250 buckets and a kilobyte."""
SMALLEST = 72
"""Bytes of a packet with the two extensions that we ask for."""


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of stamp.

    Attributes:
        interval_s: Between two packets to one reflector; 1 s suits a 4G line.
        timeout_s: A reply later than this counts as lost.
        packet_bytes: UDP payload, filled up with padding; authenticated packets have 88 bytes more at least.
        dscp: Differentiated services code point, RFC 2474, of the packets and asked for the replies.
        key_file: A file with the HMAC key: packets are authenticated, and so must the replies be.
    """

    interval_s: Annotated[Duration, Meta(ge=0.01, le=60)] = field(default=0.1, name="interval")
    timeout_s: Annotated[Duration, Meta(gt=0, le=30)] = field(default=2.0, name="timeout")
    port: Port = 862
    packet_bytes: Annotated[int, Meta(ge=SMALLEST, le=1400)] = SMALLEST
    dscp: Annotated[int, Meta(ge=0, le=63)] = 0
    key_file: str | None = None


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One window of test packets to one reflector.

    Attributes:
        stamps: Where the box's own times come from.
        dscp_backward: To be held against `dscp_reflected`. None where that is untold, or is 0 in place of `dscp_sent`:
            the way back had nothing to take away.
        stateful: The reflector counts by itself: without that losses have no direction. None: it did not show.
        authenticated: Requests and replies carried an HMAC.
        first_lost_at_s: Seconds after started_at of the first lost packet.
    """

    sent: Annotated[Count, Metric("packets", "Test packets sent.", kind="counter")]
    lost: Annotated[Count, Metric("packets", "Test packets without a reply in time.", "lower", "counter")]
    deadline: Annotated[float, Metric("seconds", "Time after which a reply counts as lost.")]
    loss_ratio: Annotated[
        float | None, Metric("ratio", "Lost out of sent in the window, either way (RFC 6673).", "lower")
    ] = None
    late: Annotated[Count, Metric("packets", "Replies that came after the deadline.", "lower", "counter")] = 0
    duplicates: Annotated[Count, Metric("packets", "Replies beyond the first to a packet.", "lower", "counter")] = 0
    reordered: Annotated[
        Count, Metric("packets", "Replies overtaken by a later packet's (RFC 4737).", "lower", "counter")
    ] = 0
    lost_forward: Annotated[
        Count | None, Metric("packets", "Packets that never reached the reflector (RFC 7680).", "lower", "counter")
    ] = None
    lost_backward: Annotated[
        Count | None, Metric("packets", "Packets whose reply got lost on its way back.", "lower", "counter")
    ] = None
    lost_undetermined: Annotated[
        Count | None, Metric("packets", "Lost packets whose direction can't be told.", "lower", "counter")
    ] = None
    loss_forward_ratio: Annotated[
        float | None, Metric("ratio", "Lost on the way to the reflector, out of sent (RFC 7680).", "lower")
    ] = None
    loss_backward_ratio: Annotated[
        float | None, Metric("ratio", "Replies lost on the way back, out of those sent.", "lower")
    ] = None
    duplicates_forward: Annotated[
        Count | None, Metric("packets", "Packets that reached the reflector again.", "lower", "counter")
    ] = None
    duplicates_backward: Annotated[
        Count | None, Metric("packets", "Replies that came back again.", "lower", "counter")
    ] = None
    reordered_forward: Annotated[
        Count | None, Metric("packets", "Packets overtaken on the way to the reflector.", "lower", "counter")
    ] = None
    reordered_backward: Annotated[
        Count | None, Metric("packets", "Replies overtaken on the way back.", "lower", "counter")
    ] = None
    rtt_min: Annotated[
        float | None, Metric("seconds", "Least round-trip time, without the reflector's own.", "lower")
    ] = None
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
    ipdv_forward_p95: Annotated[
        float | None, Metric("seconds", "95th percentile absolute ipdv to the reflector (RFC 3393).", "lower")
    ] = None
    ipdv_backward_p95: Annotated[
        float | None, Metric("seconds", "95th percentile absolute ipdv from the reflector (RFC 3393).", "lower")
    ] = None
    pdv_p99: Annotated[
        float | None, Metric("seconds", "99th percentile of round trips above the least (RFC 5481 §4.2).", "lower")
    ] = None
    pdv_forward_p99: Annotated[
        float | None, Metric("seconds", "99th percentile of one-way delays above the least, forward.", "lower")
    ] = None
    pdv_backward_p99: Annotated[
        float | None, Metric("seconds", "99th percentile of one-way delays above the least, backward.", "lower")
    ] = None
    owd_forward_min: Annotated[
        float | None, Metric("seconds", "Least one-way delay to the reflector (RFC 7679).", "lower")
    ] = None
    owd_forward_p50: Annotated[float | None, Metric("seconds", "Median one-way delay to the reflector.", "lower")] = (
        None
    )
    owd_forward_p99: Annotated[
        float | None, Metric("seconds", "99th percentile one-way delay to the reflector.", "lower")
    ] = None
    owd_backward_min: Annotated[
        float | None, Metric("seconds", "Least one-way delay from the reflector (RFC 7679).", "lower")
    ] = None
    owd_backward_p50: Annotated[
        float | None, Metric("seconds", "Median one-way delay from the reflector.", "lower")
    ] = None
    owd_backward_p99: Annotated[
        float | None, Metric("seconds", "99th percentile one-way delay from the reflector.", "lower")
    ] = None
    owd_uncertainty: Annotated[
        float | None, Metric("seconds", "Bound of both clocks' error in the one-way delays.", "lower")
    ] = None
    dscp_sent: Annotated[Count | None, Metric("", "Code point that the packets left with (RFC 2474).")] = None
    dscp_forward: Annotated[Count | None, Metric("", "Code point that they had when they reached the reflector.")] = (
        None
    )
    dscp_reflected: Annotated[
        Count | None, Metric("", "Code point that the replies left with, as the reflector says (RFC 8972).")
    ] = None
    dscp_backward: Annotated[Count | None, Metric("", "Code point that the replies had when they came back.")] = None
    ttl_forward: Annotated[
        Count | None, Metric("", "TTL left at the reflector, least of the window; 255 were sent.")
    ] = None
    ttl_backward: Annotated[Count | None, Metric("", "TTL left of the replies, least of the window.")] = None
    follow_ups: Annotated[
        Count | None, Metric("packets", "Replies whose true send time the reflector told later.", "higher", "counter")
    ] = None
    rtt: Annotated[Buckets | None, Metric("seconds", "Round-trip times, relative error 1 %.", "lower", "histogram")] = (
        None
    )
    owd_forward: Annotated[
        Buckets | None,
        Metric("seconds", "One-way delays to the reflector, relative error 1 %.", "lower", "histogram", exposed=False),
    ] = None
    owd_backward: Annotated[
        Buckets | None,
        Metric(
            "seconds", "One-way delays from the reflector, relative error 1 %.", "lower", "histogram", exposed=False
        ),
    ] = None
    ipdv: Annotated[
        Buckets | None,
        Metric(
            "seconds",
            "Absolute ipdv of round trips, to 0.1 ms and then relative error 1 %.",
            "lower",
            "histogram",
            exposed=False,
            resolution=IPDV_RESOLUTION_S,
        ),
    ] = None
    stamps: Stamps | None = None
    stateful: bool | None = None
    authenticated: bool = False
    first_lost_at_s: float | None = None
