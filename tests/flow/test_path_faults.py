"""path where routers are silent, refuse, quote little or lead nowhere: what answered is told, and what ended it."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from fibrewatch.results.path import Params, Result
from fibrewatch_agent.probes.path import path
from tests.support.leftovers import cancel_at_each_wait, nothing_left
from tests.support.netns import Namespace
from tests.support.probe_driver import box
from tests.support.routers import ROOT, Chain, once

FAMILIES = pytest.mark.parametrize("family", [4, 6])
QUICK = {"timeout": "0.2 s", "mtu": False}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with Chain(3) as routers:
        routers.unlimited()
        yield routers


@pytest.fixture(autouse=True)
def clean(chain: Chain) -> Iterator[None]:
    yield
    for namespace in chain.namespaces:
        namespace.run("nft", "flush", "ruleset")


def rule(namespace: Namespace, hook: str, text: str) -> None:
    namespace.run("nft", "add table inet t")
    namespace.run("nft", f"add chain inet t {hook} {{ type filter hook {hook} priority 0; }}")
    namespace.run("nft", f"add rule inet t {hook} {text}")


def ways(said: dict[str, Any]) -> list[list[str | None]]:
    return [flow.get("way", []) for flow in said["result"]["flows"]]


@FAMILIES
def test_a_silent_router_leaves_a_gap_and_nothing_else(chain: Chain, family: int) -> None:
    rule(chain.routers[1], "output", "icmp type time-exceeded drop")
    rule(chain.routers[1], "output", "icmpv6 type time-exceeded drop")
    said = once(chain.box, "path", chain.target(family), params=QUICK | {"flows": 2})
    way = chain.way(family)
    assert said["error"] is None
    assert ways(said) == [[way[0], None, *way[2:]]] * 2
    assert (said["result"]["hops"], said["result"]["silent"]) == (4, 1)
    silent = said["result"]["path"][1]
    assert (silent["ttl"], silent["answered"], silent.get("routers")) == (2, 0, None)
    assert silent["sent"] >= 3


@FAMILIES
def test_a_silent_target_is_a_timeout_with_the_way_to_it(chain: Chain, family: int) -> None:
    rule(chain.far, "input", "meta l4proto udp drop")
    said = once(chain.box, "path", chain.target(family), params=QUICK | {"silent_hops": 2, "mtu": True})
    way = chain.way(family)
    assert said["error"] == "timeout"
    assert said["detail"].endswith(f"no answer beyond hop 3, {way[2]}")
    assert ways(said) == [way[:3]]
    assert (said["result"].get("hops"), said["result"]["reached_ratio"]) == (None, 0.0)
    assert (said["result"]["mtu"], said["result"]["mtu_to"]) == (1500, way[2]), "as far as there are answers"
    assert max(hop["ttl"] for hop in said["result"]["path"]) == 3


@FAMILIES
def test_silence_all_the_way_is_a_timeout(chain: Chain, family: int) -> None:
    rule(chain.routers[0], "input", "meta l4proto udp drop")
    rule(chain.routers[0], "forward", "meta l4proto udp drop")
    rule(chain.routers[0], "output", "icmp type time-exceeded drop")
    rule(chain.routers[0], "output", "icmpv6 type time-exceeded drop")
    said = once(chain.box, "path", chain.target(family), params=QUICK | {"silent_hops": 3, "deadline": "1 s"})
    assert (said["error"], said["detail"].endswith("no answer from any hop")) == ("timeout", True)
    assert said["result"]["sent"] >= 3
    assert "hops" not in said["result"]


@FAMILIES
def test_a_router_without_a_route_makes_it_unreachable(chain: Chain, family: int) -> None:
    version = f"-{family}"
    chain.routers[1].run("ip", version, "route", "del", "default")
    try:
        said = once(chain.box, "path", chain.target(family), params=QUICK)
    finally:
        via = chain.links[2].b4 if family == 4 else chain.links[2].b6
        chain.routers[1].run("ip", version, "route", "add", "default", "via", via)
    assert said["error"] == "unreachable"
    assert f"stopped by {chain.way(family)[1]} at hop 2" in said["detail"]
    assert ways(said) == [chain.way(family)[:2]]


@FAMILIES
def test_a_host_that_is_not_there_is_unreachable_once_its_router_gives_up(chain: Chain, family: int) -> None:
    nobody = "10.99.3.77" if family == 4 else "fd99:3::77"
    said = once(chain.box, "path", nobody, params=QUICK | {"silent_hops": 1})
    assert said["error"] == "unreachable"
    assert ways(said)[0][:3] == chain.way(family)[:3]


@FAMILIES
@pytest.mark.parametrize(
    ("reject", "error"), [("icmpx type admin-prohibited", "denied"), ("icmpx type port-unreachable", "refused")]
)
def test_a_firewall_on_the_way_is_told_from_the_target(chain: Chain, family: int, reject: str, error: str) -> None:
    rule(chain.routers[1], "forward", f"meta l4proto udp reject with {reject}")
    said = once(chain.box, "path", chain.target(family), params=QUICK)
    assert said["error"] == error
    assert ways(said)[0] == chain.way(family)[:2]
    assert said["result"]["reached_ratio"] == 0.0


@FAMILIES
def test_a_target_that_answers_from_another_of_its_addresses_is_reached(chain: Chain, family: int) -> None:
    """A virtual address in front of a host that says who it is itself."""
    virtual = "192.0.2.200" if family == 4 else "2001:db8::200"
    protocol = "ip" if family == 4 else "ip6"
    chain.far.run("nft", "add table inet t")
    chain.far.run("nft", "add chain inet t p { type filter hook prerouting priority raw; }")
    chain.far.run("nft", f"add rule inet t p {protocol} daddr {virtual} {protocol} daddr set {chain.target(family)}")
    said = once(chain.box, "path", virtual, params=QUICK | {"flows": 2})
    assert (said["error"], said["result"]["hops"], said["result"]["reached_ratio"]) == (None, 4, 1.0)
    assert ways(said) == [chain.way(family)] * 2, "the address that answered is the last hop's"
    assert said["result"]["rtt_p50"] > 0


@FAMILIES
@pytest.mark.parametrize(("kind", "error"), [("prohibit", "denied"), ("unreachable", "unreachable")])
def test_the_boxs_own_routes_and_firewall_are_told(chain: Chain, family: int, kind: str, error: str) -> None:
    forbidden = "192.0.2.1" if family == 4 else "2001:db8::1"
    chain.box.run("ip", f"-{family}", "route", "add", kind, forbidden)
    try:
        said = once(chain.box, "path", forbidden, params=QUICK)
    finally:
        chain.box.run("ip", f"-{family}", "route", "del", kind, forbidden)
    assert said["error"] == error
    rule(chain.box, "output", "meta l4proto udp drop")
    assert once(chain.box, "path", chain.target(family), params=QUICK)["error"] == "denied"


def test_a_later_flow_that_is_forbidden_is_told_as_well(chain: Chain) -> None:
    flows = once(chain.box, "path", chain.target(4), params=QUICK | {"flows": 3})["result"]["flows"]
    rule(chain.box, "output", f"udp sport {flows[1]['source_port']} drop")
    assert once(chain.box, "path", chain.target(4), params=QUICK | {"flows": 3})["error"] == "denied"


def test_a_target_that_listens_on_the_port_is_reached_by_its_answer(chain: Chain) -> None:
    listen = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 33434)); print(flush=True)"
    )
    echo = listen + "\nwhile True: s.sendto(*s.recvfrom(2048))"
    server = chain.far.popen([sys.executable, "-c", echo], stdout=subprocess.PIPE)
    assert server.stdout is not None
    server.stdout.readline()
    try:
        said = once(chain.box, "path", chain.target(4), params=QUICK)
    finally:
        server.kill()
        server.communicate()
    assert said["error"] is None
    assert ways(said) == [chain.way(4)]


def test_routers_that_quote_little_are_told_apart_one_at_a_time(chain: Chain) -> None:
    responders = []
    try:
        for router in chain.routers[:2]:
            rule(router, "output", "icmp type time-exceeded ip length > 56 drop")
            argv = [sys.executable, "-m", "tests.support.short_quotes", "in"]
            responders.append(router.popen(argv, cwd=ROOT, stdout=subprocess.PIPE))
            assert responders[-1].stdout is not None
            responders[-1].stdout.readline()
        said = once(chain.box, "path", chain.target(4), params=QUICK | {"flows": 2})
    finally:
        for responder in responders:
            responder.kill()
            responder.communicate()
    assert said["error"] is None
    assert ways(said) == [chain.way(4)] * 2
    assert all(not flow.get("mixed", False) for flow in said["result"]["flows"])


def test_names_and_as_numbers_come_from_the_file_alone(chain: Chain, tmp_path: Any) -> None:
    file = tmp_path / "as.tsv"
    file.write_text("# ours\n10.99.0.0/16\t64500\tbackbone\n10.99.1.0/24\tAS64501\tcore\n10.99.3.2\t\tfar.example\n")
    result = once(chain.box, "path", chain.target(4), params=QUICK | {"file": str(file)})["result"]
    said = [(hop["routers"][0].get("asn"), hop["routers"][0].get("name")) for hop in result["path"]]
    assert said == [(64500, "backbone"), (64501, "core"), (64500, "backbone"), (None, "far.example")]


# ---- on loopback


async def trace(host: str = "127.0.0.1", **more: Any) -> Result:
    return await path(Params(**more), box(host))


async def test_a_file_that_is_none_is_a_reason_and_no_failure() -> None:
    here = box("127.0.0.1")
    async with nothing_left():
        result = await path(Params(file="/no/such/file"), here)
    assert result.hops == 1
    assert (here.verdict, here.reasons) == ("valid", ["names_unreadable"])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_cancelled_at_any_wait_it_leaves_nothing(host: str) -> None:
    async with nothing_left():
        assert (await trace(host)).hops == 1
    assert await cancel_at_each_wait(lambda: trace(host, flows=3)) >= 1
