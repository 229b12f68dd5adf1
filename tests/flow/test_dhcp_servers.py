"""dhcp against dnsmasq, one, two and none of it, and servers that refuse or talk nonsense; leases are not disturbed."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import Namespace, run
from tests.support.routers import ROOT, once

POOL = {"server": "10.98.0.1", "rogue": "10.98.0.9"}


class Dhcp:
    """A switch with a box and room for two servers on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.box, self.server, self.rogue, self.switch = (Namespace(n) for n in ("box", "dhcp", "rogue", "switch"))
        self.switch.run("ip", "link", "add", "switch", "type", "bridge")
        self.switch.run("ip", "link", "set", "switch", "up")
        for number, host in enumerate((self.box, self.server, self.rogue)):
            run(
                *("ip", "link", "add", "eth0", "netns", host.name, "type", "veth"),
                *("peer", "name", f"port{number}", "netns", self.switch.name),
            )
            self.switch.run("ip", "link", "set", f"port{number}", "master", "switch", "up")
            host.run("ip", "link", "set", "eth0", "up")
        self.server.run("ip", "addr", "add", f"{POOL['server']}/24", "dev", "eth0")
        self.rogue.run("ip", "addr", "add", f"{POOL['rogue']}/24", "dev", "eth0")

    @contextlib.contextmanager
    def serving(self, who: str = "server", *options: str, first: int = 100) -> Iterator[Path]:
        """dnsmasq in that namespace; gives its lease file."""
        leases = self.folder / f"{who}.leases"
        argv = [
            *("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces"),
            *("--dhcp-authoritative", f"--dhcp-leasefile={leases}", "--pid-file=", *options),
            f"--dhcp-range=10.98.0.{first},10.98.0.{first + 20},1h",
        ]
        process: subprocess.Popen[bytes] = getattr(self, who).popen(argv, stderr=subprocess.PIPE)
        try:
            assert process.stderr is not None
            while b"sockets bound" not in (line := process.stderr.readline()):
                assert line, f"dnsmasq ended, exit status {process.wait(20)}"
            yield leases
        finally:
            process.kill()
            process.communicate()

    @contextlib.contextmanager
    def playing(self, part: str, who: str = "server") -> Iterator[None]:
        """A server of the test's own, see tests.support.dhcp_server."""
        argv = [sys.executable, "-m", "tests.support.dhcp_server", part]
        process: subprocess.Popen[bytes] = getattr(self, who).popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()
            process.communicate()

    def ask(self, **order: Any) -> dict[str, Any]:
        params = {"timeout": "8 s", "wait": "0.2 s"} | order.pop("params", {})
        return once(self.box, "dhcp", None, **{"interface": "eth0"} | order, params=params)

    def close(self) -> None:
        for namespace in (self.box, self.server, self.rogue, self.switch):
            namespace.close()


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Dhcp]:
    link = Dhcp(tmp_path)
    try:
        yield link
    finally:
        link.close()


def test_an_offer_is_timed_and_no_address_is_taken(net: Dhcp) -> None:
    options = ("--no-ping", "--dhcp-option=3,10.98.0.254", "--dhcp-option=6,10.98.0.53,10.98.0.54")
    with net.serving("server", *options) as leases:
        said = net.ask()
        assert leases.read_text() == ""
    result = said["result"]
    (offer,) = result["offers"]
    assert said["error"] is None
    assert (result["server"], result["servers"], result["attempts"]) == (POOL["server"], 1, 1)
    assert (result["routers"], result["resolvers"]) == (["10.98.0.254"], ["10.98.0.53", "10.98.0.54"])
    assert (result["lease_time"], offer["netmask"]) == (3600, "255.255.255.0")
    assert 0 < result["offer_time"] == offer["offer_time"] < 8
    assert (result["stamps"], result["interface"]) == ("kernel", "eth0")
    assert result["address"].startswith("10.98.0.1")
    assert (result.get("ack_time"), result.get("released"), result.get("rogue_servers")) == (None, None, None)


def test_a_full_transaction_gives_the_address_back_and_leaves_the_boxs_own_lease(net: Dhcp) -> None:
    (link,) = json.loads(net.box.run("ip", "-j", "link", "show", "dev", "eth0"))
    with net.serving("server", "--no-ping", f"--dhcp-host={link['address']},10.98.0.42") as leases:
        own = lease(net, link["address"])
        before = leases.read_text()
        assert own in before
        for _ in range(2):
            said = net.ask(params={"full": True})
            result = said["result"]
            assert said["error"] is None
            assert result["released"] is True
            assert result["address"] != own
            assert result["transaction_time"] == pytest.approx(result["offer_time"] + result["ack_time"])
            assert leases.read_text() == before, "as if nobody had asked"


def lease(net: Dhcp, mac: str) -> str:
    """Takes the box's own lease, by the same packets, and keeps it."""
    script = (
        "import sys; from fibrewatch_agent.dhcp import packets as p, child as c;"
        "from fibrewatch_agent.dhcp.order import Order; import time;"
        "o = Order(interface='eth0', client=sys.argv[1], full=False, timeout_s=5, wait_s=0);"
        "t = c.Exchange(c.opened('eth0'), o); k = t.client(); t.send(p.discover(k), k);"
        "offer = next(t.hear(time.monotonic() + 5)).message;"
        "t.send(p.request(k, offer.address, offer.server), k);"
        "print(next(h for h in t.hear(time.monotonic() + 5) if h.message.kind == 'ack').message.address)"
    )
    return net.box.run("env", "-C", str(ROOT), sys.executable, "-c", script, mac.replace(":", "")).strip()


