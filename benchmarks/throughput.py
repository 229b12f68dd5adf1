"""`python -m benchmarks.throughput`: CPU of a transfer by the probe, beside iperf3 run by hand for the same time.

Both in turn on one line, at the box's end alone: user and system time of the process and its children over what was
received; the interpreter was there before, as the agent is. With round trips the other side is iperf3 and ping(8) at
the same pace. In network namespaces whoever sends does the router's work too: a real box pays less for a packet.
"""

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.support import ROOT, need, options, python, save, table
from fibrewatch.config import build
from fibrewatch.results.throughput import Params
from fibrewatch_agent.box import Box
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.probes.throughput import throughput
from tests.support.loaded import PORT, LoadedLine, line_with_server
from tests.support.throughput_driver import cpu_s

DURATION_S = 10
INTERVAL_S = 0.05
IDLE_S = 0.1
_BETWEEN_S = 0.5
"""What the server may take to be done with the last one: it turns away whoever comes before."""
HEADS = ("900 Mbit/s, 4 streams, 10 s", "probe, CPU s/Gbit", "by hand, CPU s/Gbit", "ratio")


async def probe(target: str, direction: str, latency: str) -> float:
    """CPU seconds for each Gbit of a transfer of the whole time."""
    fixed = {"early_stop": False, "omit": "0 s", "max_bytes": "100 GB", "ports": [PORT, PORT], "idle": f"{IDLE_S} s"}
    wanted = {"direction": direction, "duration": f"{DURATION_S} s", "latency": latency, **fixed}
    box = Box(agent="paris/cargo/box-01", test="bench", icmp=IcmpSockets(), address=target)
    before = cpu_s()
    result = await throughput(build(wanted, Params, "", ""), box)
    used = cpu_s() - before
    box.icmp.close()
    return used / _gbit(result.transferred or 0)


async def by_hand(target: str, direction: str, latency: str) -> float:
    """The same with the tools alone."""
    way = ["-R"] if direction == "down" else []
    before = cpu_s()
    ping = await _started("ping", "-q", "-i", str(INTERVAL_S), "-s", "16", target) if latency == "icmp" else None
    iperf3 = ["iperf3", "-c", target, "-p", str(PORT), "-P", "4", "-t", str(DURATION_S), "-C", "cubic", "-J", *way]
    output, _ = await (await _started(*iperf3)).communicate()
    if ping is not None:
        ping.terminate()
        await ping.communicate()
    return (cpu_s() - before) / _gbit(json.loads(output)["end"]["sum_received"]["bytes"])


async def _started(*argv: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)


def _gbit(transferred: float) -> float:
    return transferred * 8 / 1e9


async def turns(target: str, direction: str, latency: str, runs: int) -> list[tuple[float, float]]:
    """In turn; the first of each is to warm up."""
    both: list[tuple[float, float]] = []
    for _ in range(runs + 1):
        ours = await probe(target, direction, latency)
        await asyncio.sleep(_BETWEEN_S)
        both.append((ours, await by_hand(target, direction, latency)))
        await asyncio.sleep(_BETWEEN_S)
    return both[1:]


def measured(line: LoadedLine, direction: str, latency: str, runs: int) -> list[tuple[float, float]]:
    """By a process at the box's end."""
    argv = line.line.box.exec(*python("-m", "benchmarks.throughput", "--turns", line.line.far4, direction, latency))
    said = subprocess.run([*argv, "--runs", str(runs)], check=True, capture_output=True, cwd=ROOT, timeout=3600).stdout
    return [(each[0], each[1]) for each in json.loads(said)]


def row(name: str, both: Sequence[tuple[float, float]]) -> list[str]:
    """Medians, and the median of the ratios."""
    ours, theirs = (statistics.median(each) for each in zip(*both, strict=True))
    return [name, f"{ours:.4f}", f"{theirs:.4f}", f"{statistics.median(a / b for a, b in both):.2f}"]


def main() -> None:
    """About eight minutes."""
    parser = options(__doc__ or "")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--turns", nargs=3, metavar=("TARGET", "DIRECTION", "LATENCY"), help="one end, for itself")
    given = parser.parse_args()
    if given.turns:
        target, direction, latency = given.turns
        json.dump(asyncio.run(turns(target, direction, latency, given.runs)), sys.stdout)
        return
    need("iproute2", "iperf3", "iputils-ping", programs=("ip", "tc", "iperf3", "ping"))
    rows: list[Any] = []
    with line_with_server() as routed:
        for direction in ("down", "up"):
            for latency, words in (("off", "transfer alone"), ("icmp", "with 20 round trips a second")):
                line = LoadedLine(routed, 900, latency_ms=50)
                rows.append(row(f"{direction}, {words}", measured(line, direction, latency, given.runs)))
                print(" | ".join(rows[-1]), flush=True)
    print(table(HEADS, rows))
    save(given.results, "throughput", {"heads": HEADS, "rows": rows})


if __name__ == "__main__":
    main()
