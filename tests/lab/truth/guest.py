"""In the lab: builds the line, runs each scenario over it and writes what probe and wire said to /run/out.

    python -m tests.lab.truth.guest            reads /run/out/plan.json

One process imports all and forks into the namespaces: imports take longest in there, and in virtual time a wait for a
file's data lasts until the next timer, whenever that is.
"""

import asyncio
import ctypes
import multiprocessing
import os
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec

from fibrewatch.results import PROBES
from fibrewatch_agent.clock import ClockState
from fibrewatch_agent.probes import probe_function
from fibrewatch_agent.responder.reflector import Reflector, ReflectorConfig
from tests.lab.truth.scenario import (
    BODY_S,
    CLOCK_BOUND_S,
    DNS_PORT,
    HTTP_PORT,
    HTTPS_PORT,
    SERVER_S,
    STAMP_PORT,
    Plan,
    Scenario,
)
from tests.support import capture, ping_driver, probe_driver, stamp_driver
from tests.support.netns import Namespace
from tests.support.routers import Chain

OUT = Path("/run/out")
HELD = Path("/tmp/truth")
WARM_S = 0.2
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_fork = multiprocessing.get_context("fork")


def start(namespace: Namespace, job: Callable[..., None], *arguments: object) -> BaseProcess:
    """A child of this process inside a namespace, with all that is imported here."""

    def inside() -> None:
        with Path(f"/run/netns/{namespace.name}").open("rb") as file:
            if _libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        job(*arguments)

    process = _fork.Process(target=inside)
    process.start()
    return process


def stop(process: BaseProcess) -> None:
    """Ends it by SIGTERM."""
    process.terminate()
    process.join()


@contextmanager
def busy() -> Iterator[None]:
    """Keeps the processor from idling, so that virtual time goes no faster than what is done in it."""
    process = _fork.Process(target=spin)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def spin() -> None:
    """Whenever nothing else wants the processor."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        pass


def reflect(host: str) -> None:
    """The real reflector, with a clock that is known to be good."""
    clock = ClockState(synchronised=True, offset_bound_s=CLOCK_BOUND_S)
    Reflector(ReflectorConfig(hosts=(host,), port=STAMP_PORT), None, clock=lambda: clock).serve()


def no_such_record(question: bytes) -> bytes:
    """DNS' answer to anything."""
    return question[:2] + b"\x81\x80\0\1" + bytes(6) + question[12 : 12 + question[12:].index(0) + 5]


class Resolver(asyncio.DatagramProtocol):
    """Over UDP."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(no_such_record(data), addr)


async def resolve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Over TCP, one question."""
    length = int.from_bytes(await reader.readexactly(2), "big")
    said = no_such_record(await reader.readexactly(length))
    writer.write(len(said).to_bytes(2, "big") + said)
    await writer.drain()
    writer.close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A page that takes known times."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(SERVER_S)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(BODY_S)
        writer.write(b"half")
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass  # tcp and tls want no page
    finally:
        writer.close()


def serve(host: str) -> None:
    """DNS, HTTP and HTTPS at the far end."""

    async def forever() -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(OUT / "server.pem")
        await asyncio.get_running_loop().create_datagram_endpoint(Resolver, (host, DNS_PORT))
        await asyncio.start_server(resolve, host, DNS_PORT)
        await asyncio.start_server(answer, host, HTTP_PORT)
        await asyncio.start_server(answer, host, HTTPS_PORT, ssl=tls)
        await asyncio.Event().wait()

    asyncio.run(forever())


def set_line(chain: Chain, netem: dict[str, str]) -> None:
    """Netem where the scenario wants it, and nowhere else; a new one each time: one that is changed keeps its rate."""
    for number, router in enumerate(chain.routers, 1):
        for interface in ("out", "in"):
            root = ("qdisc", "replace", "dev", interface, "root")
            router.run("tc", *root, "pfifo", "limit", "100000")
            if (wanted := netem.get(f"r{number} {interface}")) is not None:
                router.run("tc", *root, "netem", "limit", "100000", *wanted.split())


async def measure(scenario: Scenario, address: str, warm: Callable[[], None]) -> dict[str, Any]:
    """One run that nobody sees, and the one that counts."""
    if scenario.probe in ("ping", "stamp", "voice"):
        return await _packets(scenario, address, warm)
    order = {"params": {}} | scenario.order
    await probe_driver.run(scenario.probe, address, **order)
    warm()
    return await probe_driver.run(scenario.probe, address, **order)


async def _packets(scenario: Scenario, address: str, warm: Callable[[], None]) -> dict[str, Any]:
    driver: Any = ping_driver if scenario.probe == "ping" else stamp_driver
    sockets: Any = ping_driver.Recorded() if scenario.probe == "ping" else stamp_driver.Recorded(CLOCK_BOUND_S)
    order = {"probe": scenario.probe, "address": address, **scenario.order}
    await driver.one_window(order | {"window_s": WARM_S}, sockets)
    (sockets.echoes if scenario.probe == "ping" else sockets.packets).clear()
    warm()
    said: dict[str, Any] = await driver.one_window(order | {"window_s": scenario.window_s}, sockets)
    return said


def run(chain: Chain, scenario: Scenario) -> None:
    """One scenario: NAME.json, and what passed both ends as NAME-near.pcap and NAME-far.pcap."""
    with busy():
        set_line(chain, scenario.netem)
    ours, theirs = _fork.Pipe()

    def warm() -> None:
        theirs.send("warm")
        theirs.recv()

    def job() -> None:
        said = asyncio.run(measure(scenario, chain.target(4), warm))
        (HELD / f"{scenario.name}.json").write_bytes(msgspec.json.encode(said))

    probe = start(chain.box, job)
    while not ours.poll(0.1):
        if not probe.is_alive():
            raise SystemExit(f"{scenario.name}: ended while it was warmed up")
    with captured(chain, scenario.name):
        ours.send("go")
        probe.join()
    if probe.exitcode != 0:
        raise SystemExit(f"{scenario.name}: exit status {probe.exitcode}")


@contextmanager
def captured(chain: Chain, name: str) -> Iterator[None]:
    """What passes both ends of the line."""
    processes = []
    for end, interface, label in ((chain.box, "out", "near"), (chain.far, "in", "far")):
        path = HELD / f"{name}-{label}.pcap"
        processes.append(start(end, capture.main, interface, path))
        while not path.exists() or not path.stat().st_size:
            time.sleep(0.01)
    try:
        yield
    finally:
        for process in processes:
            stop(process)


def main() -> None:
    """All scenarios of the plan, one after the other."""
    plan = msgspec.json.decode((OUT / "plan.json").read_bytes(), type=Plan)
    HELD.mkdir()
    for probe in {scenario.probe for scenario in plan.scenarios}:
        _ = probe_function(probe), PROBES[probe]
    with ExitStack() as stack:
        with busy():
            chain = stack.enter_context(Chain(3))
            chain.unlimited()
            set_line(chain, {})
            for job in (reflect, serve):
                stack.callback(stop, start(chain.far, job, chain.target(4)))
        for scenario in plan.scenarios:
            run(chain, scenario)
            for file in HELD.iterdir():
                shutil.copy(file, OUT)
                file.unlink()
        with busy():
            stack.close()


if __name__ == "__main__":
    main()