def test_a_second_server_is_counted_and_named_and_not_chosen(net: Dhcp) -> None:
    with net.serving("server", "--no-ping") as _, net.serving("rogue", "--no-ping", first=200) as rogue:
        params = {"full": True, "wait": "1 s", "expected_servers": [POOL["server"]]}
        result = net.ask(params=params)["result"]
        assert (result["servers"], result["rogue_servers"]) == (2, 1)
        assert {offer["server"] for offer in result["offers"]} == set(POOL.values())
        assert result["server"] == POOL["server"], "even where the other one was faster"
        assert rogue.read_text() == ""
        swapped = net.ask(params=params | {"expected_servers": [POOL["rogue"]]})["result"]
        assert (swapped["server"], swapped["rogue_servers"]) == (POOL["rogue"], 1)
        assert net.ask(params=params | {"expected_servers": list(POOL.values())})["result"]["rogue_servers"] == 0


def test_a_rogue_that_claims_the_good_servers_identifier_is_counted(net: Dhcp) -> None:
    params = {"wait": "1 s", "expected_servers": [POOL["server"]]}
    with net.playing("mute"), net.playing("mute", "rogue"):
        result = net.ask(params=params)["result"]
    assert (result["servers"], result["rogue_servers"]) == (2, 1)
    assert {offer["server"] for offer in result["offers"]} == {POOL["server"]}
    assert {offer["source"] for offer in result["offers"]} == set(POOL.values())
    assert len({offer["mac"] for offer in result["offers"]}) == 2


def test_a_server_behind_two_relays_is_one(net: Dhcp) -> None:
    params = {"wait": "1 s", "expected_servers": [POOL["server"]]}
    with net.playing("relayed"), net.playing("relayed", "rogue"):
        result = net.ask(params=params)["result"]
    assert (result["servers"], result["rogue_servers"]) == (1, 0)


def test_the_client_is_another_one_than_the_box_and_the_same_each_time(net: Dhcp) -> None:
    (link,) = json.loads(net.box.run("ip", "-j", "link", "show", "dev", "eth0"))
    with net.serving(
        "server",
        "--no-ping",
    ):
        addresses = [net.ask()["result"]["address"] for _ in range(3)]
        others = net.ask(test="other")["result"]["address"]
    assert len(set(addresses)) == 1, "a new client at each run would use the pool up"
    assert others != addresses[0]
    assert link["address"] not in addresses


def test_a_server_that_looks_first_whether_the_address_is_free_is_waited_for(net: Dhcp) -> None:
    """dnsmasq pings it for 3 s, which is part of what a client waits."""
    with net.serving("server"):
        assert 2.5 < net.ask()["result"]["offer_time"] < 8


def test_no_server_is_a_timeout(net: Dhcp) -> None:
    said = net.ask(params={"timeout": "0.5 s"})
    assert (said["error"], said["result"]["servers"], said["result"]["attempts"]) == ("timeout", 0, 1)
    assert said["detail"] == "no offer on eth0 within 0.5 s"


def test_an_offer_that_is_taken_back_is_refused(net: Dhcp) -> None:
    with net.playing("nak"):
        said = net.ask(params={"full": True, "timeout": "3 s"})
    assert (said["error"], "no longer" in said["detail"]) == ("refused", True)
    assert said["result"]["offer_time"] > 0
    assert "ack_time" not in said["result"]


def test_an_offer_that_is_never_granted_is_a_timeout(net: Dhcp) -> None:
    with net.playing("mute"):
        said = net.ask(params={"full": True, "timeout": "0.5 s"})
    assert (said["error"], said["result"]["servers"], said["result"].get("released")) == ("timeout", 1, None)


def test_what_is_no_answer_to_us_is_passed_over(net: Dhcp) -> None:
    """Noise, truncated and foreign messages first, then a good offer."""
    with net.playing("noise"):
        said = net.ask(params={"timeout": "3 s"})
    assert said["error"] is None
    assert [offer["server"] for offer in said["result"]["offers"]] == [POOL["server"]]


def test_without_rights_the_command_that_mends_it_is_said(net: Dhcp) -> None:
    said = net.ask(user=65534)
    assert said["error"] == "permission"
    assert "systemctl edit fibrewatch-agent" in said["detail"]
    assert "CAP_NET_RAW" in said["detail"]


def test_an_interface_that_is_none_or_no_ethernet_or_down_is_said(net: Dhcp) -> None:
    assert net.ask(interface="eth9")["error"] == "no_interface"
    assert net.ask(interface="lo")["error"] == "no_interface"
    assert net.ask(interface=None)["error"] == "no_interface", "there is no default route to take it from"
    net.box.run("ip", "link", "set", "eth0", "down")
    assert net.ask()["error"] == "unreachable"


def test_the_default_routes_interface_is_taken_where_none_is_named(net: Dhcp) -> None:
    net.box.run("ip", "addr", "add", "10.98.0.2/24", "dev", "eth0")
    net.box.run("ip", "route", "add", "default", "via", POOL["server"])
    with net.serving("server", "--no-ping"):
        assert net.ask(interface=None)["result"]["interface"] == "eth0"


def test_cancelled_at_any_wait_it_leaves_nothing(net: Dhcp) -> None:
    """No child either: it is killed and reaped."""
    with net.serving("server", "--no-ping"):
        assert net.ask(cancel=True, params={"wait": "0 s"})["waits"] >= 2
