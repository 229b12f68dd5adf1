"""wifi_paired: the same way by wire and by Wi-Fi, from one box within one minute: what the Wi-Fi itself costs.

Latency is measured over both interfaces at once, goodput over one after the other. Figures `wire_…` and `wifi_…` are
those of the whole way; `air_…` is what the Wi-Fi adds to the wire's or takes from it.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port, Rate, Size
from fibrewatch.measurement import Count, Error, Verdict
from fibrewatch.metric import Metric

MODE = "exclusive"

Attribution = Literal["air", "fibre", "both", "neither"]
"""Which of the two keeps its limits not; fibre is all that the wire leads through."""
Finding = Literal["loss", "rtt", "goodput"]
Interface = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.:-]{1,15}\Z")]


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Beyond them a side is to blame. A loss must surely be above its limit: 95 % confidence.

    Attributes:
        fibre_rtt_s: The wire's 95th percentile.
        air_rtt_s: How much more the Wi-Fi's 95th percentile may be.
        fibre_loss_ratio: The wire's.
        air_loss_ratio: How much more the Wi-Fi may lose.
        fibre_goodput: Of the wire, e.g. 80 % of what is contracted; None: its rate is not judged.
        air_goodput: Of the Wi-Fi, or `air_share` of what the wire carries, where that is less.
    """

    fibre_rtt_s: Annotated[Duration, Meta(gt=0)] = field(default=0.1, name="fibre_rtt")
    air_rtt_s: Annotated[Duration, Meta(gt=0)] = field(default=0.03, name="air_rtt")
    fibre_loss_ratio: Annotated[float, Meta(ge=0, lt=1)] = 0.01
    air_loss_ratio: Annotated[float, Meta(ge=0, lt=1)] = 0.01
    fibre_goodput: Annotated[Rate, Meta(gt=0)] | None = None
    air_goodput: Annotated[Rate, Meta(gt=0)] = 12_500_000.0
    air_share: Annotated[float, Meta(gt=0, le=1)] = 0.8


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of wifi_paired. The wire is the test's interface, or that of the default route.

    Attributes:
        wifi: The radio's interface.
        window_s: How long packets are sent over both.
        interval_s: Between two packets over one of them.
        timeout_s: A reply later than this counts as lost.
        latency: ICMP echo, or STAMP to the target's reflector.
        transfers: Whether goodput is measured, too; without it the run is light.
        duration_s: Of each transfer at most, without its second of warm-up.
        max_bytes: Of both transfers together.
        within_s: Transfers that began farther apart are not compared: a slot had to be waited for.
    """

    wifi: Interface
    window_s: Annotated[Duration, Meta(ge=1, le=60)] = field(default=20.0, name="window")
    interval_s: Annotated[Duration, Meta(ge=0.01, le=1)] = field(default=0.05, name="interval")
    timeout_s: Annotated[Duration, Meta(gt=0, le=5)] = field(default=2.0, name="timeout")
    latency: Literal["icmp", "stamp"] = "icmp"
    latency_port: Port = 862
    transfers: bool = True
    direction: Literal["down", "up"] = "down"
    duration_s: Annotated[Duration, Meta(ge=1, le=30)] = field(default=8.0, name="duration")
    streams: Annotated[int, Meta(ge=1, le=16)] = 4
    max_bytes: Annotated[Size, Meta(ge=2_000_000)] | None = 600_000_000
    ports: tuple[Port, Port] = (5201, 5204)
    patience_s: Annotated[Duration, Meta(ge=0, le=120)] = field(default=30.0, name="patience")
    within_s: Annotated[Duration, Meta(gt=0, le=600)] = field(default=60.0, name="within")
    limits: Limits = Limits()


class Side(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one of the two interfaces showed.

    Attributes:
        loaded_p50: Median round trip during its transfer, seconds.
        goodput: As measured, also where `verdict` says that it proves less, or nothing.
        begins: The transfer's, seconds after the run's.
        verdict: Of the transfer; `reasons` say why it is not valid.
        error: Why something is missing; `detail` in a line for people.
    """

    interface: str = ""
    sent: Count | None = None
    lost: Count | None = None
    rtt_min: float | None = None
    rtt_p50: float | None = None
    rtt_p95: float | None = None
    rtt_max: float | None = None
    goodput: float | None = None
    goodput_error: float | None = None
    loaded_p50: float | None = None
    begins: float | None = None
    verdict: Verdict = "valid"
    reasons: tuple[str, ...] = ()
    error: Error | None = None
    detail: Annotated[str, Meta(max_length=300)] | None = None


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Both sides and their differences; what was not measured on one side has no difference."""

    wire_rtt_p50: Annotated[float | None, Metric("seconds", "Median round trip by wire.", "lower")] = None
    wifi_rtt_p50: Annotated[float | None, Metric("seconds", "Median round trip by Wi-Fi.", "lower")] = None
    air_rtt_p50: Annotated[float | None, Metric("seconds", "The Wi-Fi's own cost in the median.", "lower")] = None
    wire_rtt_p95: Annotated[float | None, Metric("seconds", "95th percentile round trip by wire.", "lower")] = None
    wifi_rtt_p95: Annotated[float | None, Metric("seconds", "95th percentile round trip by Wi-Fi.", "lower")] = None
    air_rtt_p95: Annotated[float | None, Metric("seconds", "The Wi-Fi's own cost in the 95th percentile.", "lower")] = (
        None
    )
    wire_loss_ratio: Annotated[float | None, Metric("ratio", "Lost of the packets by wire.", "lower")] = None
    wifi_loss_ratio: Annotated[float | None, Metric("ratio", "Lost of the packets by Wi-Fi.", "lower")] = None
    air_loss_ratio: Annotated[
        float | None, Metric("ratio", "The Wi-Fi's loss less the wire's; chance may make it negative.", "lower")
    ] = None
    wire_goodput: Annotated[
        float | None, Metric("bytes_per_second", "TCP payload by wire; a bound where it is censored.", "higher")
    ] = None
    wifi_goodput: Annotated[
        float | None, Metric("bytes_per_second", "TCP payload by Wi-Fi; a bound where it is censored.", "higher")
    ] = None
    air_goodput: Annotated[
        float | None,
        Metric("bytes_per_second", "By wire less by Wi-Fi: what the air takes; a lower bound if censored.", "lower"),
    ] = None
    air_at_fault: Annotated[bool | None, Metric("", "1 when the Wi-Fi does not keep its limits.", "lower")] = None
    fibre_at_fault: Annotated[
        bool | None, Metric("", "1 when what the wire leads through does not keep its limits.", "lower")
    ] = None
    attribution: Attribution | None = None
    air: tuple[Finding, ...] = ()
    """By what the Wi-Fi is to blame."""
    fibre: tuple[Finding, ...] = ()
    """By what the fibre is."""
    judged: tuple[Finding, ...] = ()
    """What of both sides could be told, and so stands behind `attribution`."""
    wire: Side = Side()
    wifi: Side = Side()
