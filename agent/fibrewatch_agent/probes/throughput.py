"""throughput: one TCP transfer by iperf3 to or from a responder, ended once its rate has converged.

A busy port of the responder's range leads to the next. Round trips are measured before and during the transfer.
"""

import asyncio
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from typing import NamedTuple

from msgspec.structs import replace

from fibrewatch.results.throughput import Params, Result
from fibrewatch.schedule import phase
from fibrewatch_agent.box import Box, ProbeError, flowing
from fibrewatch_agent.net.tcp_info import settable
from fibrewatch_agent.slots.far_desk import Slot
from fibrewatch_agent.slots.far_end import far_limits
from fibrewatch_agent.slots.login import Login
from fibrewatch_agent.slots.place import slot_for
from fibrewatch_agent.traffic.amounts import Amount, Way, bulk
from fibrewatch_agent.transfer import iperf3, rtt_beside
from fibrewatch_agent.transfer.end import Limits, pace_s
from fibrewatch_agent.transfer.figures import Transfer, result_of
from fibrewatch_agent.transfer.iperf3 import Report
from fibrewatch_agent.transfer.rtt_beside import RttStream
from fibrewatch_agent.transfer.steady import Rule
from fibrewatch_agent.transfer.verdict import ends_of_iperf3
from fibrewatch_agent.transfer.watch import Flow, TransferWatch

NEEDS_TARGET = True
_MARGIN_S = 5.0
_CONNECT_TIMEOUT_S = 3.0
_TURNS, _TURN_S = 5, 0.5
_BUSY = frozenset({"busy", "refused"})
_End = tuple[float | None, str, int]


class Place(NamedTuple):
    """Where an iperf3 server waits for this test, and what lets us in."""

    address: str
    port: int
    login: Login = Login()
    slot: Slot | None = None


async def throughput(params: Params, box: Box) -> Result:
    """One transfer; the responder's ports are tried in turn, from one that the box's name leads to.

    Raises:
        ProbeError: What went wrong; its result holds what was measured until then.
    """
    address = await box.resolve()
    async with admitted(params, box) as stop:
        with await rtt_beside.stream(params, box, address) as trips:
            done, place = await _at_a_place(params, box, address, stop, trips)
            if done.run.failure is None:
                await trips.settle()
    return _judged(result_of(params, done, place.port, trips), done, place, box)


@asynccontextmanager
async def admitted(params: Params, box: Box) -> AsyncIterator[asyncio.Event]:
    """Returns when the test may begin; the event that it gives ends the transfer early once it is set.

    Raises:
        ProbeError: The test is refused.
    """
    yield box.enough


async def places(params: Params, box: Box, address: str) -> AsyncGenerator[Place, None]:
    """Where to measure: the next one is asked for when nobody listened at the last, or it was in use."""
    if box.control is None:
        for port in ports_of(params, box.agent):
            yield Place(address, port)
        return
    async with slot_for(params, box, box.control) as (slot, shown):
        for _ in range(_TURNS):
            yield Place(slot.host, slot.port, shown, slot)
            await asyncio.sleep(_TURN_S)  # a stranger had the server's one turn: it starts again


def ports_of(params: Params, agent: str) -> Iterator[int]:
    """The range, beginning where the hash of the agent points, so that boxes spread over it."""
    first, last = sorted(params.ports)
    count = last - first + 1
    start = int(phase(agent, "responder port", count))
    return (first + (start + step) % count for step in range(count))


def deadline_s(params: Params) -> float:
    """When one run of the tool is ended from outside."""
    return math.ceil(params.duration_s) + math.ceil(params.omit_s) + _MARGIN_S


