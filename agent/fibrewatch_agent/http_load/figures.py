"""From what the child of an HTTP transfer saw to its result. Pure."""

from collections.abc import Iterator

from msgspec.structs import replace

from fibrewatch.measurement import Verdict
from fibrewatch.results.http_throughput import Params, Result
from fibrewatch_agent.http_load.order import Outcome
from fibrewatch_agent.transfer import steady
from fibrewatch_agent.transfer.figures import bound_of, per_second
from fibrewatch_agent.transfer.steady import Sample

PAUSES_FELT = 0.05
"""Share of the streams' time in which no answer flowed, from which on the server and not the line is measured."""


def result_of(params: Params, outcome: Outcome) -> Result:
    """What was seen, as far as it goes."""
    samples = [Sample(*each) for each in outcome.samples]
    points = steady.curve(samples)
    estimate = steady.estimate(points, params.omit_s, cut=outcome.stopped != "duration") if samples else None
    up = params.direction == "up"
    result = Result(
        direction=params.direction,
        streams=params.streams,
        stopped=outcome.stopped,
        transferred=samples[-1].bytes if samples else None,
        waiting=waiting(params, outcome),
        connect=outcome.connect_s,
        tls=outcome.tls_s,
        first_byte=outcome.first_byte_s,
        rtt_min=outcome.rtt_min_s,
        retransmits=outcome.retransmits if up else None,
        requests=outcome.requests,
        redirects=outcome.redirects or None,
        status=outcome.status,
        cpu_local=outcome.cpu,
        congestion=outcome.congestion if up else None,
        location=outcome.location,
        complete=outcome.error is None,
    )
    if estimate is None:
        return result
    return _with(result, estimate, per_second(points, estimate.begin_s))


def _with(result: Result, estimate: steady.Estimate, intervals: tuple[float, ...]) -> Result:
    return replace(
        result,
        goodput=estimate.rate,
        goodput_error=bound_of(estimate),
        transfer_duration=estimate.duration_s,
        warm_up=estimate.begin_s - estimate.start_s,
        intervals=intervals,
    )


def waiting(params: Params, outcome: Outcome) -> float | None:
    """Of the time in which all streams should have flowed."""
    if len(outcome.samples) < 2:
        return None
    took = outcome.samples[-1][0] - outcome.samples[0][0]
    return min(1.0, outcome.waited_s / (params.streams * took)) if took > 0 else None


def limits_of(result: Result, outcome: Outcome) -> Iterator[tuple[Verdict, str]]:
    """What was the limit if not the line, as far as the child knows."""
    if outcome.saturated:
        yield "censored", "cpu_saturated"
    if (result.waiting or 0.0) >= PAUSES_FELT:
        yield "censored", "server_pauses"
