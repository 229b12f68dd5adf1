"""Service probes across a router: interfaces, ways that are not there or prohibited, lost segments, missing rights."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import Link, Namespace

PORT = 8080
TCP, DNS, NTP, HTTP = "tcp", "dns", "ntp", "http"
SETTINGS = {
    "ipv4/ip_forward": 1,
    "ipv6/conf/all/forwarding": 1,
    "ipv4/icmp_ratelimit": 0,
    "ipv6/icmp/ratelimit": 0,
}
SERVER = f"""
import socket, threading, sys
def echo(sock):
    while True:
        data, where = sock.recvfrom(2000)
        sock.sendto(data[:2] + bytes([129, 128]) + data[4:10] + bytes(2) + data[12:12 + data[12:].index(0) + 5], where)
for family, any_ in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    udp = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    udp.bind((any_, {PORT}))
    threading.Thread(target=echo, args=(udp,), daemon=True).start()
listener = socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    connection.close()
"""


def await_no_tentative(*namespaces: Namespace) -> None:
    """Waits until link-local addresses may be used (RFC 4862 §5.4)."""
    deadline = time.monotonic() + 20
    while any("tentative" in each.run("ip", "-6", "addr", "show") for each in namespaces):
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Site:
    """A box, a router behind its interface eth0, and a server beyond; a second interface eth1 leads nowhere."""

    def __init__(self) -> None:
        self.box, self.router, self.server = Namespace("box"), Namespace("router"), Namespace("server")
        self.near = Link(self.box, self.router, "eth0", "eth0", number=1)
        self.far = Link(self.router, self.server, "eth1", "eth0", number=2)
        self.dead = Link(self.box, self.router, "eth1", "eth2", number=3)
        for setting, value in SETTINGS.items():
            self.router.run("sh", "-c", f"echo {value} > /proc/sys/net/{setting}")
        for family, via, back in (("-4", self.near.b4, self.far.a4), ("-6", self.near.b6, self.far.a6)):
            self.box.run("ip", family, "route", "add", "default", "via", via)
            self.server.run("ip", family, "route", "add", "default", "via", back)
        await_no_tentative(self.box, self.router, self.server)
        self.process = self.server.popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        for namespace in (self.box, self.router, self.server):
            namespace.close()

    def run(self, *orders: dict[str, Any], before: Sequence[str] = ()) -> list[dict[str, Any]]:
        """What the probes say, run one after the other in the box."""
        command = [*before, sys.executable, "-m", "tests.support.probe_driver", json.dumps(orders)]
        said: list[dict[str, Any]] = json.loads(self.box.run(*command))
        return said


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def order(probe: str, address: str, **more: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"port": PORT, "timeout": "2 s"} | more.pop("params", {})
    if probe == DNS:
        params |= {"name": "a.example", "attempts": 1}
    return {"probe": probe, "address": address, "params": params} | more


def test_both_families_and_an_interface_need_no_rights(site: Site) -> None:
    """Linux lets anyone bind a socket to an interface since 5.7, and gives anyone the kernel's stamps."""
    without_rights = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    said = site.run(
        *(order(probe, to, interface="eth0") for probe in (TCP, DNS) for to in (site.far.b4, site.far.b6)),
        before=without_rights,
    )
    assert [each["error"] for each in said] == [None] * 4
    assert [each["family"] for each in said] == [4, 6, 4, 6]
    assert said[0]["result"]["rtt"] > 0
    assert said[2]["result"]["stamps"] == said[3]["result"]["stamps"] == "kernel"


def test_a_link_local_address_is_reached_by_its_zone_or_the_interface(site: Site) -> None:
    lines = json.loads(site.router.run("ip", "-j", "-6", "addr", "show", "dev", "eth0", "scope", "link"))
    address = next(info["local"] for line in lines for info in line.get("addr_info", ()) if "local" in info)
    by_zone, by_interface, no_zone = site.run(
        order(TCP, f"{address}%eth0"), order(TCP, address, interface="eth0"), order(TCP, f"{address}%nope0")
    )
    assert by_zone["error"] == by_interface["error"] == "refused", "the router answers: nobody listens there"
    assert no_zone["error"] == "no_interface"


