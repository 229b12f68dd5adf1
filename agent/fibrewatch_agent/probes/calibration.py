"""calibration: a transfer each way, against a responder on the box's own network or, without a target, itself."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal

from fibrewatch.errors import ToolError
from fibrewatch.results.calibration import Params, Result
from fibrewatch.results.throughput import Params as Transfer
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.child import child
from fibrewatch_agent.probes.throughput import throughput
from fibrewatch_agent.traffic.amounts import Amount, Way
from fibrewatch_agent.transfer.iperf3 import TOOL

NEEDS_TARGET = False
_LOOPBACK = "127.0.0.1"


async def calibration(params: Params, box: Box) -> Result:
    """Both directions; the first that fails ends it.

    Raises:
        ProbeError: As throughput.
    """
    if box.address is not None:
        await box.resolve()
        return await _both(params, replace(box, reasons=[]), params.ports, "responder")
    async with _server() as port:
        here = replace(box, address=_LOOPBACK, interface=None, family=4, reasons=[])
        return await _both(params, here, (port, port), "loopback")


async def _both(
    params: Params, box: Box, ports: tuple[int, int], reference: Literal["loopback", "responder"]
) -> Result:
    reached = {}
    for direction in ("down", "up"):
        transfer = Transfer(
            direction=direction,
            duration_s=params.duration_s,
            streams=params.streams,
            ports=ports,
            max_bytes=None,
            latency="off",
        )
        reached[direction] = (await throughput(transfer, box)).goodput
    return Result(reference=reference, ceiling_down=reached["down"], ceiling_up=reached["up"])


@asynccontextmanager
async def _server() -> AsyncIterator[int]:
    """An iperf3 server on a port of its own, gone when the block is left."""
    with socket.socket() as s:
        s.bind((_LOOPBACK, 0))
        port = int(s.getsockname()[1])
    try:
        async with child([TOOL, "-s", "-J", "-B", _LOOPBACK, "-p", str(port)], keep=65536, tail=True) as process:
            if await process.ends_within(0.5):
                raise ProbeError("tool_failed", f"{TOOL}: no server on loopback")
            yield port
    except ToolError as e:
        raise ProbeError("tool_missing", str(e)) from e


def traffic(params: Params, way: Way) -> Amount:
    """Nothing on the line: it stays on the site's own network, or in the box."""
    return Amount(0.0, 0.0, "exact", on_link=True)
