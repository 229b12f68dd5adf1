"""From a window's echoes to its figures: pure arithmetic."""

from collections.abc import Sequence

from fibrewatch import sketch, stats
from fibrewatch.results.ping import Result, Stamps
from fibrewatch_agent.net.icmp import Echo

_WORST_FIRST: tuple[Stamps, ...] = ("user", "kernel_receive", "kernel")


def summarise(echoes: Sequence[Echo], arrivals: Sequence[int], timeout_s: float, start_mono: float) -> Result:
    """The figures of one window.

    Args:
        echoes: Those that count as sent, in send order.
        arrivals: The numbers of those answered in time, in the order of their first replies.
        start_mono: When the window began, on the monotonic clock.
    """
    rtts = [e.rtt_s if e.rtt_s is not None and e.rtt_s <= timeout_s else None for e in echoes]
    good = [rtt for rtt in rtts if rtt is not None]
    variations = [abs(each) for each in stats.ipdv(rtts)]
    lost = [echo for echo, rtt in zip(echoes, rtts, strict=True) if rtt is None]
    used = {echo.stamps for echo, rtt in zip(echoes, rtts, strict=True) if rtt is not None}
    return Result(
        sent=len(echoes),
        lost=len(lost),
        deadline=timeout_s,
        loss_ratio=_rounded(stats.loss_ratio(len(echoes), len(lost))),
        late=sum(echo.replies > 0 for echo in lost),
        duplicates=sum(max(0, echo.replies - 1) for echo in echoes),
        reordered=stats.reordered(arrivals),
        rtt_min=_rounded(min(good, default=None)),
        rtt_p50=_rounded(stats.percentile(good, 0.50)),
        rtt_p95=_rounded(stats.percentile(good, 0.95)),
        rtt_p99=_rounded(stats.percentile(good, 0.99)),
        rtt_max=_rounded(max(good, default=None)),
        ipdv_p50=_rounded(stats.percentile(variations, 0.50)),
        ipdv_p95=_rounded(stats.percentile(variations, 0.95)),
        rtt=sketch.of(good) if good else None,
        stamps=next((source for source in _WORST_FIRST if source in used), None),
        first_lost_at_s=max(0.0, round(lost[0].sent_mono_ns / 1e9 - start_mono, 6)) if lost else None,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 9)