def test_an_interface_that_leads_nowhere_is_not_left_for_another(site: Site) -> None:
    for said in site.run(*(order(probe, site.far.b4, interface="eth1") for probe in (TCP, DNS, NTP, HTTP))):
        assert said["error"] in {"timeout", "unreachable"}
        assert said["took_s"] < 10


@pytest.mark.parametrize(
    ("where", "kind", "error"),
    [
        ("box", "unreachable", "unreachable"),
        ("box", "prohibit", "denied"),
        ("box", "blackhole", "unreachable"),
        ("router", "unreachable", "unreachable"),
        ("router", "prohibit", "denied"),
    ],
)
def test_a_way_that_is_closed_is_told_at_once(site: Site, where: str, kind: str, error: str) -> None:
    namespace: Namespace = getattr(site, where)
    routes = (("-4", "198.51.100.0/24", "198.51.100.1"), ("-6", "2001:db8:51::/48", "2001:db8:51::1"))
    for family, route, _ in routes:
        namespace.run("ip", family, "route", "add", kind, route)
    probes = (TCP, DNS, NTP) if where == "box" else (TCP, DNS)  # a router says so five times at once at most
    said = site.run(*(order(probe, to) for _, _, to in routes for probe in probes))
    for family, route, _ in routes:
        namespace.run("ip", family, "route", "del", kind, route)
    assert [each["error"] for each in said] == [error] * 2 * len(probes), [each["detail"] for each in said]
    assert all(each["took_s"] < 1.5 for each in said), "no probe waits for its deadline"


def test_a_port_that_is_closed_beyond_the_router_is_refused(site: Site) -> None:
    orders = [
        order(probe, to, params={"port": 9}) for to in (site.far.b4, site.far.b6) for probe in (TCP, DNS, NTP, HTTP)
    ]
    assert {each["error"] for each in site.run(*orders)} == {"refused"}


def test_what_the_boxs_own_firewall_drops_is_denied_or_lost(site: Site) -> None:
    """Linux tells a UDP sender of a drop on the way out (EPERM); a dropped SYN is only lost."""
    site.box.run("nft", "add table inet t; add chain inet t out { type filter hook output priority 0 ; }")
    site.box.run("nft", "add", "rule", "inet", "t", "out", "ip", "daddr", site.far.b4, "drop")
    dns, ntp, tcp = site.run(*(order(probe, site.far.b4, params={"timeout": "500 ms"}) for probe in (DNS, NTP, TCP)))
    site.box.run("nft", "delete", "table", "inet", "t")
    assert (dns["error"], ntp["error"], tcp["error"]) == ("denied", "denied", "timeout")


def test_a_lost_syn_shows_in_the_connect_time_and_not_in_the_round_trip(site: Site) -> None:
    site.router.run("nft", "add table inet t; add chain inet t through { type filter hook forward priority 0 ; }")
    site.router.run("nft", "add rule inet t through tcp flags & (syn|ack) == syn numgen inc mod 2 == 0 drop")
    (said,) = site.run(order(TCP, site.far.b4, params={"timeout": "20 s"}))
    site.router.run("nft", "delete", "table", "inet", "t")
    assert said["error"] is None
    assert said["result"]["retransmits"] == 1
    assert said["result"]["connect"] > 0.5
    assert said["result"].get("rtt", 0) < said["result"]["connect"] / 2


def test_a_server_that_closes_at_once_is_no_http(site: Site) -> None:
    (said,) = site.run(order(HTTP, site.far.b4))
    assert said["error"] in {"protocol", "reset"}


def test_a_file_of_authorities_that_may_not_be_read_is_a_matter_of_rights(site: Site, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("secret")
    ca.chmod(0)
    params = {"ca": str(ca)}
    orders = [order("tls", site.far.b4, params=params), order(HTTP, site.far.b4, params=params | {"scheme": "https"})]
    said = site.run(*orders, before=("setpriv", "--bounding-set=-all", "--inh-caps=-all"))
    assert [each["error"] for each in said] == ["permission"] * 2
