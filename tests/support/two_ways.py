"""One box with a wire and a second interface in place of a radio, each with its own way to the same far end."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import msgspec

from fibrewatch import wire
from fibrewatch.measurement import Measurement
from fibrewatch.results import PROBES
from fibrewatch.results.wifi_paired import Result
from tests.support.netns import Link, Namespace, run
from tests.support.tap import ROOT

FAR = "10.97.0.9"


class TwoWays:
    """box.eth0 –– wire –– far, and box.wlan0 –– (held back) –– air –– far.

    Args:
        delay_s: For how long a process holds each frame back on the air's way, each way.
    """

    def __init__(self, delay_s: float | None = None) -> None:
        self.box, self.wire, self.air, self.far = (Namespace(label) for label in ("box", "wire", "air", "far"))
        self._between: Namespace | None = None
        self._delay: subprocess.Popen[bytes] | None = None
        near, beyond = Link(self.box, self.wire, number=1), Link(self.wire, self.far, "eth1", "eth1", number=2)
        over, past = self._radio(delay_s), Link(self.air, self.far, "eth1", "eth2", number=4)
        self.far.run("ip", "addr", "add", f"{FAR}/32", "dev", "lo")
        for router, way in ((self.wire, beyond), (self.air, past)):
            router.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
            router.run("ip", "route", "add", FAR, "via", way.b4)
        for network, way in (("10.99.1.0/24", beyond), ("10.99.3.0/24", past)):
            self.far.run("ip", "route", "add", network, "via", way.a4)
        self.box.run("ip", "route", "add", "default", "via", near.b4, "metric", "100")
        self.box.run("ip", "route", "add", "default", "via", over, "dev", "wlan0", "metric", "600")

    def _radio(self, delay_s: float | None) -> str:
        """The gateway's address behind wlan0."""
        if delay_s is None:
            return Link(self.box, self.air, "wlan0", number=3).b4
        self._between = Namespace("between")
        for end, interface, host, other in ((self.box, "wlan0", 1, "a"), (self.air, "eth0", 2, "b")):
            pair = (interface, "netns", end.name, "type", "veth", "peer", "name", other)
            run("ip", "link", "add", *pair, "netns", self._between.name)
            end.run("ip", "addr", "add", f"10.99.3.{host}/24", "dev", interface)
            end.run("ip", "link", "set", interface, "up")
            self._between.run("ip", "link", "set", "dev", other, "up")
            end.run("ethtool", "-K", interface, "tx", "off")
        argv = [sys.executable, "-m", "tests.support.delay_line", str(delay_s)]
        self._delay = self._between.popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._delay.stdout is not None
        assert self._delay.stdout.readline() == b"ready\n"
        return "10.99.3.2"

    def shape(self, router: Namespace, rate: str) -> None:
        """Limits both directions of one way."""
        for interface in ("eth0", "eth1"):
            shaper = ("tbf", "rate", rate, "burst", "64kb", "latency", "100ms")
            router.run("tc", "qdisc", "replace", "dev", interface, "root", *shaper)

    def drop(self, router: Namespace, rule: str) -> None:
        """Drops what a rule of nftables matches on its way back to the box."""
        router.run("nft", "add table inet t")
        router.run("nft", "add chain inet t f { type filter hook forward priority 0; }")
        router.run("nft", f"add rule inet t f ip saddr {FAR} {rule} drop")

    @contextmanager
    def server(self, port: int = 5201) -> Iterator[None]:
        """iperf3 at the far end."""
        server = self.far.popen(["iperf3", "-s", "-p", str(port), "--forceflush"], stdout=subprocess.PIPE)
        assert server.stdout is not None
        while b"listening" not in server.stdout.readline():
            pass
        try:
            yield
        finally:
            server.kill()
            server.communicate()

    def once(self, **params: Any) -> Measurement[Result]:
        """What `fibrewatch-agent once` says in the box."""
        return once(self.box, **params)

    def close(self) -> None:
        """Takes it down."""
        if self._delay is not None:
            self._delay.kill()
            self._delay.communicate()
        for namespace in (self.box, self.wire, self.air, self.far, self._between):
            if namespace is not None:
                namespace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def once(box: Namespace, wire_interface: str | None = None, **params: Any) -> Measurement[Result]:
    """What `fibrewatch-agent once` says of the way to FAR."""
    options = [each for name, value in params.items() for each in ("--param", f"{name}={_told(value)}")]
    command = ["-m", "fibrewatch_agent", "once", "wifi_paired", "--target", FAR, "--json", "--param", "wifi=wlan0"]
    options += ["--interface", wire_interface] if wire_interface else []
    argv = box.exec(sys.executable, *command, *options)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    found: Measurement[Result] = msgspec.json.decode(done.stdout, type=wire.measurement_type(PROBES["wifi_paired"]))
    return found


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
