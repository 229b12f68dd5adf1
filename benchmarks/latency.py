"""`python -m benchmarks.latency`: our ping, stamp and path beside fping, irtt, traceroute and mtr from Debian.

Error is a tool's figure for each round trip against the same packets captured on the interfaces, less the far end's own
time where the tool says that it takes it out (stamp and irtt). For the traces it is of each hop, see `benchmarks.path`.
CPU is that of the whole tool, divided by the packets that it sent; of ours what the agent, which runs anyway, spends.
"""

import asyncio
import json
import re
import resource
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks import path
from benchmarks.support import ROOT, need, options, python, save, table
from tests.support import pcap_latency, ping_driver, stamp_driver
from tests.support.netns import Link, Namespace
from tests.support.pcap_latency import Trips
from tests.support.routers import Chain

INTERVAL_S = 0.01
STAMP_PORT, IRTT_PORT = 862, 2112
HEADS = ["Round trips", "Packets", "Error p50, µs", "p99, µs", "CPU µs a packet (ours: in the agent)", "Duration, s"]


class Run(NamedTuple):
    """One run of a tool: round trips by the number that they have on the wire, seconds."""

    trips: Trips
    cpu_s: float
    took_s: float


class Tool(NamedTuple):
    """How to run it, and how to find its round trips in the captures of both ends."""

    run: Callable[[Namespace, str, int], Run]
    truth: Callable[[Path, Path], Trips]


def ours(probe: str) -> Callable[[Namespace, str, int], Run]:
    """A window of a probe, in a process that has measured before."""

    def run(near: Namespace, address: str, count: int) -> Run:
        argv = near.exec(*python("-m", "benchmarks.latency", "--probe", probe, "--address", address))
        out = subprocess.run([*argv, "--count", str(count)], check=True, capture_output=True, cwd=ROOT, timeout=120)
        said = json.loads(out.stdout.splitlines()[-1])
        return Run(dict(said["trips"]), said["cpu_s"], said["took_s"])

    return run


def fping(near: Namespace, address: str, count: int) -> Run:
    """Its list goes to standard error, in milliseconds."""
    _, listed, cpu_s, took_s = timed(near, "fping", "-C", str(count), "-p", f"{INTERVAL_S * 1e3:g}", "-q", address)
    values = listed.split(" : ")[1].split()
    return Run({n: float(value) / 1e3 for n, value in enumerate(values) if value != "-"}, cpu_s, took_s)


def irtt(near: Namespace, address: str, count: int) -> Run:
    """JSON with nanoseconds."""
    pace = ["-i", f"{INTERVAL_S * 1e3:g}ms", "-d", f"{INTERVAL_S * count * 1e3:g}ms"]
    out, _, cpu_s, took_s = timed(near, "irtt", "client", *pace, "-Q", "-o", "-", f"{address}:{IRTT_PORT}")
    rounds = json.loads(re.sub(r"\A[^{]*", "", out))["round_trips"]
    trips = {each["seqno"]: each["delay"]["rtt"] / 1e9 for each in rounds if "rtt" in each["delay"]}
    return Run(trips, cpu_s, took_s)


def timed(near: Namespace, *argv: str) -> tuple[str, str, float, float]:
    """Both outputs, CPU time and wall time of a tool."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(near.exec(*argv), check=True, capture_output=True, text=True, timeout=120)
    took_s, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, done.stderr, cpu_s, took_s


PINGS: dict[str, Tool] = {
    "fibrewatch ping": Tool(ours("ping"), pcap_latency.numbered_echoes),
    "fping": Tool(fping, pcap_latency.echoes),
    "fibrewatch stamp": Tool(ours("stamp"), lambda near, far: pcap_latency.stamps(near, far, STAMP_PORT)),
    "irtt": Tool(irtt, lambda near, far: pcap_latency.irtt(near, far, IRTT_PORT)),
}


async def one_window(probe: str, address: str, count: int) -> dict[str, Any]:
    """A short window to warm up, and one that counts."""
    interval: dict[str, Any] = {"interval_s": INTERVAL_S}
    sockets: Any = ping_driver.Recorded()
    run: Callable[..., Any] = ping_driver.one_window
    if probe == "stamp":
        interval = {"params": {"interval": f"{INTERVAL_S * 1e3:g} ms"}}
        sockets, run = stamp_driver.Recorded(0.001), stamp_driver.one_window
    order = {"address": address, "timeout_s": 1} | interval
    await run(order | {"window_s": 0.2}, sockets)
    (sockets.packets if probe == "stamp" else sockets.echoes).clear()
    begun, cpu = time.perf_counter(), time.process_time()
    said = await run(order | {"window_s": count * INTERVAL_S}, sockets)
    took_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
    samples = said["packets"] if probe == "stamp" else said["samples"]
    sockets.close()
    trips = [(each["number"], each["rtt_s"]) for each in samples if each["rtt_s"] is not None]
    return {"trips": trips, "cpu_s": cpu_s, "took_s": took_s}


@contextmanager
def capturing(*ends: tuple[Namespace, Path]) -> Iterator[None]:
    """Captures each end's interface into its file."""
    with ExitStack() as stack:
        captures = []
        for namespace, file in ends:
            argv = namespace.exec(*python("-m", "tests.support.capture", "eth0", str(file)))
            captures.append(stack.enter_context(subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE)))
            assert captures[-1].stderr is not None
            captures[-1].stderr.readline()
        try:
            yield
        finally:
            for capture in captures:
                capture.send_signal(signal.SIGTERM)


