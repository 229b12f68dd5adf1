"""lan against gateways that are there, down, claimed twice, silent to some requests, or only the kernel's to ask."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from fibrewatch.results.lan import Params
from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.probes.lan import lan
from tests.support.leftovers import nothing_left
from tests.support.netns import Namespace, run
from tests.support.probe_driver import box
from tests.support.routers import once

FAMILIES = pytest.mark.parametrize("family", [4, 6])
GATEWAY, RIVAL = {4: "10.98.0.1", 6: "fd98::1"}, {4: "10.98.0.9", 6: "fd98::9"}


class Lan:
    """A switch with a box, its gateway and one more machine on it."""

    def __init__(self) -> None:
        self.box, self.gateway, self.other, self.switch = (Namespace(n) for n in ("box", "gate", "other", "switch"))
        self.switch.run("ip", "link", "add", "switch", "type", "bridge", "mcast_snooping", "0")
        self.switch.run("ip", "link", "set", "switch", "up")
        for number, host in enumerate((self.box, self.gateway, self.other)):
            host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")  # link-local addresses are good at once
            run(
                *("ip", "link", "add", "eth0", "netns", host.name, "type", "veth"),
                *("peer", "name", f"port{number}", "netns", self.switch.name),
            )
            self.switch.run("ip", "link", "set", f"port{number}", "master", "switch", "up")
            host.run("ip", "link", "set", "eth0", "up")
        for host, last in ((self.box, 2), (self.gateway, 1), (self.other, 9)):
            give(host, f"10.98.0.{last}/24", f"fd98::{last}/64")
        self.box.run("ip", "route", "add", "default", "via", GATEWAY[4])
        self.box.run("ip", "-6", "route", "add", "default", "via", GATEWAY[6])
        for address in GATEWAY.values():
            self.box.run("ping", "-c", "1", "-w", "20", address)

    def mac(self, host: Namespace) -> str:
        (shown,) = json.loads(host.run("ip", "-j", "link", "show", "dev", "eth0"))
        return str(shown["address"])

    def close(self) -> None:
        for namespace in (self.box, self.gateway, self.other, self.switch):
            namespace.close()


def give(host: Namespace, *addresses: str) -> None:
    for address in addresses:
        nodad = ["nodad"] if ":" in address else []
        host.run("ip", "addr", "add", address, "dev", "eth0", *nodad)


@pytest.fixture
def net() -> Iterator[Lan]:
    link = Lan()
    try:
        yield link
    finally:
        link.close()


def ask(net: Lan, address: str | None = None, **order: Any) -> dict[str, Any]:
    params = {"interval": "50 ms", "timeout": "0.3 s"} | order.pop("params", {})
    return once(net.box, "lan", address, params=params, **order)


@FAMILIES
def test_the_default_routes_gateway_is_asked(net: Lan, family: int) -> None:
    said = ask(net, family=family, params={"probes": 5})
    result = said["result"]
    assert said["error"] is None
    assert (said["resolved"], said["family"]) == (GATEWAY[family], family)
    assert (result["address"], result["interface"]) == (GATEWAY[family], "eth0")
    assert (result["reachable"], result["sent"], result["lost"], result["conflict"]) == (True, 5, 0, False)
    assert (result["mac"], result.get("macs")) == (net.mac(net.gateway), None)
    assert (result["method"], result["stamps"]) == ("arp" if family == 4 else "nd", "kernel")
    assert 0 < result["rtt_min"] <= result["rtt_p50"] <= result["rtt_max"] < 0.3


def test_the_preferred_of_several_gateways_is_asked_and_v6_where_there_is_no_v4(net: Lan) -> None:
    net.box.run("ip", "route", "add", "default", "via", RIVAL[4], "metric", "5")
    net.box.run("ip", "route", "add", "default", "via", "10.98.0.77", "metric", "1", "table", "77")
    assert ask(net)["resolved"] == GATEWAY[4], "metric 0 goes first, and other tables last"
    net.box.run("ip", "route", "del", "default", "via", GATEWAY[4])
    assert ask(net)["resolved"] == RIVAL[4]
    net.box.run("ip", "route", "replace", "default", "nexthop", "via", GATEWAY[4], "nexthop", "via", RIVAL[4])
    assert ask(net)["resolved"] == GATEWAY[4]
    net.box.run("ip", "-4", "route", "flush", "scope", "global")
    net.box.run("ip", "route", "flush", "table", "77")
    assert ask(net)["resolved"] == GATEWAY[6]
    net.box.run("ip", "-4", "route", "add", "default", "via", "inet6", GATEWAY[6], "dev", "eth0")
    assert ask(net)["resolved"] == GATEWAY[6], "a v4 route may go through a v6 router"


@FAMILIES
def test_a_link_local_router_is_asked_on_its_interface(net: Lan, family: int) -> None:
    shown = json.loads(net.gateway.run("ip", "-j", "-6", "addr", "show", "dev", "eth0", "scope", "link"))
    address = next(info["local"] for each in shown for info in each.get("addr_info", []) if "local" in info)
    if family == 4:
        said = ask(net, f"{address}%eth0")
    else:
        net.box.run("ip", "-6", "route", "replace", "default", "via", address, "dev", "eth0")
        said = ask(net, family=6)
    assert (said["error"], said["result"]["address"]) == (None, address)
    assert said["result"]["mac"] == net.mac(net.gateway)
    assert ask(net, address)["error"] == "no_interface"


@FAMILIES
def test_a_gateway_that_is_down_is_unreachable(net: Lan, family: int) -> None:
    net.gateway.run("ip", "link", "set", "eth0", "down")
    said = ask(net, family=family)
    result = said["result"]
    assert said["error"] == "unreachable"
    assert (result["reachable"], result["sent"], result["lost"]) == (False, 3, 3)
    assert (result.get("mac"), result.get("conflict"), result.get("rtt_min")) == (None, None, None)
    net.box.run("ip", "link", "set", "eth0", "down")
    assert ask(net, GATEWAY[family], family=family)["error"] == "unreachable"


@FAMILIES
def test_two_machines_with_the_gateways_address_are_a_conflict(net: Lan, family: int) -> None:
    give(net.other, f"{GATEWAY[family]}/{24 if family == 4 else 64}")
    result = ask(net, family=family)["result"]
    assert result["conflict"] is True
    assert set(result["macs"]) == {net.mac(net.gateway), net.mac(net.other)}
    assert result["mac"] == result["macs"][0]
    assert (result["sent"], result["lost"]) == (3, 0), "a second answer answers no other request"


def test_requests_without_an_answer_are_lost(net: Lan) -> None:
    """Every second one: the counts are the switch's own."""
    net.switch.run("nft", "add table bridge t; add chain bridge t f { type filter hook forward priority 0; }")
    net.switch.run("nft", "add rule bridge t f oifname port1 arp operation request numgen inc mod 2 0 counter drop")
    said = ask(net, family=4, params={"probes": 4, "timeout": "0.1 s"})
    assert (said["error"], said["result"]["sent"], said["result"]["lost"]) == (None, 4, 2)


