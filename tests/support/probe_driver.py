"""Runs probes as an agent would, wherever this process is started, and prints what each said as JSON.

python -m tests.support.probe_driver '[{"probe": "tcp", "address": "10.99.0.2", "params": {"port": 80}}]'
"""

import asyncio
import json
import sys
import time
from typing import Any

import msgspec

from fibrewatch.config import build
from fibrewatch.results import PROBES
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.probes import probe_function


def box(address: str | None, **more: Any) -> Box:
    """A box for one run against an address."""
    return Box(**{"agent": "paris/cargo/box-01", "test": "services", "icmp": IcmpSockets(), "address": address} | more)


async def run(probe: str, address: str | None, *, params: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One run: error, detail, result, what the box noted, and how long it took."""
    said: dict[str, Any] = {"error": None, "detail": None}
    this, began = box(address, **more), time.monotonic()
    try:
        said["result"] = await probe_function(probe)(build(params, PROBES[probe].params, "test", "params"), this)
    except ProbeError as e:
        said.update(error=e.error, detail=e.detail, result=e.result)
    return said | {"took_s": time.monotonic() - began, "resolved": this.resolved, "family": this.used_family}


async def main(orders: list[dict[str, Any]]) -> None:
    """All of them, one after the other."""
    said = [await run(order.pop("probe"), order.pop("address"), **order) for order in orders]
    print(msgspec.json.encode(said).decode())


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
