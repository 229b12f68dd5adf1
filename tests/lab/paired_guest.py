"""In the lab: wifi_paired over two ways of netem's; leaves its result in /run/out. python -m tests.lab.paired_guest"""

import asyncio
from pathlib import Path

import msgspec

from fibrewatch.results.wifi_paired import Params, Result
from fibrewatch_agent.box import Box
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.probes.wifi_paired import wifi_paired
from tests.lab.truth.guest import busy, start
from tests.support.two_ways import FAR, TwoWays

OUT = Path("/run/out/paired.json")
WIRE_S, OVER_S, BACK_S, LOSS = 0.003, 0.005, 0.015, 0.10


def main() -> None:
    """The delays stand on the routers: what a box's own queue holds is not seen by its kernel's stamps."""
    with busy():
        ways = TwoWays()
        ways.wire.run("tc", "qdisc", "add", "dev", "eth1", "root", "netem", "delay", f"{WIRE_S * 1e3}ms")
        ways.air.run("tc", "qdisc", "add", "dev", "eth1", "root", "netem", "delay", f"{OVER_S * 1e3}ms")
        air = ("netem", "delay", f"{BACK_S * 1e3}ms", "loss", "random", f"{LOSS * 100}%")
        ways.air.run("tc", "qdisc", "add", "dev", "eth0", "root", *air)
    job = start(ways.box, measure)
    job.join()
    raise SystemExit(job.exitcode)


def measure() -> None:
    """Twice: what is loaded at the first run takes idle time that is none."""
    with busy():
        asyncio.run(once(1.0))
    OUT.write_bytes(msgspec.json.encode(asyncio.run(once(8.0))))


async def once(window_s: float) -> Result:
    """One run."""
    box = Box(agent="paris/cargo/box-01", test="paired", icmp=IcmpSockets(), address=FAR)
    params = Params(wifi="wlan0", window_s=window_s, interval_s=0.02, timeout_s=1.0, transfers=False)
    try:
        return await wifi_paired(params, box)
    finally:
        box.icmp.close()


if __name__ == "__main__":
    main()
