"""In a network namespace of its own: a client of a network, from the scan to the first byte. `main(FD)`.

A process that lives for one onboarding. What is slow to load is loaded before the radio is asked for.
"""

import asyncio
import socket
import sys
import time

import msgspec

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.radio_helper import links
from fibrewatch_agent.radio_helper.joined import Joined
from fibrewatch_agent.radio_helper.messages import Onboarded
from fibrewatch_agent.radio_helper.order import READY, Order
from fibrewatch_agent.radio_helper.station import station
from fibrewatch_agent.radio_helper.way import Way

_LOOPBACK, _COMES_S, _LOOK_S = 1, 10.0, 0.005


def main(descriptor: str) -> None:
    """Says that it is ready, does as ordered, answers."""
    with socket.socket(fileno=int(descriptor)) as line, line.makefile("rwb") as file:
        links.set_up(_LOOPBACK)
        file.write(READY)
        file.flush()
        ordered = file.readline()
        if not ordered:
            sys.exit(1)
        answer = asyncio.run(_answer(msgspec.json.decode(ordered, type=Order)))
        file.write(msgspec.json.encode(answer) + b"\n")
        file.flush()


async def _answer(order: Order) -> Onboarded:
    way = Way(interface=order.interface, ssid=order.ssid)
    try:
        await _go(order, way)
    except ProbeError as e:
        return Onboarded(result=way.result(), error=e.error, detail=e.detail[:400])
    return Onboarded(result=way.result())


async def _go(order: Order, way: Way) -> None:
    await _there(order.interface)
    async with station(order, way) as joins:
        await joins.join()
        try:
            async with Joined(order, way) as joined:
                await joined.go()
        except ProbeError as e:
            raise joins.blamed(e) from e
        if order.request.fast:
            await joins.come_back()
        if order.request.roam:
            await joins.roam()


async def _there(interface: str) -> None:
    """Raises ProbeError: no_interface."""
    end = time.monotonic() + _COMES_S
    while interface not in (name for _, name in socket.if_nameindex()):
        if time.monotonic() > end:
            raise ProbeError("no_interface", f"{interface} did not come into the namespace: was it removed?")
        await asyncio.sleep(_LOOK_S)
