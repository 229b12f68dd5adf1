"""From a window's test packets to its figures: pure arithmetic."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fibrewatch import sketch, stats
from fibrewatch.results.ping import Stamps
from fibrewatch.results.stamp import IPDV_RESOLUTION_S, Result
from fibrewatch.sketch import Buckets
from fibrewatch_agent.stamp.ledger import Directions, Ledger
from fibrewatch_agent.stamp.session import StampPacket

_WORST_FIRST: tuple[Stamps, ...] = ("user", "kernel_receive", "kernel")
_TOLERATED_S = 1e-6
"""Both ends round their times; a reflector that claims to have held a packet longer than it was away is wrong."""

Delays = list[float | None]


class Window(NamedTuple):
    """What a window brought.

    Attributes:
        packets: Those that count as sent, in send order.
        arrivals: The numbers of those answered in time, in the order of their first replies.
        start_mono: When the window began, on the monotonic clock.
    """

    packets: Sequence[StampPacket]
    arrivals: Sequence[int]
    timeout_s: float
    start_mono: float

    def in_time(self, packet: StampPacket) -> bool:
        """Whether it was answered before the deadline."""
        return packet.rtt_s is not None and packet.rtt_s <= self.timeout_s

    def each(self, delay: Callable[[StampPacket], float | None]) -> Delays:
        """A delay of every packet, None for those lost."""
        return [delay(packet) if self.in_time(packet) else None for packet in self.packets]


def round_trip(packet: StampPacket) -> float | None:
    """(T4 - T1) - (T3 - T2), seconds (RFC 8762 §4.3); with the reflector's own time where its clock gives none."""
    if packet.rtt_s is None:
        return None
    held = (packet.away_ns - packet.there_ns) / 1e9
    if not 0 <= held <= packet.rtt_s + _TOLERATED_S:
        return packet.rtt_s
    return max(0.0, packet.rtt_s - held)


def forward(packet: StampPacket) -> float | None:
    """T2 - T1, seconds, by the two ends' clocks; None when the box's was stepped."""
    if packet.reply is None or packet.stepped:
        return None
    return (packet.there_ns - (packet.tx_ns or packet.sent_wall_ns)) / 1e9


def backward(packet: StampPacket) -> float | None:
    """T4 - T3, seconds, by the two ends' clocks; None when the box's was stepped."""
    if packet.reply is None or packet.stepped:
        return None
    return (packet.back_ns - packet.away_ns) / 1e9


def uncertainty(packet: StampPacket) -> float | None:
    """Bound of both clocks' error, seconds; None when one is not synchronised, or of a scale that is not told (PTP)."""
    if packet.reply is None or packet.clock_bound_s is None:
        return None
    estimate = packet.reply.estimate
    return packet.clock_bound_s + estimate.seconds if estimate.synchronised and not estimate.ptp else None


def summarise(window: Window, ledger: Ledger, *, dscp: int, authenticated: bool) -> Result:
    """The figures of one window."""
    packets = window.packets
    rtts = window.each(round_trip)
    good = [rtt for rtt in rtts if rtt is not None]
    lost = [packet for packet in packets if not window.in_time(packet)]
    used = {packet.stamps for packet in packets if window.in_time(packet)}
    return Result(
        sent=len(packets),
        lost=len(lost),
        deadline=window.timeout_s,
        loss_ratio=_rounded(stats.loss_ratio(len(packets), len(lost))),
        late=sum(packet.replies > 0 for packet in lost),
        duplicates=sum(max(0, packet.replies - 1) for packet in packets),
        reordered=stats.reordered(window.arrivals),
        **_directions(packets, ledger),
        **_quantiles("rtt", rtts, 0.50, 0.95, 0.99),
        rtt_min=_rounded(min(good, default=None)),
        rtt_max=_rounded(max(good, default=None)),
        ipdv_p50=_ipdv(rtts, 0.50),
        ipdv_p95=_ipdv(rtts, 0.95),
        pdv_p99=_pdv(rtts),
        **_one_way(window, min(good, default=None)),
        **_headers(packets, dscp),
        dscp_sent=dscp,
        follow_ups=sum(packet.followed for packet in packets),
        rtt=_histogram(good),
        ipdv=_histogram([_to_step(abs(each), IPDV_RESOLUTION_S) for each in stats.ipdv(rtts)]),
        stamps=next((source for source in _WORST_FIRST if source in used), None),
        stateful=ledger.stateful if good else None,
        authenticated=authenticated,
        first_lost_at_s=max(0.0, round(lost[0].sent_mono_ns / 1e9 - window.start_mono, 6)) if lost else None,
    )


