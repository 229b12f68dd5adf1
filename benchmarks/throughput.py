"""`python -m benchmarks.throughput`: CPU of a transfer by the probes, beside iperf3 run by hand for the same time.

Both in turn on one line, at the box's end alone: user and system time of the process and its children over what was
received; the interpreter was there before, as the agent is. With round trips the other side is iperf3 and ping(8) at
the same pace; capacity's is iperf3 -u with packets of the same size at the line's rate, http_throughput's iperf3 with
as many streams. In network namespaces whoever sends does the router's work too: a real box pays less for a packet.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from benchmarks.support import ROOT, need, options, python, save, table
from fibrewatch.config import build
from fibrewatch.results import capacity as capacity_result
from fibrewatch.results import http_throughput as http_result
from fibrewatch.results.throughput import Params
from fibrewatch_agent.box import Box
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.probes.capacity import capacity
from fibrewatch_agent.probes.http_throughput import http_throughput
from fibrewatch_agent.probes.throughput import throughput
from fibrewatch_agent.tables import Control
from tests.support.certificates import Authority
from tests.support.loaded import PORT, LoadedLine, line_with_server
from tests.support.slots import Responder
from tests.support.throughput_driver import cpu_s

DURATION_S = 10
INTERVAL_S = 0.05
IDLE_S = 0.1
PACKET_BYTES, HEADERS = 1250, 28
_BETWEEN_S = 0.5
"""What the server may take to be done with the last one: it turns away whoever comes before."""
HEADS = ("10 s", "probe, CPU s/Gbit", "by hand, CPU s/Gbit", "ratio")


class Turn(Struct, frozen=True, kw_only=True):
    """What is compared, as the process at the box's end is told.

    Attributes:
        mbit: The line's.
        port: Of the web server.
        url, token, ca: Of the responder's control API.
    """

    target: str
    direction: Literal["down", "up"]
    kind: Literal["alone", "round trips", "capacity", "http"]
    mbit: int
    port: int = 0
    url: str = ""
    token: str = ""
    ca: str = ""

    @property
    def words(self) -> str:
        """For the table."""
        what = {
            "alone": "throughput, 4 streams",
            "round trips": "throughput, with 20 round trips a second",
            "capacity": "capacity, beside iperf3 -u",
            "http": "http_throughput, 4 streams, beside iperf3",
        }
        return f"{what[self.kind]}: {self.direction}, {self.mbit} Mbit/s"


async def probe(turn: Turn) -> float:
    """CPU seconds for each Gbit of a transfer of the whole time."""
    box = Box(agent="paris/cargo/box-01", test="bench", icmp=IcmpSockets(), address=turn.target)
    run: Callable[[Turn, Box], Awaitable[float]] = {"capacity": _capacity, "http": _http}.get(turn.kind, _throughput)
    before = cpu_s()
    moved = await run(turn, box)
    used = cpu_s() - before
    box.icmp.close()
    return used / _gbit(moved)


async def _throughput(turn: Turn, box: Box) -> float:
    latency = "icmp" if turn.kind == "round trips" else "off"
    fixed = {"early_stop": False, "omit": "0 s", "max_bytes": "100 GB", "ports": [PORT, PORT], "idle": f"{IDLE_S} s"}
    wanted = {"direction": turn.direction, "duration": f"{DURATION_S} s", "latency": latency, **fixed}
    return (await throughput(build(wanted, Params, "", ""), box)).transferred or 0


async def _capacity(turn: Turn, box: Box) -> float:
    box.control = Control(urls=(turn.url,), token=Path(turn.token), ca=Path(turn.ca))
    wanted = {"direction": turn.direction, "duration": f"{DURATION_S} s", "max_bytes": "100 GB"}
    return (await capacity(build(wanted, capacity_result.Params, "", ""), box)).transferred or 0


async def _http(turn: Turn, box: Box) -> float:
    fixed = {"early_stop": False, "omit": "0 s", "max_bytes": "100 GB", "port": turn.port, "upload_size": "100 MB"}
    wanted = {"direction": turn.direction, "duration": f"{DURATION_S} s", "path": "/bytes/100000000", **fixed}
    return (await http_throughput(build(wanted, http_result.Params, "", ""), box)).transferred or 0


async def by_hand(turn: Turn) -> float:
    """The same with the tools alone."""
    way = ["-R"] if turn.direction == "down" else []
    before = cpu_s()
    pace = ("ping", "-q", "-i", str(INTERVAL_S), "-s", "16", turn.target)
    ping = await _started(*pace) if turn.kind == "round trips" else None
    iperf3 = ["iperf3", "-c", turn.target, "-p", str(PORT), "-t", str(DURATION_S), "-J", *way, *_load(turn)]
    output, _ = await (await _started(*iperf3)).communicate()
    if ping is not None:
        ping.terminate()
        await ping.communicate()
    return (cpu_s() - before) / _gbit(_received(turn, json.loads(output)["end"]))


def _load(turn: Turn) -> list[str]:
    if turn.kind != "capacity":
        return ["-P", "4", "-C", "cubic"]
    return ["-u", "-l", str(PACKET_BYTES - HEADERS), "-b", f"{turn.mbit}M"]


def _received(turn: Turn, end: dict[str, Any]) -> float:
    """Bytes: of TCP's payload, of IP packets."""
    if turn.kind != "capacity":
        return float(end["sum_received"]["bytes"])
    return float((end["sum"]["packets"] - end["sum"]["lost_packets"]) * PACKET_BYTES)


