"""From the receiver's reports to the result of a capacity test (RFC 9097 §5 and §6). Pure."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec.structs import replace

from fibrewatch.measurement import Verdict
from fibrewatch.results.capacity import Params, Result
from fibrewatch_agent.capacity.messages import Feedback
from fibrewatch_agent.capacity.order import Outcome
from fibrewatch_agent.transfer.verdict import SATURATED

SUB_INTERVAL_S = 1.0
_LEAST_S = 0.9
_MET = 3
"""In so many reports the search must have seen congestion: else it was not the line that ended it."""
_DROPPED = 0.001
"""Share of the packets that the receiving host dropped itself, from which on it and not the line is measured."""

Pair = tuple[Feedback, Feedback]


def result_of(params: Params, outcome: Outcome) -> Result:
    """What was seen, as far as it goes."""
    reports = outcome.reports
    result = Result(
        direction=params.direction,
        packet_bytes=params.packet_bytes,
        stopped=outcome.end.stopped if outcome.end else None,
        offered=outcome.end.top if outcome.end else None,
        complete=outcome.error is None,
    )
    if not reports:
        return result
    last, seconds = reports[-1], list(sub_intervals(reports))
    result = replace(
        result,
        transferred=last.received * params.packet_bytes,
        transfer_duration=_seconds((reports[0], last)) or None,
        loss_ratio_total=_ratio(last.lost, last.lost + last.received),
        duplicates=last.duplicates,
        receiver_drops=last.drops,
        intervals=tuple(_rate(pair, params.packet_bytes) for pair in seconds),
    )
    result = _with_cpu(result, outcome, seconds)
    return _at_maximum(result, reports, max(seconds, key=lambda pair: _rate(pair, params.packet_bytes), default=None))


def sub_intervals(reports: Sequence[Feedback]) -> Iterator[Pair]:
    """The reports between which a second went by, from the first packet's on; what is left at the end is no second."""
    flowing = [each for each, following in pairwise(reports) if following.received]
    if not flowing:
        return
    first = flowing[0]
    for each in reports[reports.index(first) :]:
        if _seconds((first, each)) >= SUB_INTERVAL_S - 0.01:
            yield first, each
            first = each
        elif each.final and _seconds((first, each)) >= _LEAST_S:
            yield first, each


def _seconds(pair: Pair) -> float:
    return (pair[1].at_ns - pair[0].at_ns) / 1e9


def _rate(pair: Pair, packet_bytes: int) -> float:
    taken = _seconds(pair)
    return (pair[1].received - pair[0].received) * packet_bytes / taken if taken > 0 else 0.0


def _ratio(part: int, whole: int) -> float | None:
    return max(0, part) / whole if whole > 0 else None


def _at_maximum(result: Result, reports: Sequence[Feedback], best: Pair | None) -> Result:
    if best is None or result.packet_bytes is None:
        return result
    first, last = best
    received, lost = last.received - first.received, last.lost - first.lost
    within = [each for each in reports if first.number < each.number <= last.number]
    least = [each.delay_min_s for each in within if each.delay_min_s is not None]
    greatest = [each.delay_max_s for each in within if each.delay_max_s is not None]
    return replace(
        result,
        capacity=_rate(best, result.packet_bytes),
        loss_ratio=_ratio(lost, received + max(0, lost)),
        reordered_ratio=_ratio(last.reordered - first.reordered, received),
        delay_range=max(greatest) - min(least) if least else None,
    )


def _with_cpu(result: Result, outcome: Outcome, seconds: Sequence[Pair]) -> Result:
    busiest = max(((last.cpu_s - first.cpu_s) / _seconds((first, last)) for first, last in seconds), default=None)
    sender = outcome.end.cpu if outcome.end else outcome.sender_cpu
    local, remote = (busiest, sender) if result.direction == "down" else (sender, busiest)
    return replace(result, cpu_local=local, cpu_remote=remote)


def limits_of(result: Result, outcome: Outcome) -> Iterator[tuple[Verdict, str]]:
    """What was the limit if not the line, as far as both ends know."""
    dropped = (result.receiver_drops or 0) > _DROPPED * (outcome.reports[-1].received if outcome.reports else 0)
    if dropped or max(result.cpu_local or 0.0, result.cpu_remote or 0.0) >= SATURATED:
        yield "censored", "cpu_saturated"
    if outcome.end is not None and outcome.end.met < _MET:
        yield "censored", "offered_load"


def complaint(params: Params, outcome: Outcome) -> str | None:
    """What a receiver can't have seen: one that lies is not believed."""
    for before, after in pairwise(outcome.reports):
        if after.at_ns <= before.at_ns or after.received < before.received or after.duplicates < before.duplicates:
            return "the receiver's counters go backwards"
    sent = outcome.end.sent if outcome.end else None
    if sent is not None and outcome.reports and outcome.reports[-1].received > sent:
        return "the receiver reports more packets than were sent"
    return None
