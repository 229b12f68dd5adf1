"""From what iperf3, the kernel and the round trips tell of one transfer to its result. Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from fibrewatch.results.throughput import Params, Result
from fibrewatch_agent.transfer.iperf3 import Report, Run, Sum
from fibrewatch_agent.transfer.rtt_beside import RttStream
from fibrewatch_agent.transfer.steady import Estimate, Point
from fibrewatch_agent.transfer.watch import TransferWatch


class Transfer(NamedTuple):
    """One run of the tool, and what was seen meanwhile.

    Attributes:
        congestion: The congestion control that was asked for; None left the kernel's.
    """

    run: Run
    watch: TransferWatch
    congestion: str | None


def result_of(params: Params, done: Transfer, port: int, trips: RttStream | None = None) -> Result:
    """What the tool reports, and the rate that the kernel saw: in-order bytes, the tool's, jump where a loss is mended.

    A transfer that failed has the tool's figures alone.
    """
    told = report_figures(params, done.run, port)
    estimate = done.watch.estimate(params.omit_s, cut=done.watch.stopped != "duration")
    if done.run.failure is None:
        told = _with_kernel(told, done, estimate)
    return told if trips is None else _with_round_trips(told, params, done, trips, estimate)


def _with_kernel(told: Result, done: Transfer, estimate: Estimate | None) -> Result:
    """What only a whole report has stays unknown where the tool was ended before its time."""
    watch = done.watch
    told = replace(told, stopped=watch.stopped, congestion=_sender_congestion(told, done))
    if told.transferred is None:
        told = replace(told, transferred=watch.transferred)
    if told.retransmits is None and told.direction == "up":
        told = replace(told, retransmits=watch.retransmits)
    if estimate is None:
        return told
    return replace(
        told,
        goodput=estimate.rate,
        goodput_error=bound_of(estimate),
        source="tcp_info",
        transfer_duration=estimate.duration_s,
        warm_up=estimate.begin_s - estimate.start_s,
        intervals=per_second(watch.points(), estimate.begin_s) or told.intervals,
    )


def bound_of(estimate: Estimate) -> float | None:
    """None for one that bounds nothing."""
    return estimate.error if estimate.error < 1 else None


def _sender_congestion(told: Result, done: Transfer) -> str | None:
    """Of an upload the kernel says; of a download the server has set what it was asked for, or it would have failed."""
    if told.direction == "down":
        return told.congestion or done.congestion
    return done.watch.congestion or told.congestion


def per_second(points: Sequence[Point], begin_s: float) -> tuple[float, ...]:
    """Rates of whole seconds; samples are at most half a second apart."""
    rates: list[float] = []
    first = next((point for point in points if point.at_s >= begin_s), None)
    for point in points:
        if first is not None and point.at_s - first.at_s >= 0.95:
            rates.append((point.bytes - first.bytes) / (point.at_s - first.at_s))
            first = point
    return tuple(rates)


def _with_round_trips(
    told: Result, params: Params, done: Transfer, trips: RttStream, estimate: Estimate | None
) -> Result:
    """Before the transfer, and while goodput was counted."""
    samples = done.watch.samples
    if not trips.packets or not samples:
        return replace(told, latency_error=trips.error)
    begin = samples[0].at_s
    began = done.watch.began_s
    idle = trips.between(began - params.idle_s, began)
    steady = estimate.begin_s if estimate else begin + params.omit_s
    loaded = trips.between(steady, samples[-1].at_s)
    inflated = loaded.p50 - idle.p50 if loaded.p50 is not None and idle.p50 is not None else None
    return replace(
        told,
        rtt_idle_p50=idle.p50,
        rtt_idle_p95=idle.p95,
        rtt_idle_p99=idle.p99,
        rtt_idle_max=idle.max,
        rtt_loaded_p50=loaded.p50,
        rtt_loaded_p95=loaded.p95,
        rtt_loaded_p99=loaded.p99,
        rtt_loaded_max=loaded.max,
        rtt_inflation=inflated,
        loss_ratio_loaded=loaded.loss_ratio,
        latency_sent=loaded.sent,
        latency_error="timeout" if idle.p50 is None and loaded.p50 is None else None,
    )


def report_figures(params: Params, run: Run, port: int) -> Result:
    """What the report holds; without an end (a broken transfer) only the intervals count."""
    report, remote = run.report, run.report.server_output_json or Report()
    sender, receiver = (remote, report) if params.direction == "down" else (report, remote)
    received = _received(params, run)
    rtts = [stream.sender for stream in sender.end.streams]
    sent = report.end.sum_sent or _total(sender.sums)
    cpu = report.end.cpu_utilization_percent
    return Result(
        direction=params.direction,
        streams=params.streams,
        goodput=_rate(received),
        source="iperf3" if _rate(received) is not None else None,
        transferred=_count(sum(one.bytes or 0 for one in receiver.sums)) if receiver.intervals else None,
        transfer_duration=received.seconds or None,
        retransmits=_count(sent.retransmits),
        rtt_min=min(_told(rtt.min_rtt for rtt in rtts), default=None),
        rtt_mean=_mean(_told(rtt.mean_rtt for rtt in rtts)),
        rtt_max=max(_told(rtt.max_rtt for rtt in rtts), default=None),
        cpu_local=_ratio(cpu.host_total),
        cpu_remote=_ratio(cpu.remote_total),
        congestion=report.end.sender_tcp_congestion,
        port=port,
        intervals=_intervals(receiver.sums or report.sums),
        complete=run.failure is None,
    )


def _received(params: Params, run: Run) -> Sum:
    """What the receiver counted, warm-up excluded; nothing when an upload broke off, since only the receiver knows."""
    if run.failure is None and not run.stopped:
        return run.report.end.sum_received or Sum()
    return _total(run.report.sums) if params.direction == "down" else Sum()


def _total(intervals: list[Sum]) -> Sum:
    sums = [one for one in intervals if not one.omitted]
    resent = [one.retransmits for one in sums if one.retransmits is not None]
    return Sum(
        bytes=sum(one.bytes or 0 for one in sums),
        seconds=sum(one.seconds or 0 for one in sums),
        retransmits=sum(resent) if resent else None,
    )


def _intervals(intervals: list[Sum]) -> tuple[float, ...]:
    """Rates; the sliver after the last full second says nothing and is left out."""
    sums = [one for one in intervals if not one.omitted and (one.seconds or 0) >= 0.5]
    return tuple(rate for one in sums if (rate := _rate(one)) is not None)


def _rate(one: Sum) -> float | None:
    return max(0.0, one.bytes) / one.seconds if one.bytes is not None and one.seconds and one.seconds > 0 else None


def _count(number: float | None) -> int | None:
    """-1 is iperf3's word for unknown."""
    return int(number) if number is not None and number >= 0 else None


def _told(microseconds: Iterator[float | None]) -> list[float]:
    """Seconds; 0 is iperf3's word for unknown."""
    return [value / 1e6 for value in microseconds if value is not None and value > 0]


def _ratio(percent: float | None) -> float | None:
    """Cores; 0 is iperf3's word for unknown."""
    return percent / 100 if percent is not None and percent > 0 else None


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