async def _started(*argv: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)


def _gbit(transferred: float) -> float:
    return transferred * 8 / 1e9


async def turns(turn: Turn, runs: int) -> list[tuple[float, float]]:
    """In turn; the first of each is to warm up."""
    both: list[tuple[float, float]] = []
    for _ in range(runs + 1):
        ours = await probe(turn)
        await asyncio.sleep(_BETWEEN_S)
        both.append((ours, await by_hand(turn)))
        await asyncio.sleep(_BETWEEN_S)
    return both[1:]


def measured(line: LoadedLine, turn: Turn, runs: int) -> list[tuple[float, float]]:
    """By a process at the box's end."""
    order = msgspec.json.encode(turn).decode()
    argv = line.line.box.exec(*python("-m", "benchmarks.throughput", "--turn", order, "--runs", str(runs)))
    said = subprocess.run(argv, check=True, capture_output=True, cwd=ROOT, timeout=3600).stdout
    return [(each[0], each[1]) for each in json.loads(said)]


def row(turn: Turn, both: Sequence[tuple[float, float]]) -> list[str]:
    """Medians, and the median of the ratios."""
    ours, theirs = (statistics.median(each) for each in zip(*both, strict=True))
    return [turn.words, f"{ours:.4f}", f"{theirs:.4f}", f"{statistics.median(a / b for a, b in both):.2f}"]


@contextmanager
def far_end(line: LoadedLine) -> Iterator[dict[str, Any]]:
    """A web server and a responder, and where they are."""
    target, far = line.line.far4, line.line.far
    web = far.popen(python("-m", "tests.support.load_server", target), stdout=subprocess.PIPE, cwd=ROOT)
    try:
        if web.stdout is None:
            raise SystemExit("the web server has no output")
        port = int(web.stdout.readline())
        with (
            tempfile.TemporaryDirectory() as folder,
            Responder(
                Path(folder) / "far",
                listen=target,
                capacity="2 Gbit/s",
                prefix=far.exec(),
                tls=Authority(Path(folder) / "ca"),
            ) as responder,
        ):
            control = responder.control()
            place = {"url": control.urls[0], "token": str(control.token), "ca": str(control.ca)}
            yield {"target": target, "port": port, **place}
    finally:
        web.kill()
        web.wait()


def main() -> None:
    """About thirteen minutes."""
    parser = options(__doc__ or "")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--turn", metavar="ORDER", help="one end, for itself")
    parser.add_argument("--kind", action="append", help="only these: alone, round trips, capacity, http")
    given = parser.parse_args()
    if given.turn:
        json.dump(asyncio.run(turns(msgspec.json.decode(given.turn, type=Turn), given.runs)), sys.stdout)
        return
    need("iproute2", "iperf3", "iputils-ping", programs=("ip", "tc", "iperf3", "ping"))
    rows: list[Any] = []
    with line_with_server() as routed, far_end(LoadedLine(routed, 900, latency_ms=50)) as places:
        for kind, mbit in (("alone", 900), ("round trips", 900), ("capacity", 200), ("http", 900)):
            for direction in ("down", "up"):
                if given.kind is None or kind in given.kind:
                    line = LoadedLine(routed, mbit, latency_ms=50)
                    turn = msgspec.convert(places | {"kind": kind, "direction": direction, "mbit": mbit}, Turn)
                    rows.append(row(turn, measured(line, turn, given.runs)))
                    print(" | ".join(rows[-1]), flush=True)
    print(table(HEADS, rows))
    save(given.results, "throughput", {"heads": HEADS, "rows": rows})


if __name__ == "__main__":
    main()
