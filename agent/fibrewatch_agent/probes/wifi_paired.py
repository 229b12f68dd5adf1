"""wifi_paired: one way measured by wire and by Wi-Fi; round trips over both at once, then a transfer over each."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec.structs import replace as with_fields

from fibrewatch.measurement import Error
from fibrewatch.results.ping import Params as Pings
from fibrewatch.results.stamp import Params as Stamps
from fibrewatch.results.throughput import Params as Transfer
from fibrewatch.results.throughput import Result as Transferred
from fibrewatch.results.wifi_paired import Params, Result, Side
from fibrewatch_agent.box import Box, ProbeError, Window
from fibrewatch_agent.conditions import route_interface
from fibrewatch_agent.net.icmp_socket import interface_index
from fibrewatch_agent.probes.ping import ping
from fibrewatch_agent.probes.stamp import stamp
from fibrewatch_agent.probes.throughput import throughput
from fibrewatch_agent.traffic.amounts import Amount, Way, bulk
from fibrewatch_agent.wifi import pairing, two_ways

NEEDS_TARGET = True
_SOON_S = 0.2
"""Until both windows begin: sockets are opened meanwhile."""
_OMIT_S, _IDLE_S = 1.0, 0.5
_DETAIL_CHARACTERS = 300
PROC = Path("/proc")


async def wifi_paired(params: Params, box: Box) -> Result:
    """Both sides; one that could not be measured at all makes the run a failed one, with what the other showed.

    Raises:
        ProbeError: As ping and throughput; no_interface, where there are no two interfaces to compare; protocol, where
            the kernel is not set up to keep them apart.
    """
    address = await box.resolve()
    names = _interfaces(params, box, address)
    boxes = [_part(box, name, interface, address) for name, interface in zip(("wire", "wifi"), names, strict=True)]
    began = time.monotonic()
    wire, wifi = await _latency(params, boxes)
    if params.transfers:
        wire = await _transfer(params, box, boxes[0], wire, began)
        wifi = await _transfer(params, box, boxes[1], wifi, began)
    return _judged(params, box, pairing.compared(wire, wifi, params.limits, params.within_s))


def _interfaces(params: Params, box: Box, address: str) -> tuple[str, str]:
    """The wire and the radio."""
    wire = box.interface or route_interface(PROC, address)
    if wire is None:
        raise ProbeError("no_interface", f"no interface is configured, and no route leads to {address}")
    if wire == params.wifi:
        raise ProbeError("no_interface", f"{wire} is the Wi-Fi itself: name the wire as the test's interface")
    interface_index(wire)
    if ":" not in address and (problem := two_ways.obstacle(wire, params.wifi, PROC)) is not None:
        raise ProbeError("protocol", problem)
    return wire, params.wifi


def _part(box: Box, name: str, interface: str, address: str) -> Box:
    """A box for one side: what is noted and marked there is its own."""
    return replace(
        box,
        test=f"{box.test}.{name}",
        interface=interface,
        address=address,
        near=asyncio.Event(),
        enough=asyncio.Event(),
        flow=None,
        report_target=lambda lost: None,
        memory=box.memory.setdefault(name, {}),
        verdict="valid",
        reasons=[],
    )


# ---- latency


async def _latency(params: Params, boxes: list[Box]) -> tuple[Side, Side]:
    """Round trips over both in the same seconds."""
    start = time.time() + _SOON_S
    window = Window(start, start + params.window_s)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(_round_trips(params, replace(part, window=window)), name=part.test) for part in boxes
        ]
    wire, wifi = (task.result() for task in running)
    return wire, wifi


async def _round_trips(params: Params, part: Box) -> Side:
    interface = str(part.interface)
    try:
        seen = await _window(params, part)
    except ProbeError as e:
        seen = e.result
        if not getattr(seen, "sent", 0):
            return Side(interface=interface, error=e.error, detail=e.detail[:_DETAIL_CHARACTERS])
    return Side(
        interface=interface,
        sent=seen.sent,
        lost=seen.lost,
        rtt_min=seen.rtt_min,
        rtt_p50=seen.rtt_p50,
        rtt_p95=seen.rtt_p95,
        rtt_max=seen.rtt_max,
    )


def _window(params: Params, part: Box) -> Awaitable[Any]:
    if params.latency == "stamp":
        return stamp(Stamps(port=params.latency_port, interval_s=params.interval_s, timeout_s=params.timeout_s), part)
    return ping(Pings(interval_s=params.interval_s, timeout_s=params.timeout_s), part)


# ---- goodput


async def _transfer(params: Params, box: Box, part: Box, side: Side, began: float) -> Side:
    """One side with its transfer; what went wrong with it is noted."""
    if side.error is not None or box.stopping.is_set():
        return side
    transfer, done = _order(params), None
    failed: ProbeError | None = None
    async with box.watched(part, transfer) as conclude:
        try:
            done = await throughput(transfer, part)
        except ProbeError as e:
            failed = e
    if done is not None:
        done = conclude(done)
    return _with_transfer(side, part, done, failed, began)


def _with_transfer(side: Side, part: Box, done: Transferred | None, failed: ProbeError | None, began: float) -> Side:
    if failed is not None or done is None:
        error: Error = failed.error if failed else "tool_failed"
        return with_fields(side, error=error, detail=failed.detail[:_DETAIL_CHARACTERS] if failed else None)
    return with_fields(
        side,
        goodput=done.goodput,
        goodput_error=done.goodput_error,
        loaded_p50=done.rtt_loaded_p50,
        begins=part.flow[0] - began if part.flow else None,
        verdict=part.verdict,
        reasons=tuple(part.reasons),
    )


def _order(params: Params) -> Transfer:
    return Transfer(
        direction=params.direction,
        duration_s=params.duration_s,
        omit_s=_OMIT_S,
        max_bytes=None if params.max_bytes is None else params.max_bytes // 2,
        streams=params.streams,
        ports=params.ports,
        patience_s=params.patience_s,
        latency=params.latency,
        latency_port=params.latency_port,
        idle_s=_IDLE_S,
    )


# ---- what it comes to


def _judged(params: Params, box: Box, result: Result) -> Result:
    """The result, its verdict noted.

    Raises:
        ProbeError: A side was not measured at all, or no transfer of the two succeeded.
    """
    wire, wifi = result.wire, result.wifi
    unseen = next((side for side in (wire, wifi) if not side.sent), None)
    if unseen is not None:
        raise ProbeError(unseen.error or "tool_failed", f"{unseen.interface}: {unseen.detail}", result)
    if params.transfers and wire.error is not None and wifi.error is not None:
        raise ProbeError(wire.error, f"no transfer by {wire.interface} or {wifi.interface}: {wire.detail}", result)
    for reason in pairing.reasons(wire, wifi):
        box.mark("censored" if "censored" in (wire.verdict, wifi.verdict) else "valid", reason)
    return result


def traffic(params: Params, way: Way) -> Amount | None:
    """Both windows' packets, each answered by as much, and both transfers."""
    size = way.udp(44) if params.latency == "stamp" else way.ip + 8 + Pings().payload_bytes
    packets = 2 * params.window_s / params.interval_s * size
    windows = Amount(packets, packets)
    if not params.transfers:
        return windows
    moved = bulk(way, params.direction, 2 * (params.duration_s + _OMIT_S), params.max_bytes)
    return None if moved is None else windows.plus(moved)
