"""stamp and voice within this process: a reflector in the test's own loop, and runs of the probes against a port."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from fibrewatch.config import build
from fibrewatch.results import PROBES
from fibrewatch_agent.box import Box, Window
from fibrewatch_agent.clock import ClockState
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.probes import probe_function
from fibrewatch_agent.responder.reflector import Reflector, ReflectorConfig

UNSYNCHRONISED = ClockState(synchronised=False)


@contextlib.asynccontextmanager
async def reflecting(key: bytes | None = None, host: str = "127.0.0.1", **config: Any) -> AsyncIterator[int]:
    """A reflector in this loop; gives its port."""
    settings = ReflectorConfig(**{"hosts": (host,), "port": 0, "rate": 10_000, "burst": 10_000} | config)
    reflector = Reflector(settings, key, clock=lambda: UNSYNCHRONISED)
    loop, (end,) = asyncio.get_running_loop(), reflector._ends
    loop.add_reader(end.sock, reflector.turn, end)
    try:
        yield reflector.ports[0]
    finally:
        loop.remove_reader(end.sock)
        reflector.close()


async def run(
    port: int,
    *,
    probe: str = "stamp",
    address: str = "127.0.0.1",
    test: str = "t",
    shared: IcmpSockets | None = None,
    **params: Any,
) -> Any:
    """One run of a probe, with sockets of its own unless it shares others'."""
    sockets, now = shared or IcmpSockets(), time.time()
    more = {key: params.pop(key) for key in ("interface", "family", "stopping") if key in params}
    window = Window(now, now + params.pop("window_s", 0.5))
    box = Box(agent="paris/cargo/box-01", test=test, icmp=sockets, address=address, window=window, **more)
    defaults = {"port": port, "interval": "10 ms", "timeout": "300 ms"}
    try:
        return await probe_function(probe)(build(defaults | params, PROBES[probe].params, "test", "params"), box)
    finally:
        if shared is None:
            sockets.close()