@contextmanager
def line() -> Iterator[tuple[Namespace, Namespace, Link]]:
    """Two namespaces on a cable, in the far one a STAMP reflector and an irtt server."""
    near, far = Namespace("near"), Namespace("far")
    servers: list[subprocess.Popen[bytes]] = []
    try:
        link = Link(near, far)
        near.run("ping", "-c", "1", "-w", "20", link.b4)
        order = json.dumps({"hosts": [link.b4], "port": STAMP_PORT, "clock_bound_s": 0.001})
        argv = python("-m", "tests.support.stamp_reflector", order)
        servers.append(far.popen(argv, cwd=ROOT, stdout=subprocess.PIPE))
        assert servers[0].stdout is not None
        servers[0].stdout.readline()
        argv = ["irtt", "server", "-b", f"{link.b4}:{IRTT_PORT}"]
        servers.append(far.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        _await_irtt(near, link.b4)
        yield near, far, link
    finally:
        for server in servers:
            server.terminate()
            server.communicate(timeout=20)
        near.close()
        far.close()


def _await_irtt(near: Namespace, address: str) -> None:
    deadline = time.monotonic() + 20
    asking = near.exec("irtt", "client", "-n", "-Q", f"{address}:{IRTT_PORT}")
    while subprocess.run(asking, check=False, capture_output=True, timeout=60).returncode:
        if time.monotonic() > deadline:
            raise SystemExit("irtt's server does not get ready")
        time.sleep(0.1)


def ping_row(name: str, tool: Tool, ends: tuple[Namespace, Namespace, Link], count: int, runs: int) -> list[str]:
    """One tool's figures over all runs."""
    near, far, link = ends
    done, errors = [], []
    with TemporaryDirectory(prefix="fibrewatch-bench-") as folder:
        for number in range(runs):
            files = Path(folder) / f"near-{number}.pcap", Path(folder) / f"far-{number}.pcap"
            with capturing((near, files[0]), (far, files[1])):
                done.append(tool.run(near, link.b4, count))
            truth = tool.truth(*files)
            errors += [abs(trip - truth[number]) for number, trip in done[-1].trips.items()]
    packets = sum(len(run.trips) for run in done)
    return row(name, packets, errors, sum(run.cpu_s for run in done), [run.took_s for run in done])


def trace_row(name: str, tool: path.Tool, chain: Chain, runs: int) -> list[str]:
    """One tracing tool's figures: five hops, three packets each."""
    with TemporaryDirectory(prefix="fibrewatch-bench-") as folder:
        traces = [path.captured(chain, tool, Path(folder) / f"{number}.pcap") for number in range(runs)]
    errors = [error for _, each in traces for error in each]
    packets = sum(trace.sent for trace, _ in traces)
    return row(name, packets, errors, sum(run.cpu_s for run, _ in traces), [run.took_s for run, _ in traces])


def row(name: str, packets: int, errors: Sequence[float], cpu_s: float, took_s: Sequence[float]) -> list[str]:
    """A line of the table."""
    ordered = sorted(errors)
    return [
        name,
        f"{packets:,}",
        f"{statistics.median(ordered) * 1e6:.1f}",
        f"{ordered[int(0.99 * len(ordered))] * 1e6:.0f}",
        f"{cpu_s / packets * 1e6:.0f}",
        f"{statistics.median(took_s):.3f}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and keeps it."""
    parser = options(__doc__ or "")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=500, help="packets of a run, one every 10 ms")
    parser.add_argument("--probe", choices=("ping", "stamp"), help="one window in this process (for the benchmark)")
    parser.add_argument("--address")
    given = parser.parse_args(arguments)
    if given.probe:
        print(json.dumps(asyncio.run(one_window(given.probe, given.address, given.count))))
        return
    tools = ("fping", "irtt", "mtr", "traceroute")
    need("fping", "irtt", "mtr-tiny", "traceroute", programs=tools)
    with line() as ends:
        rows = [ping_row(name, tool, ends, given.count, given.runs) for name, tool in PINGS.items()]
    with Chain() as chain:
        chain.unlimited()
        rows += [trace_row(f"{name}, 5 hops", tool, chain, given.runs) for name, tool in path.TOOLS.items()]
    print(table(HEADS, rows))
    save(given.results, "latency", {"heads": HEADS, "rows": rows})


if __name__ == "__main__":
    main()
