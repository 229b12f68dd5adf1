"""Two ends behind a router that shapes both ways: what a line looks like from its ends."""

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.netns import Link, Namespace

FULL_FRAME, PAYLOAD = 1514, 1448
"""Bytes of a frame as an interface counts it (no preamble, FCS or gap) and the TCP payload in it, time stamps on."""


class RoutedLine:
    """box –– router –– far, with a token bucket on each of the router's ways out.

    The shaper stands on the router and not on a sender, where TCP's own small queues would hide the line's queue.
    """

    def __init__(self) -> None:
        self.box, self.router, self.far = (Namespace(label) for label in ("box", "router", "far"))
        near, beyond = Link(self.box, self.router, number=1), Link(self.router, self.far, "eth1", number=2)
        self.box4, self.far4 = near.a4, beyond.b4
        self.router.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        self.box.run("ip", "route", "add", "default", "via", near.b4)
        self.far.run("ip", "route", "add", "default", "via", beyond.a4)

    def shape(self, rate: str, latency: str = "200ms", burst: str = "64kb") -> None:
        """Limits both directions to a rate of tc(8)'s notation; the queue holds what is sent in `latency`."""
        for interface in ("eth0", "eth1"):
            self.router.run(
                *("tc", "qdisc", "replace", "dev", interface, "root"),
                *("tbf", "rate", rate, "burst", burst, "latency", latency),
            )

    def count_single_frames(self) -> None:
        """Makes the senders hand single frames to the interfaces.

        veth counts a segmentation-offload bundle of up to 64 KiB as it is, with one header; the shaper counts (rightly)
        a header for each frame in it. Without bundles both count what a wire would carry.
        """
        for end in (self.box, self.far):
            end.run("ip", "link", "set", "eth0", "gso_max_segs", "1")

    def close(self) -> None:
        """Takes it down."""
        for namespace in (self.box, self.router, self.far):
            namespace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ByteCounter:
    """Samples the bytes that an interface received, every 50 ms by the boot clock, while its block runs."""

    def __init__(self, namespace: Namespace, interface: str = "eth0") -> None:
        self._namespace, self._interface = namespace, interface
        self._samples: list[tuple[float, int]] = []
        self._stop = threading.Event()

    def rate(self, begin: float, end: float) -> float:
        """Bytes per second between two moments of CLOCK_BOOTTIME."""
        within = [sample for sample in self._samples if begin <= sample[0] <= end]
        (first_s, first), (last_s, last) = within[0], within[-1]
        return (last - first) / (last_s - first_s)

    def _sample(self, table: Path) -> None:
        while not self._stop.wait(0.05):
            lines = table.read_text("ascii").splitlines()
            own = [line.split() for line in lines if line.lstrip().startswith(f"{self._interface}:")]
            if own:  # at first the holder may not have entered the namespace yet
                self._samples.append((time.clock_gettime(time.CLOCK_BOOTTIME), int(own[0][1])))

    def __enter__(self) -> "ByteCounter":
        self._holder = self._namespace.popen(["sleep", "infinity"])  # its /proc shows the namespace's counters
        self._thread = threading.Thread(target=self._sample, args=(Path(f"/proc/{self._holder.pid}/net/dev"),))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._holder.kill()
        self._holder.wait()
