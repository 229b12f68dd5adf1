"""Two ways of known delay, loss and rate: is what the air costs told, and who is to blame?"""

from collections.abc import Iterator

import pytest

from fibrewatch.results.wifi_paired import Result
from tests.support.netns import Namespace, run
from tests.support.routed import FULL_FRAME, PAYLOAD
from tests.support.two_ways import FAR, TwoWays, once

pytestmark = pytest.mark.calm
HELD_BACK_S = 0.02
PINGS = {"window": "2 s", "interval": "20 ms", "timeout": "1 s", "transfers": False}
_ONE_IN_FIVE = "ip protocol icmp numgen inc mod 5 0"


@pytest.fixture(scope="module")
def slow_air() -> Iterator[TwoWays]:
    with TwoWays(HELD_BACK_S) as ways:
        yield ways


@pytest.fixture
def ways() -> Iterator[TwoWays]:
    with TwoWays() as ways:
        yield ways


def figures(ways: TwoWays, **params: object) -> Result:
    run = ways.once(**PINGS | params)
    assert run.outcome == "ok", run.detail
    assert run.result is not None
    return run.result


def test_the_airs_delay_is_the_difference_of_two_ways_measured_at_once(slow_air: TwoWays) -> None:
    found = figures(slow_air)
    assert (found.wire.sent, found.wifi.sent) == (pytest.approx(100, abs=10), pytest.approx(100, abs=10))
    assert found.wire_rtt_p50 is not None
    assert found.wire_rtt_p50 < HELD_BACK_S
    assert found.air_rtt_p50 is not None
    assert found.air_rtt_p50 == pytest.approx(2 * HELD_BACK_S, rel=0.25)
    assert found.wifi_rtt_p50 == pytest.approx(found.wire_rtt_p50 + found.air_rtt_p50, abs=1e-6)
    assert (found.attribution, found.air, found.fibre) == ("air", ("rtt",), ())


def test_loss_of_the_air_alone_is_the_airs(ways: TwoWays) -> None:
    ways.drop(ways.air, _ONE_IN_FIVE)
    found = figures(ways)
    assert (found.wire_loss_ratio, found.wifi_loss_ratio) == (0.0, pytest.approx(0.2, abs=0.01))
    assert found.air_loss_ratio == found.wifi_loss_ratio
    assert (found.attribution, found.air, found.fibre) == ("air", ("loss",), ())


def test_loss_that_both_ways_share_is_the_fibres(ways: TwoWays) -> None:
    ways.far.run("nft", "add table inet t")
    ways.far.run("nft", "add chain inet t i { type filter hook input priority 0; }")
    ways.far.run("nft", f"add rule inet t i ip daddr {FAR} ip protocol icmp numgen random mod 5 0 drop")
    found = figures(ways)
    assert found.wire_loss_ratio is not None
    assert 0.05 < found.wire_loss_ratio < 0.4
    assert found.attribution in ("fibre", "both"), "random loss may differ by chance, hardly by more than the limit"
    assert found.fibre == ("loss",)


def test_a_way_without_faults_accuses_nobody(ways: TwoWays) -> None:
    found = figures(ways)
    assert (found.attribution, found.judged) == ("neither", ("loss", "rtt"))
    assert found.air_at_fault is found.fibre_at_fault is False
    assert found.wire_goodput is found.wifi_goodput is found.air_goodput is None


def test_a_dead_radio_is_the_airs_fault_and_has_no_round_trips(ways: TwoWays) -> None:
    ways.drop(ways.air, "ip protocol icmp")
    found = figures(ways)
    assert (found.wifi_loss_ratio, found.wifi_rtt_p50, found.air_rtt_p50) == (1.0, None, None)
    assert (found.attribution, found.air) == ("air", ("loss",))


def test_without_the_radios_interface_the_wires_figures_stay(ways: TwoWays) -> None:
    ways.box.run("ip", "link", "del", "wlan0")
    run = ways.once(**PINGS)
    assert (run.outcome, run.error) == ("failed", "no_interface")
    assert run.result is not None
    assert run.result.wire_rtt_p50 is not None
    assert run.result.attribution is run.result.air_rtt_p50 is run.result.air_loss_ratio is None


def test_goodput_of_both_ways_and_what_the_air_takes(ways: TwoWays) -> None:
    ways.shape(ways.wire, "80mbit")
    ways.shape(ways.air, "20mbit")
    with ways.server():
        found = figures(ways, transfers=True, window="1 s", duration="2 s")
    of_rate = PAYLOAD / FULL_FRAME / 8
    assert found.wire_goodput == pytest.approx(80e6 * of_rate, rel=0.03)
    assert found.wifi_goodput == pytest.approx(20e6 * of_rate, rel=0.03)
    if found.wire.verdict == found.wifi.verdict == "valid":
        assert found.air_goodput == pytest.approx(60e6 * of_rate, rel=0.05)
        assert (found.attribution, found.air) == ("air", ("goodput",))
    else:  # others use this machine: then too little is carried for a reason that is not the air's
        assert {*found.wire.reasons, *found.wifi.reasons} == {"cpu_saturated"}
        assert (found.wifi.verdict == "valid") == (found.air_goodput is not None)
    assert found.wire.begins is not None
    assert found.wifi.begins is not None
    assert 0 < found.wifi.begins - found.wire.begins < 60


def test_two_interfaces_on_one_network_are_refused_until_the_kernel_keeps_them_apart(ways: TwoWays) -> None:
    ways.box.run("ip", "addr", "add", "10.99.1.77/24", "dev", "wlan0")
    run = ways.once(**PINGS)
    assert (run.outcome, run.error) == ("failed", "protocol")
    assert "net.ipv4.conf.all.arp_ignore=1" in str(run.detail)


def test_on_one_network_both_interfaces_measure_by_themselves_once_the_kernel_keeps_them_apart() -> None:
    box, lan = Namespace("box"), Namespace("lan")
    try:
        lan.run("ip", "link", "add", "br0", "type", "bridge")
        lan.run("ip", "addr", "add", f"{FAR}/24", "dev", "br0")
        lan.run("ip", "link", "set", "br0", "up")
        for name, host in (("eth0", 11), ("wlan0", 12)):
            pair = (name, "netns", box.name, "type", "veth", "peer", "name", f"to-{name}", "netns", lan.name)
            run("ip", "link", "add", *pair)
            lan.run("ip", "link", "set", f"to-{name}", "master", "br0", "up")
            box.run("ip", "addr", "add", f"10.97.0.{host}/24", "dev", name)
            box.run("ip", "link", "set", name, "up")
        for name in ("all.arp_ignore=1", "all.arp_announce=2", "wlan0.rp_filter=2", "eth0.rp_filter=2"):
            box.run("sysctl", "-q", "-w", f"net.ipv4.conf.{name}")
        lan.run("nft", "add table bridge t")
        lan.run("nft", "add chain bridge t f { type filter hook output priority 0; }")
        lan.run("nft", "add rule bridge t f oifname to-wlan0 ip protocol icmp numgen inc mod 4 0 counter drop")
        run_ = once(box, "eth0", **PINGS)
        found = run_.result
        assert found is not None, run_.detail
        assert (found.wire_loss_ratio, found.wifi_loss_ratio) == (0.0, pytest.approx(0.25, abs=0.02))
        assert (found.attribution, found.air) == ("air", ("loss",))
    finally:
        box.close()
        lan.close()
