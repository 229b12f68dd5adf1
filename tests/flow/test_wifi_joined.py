"""Behind the keys of an onboarding, on a wire: an IPv4 lease, IPv6 by advertisement alone, and what portals answer."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import Namespace, run
from tests.support.routers import ROOT

V4 = ("--dhcp-range=10.77.0.50,10.77.0.99,1h", "--dhcp-authoritative", "--no-ping")
V6 = ("--enable-ra", "--dhcp-range=fd77::,ra-only")
NAMES = ("--address=/#/10.77.0.1", "--address=/#/fd77::1")
CHECK = "http://check.example/generate_204"
GOOD = "HTTP/1.1 204 No Content\\r\\nConnection: close\\r\\n\\r\\n"


class Network:
    """A client's namespace, and a router's with dnsmasq and a web server."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.client, self.router = folder, Namespace("client"), Namespace("router")
        run(*("ip", "link", "add", "eth0", "netns", self.client.name, "type", "veth"), "peer", "name", "eth0",
            "netns", self.router.name)  # fmt: skip
        self.router.run("ip", "addr", "add", "10.77.0.1/24", "dev", "eth0")
        self.router.run("ip", "addr", "add", "fd77::1/64", "dev", "eth0", "nodad")
        self.router.run("ip", "link", "set", "eth0", "up")
        for name in ("dad_transmits", "router_solicitation_delay"):  # seconds of waiting, none of which is ours
            self.client.run("sysctl", "-qw", f"net.ipv6.conf.eth0.{name}=0")

    @contextlib.contextmanager
    def serving(self, *options: str, answer: str = GOOD) -> Iterator[None]:
        page = self.folder / "page"
        page.write_text(f"#!/bin/sh\nwhile read -r line && [ \"${{#line}}\" -gt 1 ]; do :; done\nprintf '{answer}'\n")
        page.chmod(0o755)
        argv = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--interface=eth0", "--bind-interfaces"]
        argv += ["--no-resolv", "--no-hosts", "--pid-file=", f"--dhcp-leasefile={self.folder}/leases", *options]
        names = self.router.popen(argv, stderr=subprocess.PIPE)
        web = self.router.popen(["busybox", "nc", "-ll", "-p", "80", "-e", str(page)])
        try:
            assert names.stderr is not None
            while b"started" not in (line := names.stderr.readline()):
                assert line, f"dnsmasq ended, exit status {names.wait(20)}"
            yield
        finally:
            for process in (names, web):
                process.kill()
                process.communicate()

    def go(self, dhcp: float = 5.0, **request: Any) -> Any:
        asked = {"do": "onboard", "network": "x", "check": CHECK} | request
        asked["limits"] = {"dhcp": dhcp, "gateway": 10.0, "dns": 20.0, "http": 20.0}
        argv = self.client.exec(sys.executable, "-m", "tests.support.joined_driver", json.dumps(asked))
        told = subprocess.run(argv, capture_output=True, cwd=ROOT, timeout=120, check=False)
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    def close(self) -> None:
        self.client.close()
        self.router.close()


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path)
    try:
        yield network
    finally:
        network.close()


def test_without_dhcp_the_routers_advertisement_gives_address_way_and_resolver(net: Network) -> None:
    with net.serving(*V6, *NAMES, "--dhcp-option=option6:dns-server,[fd77::1]"):
        told = net.go()
    result = told["result"]
    assert told["error"] is None, told
    assert result["address"].startswith("fd77::")
    assert result["router"].startswith("fe80::")
    assert result["resolver"] == "fd77::1"
    assert "dhcp" not in result
    assert all(result[name] > 0 for name in ("slaac", "gateway", "dns", "portal", "first_byte"))
    assert result["total"] == pytest.approx(sum(result[name] for name in ("slaac", "gateway", "dns", "portal")))


def test_a_lease_comes_first_where_both_are_there(net: Network) -> None:
    with net.serving(*V4, *V6, *NAMES):
        result = net.go()["result"]
    assert result["address"].startswith("10.77.0.")
    assert result["router"] == result["resolver"] == "10.77.0.1"
    assert "slaac" not in result
    assert result["dhcp"] > 0


NO_IPV6 = {
    "nobody answers": ((), "dhcp", "timeout", "no offer on eth0 within 5 s"),
    "addresses by DHCPv6 only": (
        ("--enable-ra", "--dhcp-range=fd77::10,fd77::20"),
        "dhcp",
        "timeout",
        "a router advertises IPv6, but no address came of that",
    ),
    "no router": ((*V6, "--ra-param=eth0,10,0"), "gateway", "unreachable", "no router advertises itself as one"),
    "no resolver": ((*V6, "--dhcp-option=option6:dns-server"), "dns", "unreachable", "the network names no resolver"),
}


@pytest.mark.parametrize("name", NO_IPV6)
def test_what_ipv6_lacks_is_named(net: Network, name: str) -> None:
    options, phase, error, detail = NO_IPV6[name]
    with net.serving(*options):
        told = net.go()
    assert (told["result"]["failed_phase"], told["error"]) == (phase, error), told
    assert detail in told["detail"]


def test_a_resolver_that_is_configured_serves_where_none_is_advertised(net: Network) -> None:
    with net.serving(*V6, *NAMES, "--dhcp-option=option6:dns-server"):
        told = net.go(resolver="fd77::1")
    assert (told["error"], told["result"]["resolver"]) == (None, "fd77::1")


PORTALS = {
    "a page with status 200": "HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nConnection: close\\r\\n\\r\\nlogin",
    "a page without a length": "HTTP/1.1 200 OK\\r\\n\\r\\n<html>login</html>",
    "status 511": "HTTP/1.1 511 Network Authentication Required\\r\\nContent-Length: 0\\r\\n\\r\\n",
    "a redirect": "HTTP/1.1 302 Found\\r\\nLocation: https://login.example/\\r\\nContent-Length: 0\\r\\n\\r\\n",
}


@pytest.mark.parametrize("name", PORTALS)
def test_whatever_a_portal_answers_it_is_told_as_one(net: Network, name: str) -> None:
    with net.serving(*V4, *NAMES, answer=PORTALS[name]):
        told = net.go(dhcp=20.0)
    assert (told["result"]["failed_phase"], told["error"]) == ("portal", "denied"), told
    assert told["result"]["portal_detected"] is True
    assert "a captive portal answers with status" in told["detail"]


def test_a_page_where_a_text_is_expected_is_a_portal(net: Network) -> None:
    with net.serving(*V4, *NAMES, answer=PORTALS["a page with status 200"]):
        right, wrong = net.go(dhcp=20.0, check_text="login"), net.go(dhcp=20.0, check_text="Success")
    assert right["error"] is None, right
    assert (wrong["result"]["failed_phase"], wrong["error"]) == ("portal", "denied")
