"""throughput: TCP goodput to a responder, by the iperf3 tool (RFC 2647 §3.17 goodput; RFC 6349 for the method)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port, Rate, Size
from fibrewatch.measurement import Count, Error
from fibrewatch.metric import Metric

MODE = "exclusive"

Stopped = Literal["converged", "duration", "tenants", "bytes"]
"""Why a transfer ended: its rate had converged, its time was over, others wanted the line, it had moved enough."""


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of throughput.

    Attributes:
        direction: "down" is from the responder to the box.
        duration_s: How long data flows at most, without `omit_s`; iperf3 takes whole seconds, so both are rounded up.
        omit_s: What is left out of the figures at least: slow start.
        early_stop: End the transfer once its rate has converged, see `error`; else it takes its whole duration.
        error: The relative error of goodput at which it has converged.
        max_bytes: The most that one transfer may move; None for no limit. Half a second is measured in any case.
        ports: First and last port of the responder's range; a busy one leads to the next. Not used where the target
            has a control API: the port comes with the slot.
        expected_rate: What to reserve for this test there; None: what the uplink is contracted for, and where that is
            not known all that the responder has.
        patience_s: How long to wait for a slot.
        priority: Among those who wait; a test that a person started goes before both.
        congestion: The sender's congestion control. Unless set it is cubic, where the kernel lets us choose: bbr would
            hide the line's queue.
        latency: How round trips are measured before and during the transfer: ICMP echo, or STAMP to the responder's
            reflector.
        latency_address: Whereto, if not to the target.
        latency_port: The STAMP reflector's.
    """

    direction: Literal["down", "up"]
    duration_s: Annotated[Duration, Meta(ge=0.5, le=120)] = field(default=10.0, name="duration")
    omit_s: Annotated[Duration, Meta(ge=0, le=10)] = field(default=1.0, name="omit")
    early_stop: bool = True
    error: Annotated[float, Meta(ge=0.02, le=0.5)] = 0.03
    max_bytes: Annotated[Size, Meta(ge=1_000_000)] | None = 600_000_000
    streams: Annotated[int, Meta(ge=1, le=64)] = 4
    ports: tuple[Annotated[int, Meta(ge=1, le=65535)], Annotated[int, Meta(ge=1, le=65535)]] = (5201, 5204)
    expected_rate: Annotated[Rate, Meta(gt=0)] | None = field(default=None, name="expected")
    patience_s: Annotated[Duration, Meta(ge=0, le=3600)] = field(default=120.0, name="patience")
    priority: Literal["scheduled", "background"] = "scheduled"
    congestion: Annotated[str, Meta(pattern=r"\A[a-z0-9_]{1,15}\Z")] | None = None
    latency: Literal["icmp", "stamp", "off"] = "icmp"
    latency_address: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    latency_port: Port = 862
    latency_interval_s: Annotated[Duration, Meta(ge=0.01, le=1)] = field(default=0.05, name="latency_interval")
    idle_s: Annotated[Duration, Meta(ge=0.1, le=30)] = field(default=2.0, name="idle")


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transfer in one direction."""

    direction: Literal["down", "up"]
    streams: int
    goodput: Annotated[
        float | None,
        Metric("bytes_per_second", "TCP payload per second as the receiver counted it.", "higher"),
    ] = None
    bound: Annotated[
        float | None,
        Metric("bytes_per_second", "Of a censored test: what the line is proved to carry, tenants included.", "higher"),
    ] = None
    goodput_error: Annotated[
        float | None, Metric("ratio", "95 % bound of goodput's relative error, from its swings.", "lower")
    ] = None
    stopped: Stopped | None = None
    source: Literal["iperf3", "tcp_info"] | None = None
    """Who counted: the receiving iperf3, or the box's kernel (what the peer acknowledged, or what arrived)."""
    transferred: Annotated[Count | None, Metric("bytes", "TCP payload received, warm-up included.", kind="counter")] = (
        None
    )
    transfer_duration: Annotated[float | None, Metric("seconds", "Time over which goodput was counted.")] = None
    warm_up: Annotated[float | None, Metric("seconds", "Time left out before it.")] = None
    retransmits: Annotated[Count | None, Metric("segments", "Segments sent again.", "lower", "counter")] = None
    rtt_min: Annotated[float | None, Metric("seconds", "Least smoothed RTT at the sender's TCP.", "lower")] = None
    rtt_mean: Annotated[float | None, Metric("seconds", "Mean smoothed RTT at the sender's TCP.", "lower")] = None
    rtt_max: Annotated[float | None, Metric("seconds", "Greatest smoothed RTT at the sender's TCP.", "lower")] = None
    cpu_local: Annotated[float | None, Metric("ratio", "CPU that iperf3 used on the box, in cores.", "lower")] = None
    cpu_remote: Annotated[
        float | None, Metric("ratio", "CPU that iperf3 used at the responder, in cores.", "lower")
    ] = None
    rtt_idle_p50: Annotated[float | None, Metric("seconds", "Median round trip before the transfer.", "lower")] = None
    rtt_idle_p95: Annotated[float | None, Metric("seconds", "95th percentile before the transfer.", "lower")] = None
    rtt_idle_p99: Annotated[float | None, Metric("seconds", "99th percentile before the transfer.", "lower")] = None
    rtt_idle_max: Annotated[float | None, Metric("seconds", "Greatest before the transfer.", "lower")] = None
    rtt_loaded_p50: Annotated[float | None, Metric("seconds", "Median round trip under load.", "lower")] = None
    rtt_loaded_p95: Annotated[float | None, Metric("seconds", "95th percentile under load.", "lower")] = None
    rtt_loaded_p99: Annotated[float | None, Metric("seconds", "99th percentile under load.", "lower")] = None
    rtt_loaded_max: Annotated[float | None, Metric("seconds", "Greatest under load.", "lower")] = None
    rtt_inflation: Annotated[
        float | None, Metric("seconds", "Median round trip under load less the one before.", "lower")
    ] = None
    loss_ratio_loaded: Annotated[float | None, Metric("ratio", "Lost of the packets under load.", "lower")] = None
    latency_sent: int | None = None
    """Packets sent while goodput was counted: what the percentiles under load are made of."""
    latency_error: Error | None = None
    """Why there are no round trips."""
    congestion: str | None = None
    """The sender's congestion control."""
    port: int | None = None
    intervals: tuple[float, ...] = ()
    """Goodput of each interval of one second, bytes per second, as the receiver saw it; where it did not tell (an
    upload that broke off, a foreign server) what the sender wrote."""
    complete: bool = True
    """False when a failure ended the transfer: what is here was measured until then."""
