"""path through routers in namespaces: every hop, every flow and every round trip against what is known."""

import contextlib
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.pcap import packets
from tests.support.pcap_path import round_trips
from tests.support.routers import ROOT, Chain, Diamond, Driver, once

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with Chain() as routers:
        routers.unlimited()
        yield routers


@pytest.fixture(scope="module")
def diamond() -> Iterator[Diamond]:
    with Diamond() as routers:
        routers.unlimited()
        yield routers


def addresses(result: dict[str, Any]) -> list[list[str]]:
    return [[router["address"] for router in hop.get("routers", ())] for hop in result["path"]]


@FAMILIES
def test_the_hops_are_exactly_the_routers_on_the_way(chain: Chain, family: int) -> None:
    said = once(chain.box, "path", chain.target(family))
    result = said["result"]
    assert said["error"] is None
    assert addresses(result) == [[address] for address in chain.way(family)]
    assert (result["hops"], result["silent"], result["branches"], result["reached_ratio"]) == (5, 0, 1, 1.0)
    assert [hop["ttl"] for hop in result["path"]] == [1, 2, 3, 4, 5]
    assert all(hop["sent"] == hop["answered"] >= 3 for hop in result["path"])
    assert (result["mtu"], result["mtu_black_hole"], result["mtu_to"]) == (1500, False, chain.target(family))
    assert result["flows"][0]["way"] == chain.way(family)
    assert result["stamps"] == "kernel"
    assert "changed" not in result, "there is nothing to compare the first trace with"


@FAMILIES
def test_an_unprivileged_user_sees_the_same(chain: Chain, family: int) -> None:
    said = once(chain.box, "path", chain.target(family), user=65534, params={"flows": 2})
    assert said["error"] is None
    assert addresses(said["result"]) == [[address] for address in chain.way(family)]
    assert (said["result"]["mtu"], said["result"]["stamps"]) == (1500, "kernel")


@FAMILIES
def test_round_trips_are_the_kernels_when_this_process_is_held_up(chain: Chain, family: int) -> None:
    result = once(chain.box, "path", chain.target(family), params={"probes": 10}, block=True)["result"]
    assert result["stamps"] == "kernel"
    assert all(hop["rtt_p50"] < 0.005 for hop in result["path"]), "this process saw them 20 ms late"


@FAMILIES
def test_several_flows_see_both_branches_and_none_mixes_them(diamond: Diamond, family: int) -> None:
    target = diamond.last.b4 if family == 4 else diamond.last.b6
    upper, lower = (diamond.up.b4, diamond.down.b4) if family == 4 else (diamond.up.b6, diamond.down.b6)
    ports, branches = set(), set()
    for test in ("a", "b"):  # 16 flows in all: that all go one way happens once in 32,768 times
        said = once(diamond.box, "path", target, params={"flows": 8, "mtu": False}, test=test)
        result = said["result"]
        assert said["error"] is None
        for flow in result["flows"]:
            assert flow["reached"]
            assert not flow.get("mixed", False)
            assert len(flow["way"]) == 4
            assert flow["way"][1] in (upper, lower)
            ports.add(flow["source_port"])
            branches.add(flow["way"][1])
        assert set(addresses(result)[1]) == {flow["way"][1] for flow in result["flows"]}
        assert result["branches"] >= len(set(addresses(result)[1]))
    assert branches == {upper, lower}
    assert len(ports) == 16


@FAMILIES
def test_a_flow_takes_the_same_branch_at_each_run(diamond: Diamond, family: int) -> None:
    target = diamond.last.b4 if family == 4 else diamond.last.b6
    ways = []
    for _ in range(2):  # each in a process of its own, as after a restart of the agent
        result = once(diamond.box, "path", target, params={"flows": 8, "mtu": False})["result"]
        ways.append({flow["source_port"]: flow["way"] for flow in result["flows"]})
    assert ways[0] == ways[1]


def test_what_routers_hold_back_by_their_limits_is_asked_for_again() -> None:
    """Six errors at once to one asker and then one a second: more flows than that are complete all the same."""
    with Chain(2) as routers, Driver(routers.box, "path", routers.target(4), params={"flows": 6}) as driver:
        result = driver.run()["result"]
        assert [flow["way"] for flow in result["flows"]] == [routers.way(4)] * 6
        assert result["reached_ratio"] == 1.0
        assert result["mtu"] == 1500
        assert any(hop["sent"] > hop["answered"] for hop in result["path"]), "there was no limit to meet"


