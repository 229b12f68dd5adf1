"""Rows measured in network namespaces of this machine, in real time: load, rate, MTU and branches."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab.truth import rows
from tests.lab.truth.rows import Row, Section
from tests.support import ping_truth, stamp_truth
from tests.support.delay_line import DelayedLine
from tests.support.routers import Chain, Diamond, once
from tests.support.throughput_truth import CEILING, on_a_full_line, probe, shaped

ATTEMPTS = 3
"""A host that takes this machine's processor away for a moment spoils a p99, between capture and kernel's stamp."""
BLOCKED = (0.02, 0.05)
Measure = Callable[[DelayedLine, int, Path], list[Row]]


@contextmanager
def both_cores_busy() -> Iterator[None]:
    """Two processes that do nothing but run."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def under_load(lengths_ms: tuple[int, ...]) -> Section:
    """ping's and stamp's delays while nothing else goes well."""
    text = (
        "With both cores busy and the agent's own loop held up for 20 ms in every 50. A process in the middle of the"
        " line holds each frame back, each way, for about as long as said; true is, packet by packet, what captures at"
        " both ends show. The first true window of three at most: a virtual machine's host may take the processor away."
    )
    made: list[Row] = []
    with both_cores_busy():
        for length in lengths_ms:
            with DelayedLine(length / 1e3) as line, TemporaryDirectory(prefix="fibrewatch-truth-") as folder:
                made += _best(_ping, line, length, Path(folder)) + _best(_stamp, line, length, Path(folder))
    return Section("Delay under load", text, made)


def _best(measure: Measure, line: DelayedLine, length: int, folder: Path) -> list[Row]:
    """The first window that is true, or the last."""
    made: list[Row] = []
    for attempt in range(ATTEMPTS):
        (own := folder / f"{measure.__name__}-{attempt}").mkdir()
        made = measure(line, length, own)
        if all(row.passed for row in made):
            break
    return made


def _ping(line: DelayedLine, length: int, folder: Path) -> list[Row]:
    order = {"block_s": BLOCKED, "interval_s": 0.01}
    window, off = ping_truth.measure(line.near, line.far4, folder / "wire", **order)
    return [rows.errors(f"ping rtt, {2 * length} ms", window["result"]["rtt_p50"], off)]


def _stamp(line: DelayedLine, length: int, folder: Path) -> list[Row]:
    said, off = stamp_truth.measure(line.near, line.far, line.far4, folder, block_s=BLOCKED)
    about = {"rtt_s": "rtt_p50", "forward_s": "owd_forward_p50", "backward_s": "owd_backward_p50"}
    return [
        rows.errors(f"stamp {name.removesuffix('_s')}, {length} + {length} ms", said["result"][about[name]], values)
        for name, values in off.items()
    ]


def rate() -> Section:
    """throughput's goodput."""
    text = (
        "A token bucket of 200 Mbit/s on a router, each way; true is the TCP payload among the bytes that the"
        f" receiver's interface counted. Such a bucket can carry {CEILING * 8 / 1e6:.2f} Mbit/s of it."
    )
    made = []
    with shaped() as line:
        for direction in ("down", "up"):
            what = f"throughput goodput, {direction}"
            try:
                told, counted = on_a_full_line(line, direction, probe)
            except AssertionError as e:
                made.append(Row(what, "–", "not measured", "–", str(e), passed=False))
            else:
                made.append(rows.ratio(what, counted * 8e-6, told * 8e-6, 0.01, "Mbit/s"))
    return Section("Rate", text, made)


def mtu(sizes: tuple[int, ...]) -> Section:
    """path's MTU, told and not told."""
    text = (
        "Three routers, the link behind the second as narrow as said; the router before it tells so, or keeps quiet: a"
        " black hole. IPv4 and IPv6."
    )
    made = []
    with Chain(3) as chain:
        chain.unlimited()
        for quiet in (False, True):
            if quiet:
                chain.keep_quiet(1)
            for size in sizes:
                chain.set_mtu(2, size)
                made += [_mtu(chain, family, size, quiet=quiet) for family in (4, 6)]
    return Section("Path MTU", text, made)


def _mtu(chain: Chain, family: int, size: int, *, quiet: bool) -> Row:
    result = once(chain.box, "path", chain.target(family), params={"probes": 1})["result"]
    said = {True: "a black hole", False: "told"}
    true = f"{size} bytes, {said[quiet and size < 1500]}"
    return rows.same(f"path mtu, IPv{family}", true, f"{result['mtu']} bytes, {said[result['mtu_black_hole']]}")


def branches() -> Section:
    """path's ways through two routers side by side."""
    text = (
        "A router that spreads flows over two ways of the same length (ECMP), 16 flows: true are the two ways that were"
        " built, and no flow mixes them."
    )
    made = []
    with Diamond() as diamond:
        diamond.unlimited()
        for family in (4, 6):
            made.append(rows.same(f"path branches, IPv{family}", *_ways(diamond, family)))
    return Section("ECMP", text, made)


def _ways(diamond: Diamond, family: int) -> tuple[str, str]:
    """Built and found; the router where they join answers IPv4 by the interface of its own way back, one of the two."""
    name, target = f"b{family}", getattr(diamond.last, f"b{family}")
    upper, lower = (getattr(diamond.up, name), getattr(diamond.from_up, name)), getattr(diamond.down, name)
    built = {upper, (lower, upper[1] if family == 4 else diamond.from_down.b6)}
    found: set[tuple[str, ...]] = set()
    for test in ("a", "b"):
        result = once(diamond.box, "path", target, params={"flows": 8, "mtu": False}, test=test)["result"]
        found |= {tuple(flow["way"][1:-1]) for flow in result["flows"]}
    return _written(built), _written(found)


def _written(ways: Iterable[tuple[str, ...]]) -> str:
    return ", or ".join(sorted(" then ".join(str(ip_address(each)) for each in way) for way in ways))


def sections() -> list[Section]:
    """All of them."""
    return [rate(), under_load((1, 10, 80)), mtu((1280, 1400, 1492, 1500)), branches()]
