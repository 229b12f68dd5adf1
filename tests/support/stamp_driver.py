"""Runs the real stamp or voice probe for some windows and prints what it said, packet by packet, as a line of JSON.

    python -m tests.support.stamp_driver '{"address": "10.99.0.2", "window_s": 5, "params": {"interval": "20 ms"}}'

A line "begin" comes before each window and "end" behind it; a line on standard input is waited for before each but the
first when `wait` is set.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from fibrewatch.config import build
from fibrewatch.results import PROBES
from fibrewatch_agent.box import Box, ProbeError, Window
from fibrewatch_agent.clock import ClockState
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.net.icmp_packets import Family
from fibrewatch_agent.probes import probe_function
from fibrewatch_agent.stamp.session import StampChannel, StampPacket, StampSession
from fibrewatch_agent.stamp.summary import backward, forward, round_trip
from tests.support.ping_driver import block


class Recorded(IcmpSockets):
    """Hands out stamp channels that remember every packet; the clock's state is as the order says."""

    def __init__(self, clock_bound_s: float | None) -> None:
        super().__init__()
        self.packets: list[StampPacket] = []
        self.clock = ClockState(synchronised=clock_bound_s is not None, offset_bound_s=clock_bound_s)

    async def obtain(self, kind: Any, make: Any, family: Family, interface: str | None = None) -> Any:
        packets, clock = self.packets, self.clock

        class Channel(StampChannel):
            def transmit(self, packet: StampPacket, data: bytes, session: StampSession) -> None:
                super().transmit(packet, data, session)
                packets.append(packet)

        known = next((each for key, each in self._channels.items() if key[1:] == (family, interface)), None)
        kind = Channel if known is None else type(known)
        return await super().obtain(kind, lambda f, i: kind(f, i, clock=lambda: clock), family, interface)


async def one_window(order: dict[str, Any], sockets: Recorded) -> dict[str, Any]:
    """One run of the probe: its result or error, the packets, what it reported of the target."""
    reported: list[bool] = []
    now = time.time()
    box = Box(
        agent="paris/cargo/box-01",
        test="truth",
        icmp=sockets,
        address=order["address"],
        interface=order.get("interface"),
        window=Window(now, now + order.get("window_s", 1)),
        report_target=reported.append,
    )
    probe = order.get("probe", "stamp")
    params = build(order.get("params", {}), PROBES[probe].params, "test", "params")
    if "stop_after_s" in order:
        asyncio.get_running_loop().call_later(order["stop_after_s"], box.stopping.set)
    said: dict[str, Any] = {"error": None, "detail": None}
    try:
        said["result"] = await probe_function(probe)(params, box)
    except ProbeError as e:
        said.update(error=e.error, detail=e.detail, result=e.result)
    return said | {
        "packets": [seen(packet) for packet in sockets.packets],
        "reported": reported,
        "resolved": box.resolved,
        "verdict": box.verdict,
        "took_s": time.time() - now,
    }


def seen(packet: StampPacket) -> dict[str, Any]:
    """A packet as the probe knows it."""
    return {
        "number": packet.number,
        "rtt_s": round_trip(packet),
        "forward_s": forward(packet),
        "backward_s": backward(packet),
        "followed": packet.followed,
        "replies": packet.replies,
        "stamps": packet.stamps,
    }


async def main(order: dict[str, Any]) -> None:
    """All windows, one after the other."""
    sockets, windows = Recorded(order.get("clock_bound_s")), []
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(block(order))] if "block_s" in order else []
        for number in range(order.get("windows", 1)):
            if number and order.get("wait"):
                await asyncio.to_thread(sys.stdin.readline)
            print("begin", flush=True)
            sockets.packets.clear()
            windows.append(await one_window(order, sockets))
            print("end", flush=True)
        for task in beside:
            task.cancel()
    sockets.close()
    print(msgspec.json.encode(windows).decode(), flush=True)


if __name__ == "__main__":
    run: Callable[[dict[str, Any]], Any] = main
    asyncio.run(run(json.loads(sys.argv[1])))