def test_routers_that_are_out_of_answers_are_waited_for() -> None:
    """One run after the other, with nothing left of what they answer at once."""
    with Chain(2) as routers, Driver(routers.box, "path", routers.target(4), params={"mtu": False}) as driver:
        said = [driver.run(), *(driver.again() for _ in range(3))]
    assert [each["error"] for each in said] == [None] * 4
    assert [each["result"]["flows"][0]["way"] for each in said] == [routers.way(4)] * 4
    assert [each["result"].get("changed") for each in said] == [None, False, False, False]


@pytest.mark.parametrize("one_in", [3, 5])
def test_lost_packets_make_the_way_neither_shorter_nor_longer(chain: Chain, one_in: int) -> None:
    chain.routers[0].run("nft", "add table inet t; add chain inet t f { type filter hook forward priority 0; }")
    chain.routers[0].run("nft", f"add rule inet t f meta l4proto udp numgen random mod {one_in} 0 drop")
    try:
        params = {"timeout": "0.2 s", "mtu": False, "probes": 10}
        result = once(chain.box, "path", chain.target(4), params=params)["result"]
    finally:
        chain.routers[0].run("nft", "flush ruleset")
    assert result["flows"][0]["way"] == chain.way(4)
    assert result["hops"] == 5


@contextlib.contextmanager
def captured(chain: Chain, file: Path) -> Iterator[None]:
    """What passes the box's interface, from the wire's side."""
    argv = [sys.executable, "-m", "tests.support.capture", "out", str(file)]
    capture = chain.box.popen(argv, cwd=ROOT, stderr=subprocess.PIPE)
    assert capture.stderr is not None
    capture.stderr.readline()
    try:
        yield
    finally:
        capture.send_signal(signal.SIGTERM)
        capture.communicate(timeout=20)


@FAMILIES
@pytest.mark.alone
def test_each_round_trip_is_what_the_wire_shows(chain: Chain, family: int, tmp_path: Path) -> None:
    file = tmp_path / "out.pcap"
    with captured(chain, file):
        result = once(chain.box, "path", chain.target(family), params={"probes": 10, "mtu": False})["result"]
    truth = round_trips(file, family)
    differences = []
    for hop in result["path"]:
        # the target's own packets may have been sent with more hops than it takes
        ttls = [hop["ttl"]] if hop["ttl"] < result["hops"] else [ttl for ttl in truth if ttl >= hop["ttl"]]
        wire = sorted(rtt for ttl in ttls for rtt in truth[ttl])
        assert len(wire) == hop["answered"]
        differences += [abs(hop["rtt_min"] - wire[0]), abs(hop["rtt_max"] - wire[-1])]
        differences.append(abs(hop["rtt_p50"] - wire[(len(wire) - 1) // 2]))
    assert sorted(differences)[len(differences) // 2] <= 15e-6
    assert max(differences) <= 60e-6
    in_the_wires_order = sorted(result["path"], key=lambda hop: min(truth[hop["ttl"]]))
    assert [hop["rtt_min"] for hop in in_the_wires_order] == pytest.approx(
        sorted(hop["rtt_min"] for hop in result["path"]), abs=15e-6
    )


@FAMILIES
def test_ports_and_checksum_are_one_in_all_packets_of_a_flow(chain: Chain, family: int, tmp_path: Path) -> None:
    file = tmp_path / "out.pcap"
    chain.box.run("ethtool", "-K", "out", "tx", "off")  # or what is seen is half a checksum, the same for any data
    with captured(chain, file):
        result = once(chain.box, "path", chain.target(family), params={"flows": 3, "mtu": False})["result"]
    headers, labels = set(), set()
    for _, frame in packets(file):
        kind, network = (frame[14 + 9], 20) if frame[12:14] == b"\x08\0" else (frame[14 + 6], 40)
        if kind == socket.IPPROTO_UDP:
            headers.add(struct.unpack_from("!4H", frame, 14 + network))
            labels.add(int.from_bytes(frame[14:18], "big") & 0xFFFFF if family == 6 else 0)
    assert sorted(source for source, *_ in headers) == sorted(flow["source_port"] for flow in result["flows"])
    assert {port for _, port, _, _ in headers} == {33434}
    assert len(labels) == (3 if family == 6 else 1), "routers may go by the flow label: it must stay as well"
