"""Runs a probe into faults as an agent would, and prints a list of what it said, as JSON.

    python -m tests.support.fault_driver '{"probe": "tcp", "cases": [{"address": "10.99.0.2", "params": {"port": 1}}]}'

Each run must leave neither task nor descriptor behind; with "cancel" it is also cancelled after ever more turns of the
loop, at the pace that is given. "user" is who this process becomes.
"""

import asyncio
import json
import sys
import time
from typing import Any

import msgspec

from fibrewatch.config import build
from fibrewatch.results import PROBES
from fibrewatch_agent.box import ProbeError, Window
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.probes import probe_function
from tests.support.leftovers import cancel_after_turns, nothing_left
from tests.support.probe_driver import box
from tests.support.repeat_driver import become

WINDOW_S = 0.3


async def once(probe: str, case: dict[str, Any]) -> Any:
    """One run with sockets of its own."""
    sockets, now = IcmpSockets(), time.time()
    more = {key: case[key] for key in ("interface", "family") if key in case}
    this = box(case.get("address"), icmp=sockets, window=Window(now, now + WINDOW_S), **more)
    try:
        params = build(case.get("params", {}), PROBES[probe].params, "test", "params")
        return await probe_function(probe)(params, this)
    finally:
        sockets.close()


async def said(probe: str, case: dict[str, Any]) -> dict[str, Any]:
    """Error and detail of a run, how long it took, and how often another was cancelled."""
    error, detail, begun = None, None, time.monotonic()
    async with nothing_left():
        try:
            await once(probe, case)
        except ProbeError as e:
            error, detail = e.error, e.detail
    took_s = time.monotonic() - begun
    pace = case.get("cancel")
    cancelled = await cancel_after_turns(lambda: once(probe, case), **pace) if pace else None
    return {"error": error, "detail": detail, "took_s": took_s, "cancelled": cancelled}


async def main(order: dict[str, Any]) -> None:
    """All cases, one after the other; what is imported is imported as the owner of the files."""
    probe = order["probe"]
    _ = probe_function(probe), PROBES[probe]
    if order.get("user") is not None:
        become(order["user"])
    print(msgspec.json.encode([await said(probe, case) for case in order["cases"]]).decode())


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