def _one_way(window: Window, least_rtt: float | None) -> dict[str, Any]:
    """Differences of one-way delays need no common clock, only steady ones; the delays themselves do.

    Without any clock a one-way delay is half the round trip, give or take that half: clocks that know no better say
    nothing.
    """
    there, back = window.each(forward), window.each(backward)
    figures: dict[str, Any] = {"ipdv_forward_p95": _ipdv(there, 0.95), "ipdv_backward_p95": _ipdv(back, 0.95)}
    bounds = [uncertainty(packet) for packet in window.packets if window.in_time(packet)]
    known = [bound for bound in bounds if bound is not None]
    if not known or len(known) < len(bounds) or least_rtt is None:
        return figures
    figures |= {"pdv_forward_p99": _pdv(there), "pdv_backward_p99": _pdv(back)}
    if max(known) > least_rtt / 2:
        return figures
    for name, delays in (("owd_forward", there), ("owd_backward", back)):
        figures |= _quantiles(name, delays, 0.50, 0.99)
        figures[name] = _histogram([delay for delay in delays if delay is not None])
        figures[f"{name}_min"] = _rounded(min((delay for delay in delays if delay is not None), default=None))
    return figures | {"owd_uncertainty": _rounded(max(known))}


def _directions(packets: Sequence[StampPacket], ledger: Ledger) -> dict[str, Any]:
    """A packet that could not leave the box was lost on its way there."""
    numbers = [packet.number for packet in packets if packet.number >= 0]
    unanswered = {packet.number for packet in packets if packet.number >= 0 and not packet.replies}
    told: Directions | None = ledger.directions(numbers, unanswered)
    if told is None:
        return {}
    told = told._replace(lost_forward=told.lost_forward + len(packets) - len(numbers))
    certain = not told.lost_undetermined and packets
    arrived = len(packets) - told.lost_forward
    return told._asdict() | {
        "loss_forward_ratio": _rounded(told.lost_forward / len(packets)) if certain else None,
        "loss_backward_ratio": _rounded(told.lost_backward / arrived) if certain and arrived else None,
    }


def _headers(packets: Sequence[StampPacket], dscp: int) -> dict[str, Any]:
    """As of the last reply; the least TTL is of the longest path taken."""
    answered = [packet for packet in packets if packet.reply is not None]
    ttls = [packet.reply.ttl for packet in answered if packet.reply is not None and packet.reply.ttl]
    last = answered[-1] if answered else None
    tested = last is not None and last.dscp_away is not None and (last.dscp_away > 0 or dscp == 0)
    return {
        "dscp_forward": last.dscp_there if last else None,
        "dscp_reflected": last.dscp_away if last else None,
        "dscp_backward": last.dscp_back if last and tested else None,
        "ttl_forward": min(ttls, default=None),
        "ttl_backward": min((packet.ttl_back for packet in answered if packet.ttl_back), default=None),
    }


def _quantiles(name: str, delays: Delays, *quantiles: float) -> dict[str, Any]:
    good = [delay for delay in delays if delay is not None]
    return {f"{name}_p{q * 100:.0f}": _rounded(stats.percentile(good, q)) for q in quantiles}


def _to_step(value: float, step: float) -> float:
    return round(value / step) * step


def _histogram(values: Sequence[float]) -> Buckets | None:
    return sketch.of(values) if values else None


def _ipdv(delays: Delays, q: float) -> float | None:
    return _rounded(stats.percentile([abs(each) for each in stats.ipdv(delays)], q))


def _pdv(delays: Delays) -> float | None:
    """99th percentile above the least (RFC 5481 §4.2)."""
    good = [delay for delay in delays if delay is not None]
    high = stats.percentile(good, 0.99)
    return None if high is None else _rounded(high - min(good))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 9)
