"""voice: a burst of packets as a call sends them, and how speech would be heard (ITU-T G.107, G.107.1; Y.1541).

"Forward" is what the far end hears, "backward" what the site hears.
"""

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration, Port
from fibrewatch.measurement import Count
from fibrewatch.metric import Metric
from fibrewatch.results.ping import Stamps

MODE = "burst"

ServiceClass = Literal["0", "1", "6", "7"]
Basis = Literal["one_way", "half_round_trip"]


class Objectives(NamedTuple):
    """Upper bounds of a network performance class.

    Attributes:
        delay_s: IPTD, mean one-way delay.
        variation_s: IPDV, a high quantile of one-way delays less their least.
        loss_ratio: IPLR.
    """

    delay_s: float
    variation_s: float
    loss_ratio: float


CLASSES: dict[ServiceClass, Objectives] = {
    "0": Objectives(0.100, 0.050, 1e-3),
    "1": Objectives(0.400, 0.050, 1e-3),
    "6": Objectives(0.100, 0.050, 1e-5),
    "7": Objectives(0.400, 0.050, 1e-5),
}
"""ITU-T Y.1541 (12/2011): classes 0 and 1 of Table 1, the provisional classes 6 and 7 of Table 3. The other classes put
no bound on IPDV: they are not for conversation."""


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of voice.

    Attributes:
        packet_bytes: UDP payload; 172 are 20 ms of G.711 and an RTP header.
        dscp: 46 is expedited forwarding, RFC 3246.
        jitter_buffer_s: What a terminal waits beyond the median delay; later packets are not played.
        service_class: Of Y.1541, whose objectives `ready` is judged by.
        max_delay_s, max_variation_s, max_loss_ratio: In place of the class's objectives.
    """

    duration_s: Annotated[Duration, Meta(ge=1, le=60)] = field(default=10.0, name="duration")
    interval_s: Annotated[Duration, Meta(ge=0.01, le=0.1)] = field(default=0.02, name="interval")
    timeout_s: Annotated[Duration, Meta(gt=0, le=10)] = field(default=2.0, name="timeout")
    port: Port = 862
    packet_bytes: Annotated[int, Meta(ge=72, le=1400)] = 172
    dscp: Annotated[int, Meta(ge=0, le=63)] = 46
    key_file: str | None = None
    jitter_buffer_s: Annotated[Duration, Meta(ge=0, le=1)] = field(default=0.04, name="jitter_buffer")
    service_class: ServiceClass = "0"
    max_delay_s: Annotated[Duration, Meta(gt=0, le=10)] | None = field(default=None, name="max_delay")
    max_variation_s: Annotated[Duration, Meta(gt=0, le=10)] | None = field(default=None, name="max_variation")
    max_loss_ratio: Annotated[float, Meta(ge=0, le=1)] | None = None

    @property
    def variation_quantile(self) -> float:
        """Of IPDV: 1 - 10^-3 (Y.1541 Table 1), in the provisional classes 1 - 10^-5 (see DECISIONS.md)."""
        return 1 - 1e-5 if self.service_class in ("6", "7") else 1 - 1e-3

    @property
    def objectives(self) -> Objectives:
        """The class's, but for what is set."""
        preset = CLASSES[self.service_class]
        return Objectives(
            preset.delay_s if self.max_delay_s is None else self.max_delay_s,
            preset.variation_s if self.max_variation_s is None else self.max_variation_s,
            preset.loss_ratio if self.max_loss_ratio is None else self.max_loss_ratio,
        )


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One burst; where both directions are known a figure is of the worse.

    Attributes:
        basis: Whether one-way delays were measured, or halves of round trips stand for them.
        one_way_loss: Losses have directions; otherwise every loss counts as one of either.
        missed: The objectives that the burst did not meet: delay, variation, loss.
        service_class: The Y.1541 class that `ready` is of.
    """

    sent: Annotated[Count, Metric("packets", "Packets sent.", kind="counter")]
    lost: Annotated[Count, Metric("packets", "Packets without a reply in time.", "lower", "counter")]
    ready: Annotated[
        bool | None, Metric("", "1 when this burst met all objectives of the service class.", "higher")
    ] = None
    g711_r: Annotated[float | None, Metric("", "R of G.711 with concealment (G.107); 93.2 at best.", "higher")] = None
    g711_mos: Annotated[float | None, Metric("", "MOS-CQE of G.711 with concealment, 1 to 4.5.", "higher")] = None
    amr_wb_r: Annotated[
        float | None, Metric("", "R of AMR-WB 12.65 kbit/s (G.107.1); of 129, random loss assumed.", "higher")
    ] = None
    amr_wb_mos: Annotated[
        float | None, Metric("", "MOS-CQEW of AMR-WB 12.65 kbit/s, 1 to 4.5, not comparable with G.711's.", "higher")
    ] = None
    mouth_to_ear: Annotated[
        float | None, Metric("seconds", "One-way delay, jitter buffer and G.711's packets (Ta).", "lower")
    ] = None
    delay: Annotated[float | None, Metric("seconds", "Mean one-way delay, IPTD (Y.1540).", "lower")] = None
    variation: Annotated[
        float | None, Metric("seconds", "High quantile of one-way delays above the least, IPDV (Y.1540).", "lower")
    ] = None
    loss_ratio: Annotated[float | None, Metric("ratio", "Packets lost one way, IPLR (Y.1540).", "lower")] = None
    discarded: Annotated[
        Count | None, Metric("packets", "Packets too late for the jitter buffer.", "lower", "counter")
    ] = None
    burst_ratio: Annotated[
        float | None, Metric("", "Length of runs of losses over that of random loss (G.107 BurstR).", "lower")
    ] = None
    rtt_p50: Annotated[float | None, Metric("seconds", "Median round-trip time.", "lower")] = None
    basis: Basis | None = None
    one_way_loss: bool | None = None
    missed: tuple[str, ...] = ()
    service_class: ServiceClass | None = None
    stamps: Stamps | None = None
