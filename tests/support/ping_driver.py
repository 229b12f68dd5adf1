"""Runs the real ping probe for some windows and prints what it said, sample by sample, as one line of JSON.

    python -m tests.support.ping_driver '{"address": "10.99.0.2", "interval_s": 0.02, "window_s": 5}'

A line "begin" comes before each window; a line on standard input is waited for before each but the first when
`wait` is set, so that a test may change the world in between.
"""

import asyncio
import ipaddress
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from fibrewatch.results.ping import Params
from fibrewatch_agent.box import Box, ProbeError, Window
from fibrewatch_agent.net.icmp import Channel, Echo, IcmpSockets
from fibrewatch_agent.net.icmp_packets import Destination, Family
from fibrewatch_agent.probes.ping import ping


class Recorded(IcmpSockets):
    """Remembers every echo that the probe sends."""

    def __init__(self) -> None:
        super().__init__()
        self.echoes: list[Echo] = []
        self.channels: list[Channel] = []

    async def channel(self, family: Family, interface: str | None = None) -> Channel:
        channel = await super().channel(family, interface)
        if channel not in self.channels:
            self.channels.append(channel)
            self._record(channel, channel.send)
        return channel

    def _record(self, channel: Channel, send: Callable[..., Echo]) -> None:
        def recording(to: Destination, on_reply: Callable[[Echo], None] | None = None) -> Echo:
            self.echoes.append(send(to, on_reply))
            return self.echoes[-1]

        channel.send = recording  # type: ignore[method-assign]


async def one_window(order: dict[str, Any], sockets: Recorded) -> dict[str, Any]:
    """One run of the probe: its result or error, the samples, what it reported of the target."""
    reported: list[bool] = []
    now = time.time()
    box = Box(
        agent="paris/cargo/box-01",
        test="truth",
        icmp=sockets,
        address=order["address"],
        interface=order.get("interface"),
        window=Window(now, now + order["window_s"]),
        report_target=reported.append,
    )
    keys = ("interval_s", "timeout_s", "payload_bytes", "dscp")
    params = Params(**{key: order[key] for key in keys if key in order})
    if "stop_after_s" in order:
        asyncio.get_running_loop().call_later(order["stop_after_s"], box.stopping.set)
    said: dict[str, Any] = {"error": None, "detail": None}
    try:
        said["result"] = await ping(params, box)
    except ProbeError as e:
        said.update(error=e.error, detail=e.detail, result=e.result)
    address = str(ipaddress.ip_address((box.resolved or "::").partition("%")[0]))
    samples = [
        {"number": echo.number, "rtt_s": echo.rtt_s, "stamps": echo.stamps, "error": echo.error}
        for echo in sockets.echoes
        if echo.address == address
    ]
    return said | {
        "samples": samples,
        "reported": reported,
        "resolved": box.resolved,
        "verdict": box.verdict,
        "raw": [channel.raw for channel in sockets.channels],
        "took_s": time.time() - now,
    }


async def block(order: dict[str, Any]) -> None:
    """Holds the loop for `block_s[0]` out of every `block_s[1]` seconds, as a slow library would."""
    held, every = order["block_s"]
    while True:
        time.sleep(held)
        await asyncio.sleep(every - held)


async def main(order: dict[str, Any]) -> None:
    """All windows, one after the other."""
    sockets = Recorded()
    windows = []
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(block(order))] if "block_s" in order else []
        for number in range(order.get("windows", 1)):
            if number and order.get("wait"):
                await asyncio.to_thread(sys.stdin.readline)
            print("begin", flush=True)
            sockets.echoes.clear()
            other = (
                group.create_task(one_window(order | {"address": order["also"]}, sockets)) if "also" in order else None
            )
            windows.append(await one_window(order, sockets))
            if other:
                windows[-1]["also"] = await other
            print("end", flush=True)
        for task in beside:
            task.cancel()
    sockets.close()
    print(msgspec.json.encode(windows).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
