"""stamp on lines that lose one way, re-mark, refuse and are cut: every count against the truth."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.netns import Link, Namespace
from tests.support.tap import ROOT

PORT = 862
FORWARD, BACKWARD = f"udp dport {PORT}", f"udp sport {PORT}"


@dataclass
class Line:
    near: Namespace
    far: Namespace
    link: Link
    reflectors: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def address(self, family: int) -> str:
        return self.link.b4 if family == 4 else self.link.b6

    def rule(self, namespace: Namespace, hook: str, rule: str) -> None:
        namespace.run("nft", "add", "table", "inet", "t")
        namespace.run("nft", f"add chain inet t {hook} {{ type filter hook {hook} priority 0; }}")
        namespace.run("nft", f"add rule inet t {hook} {rule}")

    def dropped(self, namespace: Namespace) -> int:
        listed = namespace.run("nft", "list", "chain", "inet", "t", "input")
        return sum(map(int, re.findall(r"packets (\d+)", listed)))

    def reflect(self, **order: Any) -> None:
        order = {"hosts": [self.link.b4, self.link.b6], "port": PORT} | order
        argv = [sys.executable, "-m", "tests.support.stamp_reflector", json.dumps(order)]
        reflector = self.far.popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
        self.reflectors.append(reflector)
        assert reflector.stdout is not None
        assert reflector.stdout.readline() == b"ready\n"


@pytest.fixture
def line() -> Iterator[Line]:
    near, far = Namespace("near"), Namespace("far")
    made = Line(near, far, Link(near, far))
    try:
        for address in (made.link.b4, made.link.b6):
            near.run("ping", "-c", "1", "-w", "20", address)
        yield made
    finally:
        for reflector in made.reflectors:
            reflector.kill()
            reflector.communicate()
        near.close()
        far.close()


def start(line: Line, **order: Any) -> "subprocess.Popen[bytes]":
    params = {"interval": "10 ms", "timeout": "300 ms"} | order.pop("params", {})
    order = {"address": line.link.b4, "window_s": 1, "params": params} | order
    argv = [sys.executable, "-m", "tests.support.stamp_driver", json.dumps(order)]
    return line.near.popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def windows(driver: "subprocess.Popen[bytes]") -> list[dict[str, Any]]:
    output, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0
    said: list[dict[str, Any]] = json.loads(output.splitlines()[-1])
    return said


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("way", ["forward", "backward", "both"])
def test_losses_are_counted_exactly_and_on_the_right_way(line: Line, family: int, way: str) -> None:
    line.reflect()
    if way != "backward":
        line.rule(line.far, "input", f"{FORWARD} numgen random mod 100 < 5 counter drop")
    if way != "forward":
        line.rule(line.near, "input", f"{BACKWARD} numgen random mod 100 < 5 counter drop")
    (said,) = windows(start(line, address=line.address(family), window_s=4))
    result = said["result"]
    there = line.dropped(line.far) if way != "backward" else 0
    back = line.dropped(line.near) if way != "forward" else 0
    trailers = len(said["packets"]) - result["sent"]  # sent to settle the last losses; they may be dropped as well
    assert there + back > 0
    assert 0 <= there - result["lost_forward"] <= trailers
    assert 0 <= back - result["lost_backward"] <= trailers
    assert result["lost"] == result["lost_forward"] + result["lost_backward"] + result["lost_undetermined"]
    if not trailers:
        assert (result["lost_forward"], result["lost_backward"]) == (there, back)
    if way != "both":
        assert result["lost_undetermined"] == 0
        assert result["loss_forward_ratio"] == pytest.approx(result["lost_forward"] / result["sent"])


def test_windows_go_on_in_one_session_and_lose_nothing_between_them(line: Line) -> None:
    line.reflect()
    line.rule(line.far, "input", f"{FORWARD} numgen inc mod 7 0 counter drop")
    said = windows(start(line, windows=3, window_s=0.7))
    trailers = sum(len(each["packets"]) - each["result"]["sent"] for each in said)
    forward = sum(each["result"]["lost_forward"] for each in said)
    assert 0 <= line.dropped(line.far) - forward <= trailers
    assert [each["result"]["lost_backward"] for each in said] == [0, 0, 0]
    assert [each["result"]["lost_undetermined"] for each in said] == [0, 0, 0]


def test_a_reflector_started_anew_is_neither_loss_nor_confusion(line: Line) -> None:
    line.reflect()
    driver = start(line, windows=2, wait=True, window_s=0.5)
    assert driver.stdout is not None
    assert driver.stdin is not None
    while driver.stdout.readline() != b"end\n":
        pass
    line.reflectors[0].kill()
    line.reflectors[0].wait()
    line.reflect()
    driver.stdin.write(b"\n")
    driver.stdin.flush()
    before, after = windows(driver)
    assert (before["result"]["lost"], after["result"]["lost"]) == (0, 0)
    assert (after["result"]["lost_forward"], after["result"]["lost_backward"]) == (0, 0)
    assert after["result"]["rtt_p99"] < 0.3


def test_a_code_point_that_is_taken_away_is_seen_where(line: Line) -> None:
    line.reflect()
    (said,) = windows(start(line, params={"dscp": 46}))
    marks = ("dscp_sent", "dscp_forward", "dscp_reflected", "dscp_backward")
    assert [said["result"][name] for name in marks] == [46, 46, 46, 46]
    line.rule(line.near, "input", f"{BACKWARD} ip dscp set 8")
    (said,) = windows(start(line, params={"dscp": 46}))
    assert [said["result"][name] for name in marks] == [46, 46, 46, 8]
    line.rule(line.near, "output", f"{FORWARD} ip dscp set 10")
    (said,) = windows(start(line, params={"dscp": 46}))
    assert [said["result"][name] for name in marks] == [46, 10, 10, 8]
    assert (said["result"]["ttl_forward"], said["result"]["ttl_backward"]) == (255, 255)


def test_a_way_there_that_bleaches_leaves_the_way_back_untested(line: Line) -> None:
    """The reply leaves with 0, so that it comes back with 0 says nothing of a way that may leave EF alone."""
    line.reflect()
    line.rule(line.near, "output", f"{FORWARD} ip dscp set 0")
    (said,) = windows(start(line, params={"dscp": 46}))
    result = said["result"]
    assert (result["dscp_sent"], result["dscp_forward"], result["dscp_reflected"]) == (46, 0, 0)
    assert result.get("dscp_backward") is None


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("reject", "error"),
    [
        ("reject with icmpx type admin-prohibited", "denied"),
        ("reject with icmpx type host-unreachable", "unreachable"),
        ("reject with icmpx type port-unreachable", "refused"),
        ("drop", "timeout"),
    ],
)
def test_what_a_router_says_is_the_error(line: Line, family: int, reject: str, error: str) -> None:
    line.reflect()
    line.rule(line.far, "input", f"{FORWARD} {reject}")
    (said,) = windows(start(line, address=line.address(family), params={"interval": "20 ms"}))
    assert said["error"] == error
    assert said["result"]["sent"] == said["result"]["lost"] > 0
    assert said["reported"] == [True]


def test_nobody_at_the_port_is_refused(line: Line) -> None:
    (said,) = windows(start(line))
    assert said["error"] == "refused"
    assert line.link.b4 in said["detail"]


def test_the_boxs_own_firewall_is_no_loss(line: Line) -> None:
    line.reflect()
    line.rule(line.near, "output", f"{FORWARD} drop")
    (said,) = windows(start(line))
    assert said["error"] == "denied"
    assert said["result"]["sent"] == said["result"]["lost"] == 0


def test_a_cut_line_is_loss_on_the_way_there_and_the_session_survives_it(line: Line) -> None:
    line.reflect()
    driver = start(line, windows=3, wait=True, window_s=0.8, interface="eth0", params={"interval": "20 ms"})
    assert driver.stdout is not None
    assert driver.stdin is not None
    for change in ("down", "up"):
        while driver.stdout.readline() != b"end\n":
            pass
        line.near.run("ip", "link", "set", "eth0", change)
        driver.stdin.write(b"\n")
        driver.stdin.flush()
    before, cut, back = windows(driver)
    assert (before["error"], before["result"]["lost"]) == (None, 0)
    assert cut["error"] == "unreachable"
    assert cut["result"]["lost"] == cut["result"]["sent"] >= 30
    assert cut["reported"] == [True]
    assert back["reported"] == [False]
    assert back["result"]["sent"] > back["result"]["lost"]


def test_a_link_local_reflector_is_reached_through_the_interface(line: Line) -> None:
    shown = json.loads(line.far.run("ip", "-j", "-6", "addr", "show", "dev", "eth0", "scope", "link"))
    address = next(info["local"] for each in shown for info in each.get("addr_info", []) if "local" in info)
    line.reflect(hosts=["::"])
    (said,) = windows(start(line, address=address, interface="eth0", window_s=2))
    assert said["result"]["sent"] > said["result"]["lost"]
    (said,) = windows(start(line, address=f"{address}%eth0"))
    assert said["result"]["lost"] == 0


def test_a_wildcard_reflector_answers_by_the_address_it_was_asked_at(line: Line) -> None:
    line.far.run("ip", "addr", "add", "10.99.0.22/24", "dev", "eth0")
    line.far.run("ip", "addr", "add", "fd99:0::22/64", "dev", "eth0", "nodad")
    line.reflect(hosts=["::", "0.0.0.0"])
    for address in ("10.99.0.22", "fd99:0::22"):
        (said,) = windows(start(line, address=address))
        assert (said["error"], said["result"]["lost"]) == (None, 0)


def test_voice_hears_loss_and_says_what_was_missed(line: Line) -> None:
    line.reflect()
    voice: dict[str, Any] = {"probe": "voice", "params": {"duration": "2 s"}}
    (clean,) = windows(start(line, **voice))
    line.rule(line.near, "input", f"{BACKWARD} numgen inc mod 20 0 counter drop")
    (lossy,) = windows(start(line, **voice))
    assert (clean["error"], clean["result"]["ready"], clean["result"].get("missed", [])) == (None, True, [])
    assert clean["result"]["mouth_to_ear"] == pytest.approx(0.06, abs=0.01)
    assert clean["result"]["g711_mos"] > 4.3
    result = lossy["result"]
    assert result["one_way_loss"] is True
    assert (result["ready"], result["missed"]) == (False, ["loss"])
    assert result["loss_ratio"] == pytest.approx(0.05, abs=0.015)
    assert result["g711_r"] < clean["result"]["g711_r"] - 10
    assert result["amr_wb_mos"] < clean["result"]["amr_wb_mos"] - 0.5
