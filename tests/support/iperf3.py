"""Real iperf3 servers and boxes for throughput, and a check that nothing is left behind."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import psutil

from fibrewatch_agent.box import Box
from fibrewatch_agent.net.icmp import IcmpSockets
from fibrewatch_agent.responder.watch import activity, listens
from tests.support.mosquitto import free_port
from tests.support.waiting import wait_until


def box(address: str = "127.0.0.1", interface: str | None = None) -> Box:
    """One run's view of this machine as a box."""
    return Box(agent="paris/cargo/box-01", test="t", icmp=IcmpSockets(), address=address, interface=interface)


class Server:
    """`iperf3 -s` on a port of its own."""

    def __init__(self, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.port = port or free_port()
        command = ["iperf3", "-s", "-J", "-B", host, "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: listens(self.process.pid, self.port))

    @property
    def connected(self) -> bool:
        """Whether it serves a client now."""
        return len(activity(self.process.pid).sockets) > 1

    def moved(self) -> int:
        """Bytes that it has read and written so far."""
        return activity(self.process.pid).moved or 0

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()


def free_range(count: int) -> int:
    """The first of some ports in a row that nobody uses."""
    while True:
        base = free_port()
        used = {each.laddr.port for each in psutil.net_connections("tcp") if each.laddr}
        if base + count < 65536 and used.isdisjoint(range(base, base + count)):
            return base


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Fails when a child process, descriptor or task is still there that was not before."""
    before = _possessions()
    yield
    assert _possessions() == before


def _possessions() -> tuple[list[int], list[str], int]:
    children = sorted(child.pid for child in psutil.Process().children(recursive=True))
    descriptors = sorted(_descriptors())
    with contextlib.suppress(RuntimeError):
        return children, descriptors, len(asyncio.all_tasks())
    return children, descriptors, 0


def _descriptors() -> Iterator[str]:
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            yield str(descriptor.readlink())


def alive(pid: int) -> bool:
    """Whether a process that may not be our child runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