async def _at_a_place(
    params: Params, box: Box, address: str, stop: asyncio.Event, trips: RttStream
) -> tuple[Transfer, Place]:
    """The first transfer that was neither refused nor turned away."""
    errors = set()
    async with aclosing(places(params, box, address)) as found:
        async for place in found:
            box.near.set()
            await trips.idle(params.idle_s)
            await box.ready()
            done = await _transfer(params, box, place, stop)
            if done.run.failure is None or done.run.failure.error not in _BUSY:
                return done, place
            errors.add(done.run.failure.error)
    if box.control is not None:
        raise ProbeError(errors.pop(), "the slot's server let us in at no time")
    first, last = sorted(params.ports)
    if "busy" in errors:
        raise ProbeError("busy", f"{address}: every port of {first}–{last} that listens is in use")
    raise ProbeError("refused", f"{address}: nothing listens on {first}–{last}")


async def _transfer(params: Params, box: Box, place: Place, stop: asyncio.Event) -> Transfer:
    rule = Rule(error=params.error, warm_up_s=params.omit_s) if params.early_stop else None
    flow = Flow(place.address, place.port, params.streams, up=params.direction == "up")
    congestion = params.congestion or ("cubic" if settable("cubic") else None)
    with closing(TransferWatch(flow, Limits(rule, params.max_bytes), stop.is_set)) as watch:
        options = _options(params, box, place, congestion)
        with flowing(box):
            every_s = pace_s(params.duration_s, judged=rule is not None)
            run = await iperf3.client(options, deadline_s(params), watch.look, every_s, place.login.env)
    return Transfer(run, watch, congestion)


def _options(params: Params, box: Box, place: Place, congestion: str | None) -> list[str]:
    """iperf3 takes whole seconds only: durations are rounded up."""
    options = ["-c", place.address, "-p", str(place.port), "-P", str(params.streams), "--get-server-output"]
    options += ["-t", str(math.ceil(params.duration_s)), "-O", str(math.ceil(params.omit_s))]
    options += ["--connect-timeout", str(round(_CONNECT_TIMEOUT_S * 1000))]
    if params.direction == "down":
        options.append("-R")
    if box.interface:
        options += ["--bind-dev", box.interface]  # SO_BINDTODEVICE: no privilege needed since Linux 5.7
    options += place.login.options
    if congestion:
        options += ["-C", congestion]  # the client tells the server, which sets it on its side too
    return options


def _judged(result: Result, done: Transfer, place: Place, box: Box) -> Result:
    """The result, its verdict noted.

    Raises:
        ProbeError: The transfer failed, or ended before anything could be told.
    """
    failure, slot = done.run.failure, place.slot
    if failure:
        some = result if result.transferred or result.intervals else None
        raise ProbeError(failure.error, f"port {place.port}: {failure.detail}", result=some)
    if result.goodput is None and done.watch.stopped == "tenants":
        raise ProbeError("busy", "others wanted the line before anything was measured", result=result)
    if result.goodput is None:
        raise ProbeError("parse", f"{iperf3.TOOL}: a report without figures")
    for verdict, reason in ends_of_iperf3(*_ends(result, done.run.report)):
        box.mark(verdict, reason)
    return result if slot is None else _with_far_end(result, slot, box)


def _with_far_end(result: Result, slot: Slot, box: Box) -> Result:
    """What the responder saw of the slot; its server's CPU where iperf3 was ended before it could tell."""
    for verdict, reason in far_limits(slot, result.goodput):
        box.mark(verdict, reason)
    told = slot.after.told
    return replace(result, cpu_remote=told.cpu) if told is not None and result.cpu_remote is None else result


def _ends(result: Result, report: Report) -> tuple[_End, _End]:
    """The CPU that iperf3 used, its version and how many threads it could run, here and there."""
    remote = report.server_output_json.start.version if report.server_output_json else ""
    local_threads = min(result.streams, os.cpu_count() or 1)
    return (
        (result.cpu_local, report.start.version, local_threads),
        (result.cpu_remote, remote, result.streams),
    )


def traffic(params: Params, way: Way) -> Amount | None:
    """As much as the interface carries until its end, or as it may move; None where neither is known."""
    return bulk(way, params.direction, math.ceil(params.duration_s) + math.ceil(params.omit_s), params.max_bytes)
