"""What two sides come to: differences, honesty about what was not measured, and the verdict."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fibrewatch.results.wifi_paired import Attribution, Limits, Result, Side
from fibrewatch_agent.wifi import two_ways
from fibrewatch_agent.wifi.pairing import compared, reasons, surely_more, wilson

MBIT = 1e6 / 8
WIRE = Side(interface="eth0", sent=400, lost=0, rtt_p50=0.010, rtt_p95=0.012, goodput=800 * MBIT, begins=20.0)
WIFI = Side(interface="wlan0", sent=400, lost=2, rtt_p50=0.013, rtt_p95=0.020, goodput=300 * MBIT, begins=32.0)


def of(wire: dict[str, Any] | None = None, wifi: dict[str, Any] | None = None, **limits: Any) -> Result:
    return compared(replace(WIRE, **wire or {}), replace(WIFI, **wifi or {}), Limits(**limits), within_s=60.0)


def test_differences_are_the_wifis_figures_less_the_wires() -> None:
    found = of()
    assert found.air_rtt_p50 == pytest.approx(0.003)
    assert found.air_rtt_p95 == pytest.approx(0.008)
    assert found.air_loss_ratio == pytest.approx(0.005)
    assert found.air_goodput == pytest.approx(500 * MBIT)
    assert (found.attribution, found.judged) == ("neither", ("loss", "rtt", "goodput"))


@pytest.mark.parametrize(
    ("wire", "wifi", "expected", "air", "fibre"),
    [
        ({}, {"rtt_p95": 0.050}, "air", ("rtt",), ()),
        ({"rtt_p95": 0.150}, {"rtt_p95": 0.155}, "fibre", (), ("rtt",)),
        ({"rtt_p95": 0.150}, {"rtt_p95": 0.190}, "both", ("rtt",), ("rtt",)),
        ({}, {"lost": 40}, "air", ("loss",), ()),
        ({"lost": 40}, {"lost": 40}, "fibre", (), ("loss",)),
        ({"lost": 40}, {"lost": 160}, "both", ("loss",), ("loss",)),
        ({}, {"goodput": 60 * MBIT}, "air", ("goodput",), ()),
        ({"goodput": 30 * MBIT}, {"goodput": 28 * MBIT}, "neither", (), ()),
        ({"goodput": 30 * MBIT}, {"goodput": 20 * MBIT}, "air", ("goodput",), ()),
        ({}, {"sent": 400, "lost": 400, "rtt_p50": None, "rtt_p95": None}, "air", ("loss",), ()),
    ],
)
def test_who_is_to_blame(
    wire: dict[str, Any], wifi: dict[str, Any], expected: Attribution, air: tuple[str, ...], fibre: tuple[str, ...]
) -> None:
    found = of(wire, wifi)
    assert (found.attribution, found.air, found.fibre) == (expected, air, fibre)
    assert (found.air_at_fault, found.fibre_at_fault) == (bool(air), bool(fibre))


def test_the_fibres_rate_is_judged_where_a_limit_is_set() -> None:
    found = of({"goodput": 300 * MBIT}, {"goodput": 290 * MBIT}, fibre_goodput=800 * MBIT)
    assert (found.attribution, found.fibre) == ("fibre", ("goodput",))


def test_a_few_lost_packets_are_chance_and_accuse_nobody() -> None:
    assert of({}, {"lost": 8}).attribution == "neither"
    assert of({"lost": 6}, {}).attribution == "neither"


@pytest.mark.parametrize("side", ["wire", "wifi"])
def test_what_one_side_did_not_measure_has_no_difference_and_no_verdict(side: str) -> None:
    unseen = {"sent": None, "lost": None, "rtt_p50": None, "rtt_p95": None, "goodput": None, "begins": None}
    found = of(**{side: unseen})
    assert found.air_rtt_p50 is found.air_loss_ratio is found.air_goodput is None
    assert found.attribution is found.air_at_fault is found.fibre_at_fault is None
    assert found.judged == ()


@pytest.mark.parametrize("side", ["wire", "wifi"])
def test_an_invalid_transfer_has_no_figure_and_leaves_the_rest(side: str) -> None:
    found = of(**{side: {"verdict": "invalid", "reasons": ("link_speed",)}})
    assert getattr(found, f"{side}_goodput") is found.air_goodput is None
    assert getattr(found, side).goodput is not None
    assert (found.attribution, found.judged) == ("neither", ("loss", "rtt"))


def test_a_wire_that_carries_at_least_so_much_bounds_what_the_air_takes() -> None:
    found = of({"verdict": "censored", "goodput": 100 * MBIT}, {"goodput": 90 * MBIT})
    assert found.air_goodput == pytest.approx(10 * MBIT)
    assert found.judged == ("loss", "rtt"), "whether 90 of more than 100 are enough can't be told"
    found = of({"verdict": "censored", "goodput": 100 * MBIT}, {"goodput": 60 * MBIT})
    assert (found.attribution, found.air) == ("air", ("goodput",))


def test_a_wifi_that_carries_at_least_so_much_is_never_accused() -> None:
    found = of(wifi={"verdict": "censored", "goodput": 20 * MBIT})
    assert (found.air_goodput, found.attribution, found.judged) == (None, "neither", ("loss", "rtt"))


def test_transfers_far_apart_are_not_compared() -> None:
    found = of(wifi={"begins": 90.0, "goodput": 10 * MBIT})
    assert (found.air_goodput, found.judged) == (None, ("loss", "rtt"))
    assert found.wifi_goodput == 10 * MBIT


def test_reasons_say_of_which_side_they_are() -> None:
    wifi = replace(WIFI, error="refused", goodput=None)
    assert list(reasons(replace(WIRE, reasons=("cpu_saturated",)), wifi)) == [
        "wire_cpu_saturated",
        "wifi_transfer_failed",
    ]


def test_intervals_of_shares_are_those_of_the_literature() -> None:
    """Newcombe 1998, Table II: 56/70 against 48/80, method 10 at 95 % two-sided: 0.0524 to 0.3339."""
    low, high = wilson(56, 70, 1.959964)
    assert (low, high) == (pytest.approx(0.6918, abs=2e-4), pytest.approx(0.8770, abs=2e-4))
    one_sided = surely_more((56, 70), (48, 80))
    assert 0.0524 < one_sided < 0.2, "a one-sided bound is nearer to the difference than the two-sided one"
    assert surely_more((0, 10), (0, 10)) < 0


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
wlan0\t0000A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0
wlan1\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0
wlan1\t0000A8C0\t0101A8C0\t0003\t0\t0\t600\t00FFFFFF\t0\t0\t0
"""


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "eth0 and wlan0 are on one network: set net.ipv4.conf.all.arp_ignore=1"),
        ({"all/arp_ignore": 1}, None),
        ({"eth0/arp_ignore": 1, "wlan0/arp_ignore": 2}, None),
        ({"all/arp_ignore": 1, "all/rp_filter": 2, "wlan0/rp_filter": 1}, None),
        (
            {"all/arp_ignore": 1, "wlan0/rp_filter": 1},
            "eth0 and wlan0 are on one network: set net.ipv4.conf.wlan0.rp_filter=2",
        ),
    ],
)
def test_two_interfaces_on_one_network_need_the_kernels_help(
    tmp_path: Path, settings: dict[str, int], problem: str | None
) -> None:
    proc = tmp_path
    (proc / "net").mkdir()
    (proc / "net/route").write_text(ROUTES)
    for name, value in settings.items():
        file = proc / "sys/net/ipv4/conf" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    assert two_ways.obstacle("eth0", "wlan0", proc) == problem
    assert two_ways.obstacle("eth0", "wlan1", proc) is None, "another network, and a route through a gateway"
