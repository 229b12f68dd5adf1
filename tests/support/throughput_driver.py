"""Runs throughput as the agent would, once for each order, and prints what came of it as JSON.

python -m tests.support.throughput_driver '[{"target": "10.99.2.2", "params": {"direction": "down"}}]'
"""

import asyncio
import json
import resource
import sys
import time
from typing import Any

import msgspec

from fibrewatch.config import build
from fibrewatch.results.throughput import Params
from fibrewatch_agent.box import Box, ProbeError
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.probes.throughput import throughput


def cpu_s() -> float:
    """Of this process and of its children that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in both)


async def run(target: str, params: dict[str, Any], interface: str | None = None) -> dict[str, Any]:
    """One transfer: its result or error, its moments on the monotonic clock, and the CPU time it took."""
    box = Box(agent="paris/cargo/box-01", test="t", icmp=IcmpSockets(), address=target, interface=interface)
    said: dict[str, Any] = {"began": time.monotonic()}
    before = cpu_s()
    try:
        said["result"] = msgspec.to_builtins(await throughput(build(params, Params, "order", "params"), box))
    except ProbeError as e:
        said |= {"error": e.error, "detail": e.detail, "result": msgspec.to_builtins(e.result)}
    box.icmp.close()
    return said | {"flowed": box.flow, "ended": time.monotonic(), "cpu_s": cpu_s() - before, "reasons": box.reasons}


async def main(orders: list[dict[str, Any]]) -> None:
    """One after the other."""
    for order in orders:
        print(json.dumps(await run(**order)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
