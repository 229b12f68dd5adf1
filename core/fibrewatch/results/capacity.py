"""capacity: maximum IP-layer capacity by UDP, with the search of RFC 9097 §8 and a receiver that reports each 50 ms."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Rate, Size
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric

MODE = "exclusive"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of capacity; the target must give slots (`control`).

    Attributes:
        direction: "down" is from the responder to the box.
        duration_s: How long packets flow; the search takes a second for each 200 Mbit/s up to 1 Gbit/s.
        packet_bytes: IP header included; the default fits through every usual tunnel (TR-471).
        max_bytes: The most that one test may send; None for no limit.
        expected_rate: What to reserve; no more is sent. None: a fifth more than the uplink is contracted for, and where
            that is not known all that the responder has.
        tolerated_loss: Share of lost packets that does not count as congestion: RFC 9097 allows ten in a report,
            which 1 % of random loss exceeds from 250 Mbit/s on.
        lower_s, upper_s: Delay above the least: below, and without loss, the rate is raised; above it is lowered.
        patience_s: How long to wait for a slot.
        priority: Among those who wait; a test that a person started goes before both.
        timeout_s: How long the slot's server may take to answer.
    """

    direction: Literal["down", "up"]
    duration_s: Annotated[Duration, Meta(ge=2, le=60)] = field(default=10.0, name="duration")
    packet_bytes: Annotated[int, Meta(ge=576, le=9000)] = 1250
    max_bytes: Annotated[Size, Meta(ge=1_000_000)] | None = 1_000_000_000
    expected_rate: Annotated[Rate, Meta(gt=0)] | None = field(default=None, name="expected")
    tolerated_loss: Annotated[float, Meta(ge=0, le=0.2)] = 0.02
    lower_s: Annotated[Duration, Meta(ge=0.005, le=0.25)] = field(default=0.030, name="lower")
    upper_s: Annotated[Duration, Meta(ge=0.005, le=0.25)] = field(default=0.090, name="upper")
    patience_s: Annotated[Duration, Meta(ge=0, le=3600)] = field(default=120.0, name="patience")
    priority: Literal["scheduled", "background"] = "scheduled"
    timeout_s: Annotated[Duration, Meta(ge=0.5, le=10)] = field(default=3.0, name="timeout")

    def __post_init__(self) -> None:
        """Raises ValueError where the thresholds contradict each other."""
        if self.lower_s > self.upper_s:
            raise ValueError("lower is above upper")


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One search in one direction; a sub-interval is one second, "at the maximum" the one with the greatest rate."""

    direction: Literal["down", "up"]
    capacity: Annotated[
        float | None,
        Metric("bytes_per_second", "Maximum IP-layer capacity: IP packets received, of the best second.", "higher"),
    ] = None
    bound: Annotated[
        float | None,
        Metric("bytes_per_second", "Of a censored test: what the line is proved to carry, tenants included.", "higher"),
    ] = None
    loss_ratio: Annotated[float | None, Metric("ratio", "Packets lost, at the maximum.", "lower")] = None
    reordered_ratio: Annotated[
        float | None, Metric("ratio", "Packets that came out of order, at the maximum.", "lower")
    ] = None
    delay_range: Annotated[
        float | None, Metric("seconds", "Greatest less least one-way delay, at the maximum.", "lower")
    ] = None
    loss_ratio_total: Annotated[float | None, Metric("ratio", "Packets lost, of the whole test.", "lower")] = None
    duplicates: Annotated[Count | None, Metric("packets", "Packets that came more than once.", "lower", "counter")] = (
        None
    )
    transferred: Annotated[Count | None, Metric("bytes", "IP packets received.", kind="counter")] = None
    transfer_duration: Annotated[float | None, Metric("seconds", "Time over which packets came.")] = None
    offered: Annotated[float | None, Metric("bytes_per_second", "Greatest rate that the sender was told to send.")] = (
        None
    )
    receiver_drops: Annotated[
        Count | None, Metric("packets", "Packets that the receiving host itself dropped.", "lower", "counter")
    ] = None
    cpu_local: Annotated[float | None, Metric("ratio", "CPU on the box in its busiest second, in cores.", "lower")] = (
        None
    )
    cpu_remote: Annotated[
        float | None, Metric("ratio", "CPU at the responder in its busiest second, in cores.", "lower")
    ] = None
    stopped: Literal["duration", "tenants", "bytes"] | None = None
    packet_bytes: int | None = None
    port: int | None = None
    intervals: tuple[float, ...] = ()
    """IP-layer rate of each second, bytes per second."""
    complete: bool = True
    """False when a failure ended the test: what is here was measured until then."""