@contextlib.contextmanager
def scripted(net: Lan, script: str) -> Iterator[None]:
    """The gateway says what scapy's script says, and nothing of its own: packet sockets see what nft drops."""
    net.gateway.run("nft", "add table netdev t")
    net.gateway.run("nft", "add chain netdev t i { type filter hook ingress device eth0 priority 0; policy drop; }")
    script = f"from scapy.all import *; import time; me = get_if_hwaddr('eth0'); {script}"
    player = net.gateway.popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert player.stdout is not None
        assert player.stdout.readline() == b"ready\n"
        yield
    finally:
        player.kill()
        player.communicate()
        net.gateway.run("nft", "flush", "ruleset")


LATE = """
ready = lambda: print('ready', flush=True)
def answer(asked):
    time.sleep(0.15)
    if ARP in asked:
        said = ARP(op=2, hwsrc=me, psrc='10.98.0.1', hwdst=asked.hwsrc, pdst=asked.psrc)
    else:
        said = IPv6(src='fd98::1', dst=asked[IPv6].src) / ICMPv6ND_NA(tgt='fd98::1', S=1)
        said /= ICMPv6NDOptDstLLAddr(lladdr=me)
    sendp(Ether(dst=asked.src) / said, iface='eth0', verbose=0)
asks = lambda p: ARP in p and p.op == 1 and p.pdst == '10.98.0.1' or ICMPv6ND_NS in p and p.tgt == 'fd98::1'
sniff(iface='eth0', lfilter=asks, prn=answer, store=0, started_callback=ready)
"""


