"""throughput: one TCP transfer by iperf3 to or from a responder; a busy port of its range leads to the next."""

import math
import os
from collections.abc import Iterator

from fibrewatch.results.throughput import Params, Result
from fibrewatch.schedule import phase
from fibrewatch_agent import iperf3
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.iperf3 import Report, Run, Sum
from fibrewatch_agent.verdict import ends_of_iperf3

NEEDS_TARGET = True
_MARGIN_S = 5.0
_CONNECT_TIMEOUT_S = 3.0
_BUSY = frozenset({"busy", "refused"})
_End = tuple[float | None, str, int]


async def throughput(params: Params, box: Box) -> Result:
    """One transfer; the responder's ports are tried in turn, from one that the box's name leads to.

    Raises:
        ProbeError: What went wrong; its result holds what was measured until then.
    """
    address = await box.resolve()
    run, port = await _on_free_port(params, box, address)
    result = result_of(params, run, port)
    if run.failure:
        some = result if result.transferred or result.intervals else None
        raise ProbeError(run.failure.error, f"port {port}: {run.failure.detail}", result=some)
    if result.goodput is None:
        raise ProbeError("parse", f"{iperf3.TOOL}: a report without figures")
    for verdict, reason in ends_of_iperf3(*_ends(result, run.report)):
        box.mark(verdict, reason)
    return result


async def _on_free_port(params: Params, box: Box, address: str) -> tuple[Run, int]:
    """The first run that was neither refused nor turned away."""
    errors = set()
    for port in ports_of(params, box.agent):
        run = await iperf3.client(_options(params, box, address, port), deadline_s(params))
        if run.failure is None or run.failure.error not in _BUSY:
            return run, port
        errors.add(run.failure.error)
    first, last = sorted(params.ports)
    if "busy" in errors:
        raise ProbeError("busy", f"{address}: every port of {first}–{last} that listens is in use")
    raise ProbeError("refused", f"{address}: nothing listens on {first}–{last}")


def ports_of(params: Params, agent: str) -> Iterator[int]:
    """The range, beginning where the hash of the agent points, so that boxes spread over it."""
    first, last = sorted(params.ports)
    count = last - first + 1
    start = int(phase(agent, "responder port", count))
    return (first + (start + step) % count for step in range(count))


def deadline_s(params: Params) -> float:
    """When one run of the tool is ended from outside."""
    return math.ceil(params.duration_s) + math.ceil(params.omit_s) + _MARGIN_S


def _options(params: Params, box: Box, address: str, port: int) -> list[str]:
    """iperf3 takes whole seconds only: durations are rounded up."""
    options = ["-c", address, "-p", str(port), "-P", str(params.streams), "--get-server-output"]
    options += ["-t", str(math.ceil(params.duration_s)), "-O", str(math.ceil(params.omit_s))]
    options += ["--connect-timeout", str(round(_CONNECT_TIMEOUT_S * 1000))]
    if params.direction == "down":
        options.append("-R")
    if box.interface:
        options += ["--bind-dev", box.interface]  # SO_BINDTODEVICE: no privilege needed since Linux 5.7
    if params.congestion:
        options += ["-C", params.congestion]
    return options


def result_of(params: Params, run: Run, port: int) -> Result:
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
    if run.failure is None:
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


def _ends(result: Result, report: Report) -> tuple[_End, _End]:
    """The CPU that iperf3 used, its version and how many threads it could run, here and there."""
    remote = report.server_output_json.start.version if report.server_output_json else ""
    local_threads = min(result.streams, os.cpu_count() or 1)
    return (
        (result.cpu_local, report.start.version, local_threads),
        (result.cpu_remote, remote, result.streams),
    )
