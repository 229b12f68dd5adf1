"""From a burst's packets to how speech would be heard over them: pure arithmetic."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from fibrewatch import emodel, stats
from fibrewatch.emodel import AMR_WB_12_65, G711_PLC, Codec, Rating
from fibrewatch.results import stamp, voice
from fibrewatch.results.voice import Objectives, Params, Result
from fibrewatch_agent.stamp.summary import Delays, Window, backward, forward, round_trip


class Way(NamedTuple):
    """One direction as a terminal at its end sees it.

    Attributes:
        delay_s: Mean and median one-way delay.
        variation_s: IPDV.
        lost, discarded: Packets that did not come, and that came too late to be played.
    """

    delay_s: float
    median_s: float
    variation_s: float
    lost: int
    discarded: int


def summarise(window: Window, line: stamp.Result, params: Params) -> Result:
    """The figures of one burst.

    Args:
        line: What stamp makes of the same packets.
    """
    bare = Result(sent=line.sent, lost=line.lost, service_class=params.service_class, stamps=line.stamps)
    if line.lost == line.sent:
        return bare
    ways, basis, one_way_loss = _ways(window, line, params)
    burst = emodel.burst_ratio([not window.in_time(packet) for packet in window.packets])
    met = Objectives(
        max(way.delay_s for way in ways),
        max(way.variation_s for way in ways),
        max(way.lost for way in ways) / line.sent,
    )
    narrow, wide = (_worst(codec, ways, line.sent, params, burst) for codec in (G711_PLC, AMR_WB_12_65))
    missed = _missed(met, params.objectives)
    return replace(
        bare,
        ready=not missed,
        g711_r=round(narrow.r, 3),
        g711_mos=round(narrow.mos, 4),
        amr_wb_r=round(wide.r, 3),
        amr_wb_mos=round(wide.mos, 4),
        mouth_to_ear=round(max(way.median_s for way in ways) + params.jitter_buffer_s + G711_PLC.delay_s, 9),
        delay=round(met.delay_s, 9),
        variation=round(met.variation_s, 9),
        loss_ratio=round(met.loss_ratio, 9),
        discarded=max(way.discarded for way in ways),
        burst_ratio=round(burst, 4),
        rtt_p50=line.rtt_p50,
        basis=basis,
        one_way_loss=one_way_loss,
        missed=missed,
    )


def _ways(window: Window, line: stamp.Result, params: Params) -> tuple[list[Way], voice.Basis, bool]:
    """Both directions; one that stands for both where the reflector tells nothing of them.

    One-way delays whose clocks differ are still true but for a constant: variation and discards need no common clock.
    """
    trips, there, back = window.each(round_trip), window.each(forward), window.each(backward)
    directed = line.lost_forward is not None and not line.lost_undetermined
    lost = (line.lost, line.lost)
    if directed:  # what came after the deadline came too late for a call as well
        lost = ((line.lost_forward or 0) + line.late, (line.lost_backward or 0) + line.late)
    half: Delays = [None if trip is None else trip / 2 for trip in trips]
    measured = line.owd_uncertainty is not None
    ways = [
        _way(delays, delays if measured else half, count, params)
        for delays, count in ((there, lost[0]), (back, lost[1]))
        if any(delay is not None for delay in delays)
    ]
    if not ways:  # the box's clock was stepped
        ways = [_way(trips, half, max(lost), params)]
    return ways, "one_way" if measured else "half_round_trip", directed


def _way(varying: Delays, absolute: Delays, lost: int, params: Params) -> Way:
    """One direction, its variation from one list of delays, its length from another."""
    good, lengths = _known(varying), _known(absolute)
    latest = _median(good) + params.jitter_buffer_s
    high = stats.percentile(good, params.variation_quantile) or 0.0
    return Way(
        delay_s=max(0.0, math.fsum(lengths) / len(lengths)),
        median_s=max(0.0, _median(lengths)),
        variation_s=high - min(good),
        lost=lost,
        discarded=sum(delay > latest for delay in good),
    )


def _known(delays: Delays) -> list[float]:
    return [delay for delay in delays if delay is not None]


def _worst(codec: Codec, ways: Sequence[Way], sent: int, params: Params, burst: float) -> Rating:
    ratings = (
        emodel.rate(
            codec,
            way.median_s + params.jitter_buffer_s + codec.delay_s,
            min(1.0, (way.lost + way.discarded) / sent),
            burst,
        )
        for way in ways
    )
    return min(ratings, key=lambda rating: rating.r)


def _missed(met: Objectives, wanted: Objectives) -> tuple[str, ...]:
    names = ("delay", "variation", "loss")
    return tuple(name for name, got, bound in zip(names, met, wanted, strict=True) if got > bound)


def _median(values: Sequence[float]) -> float:
    """The middle, or the mean of both; `statistics` would cost a box 0.4 MiB."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
