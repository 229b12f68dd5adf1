"""Routers in namespaces: a chain of them, and one with two ways in its middle."""

import abc
import ipaddress
import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.netns import Link, Namespace
from tests.support.users import mapped

ROOT = Path(__file__).parents[2]
_TELLING = (("icmp", "destination-unreachable icmp code frag-needed"), ("icmpv6", "packet-too-big"))


class Routed(abc.ABC):
    """Namespaces that forward; subclasses make them and their links."""

    def __init__(self) -> None:
        self.namespaces: list[Namespace] = []
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    @abc.abstractmethod
    def build(self) -> None:
        """Makes what there is."""

    def add(self, label: str, *, forwards: bool = True) -> Namespace:
        """A namespace that belongs to this; flows are spread by addresses and ports where there are several ways."""
        namespace = Namespace(label)
        self.namespaces.append(namespace)
        settings = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] if forwards else []
        settings += ["net.ipv4.fib_multipath_hash_policy=1", "net.ipv6.fib_multipath_hash_policy=1"]
        namespace.run("sysctl", "-qw", *settings)
        return namespace

    def unlimited(self) -> None:
        """Lets everybody send as many ICMP errors as they like."""
        for namespace in self.namespaces:
            namespace.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")

    def close(self) -> None:
        """Takes it down."""
        for namespace in self.namespaces:
            namespace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Chain(Routed):
    """box –– router 1 –– … –– router 4 –– far; link n (from 0) is 10.99.n.0/24 and fd99:n::/64."""

    def __init__(self, routers: int = 4) -> None:
        self.count = routers
        super().__init__()

    def build(self) -> None:
        self.box = self.add("box", forwards=False)
        self.routers = [self.add(f"r{n + 1}") for n in range(self.count)]
        self.far = self.add("far", forwards=False)
        stations = [self.box, *self.routers, self.far]
        self.links = [Link(a, b, "out", "in", n) for n, (a, b) in enumerate(itertools.pairwise(stations))]
        for n, station in enumerate(stations[:-1]):
            station.run("ip", "route", "add", "default", "via", self.links[n].b4)
            station.run("ip", "-6", "route", "add", "default", "via", self.links[n].b6)
        for n, station in enumerate(stations[2:], 1):
            for before in range(n):
                station.run("ip", "route", "add", f"10.99.{before}.0/24", "via", self.links[n].a4)
                station.run("ip", "-6", "route", "add", f"fd99:{before}::/64", "via", self.links[n].a6)
        settle(self.box, self.links[-1].b4, self.links[-1].b6)

    def way(self, family: int) -> list[str]:
        """The truth: what answers at each hop."""
        return [link.b4 if family == 4 else str(ipaddress.ip_address(link.b6)) for link in self.links]

    def target(self, family: int) -> str:
        """The address at the far end."""
        return self.way(family)[-1]

    def set_mtu(self, link: int, mtu: int) -> None:
        """Both ends of a link: the router before it has to tell, or to keep quiet."""
        ends = [self.box, *self.routers, self.far]
        ends[link].run("ip", "link", "set", "out", "mtu", str(mtu))
        ends[link + 1].run("ip", "link", "set", "in", "mtu", str(mtu))

    def keep_quiet(self, router: int) -> None:
        """The router no longer says that a packet is too big: what many a firewall does."""
        nft = self.routers[router]
        nft.run("nft", "add table inet t; add chain inet t o { type filter hook output priority 0; }")
        for protocol, kind in _TELLING:
            nft.run("nft", f"add rule inet t o {protocol} type {kind} drop")


class Diamond(Routed):
    """box –– split –– upper and lower –– join –– far; `split` spreads flows over both, by addresses and ports."""

    def build(self) -> None:
        self.box, self.far = self.add("box", forwards=False), self.add("far", forwards=False)
        self.split, self.upper, self.lower, self.join = (self.add(name) for name in ("split", "upper", "lower", "join"))
        near, last = Link(self.box, self.split, "out", "in", 0), Link(self.join, self.far, "out", "in", 5)
        up, down = Link(self.split, self.upper, "out1", "in", 1), Link(self.split, self.lower, "out2", "in", 2)
        from_up, from_down = Link(self.upper, self.join, "out", "in1", 3), Link(self.lower, self.join, "out", "in2", 4)
        for v, (a, b, host) in {"-4": ("a4", "b4", "10.99.{}.0/24"), "-6": ("a6", "b6", "fd99:{}::/64")}.items():
            self.box.run("ip", v, "route", "add", "default", "via", getattr(near, b))
            self.split.run(
                *("ip", v, "route", "add", "default"),
                *("nexthop", "via", getattr(up, b), "nexthop", "via", getattr(down, b)),
            )
            self.upper.run("ip", v, "route", "add", "default", "via", getattr(from_up, b))
            self.lower.run("ip", v, "route", "add", "default", "via", getattr(from_down, b))
            self.upper.run("ip", v, "route", "add", host.format(0), "via", getattr(up, a))
            self.lower.run("ip", v, "route", "add", host.format(0), "via", getattr(down, a))
            self.join.run("ip", v, "route", "add", host.format(0), "via", getattr(from_up, a))
            self.far.run("ip", v, "route", "add", "default", "via", getattr(last, a))
        self.up, self.down, self.near, self.from_up, self.from_down, self.last = (
            up,
            down,
            near,
            from_up,
            from_down,
            last,
        )
        settle(self.box, last.b4, last.b6)


def settle(box: Namespace, *addresses: str) -> None:
    """Returns once the addresses answer, and every neighbour on the way knows the next."""
    for address in addresses:
        box.run("ping", "-c", "3", "-i", "0.2", "-w", "20", address)


class Driver:
    """The repeat driver in a namespace."""

    def __init__(self, namespace: Namespace, probe: str, address: str | None, **order: Any) -> None:
        root_alone = "user" in order and not mapped(order["user"])
        bound = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if root_alone else []
        order = {"probe": probe, "address": address, "runs": 1000, **order}
        argv = [*bound, sys.executable, "-m", "tests.support.repeat_driver", json.dumps(order)]
        self.process = namespace.popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self) -> dict[str, Any]:
        """What the next run says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the driver ended, exit status {self.process.wait(20)}"
        said: dict[str, Any] = json.loads(line)
        return said

    def again(self) -> dict[str, Any]:
        """Lets it run once more."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return self.run()

    def close(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> "Driver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def once(namespace: Namespace, probe: str, address: str | None, **order: Any) -> dict[str, Any]:
    """One run of a probe in a namespace."""
    with Driver(namespace, probe, address, runs=1, **order) as driver:
        return driver.run()