@FAMILIES
def test_a_late_answer_is_its_own_requests_and_not_the_next_ones(net: Lan, family: int) -> None:
    """150 ms, where the next request would leave at 150 ms."""
    with scripted(net, LATE):
        result = (said := ask(net, family=family, params={"timeout": "0.1 s", "probes": 2}))["result"]
        in_time = ask(net, family=family, params={"timeout": "2 s", "probes": 2})["result"]
    assert (said["error"], result["sent"], result["lost"], result["late"]) == ("timeout", 2, 2, 2)
    assert "rtt_min" not in result
    assert (in_time["lost"], in_time["late"], in_time["rtt_min"] >= 0.15) == (0, 0, True)


@FAMILIES
def test_what_a_neighbour_says_unasked_is_no_answer(net: Lan, family: int) -> None:
    """The gateway answers nothing, and goes on asking and announcing itself."""
    unasked = {
        4: "Ether(dst='ff:ff:ff:ff:ff:ff')/ARP(op=1,psrc='10.98.0.1',pdst='10.98.0.2')",
        6: "Ether(dst='33:33:00:00:00:01')/IPv6(src='fd98::1',dst='ff02::1')"
        "/ICMPv6ND_NA(tgt='fd98::1',S=0)/ICMPv6NDOptDstLLAddr(lladdr=me)",
    }[family]
    with scripted(net, f"print('ready', flush=True); sendp({unasked}, iface='eth0', inter=0.02, loop=1)"):
        said = ask(net, family=family, params={"probes": 2})
    result = said["result"]
    assert (said["error"], result["reachable"], result["lost"], result["late"]) == ("unreachable", False, 2, 0)
    assert (result["mac"], "rtt_min" in result) == (net.mac(net.gateway), False), "it was heard"


@FAMILIES
def test_without_rights_the_kernel_is_asked(net: Lan, family: int) -> None:
    said = ask(net, family=family, user=65534)
    assert (said["error"], said["result"]["method"], said["result"]["reachable"]) == (None, "kernel", True)
    assert said["result"]["mac"] == net.mac(net.gateway)
    assert "rtt_min" not in said["result"], "nobody can tell"
    net.gateway.run("ip", "link", "set", "eth0", "down")
    net.box.run("ip", "neigh", "flush", "dev", "eth0")
    said = ask(net, family=family, user=65534)
    assert (said["error"], said["result"]["reachable"], said["result"]["state"]) == ("unreachable", False, "failed")


def test_a_target_that_is_no_neighbour_is_told_from_one_that_is_silent(net: Lan) -> None:
    behind = ask(net, "192.0.2.1")
    assert (behind["error"], "behind 10.98.0.1" in behind["detail"]) == ("unreachable", True)
    assert ask(net, "127.0.0.1")["error"] == "no_interface"
    assert ask(net, RIVAL[4])["result"]["mac"] == net.mac(net.other)
    assert ask(net, "a..b")["error"] == "name_not_found"
    assert ask(net, interface="eth9")["error"] == "no_interface"
    net.box.run("ip", "-4", "route", "flush", "scope", "global")
    net.box.run("ip", "-6", "route", "del", "default")
    nowhere = ask(net, interface="eth0")
    assert (nowhere["error"], nowhere["detail"]) == ("unreachable", "there is no default route over eth0")
    assert ask(net, "192.0.2.1")["error"] == "unreachable"


@FAMILIES
def test_round_trips_are_the_kernels_when_this_process_is_held_up(net: Lan, family: int) -> None:
    result = ask(net, family=family, params={"probes": 20, "interval": "10 ms"}, block=True)["result"]
    assert (result["sent"], result["lost"], result["stamps"]) == (20, 0, "kernel")
    assert result["rtt_p50"] < 0.005, "this process saw them 20 ms late"


@FAMILIES
def test_cancelled_at_any_wait_it_leaves_nothing(net: Lan, family: int) -> None:
    assert ask(net, family=family, cancel=True)["waits"] >= 3
    net.gateway.run("ip", "link", "set", "eth0", "down")
    net.box.run("ip", "neigh", "flush", "dev", "eth0")
    assert ask(net, family=family, cancel=True, user=65534, params={"wait": "0.2 s"})["waits"] >= 1


# ---- in this process, on loopback


async def test_loopback_has_no_neighbours_and_nothing_is_left() -> None:
    async with nothing_left():
        with pytest.raises(ProbeError) as caught:
            await lan(Params(), box("127.0.0.1"))
    assert caught.value.error == "no_interface"
