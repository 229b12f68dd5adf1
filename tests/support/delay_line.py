"""A line that takes its time, where the kernel has no netem: a process between two interfaces holds every frame back.

How long it really does so is for captures at both ends to say.

    python -m tests.support.delay_line SECONDS            from interface a to b and back
"""

import os
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.support.netns import Namespace, run
from tests.support.tap import ROOT

_ETH_P_ALL = 3
_OUTGOING = 4
Waiting = deque[tuple[float, socket.socket, bytes]]


class DelayedLine:
    """near –– (held back) –– far, one link as they see it."""

    near4, far4 = "10.98.0.1", "10.98.0.2"

    def __init__(self, delay_s: float) -> None:
        self.near, self.between, self.far = (Namespace(label) for label in ("near", "between", "far"))
        for end, address, interface in ((self.near, self.near4, "a"), (self.far, self.far4, "b")):
            pair = ("eth0", "netns", end.name, "type", "veth", "peer", "name", interface)
            run("ip", "link", "add", *pair, "netns", self.between.name)
            end.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
            end.run("ip", "link", "set", "eth0", "up")
            self.between.run("ip", "link", "set", "dev", interface, "up")
            end.run("ethtool", "-K", "eth0", "tx", "off")  # or a frame has half a checksum when it is read here
        argv = [sys.executable, "-m", "tests.support.delay_line", str(delay_s)]
        self.process = self.between.popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self.near.run("ping", "-c", "1", "-w", "20", self.far4)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()
        for namespace in (self.near, self.between, self.far):
            namespace.close()


def take(end: socket.socket, other: socket.socket, until: float, waiting: Waiting) -> None:
    """All that has come in."""
    with suppress(BlockingIOError):
        while True:
            frame, (_, _, kind, *_) = end.recvfrom(2048)
            if kind != _OUTGOING:
                waiting.append((until, other, frame))


def hold(delay_s: float) -> None:
    """Until it is killed; before others where that is permitted."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    ends = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) for _ in range(2)]
    selector, waiting = selectors.DefaultSelector(), Waiting()
    for end, other, interface in ((ends[0], ends[1], "a"), (ends[1], ends[0], "b")):
        end.bind((interface, _ETH_P_ALL))
        end.setblocking(False)
        selector.register(end, selectors.EVENT_READ, other)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select(max(0.0, waiting[0][0] - time.monotonic()) if waiting else None):
            take(key.fileobj, key.data, time.monotonic() + delay_s, waiting)  # type: ignore[arg-type]
        while waiting and waiting[0][0] <= time.monotonic():
            _, other, frame = waiting.popleft()
            with suppress(BlockingIOError):  # a full queue drops
                other.send(frame)


if __name__ == "__main__":
    hold(float(sys.argv[1]))
