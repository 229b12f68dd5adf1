"""ping on lines that lose, double, delay, reorder, forge, refuse and are cut: every count against a known truth."""

import ipaddress
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import Link, Namespace

ROOT = Path(__file__).parents[2]
ONE_KIND = pytest.mark.parametrize("line", ["raw"], indirect=True)
"""For what does not depend on the kind of socket."""
ECHO = {4: "icmp type echo-request", 6: "icmpv6 type echo-request"}


@dataclass
class Line:
    near: Namespace
    far: Namespace
    link: Link
    kind: str

    def address(self, family: int) -> str:
        return self.link.b4 if family == 4 else self.link.b6

    def rule(self, namespace: Namespace, hook: str, rule: str) -> None:
        namespace.run("nft", "add", "table", "inet", "t")
        namespace.run("nft", f"add chain inet t {hook} {{ type filter hook {hook} priority 0; }}")
        namespace.run("nft", f"add rule inet t {hook} {rule}")


@pytest.fixture(params=["raw", "dgram"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    near, far = Namespace("near"), Namespace("far")
    try:
        if request.param == "dgram":  # a new namespace lets nobody
            near.run("sysctl", "-qw", "net.ipv4.ping_group_range=0 0")
        link = Link(near, far)
        for address in (link.b4, link.b6):
            near.run("ping", "-c", "1", "-w", "20", address)
        yield Line(near, far, link, request.param)
    finally:
        near.close()
        far.close()


def start(line: Line, prefix: Sequence[str] = (), **order: Any) -> "subprocess.Popen[bytes]":
    """The driver in the near namespace; on a "dgram" line without the right to RAW sockets."""
    order = {"interval_s": 0.01, "timeout_s": 0.3, "window_s": 1} | order
    argv = [sys.executable, "-m", "tests.support.ping_driver", json.dumps(order)]
    rights = ["setpriv", "--bounding-set", "-net_raw"] if line.kind == "dgram" else []
    return line.near.popen([*prefix, *rights, *argv], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def windows(driver: "subprocess.Popen[bytes]") -> list[dict[str, Any]]:
    assert driver.stdin is not None
    assert driver.stdout is not None
    driver.stdin.close()
    said: list[dict[str, Any]] = json.loads(driver.stdout.read().splitlines()[-1])
    driver.stdout.close()
    assert driver.wait(timeout=20) == 0
    return said


def wait_for(driver: "subprocess.Popen[bytes]", word: bytes) -> None:
    assert driver.stdout is not None
    assert driver.stdout.readline().strip() == word


def go_on(driver: "subprocess.Popen[bytes]") -> None:
    assert driver.stdin is not None
    driver.stdin.write(b"\n")
    driver.stdin.flush()


@pytest.mark.parametrize("family", [4, 6])
def test_random_loss_is_counted_exactly(line: Line, family: int) -> None:
    line.rule(line.far, "input", f"{ECHO[family]} numgen random mod 100 < 5 counter drop")
    (said,) = windows(start(line, address=line.address(family), window_s=3))
    listed = line.far.run("nft", "list", "chain", "inet", "t", "input")
    (dropped,) = map(int, re.findall(r"packets (\d+)", listed))
    result = said["result"]
    assert dropped > 0
    assert (result["lost"], result["sent"]) == (dropped, len(said["samples"]))
    assert result["loss_ratio"] == pytest.approx(dropped / result["sent"])
    assert [sample["rtt_s"] is None for sample in said["samples"]].count(True) == dropped
    assert sum(result["rtt"].values()) == result["sent"] - dropped


@pytest.mark.parametrize("family", [4, 6])
def test_forged_late_doubled_and_reordered_replies_are_told_apart(line: Line, family: int) -> None:
    address, other = line.address(family), "10.99.0.22" if family == 4 else "fd99:0::22"
    line.far.run("ip", "addr", "add", other, "dev", "eth0", *(["nodad"] if family == 6 else []))
    line.far.run(
        "sysctl", "-qw", f"net.ipv{family}.{'icmp_echo_ignore_all' if family == 4 else 'icmp.echo_ignore_all'}=1"
    )
    argv = [sys.executable, "-m", "tests.support.icmp_responder", address, other]
    responder = line.far.popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_for(responder, b"ready")
    # 20 ms apart: long enough that the answer to one request never meets the next by chance
    (said,) = windows(start(line, address=address, interval_s=0.02, window_s=3))
    output, _ = responder.communicate(b"\n", timeout=20)
    did = json.loads(output)
    result = said["result"]
    good = sum(did[way] for way in ("answered", "doubled", "held", "tripled"))
    assert result["sent"] == sum(did.values()) > 80
    assert result["sent"] - result["lost"] == good
    assert result["late"] == did["late"] - sent_in_the_last(said, did)
    assert result["duplicates"] == did["doubled"] + 2 * did["tripled"]
    assert result["reordered"] == did["held"]


def sent_in_the_last(said: dict[str, Any], did: dict[str, int]) -> int:
    """How many of the late ones came when the window was over: they are lost without being seen as late."""
    late: int = sum(sample["rtt_s"] is not None and sample["rtt_s"] > 0.3 for sample in said["samples"])
    assert did["late"] - late <= 2
    return did["late"] - late


@pytest.mark.parametrize("family", [4, 6])
def test_a_target_behind_a_refusing_router_is_denied(line: Line, family: int) -> None:
    line.rule(line.far, "input", f"{ECHO[family]} reject with icmpx type admin-prohibited")
    (said,) = windows(start(line, address=line.address(family), interval_s=0.02))
    assert said["error"] == "denied"
    assert said["result"]["sent"] == said["result"]["lost"] == len(said["samples"]) > 0
    assert str(ipaddress.ip_address(line.address(family))) in said["detail"]
    assert said["reported"] == [True]


@pytest.mark.parametrize("family", [4, 6])
def test_an_unreachable_target_is_told_from_a_silent_one(line: Line, family: int) -> None:
    line.rule(line.far, "input", f"{ECHO[family]} reject with icmpx type host-unreachable")
    (said,) = windows(start(line, address=line.address(family), interval_s=0.02))
    assert said["error"] == "unreachable"
    line.far.run("nft", f"replace rule inet t input handle {handle(line)} {ECHO[family]} drop")
    (said,) = windows(start(line, address=line.address(family), interval_s=0.02))
    assert said["error"] == "timeout"
    assert said["result"]["sent"] == said["result"]["lost"] > 0


def handle(line: Line) -> str:
    listed = line.far.run("nft", "-a", "list", "chain", "inet", "t", "input")
    (found,) = re.findall(r"reject.*# handle (\d+)", listed)
    return str(found)


def test_errors_about_one_target_do_not_touch_another(line: Line) -> None:
    line.far.run("ip", "addr", "add", "10.99.0.22/24", "dev", "eth0")
    line.rule(line.far, "input", f"ip daddr 10.99.0.22 {ECHO[4]} reject with icmpx type host-unreachable")
    (said,) = windows(start(line, address=line.link.b4, also="10.99.0.22"))
    assert said["error"] is None
    assert said["result"]["lost"] == 0
    assert said["result"]["stamps"] == "kernel"
    assert said["also"]["error"] == "unreachable"


@pytest.mark.parametrize("family", [4, 6])
def test_the_boxs_own_firewall_is_no_loss(line: Line, family: int) -> None:
    if (line.kind, family) == ("dgram", 6):
        line.kind = "raw"  # the kernel tells a DGRAM socket of v6 nothing: the probe takes RAW where it may
    line.rule(line.near, "output", f"{ECHO[family]} drop")
    (said,) = windows(start(line, address=line.address(family)))
    assert said["error"] == "denied"
    assert said["result"]["sent"] == said["result"]["lost"] == 0


def test_a_firewall_that_opens_midway_leaves_stamps_matched(line: Line) -> None:
    line.rule(line.near, "output", f"{ECHO[4]} numgen inc mod 3 0 drop")
    (said,) = windows(start(line, address=line.link.b4))
    result = said["result"]
    assert said["error"] is None
    assert result["lost"] == 0
    assert result["stamps"] == "kernel"
    # a refused send is tried once more, in case the refusal was an old ICMP error's: two of three pass at once
    assert result["sent"] == len(said["samples"]) > 50


@pytest.mark.parametrize(("line", "bound"), [("raw", "eth0"), ("dgram", None)], indirect=["line"])
def test_a_cut_interface_is_loss_and_the_socket_survives_it(line: Line, bound: str | None) -> None:
    order: dict[str, Any] = {"window_s": 1.5, "windows": 4, "wait": True, "interface": bound, "interval_s": 0.05}
    driver = start(line, address=line.link.b4, **order)
    for change in (None, "down", "up", "moved"):
        if change in ("down", "up"):
            line.near.run("ip", "link", "set", "eth0", change)
        elif change == "moved":
            line.near.run("ip", "addr", "del", f"{line.link.a4}/24", "dev", "eth0")
            line.near.run("ip", "addr", "add", "10.99.0.77/24", "dev", "eth0")
        if change:
            go_on(driver)
        wait_for(driver, b"begin")
        wait_for(driver, b"end")
    before, cut, back, moved = windows(driver)
    assert (before["error"], before["result"]["lost"]) == (None, 0)
    assert cut["error"] == "unreachable"
    assert cut["result"]["lost"] == cut["result"]["sent"] >= 25
    assert cut["reported"] == [True]
    assert back["reported"] == [False]
    assert back["result"]["sent"] > back["result"]["lost"]
    assert moved["error"] is None
    assert moved["result"]["lost"] < 5
    assert len(moved["raw"]) == 1


@ONE_KIND
def test_an_interface_that_is_taken_away_and_comes_back_is_found_again(line: Line) -> None:
    driver = start(line, address=line.link.b4, windows=3, wait=True, interface="eth0", window_s=1)
    wait_for(driver, b"begin")
    wait_for(driver, b"end")
    line.near.run("ip", "link", "del", "eth0")
    go_on(driver)
    wait_for(driver, b"begin")
    wait_for(driver, b"end")
    Link(line.near, line.far)
    line.near.run("ping", "-c", "1", "-w", "20", line.link.b4)
    go_on(driver)
    before, away, back = windows(driver)
    assert before["error"] is None
    assert away["error"] == "no_interface"
    assert back["error"] is None
    assert back["result"]["lost"] == 0


@ONE_KIND
def test_a_link_local_target_is_reached_through_the_interface(line: Line) -> None:
    shown = json.loads(line.far.run("ip", "-j", "-6", "addr", "show", "dev", "eth0", "scope", "link"))
    address = next(info["local"] for each in shown for info in each.get("addr_info", []) if "local" in info)
    (said,) = windows(start(line, address=address, interface="eth0", window_s=2))
    assert said["result"]["sent"] > said["result"]["lost"]
    (said,) = windows(start(line, address=f"{address}%eth0"))
    assert said["result"]["lost"] == 0


@ONE_KIND
def test_the_packets_look_as_asked(line: Line) -> None:
    line.rule(line.far, "input", f"{ECHO[4]} ip dscp 46 ip length 1228 counter accept")
    line.rule(line.far, "input", f"{ECHO[6]} ip6 dscp 46 ip6 length 1208 counter accept")
    sent = [
        windows(start(line, address=line.address(family), dscp=46, payload_bytes=1200))[0]["result"]["sent"]
        for family in (4, 6)
    ]
    listed = line.far.run("nft", "list", "chain", "inet", "t", "input")
    assert [int(each) for each in re.findall(r"packets (\d+)", listed)] == sent


@ONE_KIND
def test_a_stop_leaves_out_what_had_no_time_to_come_back(line: Line) -> None:
    line.rule(line.far, "input", f"{ECHO[4]} numgen inc mod 2 0 drop")
    order: dict[str, Any] = {"timeout_s": 20, "window_s": 50, "stop_after_s": 0.5, "interval_s": 0.02}
    (said,) = windows(start(line, address=line.link.b4, **order))
    answered = sum(sample["rtt_s"] is not None for sample in said["samples"])
    assert said["error"] is None
    assert (said["result"]["sent"], said["result"]["lost"]) == (answered, 0)
    assert 0 < answered < len(said["samples"])
    assert said["took_s"] < 20


@ONE_KIND
def test_a_dead_resolver_does_not_hide_the_line(line: Line, tmp_path: Path) -> None:
    line.far.run("ip", "addr", "add", "10.99.0.22/24", "dev", "eth0")
    hosts, resolver = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text(f"{line.link.b4} target.test\n")
    resolver.write_text("nameserver 127.0.0.1\n")  # where nobody listens
    bind = f"mount --bind {hosts} /etc/hosts && mount --bind {resolver} /etc/resolv.conf"
    order: dict[str, Any] = {"windows": 4, "wait": True, "window_s": 0.5}
    prefix = ["unshare", "--mount", "sh", "-c", f'{bind} && exec "$@"', "sh"]
    driver = start(line, prefix, address="target.test", **order)
    for change in ("", "10.99.0.22 target.test\n", None):
        wait_for(driver, b"begin")
        wait_for(driver, b"end")
        if change is not None:
            hosts.write_text(change)
        go_on(driver)
    said = windows(driver)
    assert [each["error"] for each in said] == [None] * 4
    assert [each["resolved"] for each in said] == [line.link.b4] * 3 + ["10.99.0.22"]
    assert all(each["result"]["sent"] > each["result"]["lost"] for each in said)
