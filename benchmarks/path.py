"""`python -m benchmarks.path`: a trace through four routers, beside traceroute and mtr from Debian.

Error is a tool's round trip of each hop (mean of least, median and greatest) against that of the same packets on the
wire, captured at the box's interface. Then through two branches (ECMP): how many traces show routers of both as if they
were one way.
"""

import asyncio
import json
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from benchmarks.support import ROOT, need, options, python, save, table
from fibrewatch.results.path import Params, Result
from fibrewatch_agent.box import Box
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.probes.path import path
from tests.support.netns import Namespace
from tests.support.pcap import packets
from tests.support.routers import Chain, Diamond

PROBES = 3
_ETHERNET, _IP, _TIME_EXCEEDED, _UNREACHABLE = 14, 20, 11, 3


class Trace(NamedTuple):
    """One run of a tool: seconds, round trip and addresses of each hop, packets as the wire saw them."""

    took_s: float
    cpu_s: float
    rtts: list[float]
    ways: list[set[str]]
    sent: int = 0


Tool = Callable[[Namespace, str], Trace]


def traceroute(near: Namespace, target: str) -> Trace:
    """Debian's traceroute: UDP, another port for each packet."""
    out, took_s, cpu_s = _run(near, "traceroute", "-n", "-q", str(PROBES), target)
    lines = [line.split("  ") for line in out.splitlines()[1:]]
    rtts = [middle([float(ms) / 1e3 for ms in re.findall(r"([\d.]+) ms", "  ".join(line))]) for line in lines]
    return Trace(took_s, cpu_s, rtts, [set(re.findall(r"\d+\.\d+\.\d+\.\d+", " ".join(line))) for line in lines])


def mtr(near: Namespace, target: str) -> Trace:
    """Debian's mtr over UDP; of several routers at a hop its JSON shows the last."""
    out, took_s, cpu_s = _run(near, "mtr", "-n", "-u", "-c", str(PROBES), "--raw", target)
    hosts, times = defaultdict(set), defaultdict(list)
    for line in out.splitlines():
        kind, hop, value, *_ = line.split()
        if kind == "h":
            hosts[int(hop)].add(value)
        elif kind == "p":
            times[int(hop)].append(int(value) / 1e6)
    hops = sorted(times)
    return Trace(took_s, cpu_s, [middle(times[hop]) for hop in hops], [hosts[hop] for hop in hops])


def _run(near: Namespace, *argv: str) -> tuple[str, float, float]:
    """Output, wall time and CPU time of a tool and its children."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    out = subprocess.run(near.exec(*argv), check=True, capture_output=True, text=True, timeout=60).stdout
    took_s, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return out, took_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fibrewatch(near: Namespace, target: str) -> Trace:
    """Ours, in a process that has traced before, as the agent has."""
    argv = near.exec(*python("-m", "benchmarks.path", "--trace", target))
    said = json.loads(subprocess.run(argv, check=True, capture_output=True, cwd=ROOT, timeout=60).stdout)
    result = msgspec.convert(said["result"], Result)
    rtts = [statistics.mean((hop.rtt_min or 0, hop.rtt_p50 or 0, hop.rtt_max or 0)) for hop in result.path]
    return Trace(said["took_s"], said["cpu_s"], rtts, [{each.address for each in hop.routers} for hop in result.path])


async def trace(target: str) -> dict[str, Any]:
    """One trace to warm up, elsewhere, and one that counts."""
    await path(Params(), _box("127.0.0.1"))
    begun, cpu = time.perf_counter(), time.process_time()
    result = await path(Params(probes=PROBES, mtu=False), _box(target))
    took_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
    return {"took_s": took_s, "cpu_s": cpu_s, "result": msgspec.to_builtins(result)}


def _box(address: str) -> Box:
    return Box(agent="paris/cargo/box-01", test="bench", icmp=IcmpSockets(), address=address)


def middle(rtts: Sequence[float]) -> float:
    """What all tools' figures of a hop come to: of three packets the mean."""
    return statistics.mean((min(rtts), statistics.median_low(rtts), max(rtts)))


TOOLS: dict[str, Tool] = {"fibrewatch path": fibrewatch, "traceroute": traceroute, "mtr -u": mtr}


def on_the_wire(file: Path, hops: int) -> tuple[list[float], int]:
    """Seconds of each hop, from each UDP packet to the ICMP error that quotes it; and how many packets left."""
    sent: dict[bytes, tuple[int, int]] = {}
    found: dict[int, list[float]] = defaultdict(list)
    for at, frame in packets(file):
        packet = frame[_ETHERNET:]
        if frame[12:14] != b"\x08\0":
            continue
        if packet[9] == 17:
            sent[packet[_IP : _IP + 16]] = (packet[8], at)
        elif packet[9] == 1 and packet[_IP] in (_TIME_EXCEEDED, _UNREACHABLE):
            ttl, begun = sent.get(packet[_IP + 8 + _IP : _IP + 8 + _IP + 16], (0, 0))
            found[min(ttl, hops)].append((at - begun) / 1e9)
    return [middle(found[hop]) for hop in range(1, hops + 1)], len(sent)


def captured(chain: Chain, tool: Tool, file: Path) -> tuple[Trace, list[float]]:
    """A run, and the difference to the wire of each hop."""
    argv = chain.box.exec(sys.executable, "-m", "tests.support.capture", "out", str(file))
    with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE) as capture:
        assert capture.stderr is not None
        capture.stderr.readline()
        try:
            run = tool(chain.box, chain.target(4))
        finally:
            capture.send_signal(signal.SIGTERM)
    truth, sent = on_the_wire(file, len(run.rtts))
    return run._replace(sent=sent), [abs(seen - true) for seen, true in zip(run.rtts, truth, strict=True)]


def row(name: str, tool: Tool, chain: Chain, diamond: Diamond, runs: int) -> list[str]:
    """One tool's figures."""
    with TemporaryDirectory(prefix="fibrewatch-bench-") as folder:
        traces = [captured(chain, tool, Path(folder) / f"{number}.pcap") for number in range(runs)]
    errors = sorted(error for _, each in traces for error in each)
    mixed = sum(any(len(hop) > 1 for hop in tool(diamond.box, diamond.last.b4).ways) for _ in range(runs))
    return [
        name,
        f"{statistics.median(errors) * 1e6:.1f}",
        f"{errors[-1] * 1e6:.0f}",
        f"{statistics.median(run.took_s for run, _ in traces) * 1e3:.1f}",
        f"{statistics.median(run.cpu_s for run, _ in traces) * 1e3:.1f}",
        f"{mixed} of {runs}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and keeps it."""
    parser = options(__doc__ or "")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--trace", help="one trace to this address, in this process (used by the benchmark itself)")
    given = parser.parse_args(arguments)
    if given.trace:
        print(json.dumps(asyncio.run(trace(given.trace))))
        return
    need("mtr-tiny", "traceroute", programs=("mtr", "traceroute"))
    heads = ["Trace of 5 hops, 3 packets each", "Error p50, µs", "max, µs", "Duration, ms", "CPU, ms", "Branches mixed"]
    with ExitStack() as stack:
        chain, diamond = stack.enter_context(Chain()), stack.enter_context(Diamond())
        chain.unlimited()
        diamond.unlimited()
        rows = [row(name, tool, chain, diamond, given.runs) for name, tool in TOOLS.items()]
    print(table(heads, rows))
    save(given.results, "path", {"heads": heads, "rows": rows})


if __name__ == "__main__":
    main()
